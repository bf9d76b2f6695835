/**
 * What a `$filter` may ask of each kind of entity (page "OData filters in Azure Batch"), and its evaluation over the
 * neutral entities of queries.ts. Property names are case-sensitive, text values are not.
 */
import { ShoalError } from '../lib/errors.ts';
import { parseTimestamp } from '../lib/timestamps.ts';
import type { FileEntry } from './control.ts';
import {
  type Comparison,
  FilterSyntaxError,
  type FilterTree,
  type Literal,
  parseFilter,
} from './filter-syntax.ts';
import type {
  JobEntity,
  JobNodeEntity,
  JobScheduleEntity,
  NodeEntity,
  NodeTaskRun,
  PoolEntity,
  TaskEntity,
} from './queries.ts';
import {
  ALLOCATION_STATES,
  JOB_SCHEDULE_STATES,
  JOB_STATES,
  NODE_STATES,
  POOL_STATES,
  TASK_STATES,
} from './states.ts';

/** An image as `GET /supportedimages` lists it; only what can be filtered. */
export interface ImageFacts {
  readonly nodeAgentSkuId: string;
  readonly operatingSystemType: string;
  readonly verificationType: string;
}

/** Kind of filter -> what its rows are. */
export interface FilterRows {
  pool: PoolEntity;
  job: JobEntity;
  jobSchedule: JobScheduleEntity;
  task: TaskEntity;
  node: NodeEntity;
  /** What a node did for a job before and after its tasks. */
  jobNode: JobNodeEntity;
  file: Pick<FileEntry, 'path'>;
  nodeCounts: { readonly pool: string };
  image: ImageFacts;
}
export type FilterKind = keyof FilterRows;

type Value = string | number | boolean | undefined;

/** A filterable property: how its values compare and where they come from. */
type Property<Row> = { readonly read: (row: Row) => Value } & (
  | { readonly type: 'id' | 'label' | 'time' | 'number' | 'boolean' | 'prefix' }
  | { readonly type: 'state'; readonly values: readonly string[] }
);

const EQUALITY: readonly Comparison[] = ['eq', 'ne'];
const ORDER: readonly Comparison[] = ['eq', 'ne', 'gt', 'ge', 'lt', 'le'];

/** Operators of each type of property, besides `startswith` for ids and prefixes. */
const OPERATORS: Readonly<Record<Property<never>['type'], readonly Comparison[]>> = {
  id: ORDER,
  label: EQUALITY,
  state: EQUALITY,
  time: ORDER,
  number: ORDER,
  boolean: EQUALITY,
  prefix: [],
};

/** Node states of newer API versions: legal in a filter, never true here. */
const NEWER_NODE_STATES = ['upgradingos', 'deallocating', 'deallocated'];

function momentOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseTimestamp(text);
}

/** What may be asked of the run of a task of a node. */
function runProperties<Row>(
  name: string,
  runOf: (row: Row) => NodeTaskRun | undefined,
): Readonly<Record<string, Property<Row>>> {
  return {
    [`${name}/state`]: { type: 'state', values: ['running', 'completed'], read: (row) => runOf(row)?.state },
    [`${name}/startTime`]: { type: 'time', read: (row) => runOf(row)?.startTimeMs },
    [`${name}/endTime`]: { type: 'time', read: (row) => runOf(row)?.endTimeMs },
    [`${name}/exitCode`]: { type: 'number', read: (row) => runOf(row)?.exitCode },
    [`${name}/result`]: { type: 'state', values: ['success', 'failure'], read: (row) => runOf(row)?.result },
  };
}

