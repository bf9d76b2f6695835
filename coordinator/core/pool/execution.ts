/**
 * The life of one execution on the books: begun, started, wished to end, ended. Nothing here says what becomes of the
 * task afterwards; see transition.ts.
 */
import { invariant } from '../../../src/lib/assert.ts';
import type { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { ascending, packTask } from './numbers.ts';
import { changeState, writeRuntime } from './runtime.ts';
import { Flag, Intent, outranks } from './task-table.ts';
import type { Turn } from './turn.ts';

/**
 * The task is assigned: it stays `active`, with an epoch, until its node says that it started. Where the node must be
 * prepared for the job first, the task has its place there and is held (`preparing`): its agent learns of it later.
 */
export function beginExecution(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  const { table } = job;
  invariant(table.flag(task, Flag.ready), `task ${job.number}/${task} is assigned but not ready`);
  enterBooks(turn, job, task, node);
  job.live.add(task);
  job.refresh(task);
  if (mustWait(job, task, node)) {
    job.nodeTasks.hold(node.index, task);
    changeState(turn, job, task, 'preparing');
  } else send(turn, job, task, node);
  writeRuntime(turn, job, task);
}

/** The node must run the job's preparation task with success before any of its tasks. */
export function isUnprepared(job: Job, node: NodeRecord): boolean {
  if (!job.waitsForPreparation) return false;
  const preparation = job.nodeTasks.of('preparation', node);
  return preparation === undefined || !job.table.flag(preparation, Flag.succeeded);
}

/** Whether a task that has its place on the node is kept from its agent: see gang.ts for those of several nodes. */
export function mustWait(job: Job, task: number, node: NodeRecord): boolean {
  return (
    isUnprepared(job, node) ||
    (job.gangs.has(task) && !job.nodeTasks.subtasksOf(task).every((one) => isCoordinated(job, one)))
  );
}

/** A subtask whose coordination command succeeded: it keeps its node, and what it started there, for its task. */
export function isCoordinated({ table }: Job, task: number): boolean {
  return table.flag(task, Flag.live) && table.flag(task, Flag.succeeded);
}

/** A subtask gets its place with that of its task. */
export function beginSubtask(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  enterBooks(turn, job, task, node);
  job.nodeTasks.live.add(task);
  node.ownExecutions += 1;
  node.gangs += 1;
  if (isUnprepared(job, node)) {
    job.nodeTasks.hold(node.index, task);
    changeState(turn, job, task, 'preparing');
  } else send(turn, job, task, node);
  writeRuntime(turn, job, task);
}

/** A task of a node begins there; it was never placed. */
export function beginNodeTask(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  enterBooks(turn, job, task, node);
  job.nodeTasks.live.add(task);
  node.ownExecutions += 1;
  send(turn, job, task, node);
  writeRuntime(turn, job, task);
}

function enterBooks(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  const { table } = job;
  invariant(turn.index > table.epoch(task), `epoch of task ${job.number}/${task} does not grow`);
  table.setExecution(task, turn.index, node.index);
  table.setFlag(task, Flag.live, true);
  node.add(job.number, task, job.slotsOf(task));
  turn.touchNode(node);
}

function send(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  const epoch = job.table.epoch(task);
  const effect = { kind: 'dispatch', node: node.id, job: job.number, task, epoch } as const;
  node.sent(effect);
  turn.effect(effect);
}

/**
 * The node is prepared for the job: what was held for that goes to its agent. The execution begins only now, so its
 * epoch is that of this entry; an agent takes older ones for past, and drops them after a comparison with a list of
 * the meantime.
 */
export function sendHeld(turn: Turn, job: Job, node: NodeRecord): void {
  for (const task of ascending(job.nodeTasks.heldOn(node.index))) {
    // About to be settled: see stopExecution.
    if (job.table.intent(task) !== Intent.none || mustWait(job, task, node)) continue;
    job.nodeTasks.letGo(node.index, task);
    job.table.setExecution(task, turn.index, node.index);
    send(turn, job, task, node);
    writeRuntime(turn, job, task);
  }
  turn.touchNode(node);
}

/** Its node says that it started. */
export function startExecution(turn: Turn, job: Job, task: number, startedAtMs: number): void {
  const { table } = job;
  // A deleted task keeps its state: it is counted nowhere any more.
  if (table.state(task) === 'running' || table.flag(task, Flag.ghost)) return;
  job.startedAtMs.set(task, startedAtMs);
  const node = turn.state.nodes.at(table.node(task));
  if (node !== undefined && !job.nodeTasks.has(task)) countRunning(turn, node, job.slotsOf(task), 1);
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
  if (!outranks(intent, before)) return;
  const node = turn.state.nodes.at(table.node(task));
  if (before === Intent.none) node?.noteStop(job.slotsOf(task), 1);
  table.setIntent(task, intent);
  writeRuntime(turn, job, task);
  if (node === undefined) return;
  // What is held runs nowhere: it ends with this very entry.
  if (job.nodeTasks.isHeld(node.index, task)) {
    const packed = packTask(job.number, task);
    turn.revoked.set(packed, turn.revoked.get(packed));
  } else turn.effect({ kind: 'stop', node: node.id, job: job.number, task, epoch: table.epoch(task) });
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
  node.remove(job.number, task, slots);
  if (!job.nodeTasks.letGo(node.index, task))
    node.unsent({ job: job.number, task, epoch: table.epoch(task) });
  if (table.intent(task) !== Intent.none) node.noteStop(slots, -1);
  if (job.nodeTasks.live.delete(task)) {
    node.ownExecutions -= 1;
    if (job.nodeTasks.get(task)?.role === 'subtask') node.gangs -= 1;
  } else {
    job.live.delete(task);
    if (table.state(task) === 'running') countRunning(turn, node, slots, -1);
  }
  turn.touchNode(node);
  table.setFlag(task, Flag.live, false);
  table.setIntent(task, Intent.none);
  turn.state.offer(job);
}
