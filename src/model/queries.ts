/** What can be read of a replicated state, at its leader, after a quorum confirmed it. Entities are neutral of HTTP: times in ms, no URLs. */

import type { ApplicationRecord } from './application.ts';
import type { AutoScaleEvaluation, AutoScaleQuestion, AutoScaleRun, AutoScaleSettings } from './autoscale.ts';
import type { BlobRecord, ContainerRecord } from './blob.ts';
import type { EntityStamp, MeshSettings, VotersReport } from './commands.ts';
import type { GroupId, MachineId } from './ids.ts';
import type { JobSpec, TaskCounts } from './job.ts';
import type { Allotment, MachineRecord, NodeFault } from './machine.ts';
import type { StartTask } from './node-task.ts';
import type { PoolSpec, ResizeError } from './pool.ts';
import type { JobScheduleSpec } from './schedule.ts';
import type {
  AllocationState,
  JobScheduleState,
  JobState,
  NodeState,
  PoolState,
  TaskState,
} from './states.ts';
import type { FailureInfo, KeptFile, TaskSpec } from './task.ts';

export interface PoolEntity extends EntityStamp {
  readonly spec: PoolSpec;
  readonly state: PoolState;
  readonly allocationState: AllocationState;
  readonly creationTimeMs: number;
  readonly stateTransitionTimeMs: number;
  readonly allocationStateTransitionTimeMs: number;
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
  readonly currentDedicatedNodes: number;
  readonly currentLowPriorityNodes: number;
  readonly resizeErrors: readonly ResizeError[];
  /** Present where automatic scaling is on. */
  readonly autoScale?: AutoScaleSettings;
  readonly autoScaleRun?: AutoScaleRun;
}

export interface MachineEntity extends MachineRecord {
  /** As the mesh coordinator sees it. */
  readonly alive: boolean;
  readonly nodes: readonly string[];
  readonly votesIn: readonly GroupId[];
}

export interface TokenEntity {
  readonly id: string;
  readonly expiresAtMs: number;
  readonly usesLeft: number;
  readonly createdBy: MachineId;
}

export interface GroupRecord {
  readonly group: GroupId;
  /** Its first voters: each of them starts the group with this configuration. Never changes within a generation. */
  readonly founders: readonly MachineId[];
  readonly voters: readonly MachineId[];
  /**
   * Who will vote after the change that the group's leader is about to make, or has under way. What the group decides by
   * is one of the two sets, so whoever takes a machine away must leave both their majority.
   */
  readonly next?: readonly MachineId[];
  /** Which of its leaders' reports this is: a later one, by term and then by number, voids an earlier one that is still on its way. */
  readonly report?: VotersReport;
  readonly generation: number;
}

export interface JobEntity extends EntityStamp {
  readonly spec: JobSpec;
  readonly state: JobState;
  readonly previousState?: JobState;
  readonly creationTimeMs: number;
  readonly stateTransitionTimeMs: number;
  readonly previousStateTransitionTimeMs?: number;
  readonly startTimeMs: number;
  readonly endTimeMs?: number;
  readonly terminateReason?: string;
  /** The job's number in its pool's group: the page token of lists and the name in execution keys. */
  readonly number: number;
  readonly counts: TaskCounts;
  readonly slotCounts: TaskCounts;
}

export interface JobScheduleEntity extends EntityStamp {
  readonly spec: JobScheduleSpec;
  readonly state: JobScheduleState;
  readonly previousState?: JobScheduleState;
  readonly creationTimeMs: number;
  readonly stateTransitionTimeMs: number;
  readonly previousStateTransitionTimeMs?: number;
  readonly endTimeMs?: number;
  /** Moments count from here. */
  readonly fromMs: number;
  /** Absent where no moment is left. In the past where the job before is still at work. */
  readonly nextRunTimeMs?: number;
  /** Jobs made so far: the number of the last one. */
  readonly jobs: number;
  readonly recentJob?: string;
}

export interface TaskEntity extends EntityStamp {
  readonly job: string;
  readonly pool: string;
  readonly spec: TaskSpec;
  readonly number: number;
  readonly state: TaskState;
  readonly previousState?: TaskState;
  readonly creationTimeMs: number;
  readonly stateTransitionTimeMs: number;
  readonly previousStateTransitionTimeMs?: number;
  /** The current or last execution; absent before the first. */
  readonly epoch?: number;
  readonly node?: string;
  readonly machine?: MachineId;
  readonly startTimeMs?: number;
  readonly endTimeMs?: number;
  readonly exitCode?: number;
  readonly result?: 'success' | 'failure';
  readonly failure?: FailureInfo;
  readonly retryCount: number;
  readonly lastRetryTimeMs?: number;
  readonly requeueCount: number;
  readonly lastRequeueTimeMs?: number;
  readonly files: readonly KeptFile[];
}