const PROPERTIES: { readonly [K in FilterKind]: Readonly<Record<string, Property<FilterRows[K]>>> } = {
  pool: {
    id: { type: 'id', read: (pool) => pool.spec.id },
    state: { type: 'state', values: POOL_STATES, read: (pool) => pool.state },
    allocationState: { type: 'state', values: ALLOCATION_STATES, read: (pool) => pool.allocationState },
    stateTransitionTime: { type: 'time', read: (pool) => pool.stateTransitionTimeMs },
    allocationStateTransitionTime: { type: 'time', read: (pool) => pool.allocationStateTransitionTimeMs },
    creationTime: { type: 'time', read: (pool) => pool.creationTimeMs },
    lastModified: { type: 'time', read: (pool) => pool.lastModifiedMs },
    vmSize: { type: 'label', read: (pool) => pool.spec.vmSize },
    enableAutoScale: { type: 'boolean', read: (pool) => pool.autoScale !== undefined },
    enableInterNodeCommunication: {
      type: 'boolean',
      read: (pool) => pool.spec.enableInterNodeCommunication ?? false,
    },
  },
  job: {
    id: { type: 'id', read: (job) => job.spec.id },
    state: { type: 'state', values: JOB_STATES, read: (job) => job.state },
    stateTransitionTime: { type: 'time', read: (job) => job.stateTransitionTimeMs },
    creationTime: { type: 'time', read: (job) => job.creationTimeMs },
    lastModified: { type: 'time', read: (job) => job.lastModifiedMs },
    'executionInfo/startTime': { type: 'time', read: (job) => job.startTimeMs },
    'executionInfo/endTime': { type: 'time', read: (job) => job.endTimeMs },
    'executionInfo/poolId': { type: 'id', read: (job) => job.spec.poolInfo.poolId },
  },
  jobSchedule: {
    id: { type: 'id', read: (schedule) => schedule.spec.id },
    state: { type: 'state', values: JOB_SCHEDULE_STATES, read: (schedule) => schedule.state },
    stateTransitionTime: { type: 'time', read: (schedule) => schedule.stateTransitionTimeMs },
    creationTime: { type: 'time', read: (schedule) => schedule.creationTimeMs },
    lastModified: { type: 'time', read: (schedule) => schedule.lastModifiedMs },
    'executionInfo/endTime': { type: 'time', read: (schedule) => schedule.endTimeMs },
    'schedule/doNotRunUntil': { type: 'time', read: ({ spec }) => momentOf(spec.schedule.doNotRunUntil) },
    'schedule/doNotRunAfter': { type: 'time', read: ({ spec }) => momentOf(spec.schedule.doNotRunAfter) },
  },
  task: {
    id: { type: 'id', read: (task) => task.spec.id },
    state: { type: 'state', values: TASK_STATES, read: (task) => task.state },
    stateTransitionTime: { type: 'time', read: (task) => task.stateTransitionTimeMs },
    creationTime: { type: 'time', read: (task) => task.creationTimeMs },
    lastModifiedTime: { type: 'time', read: (task) => task.lastModifiedMs },
    lastModified: { type: 'time', read: (task) => task.lastModifiedMs },
    'executionInfo/startTime': { type: 'time', read: (task) => task.startTimeMs },
    'executionInfo/endTime': { type: 'time', read: (task) => task.endTimeMs },
    'executionInfo/exitCode': { type: 'number', read: (task) => task.exitCode },
    'executionInfo/result': { type: 'state', values: ['success', 'failure'], read: (task) => task.result },
    /** Ours: what a node runs or ran. */
    'nodeInfo/nodeId': { type: 'id', read: (task) => task.node },
  },
  node: {
    /** Ours. */
    id: { type: 'id', read: (node) => node.id },
    state: { type: 'state', values: [...NODE_STATES, ...NEWER_NODE_STATES], read: (node) => node.state },
    stateTransitionTime: { type: 'time', read: (node) => node.stateTransitionTimeMs },
    allocationTime: { type: 'time', read: (node) => node.allocationTimeMs },
    lastBootTime: { type: 'time', read: (node) => node.lastBootTimeMs },
    ...runProperties<NodeEntity>('startTaskInfo', (node) => node.startTaskRun),
  },
  jobNode: {
    poolId: { type: 'label', read: (row) => row.pool },
    nodeId: { type: 'label', read: (row) => row.node },
    ...runProperties<JobNodeEntity>('jobPreparationTaskExecutionInfo', (row) => row.preparation),
    ...runProperties<JobNodeEntity>('jobReleaseTaskExecutionInfo', (row) => row.release),
  },
  file: { name: { type: 'prefix', read: (file) => file.path } },
  nodeCounts: { poolId: { type: 'label', read: (row) => row.pool } },
  image: {
    nodeAgentSKUId: { type: 'label', read: (image) => image.nodeAgentSkuId },
    osType: { type: 'label', read: (image) => image.operatingSystemType },
    verificationType: { type: 'label', read: (image) => image.verificationType },
  },
};

/** The names that a filter of this kind may use, for the documentation. */
export function filterableProperties(kind: FilterKind): readonly string[] {
  return Object.keys(PROPERTIES[kind]);
}

/**
 * A test of one row. Throws `InvalidQueryParameterValue` naming the column, and what would be right, where the text
 * is no filter of this kind.
 */
export function compileFilter<K extends FilterKind>(kind: K, text: string): Filter<FilterRows[K]> {
  try {
    const tree = parseFilter(text);
    const matches = compile<FilterRows[K]>(tree, PROPERTIES[kind]);
    return Object.assign(matches, { comparisons: comparisonsOf(tree) });
  } catch (thrown) {
    if (!(thrown instanceof FilterSyntaxError)) throw thrown;
    const reason = `Column ${thrown.column}: ${thrown.message}.`;
    throw new ShoalError('InvalidQueryParameterValue', `The $filter is not valid. ${reason}`, {
      QueryParameterName: '$filter',
      QueryParameterValue: text.slice(0, 256),
      Reason: reason,
    });
  }
}

