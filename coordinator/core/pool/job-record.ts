/** One job as it is kept in memory. */

import { parseDuration } from '../../../src/lib/durations.ts';
import { CONTAINER_LABEL } from '../../../src/model/container.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { JobConstraints, JobSpec } from '../../../src/model/job.ts';
import type { JobState, TaskState } from '../../../src/model/states.ts';
import type { DependsOn, ExitConditions, TaskConstraints, TaskSpec } from '../../../src/model/task.ts';
import { Dependencies } from './dependencies.ts';
import { DEDICATED_LABEL, NODE_JOB_ID, NodeTasks, preparedLabel } from './node-tasks.ts';
import { ReadyQueues } from './ready.ts';
import type { AdditionRow, JobRow } from './rows.ts';
import { Flag, TaskTable } from './task-table.ts';

/** Mutable twin of TaskCounts. `running` holds `preparing` too: to a client both are at work. */
export interface Tally {
  active: number;
  running: number;
  completed: number;
  succeeded: number;
  failed: number;
}

export interface NewJob {
  readonly number: number;
  readonly spec: JobSpec;
  readonly version: number;
  readonly nowMs: number;
}

export class Job {
  readonly number: number;
  readonly id: string;
  readonly key: string;
  readonly createdAtMs: number;
  state: JobState = 'active';
  stateAtMs: number;
  previousState: JobState | undefined;
  previousAtMs = 0;
  endedAtMs: number | undefined;
  terminateReason: string | undefined;
  version: number;
  modifiedAtMs: number;

  priority = 0;
  /** Infinity: without limit. */
  maxParallelTasks = Number.POSITIVE_INFINITY;
  allowTaskPreemption: boolean | undefined;
  onAllTasksComplete: 'noaction' | 'terminatejob' = 'noaction';
  constraints: JobConstraints = {};
  hasMetadataRow = false;
  /** Of the job as it was added. */
  readonly environment: NonNullable<JobSpec['commonEnvironmentSettings']>;
  readonly usesTaskDependencies: boolean;
  readonly performsExitActions: boolean;
  readonly onNodeCutOff: 'stop' | 'keep';
  readonly preparation: JobSpec['jobPreparationTask'];
  readonly release: JobSpec['jobReleaseTask'];
  readonly manager: JobSpec['jobManagerTask'];

  table = new TaskTable();
  ready = new ReadyQueues(this.table);
  dependencies = new Dependencies(this.table, (task) => this.refresh(task));
  nodeTasks = new NodeTasks();
  /** Tasks of users with a live execution, ghosts included. */
  readonly live = new Set<number>();
  counts = emptyTally();
  slotCounts = emptyTally();
  /** Blocks of rows removed so far; undefined before the job is swept. */
  sweptBlocks: number | undefined;
  /** Numbers given before the table was dropped. */
  #lastTask = 0;

  // Sparse columns.
  exitConditions = new Map<number, ExitConditions>();
  affinities = new Map<number, string>();
  /** Multi-instance tasks: what their subtasks are made of. */
  gangs = new Map<number, TaskSpec>();
  updatedConstraints = new Map<number, TaskConstraints>();
  startedAtMs = new Map<number, number>();
  lastRetryAtMs = new Map<number, number>();
  lastRequeueAtMs = new Map<number, number>();
  readonly #sharedConditions = new Map<string, ExitConditions>();

  /** How long its tasks run, ms, as far as this replica saw since it started; not part of the replicated state. */
  expectedRunMs: number | undefined;
  /** Set by the pool: a task of this job became ready. */
  onReady: (job: Job) => void = () => undefined;
  /** Set by the pool: a task that is not live is to be cancelled. */
  onCancelled: (job: Job, task: number) => void = () => undefined;
  /** Lies in the pool's queue of jobs. */
  queued = false;

  /** Loading only: adds and dependencies whose tasks, or their states, are not known yet. */
  loadingAdditions: { readonly first: number; readonly row: AdditionRow }[] = [];
  loadingDependsOn: { readonly task: number; readonly dependsOn: DependsOn }[] = [];

