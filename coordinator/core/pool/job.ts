/** Commands on jobs. */

import { JOB_NUMBER_MAX } from '../../../src/lib/limits.ts';
import type { Condition, EntityStamp, Outcome, PoolCommand } from '../../../src/model/commands.ts';
import { idKey } from '../../../src/model/ids.ts';
import { type JobPatch, type JobSpec, managerSpec } from '../../../src/model/job.ts';
import { invalidValue, validateJob, validateJobChange } from '../../../src/model/validate.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { checkCondition } from './conditions.ts';
import { Job, limitOf } from './job-record.ts';
import { beingDeleted, jobNotFound, refusalWhileEnding } from './job-refusals.ts';
import { deleteJob, disableJob, enableJob, settleJob, TERMINATE_REASONS, terminateJob } from './job-state.ts';
import { jobMetadataRowKey, jobSpecRowKey } from './rows.ts';
import { addTasks, slotsMaxOf, slotsViolation } from './task.ts';
import { accepted, type PoolState, stampOf, type Turn } from './turn.ts';

type Of<K extends PoolCommand['kind']> = Extract<PoolCommand, { readonly kind: K }>;

export function addJob(turn: Turn, { spec }: Of<'job.add'>): Outcome<EntityStamp> {
  const { state } = turn;
  const manager = spec.jobManagerTask && managerSpec(spec.jobManagerTask, slotsMaxOf(state));
  const violation =
    validateJob(spec) ??
    poolViolation(state, spec) ??
    (manager && slotsViolation(manager, slotsMaxOf(state)));
  if (violation !== undefined) return { ok: false, ...violation };
  const known = state.jobNamed(spec.id);
  if (known !== undefined)
    return known.state === 'deleting'
      ? beingDeleted(known)
      : refuse('JobExists', `The job ${known.id} already exists.`);
  if (state.nextJob > JOB_NUMBER_MAX) return refuse('ServerBusy', 'The pool has used up all job numbers.');
  const job = new Job({ number: state.nextJob++, spec, version: turn.newVersion(), nowMs: turn.nowMs });
  state.addJob(job);
  turn.put(jobSpecRowKey(job.number), spec);
  turn.touchJob(job);
  turn.event('job.added', `${job.id} was added`, { job: job.id });
  // The first of its tasks, before anybody can add another: it goes ahead of all of them.
  if (manager !== undefined) addTasks(turn, { kind: 'task.add', job: job.id, tasks: [manager] });
  settleJob(turn, job);
  return accepted(stampOf(job));
}

function poolViolation(state: PoolState, { poolInfo }: { readonly poolInfo?: JobSpec['poolInfo'] }) {
  const { poolId } = poolInfo ?? {};
  if (poolId === undefined || idKey(poolId) === idKey(state.poolId)) return undefined;
  return invalidValue(
    'poolInfo/poolId',
    poolId,
    `the job belongs to the pool ${state.poolName} and cannot move to another`,
  );
}

/** PATCH: what is absent stays. */
export function patchJob(turn: Turn, { job: id, patch, condition }: Of<'job.patch'>): Outcome<EntityStamp> {
  return withJob(
    turn,
    id,
    condition,
    (job) => refusalWhileEnding(job),
    (job) => changeJob(turn, job, patch),
  );
}

/** PUT: what is absent returns to its default. */
export function updateJob(
  turn: Turn,
  { job: id, update, condition }: Of<'job.update'>,
): Outcome<EntityStamp> {
  const whole: JobPatch = {
    priority: 0,
    maxParallelTasks: -1,
    allowTaskPreemption: false,
    onAllTasksComplete: 'noaction',
    constraints: {},
    metadata: [],
    ...update,
  };
  return withJob(
    turn,
    id,
    condition,
    (job) => refusalWhileEnding(job),
    (job) => changeJob(turn, job, whole),
  );
}

