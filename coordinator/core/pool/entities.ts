/** What clients are shown of jobs, tasks and nodes: hot columns joined with rows. */
import type { JobSpec } from '../../../src/model/job.ts';
import { PREPARATION_ID, RELEASE_ID } from '../../../src/model/node-task.ts';
import type {
  JobEntity,
  JobNodeEntity,
  NodeEntity,
  NodeTaskRun,
  SubtaskEntity,
  TaskEntity,
} from '../../../src/model/queries.ts';
import type { TaskState } from '../../../src/model/states.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import type { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import type { Completion } from './rows.ts';
import { Flag } from './task-table.ts';
import { type PoolState, stampOf } from './turn.ts';

// --- Jobs ---------------------------------------------------------------------------------------------------------

/** `spec` and `metadata` come from rows. */
export function jobEntity(job: Job, spec: JobSpec, metadata: JobSpec['metadata']): JobEntity {
  return {
    ...stampOf(job),
    spec: changedSpec(job, spec, metadata),
    state: job.state,
    ...(job.previousState === undefined
      ? {}
      : { previousState: job.previousState, previousStateTransitionTimeMs: job.previousAtMs }),
    creationTimeMs: job.createdAtMs,
    stateTransitionTimeMs: job.stateAtMs,
    startTimeMs: job.createdAtMs,
    ...(job.endedAtMs === undefined ? {} : { endTimeMs: job.endedAtMs }),
    ...(job.terminateReason === undefined ? {} : { terminateReason: job.terminateReason }),
    number: job.number,
    counts: { ...job.counts },
    slotCounts: { ...job.slotCounts },
  };
}

