/** Waiting for the tasks of a job. */
import type { ShoalClient } from '../client/client.ts';
import { pause } from '../client/retry.ts';
import type { JobResource, TaskCountsResource, TaskResource } from '../client/shapes.ts';
import { ShoalError } from '../lib/errors.ts';
import { WAIT_POLL_MS, WAIT_POLL_MS_MAX } from '../lib/limits.ts';
import type { Run } from './action.ts';
import { EXIT } from './exit-codes.ts';
import { ProgressLine, RateMeter, renderTaskProgress } from './progress.ts';

/** `shoal job wait`. Resolves with the worst exit code of the job's tasks. */
export async function waitForJob(run: Run, job: string, timeoutMs: number | undefined): Promise<number> {
  const startedMs = performance.now();
  const line = new ProgressLine(run.world.stderr, run.showsProgress);
  const rate = new RateMeter();
  try {
    for (;;) {
      const [found, counts] = await Promise.all([
        run.client.jobs.get(job, { select: ['id', 'state'], signal: run.signal }),
        run.client.jobs.taskCounts(job, { signal: run.signal }),
      ]);
      if (isOver(found, counts)) return await report(run, job, counts);
      const elapsedMs = performance.now() - startedMs;
      if (timeoutMs !== undefined && elapsedMs >= timeoutMs) throw gaveUp(job, counts);
      rate.note(elapsedMs, counts.completed);
      line.draw(() => renderTaskProgress(taskProgress(job, counts, rate), run.world.columns()));
      await pause(Math.min(pollDelayMs(elapsedMs), (timeoutMs ?? Infinity) - elapsedMs), run.signal);
    }
  } finally {
    line.clear();
  }
}

/** A tenth of what has been waited already: short jobs are seen to end at once, long ones are not asked all the time. */
export function pollDelayMs(elapsedMs: number): number {
  return Math.min(WAIT_POLL_MS_MAX, Math.max(WAIT_POLL_MS, elapsedMs / 10));
}

export function taskProgress(
  label: string,
  counts: TaskCountsResource,
  rate: RateMeter,
): Parameters<typeof renderTaskProgress>[0] {
  const { succeeded, failed, running } = counts;
  const total = counts.active + counts.running + counts.completed;
  return { label, succeeded, failed, running, total, perSecond: rate.perSecond() };
}

/** The tasks of an ended job that never started stay active for ever, as in Azure Batch. */
function isOver(job: JobResource, counts: TaskCountsResource): boolean {
  return job.state === 'completed' || (counts.active === 0 && counts.running === 0);
}

async function report(run: Run, job: string, counts: TaskCountsResource): Promise<number> {
  const worst = counts.failed > 0 ? await worstExitCode(run.client, job, run.signal) : EXIT.ok;
  const code = counts.active > 0 ? Math.max(worst, EXIT.failed) : worst;
  const never = counts.active > 0 ? `, ${counts.active} never ran` : '';
  await run.output.done(
    `Job ${job} is over: ${counts.succeeded} tasks succeeded, ${counts.failed} failed${never}.`,
    { job, taskCounts: counts, exitCode: code },
  );
  return code;
}

/** The greatest exit code among the tasks that failed. */
export async function worstExitCode(client: ShoalClient, job: string, signal?: AbortSignal): Promise<number> {
  const failed = client.tasks.list(job, {
    filter: "executionInfo/result eq 'failure'",
    select: ['id', 'state', 'executionInfo'],
    ...(signal === undefined ? {} : { signal }),
  });
  let worst: number = EXIT.ok;
  for await (const task of failed) worst = Math.max(worst, exitCodeOfTask(task));
  return worst;
}

/** What a process may exit with: 1 where the task failed without a code of its own, or with one that is no such code. */
export function exitCodeOfTask(task: TaskResource): number {
  if (task.executionInfo?.result !== 'failure') return EXIT.ok;
  const code = task.executionInfo.exitCode ?? 0;
  return code >= 1 && code <= 255 ? code : EXIT.failed;
}

function gaveUp(job: string, counts: TaskCountsResource): ShoalError {
  const left = counts.active + counts.running;
  return new ShoalError('OperationTimedOut', `Job ${job} still has ${left} tasks that have not ended.`);
}
