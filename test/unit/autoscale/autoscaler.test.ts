import { expect, test } from 'vitest';
import { Autoscaler } from '../../../coordinator/driver/autoscaler.ts';
import type { Clock } from '../../../src/lib/clock.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { Prng } from '../../../src/lib/prng.ts';
import type { MeshCommand } from '../../../src/model/commands.ts';
import type { PoolSpec } from '../../../src/model/pool.ts';
import type { PoolEntity } from '../../../src/model/queries.ts';
import { Scope, VirtualTime } from '../../sim/world/virtual-time.ts';
import { Harness } from '../core/pool-harness.ts';
import { idOf, MeshWorld } from '../mesh-core/world.ts';

const FOLLOW = '$TargetDedicatedNodes = min(10, $PendingTasks); $NodeDeallocationOption = taskcompletion;';
const SILENT = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A pool's group and the mesh group without the machines between them, in virtual time. */
class Scaling {
  readonly mesh = new MeshWorld().init('a');
  readonly pool = new Harness();
  /** Runs that were proposed, and when. */
  readonly runs: { atMs: number; command: MeshCommand }[] = [];
  /** While true, the mesh group has no leader. */
  meshSilent = false;
  readonly #time = new VirtualTime();
  readonly #autoscalers: Autoscaler[] = [];

  constructor(spec: Partial<PoolSpec>) {
    this.#follow();
    this.mesh.ok({
      kind: 'pool.add',
      spec: { id: 'fleet', vmSize: 'machine', enableAutoScale: true, autoScaleFormula: FOLLOW, ...spec },
      voters: [idOf('a')],
    });
    this.pool.job('j');
  }

  get nowMs(): number {
    return this.#time.nowMs;
  }

