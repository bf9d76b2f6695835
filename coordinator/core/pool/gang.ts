/**
 * Multi-instance tasks. Such a task (the primary) begins on n nodes at once or not at all; each node is its own as long
 * as it lives. On every one of them a subtask runs the coordination command, the primary's own node included. When that
 * has succeeded the subtask lives on, with whatever the command left running there. When all have, the primary is
 * dispatched; its end, however it comes, ends them, and the end of one ends it.
 */
import type { TaskOutcome, TaskSpec } from '../../../src/model/task.ts';
import { beginSubtask, endExecution, sendHeld, stopExecution } from './execution.ts';
import type { Job } from './job-record.ts';
import { settleJob } from './job-state.ts';
import type { NodeRecord } from './node-record.ts';
import { appendNodeTask, canAppend, dropNodeTask } from './node-task-record.ts';
import type { NodeTask, Subtask } from './node-tasks.ts';
import { packTask } from './numbers.ts';
import { failureOf, isSuccess, NODE_LOST } from './outcome.ts';
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
  const command = coordinationSpec(spec, job.updatedConstraints.get(primary) ?? spec.constraints ?? {});
  const names = nodes.map(({ id }) => id);
  nodes.forEach((node, instance) => {
    const gang = { primary, instance, run: turn.index, nodes: names };
    const own = { role: 'subtask', waits: false, gang } as const;
    beginSubtask(turn, job, appendNodeTask(turn, job, own, node, command), node);
  });
}

/** Its wall clock time is the task's own, and counts from here: it lives as long as the task does. */
function coordinationSpec(
  spec: TaskSpec,
  { maxWallClockTime, retentionTime }: NonNullable<TaskSpec['constraints']>,
): TaskSpec {
  const { id, environmentSettings, userIdentity, multiInstanceSettings } = spec;
  const packages = spec.applicationPackageReferences;
  return {
    id,
    commandLine: multiInstanceSettings?.coordinationCommandLine ?? '',
    resourceFiles: multiInstanceSettings?.commonResourceFiles ?? [],
    ...(environmentSettings === undefined ? {} : { environmentSettings }),
    ...(userIdentity === undefined ? {} : { userIdentity }),
    ...(packages === undefined ? {} : { applicationPackageReferences: packages }),
    constraints: {
      maxTaskRetryCount: 0,
      ...(maxWallClockTime === undefined ? {} : { maxWallClockTime }),
      ...(retentionTime === undefined ? {} : { retentionTime }),
    },
  };
}

/** The coordination command succeeded. When all have, the task itself is sent to the first node. */
export function coordinateSubtask(turn: Turn, job: Job, task: number): void {
  const { table, nodeTasks } = job;
  const gang = nodeTasks.get(task)?.gang;
  if (gang === undefined || table.flag(task, Flag.succeeded)) return;
  if (table.state(task) !== 'running') changeState(turn, job, task, 'running');
  table.setFlag(task, Flag.succeeded, true);
  writeRuntime(turn, job, task);
  const { primary } = gang;
  const node = turn.state.nodes.at(table.node(primary));
  if (node !== undefined && isOfRun(job, task, primary)) sendHeld(turn, job, node);
}

function isOfRun(job: Job, task: number, primary: number): boolean {
  return job.live.has(primary) && job.nodeTasks.subtasksOf(primary).includes(task);
}

/** It failed, was stopped, or its node was lost: none ends by itself otherwise. */
export function settleSubtask(
  turn: Turn,
  job: Job,
  task: number,
  { gang: { primary } }: NodeTask & { readonly gang: Subtask },
  outcome: TaskOutcome | undefined,
  startedAtMs: number | undefined,
): void {
  const { table } = job;
  const intent = table.intent(task);
  const breaks = isOfRun(job, task, primary);
  // That it is stopped with its task says nothing of its own command.
  const succeeded = table.flag(task, Flag.succeeded) && intent !== Intent.none;
  endExecution(turn, job, task);
  if (table.has(primary) && job.nodeTasks.subtasksOf(primary).includes(task))
    completeSubtask(turn, job, task, succeeded, { outcome, startedAtMs });
  else dropNodeTask(turn, job, task);
  if (breaks) failGang(turn, job, primary, intent, outcome);
  settleJob(turn, job);
}

function completeSubtask(
  turn: Turn,
  job: Job,
  task: number,
  succeeded: boolean,
  {
    outcome,
    startedAtMs,
  }: { readonly outcome: TaskOutcome | undefined; readonly startedAtMs: number | undefined },
): void {
  const completion: Completion = {
    startedAtMs,
    endedAtMs: outcome?.endedAtMs ?? turn.nowMs,
    exitCode: succeeded ? 0 : outcome?.exitCode,
    failure: succeeded ? undefined : outcome === undefined ? NODE_LOST : failureOf(outcome),
    files: outcome?.files ?? [],
  };
  changeState(turn, job, task, 'completed', { clear: succeeded ? 0 : Flag.succeeded, set: 0 });
  job.startedAtMs.delete(task);
  writeRuntime(turn, job, task, completion);
}

/**
 * A failed coordination command is the failure of the whole task, which is retried or not as after any other; so is what
 * it left running, if that is ended for using more than it may. A lost or stopped one only makes the task run again.
 * A primary that waits still runs nowhere: its end is settled with this entry.
 */
function failGang(
  turn: Turn,
  job: Job,
  primary: number,
  intent: number,
  outcome: TaskOutcome | undefined,
): void {
  const { table, nodeTasks } = job;
  const failed = intent === Intent.none && outcome !== undefined && isFailure(outcome);
  if (!failed) stopExecution(turn, job, primary, intent === Intent.none ? Intent.recover : intent);
  else if (table.intent(primary) === Intent.none && nodeTasks.isHeld(table.node(primary), primary))
    turn.revoked.set(packTask(job.number, primary), outcome);
  else stopExecution(turn, job, primary, Intent.fail);
}

/** By its own fault, and not that of the machine. */
function isFailure(outcome: TaskOutcome): boolean {
  return outcome.kind !== 'lost' && outcome.kind !== 'killed' && !isSuccess(outcome);
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
