/** A job as a client adds it (Azure Batch's JobAddParameter). */
import Type, { type Static } from 'typebox';
import { AutoPoolSpecification } from './pool.ts';
import { DisplayName, Duration, Echoed, Environment, Id, Metadata } from './schema.ts';

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
