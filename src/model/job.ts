/** A job as a client adds it (Azure Batch's JobAddParameter). */
import Type, { type Static } from 'typebox';
import { COMMAND_LINE_BYTES_MAX, TASK_SLOTS_PER_NODE_MAX } from '../lib/limits.ts';
import { ApplicationPackageReferences } from './application-schema.ts';
import { ContainerSettings } from './container.ts';
import { JobPreparationTask, JobReleaseTask } from './node-task.ts';
import { AutoPoolSpecification } from './pool.ts';
import { DisplayName, Duration, Echoed, Environment, Id, Metadata } from './schema.ts';
import {
  AuthenticationTokenSettings,
  OutputFile,
  ResourceFile,
  TaskConstraints,
  type TaskSpec,
  UserIdentity,
} from './task.ts';

const strict = { additionalProperties: false } as const;

export const JobConstraints = Type.Object(
  {
    maxWallClockTime: Type.Optional(Duration),
    maxTaskRetryCount: Type.Optional(Type.Integer({ minimum: -1, maximum: 2_147_483_647 })),
  },
  strict,
);
export type JobConstraints = Static<typeof JobConstraints>;

export const PoolInfo = Type.Object(
  { poolId: Type.Optional(Id), autoPoolSpecification: Type.Optional(AutoPoolSpecification) },
  strict,
);

const changeable = {
  priority: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })),
  /** -1: without limit. */
  maxParallelTasks: Type.Optional(
    Type.Union([Type.Literal(-1), Type.Integer({ minimum: 1, maximum: 2_147_483_647 })]),
  ),
  allowTaskPreemption: Type.Optional(Type.Boolean()),
  onAllTasksComplete: Type.Optional(Type.Enum(['noaction', 'terminatejob'])),
  constraints: Type.Optional(JobConstraints),
  metadata: Type.Optional(Metadata),
};

/** Added with its job, as the first of its tasks (Azure Batch's JobManagerTask). */
export const JobManagerTask = Type.Object(
  {
    id: Id,
    displayName: Type.Optional(DisplayName),
    commandLine: Type.String({ minLength: 1, maxLength: COMMAND_LINE_BYTES_MAX }),
    resourceFiles: Type.Optional(Type.Array(ResourceFile, { maxItems: 10_000 })),
    outputFiles: Type.Optional(Type.Array(OutputFile, { maxItems: 1_000 })),
    environmentSettings: Type.Optional(Environment),
    constraints: Type.Optional(TaskConstraints),
    requiredSlots: Type.Optional(Type.Integer({ minimum: 1, maximum: TASK_SLOTS_PER_NODE_MAX })),
    userIdentity: Type.Optional(UserIdentity),
    applicationPackageReferences: Type.Optional(ApplicationPackageReferences),
    containerSettings: Type.Optional(ContainerSettings),
    authenticationTokenSettings: Type.Optional(AuthenticationTokenSettings),
    /** Default true: its end, whatever it is, ends the job. */
    killJobOnCompletion: Type.Optional(Type.Boolean()),
    /** Default true: it takes all slots of its node. */
    runExclusive: Type.Optional(Type.Boolean()),
    /** Default true; false keeps it on dedicated nodes. */
    allowLowPriorityNode: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type JobManagerTask = Static<typeof JobManagerTask>;

/** `slots`: all of a node, where the pool says how many that is. */
export function managerSpec(manager: JobManagerTask, slots: number | undefined): TaskSpec {
  const { killJobOnCompletion: _, runExclusive, allowLowPriorityNode: __, ...spec } = manager;
  const requiredSlots =
    runExclusive === false ? spec.requiredSlots : Math.max(slots ?? 1, spec.requiredSlots ?? 1);
  return { ...spec, ...(requiredSlots === undefined ? {} : { requiredSlots }) };
}

export const JobSpec = Type.Object(
  {
    id: Id,
    displayName: Type.Optional(DisplayName),
    ...changeable,
    onTaskFailure: Type.Optional(Type.Enum(['noaction', 'performexitoptionsjobaction'])),
    commonEnvironmentSettings: Type.Optional(Environment),
    usesTaskDependencies: Type.Optional(Type.Boolean()),
    poolInfo: PoolInfo,
    networkConfiguration: Type.Optional(Echoed),
    jobManagerTask: Type.Optional(JobManagerTask),
    jobPreparationTask: Type.Optional(JobPreparationTask),
    jobReleaseTask: Type.Optional(JobReleaseTask),
    /** Ours: what a node does with the job's tasks while it is cut off from the coordinator. */
    onNodeCutOff: Type.Optional(Type.Enum(['stop', 'keep'])),
  },
  strict,
);
export type JobSpec = Static<typeof JobSpec>;

/** PATCH: what is absent stays. */
export const JobPatch = Type.Object({ ...changeable, poolInfo: Type.Optional(PoolInfo) }, strict);
export type JobPatch = Static<typeof JobPatch>;

/** PUT: what is absent returns to its default. */
export const JobUpdate = Type.Object({ ...changeable, poolInfo: PoolInfo }, strict);
export type JobUpdate = Static<typeof JobUpdate>;

export const DISABLE_TASKS_OPTIONS = ['requeue', 'terminate', 'wait'] as const;
export type DisableTasksOption = (typeof DISABLE_TASKS_OPTIONS)[number];

export interface TaskCounts {
  readonly active: number;
  readonly running: number;
  readonly completed: number;
  readonly succeeded: number;
  readonly failed: number;
}
