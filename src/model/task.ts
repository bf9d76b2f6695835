/** A task as a client adds it (Azure Batch's TaskAddParameter), and what one execution of it ends with. */
import Type, { type Static } from 'typebox';
import {
  COMMAND_LINE_BYTES_MAX,
  CONTAINER_URL_LENGTH_MAX,
  TASK_INSTANCES_MAX,
  TASK_SLOTS_PER_NODE_MAX,
} from '../lib/limits.ts';
import { ApplicationPackageReferences } from './application-schema.ts';
import { ContainerSettings } from './container.ts';
import { DisplayName, Duration, Echoed, Environment, Id, Int32 } from './schema.ts';

const strict = { additionalProperties: false } as const;

export const ResourceFile = Type.Object(
  {
    /** `http(s)://…`, or `mesh://<container>/<blob>` for a blob in the mesh's own storage. */
    httpUrl: Type.Optional(Type.String({ minLength: 1, maxLength: CONTAINER_URL_LENGTH_MAX })),
    /** A SAS URL of an Azure container, or `mesh://<container>`. */
    storageContainerUrl: Type.Optional(Type.String({ minLength: 1, maxLength: CONTAINER_URL_LENGTH_MAX })),
    /** The name of a container in the mesh's own storage. */
    autoStorageContainerName: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
    blobPrefix: Type.Optional(Type.String({ maxLength: 1024 })),
    filePath: Type.Optional(Type.String({ maxLength: 4096 })),
    /** Octal digits, default 0770. */
    fileMode: Type.Optional(Type.String({ pattern: '^[0-7]{3,4}$' })),
    identityReference: Type.Optional(Echoed),
  },
  strict,
);
export type ResourceFile = Static<typeof ResourceFile>;

export const OutputFile = Type.Object(
  {
    filePattern: Type.String({ minLength: 1, maxLength: 4096 }),
    destination: Type.Object(
      {
        container: Type.Object(
          {
            /** `mesh://<container>`, or a SAS URL of an Azure container. */
            containerUrl: Type.String({ minLength: 1, maxLength: CONTAINER_URL_LENGTH_MAX }),
            path: Type.Optional(Type.String({ maxLength: 1024 })),
            uploadHeaders: Type.Optional(
              Type.Array(
                Type.Object(
                  { name: Type.String({ maxLength: 256 }), value: Type.String({ maxLength: 4096 }) },
                  strict,
                ),
                { maxItems: 64 },
              ),
            ),
            identityReference: Type.Optional(Echoed),
          },
          strict,
        ),
      },
      strict,
    ),
    uploadOptions: Type.Object(
      { uploadCondition: Type.Enum(['tasksuccess', 'taskfailure', 'taskcompletion']) },
      strict,
    ),
  },
  strict,
);
export type OutputFile = Static<typeof OutputFile>;

export const ExitOptions = Type.Object(
  {
    jobAction: Type.Optional(Type.Enum(['none', 'disable', 'terminate'])),
    /** `cancel` is ours: dependents are completed with an error instead of waiting for ever. */
    dependencyAction: Type.Optional(Type.Enum(['satisfy', 'block', 'cancel'])),
  },
  strict,
);
export type ExitOptions = Static<typeof ExitOptions>;

export const ExitConditions = Type.Object(
  {
    exitCodes: Type.Optional(
      Type.Array(Type.Object({ code: Int32, exitOptions: ExitOptions }, strict), { maxItems: 256 }),
    ),
    exitCodeRanges: Type.Optional(
      Type.Array(Type.Object({ start: Int32, end: Int32, exitOptions: ExitOptions }, strict), {
        maxItems: 256,
      }),
    ),
    preProcessingError: Type.Optional(ExitOptions),
    fileUploadError: Type.Optional(ExitOptions),
    default: Type.Optional(ExitOptions),
  },
  strict,
);
export type ExitConditions = Static<typeof ExitConditions>;

export const TaskConstraints = Type.Object(
  {
    maxWallClockTime: Type.Optional(Duration),
    retentionTime: Type.Optional(Duration),
    /** -1: without limit. */
    maxTaskRetryCount: Type.Optional(Type.Integer({ minimum: -1, maximum: 2_147_483_647 })),
  },
  strict,
);
export type TaskConstraints = Static<typeof TaskConstraints>;

export const UserIdentity = Type.Object(
  {
    username: Type.Optional(Type.String({ maxLength: 64 })),
    autoUser: Type.Optional(
      Type.Object(
        {
          scope: Type.Optional(Type.Enum(['pool', 'task'])),
          elevationLevel: Type.Optional(Type.Enum(['nonadmin', 'admin'])),
        },
        strict,
      ),
    ),
  },
  strict,
);

