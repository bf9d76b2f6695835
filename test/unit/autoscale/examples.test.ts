/** Formulas of the kinds that Azure Batch's page on automatic scaling teaches, written anew, at work on a pool. */
import { expect, test } from 'vitest';
import { evaluated, NOW_MS, repeated, type Situation } from './evaluating.ts';

function dedicated(formula: string, situation: Situation): number {
  const { error, targets } = evaluated(formula, situation);
  if (error !== undefined) throw error;
  return targets.targetDedicatedNodes;
}

test('as many nodes as tasks wait or run, on average of three minutes', () => {
  const formula = `
    first = 1;
    most = 25;
    known = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
    wanted = known < 70 ? first : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
    $TargetDedicatedNodes = min(most, wanted);
    $NodeDeallocationOption = taskcompletion;`;
  expect(dedicated(formula, { present: { activeTasks: 50 } })).toBe(1);
  const busy = { past: repeated(6, { activeTasks: 8, runningTasks: 2 }), present: { activeTasks: 40 } };
  expect(dedicated(formula, busy)).toBe(15);
  expect(dedicated(formula, { past: repeated(6, { activeTasks: 99 }), present: { activeTasks: 99 } })).toBe(
    25,
  );
});

test('dedicated nodes take the place of preempted ones', () => {
  const formula = `
    most = 25;
    $TargetDedicatedNodes = min(most, $PreemptedNodeCount.GetSample(180 * TimeInterval_Second));
    $TargetLowPriorityNodes = min(most, most - $TargetDedicatedNodes);`;
  const { targets } = evaluated(formula, {
    past: repeated(9, { preemptedNodes: 3 }),
    present: { preemptedNodes: 3 },
  });
  expect(targets).toMatchObject({ targetDedicatedNodes: 3, targetLowPriorityNodes: 22 });
});

test('more nodes in working hours', () => {
  const formula = `
    $now = time() + 2 * TimeInterval_Hour;
    $open = $now.hour >= 8 && $now.hour < 18;
    $weekday = $now.weekday >= 1 && $now.weekday <= 5;
    $TargetDedicatedNodes = $open && $weekday ? 20 : 10;`;
  expect(dedicated(formula, { nowMs: NOW_MS })).toBe(10);
  expect(dedicated(formula, { nowMs: Date.parse('2026-11-23T06:30:00Z') })).toBe(20);
  expect(dedicated(formula, { nowMs: Date.parse('2026-11-23T16:30:00Z') })).toBe(10);
});

test('half of the nodes when nothing is left to do', () => {
  const formula = `
    $share = $PendingTasks.GetSamplePercent(TimeInterval_Minute * 15);
    $last = $PendingTasks.GetSample(1);
    $tasks = $share < 70 ? max(0, $last) : max($last, avg($PendingTasks.GetSample(TimeInterval_Minute * 15)));
    $nodes = $tasks > 0 ? $tasks : max(0, $TargetDedicatedNodes / 2);
    $TargetDedicatedNodes = max(0, min($nodes, 20));`;
  expect(dedicated(formula, { dedicated: 9 })).toBe(4);
  expect(dedicated(formula, { dedicated: 9, present: { activeTasks: 12 } })).toBe(12);
  expect(dedicated(formula, { dedicated: 9, past: repeated(60, { runningTasks: 30 }) })).toBe(20);
});

test('a start of its own for a young pool, and no change as long as too little is known', () => {
  const formula = (since: string) => `
    age = time() - time("${since}");
    span = TimeInterval_Minute * 60;
    startup = TimeInterval_Minute * 10;
    ratio = 50;
    $TargetDedicatedNodes = age > startup
      ? (max($RunningTasks.GetSample(span, ratio), $ActiveTasks.GetSample(span, ratio)) == 0
          ? 0 : $TargetDedicatedNodes)
      : 4;`;
  expect(dedicated(formula('Sat, 21 Nov 2026 11:15:00 GMT'), {})).toBe(4);
  expect(
    evaluated(formula('Sat, 21 Nov 2026 11:00:00 GMT'), { dedicated: 4, past: repeated(30, {}) }).error
      ?.reason,
  ).toBe('Insufficient data from data set: $RunningTasks wanted 50%, received 25%');
  expect(dedicated(formula('Sat, 21 Nov 2026 08:00:00 GMT'), { dedicated: 4, past: repeated(90, {}) })).toBe(
    0,
  );
});

test('a tenth more while all that is there is busy', () => {
  const formula = `
    $busy = min($RunningTasks.GetSample(TimeInterval_Minute * 10)) >= $CurrentDedicatedNodes;
    $TargetDedicatedNodes = min(400, $busy ? $CurrentDedicatedNodes * 1.1 : $CurrentDedicatedNodes);`;
  const full = { currentDedicatedNodes: 20, runningTasks: 20 };
  expect(dedicated(formula, { past: repeated(20, full), present: full })).toBe(22);
  expect(dedicated(formula, { past: repeated(20, full), present: { ...full, runningTasks: 19 } })).toBe(20);
});

test('slots: two single tasks and two that fill a node need three nodes, not the two that counting says', () => {
  const present = { activeTasks: 4, activeTaskSlots: 6, taskSlotsPerNode: 2, nodesForPendingTasks: 3 };
  expect(dedicated('$TargetDedicatedNodes = $PendingTasks / $TaskSlotsPerNode + 0.9', { present })).toBe(2);
  expect(dedicated('$TargetDedicatedNodes = ceil($PendingTaskSlots / $TaskSlotsPerNode)', { present })).toBe(
    3,
  );
  expect(dedicated('$TargetDedicatedNodes = $NodesForPendingTasks', { present })).toBe(3);
});