  constructor({ number, spec, version, nowMs }: NewJob) {
    this.number = number;
    this.id = spec.id;
    this.key = idKey(spec.id);
    this.createdAtMs = nowMs;
    this.stateAtMs = nowMs;
    this.version = version;
    this.modifiedAtMs = nowMs;
    this.priority = spec.priority ?? 0;
    this.maxParallelTasks = limitOf(spec.maxParallelTasks);
    this.allowTaskPreemption = spec.allowTaskPreemption;
    this.onAllTasksComplete = spec.onAllTasksComplete ?? 'noaction';
    this.constraints = spec.constraints ?? {};
    this.environment = spec.commonEnvironmentSettings ?? [];
    this.usesTaskDependencies = spec.usesTaskDependencies ?? false;
    this.performsExitActions = spec.onTaskFailure === 'performexitoptionsjobaction';
    this.onNodeCutOff = spec.onNodeCutOff ?? 'stop';
    this.preparation = spec.jobPreparationTask;
    this.release = spec.jobReleaseTask;
    this.manager = spec.jobManagerTask;
  }

  get lastTask(): number {
    return this.sweptBlocks === undefined ? this.table.last : this.#lastTask;
  }

  /** When its wall clock runs out, ms; undefined where it has none or has ended. */
  get deadlineMs(): number | undefined {
    if (this.isEnding) return undefined;
    const lengthMs =
      this.constraints.maxWallClockTime === undefined
        ? undefined
        : parseDuration(this.constraints.maxWallClockTime);
    return lengthMs === undefined || lengthMs === Number.POSITIVE_INFINITY
      ? undefined
      : this.createdAtMs + lengthMs;
  }

  get isEnding(): boolean {
    return this.state === 'terminating' || this.state === 'completed' || this.state === 'deleting';
  }

  /** Holds what nodes owe the pool itself; no client knows of it. */
  get isOwn(): boolean {
    return this.id === NODE_JOB_ID;
  }

  /** Nothing of it lives, be it of users or of nodes. */
  get isQuiet(): boolean {
    return this.live.size === 0 && this.nodeTasks.live.size === 0;
  }

  /** A node takes its tasks only once its preparation task succeeded there. */
  get waitsForPreparation(): boolean {
    return this.preparation !== undefined && this.preparation.waitForSuccess !== false;
  }

  /** The task that was added with the job. */
  isManager(task: number): boolean {
    return task === MANAGER_NUMBER && this.manager !== undefined;
  }

  /** Executions that may still be begun beside those that live. */
  get parallelLeft(): number {
    return this.maxParallelTasks - this.live.size;
  }

  slotsOf(task: number): number {
    return this.ready.slotsOf(task);
  }

  /** What a task asks of a node, as the index of its ready queue. */
  shapeOf(
    { requiredSlots, requiredLabels, multiInstanceSettings, containerSettings }: TaskSpec,
    task: number,
  ): number {
    const own: string[] = [];
    if (this.waitsForPreparation) own.push(preparedLabel(this.number));
    if (this.isManager(task) && this.manager?.allowLowPriorityNode === false) own.push(DEDICATED_LABEL);
    if (containerSettings !== undefined) own.push(CONTAINER_LABEL);
    const labels = own.length === 0 ? requiredLabels : [...own, ...(requiredLabels ?? [])];
    const instances =
      multiInstanceSettings === undefined ? 0 : (multiInstanceSettings.numberOfInstances ?? 1);
    return this.ready.shapeFor(requiredSlots ?? 1, labels, instances);
  }

  /** Derives whether a task is ready from everything that decides it. Call after any of that changed. */
  refresh(task: number): void {
    const { table } = this;
    if (this.nodeTasks.has(task)) return;
    const idle = table.isActive(task) && (table.flags(task) & (Flag.live | Flag.ghost | Flag.gone)) === 0;
    const cancelled = idle && this.dependencies.isCancelled(task);
    const becameReady = this.ready.set(task, idle && !cancelled && table.waitingOn(task) === 0);
    if (becameReady) this.onReady(this);
    if (cancelled) this.onCancelled(this, task);
  }

  /** Adds a task to the counts (`sign` 1) or takes it out (-1), as its columns are now. */
  tally(task: number, sign: 1 | -1): void {
    const state = this.table.state(task);
    tallyState(this.counts, state, sign);
    tallyState(this.slotCounts, state, sign * this.slotsOf(task));
    if (state !== 'completed') return;
    const result = this.table.flag(task, Flag.succeeded) ? 'succeeded' : 'failed';
    this.counts[result] += sign;
    this.slotCounts[result] += sign * this.slotsOf(task);
  }

