/**
 * The shape of each command. What reaches the log came from a member of the mesh, but an entry that made `apply` throw
 * would do so on every replica, at every start, for ever: so nothing but values of these shapes gets past the gate.
 */
import Type, { type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { TASK_INSTANCES_MAX, TASKS_PER_ADD_EXTENDED_MAX } from '../../../src/lib/limits.ts';
import type { PoolCommand } from '../../../src/model/commands.ts';
import { JOB_REFERENCE_PATTERN } from '../../../src/model/ids.ts';
import { JobPatch, JobSpec, JobUpdate } from '../../../src/model/job.ts';
import { StartTask } from '../../../src/model/node-task.ts';
import { TaskConstraints, TaskSpec } from '../../../src/model/task.ts';

/** A schedule makes jobs under ids that nobody can ask for. */
const StoredJobSpec = Type.Object(
  { ...JobSpec.properties, id: Type.String({ pattern: JOB_REFERENCE_PATTERN }) },
  { additionalProperties: false },
);

const Text = Type.String({ maxLength: 4096 });
const Whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Items = { maxItems: 100_000 } as const;

const Condition = Type.Object({
  ifMatch: Type.Optional(Text),
  ifNoneMatch: Type.Optional(Text),
  ifModifiedSinceMs: Type.Optional(Type.Number()),
  ifUnmodifiedSinceMs: Type.Optional(Type.Number()),
});
const ofJob = { job: Text, condition: Type.Optional(Condition) };
const ofTask = { ...ofJob, task: Text };

const DeallocationOption = Type.Enum(['requeue', 'terminate', 'taskcompletion', 'retaineddata']);
const Node = Type.Object({
  node: Text,
  machine: Text,
  cores: Whole,
  memoryBytes: Type.Number(),
  slots: Type.Integer({ minimum: 1, maximum: 65_535 }),
  dedicated: Type.Boolean(),
  labels: Type.Array(Text),
  allottedAtMs: Type.Number(),
  leaving: Type.Optional(
    Type.Object({
      option: DeallocationOption,
      reason: Type.Enum(['resize', 'preempted', 'drain', 'poolDeleted']),
    }),
  ),
});
/** The mesh group checked the pool's specification; here only what is read of it. */
const Pool = Type.Object({
  id: Text,
  exists: Type.Boolean(),
  deleting: Type.Boolean(),
  spec: Type.Optional(
    Type.Object({
      taskSlotsPerNode: Type.Optional(Whole),
      enableInterNodeCommunication: Type.Optional(Type.Boolean()),
      slotsFromCores: Type.Optional(Type.Boolean()),
      startTask: Type.Optional(StartTask),
      taskSchedulingPolicy: Type.Optional(Type.Object({ nodeFillType: Type.Enum(['spread', 'pack']) })),
    }),
  ),
});

const Failure = Type.Object({
  category: Type.Enum(['usererror', 'servererror']),
  code: Text,
  message: Type.String(),
  details: Type.Array(Type.Object({ name: Type.String(), value: Type.String() })),
});
const KeptFile = Type.Object({ path: Type.String(), sizeBytes: Type.Number() });
const TaskOutcome = Type.Object({
  kind: Type.Enum(['exited', 'preProcessingError', 'fileUploadError', 'wallClock', 'killed', 'lost']),
  exitCode: Type.Optional(Type.Integer()),
  startedAtMs: Type.Optional(Type.Number()),
  endedAtMs: Type.Number(),
  failure: Type.Optional(Failure),
  files: Type.Array(KeptFile),
});
const ReportItem = Type.Object({
  job: Type.Number(),
  task: Type.Number(),
  epoch: Type.Number(),
  startedAtMs: Type.Optional(Type.Number()),
  coordinated: Type.Optional(Type.Literal(true)),
  outcome: Type.Optional(TaskOutcome),
});
const Assignment = Type.Object({
  job: Type.Number(),
  task: Type.Number(),
  node: Text,
  others: Type.Optional(Type.Array(Text, { maxItems: TASK_INSTANCES_MAX - 1 })),
});

const Preemption = Type.Object({ forJob: Whole, job: Whole, task: Whole, epoch: Whole });

/** Of an added task the rest is checked for each by itself: one that is wrong must not keep the others out. */
const AddedTask = Type.Object({ id: Text });

const SHAPES: Readonly<Record<PoolCommand['kind'], TSchema>> = {
  mirror: Type.Object({
    meshIndex: Whole,
    pool: Pool,
    nodes: Type.Array(Node, Items),
    removed: Type.Array(Text, Items),
  }),
  'job.add': Type.Object({ spec: StoredJobSpec }),
  'job.patch': Type.Object({ ...ofJob, patch: JobPatch }),
  'job.update': Type.Object({ ...ofJob, update: JobUpdate }),
  'job.disable': Type.Object({ ...ofJob, disableTasks: Type.Enum(['requeue', 'terminate', 'wait']) }),
  'job.enable': Type.Object(ofJob),
  'job.terminate': Type.Object({ ...ofJob, reason: Text }),
  'job.delete': Type.Object(ofJob),
  'task.add': Type.Object({
    job: Text,
    tasks: Type.Array(AddedTask, { maxItems: TASKS_PER_ADD_EXTENDED_MAX }),
  }),
  'task.update': Type.Object({ ...ofTask, constraints: TaskConstraints }),
  'task.terminate': Type.Object(ofTask),
  'task.delete': Type.Object(ofTask),
  'task.reactivate': Type.Object(ofTask),
  assign: Type.Object({ items: Type.Array(Assignment, Items) }),
  preempt: Type.Object({ items: Type.Array(Preemption, Items) }),
  report: Type.Object({ node: Text, items: Type.Array(ReportItem, Items) }),
  'node.lost': Type.Object({ node: Text }),
  'node.heard': Type.Object({
    node: Text,
    boot: Type.Optional(Whole),
    fault: Type.Optional(Type.Union([Type.Object({ code: Text, message: Text }), Type.Null()])),
  }),
  'node.restart': Type.Object({
    node: Text,
    how: Type.Enum(['reboot', 'reimage']),
    option: DeallocationOption,
  }),
  'node.scheduling': Type.Object({
    node: Text,
    enabled: Type.Boolean(),
    option: Type.Enum(['requeue', 'terminate', 'taskcompletion']),
  }),
  sweep: Type.Object({ limit: Type.Number() }),
};

type Checker = ReturnType<typeof Compile<TSchema>>;
/** Compiled when first needed: all of them at once would hold up the start. */
const checkers = new Map<TSchema, Checker>();

/** What is wrong with the command; undefined where it has the shape of its kind. */
export function commandFault(command: unknown): string | undefined {
  const kind =
    typeof command === 'object' && command !== null
      ? (command as { readonly kind?: unknown }).kind
      : undefined;
  if (typeof kind !== 'string' || !Object.hasOwn(SHAPES, kind)) {
    return `a pool's group has no command ${String(kind).slice(0, 64)}`;
  }
  return faultOf(SHAPES[kind as PoolCommand['kind']], command);
}

/** The same for one task of a `task.add`. */
export function taskFault(task: unknown): string | undefined {
  return faultOf(TaskSpec, task);
}

function faultOf(schema: TSchema, value: unknown): string | undefined {
  let checker = checkers.get(schema);
  if (checker === undefined) {
    checker = Compile(schema);
    checkers.set(schema, checker);
  }
  if (checker.Check(value)) return undefined;
  const first = checker.Errors(value)[0];
  return `${first?.instancePath ?? ''} ${first?.message ?? 'has the wrong shape'}`.trim().slice(0, 256);
}
