/**
 * Tasks that belong to a node rather than to a user's list: the pool's start task, a job's preparation and release
 * tasks (Azure Batch's StartTask, JobPreparationTask, JobReleaseTask), and the restarts of the node itself. Each runs
 * as an execution like any other; clients see it through its node or its job, never among the job's tasks.
 */
import Type, { type Static } from 'typebox';
import { COMMAND_LINE_BYTES_MAX } from '../lib/limits.ts';
import { ContainerSettings } from './container.ts';
import { Duration, Environment, Id } from './schema.ts';
import { ResourceFile, TaskConstraints, type TaskSpec, UserIdentity } from './task.ts';

const strict = { additionalProperties: false } as const;

const command = {
  commandLine: Type.String({ minLength: 1, maxLength: COMMAND_LINE_BYTES_MAX }),
  resourceFiles: Type.Optional(Type.Array(ResourceFile, { maxItems: 10_000 })),
  environmentSettings: Type.Optional(Environment),
  userIdentity: Type.Optional(UserIdentity),
  containerSettings: Type.Optional(ContainerSettings),
};

const RetryCount = Type.Integer({ minimum: -1, maximum: 2_147_483_647 });

export const StartTask = Type.Object(
  {
    ...command,
    /** Default 0; -1: without limit. */
    maxTaskRetryCount: Type.Optional(RetryCount),
    /** Default true: the node takes no task before this one succeeded. */
    waitForSuccess: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type StartTask = Static<typeof StartTask>;

export const JobPreparationTask = Type.Object(
  {
    /** Default `jobpreparation`. */
    id: Type.Optional(Id),
    ...command,
    constraints: Type.Optional(TaskConstraints),
    /** Default true: a node takes no task of the job before this one succeeded there. */
    waitForSuccess: Type.Optional(Type.Boolean()),
    /** Default true. */
    rerunOnNodeRebootAfterSuccess: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type JobPreparationTask = Static<typeof JobPreparationTask>;

export const JobReleaseTask = Type.Object(
  {
    /** Default `jobrelease`. */
    id: Type.Optional(Id),
    ...command,
    /** Default, and at most, PT15M. */
    maxWallClockTime: Type.Optional(Duration),
    retentionTime: Type.Optional(Duration),
  },
  strict,
);
export type JobReleaseTask = Static<typeof JobReleaseTask>;

export const PREPARATION_ID = 'jobpreparation';
export const RELEASE_ID = 'jobrelease';
/** Also the longest that is allowed (Azure Batch, "JobReleaseTask"). */
export const RELEASE_WALL_CLOCK_DEFAULT = 'PT15M';

/** What a task of a node is for. `reboot` ends what is left of the node's processes, `reimage` also empties its directory. */
export const NODE_TASK_ROLES = ['start', 'preparation', 'release', 'reboot', 'reimage', 'subtask'] as const;
export type NodeTaskRole = (typeof NODE_TASK_ROLES)[number];

export type NodeRestart = 'reboot' | 'reimage';

/**
 * The task as its row holds it and as it is dispatched. Those of users have no role; a client cannot give one, for the
 * schema of its tasks knows none.
 */
export type StoredTaskSpec = TaskSpec & {
  readonly role?: NodeTaskRole;
  readonly gang?: Subtask;
  /** Of all instances, in their order: told with the dispatch of a subtask or a primary. In no row. */
  readonly hosts?: readonly InstanceHost[];
};

/** Where an instance of a multi-instance task runs. */
export interface InstanceHost {
  /** As the machine's peers reach it; instances on one machine share it. */
  readonly address: string;
  /** The agent's own, at that address. */
  readonly port: number;
  readonly cores: number;
}

/** Place of a subtask in a multi-instance task. */
export interface Subtask {
  /** Number of the task. */
  readonly primary: number;
  /** 0 on the primary's node. */
  readonly instance: number;
  /** Log index of the entry that began this run of the task on its nodes. */
  readonly run: number;
  /** Ids, by instance. */
  readonly nodes: readonly string[];
}

export function startTaskSpec({ maxTaskRetryCount, waitForSuccess: _, ...start }: StartTask): TaskSpec {
  return { id: 'startup', ...start, constraints: { maxTaskRetryCount: maxTaskRetryCount ?? 0 } };
}

export function preparationSpec(preparation: JobPreparationTask): TaskSpec {
  const { waitForSuccess: _, rerunOnNodeRebootAfterSuccess: __, constraints, ...rest } = preparation;
  return {
    ...rest,
    id: preparation.id ?? PREPARATION_ID,
    constraints: { maxTaskRetryCount: 0, ...constraints },
  };
}

export function releaseSpec({ maxWallClockTime, retentionTime, ...rest }: JobReleaseTask): TaskSpec {
  return {
    ...rest,
    id: rest.id ?? RELEASE_ID,
    constraints: {
      maxTaskRetryCount: 0,
      maxWallClockTime: maxWallClockTime ?? RELEASE_WALL_CLOCK_DEFAULT,
      ...(retentionTime === undefined ? {} : { retentionTime }),
    },
  };
}
