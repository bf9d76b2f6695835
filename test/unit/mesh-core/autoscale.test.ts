import { describe, expect, test } from 'vitest';
import type { AutoScaleTargets } from '../../../src/model/autoscale.ts';
import type { MeshCommand } from '../../../src/model/commands.ts';
import type { AutoScaleChange, PoolSpec } from '../../../src/model/pool.ts';
import type { PoolEntity } from '../../../src/model/queries.ts';
import { idOf, MeshWorld, viewOf } from './world.ts';

const FORMULA = '$TargetDedicatedNodes = $PendingTasks;';

const addPool = (spec: Partial<PoolSpec> = {}): MeshCommand => ({
  kind: 'pool.add',
  spec: { id: 'p', vmSize: 'shoal.1c1g', enableAutoScale: true, autoScaleFormula: FORMULA, ...spec },
  voters: [idOf('a')],
});

const enable = (change: AutoScaleChange): MeshCommand => ({
  kind: 'pool.enableAutoScale',
  pool: 'P',
  change,
});
const disable: MeshCommand = { kind: 'pool.disableAutoScale', pool: 'p' };

const steady: MeshCommand = { kind: 'allot', add: [], leave: [], resizeErrors: [], steady: ['p'] };

function world(spec?: Partial<PoolSpec>): MeshWorld {
  const made = new MeshWorld().init('a');
  made.ok(addPool(spec));
  made.ok(steady);
  return made;
}

/** A pool that is sized by hand, and steady. */
function sizedByHand(): MeshWorld {
  const made = new MeshWorld().init('a');
  made.ok({ kind: 'pool.add', spec: { id: 'p', vmSize: 'shoal.1c1g' }, voters: [idOf('a')] });
  made.ok(steady);
  return made;
}

function pool(of: MeshWorld): Promise<PoolEntity> {
  return of.query('pool.get', { pool: 'p' });
}

/** A run as the coordinator of the pool would record it now. */
async function run(of: MeshWorld, targets?: Partial<AutoScaleTargets>, error?: string): Promise<MeshCommand> {
  const { autoScale } = await pool(of);
  return {
    kind: 'pool.autoScaled',
    pool: 'p',
    version: autoScale?.version ?? '',
    run: autoScale?.runs ?? 0,
    results: 'as evaluated',
    ...(targets !== undefined && {
      targets: {
        targetDedicatedNodes: 0,
        targetLowPriorityNodes: 0,
        nodeDeallocationOption: 'requeue' as const,
        ...targets,
      },
    }),
    ...(error !== undefined && { error }),
  };
}

describe('a new pool', () => {
  test('can be sized by a formula from the start', async () => {
    const entity = await pool(world({ autoScaleEvaluationInterval: 'PT10S', autoScaleOnChange: true }));
    expect(entity.autoScale).toMatchObject({ formula: FORMULA, intervalMs: 10_000, onChange: true, runs: 0 });
    expect(entity.targetDedicatedNodes).toBe(0);
    expect(entity.spec).not.toHaveProperty('autoScaleFormula');
  });

  test('is evaluated every 15 minutes unless it says otherwise', async () => {
    expect((await pool(world())).autoScale?.intervalMs).toBe(15 * 60_000);
  });

  test.each([
    [{ targetDedicatedNodes: 0 }, 'InvalidAutoScalingSettings'],
    [{ targetLowPriorityNodes: 2 }, 'InvalidAutoScalingSettings'],
    [{ everyMachine: true }, 'InvalidAutoScalingSettings'],
    [{ enableAutoScale: false }, 'InvalidAutoScalingSettings'],
    [{ autoScaleFormula: 'x = ' }, 'AutoScalingFormulaSyntaxError'],
    [{ autoScaleFormula: '$TargetDedicatedNodes = $Pending' }, 'AutoScalingFormulaSyntaxError'],
    [{ autoScaleFormula: `x = 1;${' '.repeat(8_192)}` }, 'AutoScalingFormulaTooLong'],
    [{ autoScaleEvaluationInterval: 'PT4S' }, 'InvalidPropertyValue'],
    [{ autoScaleEvaluationInterval: 'P8D' }, 'InvalidPropertyValue'],
    [{ autoScaleEvaluationInterval: 'often' }, 'InvalidPropertyValue'],
  ] satisfies [Partial<PoolSpec>, string][])('with %j is refused', (spec, code) => {
    expect(new MeshWorld().init('a').code(addPool(spec))).toBe(code);
  });

  test('without a formula is refused', () => {
    const { autoScaleFormula, ...spec } = (addPool() as Extract<MeshCommand, { kind: 'pool.add' }>).spec;
    expect(new MeshWorld().init('a').code({ kind: 'pool.add', spec, voters: [idOf('a')] })).toBe(
      'MissingRequiredProperty',
    );
  });
});

