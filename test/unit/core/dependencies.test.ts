import { describe, expect, test } from 'vitest';
import { RangeIndex } from '../../../coordinator/core/pool/ranges.ts';
import { taskRowKey, unpack } from '../../../coordinator/core/pool/rows.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import { fc } from '../../support/properties.ts';
import { type Harness, withNodes } from './pool-harness.ts';

function withDependencies(nodes = 4): Harness {
  return withNodes(nodes, 1, { usesTaskDependencies: true });
}

/** Ids of the tasks that placement would take, in its order. */
function runnable(h: Harness): string[] {
  return h.place().map(({ task }) => idOf(h, task));
}

function run(h: Harness, id: string, exitCode = 0): void {
  const placed = h.place().find(({ task }) => idOf(h, task) === id);
  if (placed === undefined) throw new Error(`${id} cannot run`);
  h.ok({ kind: 'assign', items: [placed] });
  h.end(placed.node, placed.task, { exitCode });
}

function idOf(h: Harness, task: number): string {
  return (unpack(h.store.rows.get(taskRowKey(1, task)) ?? new Uint8Array()) as TaskSpec).id;
}

const afterIds = (...taskIds: string[]): Partial<TaskSpec> => ({ dependsOn: { taskIds } });
const afterRange = (start: number, end: number): Partial<TaskSpec> => ({
  dependsOn: { taskIdRanges: [{ start, end }] },
});

describe('a task that depends on others', () => {
  test('runs when the last of them has succeeded', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a' }, { id: 'b' }, { id: 'c', ...afterIds('A', 'b', 'a') });
    expect(runnable(h)).toEqual(['a', 'b']);
    run(h, 'a');
    expect(runnable(h)).toEqual(['b']);
    h.restart();
    expect(runnable(h)).toEqual(['b']);
    run(h, 'b');
    expect(runnable(h)).toEqual(['c']);
  });

  test('may be added before them', async () => {
    const h = withDependencies();
    h.add('j', { id: 'c', ...afterIds('a') });
    expect((await h.explain('j', 'c')).reasons).toMatchObject([
      { rule: 'dependencies', detail: 'It waits for task a (not added).' },
    ]);
    h.add('j', { id: 'a' });
    run(h, 'a');
    expect(runnable(h)).toEqual(['c']);
  });

  test('may be added after they are done', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a' });
    run(h, 'a');
    h.add('j', { id: 'c', ...afterIds('a') });
    expect(runnable(h)).toEqual(['c']);
  });

  test('waits for ever for one that failed, and says for whom', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a' }, { id: 'c', ...afterIds('a') });
    run(h, 'a', 1);
    h.sweep();
    expect(runnable(h)).toEqual([]);
    expect((await h.explain('j', 'c')).reasons[0]?.detail).toBe(
      'It waits for task a (failed, and blocks its dependents).',
    );
  });

  test('runs after a failure whose exit condition satisfies', async () => {
    const h = withDependencies();
    h.add(
      'j',
      { id: 'a', exitConditions: { exitCodes: [{ code: 3, exitOptions: { dependencyAction: 'satisfy' } }] } },
      { id: 'c', ...afterIds('a') },
    );
    run(h, 'a', 3);
    expect(runnable(h)).toEqual(['c']);
  });

  test('does not run while a retry of the failure is due', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a', constraints: { maxTaskRetryCount: 1 } }, { id: 'c', ...afterIds('a') });
    run(h, 'a', 1);
    expect(runnable(h)).toEqual(['a']);
    run(h, 'a', 0);
    expect(runnable(h)).toEqual(['c']);
  });

  test('waits anew when one of them is reactivated', async () => {
    const h = withDependencies();
    h.add(
      'j',
      { id: 'a', exitConditions: { default: { dependencyAction: 'satisfy' } } },
      { id: 'c', ...afterIds('a') },
    );
    run(h, 'a', 1);
    h.ok({ kind: 'task.reactivate', job: 'j', task: 'a' });
    expect(runnable(h)).toEqual(['a']);
    h.restart();
    expect(runnable(h)).toEqual(['a']);
    run(h, 'a', 0);
    expect(runnable(h)).toEqual(['c']);
  });

  test('is not held back by the deletion of one that had succeeded', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a' }, { id: 'b' }, { id: 'c', ...afterIds('a', 'b') });
    run(h, 'a');
    h.ok({ kind: 'task.delete', job: 'j', task: 'a' });
    h.restart();
    run(h, 'b');
    expect(runnable(h)).toEqual(['c']);
  });

  test('waits for one that is deleted and added again', async () => {
    // Azure/Batch#129: there both run side by side.
    const h = withDependencies();
    h.add('j', { id: 'a' }, { id: 'c', ...afterIds('a') });
    run(h, 'a');
    run(h, 'c');
    for (const task of ['a', 'c']) h.ok({ kind: 'task.delete', job: 'j', task });
    h.add('j', { id: 'a' }, { id: 'c', ...afterIds('a') });
    expect(runnable(h)).toEqual(['a']);
    h.restart();
    expect(runnable(h)).toEqual(['a']);
    run(h, 'a');
    expect(runnable(h)).toEqual(['c']);
  });

  test('that was assigned is left alone when one of them is added again', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a' }, { id: 'c', ...afterIds('a') });
    run(h, 'a');
    h.schedule();
    h.ok({ kind: 'task.delete', job: 'j', task: 'a' });
    h.add('j', { id: 'a' });
    h.end('n1', 2);
    expect((await h.getTask('j', 'c')).state).toBe('completed');
  });

  test('a job that does not use dependencies ignores an empty list', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a', dependsOn: {} });
    expect(runnable(h)).toEqual(['a']);
  });
});