function changeJob(turn: Turn, job: Job, patch: JobPatch): Refusal | undefined {
  const { state } = turn;
  const violation = validateJobChange(patch) ?? poolViolation(state, patch);
  if (violation !== undefined) return { ok: false, ...violation };
  if (patch.onAllTasksComplete === 'noaction' && job.onAllTasksComplete === 'terminatejob') {
    return {
      ok: false,
      ...invalidValue('onAllTasksComplete', 'noaction', 'it cannot be changed back once it is terminatejob'),
    };
  }
  const { priority } = job;
  job.priority = patch.priority ?? job.priority;
  if (patch.maxParallelTasks !== undefined) job.maxParallelTasks = limitOf(patch.maxParallelTasks);
  job.allowTaskPreemption = patch.allowTaskPreemption ?? job.allowTaskPreemption;
  state.watchPreemption(job);
  job.onAllTasksComplete = patch.onAllTasksComplete ?? job.onAllTasksComplete;
  if (patch.constraints !== undefined) {
    job.constraints = patch.constraints;
    state.watchDeadline(job);
  }
  if (patch.metadata !== undefined) {
    job.hasMetadataRow = true;
    turn.put(jobMetadataRowKey(job.number), patch.metadata);
  }
  if (job.priority !== priority) state.reorderQueue();
  state.offer(job);
  settleJob(turn, job);
  return undefined;
}

export function disableJobCommand(
  turn: Turn,
  { job: id, disableTasks, condition }: Of<'job.disable'>,
): Outcome<EntityStamp> {
  return withJob(
    turn,
    id,
    condition,
    (job) => refusalWhileEnding(job),
    doing((job) => disableJob(turn, job, disableTasks)),
  );
}

export function enableJobCommand(turn: Turn, { job: id, condition }: Of<'job.enable'>): Outcome<EntityStamp> {
  const check = (job: Job): Refusal | undefined =>
    refusalWhileEnding(job) ??
    (job.state === 'disabled'
      ? undefined
      : refuse(
          'OperationInvalidForCurrentState',
          `The job ${job.id} is ${job.state}; only a disabled job can be enabled.`,
        ));
  return withJob(
    turn,
    id,
    condition,
    check,
    doing((job) => enableJob(turn, job)),
  );
}

export function terminateJobCommand(
  turn: Turn,
  { job: id, reason, condition }: Of<'job.terminate'>,
): Outcome<EntityStamp> {
  return withJob(
    turn,
    id,
    condition,
    (job) => refusalWhileEnding(job),
    doing((job) => terminateJob(turn, job, reason === '' ? TERMINATE_REASONS.user : reason)),
  );
}

export function deleteJobCommand(turn: Turn, { job: id, condition }: Of<'job.delete'>): Outcome<EntityStamp> {
  return withJob(
    turn,
    id,
    condition,
    (job) => (job.state === 'deleting' ? beingDeleted(job) : undefined),
    doing((job) => deleteJob(turn, job)),
  );
}

// ------------------------------------------------------------------------------------------------------------------

/** Finds the job, checks state and condition, acts, and stamps the job with a new version. */
function withJob(
  turn: Turn,
  id: string,
  condition: Condition | undefined,
  check: (job: Job) => Refusal | undefined,
  act: (job: Job) => Refusal | undefined,
): Outcome<EntityStamp> {
  const job = turn.state.jobNamed(id);
  if (job === undefined) return jobNotFound(id);
  const refusal = check(job) ?? checkCondition(condition, job.version, job.modifiedAtMs) ?? act(job);
  if (refusal !== undefined) return refusal;
  job.version = turn.newVersion();
  job.modifiedAtMs = turn.nowMs;
  turn.touchJob(job);
  return accepted(stampOf(job));
}

/** An act that the checks before it leave nothing to refuse. */
function doing(act: (job: Job) => void): (job: Job) => undefined {
  return (job) => {
    act(job);
    return undefined;
  };
}