function changedSpec(job: Job, spec: JobSpec, metadata: JobSpec['metadata']): JobSpec {
  return {
    ...spec,
    priority: job.priority,
    maxParallelTasks: job.maxParallelTasks === Number.POSITIVE_INFINITY ? -1 : job.maxParallelTasks,
    onAllTasksComplete: job.onAllTasksComplete,
    constraints: job.constraints,
    ...(job.allowTaskPreemption === undefined ? {} : { allowTaskPreemption: job.allowTaskPreemption }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** All that a filter of jobs may ask, without a row. */
export function hotJobEntity(state: PoolState, job: Job): JobEntity {
  return jobEntity(job, { id: job.id, poolInfo: { poolId: state.poolName } }, undefined);
}

// --- Tasks --------------------------------------------------------------------------------------------------------

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * `completion` comes from the runtime row of a completed task; everything else about the past is hot. A page has a thousand
 * of them, so the object is made as V8 makes one quickly: a plain literal, and what is there put in after it. Spreading a
 * stamp into it and leaving out what is undefined at the end took ten times as long.
 */
export function taskEntity(
  state: PoolState,
  job: Job,
  task: number,
  spec: TaskSpec,
  completion: Completion | undefined,
): TaskEntity {
  const { table } = job;
  const previous = table.previousState(task);
  const epoch = table.epoch(task);
  const place = epoch === 0 ? undefined : state.nodes.placeAt(table.node(task));
  const modifiedAtMs = table.modifiedAtMs(task);
  const entity: Writable<TaskEntity> = {
    eTag: stampOf({ version: table.version(task), modifiedAtMs }).eTag,
    lastModifiedMs: modifiedAtMs,
    job: job.id,
    pool: state.poolName,
    spec: { ...spec, constraints: constraintsOf(job, task, spec) },
    number: task,
    state: table.state(task),
    creationTimeMs: table.createdAtMs(task),
    stateTransitionTimeMs: table.stateAtMs(task),
    retryCount: table.retryCount(task),
    requeueCount: table.requeueCount(task),
    files: completion?.files ?? [],
  };
  putDefined(entity, 'previousState', previous);
  if (previous !== undefined) entity.previousStateTransitionTimeMs = table.previousAtMs(task);
  if (epoch !== 0) entity.epoch = epoch;
  putDefined(entity, 'node', place?.id);
  putDefined(entity, 'machine', place?.machine);
  putDefined(entity, 'startTimeMs', completion?.startedAtMs ?? job.startedAtMs.get(task));
  putDefined(entity, 'endTimeMs', completion?.endedAtMs);
  putDefined(entity, 'exitCode', completion?.exitCode);
  putDefined(entity, 'result', resultOf(job, task));
  putDefined(entity, 'failure', completion?.failure);
  putDefined(entity, 'lastRetryTimeMs', job.lastRetryAtMs.get(task));
  putDefined(entity, 'lastRequeueTimeMs', job.lastRequeueAtMs.get(task));
  return entity;
}

/** An absent property and an undefined one are not the same to a client. */
function putDefined<T, K extends keyof T>(entity: T, key: K, value: T[K] | undefined): void {
  if (value !== undefined) entity[key] = value;
}

/** The retry count is copied from the job when the task is added; the rest has defaults of its own. */
function constraintsOf(job: Job, task: number, spec: TaskSpec): NonNullable<TaskSpec['constraints']> {
  return {
    ...(job.updatedConstraints.get(task) ?? spec.constraints),
    maxTaskRetryCount: job.table.maxRetryCount(task),
  };
}

function resultOf({ table }: Job, task: number): 'success' | 'failure' | undefined {
  if (table.state(task) !== 'completed') return undefined;
  return table.flag(task, Flag.succeeded) ? 'success' : 'failure';
}

/** Thrown by a hot entity that is asked for something only rows know. */
export const COLD = Symbol('cold');

/** A task as far as memory knows it, to be filtered without reading its rows. */
export class HotTask {
  readonly #state: PoolState;
  readonly #job: Job;
  readonly #task: number;

  constructor(state: PoolState, job: Job, task: number) {
    this.#state = state;
    this.#job = job;
    this.#task = task;
  }

  get spec(): { readonly id: string } {
    return { id: this.#job.table.idOf(this.#task) };
  }

  get state(): string {
    return this.#job.table.state(this.#task);
  }

  get creationTimeMs(): number {
    return this.#job.table.createdAtMs(this.#task);
  }

  get stateTransitionTimeMs(): number {
    return this.#job.table.stateAtMs(this.#task);
  }

  get lastModifiedMs(): number {
    return this.#job.table.modifiedAtMs(this.#task);
  }

  get result(): string | undefined {
    return resultOf(this.#job, this.#task);
  }

  get node(): string | undefined {
    const { table } = this.#job;
    return table.epoch(this.#task) === 0 ? undefined : this.#state.nodes.placeAt(table.node(this.#task))?.id;
  }

  get startTimeMs(): number | undefined {
    return this.#ofCompletion() ?? this.#job.startedAtMs.get(this.#task);
  }

  get endTimeMs(): number | undefined {
    return this.#ofCompletion();
  }

  get exitCode(): number | undefined {
    return this.#ofCompletion();
  }

  /** Undefined for a task that is not completed; the rows know about others. */
  #ofCompletion(): undefined {
    if (this.#job.table.state(this.#task) === 'completed') throw COLD;
    return undefined;
  }
}

// --- Tasks of nodes -----------------------------------------------------------------------------------------------

/** `completion` comes from the runtime row of one that is completed. */
export function nodeTaskRun(job: Job, task: number, completion: Completion | undefined): NodeTaskRun {
  const { table } = job;
  return defined<NodeTaskRun>({
    state: table.state(task) === 'completed' ? 'completed' : 'running',
    startTimeMs: completion?.startedAtMs ?? job.startedAtMs.get(task),
    endTimeMs: completion?.endedAtMs,
    exitCode: completion?.exitCode,
    failure: completion?.failure,
    result: resultOf(job, task),
    retryCount: table.retryCount(task),
    lastRetryTimeMs: job.lastRetryAtMs.get(task),
  });
}

export function subtaskEntity(
  state: PoolState,
  job: Job,
  task: number,
  { run, node, instance }: { readonly run: NodeTaskRun; readonly node: string; readonly instance: number },
): SubtaskEntity {
  const { table } = job;
  const previous = table.previousState(task);
  // Sent to its agent and not yet started is all that a client would call preparing.
  const isNew = table.state(task) === 'active';
  return defined<SubtaskEntity>({
    id: instance,
    pool: state.poolName,
    node,
    run,
    state: isNew ? 'preparing' : subtaskState(table.state(task)),
    stateTransitionTimeMs: isNew ? table.createdAtMs(task) : table.stateAtMs(task),
    previousState: isNew || previous === undefined ? undefined : subtaskState(previous),
    previousStateTransitionTimeMs: isNew || previous === undefined ? undefined : table.previousAtMs(task),
  });
}

function subtaskState(state: TaskState): SubtaskEntity['state'] {
  return state === 'active' ? 'preparing' : state;
}

export function jobNodeEntity(
  state: PoolState,
  job: Job,
  {
    release,
    ...run
  }: Pick<JobNodeEntity, 'number' | 'node' | 'preparation'> & { readonly release: NodeTaskRun | undefined },
): JobNodeEntity {
  return {
    ...run,
    pool: state.poolName,
    preparationId: job.preparation?.id ?? PREPARATION_ID,
    ...(release === undefined ? {} : { release, releaseId: job.release?.id ?? RELEASE_ID }),
  };
}

// --- Nodes --------------------------------------------------------------------------------------------------------

export function nodeEntity(state: PoolState, node: NodeRecord): NodeEntity {
  return {
    id: node.id,
    pool: state.poolName,
    machine: node.machine,
    state: node.state,
    schedulingState: node.enabled ? 'enabled' : 'disabled',
    stateTransitionTimeMs: node.stateAtMs,
    allocationTimeMs: node.allottedAtMs,
    dedicated: node.dedicated,
    cores: node.cores,
    memoryBytes: node.memoryBytes,
    slots: node.slots,
    labels: node.labels,
    runningTasks: node.runningTasks,
    runningSlots: node.runningSlots,
    waitingTasks: node.executions.size - node.ownExecutions - node.runningTasks,
    totalTasksRun: node.totalTasksRun,
    totalTasksSucceeded: node.totalTasksSucceeded,
    ...(node.bootedAtMs === undefined ? {} : { lastBootTimeMs: node.bootedAtMs }),
    ...(node.fault === undefined ? {} : { fault: node.fault }),
  };
}

// ------------------------------------------------------------------------------------------------------------------

/** Leaves out what is undefined: an absent property and an undefined one are not the same to a client. */
function defined<T extends object>(entity: { readonly [K in keyof T]: T[K] | undefined }): T {
  const kept: { [K in keyof T]?: T[K] } = {};
  for (const key of Object.keys(entity) as (keyof T)[]) {
    const value = entity[key];
    if (value !== undefined) kept[key] = value;
  }
  return kept as T;
}
