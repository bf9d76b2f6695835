/** What waits for time or for a quiet moment: wall clocks of jobs, tasks to be cancelled, rows of deleted jobs. */
import type { EntityStamp, Outcome, PoolCommand } from '../../../src/model/commands.ts';
import type { Job } from './job-record.ts';
import { TERMINATE_REASONS, terminateJob } from './job-state.ts';
import { dropNodeTasks } from './node-task-record.ts';
import { jobOf, taskOf } from './numbers.ts';
import { DEPENDENCY_FAILED } from './outcome.ts';
import {
  blockPrefixes,
  jobMetadataRowKey,
  jobRowKey,
  jobSpecRowKey,
  SWEEP_BLOCK,
  satisfiedPrefix,
} from './rows.ts';
import { Flag } from './task-table.ts';
import { completeTask } from './transition.ts';
import { accepted, type PoolState, type Turn } from './turn.ts';

/** Touches about `limit` tasks or rows at most, so that a million dependents or a huge deleted job never hold an entry up. */
export function sweep(
  turn: Turn,
  { limit }: Extract<PoolCommand, { readonly kind: 'sweep' }>,
): Outcome<EntityStamp> {
  expireJobs(turn);
  attendOverdue(turn);
  let budget = Math.max(1, limit);
  budget -= cancelDependents(turn, budget);
  if (budget > 0) sweepJobs(turn, budget);
  return accepted({ eTag: '0x0', lastModifiedMs: turn.nowMs });
}

/** When the next sweep has something to do; the state's own time where that is now. */
export function dueAtMs(state: PoolState): number | undefined {
  if (state.overdue.size > 0) return state.timeMs;
  if (nextCancelled(state) !== undefined || nextSweepable(state) !== undefined) return state.timeMs;
  return nextDeadline(state)?.atMs;
}

/** Touched, they are looked at when the entry ends. */
function attendOverdue(turn: Turn): void {
  for (const id of turn.state.overdue) {
    const node = turn.state.nodes.get(id);
    if (node !== undefined) turn.touchNode(node);
  }
}

// --- Wall clocks --------------------------------------------------------------------------------------------------

function nextDeadline(state: PoolState): { readonly atMs: number; readonly job: Job } | undefined {
  for (;;) {
    const next = state.deadlines.peek();
    if (next === undefined) return undefined;
    const job = state.jobs.get(next.job);
    if (job?.deadlineMs === next.atMs) return { atMs: next.atMs, job };
    // The job ended, or its wall clock was changed, which filed another deadline.
    state.deadlines.pop();
  }
}

function expireJobs(turn: Turn): void {
  for (
    let next = nextDeadline(turn.state);
    next !== undefined && next.atMs <= turn.nowMs;
    next = nextDeadline(turn.state)
  ) {
    terminateJob(turn, next.job, TERMINATE_REASONS.wallClock);
  }
}

// --- Cancelled dependents -----------------------------------------------------------------------------------------

function nextCancelled(state: PoolState): { readonly job: Job; readonly task: number } | undefined {
  for (;;) {
    const packed = state.cancelled.peek();
    if (packed === undefined) return undefined;
    const job = state.jobs.get(jobOf(packed));
    const task = taskOf(packed);
    if (job !== undefined && isToBeCancelled(job, task)) return { job, task };
    state.cancelled.pop();
  }
}

function isToBeCancelled(job: Job, task: number): boolean {
  const { table } = job;
  if (job.isEnding || !table.has(task) || !table.isActive(task)) return false;
  return (table.flags(task) & (Flag.live | Flag.ghost)) === 0 && job.dependencies.isCancelled(task);
}

/** A cancelled task has its own dependents cancelled in turn, whatever its exit conditions say: it had no exit. */
function cancelDependents(turn: Turn, budget: number): number {
  let done = 0;
  for (
    let next = nextCancelled(turn.state);
    next !== undefined && done < budget;
    next = nextCancelled(turn.state)
  ) {
    completeTask(turn, next.job, next.task, {
      succeeded: false,
      actions: { jobAction: 'none', dependencyAction: 'cancel' },
      completion: {
        startedAtMs: undefined,
        endedAtMs: turn.nowMs,
        exitCode: undefined,
        failure: DEPENDENCY_FAILED,
        files: [],
      },
    });
    done += 1;
  }
  return done;
}

// --- Deleted jobs -------------------------------------------------------------------------------------------------

function nextSweepable(state: PoolState): Job | undefined {
  for (;;) {
    const number = state.sweepable.peek();
    if (number === undefined) return undefined;
    const job = state.jobs.get(number);
    if (job !== undefined) return job;
    state.sweepable.pop();
  }
}

function sweepJobs(turn: Turn, budget: number): void {
  let blocks = Math.max(1, Math.floor(budget / SWEEP_BLOCK));
  for (
    let job = nextSweepable(turn.state);
    job !== undefined && blocks > 0;
    job = nextSweepable(turn.state)
  ) {
    blocks -= sweepJob(turn, job, blocks);
  }
}

/** Removes up to `blocks` blocks of the job's rows, and the job with the last of them. Returns how many. */
function sweepJob(turn: Turn, job: Job, blocks: number): number {
  const swept = job.sweptBlocks ?? 0;
  if (job.sweptBlocks === undefined) {
    dropNodeTasks(turn.state, job);
    job.dropTasks(0, job.table.last);
  }
  const total = Math.floor(job.lastTask / SWEEP_BLOCK) + 1;
  const until = Math.min(total, swept + blocks);
  for (let block = swept; block < until; block++) {
    for (const prefix of blockPrefixes(job.number, block)) turn.clear(prefix);
  }
  job.sweptBlocks = until;
  if (until < total) turn.touchJob(job);
  else eraseJob(turn, job);
  return until - swept;
}

function eraseJob(turn: Turn, job: Job): void {
  turn.clear(satisfiedPrefix(job.number));
  for (const key of [jobRowKey(job.number), jobSpecRowKey(job.number), jobMetadataRowKey(job.number)])
    turn.delete(key);
  turn.state.removeJob(job);
  turn.event('job.deleted', `${job.id} is deleted`, { job: job.id });
  turn.effect({ kind: 'jobGone', job: job.id });
}