describe('enabling', () => {
  test('needs a formula at first, and later only what is to change', async () => {
    const of = sizedByHand();
    expect(of.code(enable({ autoScaleEvaluationInterval: 'PT5M' }))).toBe('MissingRequiredProperty');
    of.ok(enable({ autoScaleFormula: FORMULA }));
    of.timeMs += 30_000;
    expect(of.code(enable({}))).toBe('MissingRequiredProperty');
    of.ok(enable({ autoScaleEvaluationInterval: 'PT1H' }));
    expect((await pool(of)).autoScale).toMatchObject({ formula: FORMULA, intervalMs: 3_600_000 });
  });

  test('says where a formula is wrong', () => {
    const outcome = sizedByHand().run(enable({ autoScaleFormula: 'x = 1;\ny = something_useless;' }));
    expect(outcome).toMatchObject({
      code: 'AutoScalingFormulaSyntaxError',
      values: { Message: 'Line 2, Col 5: Undefined symbol: something_useless' },
    });
  });

  test('is refused more often than every 30 s, also where it was disabled meanwhile', () => {
    const of = sizedByHand();
    of.ok(enable({ autoScaleFormula: FORMULA }));
    expect(of.code(enable({ autoScaleFormula: FORMULA }))).toBe('TooManyEnableAutoScaleRequests');
    of.ok(disable);
    of.timeMs += 29_999;
    expect(of.code(enable({ autoScaleFormula: FORMULA }))).toBe('TooManyEnableAutoScaleRequests');
    of.timeMs += 1;
    expect(of.code(enable({ autoScaleFormula: FORMULA }))).toBe('ok');
  });

  test('is refused while the pool is resized by hand, not while its own formula does', async () => {
    const of = sizedByHand();
    of.ok({ kind: 'pool.resize', pool: 'p', resize: { targetDedicatedNodes: 1 } });
    expect(of.code(enable({ autoScaleFormula: FORMULA }))).toBe('PoolBeingResized');
    of.ok({ kind: 'pool.stopResize', pool: 'p' });
    of.ok(steady);
    of.ok(enable({ autoScaleFormula: FORMULA }));
    of.ok(await run(of, { targetDedicatedNodes: 3 }));
    expect((await pool(of)).allocationState).toBe('resizing');
    of.timeMs += 30_000;
    expect(of.code(enable({ autoScaleFormula: 'x = 1' }))).toBe('ok');
  });

  test('is refused for a pool with a node on every machine', () => {
    const of = new MeshWorld().init('a');
    expect(of.code({ ...enable({ autoScaleFormula: FORMULA }), pool: 'default' } as MeshCommand)).toBe(
      'OperationInvalidForCurrentState',
    );
  });

  test('honours conditions, and changes the version', async () => {
    const of = sizedByHand();
    const before = (await pool(of)).eTag;
    const conditional = (ifMatch: string): MeshCommand =>
      ({ ...enable({ autoScaleFormula: FORMULA }), condition: { ifMatch } }) as MeshCommand;
    expect(of.code(conditional('0x1'))).toBe('ConditionNotMet');
    expect(of.code(conditional(before))).toBe('ok');
    expect((await pool(of)).eTag).not.toBe(before);
  });
});

