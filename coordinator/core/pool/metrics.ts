/** What automatic scaling counts of a pool, its samples, and the evaluation of a formula on them. */

import { ShoalError } from '../../../src/lib/errors.ts';
import { AUTOSCALE_SAMPLES_KEPT } from '../../../src/lib/limits.ts';
import type { AutoScaleEvaluation, AutoScaleQuestion } from '../../../src/model/autoscale.ts';
import { parseVmSize } from '../../../src/model/vm-size.ts';
import { evaluateFormula } from '../../autoscale/evaluate.ts';
import { nodesFor } from '../../autoscale/nodes-for.ts';
import { type SampleRun, SampleView, sampleOf } from '../../autoscale/samples.ts';
import type { Sample } from '../../autoscale/variables.ts';
import type { Job } from './job-record.ts';
import { type SampleRow, sampleRowKey } from './rows.ts';
import { Flag } from './task-table.ts';
import type { PoolState, Turn } from './turn.ts';

/** Call before anything changes: until the time of this entry all was as the entry before left it. */
export function takeSample(turn: Turn, beforeMs: number): void {
  const { state } = turn;
  const run = state.samples.advance(beforeMs, turn.nowMs, () => measure(state));
  if (run === undefined) return;
  const row: SampleRow = [run.sequence, run.first, run.last, run.sample];
  // Runs that are kept have consecutive numbers, and there are no more of them than slots.
  turn.put(sampleRowKey(run.sequence % AUTOSCALE_SAMPLES_KEPT), row);
}

export function runOfRow([sequence, first, last, sample]: SampleRow): SampleRun {
  return { sequence, first, last, sample };
}

export function measure(state: PoolState): Sample {
  const slotsPerNode = slotsPerNodeOf(state);
  return sampleOf({
    ...countTasks(state, slotsPerNode),
    ...countNodes(state),
    taskSlotsPerNode: slotsPerNode,
  });
}

function countTasks(state: PoolState, slotsPerNode: number) {
  const counts = {
    activeTasks: 0,
    runningTasks: 0,
    succeededTasks: 0,
    failedTasks: 0,
    activeTaskSlots: 0,
    runningTaskSlots: 0,
  };
  /** By slots, those that may run at the same time. */
  const pending = new Map<number, number>();
  const need = (slots: number, tasks: number): void => {
    pending.set(slots, (pending.get(slots) ?? 0) + tasks);
  };
  for (const job of state.jobs.values()) {
    counts.succeededTasks += job.counts.succeeded;
    counts.failedTasks += job.counts.failed;
    // The ready tasks of a job that is disabled or has ended wait for no node.
    if (job.state === 'active') {
      let parallelLeft = Math.max(0, job.parallelLeft);
      for (const { slots, ready } of job.ready.inOrder()) {
        counts.activeTasks += ready;
        counts.activeTaskSlots += slots * ready;
        need(slots, Math.min(ready, parallelLeft));
        parallelLeft = Math.max(0, parallelLeft - ready);
      }
    }
    for (const { slots, active } of executionsOf(job)) {
      counts[active ? 'activeTasks' : 'runningTasks'] += 1;
      counts[active ? 'activeTaskSlots' : 'runningTaskSlots'] += slots;
      need(slots, 1);
    }
  }
  return { ...counts, nodesForPendingTasks: nodesFor(pending, slotsPerNode) };
}

/** A task that is assigned ahead of a free slot is still active: it waits, if on a node. */
function* executionsOf(job: Job): Iterable<{ readonly slots: number; readonly active: boolean }> {
  for (const task of job.live) {
    if (job.table.flag(task, Flag.ghost)) continue;
    yield { slots: job.slotsOf(task), active: job.table.isActive(task) };
  }
}

function countNodes(state: PoolState) {
  const counts = { currentDedicatedNodes: 0, currentLowPriorityNodes: 0, preemptedNodes: 0, usableNodes: 0 };
  for (const node of state.nodes.all()) {
    const preempted = node.leaving?.reason === 'preempted';
    if (preempted) counts.preemptedNodes += 1;
    if (node.open) counts.usableNodes += 1;
    // Azure counts a preempted node on; one that leaves for another reason is as good as gone.
    if (node.leaving !== undefined && !preempted) continue;
    if (node.dedicated) counts.currentDedicatedNodes += 1;
    else counts.currentLowPriorityNodes += 1;
  }
  return counts;
}

/** Where nodes differ (slots from cores), of an average node, rounded down. */
function slotsPerNodeOf(state: PoolState): number {
  const spec = state.pool?.pool.spec;
  if (spec?.slotsFromCores !== true) return spec?.taskSlotsPerNode ?? 1;
  const slots = [...state.nodes.all()].map((node) => node.slots);
  if (slots.length > 0) return Math.floor(slots.reduce((sum, one) => sum + one, 0) / slots.length);
  const size = parseVmSize(spec.vmSize);
  return size?.kind === 'size' ? size.cores : 1;
}

export function evaluateAutoScale(state: PoolState, question: AutoScaleQuestion): AutoScaleEvaluation {
  const nowMs = Math.max(question.nowMs, state.timeMs);
  const samples = new SampleView(state.samples, {
    stateMs: state.timeMs,
    nowMs,
    present: measure(state),
    loads: state.loads.settled(nowMs),
  });
  const { targets, results, statements, error } = evaluateFormula(question.formula, {
    ...question,
    nowMs,
    samples,
  });
  return {
    timestampMs: nowMs,
    targets,
    results,
    statements,
    ...(error === undefined ? {} : { error: error.message }),
  };
}

/** It came over the wire. */
export function checkedQuestion(question: AutoScaleQuestion): AutoScaleQuestion {
  const { formula, nowMs, seed, targetDedicatedNodes, targetLowPriorityNodes } = question;
  const numbers = [nowMs, seed, targetDedicatedNodes, targetLowPriorityNodes];
  if (typeof formula !== 'string' || !numbers.every(Number.isSafeInteger))
    throw new ShoalError('InvalidArgument', 'The question about a formula has the wrong shape.');
  return { formula, nowMs, seed, targetDedicatedNodes, targetLowPriorityNodes };
}