describe('a range of ids', () => {
  test('holds when every integer in it has a task that succeeded', async () => {
    const h = withDependencies();
    h.add('j', { id: 'sum', ...afterRange(1, 3) }, { id: '1' }, { id: '02' }, { id: 'x3' });
    run(h, '1');
    run(h, '02');
    run(h, 'x3');
    expect(runnable(h)).toEqual([]);
    expect((await h.explain('j', 'sum')).reasons[0]?.detail).toBe(
      'It waits for tasks 1 to 3 (3 is the first that does not hold).',
    );
    h.add('j', { id: '003' });
    h.restart();
    run(h, '003');
    expect(runnable(h)).toEqual(['sum']);
  });

  test('asks all tasks whose ids are the same integer', async () => {
    const h = withDependencies();
    h.add('j', { id: '4' }, { id: '04' }, { id: 'sum', ...afterRange(4, 4) });
    run(h, '4');
    expect(runnable(h)).toEqual(['04']);
    run(h, '04');
    expect(runnable(h)).toEqual(['sum']);
  });

  test('added late counts what is done, also over many ids', async () => {
    const h = withDependencies(1);
    const ids = Array.from({ length: 3_000 }, (_, n) => ({ id: String(n), commandLine: 'x' }));
    h.ok({
      kind: 'task.add',
      job: 'j',
      tasks: ids.map((task) => ({
        ...task,
        exitConditions: { default: { dependencyAction: 'satisfy' as const } },
      })),
    });
    // One entry for all: the whole state is checked after each.
    h.apply(
      ...ids.slice(0, 2_999).map(({ id }) => ({ kind: 'task.terminate' as const, job: 'j', task: id })),
    );
    h.add(
      'j',
      { id: 'part', ...afterRange(500, 2_900) },
      { id: 'all', ...afterRange(0, 2_999) },
      { id: 'wide', ...afterRange(0, 2_147_483_647) },
    );
    expect(runnable(h)).toEqual(['2999']);
    expect(h.place()).toHaveLength(1);
    h.ok({ kind: 'task.terminate', job: 'j', task: '2999' });
    const { reasons } = await h.explain('j', 'part');
    expect(reasons.map(({ rule }) => rule)).not.toContain('dependencies');
    expect((await h.explain('j', 'all')).reasons.map(({ rule }) => rule)).not.toContain('dependencies');
    expect((await h.explain('j', 'wide')).reasons[0]?.detail).toContain('(3000 is the first');
  });

  test('the index of ranges finds exactly those that hold an integer', () => {
    const range = fc
      .tuple(fc.nat({ max: 2 ** 31 - 1 }), fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 2 ** 31 - 1 })))
      .map(([start, length]) => [start, Math.min(2 ** 31 - 1, start + length)] as const);
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 20 }),
        fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 20 }),
        (ranges, probes) => {
          const index = new RangeIndex<number>();
          for (const [position, [start, end]] of ranges.entries()) index.add(start, end, position);
          for (const probe of [...probes, ...ranges.flat()]) {
            const expected = ranges.flatMap(([start, end], position) =>
              start <= probe && probe <= end ? [position] : [],
            );
            expect([...index.holding(probe)].sort((a, b) => a - b)).toEqual(expected);
          }
        },
      ),
    );
  });
});

