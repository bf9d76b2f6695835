/**
 * Multi-instance tasks. Such a task (the primary) begins on n nodes at once or not at all; each node is its own as long
 * as it lives. On every one of them a subtask runs the coordination command, the primary's own node included. One that
 * succeeded keeps its place without an execution (it is parked, as what waits for a preparation is held). When all are
 * parked the primary is dispatched; its end, however it comes, ends them, and the end of one ends it.
 */
import type { TaskOutcome, TaskSpec } from '../../../src/model/task.ts';
import { beginSubtask, endExecution, sendHeld, stopExecution } from './execution.ts';
import type { Job } from './job-record.ts';
import { settleJob } from './job-state.ts';
import type { NodeRecord } from './node-record.ts';
import { appendNodeTask, canAppend, dropNodeTask } from './node-task-record.ts';
import type { NodeTask, Subtask } from './node-tasks.ts';
import { packTask } from './numbers.ts';
import { isSuccess } from './outcome.ts';
import type { Completion } from './rows.ts';
import { changeState, writeRuntime } from './runtime.ts';
import { Flag, Intent } from './task-table.ts';
import type { Turn } from './turn.ts';

export function mayFormGang(job: Job, task: number, nodes: readonly NodeRecord[]): boolean {
  return (
    job.gangs.has(task) &&
    nodes.length === job.ready.queueOf(task).instances &&
    new Set(nodes).size === nodes.length &&
    nodes.every(({ assignedSlots }) => assignedSlots === 0) &&
    canAppend(job, 2 * nodes.length)
  );
}

/** Its subtasks get their places; call before the primary gets its own. The first node is the primary's. */
export function formGang(turn: Turn, job: Job, primary: number, nodes: readonly NodeRecord[]): void {
  const spec = job.gangs.get(primary);
  if (spec === undefined) return;
  forgetSubtasks(turn, job, primary);
  const names = nodes.map(({ id }) => id);
  nodes.forEach((node, instance) => {
    const gang = { primary, instance, run: turn.index, nodes: names };
    const own = { role: 'subtask', waits: false, gang } as const;
    beginSubtask(turn, job, appendNodeTask(turn, job, own, node, coordinationSpec(spec)), node);
  });
}

function coordinationSpec(spec: TaskSpec): TaskSpec {
  const { id, environmentSettings, userIdentity, multiInstanceSettings, constraints } = spec;
  const packages = spec.applicationPackageReferences;
  const retentionTime = constraints?.retentionTime;
  return {
    id,
    commandLine: multiInstanceSettings?.coordinationCommandLine ?? '',
    resourceFiles: multiInstanceSettings?.commonResourceFiles ?? [],
    ...(environmentSettings === undefined ? {} : { environmentSettings }),
    ...(userIdentity === undefined ? {} : { userIdentity }),
    ...(packages === undefined ? {} : { applicationPackageReferences: packages }),
    constraints: { maxTaskRetryCount: 0, ...(retentionTime === undefined ? {} : { retentionTime }) },
  };
}

/** The coordination command ended, was stopped, or its node was lost. */
export function settleSubtask(
  turn: Turn,
  job: Job,
  task: number,
  { gang }: NodeTask & { readonly gang: Subtask },
  outcome: TaskOutcome | undefined,
  startedAtMs: number | undefined,
): void {
  const { table, nodeTasks } = job;
  const { primary } = gang;
  const intent = table.intent(task);
  const isOfRun = job.live.has(primary) && nodeTasks.subtasksOf(primary).includes(task);
  if (isOfRun && intent === Intent.none && outcome !== undefined && isSuccess(outcome)) {
    park(turn, job, task);
    const node = turn.state.nodes.at(table.node(primary));
    if (node !== undefined) sendHeld(turn, job, node);
    return;
  }
  endExecution(turn, job, task);
  if (table.has(primary) && nodeTasks.subtasksOf(primary).includes(task))
    completeSubtask(turn, job, task, outcome, startedAtMs);
  else dropNodeTask(turn, job, task);
  if (isOfRun) failGang(turn, job, primary, intent, outcome);
  settleJob(turn, job);
}

function park(turn: Turn, job: Job, task: number): void {
  const { table } = job;
  const node = turn.state.nodes.at(table.node(task));
  if (node === undefined) return;
  node.unsent({ job: job.number, task, epoch: table.epoch(task) });
  job.nodeTasks.hold(node.index, task);
  if (table.state(task) !== 'running') changeState(turn, job, task, 'running');
  turn.touchNode(node);
  writeRuntime(turn, job, task);
}

function completeSubtask(
  turn: Turn,
  job: Job,
  task: number,
  outcome: TaskOutcome | undefined,
  startedAtMs: number | undefined,
): void {
  const completion: Completion = {
    startedAtMs,
    endedAtMs: outcome?.endedAtMs ?? turn.nowMs,
    exitCode: outcome?.exitCode,
    failure: outcome?.failure,
    files: outcome?.files ?? [],
  };
  changeState(turn, job, task, 'completed');
  job.startedAtMs.delete(task);
  writeRuntime(turn, job, task, completion);
}

/**
 * A failed coordination command is the failure of the whole task, which is retried or not as after any other; a lost or
 * stopped one only makes it run again. A primary that waits still runs nowhere: its end is settled with this entry.
 */
function failGang(
  turn: Turn,
  job: Job,
  primary: number,
  intent: number,
  outcome: TaskOutcome | undefined,
): void {
  const { table, nodeTasks } = job;
  const failed = intent === Intent.none && outcome !== undefined && !isSuccess(outcome);
  if (failed && table.intent(primary) === Intent.none && nodeTasks.isHeld(table.node(primary), primary))
    turn.revoked.set(packTask(job.number, primary), outcome);
  else stopExecution(turn, job, primary, Math.max(intent, Intent.recover));
}

/** The primary's execution ended. Its subtasks stay listed until it runs again. */
export function disbandGang(turn: Turn, job: Job, primary: number): void {
  for (const task of job.nodeTasks.subtasksOf(primary))
    if (job.table.flag(task, Flag.live)) stopExecution(turn, job, task, Intent.terminate);
}

/** Those that live still go with their end. */
export function forgetSubtasks(turn: Turn, job: Job, primary: number): void {
  const subtasks = job.nodeTasks.subtasksOf(primary);
  job.nodeTasks.forgetRun(primary);
  for (const task of subtasks) if (!job.table.flag(task, Flag.live)) dropNodeTask(turn, job, task);
}