export interface NodeEntity {
  readonly id: string;
  readonly pool: string;
  readonly machine: MachineId;
  readonly state: NodeState;
  readonly schedulingState: 'enabled' | 'disabled';
  readonly stateTransitionTimeMs: number;
  readonly allocationTimeMs: number;
  readonly dedicated: boolean;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly slots: number;
  readonly labels: readonly string[];
  readonly runningTasks: number;
  readonly runningSlots: number;
  /** Assigned and not yet started. */
  readonly waitingTasks: number;
  readonly totalTasksRun: number;
  readonly totalTasksSucceeded: number;
  readonly lastBootTimeMs?: number;
  /** Why it is unusable. */
  readonly fault?: NodeFault;
  /** The start task that the node runs or ran; absent where its pool had none when it joined or restarted. */
  readonly startTask?: StartTask;
  readonly startTaskRun?: NodeTaskRun;
}

/** The present or last run of a task of a node. */
export interface NodeTaskRun {
  readonly state: 'running' | 'completed';
  readonly startTimeMs?: number;
  readonly endTimeMs?: number;
  readonly exitCode?: number;
  readonly failure?: FailureInfo;
  readonly result?: 'success' | 'failure';
  readonly retryCount: number;
  readonly lastRetryTimeMs?: number;
}

/** One instance of a multi-instance task beside the primary: its coordination command, and what that left running. */
export interface SubtaskEntity {
  /** 1 to one less than the number of instances. */
  readonly id: number;
  readonly pool: string;
  readonly node: string;
  readonly state: 'preparing' | 'running' | 'completed';
  readonly stateTransitionTimeMs: number;
  readonly previousState?: 'preparing' | 'running' | 'completed';
  readonly previousStateTransitionTimeMs?: number;
  readonly run: NodeTaskRun;
}

/** What a node did for a job before its first task there and after its last. */
export interface JobNodeEntity {
  /** Page token: the number of the preparation task. */
  readonly number: number;
  readonly pool: string;
  readonly node: string;
  readonly preparationId: string;
  readonly preparation: NodeTaskRun;
  readonly releaseId?: string;
  readonly release?: NodeTaskRun;
}

/** Why a task does not run: one line for each node. */
export interface Explanation {
  readonly state: TaskState;
  /** The task's own reason, if one holds whatever the node: blocked by dependencies, job disabled, job at maxParallelTasks… */
  readonly reasons: readonly { readonly rule: string; readonly detail: string; readonly remedy: string }[];
  readonly nodes: readonly {
    readonly node: string;
    readonly verdict: 'fits' | 'running' | 'refused';
    readonly rule?: string;
    readonly detail?: string;
    readonly remedy?: string;
  }[];
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Give it back as `after` for the next page; absent at the end. */
  readonly next?: number;
}

export interface PageRequest {
  /** An OData filter of the rows' own properties (model/filter.ts), or absent. */
  readonly filter?: string;
  readonly after?: number;
  readonly limit: number;
}

/** Queries of a pool's group: name -> [argument, answer]. Missing entities reject with their coded error. */
export interface PoolQueries {
  'job.get': [{ readonly job: string }, JobEntity];
  'job.list': [PageRequest, Page<JobEntity>];
  'task.get': [{ readonly job: string; readonly task: string }, TaskEntity];
  'task.list': [PageRequest & { readonly job: string }, Page<TaskEntity>];
  'task.explain': [{ readonly job: string; readonly task: string }, Explanation];
  /** In the order of their ids; none of a task that has one instance, or never ran. */
  'task.subtasks': [{ readonly job: string; readonly task: string }, readonly SubtaskEntity[]];
  /** Rejects with JobPreparationTaskOrReleaseTaskNotSpecified where the job has neither. */
  'job.nodes': [PageRequest & { readonly job: string }, Page<JobNodeEntity>];
  'node.get': [{ readonly node: string }, NodeEntity];
  'node.list': [PageRequest, Page<NodeEntity>];
  'pool.evaluateAutoScale': [AutoScaleQuestion, AutoScaleEvaluation];
  /** For an agent that must launch: cold specifications by number. Undefined where the task is gone. */
  'task.specs': [
    { readonly items: readonly { readonly job: number; readonly task: number }[] },
    readonly (TaskSpec | undefined)[],
  ];
}

export interface MeshQueries {
  settings: [Record<string, never>, MeshSettings];
  'pool.get': [{ readonly pool: string }, PoolEntity];
  'pool.list': [Record<string, never>, readonly PoolEntity[]];
  'machine.list': [Record<string, never>, readonly MachineEntity[]];
  'token.list': [Record<string, never>, readonly TokenEntity[]];
  'group.list': [Record<string, never>, readonly GroupRecord[]];
  /** The pool that a job id is reserved for; undefined if there is none. */
  'job.locate': [{ readonly job: string }, string | undefined];
  'schedule.get': [{ readonly schedule: string }, JobScheduleEntity];
  'schedule.list': [Record<string, never>, readonly JobScheduleEntity[]];
  'allotment.list': [{ readonly pool?: string }, readonly Allotment[]];
  'application.get': [{ readonly application: string }, ApplicationRecord];
  /** In the order of their ids. */
  'application.list': [Record<string, never>, readonly ApplicationRecord[]];
  'container.list': [Record<string, never>, readonly ContainerRecord[]];
  'blob.get': [{ readonly container: string; readonly name: string }, BlobRecord];
  'blob.list': [
    { readonly container: string; readonly prefix?: string; readonly after?: string; readonly limit: number },
    { readonly items: readonly BlobRecord[]; readonly next?: string },
  ];
}

export type Queries = PoolQueries & MeshQueries;
export type QueryName = keyof Queries;
