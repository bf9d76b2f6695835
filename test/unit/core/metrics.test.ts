import { expect, test } from 'vitest';
import type { AutoScaleEvaluation } from '../../../src/model/autoscale.ts';
import { Harness, withNodes } from './pool-harness.ts';

function evaluated(harness: Harness, formula: string): AutoScaleEvaluation {
  return harness.machine.evaluateAutoScale({
    formula,
    nowMs: harness.timeMs,
    seed: 1,
    targetDedicatedNodes: 0,
    targetLowPriorityNodes: 0,
  });
}

/** The variable's newest sample. */
function metric(harness: Harness, variable: string): number {
  const { error, statements } = evaluated(harness, `x = ${variable}`);
  if (error !== undefined) throw new Error(error);
  return Number(statements[0]?.value);
}

function metrics(harness: Harness, ...variables: string[]): number[] {
  return variables.map((variable) => metric(harness, variable));
}

const TASKS = ['$ActiveTasks', '$RunningTasks', '$PendingTasks', '$SucceededTasks', '$FailedTasks'];

test('tasks are counted as they go from ready to their end', () => {
  const harness = withNodes(1);
  expect(metrics(harness, ...TASKS)).toEqual([0, 0, 0, 0, 0]);
  harness.add('j', { id: 'a' }, { id: 'b' }, { id: 'c' });
  expect(metrics(harness, ...TASKS)).toEqual([3, 0, 3, 0, 0]);
  harness.schedule(1);
  expect(metrics(harness, ...TASKS)).toEqual([3, 0, 3, 0, 0]);
  harness.start('n1', 1);
  expect(metrics(harness, ...TASKS)).toEqual([2, 1, 3, 0, 0]);
  harness.end('n1', 1);
  harness.schedule(1);
  harness.start('n1', 2);
  harness.end('n1', 2, { exitCode: 1 });
  expect(metrics(harness, ...TASKS)).toEqual([1, 0, 1, 1, 1]);
});

test('a task that waits for others is not active yet', () => {
  const harness = withNodes(1, 1, { usesTaskDependencies: true });
  harness.add('j', { id: 'a' }, { id: 'b', dependsOn: { taskIds: ['a'] } });
  expect(metric(harness, '$ActiveTasks')).toBe(1);
});

test('tasks of a disabled or terminated job wait for no node', () => {
  const harness = withNodes(0);
  harness.add('j', { id: 'a' });
  harness.job('k');
  harness.add('k', { id: 'a' }, { id: 'b' });
  expect(metric(harness, '$PendingTasks')).toBe(3);
  harness.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
  expect(metric(harness, '$PendingTasks')).toBe(2);
  harness.ok({ kind: 'job.enable', job: 'j' });
  harness.ok({ kind: 'job.terminate', job: 'k', reason: 'x' });
  expect(metric(harness, '$PendingTasks')).toBe(1);
});

test('slots are counted beside tasks, and nodes for those that share none', () => {
  const harness = withNodes(1, 4);
  harness.add(
    'j',
    { id: 'a', requiredSlots: 3 },
    { id: 'b', requiredSlots: 3 },
    { id: 'c' },
    { id: 'd', requiredSlots: 3 },
  );
  expect(metrics(harness, '$ActiveTaskSlots', '$RunningTaskSlots', '$PendingTaskSlots')).toEqual([10, 0, 10]);
  expect(metrics(harness, '$TaskSlotsPerNode', '$NodesForPendingTasks')).toEqual([4, 3]);
  harness.schedule(1);
  harness.start('n1', 1);
  expect(metrics(harness, '$ActiveTaskSlots', '$RunningTaskSlots', '$NodesForPendingTasks')).toEqual([
    7, 3, 3,
  ]);
});

test('a job that may run two tasks at a time needs nodes for two', () => {
  const harness = withNodes(0, 1, { maxParallelTasks: 2 });
  harness.add('j', { id: 'a' }, { id: 'b' }, { id: 'c' });
  expect(metrics(harness, '$PendingTasks', '$NodesForPendingTasks')).toEqual([3, 2]);
});