/** A key for the operations of the task's own job, handed to it in its environment. */
export const AuthenticationTokenSettings = Type.Object(
  { access: Type.Array(Type.Enum(['job']), { maxItems: 1 }) },
  strict,
);

export const DependsOn = Type.Object(
  {
    taskIds: Type.Optional(Type.Array(Id)),
    taskIdRanges: Type.Optional(
      Type.Array(
        Type.Object(
          {
            start: Type.Integer({ minimum: 0, maximum: 2_147_483_647 }),
            end: Type.Integer({ minimum: 0, maximum: 2_147_483_647 }),
          },
          strict,
        ),
        { maxItems: 1_000 },
      ),
    ),
  },
  strict,
);
export type DependsOn = Static<typeof DependsOn>;

/** One task on several nodes at once: all of them run the coordination command, then the first runs the task. */
export const MultiInstanceSettings = Type.Object(
  {
    /** Default 1. */
    numberOfInstances: Type.Optional(Type.Integer({ minimum: 1, maximum: TASK_INSTANCES_MAX })),
    coordinationCommandLine: Type.String({ minLength: 1, maxLength: COMMAND_LINE_BYTES_MAX }),
    commonResourceFiles: Type.Optional(Type.Array(ResourceFile, { maxItems: 10_000 })),
  },
  strict,
);

export const TaskSpec = Type.Object(
  {
    id: Id,
    displayName: Type.Optional(DisplayName),
    commandLine: Type.String({ minLength: 1, maxLength: COMMAND_LINE_BYTES_MAX }),
    exitConditions: Type.Optional(ExitConditions),
    resourceFiles: Type.Optional(Type.Array(ResourceFile, { maxItems: 10_000 })),
    outputFiles: Type.Optional(Type.Array(OutputFile, { maxItems: 1_000 })),
    environmentSettings: Type.Optional(Environment),
    affinityInfo: Type.Optional(
      Type.Object({ affinityId: Type.String({ minLength: 1, maxLength: 256 }) }, strict),
    ),
    constraints: Type.Optional(TaskConstraints),
    requiredSlots: Type.Optional(Type.Integer({ minimum: 1, maximum: TASK_SLOTS_PER_NODE_MAX })),
    userIdentity: Type.Optional(UserIdentity),
    multiInstanceSettings: Type.Optional(MultiInstanceSettings),
    authenticationTokenSettings: Type.Optional(AuthenticationTokenSettings),
    dependsOn: Type.Optional(DependsOn),
    /** Brought to the node before the task runs, and kept there. */
    applicationPackageReferences: Type.Optional(ApplicationPackageReferences),
    containerSettings: Type.Optional(ContainerSettings),
    /** Ours: the task runs only on nodes whose machine carries all of these labels. */
    requiredLabels: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 63 }), { maxItems: 32 })),
  },
  strict,
);
/** Immutable once added, but for `constraints`. Durations are ISO 8601 text. */
export type TaskSpec = Static<typeof TaskSpec>;

/** Azure's TaskFailureInformation; `category` lower case. */
export interface FailureInfo {
  readonly category: 'usererror' | 'servererror';
  readonly code: string;
  readonly message: string;
  readonly details: readonly { readonly name: string; readonly value: string }[];
}

/** A file of a finished execution that outlives its node: inside the record where it is small, else a manifest in the chunk store. */
export interface KeptFile {
  /** Relative to the task's directory: `stdout.txt`, `wd/out.png`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly inline?: Uint8Array;
  /** SHA-256 of the manifest, hexadecimal. */
  readonly manifest?: string;
}

/** How one execution ended; recorded once. */
export interface TaskOutcome {
  /** Why it ended, as the scheduler must know it. */
  readonly kind:
    | 'exited' /** exitCode tells */
    | 'preProcessingError' /** inputs could not be had, or the program not be started */
    | 'fileUploadError' /** it exited, but an output could not be stored */
    | 'wallClock' /** killed at the end of maxWallClockTime */
    | 'killed' /** because the coordinator asked */
    | 'lost' /** lease over, runner died, node shut down: runs again, outside the retry count */;
  readonly exitCode?: number;
  /** Wall clock of the node, ms. */
  readonly startedAtMs?: number;
  readonly endedAtMs: number;
  readonly failure?: FailureInfo;
  readonly files: readonly KeptFile[];
}
