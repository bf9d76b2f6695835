/**
 * The life of one execution on the books: begun, started, wished to end, ended. Nothing here says what becomes of the
 * task afterwards; see transition.ts.
 */
import { invariant } from '../../../src/lib/assert.ts';
import type { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { changeState, writeRuntime } from './runtime.ts';
import { Flag, Intent } from './task-table.ts';
import type { Turn } from './turn.ts';

/** The task is assigned: it stays `active`, with an epoch, until its node says that it started. */
export function beginExecution(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  const { table } = job;
  invariant(table.flag(task, Flag.ready), `task ${job.number}/${task} is assigned but not ready`);
  invariant(turn.index > table.epoch(task), `epoch of task ${job.number}/${task} does not grow`);
  table.setExecution(task, turn.index, node.index);
  table.setFlag(task, Flag.live, true);
  job.live.add(task);
  job.refresh(task);
  node.add(job.number, task, turn.index, job.slotsOf(task));
  turn.touchNode(node);
  writeRuntime(turn, job, task);
  turn.effect({ kind: 'dispatch', node: node.id, job: job.number, task, epoch: turn.index });
}

/** Its node says that it started. */
export function startExecution(turn: Turn, job: Job, task: number, startedAtMs: number): void {
  const { table } = job;
  // A deleted task keeps its state: it is counted nowhere any more.
  if (!table.isActive(task) || table.flag(task, Flag.ghost)) return;
  job.startedAtMs.set(task, startedAtMs);
  const node = turn.state.nodes.at(table.node(task));
  if (node !== undefined) countRunning(turn, node, job.slotsOf(task), 1);
  changeState(turn, job, task, 'running');
  writeRuntime(turn, job, task);
}

function countRunning(turn: Turn, node: NodeRecord, slots: number, sign: 1 | -1): void {
  node.runningTasks += sign;
  node.runningSlots += sign * slots;
  turn.touchNode(node);
}

/** Wishes an end for a live execution. Nothing else changes until that end is known. */
export function stopExecution(turn: Turn, job: Job, task: number, intent: number): void {
  const { table } = job;
  const before = table.intent(task);
  if (before >= intent) return;
  const node = turn.state.nodes.at(table.node(task));
  if (before === Intent.none && node !== undefined) node.stops += 1;
  table.setIntent(task, intent);
  writeRuntime(turn, job, task);
  if (node !== undefined)
    turn.effect({ kind: 'stop', node: node.id, job: job.number, task, epoch: table.epoch(task) });
}

/** The end of a live execution is known: takes it off the books. The caller then says what becomes of the task. */
export function endExecution(turn: Turn, job: Job, task: number): void {
  const { table } = job;
  const node = turn.state.nodes.at(table.node(task));
  invariant(
    node !== undefined && table.flag(task, Flag.live),
    `execution of task ${job.number}/${task} is not on the books`,
  );
  const slots = job.slotsOf(task);
  node.remove(job.number, task, table.epoch(task), slots);
  if (table.intent(task) !== Intent.none) node.stops -= 1;
  if (table.state(task) === 'running') countRunning(turn, node, slots, -1);
  turn.touchNode(node);
  table.setFlag(task, Flag.live, false);
  table.setIntent(task, Intent.none);
  job.live.delete(task);
  turn.state.offer(job);
}