test('of tasks of several sizes the oldest count, whichever size a replica came to know first', () => {
  const harness = withNodes(0, 4, { maxParallelTasks: 3 });
  harness.pool({ taskSlotsPerNode: 4 }, []);
  harness.add('j', { id: 'gone', requiredSlots: 4 }, { id: 'a' }, { id: 'b' }, { id: 'c' });
  harness.add('j', { id: 'd', requiredSlots: 4 }, { id: 'e', requiredSlots: 4 });
  harness.ok({ kind: 'task.delete', job: 'j', task: 'gone' });
  expect(metric(harness, '$NodesForPendingTasks')).toBe(1);
  harness.restart();
  expect(metric(harness, '$NodesForPendingTasks')).toBe(1);
});

test('nodes are counted by what they are, and whether they can be used', () => {
  const harness = new Harness();
  const nodes = [
    '$CurrentDedicatedNodes',
    '$CurrentLowPriorityNodes',
    '$PreemptedNodeCount',
    '$UsableNodeCount',
  ];
  const leaving = (reason: 'resize' | 'preempted') => ({ leaving: { option: 'requeue' as const, reason } });
  harness.pool({}, [
    { node: 'd1' },
    { node: 'd2', ...leaving('resize') },
    { node: 'l1', dedicated: false },
    { node: 'l2', dedicated: false, ...leaving('preempted') },
  ]);
  expect(metrics(harness, ...nodes)).toEqual([1, 2, 1, 2]);
  harness.ok({ kind: 'node.lost', node: 'd1' });
  expect(metrics(harness, ...nodes)).toEqual([1, 2, 1, 1]);
});

test('slots of a node: of the pool, of its nodes, or of their size', () => {
  const harness = new Harness();
  expect(metric(harness, '$TaskSlotsPerNode')).toBe(1);
  harness.pool({ slotsFromCores: true, vmSize: 'shoal.8c16g' }, []);
  expect(metric(harness, '$TaskSlotsPerNode')).toBe(8);
  harness.pool({ slotsFromCores: true }, [
    { node: 'n1', slots: 4 },
    { node: 'n2', slots: 9 },
  ]);
  expect(metric(harness, '$TaskSlotsPerNode')).toBe(6);
});

test('a quiet group has samples of every moment, without an entry for any', () => {
  const harness = withNodes(1);
  harness.add('j', { id: 'a' });
  const { index } = harness;
  harness.tick(300_000);
  const { statements } = evaluated(harness, 'x = $ActiveTasks.GetSample(TimeInterval_Minute * 5)');
  expect(statements[0]?.value).toBe(`[${Array(10).fill(1).join(',')}]`);
  expect(harness.index).toBe(index);
  expect([...harness.store.rows.keys()].filter((key) => key.startsWith('v/'))).toEqual([]);
});

test('samples survive a restart, those of moments before it too', () => {
  const harness = withNodes(1);
  harness.add('j', { id: 'a' });
  harness.tick(60_000);
  harness.add('j', { id: 'b' });
  harness.tick(60_000);
  harness.add('j', { id: 'c' });
  harness.tick(1_000);
  const formula = 'x = $ActiveTasks.GetSample(5); y = $ActiveTasks.HistoryBeginTime()';
  const before = evaluated(harness, formula);
  expect(before.statements[0]?.value).toBe('[1,1,2,2,3]');
  harness.restart();
  expect(evaluated(harness, formula)).toEqual(before);
});

test('rows of samples stay bounded', () => {
  const harness = withNodes(1);
  for (let turn = 0; turn < 600; turn++) {
    harness.add('j', { id: `t${turn}` });
    harness.tick(30_000);
  }
  const rows = [...harness.store.rows.keys()].filter((key) => key.startsWith('v/'));
  expect(rows.length).toBe(480);
  const before = evaluated(harness, 'x = $ActiveTasks.Count()');
  harness.restart();
  expect(evaluated(harness, 'x = $ActiveTasks.Count()')).toEqual(before);
});

test('a question of the wrong shape is refused', async () => {
  const harness = withNodes(1);
  const question = {
    formula: 'x = 1',
    nowMs: 1,
    seed: 1,
    targetDedicatedNodes: 0,
    targetLowPriorityNodes: 0,
  };
  expect(await harness.query('pool.evaluateAutoScale', question)).toMatchObject({
    timestampMs: harness.timeMs,
  });
  for (const wrong of [{ formula: 5 }, { nowMs: Number.NaN }, { seed: '1' }, { targetDedicatedNodes: 1.5 }])
    await expect(
      harness.query('pool.evaluateAutoScale', { ...question, ...wrong } as never),
    ).rejects.toMatchObject({ code: 'InvalidArgument' });
});