describe('a pool that is sized by a formula', () => {
  test('is not resized by hand until that is disabled; its size stays then', async () => {
    const of = world();
    of.ok(await run(of, { targetDedicatedNodes: 2 }));
    const resize: MeshCommand = { kind: 'pool.resize', pool: 'p', resize: { targetDedicatedNodes: 1 } };
    expect(of.code(resize)).toBe('OperationInvalidForCurrentState');
    of.ok(disable);
    expect(of.code(disable)).toBe('ok');
    const entity = await pool(of);
    expect(entity).toMatchObject({ targetDedicatedNodes: 2 });
    expect(entity.autoScale).toBeUndefined();
    expect(entity.autoScaleRun).toBeUndefined();
  });

  test('takes over the targets of a run, and what becomes of leaving nodes', async () => {
    const of = world();
    of.ok(
      await run(of, {
        targetDedicatedNodes: 3,
        targetLowPriorityNodes: 1,
        nodeDeallocationOption: 'taskcompletion',
      }),
    );
    expect(await pool(of)).toMatchObject({
      targetDedicatedNodes: 3,
      targetLowPriorityNodes: 1,
      allocationState: 'resizing',
      autoScaleRun: { timestampMs: of.timeMs, results: 'as evaluated' },
    });
    expect(of.machine.pool('p')?.deallocationOption).toBe('taskcompletion');
  });

  test('notes which nodes run nothing, for the packer to call back first, until it is resized anew', async () => {
    const of = world();
    const shrink = await run(of, { targetDedicatedNodes: 1 });
    of.ok({ ...shrink, idleNodes: ['tvm-00000007'] } as MeshCommand);
    expect(of.machine.pool('p')?.idleNodes).toEqual(['tvm-00000007']);
    of.ok(await run(of, { targetDedicatedNodes: 2 }));
    expect(of.machine.pool('p')?.idleNodes).toBeUndefined();
    const wrong = { ...(await run(of, {})), idleNodes: ['anything'] } as MeshCommand;
    expect(of.code(wrong)).toBe('OutOfRangeInput');
  });

  test('is scaled again while the last resize is still unmet', async () => {
    const of = world();
    of.ok(await run(of, { targetDedicatedNodes: 90 }));
    of.ok(await run(of, { targetDedicatedNodes: 1 }));
    expect(await pool(of)).toMatchObject({ targetDedicatedNodes: 1, allocationState: 'resizing' });
  });

  test('keeps version and state where a run changes no target', async () => {
    const of = world();
    const before = await pool(of);
    of.timeMs += 1_000;
    of.ok(await run(of, {}));
    expect(await pool(of)).toMatchObject({
      eTag: before.eTag,
      lastModifiedMs: before.lastModifiedMs,
      allocationState: 'steady',
      autoScaleRun: { timestampMs: of.timeMs },
    });
  });

  test('is not changed by a run that failed', async () => {
    const of = world();
    of.ok(await run(of, { targetDedicatedNodes: 2 }));
    of.ok(steady);
    of.ok(await run(of, undefined, 'Line 1, Col 1: Division by zero'));
    expect(await pool(of)).toMatchObject({
      targetDedicatedNodes: 2,
      autoScaleRun: { error: 'Line 1, Col 1: Division by zero' },
    });
  });

  test('records each run once, whoever else evaluated at the same time', async () => {
    const of = world();
    const [mine, theirs] = [
      await run(of, { targetDedicatedNodes: 2 }),
      await run(of, { targetDedicatedNodes: 5 }),
    ];
    of.ok(mine);
    expect(of.code(theirs)).toBe('ConditionNotMet');
    expect((await pool(of)).targetDedicatedNodes).toBe(2);
  });

  test('takes no run of a formula that was replaced or switched off', async () => {
    const of = world();
    const late = await run(of, { targetDedicatedNodes: 9 });
    of.ok(enable({ autoScaleFormula: 'x = 1' }));
    expect(of.code(late)).toBe('ConditionNotMet');
    of.ok(disable);
    expect(of.code(late)).toBe('ConditionNotMet');
  });

  test.each([
    [{ targetDedicatedNodes: -1 }],
    [{ targetDedicatedNodes: 1.5 }],
    [{ targetLowPriorityNodes: 100_001 }],
    [{ nodeDeallocationOption: 'explode' as 'requeue' }],
  ])('takes no run with targets out of bounds: %j (S18)', async (targets) => {
    const of = world();
    expect(of.code(await run(of, targets))).toBe('OutOfRangeInput');
  });

  test('is the same after a restart', async () => {
    const of = world({ autoScaleOnChange: true });
    of.ok(await run(of, { targetDedicatedNodes: 2 }));
    expect(viewOf(of.reload())).toEqual(viewOf(of.machine));
  });

  test('takes nothing once it is being deleted', async () => {
    const of = world();
    const late = await run(of, { targetDedicatedNodes: 9 });
    of.ok({ kind: 'pool.delete', pool: 'p' });
    expect(of.code(late)).toBe('PoolBeingDeleted');
    expect(of.code(disable)).toBe('PoolBeingDeleted');
  });
});
