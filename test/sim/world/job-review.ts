/** What must be there at the end: every job and task that was accepted, with an outcome that one of its processes had. */
import { ShoalError } from '../../../src/lib/errors.ts';
import { poolGroup } from '../../../src/model/ids.ts';
import type { JobEntity, Page, TaskEntity } from '../../../src/model/queries.ts';
import type { FileClients } from './file-clients.ts';
import type { KnownJob, KnownTask } from './job-clients.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import { reviewLimit } from './task-limits.ts';

const PAGE_TASKS = 1_000;

export interface ReviewWorld {
  readonly requests: Requests;
  readonly referee: Referee;
  /** Somebody may have shrunk a pool in such a way that its tasks ended. */
  readonly nodesMayTerminate: boolean;
  /** Undefined in worlds without files. */
  readonly files: FileClients | undefined;
}

/** One look at all jobs; what is returned should still happen. Throws Violation where a promise is broken. */
export async function reviewJobs(jobs: readonly KnownJob[], world: ReviewWorld): Promise<readonly string[]> {
  const unsettled: string[] = [];
  for (const job of jobs) if (job.accepted) await reviewJob(job, world, unsettled);
  return unsettled;
}

async function reviewJob(job: KnownJob, world: ReviewWorld, unsettled: string[]): Promise<void> {
  const { requests, referee } = world;
  const entity = await findJob(job, requests);
  if (entity === undefined) {
    if (job.deleted === 'no') referee.fail('S1', `the job ${job.id} is gone`);
    return;
  }
  if (job.deleted === 'done') {
    if (entity.state !== 'deleting') referee.fail('S2', `the deleted job ${job.id} is ${entity.state}`);
    unsettled.push(`${job.id} is still deleting`);
    return;
  }
  if (entity.state === 'terminating') unsettled.push(`${job.id} is still terminating`);
  const found = await allTasks(job, requests);
  const before = unsettled.length;
  reviewTasks(job, entity, found, world, unsettled);
  if (unsettled.length > before) return;
  // Read again: the last of them may have ended between the two answers.
  const after = await findJob(job, requests);
  if (after !== undefined) reviewCounts(job, after, found, world);
}

async function allTasks(job: KnownJob, requests: Requests): Promise<ReadonlyMap<string, TaskEntity>> {
  const found = new Map<string, TaskEntity>();
  for (let after: number | undefined; ; ) {
    const page: Page<TaskEntity> = await requests.query(poolGroup(job.pool), 'task.list', {
      job: job.id,
      limit: PAGE_TASKS,
      ...(after === undefined ? {} : { after }),
    });
    for (const task of page.items) found.set(task.spec.id, task);
    if (page.next === undefined) return found;
    after = page.next;
  }
}

async function findJob(job: KnownJob, requests: Requests): Promise<JobEntity | undefined> {
  try {
    return await requests.query(poolGroup(job.pool), 'job.get', { job: job.id });
  } catch (error) {
    if (error instanceof ShoalError && error.code === 'JobNotFound') return undefined;
    throw error;
  }
}

function reviewTasks(
  job: KnownJob,
  entity: JobEntity,
  found: ReadonlyMap<string, TaskEntity>,
  world: ReviewWorld,
  unsettled: string[],
): void {
  for (const [id, known] of job.tasks) {
    const task = found.get(id);
    const name = `${job.id}/${id}`;
    if (task === undefined) {
      if (known.deleted === 'no') world.referee.fail('S1', `the task ${name} is gone`);
      continue;
    }
    if (known.deleted === 'done') world.referee.fail('S2', `the deleted task ${name} is ${task.state}`);
    if (task.state === 'completed') reviewOutcome(name, known, job, task, world);
    // Tasks of a terminated job that did not run yet stay active, as Azure's do.
    else if (entity.state !== 'completed' && !isBlocked(known.spec.dependsOn?.taskIds ?? [], found))
      unsettled.push(`${name} is ${task.state} (${entity.state})`);
  }
  for (const id of found.keys())
    if (!job.tasks.has(id)) world.referee.fail('S1', `nobody added the task ${job.id}/${id}`);
}

/** S22: what was accepted and not deleted is what the job counts. */
function reviewCounts(
  job: KnownJob,
  { counts }: JobEntity,
  found: ReadonlyMap<string, TaskEntity>,
  { referee }: ReviewWorld,
): void {
  const told = [counts.active, counts.running, counts.completed];
  const states = [...found.values()].map(({ state }) => state);
  const active = states.filter((state) => state === 'active').length;
  const completed = states.filter((state) => state === 'completed').length;
  const real = [active, states.length - active - completed, completed];
  if (told.join() !== real.join())
    referee.fail(
      'S22',
      `${job.id} counts ${told.join()} active, running, completed tasks and has ${real.join()}`,
    );
}

/** S6: the outcome is that of a process of this epoch. S10: retries are those that users caused. */
function reviewOutcome(
  name: string,
  known: KnownTask,
  job: KnownJob,
  task: TaskEntity,
  { referee, nodesMayTerminate, files }: ReviewWorld,
): void {
  if (task.exitCode !== undefined) {
    const code = referee.endOf(name, task.epoch ?? 0)?.exitCode;
    if (code !== task.exitCode)
      referee.fail(
        'S6',
        `${name} ended with ${task.exitCode} in epoch ${task.epoch}, its process with ${code}`,
      );
  }
  if (task.result === 'success' && known.spec.outputFiles !== undefined)
    files?.outputs.set(name, task.epoch ?? 0);
  const codes = referee.exitCodes(name);
  const succeeded = task.result === 'success';
  if (succeeded && !codes.includes(0))
    referee.fail('S6', `${name} succeeded, though none of its processes did`);
  // What a task needs of files, or leaves, may not be to be had while much is down.
  const usesFiles = known.spec.resourceFiles !== undefined || known.spec.outputFiles !== undefined;
  const mayBeStopped = known.ended || job.ended || nodesMayTerminate;
  reviewLimit(name, task, { referee, mayBeStopped });
  if (!succeeded && task.exitCode === undefined && !mayBeStopped && !usesFiles)
    referee.fail('S5', `${name} failed without a process that failed: ${JSON.stringify(task.failure)}`);
  const failed = codes.filter((code) => code !== 0 && code !== undefined).length;
  if (task.retryCount > failed && !usesFiles)
    referee.fail(
      'S10',
      `${name} counts ${task.retryCount} retries, and only ${failed} of its processes failed`,
    );
  const retriesMax = known.spec.constraints?.maxTaskRetryCount ?? job.maxTaskRetryCount;
  if (
    task.exitCode !== undefined &&
    !succeeded &&
    !mayBeStopped &&
    !usesFiles &&
    task.retryCount < retriesMax
  )
    referee.fail('S10', `${name} failed after ${task.retryCount} retries of ${retriesMax}`);
}

/** It waits for a task that will not succeed any more, as its job wishes. */
function isBlocked(dependencies: readonly string[], found: ReadonlyMap<string, TaskEntity>): boolean {
  return dependencies.some((id) => {
    const task = found.get(id);
    if (task === undefined) return true;
    return task.state === 'completed'
      ? task.result !== 'success'
      : isBlocked(task.spec.dependsOn?.taskIds ?? [], found);
  });
}
