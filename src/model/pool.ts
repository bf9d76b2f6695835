/** A pool as a client adds it (Azure Batch's PoolAddParameter): a wish for like nodes over a fixed estate. */
import Type, { type Static } from 'typebox';
import {
  AUTOSCALE_FORMULA_ACCEPTED_LENGTH_MAX,
  POOL_NODES_MAX,
  TASK_SLOTS_PER_NODE_MAX,
} from '../lib/limits.ts';
import { ApplicationPackageReferences } from './application-schema.ts';
import { StartTask } from './node-task.ts';
import { DisplayName, Duration, Echoed, Id, Metadata } from './schema.ts';

const strict = { additionalProperties: false } as const;

/** What a client sets of automatic scaling. */
export const AutoScaleChange = Type.Object(
  {
    autoScaleFormula: Type.Optional(Type.String({ maxLength: AUTOSCALE_FORMULA_ACCEPTED_LENGTH_MAX })),
    autoScaleEvaluationInterval: Type.Optional(Duration),
    /** Ours: evaluated also when tasks or nodes of the pool change, not only at each interval. */
    autoScaleOnChange: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type AutoScaleChange = Static<typeof AutoScaleChange>;

export const PoolSpec = Type.Object(
  {
    id: Id,
    displayName: Type.Optional(DisplayName),
    /** Read by `vm-size.ts`: an Azure name, `machine`, or `shoal.<n>c<m>g`. */
    vmSize: Type.String({ minLength: 1, maxLength: 64 }),
    targetDedicatedNodes: Type.Optional(Type.Integer({ minimum: 0, maximum: POOL_NODES_MAX })),
    targetLowPriorityNodes: Type.Optional(Type.Integer({ minimum: 0, maximum: POOL_NODES_MAX })),
    /** Ours: a node on every machine, also on those that join later. */
    everyMachine: Type.Optional(Type.Boolean()),
    resizeTimeout: Type.Optional(Duration),
    taskSlotsPerNode: Type.Optional(Type.Integer({ minimum: 1, maximum: TASK_SLOTS_PER_NODE_MAX })),
    /** Ours: as many slots as the node has cores, whatever the machine. */
    slotsFromCores: Type.Optional(Type.Boolean()),
    taskSchedulingPolicy: Type.Optional(Type.Object({ nodeFillType: Type.Enum(['spread', 'pack']) }, strict)),
    enableInterNodeCommunication: Type.Optional(Type.Boolean()),
    metadata: Type.Optional(Metadata),
    startTask: Type.Optional(StartTask),
    /** On every node of the pool before a task runs there. */
    applicationPackageReferences: Type.Optional(ApplicationPackageReferences),
    /** Targets come from a formula instead: see `autoscale.ts`. */
    enableAutoScale: Type.Optional(Type.Boolean()),
    ...AutoScaleChange.properties,
    /** Ours: nodes only on machines that carry all of these labels. */
    requiredLabels: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 63 }), { maxItems: 32 })),
    virtualMachineConfiguration: Type.Optional(Echoed),
    cloudServiceConfiguration: Type.Optional(Echoed),
    networkConfiguration: Type.Optional(Echoed),
    targetNodeCommunicationMode: Type.Optional(Echoed),
  },
  strict,
);
export type PoolSpec = Static<typeof PoolSpec>;

const { id: _, ...ofAnyPool } = PoolSpec.properties;

export const AutoPoolSpecification = Type.Object(
  {
    autoPoolIdPrefix: Type.Optional(Type.String({ maxLength: 20, pattern: '^[A-Za-z0-9_-]+$' })),
    poolLifetimeOption: Type.Enum(['job', 'jobschedule']),
    keepAlive: Type.Optional(Type.Boolean()),
    pool: Type.Object(ofAnyPool, strict),
  },
  strict,
);

/** What nodes were made by: it changes only while the pool has none and asks for none. */
const ofEmptyPool = {
  vmSize: PoolSpec.properties.vmSize,
  taskSlotsPerNode: PoolSpec.properties.taskSlotsPerNode,
  taskSchedulingPolicy: PoolSpec.properties.taskSchedulingPolicy,
  enableInterNodeCommunication: PoolSpec.properties.enableInterNodeCommunication,
  virtualMachineConfiguration: PoolSpec.properties.virtualMachineConfiguration,
};
export const CHANGED_ONLY_WHEN_EMPTY = Object.keys(ofEmptyPool) as readonly (keyof typeof ofEmptyPool)[];

export const PoolPatch = Type.Object(
  {
    metadata: Type.Optional(Metadata),
    displayName: Type.Optional(DisplayName),
    /** For nodes that join or restart from now on; null takes it away. */
    startTask: Type.Optional(Type.Union([StartTask, Type.Null()])),
    applicationPackageReferences: Type.Optional(ApplicationPackageReferences),
    networkConfiguration: Type.Optional(Echoed),
    targetNodeCommunicationMode: Type.Optional(Echoed),
    ...ofEmptyPool,
    vmSize: Type.Optional(PoolSpec.properties.vmSize),
  },
  strict,
);
export type PoolPatch = Static<typeof PoolPatch>;

export const NODE_DEALLOCATION_OPTIONS = ['requeue', 'terminate', 'taskcompletion', 'retaineddata'] as const;
export type NodeDeallocationOption = (typeof NODE_DEALLOCATION_OPTIONS)[number];

export const PoolResize = Type.Object(
  {
    targetDedicatedNodes: Type.Optional(Type.Integer({ minimum: 0, maximum: POOL_NODES_MAX })),
    targetLowPriorityNodes: Type.Optional(Type.Integer({ minimum: 0, maximum: POOL_NODES_MAX })),
    resizeTimeout: Type.Optional(Duration),
    nodeDeallocationOption: Type.Optional(
      Type.Enum(['requeue', 'terminate', 'taskcompletion', 'retaineddata']),
    ),
  },
  strict,
);
export type PoolResize = Static<typeof PoolResize>;

export interface ResizeError {
  readonly code: string;
  readonly message: string;
}