/** A test of one row. */
export interface Filter<Row> {
  (row: Row): boolean;
  /** Made for one row, at most. */
  readonly comparisons: number;
}

function comparisonsOf(tree: FilterTree): number {
  return tree.kind === 'and' || tree.kind === 'or' ? comparisonsOf(tree.left) + comparisonsOf(tree.right) : 1;
}

type Properties<Row> = Readonly<Record<string, Property<Row>>>;

function compile<Row>(tree: FilterTree, properties: Properties<Row>): (row: Row) => boolean {
  if (tree.kind === 'startsWith') return compileStartsWith(tree, properties);
  if (tree.kind === 'compare') return compileComparison(tree, properties);
  const left = compile(tree.left, properties);
  const right = compile(tree.right, properties);
  return tree.kind === 'and' ? (row) => left(row) && right(row) : (row) => left(row) || right(row);
}

function propertyOf<Row>(name: string, at: number, properties: Properties<Row>): Property<Row> {
  const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (property !== undefined) return property;
  throw new FilterSyntaxError(
    at,
    `'${name}' cannot be filtered here; ${Object.keys(properties).join(', ')} can`,
  );
}

function compileStartsWith<Row>(
  tree: FilterTree & { readonly kind: 'startsWith' },
  properties: Properties<Row>,
): (row: Row) => boolean {
  const property = propertyOf(tree.property, tree.at, properties);
  if (property.type !== 'id' && property.type !== 'prefix') {
    throw new FilterSyntaxError(tree.at, `startswith does not apply to '${tree.property}'`);
  }
  const prefix = tree.prefix.toLowerCase();
  return (row) => {
    const value = property.read(row);
    return typeof value === 'string' && value.toLowerCase().startsWith(prefix);
  };
}

function compileComparison<Row>(
  tree: FilterTree & { readonly kind: 'compare' },
  properties: Properties<Row>,
): (row: Row) => boolean {
  const property = propertyOf(tree.property, tree.at, properties);
  const allowed = OPERATORS[property.type];
  if (!allowed.includes(tree.comparison)) {
    const legal = allowed.length === 0 ? 'startswith' : allowed.join(', ');
    throw new FilterSyntaxError(
      tree.at,
      `'${tree.comparison}' does not apply to '${tree.property}'; use ${legal}`,
    );
  }
  const wanted = literalFor(property, tree.property, tree.literal, tree.at);
  const read = property.read;
  const compare = comparator(tree.comparison, wanted);
  if (typeof wanted !== 'string') return (row) => compare(read(row));
  return (row) => {
    const value = read(row);
    return compare(typeof value === 'string' ? value.toLowerCase() : value);
  };
}

/** A property without a value equals nothing and is neither greater nor smaller: only `ne` holds for it. */
function comparator(comparison: Comparison, wanted: string | number | boolean): (value: Value) => boolean {
  switch (comparison) {
    case 'eq':
      return (value) => value === wanted;
    case 'ne':
      return (value) => value !== wanted;
    case 'gt':
      return (value) => value !== undefined && value > wanted;
    case 'ge':
      return (value) => value !== undefined && value >= wanted;
    case 'lt':
      return (value) => value !== undefined && value < wanted;
    case 'le':
      return (value) => value !== undefined && value <= wanted;
  }
}

/** The literal as the property's own type; text in lower case. */
function literalFor<Row>(
  property: Property<Row>,
  name: string,
  literal: Literal,
  at: number,
): string | number | boolean {
  const wrong = (wanted: string): never => {
    throw new FilterSyntaxError(at, `'${name}' is compared with ${wanted}`);
  };
  switch (property.type) {
    case 'id':
    case 'label':
    case 'prefix':
      return literal.type === 'text' ? literal.value.toLowerCase() : wrong('a string');
    case 'state': {
      const value = literal.type === 'text' ? literal.value.toLowerCase() : wrong('a string');
      return property.values.includes(value) ? value : wrong(`one of ${property.values.join(', ')}`);
    }
    case 'time': {
      if (literal.type === 'time') return literal.value;
      const value = literal.type === 'text' ? parseTimestamp(literal.value) : undefined;
      return value ?? wrong("a moment such as DateTime'2026-01-31T12:00:00Z'");
    }
    case 'number':
      return literal.type === 'number' ? literal.value : wrong('a number');
    case 'boolean':
      return literal.type === 'boolean' ? literal.value : wrong('true or false');
  }
}