  #follow(): void {
    this.mesh.timeMs = 1_000_000 + this.#time.nowMs;
    this.pool.timeMs = this.mesh.timeMs;
  }

  /** A machine begins to lead the pool's group; its predecessor may not know yet that it does no more. */
  lead(name: string, skewMs = 0): Autoscaler {
    const scope = new Scope(name);
    const clock: Clock = {
      wallMs: () => 1_000_000 + this.#time.nowMs + skewMs,
      monotonicMs: () => this.#time.nowMs,
      after: (delayMs, fire) => this.#time.after(delayMs, scope, fire),
      soon: (fire) => void this.#time.after(0, scope, fire),
    };
    const autoscaler = new Autoscaler({
      machine: this.pool.machine,
      groupMs: () => Math.max(clock.wallMs(), this.pool.machine.timeMs()),
      clock,
      random: new Prng(1),
      log: SILENT,
      view: () => {
        const record = this.mesh.machine.pool('fleet');
        if (record?.autoScale === undefined) return undefined;
        return {
          pool: record.spec.id,
          settings: record.autoScale,
          run: record.autoScaleRun,
          targetDedicatedNodes: record.targetDedicatedNodes,
          targetLowPriorityNodes: record.targetLowPriorityNodes,
          meshMs: this.mesh.machine.timeMs(),
        };
      },
      proposeToMesh: async (command) => {
        if (this.meshSilent) throw new ShoalError('NoQuorum');
        this.runs.push({ atMs: this.#time.nowMs, command });
        this.#follow();
        const outcome = this.mesh.run(command);
        this.#time.after(0, new Scope('mesh'), () => {
          for (const one of this.#autoscalers) one.wake();
        });
        return outcome;
      },
    });
    this.#autoscalers.push(autoscaler);
    autoscaler.wake();
    return autoscaler;
  }

  addTasks(...ids: string[]): void {
    this.#follow();
    this.pool.add('j', ...ids.map((id) => ({ id })));
    for (const autoscaler of this.#autoscalers) autoscaler.poolMoved();
  }

  change(command: MeshCommand): void {
    this.#follow();
    this.mesh.ok(command);
    for (const autoscaler of this.#autoscalers) autoscaler.wake();
  }

  async pass(durationMs: number): Promise<void> {
    const endMs = this.#time.nowMs + durationMs;
    this.#time.after(durationMs, new Scope('test'), () => undefined);
    await this.#time.run(
      () => this.#time.nowMs >= endMs,
      () => undefined,
    );
    this.#follow();
  }

  get target(): number | undefined {
    return this.mesh.machine.pool('fleet')?.targetDedicatedNodes;
  }

  entity(): Promise<PoolEntity> {
    return this.mesh.query('pool.get', { pool: 'fleet' });
  }
}

test('the first run comes at once, the next ones at each interval', async () => {
  const scaling = new Scaling({ autoScaleEvaluationInterval: 'PT1M' });
  scaling.lead('a');
  await scaling.pass(10_000);
  expect(scaling.runs.map(({ atMs }) => atMs)).toEqual([0]);
  scaling.addTasks('t1', 't2', 't3');
  await scaling.pass(49_000);
  expect(scaling.target).toBe(0);
  await scaling.pass(2_000);
  expect(scaling.target).toBe(3);
  await scaling.pass(180_000);
  expect(scaling.runs.map(({ atMs }) => atMs)).toEqual([0, 60_000, 120_000, 180_000, 240_000]);
});

test('a pool that asks for it is scaled when its tasks change, once a second at most', async () => {
  const scaling = new Scaling({ autoScaleOnChange: true });
  scaling.lead('a');
  await scaling.pass(5_000);
  scaling.addTasks('t1');
  await scaling.pass(0);
  expect(scaling.target).toBe(1);
  for (const id of ['t2', 't3', 't4', 't5']) {
    scaling.addTasks(id);
    await scaling.pass(200);
  }
  expect(scaling.target).toBe(1);
  await scaling.pass(1_000);
  expect(scaling.target).toBe(5);
  expect(scaling.runs.map(({ atMs }) => atMs)).toEqual([0, 5_000, 6_000]);
});

test('a change that alters no target writes nothing', async () => {
  const scaling = new Scaling({ autoScaleOnChange: true });
  scaling.lead('a');
  scaling.addTasks(...Array.from({ length: 12 }, (_, at) => `t${at}`));
  await scaling.pass(2_000);
  const { length } = scaling.runs;
  for (let turn = 0; turn < 20; turn++) {
    scaling.addTasks(`more${turn}`);
    await scaling.pass(2_000);
  }
  expect(scaling.target).toBe(10);
  expect(scaling.runs.length).toBe(length);
});

test('two machines that both believe to lead record one run', async () => {
  const scaling = new Scaling({ autoScaleEvaluationInterval: 'PT1M' });
  scaling.lead('a');
  scaling.lead('b');
  await scaling.pass(200_000);
  const { autoScale } = await scaling.entity();
  expect(autoScale?.runs).toBe(4);
});

test('a new coordinator goes on with the schedule of the old one', async () => {
  const scaling = new Scaling({ autoScaleEvaluationInterval: 'PT1M' });
  scaling.lead('a').stop();
  await scaling.pass(45_000);
  scaling.lead('b');
  await scaling.pass(30_000);
  expect(scaling.runs.map(({ atMs }) => atMs)).toEqual([0, 60_000]);
});

test('a pool that shrinks names the nodes that run nothing', async () => {
  const scaling = new Scaling({ autoScaleOnChange: true });
  const node = (number: number) => ({ node: `tvm-0000000${number}` });
  scaling.pool.pool({}, [node(1), node(2), node(3)]);
  scaling.lead('a');
  scaling.addTasks('t1', 't2');
  scaling.pool.schedule();
  expect(scaling.pool.machine.idleNodes()).toEqual(['tvm-00000003']);
  await scaling.pass(2_000);
  expect(scaling.runs.at(-1)?.command).not.toHaveProperty('idleNodes');
  scaling.pool.start('tvm-00000001', 1);
  scaling.pool.end('tvm-00000001', 1);
  scaling.addTasks();
  await scaling.pass(2_000);
  expect(scaling.runs.at(-1)?.command).toMatchObject({
    targets: { targetDedicatedNodes: 1 },
    idleNodes: ['tvm-00000001', 'tvm-00000003'],
  });
});

test.each([-600_000, -3_000, 3_000, 600_000])(
  'a coordinator whose clock is %i ms off keeps the interval',
  async (skewMs) => {
    const scaling = new Scaling({ autoScaleEvaluationInterval: 'PT5S' });
    scaling.lead('a', skewMs);
    await scaling.pass(21_000);
    expect(scaling.runs.map(({ atMs }) => atMs)).toEqual([0, 5_000, 10_000, 15_000, 20_000]);
    expect(scaling.mesh.timeMs).toBe(1_021_000);
  },
);

test('while the mesh group has no leader, the run waits and is recorded later', async () => {
  const scaling = new Scaling({});
  scaling.meshSilent = true;
  scaling.addTasks('t1');
  scaling.lead('a');
  await scaling.pass(10_000);
  expect(scaling.target).toBe(0);
  scaling.meshSilent = false;
  await scaling.pass(2_000);
  expect(scaling.target).toBe(1);
});

test('new settings are evaluated at once, and begin a schedule of their own', async () => {
  const scaling = new Scaling({ autoScaleEvaluationInterval: 'PT1M' });
  scaling.lead('a');
  await scaling.pass(45_000);
  scaling.change({
    kind: 'pool.enableAutoScale',
    pool: 'fleet',
    change: { autoScaleFormula: '$TargetDedicatedNodes = 7' },
  });
  await scaling.pass(0);
  expect(scaling.target).toBe(7);
  await scaling.pass(70_000);
  expect(scaling.runs.map(({ atMs }) => atMs)).toEqual([0, 45_000, 105_000]);
});

test('a formula that fails changes nothing and says why; the next interval tries again', async () => {
  const scaling = new Scaling({
    autoScaleEvaluationInterval: 'PT1M',
    autoScaleFormula: '$TargetDedicatedNodes = 6 / $PendingTasks',
  });
  scaling.lead('a');
  await scaling.pass(1_000);
  expect((await scaling.entity()).autoScaleRun?.error).toBe('Line 1, Col 25: Division by zero');
  expect(scaling.target).toBe(0);
  scaling.addTasks('t1', 't2');
  await scaling.pass(60_000);
  expect(scaling.target).toBe(3);
  expect((await scaling.entity()).autoScaleRun?.error).toBeUndefined();
});

test('a pool that is sized by hand again is left alone', async () => {
  const scaling = new Scaling({ autoScaleOnChange: true, autoScaleEvaluationInterval: 'PT5S' });
  scaling.lead('a');
  await scaling.pass(1_000);
  scaling.change({ kind: 'pool.disableAutoScale', pool: 'fleet' });
  const { length } = scaling.runs;
  scaling.addTasks('t1', 't2');
  await scaling.pass(60_000);
  expect(scaling.runs.length).toBe(length);
  expect(scaling.target).toBe(0);
});
