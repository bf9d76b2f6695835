/**
 * Azure Batch's entities as the API answers them (version 2022-10-01.16.0): the properties that this project's own
 * programs read. Times are ISO 8601 text. Every property but the id can be missing where `select` left it out.
 */

import type { Static } from 'typebox';
import type { ApplicationPackageReference } from '../model/application-schema.ts';
import type { PoolInfo } from '../model/job.ts';
import type { Schedule } from '../model/schedule.ts';
import type {
  AllocationState,
  JobScheduleState,
  JobState,
  NodeState,
  PoolState,
  TaskState,
} from '../model/states.ts';

export interface NameValue {
  readonly name: string;
  readonly value: string;
}

export interface PoolResource {
  readonly id: string;
  readonly displayName?: string;
  readonly state?: PoolState;
  readonly allocationState?: AllocationState;
  readonly vmSize?: string;
  readonly creationTime?: string;
  readonly currentDedicatedNodes?: number;
  readonly currentLowPriorityNodes?: number;
  readonly targetDedicatedNodes?: number;
  readonly targetLowPriorityNodes?: number;
  readonly taskSlotsPerNode?: number;
  /** Ours: a node on every machine, whatever the targets say. */
  readonly everyMachine?: boolean;
  /** Ours: as many slots as the node has cores, whatever `taskSlotsPerNode` says. */
  readonly slotsFromCores?: boolean;
  readonly enableAutoScale?: boolean;
  readonly autoScaleFormula?: string;
  readonly autoScaleEvaluationInterval?: string;
  /** Ours. */
  readonly autoScaleOnChange?: boolean;
  readonly autoScaleRun?: {
    readonly timestamp: string;
    readonly results?: string;
    readonly error?: { readonly values?: readonly NameValue[] };
  };
  readonly resizeErrors?: readonly { readonly code: string; readonly message: string }[];
  readonly startTask?: { readonly commandLine: string };
  readonly metadata?: readonly NameValue[];
  readonly applicationPackageReferences?: readonly ApplicationPackageReference[];
}

export interface NodeResource {
  readonly id: string;
  readonly state?: NodeState;
  readonly schedulingState?: 'enabled' | 'disabled';
  readonly stateTransitionTime?: string;
  readonly allocationTime?: string;
  readonly ipAddress?: string;
  readonly affinityId?: string;
  readonly vmSize?: string;
  readonly isDedicated?: boolean;
  readonly runningTasksCount?: number;
  readonly runningTaskSlotsCount?: number;
  readonly totalTasksRun?: number;
  readonly totalTasksSucceeded?: number;
  readonly lastBootTime?: string;
  readonly startTask?: { readonly commandLine: string };
  readonly startTaskInfo?: NodeTaskRunResource;
  /** Why it is unusable. */
  readonly errors?: readonly { readonly code: string; readonly message: string }[];
  /** Ours. */
  readonly shoal?: {
    readonly machine: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly slots: number;
    readonly labels: readonly string[];
    readonly waitingTasks: number;
  };
}

/** The run of a start, job preparation or job release task. */
export interface NodeTaskRunResource {
  readonly state?: 'running' | 'completed';
  readonly startTime?: string;
  readonly endTime?: string;
  readonly exitCode?: number;
  readonly result?: 'success' | 'failure';
  readonly retryCount?: number;
  readonly failureInfo?: { readonly code?: string; readonly message?: string };
}

/** What one node did for a job before its tasks and after them. */
export interface JobNodeResource {
  readonly poolId?: string;
  readonly nodeId?: string;
  readonly jobPreparationTaskExecutionInfo?: NodeTaskRunResource;
  readonly jobReleaseTaskExecutionInfo?: NodeTaskRunResource;
}

export interface JobResource {
  readonly id: string;
  readonly displayName?: string;
  readonly state?: JobState;
  readonly previousState?: JobState;
  readonly creationTime?: string;
  readonly priority?: number;
  readonly allowTaskPreemption?: boolean;
  readonly maxParallelTasks?: number;
  readonly onAllTasksComplete?: string;
  readonly poolInfo?: Static<typeof PoolInfo>;
  readonly executionInfo?: {
    readonly startTime?: string;
    readonly endTime?: string;
    readonly poolId?: string;
    readonly terminateReason?: string;
  };
  readonly metadata?: readonly NameValue[];
}

export interface JobScheduleResource {
  readonly id: string;
  readonly displayName?: string;
  readonly state?: JobScheduleState;
  readonly creationTime?: string;
  readonly schedule?: Schedule;
  readonly executionInfo?: {
    readonly nextRunTime?: string;
    readonly recentJob?: { readonly id: string; readonly url: string };
    readonly endTime?: string;
  };
  readonly metadata?: readonly NameValue[];
}

export interface TaskResource {
  readonly id: string;
  readonly state?: TaskState;
  readonly previousState?: TaskState;
  readonly creationTime?: string;
  readonly stateTransitionTime?: string;
  readonly commandLine?: string;
  readonly requiredSlots?: number;
  readonly multiInstanceSettings?: {
    readonly numberOfInstances?: number;
    readonly coordinationCommandLine: string;
  };
  readonly executionInfo?: {
    readonly startTime?: string;
    readonly endTime?: string;
    readonly exitCode?: number;
    readonly result?: 'success' | 'failure';
    readonly retryCount?: number;
    readonly requeueCount?: number;
    readonly failureInfo?: {
      readonly category: string;
      readonly code?: string;
      readonly message?: string;
      readonly details?: readonly NameValue[];
    };
  };
  readonly nodeInfo?: { readonly nodeId?: string; readonly poolId?: string };
  /** Ours: the present or last execution. */
  readonly shoal?: { readonly epoch: number; readonly machine?: string };
}

/** An instance of a multi-instance task beside the primary. */
export interface SubtaskResource {
  readonly id: number;
  readonly state?: 'preparing' | 'running' | 'completed';
  readonly startTime?: string;
  readonly endTime?: string;
  readonly exitCode?: number;
  readonly result?: 'success' | 'failure';
  readonly failureInfo?: { readonly code?: string; readonly message?: string };
  readonly nodeInfo?: {
    readonly nodeId?: string;
    readonly poolId?: string;
    readonly taskRootDirectory?: string;
  };
}

export interface TaskCountsResource {
  readonly active: number;
  readonly running: number;
  readonly completed: number;
  readonly succeeded: number;
  readonly failed: number;
}

export interface FileResource {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly properties?: {
    /** A 64-bit integer, so text. */
    readonly contentLength?: string;
    readonly lastModified?: string;
    readonly fileMode?: string;
  };
}

export interface ListAnswer<T> {
  readonly value: readonly T[];
  readonly 'odata.nextLink'?: string;
}

/** What `addtaskcollection` says of each task. */
export interface TaskAddAnswer {
  readonly taskId: string;
  readonly status: 'success' | 'clienterror' | 'servererror';
  readonly error?: {
    readonly code?: string;
    readonly message?: { readonly value?: string };
    readonly values?: readonly { readonly key: string; readonly value: string }[];
  };
}
