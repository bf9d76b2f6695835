/** The states of a job, and what moves it from one to the next: clients, the ends of its tasks, its wall clock. */
import { invariant } from '../../../src/lib/assert.ts';
import type { DisableTasksOption } from '../../../src/model/job.ts';
import { JOB_TRANSITIONS, type JobState } from '../../../src/model/states.ts';
import { stopExecution } from './execution.ts';
import type { Job } from './job-record.ts';
import { addReleases } from './node-task-record.ts';
import { ascending } from './numbers.ts';
import type { ExitActions } from './outcome.ts';
import { Intent } from './task-table.ts';
import type { Turn } from './turn.ts';

/** The reasons that Azure gives by itself; any other is a user's. */
export const TERMINATE_REASONS = {
  user: 'UserTerminate',
  allTasks: 'AllTasksComplete',
  taskFailed: 'TaskFailed',
  manager: 'JMComplete',
  wallClock: 'MaxWallClockTimeExpiry',
} as const;

/** Ends what runs; tasks that are still active stay so and never run. */
export function terminateJob(turn: Turn, job: Job, reason: string): void {
  job.terminateReason = reason;
  moveJob(turn, job, 'terminating');
  stopAll(turn, job, Intent.terminate, Intent.terminate);
  settleJob(turn, job);
}

export function disableJob(turn: Turn, job: Job, option: DisableTasksOption): void {
  if (job.state === 'active') moveJob(turn, job, 'disabling');
  // A node that was being prepared goes on with it when the job is enabled again.
  if (option !== 'wait')
    stopAll(turn, job, option === 'requeue' ? Intent.requeue : Intent.terminate, Intent.recover);
  settleJob(turn, job);
}

export function enableJob(turn: Turn, job: Job): void {
  moveJob(turn, job, 'active');
  turn.state.offer(job);
  // Nodes that were to be prepared again may begin now.
  for (const [, { node: id }] of job.nodeTasks.entries()) {
    const node = turn.state.nodes.get(id);
    if (node !== undefined && node.owed.size > 0) turn.touchNode(node);
  }
  settleJob(turn, job);
}

/** From here on nothing can be done with it; it is gone once nothing lives and its rows are swept. */
export function deleteJob(turn: Turn, job: Job): void {
  moveJob(turn, job, 'deleting');
  stopAll(turn, job, Intent.terminate, Intent.terminate);
  settleJob(turn, job);
}

/** Release tasks are let be: they run because the job ends. */
function stopAll(turn: Turn, job: Job, intent: number, preparations: number): void {
  for (const task of ascending(job.live)) stopExecution(turn, job, task, intent);
  for (const task of ascending(job.nodeTasks.live))
    if (job.nodeTasks.get(task)?.role === 'preparation') stopExecution(turn, job, task, preparations);
}

/** After a task changed its state or left: takes its exit's job action, then looks whether the job moves on. */
export function afterTask(turn: Turn, job: Job, action: ExitActions['jobAction']): void {
  if (action === 'terminate' && !job.isEnding) terminateJob(turn, job, TERMINATE_REASONS.taskFailed);
  else if (action === 'disable' && job.state === 'active') disableJob(turn, job, 'requeue');
  else settleJob(turn, job);
}

/** Takes the step that only waited for the job's last execution, or its last task, to end. */
export function settleJob(turn: Turn, job: Job): void {
  if (job.live.size > 0) return;
  if (!job.isQuiet && job.state !== 'active') return;
  switch (job.state) {
    case 'disabling':
      moveJob(turn, job, 'disabled');
      turn.event('job.disabled', `${job.id} is disabled`, { job: job.id });
      return;
    case 'terminating':
      if (isReleased(turn, job)) completeJob(turn, job);
      return;
    case 'deleting':
      // One that had completed before was released then.
      if (job.endedAtMs !== undefined || isReleased(turn, job)) turn.state.sweepable.push(job.number);
      return;
    case 'active':
      // An empty job counts as one whose tasks are all complete (Azure Batch, "onAllTasksComplete").
      if (job.onAllTasksComplete === 'terminatejob' && job.counts.active + job.counts.running === 0) {
        terminateJob(turn, job, TERMINATE_REASONS.allTasks);
      }
      return;
    default:
      return;
  }
}

/** Asks for the release tasks where nobody did; true once none is left. */
function isReleased(turn: Turn, job: Job): boolean {
  return !addReleases(turn, job) && job.nodeTasks.releasing.size === 0;
}

function completeJob(turn: Turn, job: Job): void {
  moveJob(turn, job, 'completed');
  job.endedAtMs = turn.nowMs;
  turn.event('job.completed', `${job.id} completed: ${job.terminateReason ?? ''}`, {
    job: job.id,
    reason: job.terminateReason ?? '',
  });
}

function moveJob(turn: Turn, job: Job, to: JobState): void {
  invariant(
    JOB_TRANSITIONS[job.state].includes(to),
    `job ${job.number} cannot go from ${job.state} to ${to}`,
  );
  job.previousState = job.state;
  job.previousAtMs = job.stateAtMs;
  job.state = to;
  job.stateAtMs = turn.nowMs;
  turn.touchJob(job);
}