  /** Tasks often share their exit conditions: one object stands for all equal ones. */
  setExitConditions(task: number, conditions: ExitConditions): void {
    const key = JSON.stringify(conditions);
    const shared = this.#sharedConditions.get(key) ?? conditions;
    if (shared === conditions) this.#sharedConditions.set(key, conditions);
    this.exitConditions.set(task, shared);
  }

  /** Forgets what is kept beside the columns. */
  forget(task: number): void {
    this.exitConditions.delete(task);
    this.affinities.delete(task);
    this.gangs.delete(task);
    this.updatedConstraints.delete(task);
    this.startedAtMs.delete(task);
    this.lastRetryAtMs.delete(task);
    this.lastRequeueAtMs.delete(task);
    this.dependencies.forget(task);
  }

  /** The job is being deleted and nothing of it lives: its tasks leave memory at once, its rows in slices. */
  dropTasks(sweptBlocks: number, lastTask: number): void {
    this.sweptBlocks = sweptBlocks;
    this.#lastTask = lastTask;
    this.table = new TaskTable();
    this.nodeTasks = new NodeTasks();
    this.ready = new ReadyQueues(this.table);
    this.dependencies = new Dependencies(this.table, (task) => this.refresh(task));
    this.counts = emptyTally();
    this.slotCounts = emptyTally();
    this.exitConditions = new Map();
    this.affinities = new Map();
    this.gangs = new Map();
    this.updatedConstraints = new Map();
    this.startedAtMs = new Map();
    this.lastRetryAtMs = new Map();
    this.lastRequeueAtMs = new Map();
    this.#sharedConditions.clear();
  }

  toRow(): JobRow {
    return {
      id: this.id,
      state: this.state,
      stateAtMs: this.stateAtMs,
      previousState: this.previousState ?? null,
      previousAtMs: this.previousAtMs,
      createdAtMs: this.createdAtMs,
      endedAtMs: this.endedAtMs ?? null,
      terminateReason: this.terminateReason ?? null,
      version: this.version,
      modifiedAtMs: this.modifiedAtMs,
      lastTask: this.lastTask,
      sweptBlocks: this.sweptBlocks ?? null,
      priority: this.priority,
      maxParallelTasks: this.maxParallelTasks === Number.POSITIVE_INFINITY ? -1 : this.maxParallelTasks,
      allowTaskPreemption: this.allowTaskPreemption ?? null,
      onAllTasksComplete: this.onAllTasksComplete,
      constraints: this.constraints,
      hasMetadataRow: this.hasMetadataRow,
    };
  }

  static fromRows(number: number, row: JobRow, spec: JobSpec): Job {
    const job = new Job({ number, spec, version: row.version, nowMs: row.createdAtMs });
    job.state = row.state;
    job.stateAtMs = row.stateAtMs;
    job.previousState = row.previousState ?? undefined;
    job.previousAtMs = row.previousAtMs;
    job.endedAtMs = row.endedAtMs ?? undefined;
    job.terminateReason = row.terminateReason ?? undefined;
    job.modifiedAtMs = row.modifiedAtMs;
    job.priority = row.priority;
    job.maxParallelTasks = limitOf(row.maxParallelTasks);
    job.allowTaskPreemption = row.allowTaskPreemption ?? undefined;
    job.onAllTasksComplete = row.onAllTasksComplete;
    job.constraints = row.constraints;
    job.hasMetadataRow = row.hasMetadataRow;
    if (row.sweptBlocks !== null) job.dropTasks(row.sweptBlocks, row.lastTask);
    return job;
  }
}

/** Number of the task that a job is added with, if it has a manager. */
const MANAGER_NUMBER = 1;

/** Azure's -1, and an absent limit, as a number to compare with. */
export function limitOf(maxParallelTasks: number | undefined): number {
  return maxParallelTasks === undefined || maxParallelTasks === -1
    ? Number.POSITIVE_INFINITY
    : maxParallelTasks;
}

export function emptyTally(): Tally {
  return { active: 0, running: 0, completed: 0, succeeded: 0, failed: 0 };
}

function tallyState(tally: Tally, state: TaskState, change: number): void {
  if (state === 'active') tally.active += change;
  else if (state === 'completed') tally.completed += change;
  else tally.running += change;
}
