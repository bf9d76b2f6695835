/** What becomes of a task when its execution ends, or a client says so. */
import { idKey } from '../../../src/model/ids.ts';
import type { FailureInfo } from '../../../src/model/task.ts';
import type { Standing } from './dependencies.ts';
import { stopExecution } from './execution.ts';
import { forgetSubtasks } from './gang.ts';
import type { Job } from './job-record.ts';
import { afterTask, TERMINATE_REASONS, terminateJob } from './job-state.ts';
import type { ExitActions } from './outcome.ts';
import { type Completion, runtimeRowKey, satisfiedRowKey, taskRowKey, taskUpdateRowKey } from './rows.ts';
import { changeState, writeRuntime } from './runtime.ts';
import { Flag, Intent } from './task-table.ts';
import type { Turn } from './turn.ts';

export interface Ending {
  readonly succeeded: boolean;
  readonly actions: ExitActions;
  readonly completion: Completion;
}

const DEPENDENCY_FLAGS = { satisfy: Flag.satisfied, cancel: Flag.cancels, block: 0 } as const;

/** The task is over. Its dependents hear of it, and its job may follow. */
export function completeTask(
  turn: Turn,
  job: Job,
  task: number,
  { succeeded, actions, completion }: Ending,
): void {
  const { table } = job;
  changeState(turn, job, task, 'completed', {
    clear: 0,
    set: (succeeded ? Flag.succeeded : 0) | DEPENDENCY_FLAGS[actions.dependencyAction],
  });
  job.startedAtMs.delete(task);
  writeRuntime(turn, job, task, completion);
  announce(turn, job, task, succeeded, completion);
  job.refresh(task);
  if (job.usesTaskDependencies)
    job.dependencies.became(idKey(table.idOf(task)), 'open', standingOf(job, task));
  if (job.isManager(task) && job.manager?.killJobOnCompletion !== false && !job.isEnding)
    terminateJob(turn, job, TERMINATE_REASONS.manager);
  else afterTask(turn, job, job.performsExitActions ? actions.jobAction : 'none');
}

function announce(
  turn: Turn,
  job: Job,
  task: number,
  succeeded: boolean,
  { exitCode, failure }: Completion,
): void {
  const id = job.table.idOf(task);
  const data = {
    job: job.id,
    task: id,
    epoch: job.table.epoch(task),
    ...(exitCode === undefined ? {} : { exitCode }),
  };
  if (succeeded) turn.event('task.completed', `${job.id}/${id} completed`, data);
  else turn.event('task.failed', `${job.id}/${id} failed: ${reasonOf(exitCode, failure)}`, data);
}

function reasonOf(exitCode: number | undefined, failure: FailureInfo | undefined): string {
  return exitCode === undefined ? (failure?.code ?? 'unknown') : `exit code ${exitCode}`;
}

/** Back to `active`, to run again. */
export function requeueTask(turn: Turn, job: Job, task: number, why: 'retry' | 'requeue' | 'recovery'): void {
  const { table } = job;
  if (why === 'retry') {
    table.setRetryCount(task, table.retryCount(task) + 1);
    job.lastRetryAtMs.set(task, turn.nowMs);
  } else if (why === 'requeue') {
    table.setRequeueCount(task, table.requeueCount(task) + 1);
    job.lastRequeueAtMs.set(task, turn.nowMs);
  }
  job.startedAtMs.delete(task);
  if (!table.isActive(task)) changeState(turn, job, task, 'active');
  writeRuntime(turn, job, task);
  job.refresh(task);
  afterTask(turn, job, 'none');
}

/** A completed task is to run again as if it never had. */
export function reactivateTask(turn: Turn, job: Job, task: number): void {
  const { table } = job;
  const before = standingOf(job, task);
  changeState(turn, job, task, 'active', { clear: Flag.satisfied | Flag.cancels | Flag.succeeded, set: 0 });
  table.setRetryCount(task, 0);
  job.lastRetryAtMs.delete(task);
  writeRuntime(turn, job, task);
  if (job.usesTaskDependencies) job.dependencies.became(idKey(table.idOf(task)), before, 'open');
  job.refresh(task);
}

/** Takes a task out of the job for clients, dependents and counts; if it lives, its execution goes on as a ghost. */
export function deleteTask(turn: Turn, job: Job, task: number): void {
  const { table } = job;
  const key = idKey(table.idOf(task));
  const before = standingOf(job, task);
  job.tally(task, -1);
  if (table.flag(task, Flag.live)) {
    table.setFlag(task, Flag.ghost, true);
    bury(turn, job, key, before);
    stopExecution(turn, job, task, Intent.delete);
    return;
  }
  removeTask(turn, job, task);
  bury(turn, job, key, before);
  afterTask(turn, job, 'none');
}

function bury(turn: Turn, job: Job, key: string, before: Standing): void {
  if (!job.usesTaskDependencies) return;
  if (job.dependencies.removed(key, before)) turn.put(satisfiedRowKey(job.number, key), null);
}

/** Forgets a task that is not live. */
export function removeTask(turn: Turn, job: Job, task: number): void {
  job.ready.set(task, false);
  forgetSubtasks(turn, job, task);
  job.forget(task);
  job.table.remove(task);
  turn.delete(taskRowKey(job.number, task));
  turn.delete(taskUpdateRowKey(job.number, task));
  turn.delete(runtimeRowKey(job.number, task));
}

function standingOf(job: Job, task: number): Standing {
  const flags = job.table.flags(task);
  if ((flags & Flag.satisfied) !== 0) return 'satisfied';
  return (flags & Flag.cancels) !== 0 ? 'cancels' : 'open';
}