describe('the dependency action cancel', () => {
  const cancels: Partial<TaskSpec> = { exitConditions: { default: { dependencyAction: 'cancel' } } };

  test('completes dependents, and theirs in turn, with a failure that says so', async () => {
    const h = withDependencies();
    h.add(
      'j',
      { id: 'a', ...cancels },
      { id: 'b', ...afterIds('a') },
      { id: 'c', ...afterIds('b') },
      { id: '7', ...afterIds('c') },
      { id: 'd', ...afterRange(7, 7) },
      { id: 'free' },
    );
    run(h, 'a', 1);
    expect(h.machine.dueAtMs()).toBe(h.timeMs);
    h.restart();
    expect(h.machine.dueAtMs()).toBe(h.timeMs);
    h.sweep(1);
    expect(await h.states('j')).toEqual({
      a: 'completed',
      b: 'completed',
      c: 'completed',
      '7': 'completed',
      d: 'completed',
      free: 'active',
    });
    expect(await h.getTask('j', 'd')).toMatchObject({
      result: 'failure',
      failure: { category: 'usererror', code: 'DependencyFailed' },
    });
    expect(h.machine.dueAtMs()).toBeUndefined();
  });

  test('also reaches a task that is added later', async () => {
    const h = withDependencies();
    h.add('j', { id: '1', ...cancels });
    run(h, '1', 1);
    h.add('j', { id: 'b', ...afterIds('1') }, { id: 'c', ...afterRange(0, 5) });
    h.sweep();
    expect(await h.states('j')).toMatchObject({ b: 'completed', c: 'completed' });
  });

  test('lets a job end that waits for all its tasks', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a', ...cancels }, { id: 'b', ...afterIds('a') });
    h.ok({ kind: 'job.patch', job: 'j', patch: { onAllTasksComplete: 'terminatejob' } });
    run(h, 'a', 1);
    expect((await h.getJob('j')).state).toBe('active');
    h.sweep();
    expect((await h.getJob('j')).state).toBe('completed');
  });

  test('is taken back while it has not reached a dependent', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a', ...cancels }, { id: 'b', ...afterIds('a') });
    run(h, 'a', 1);
    h.ok({ kind: 'task.reactivate', job: 'j', task: 'a' });
    h.sweep();
    run(h, 'a', 0);
    expect(runnable(h)).toEqual(['b']);
  });

  test('a cancelled task that is reactivated is cancelled again as long as its parent is', async () => {
    const h = withDependencies();
    h.add('j', { id: 'a', ...cancels }, { id: 'b', ...afterIds('a') });
    run(h, 'a', 1);
    h.sweep();
    h.ok({ kind: 'task.reactivate', job: 'j', task: 'b' });
    h.sweep();
    expect((await h.getTask('j', 'b')).state).toBe('completed');
    h.ok({ kind: 'task.reactivate', job: 'j', task: 'a' });
    h.ok({ kind: 'task.reactivate', job: 'j', task: 'b' });
    h.sweep();
    run(h, 'a', 0);
    run(h, 'b', 0);
  });
});
