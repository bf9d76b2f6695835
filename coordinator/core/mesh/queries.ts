/** Reads of the mesh group's state; blobs come from rows, all else from memory. */
import { assertNever } from '../../../src/lib/assert.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { PAGE_ITEMS_MAX, STORE_KEY_LENGTH_MAX } from '../../../src/lib/limits.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import type { MachineId } from '../../../src/model/ids.ts';
import type { MachineEntity, MeshQueries, PoolEntity, TokenEntity } from '../../../src/model/queries.ts';
import { decode } from '../../../src/wire/codec.ts';
import type { RowReader } from '../interface.ts';
import type { BlobRow } from './blobs.ts';
import type { Member } from './members.ts';
import type { PoolRecord } from './pools.ts';
import { escapeBlobName } from './rows.ts';
import type { MeshState } from './state.ts';
import type { Token } from './tokens.ts';

const NAMES = [
  'settings',
  'pool.get',
  'pool.list',
  'machine.list',
  'token.list',
  'group.list',
  'job.locate',
  'schedule.get',
  'schedule.list',
  'allotment.list',
  'application.get',
  'application.list',
  'container.list',
  'blob.get',
  'blob.list',
] as const satisfies readonly (keyof MeshQueries)[];

type MeshQueryName = keyof MeshQueries;

/** What a query needs beside its argument. */
export interface QueryContext {
  readonly state: MeshState;
  readonly rows: RowReader;
  /** As this machine sees it: not part of the replicated state. */
  readonly alive: (machine: MachineId) => boolean;
}

export function isMeshQuery(name: string): name is MeshQueryName {
  return (NAMES as readonly string[]).includes(name);
}

/** Rejects with the coded error of what is missing. */
export async function queryMesh(
  context: QueryContext,
  name: MeshQueryName,
  argument: unknown,
): Promise<MeshQueries[MeshQueryName][1]> {
  const { state } = context;
  const text = textReader(argument);
  switch (name) {
    case 'settings':
      if (state.settings === undefined) throw new ShoalError('NotInitialized');
      return state.settings;
    case 'pool.get':
      return poolEntity(state, existingPool(state, text('pool')));
    case 'pool.list':
      return state.pools.all().map((pool) => poolEntity(state, pool));
    case 'machine.list':
      return byName(state.members.all(), (member) => member.name).map((member) =>
        machineEntity(context, member),
      );
    case 'token.list':
      return state.tokens.all().map(tokenEntity);
    case 'group.list':
      return state.groups.all();
    case 'job.locate':
      return state.directory.poolOf(text('job'));
    case 'schedule.get': {
      const schedule = state.schedules.get(text('schedule'));
      if (schedule === undefined)
        throw new ShoalError('JobScheduleNotFound', `There is no job schedule ${text('schedule')}.`);
      return schedule;
    }
    case 'schedule.list':
      return state.schedules.all();
    case 'allotment.list': {
      const pool = text.optional('pool');
      return pool === undefined ? state.allotments.all() : state.allotments.ofPool(pool);
    }
    case 'application.get': {
      const application = state.applications.get(text('application'));
      if (application === undefined)
        throw new ShoalError('ApplicationNotFound', `There is no application ${text('application')}.`);
      return application;
    }
    case 'application.list':
      return state.applications.all();
    case 'container.list':
      return byName(state.blobs.containers(), (container) => container.name);
    case 'blob.get':
      return getBlob(context, text('container'), text('name'));
    case 'blob.list':
      return listBlobs(context, {
        container: text('container'),
        prefix: text.optional('prefix') ?? '',
        after: text.optional('after'),
        limit: (argument as { limit?: unknown }).limit,
      });
    default:
      return assertNever(name);
  }
}

export function poolEntity(state: MeshState, pool: PoolRecord): PoolEntity {
  const counts = state.allotments.countOf(pool.spec.id);
  return {
    spec: pool.spec,
    state: pool.state,
    allocationState: pool.allocationState,
    eTag: pool.eTag,
    lastModifiedMs: pool.lastModifiedMs,
    creationTimeMs: pool.creationTimeMs,
    stateTransitionTimeMs: pool.stateTransitionTimeMs,
    allocationStateTransitionTimeMs: pool.allocationStateTransitionTimeMs,
    targetDedicatedNodes: pool.targetDedicatedNodes,
    targetLowPriorityNodes: pool.targetLowPriorityNodes,
    currentDedicatedNodes: counts.dedicated,
    currentLowPriorityNodes: counts.lowPriority,
    resizeErrors: pool.resizeErrors,
    ...(pool.autoScale !== undefined && { autoScale: pool.autoScale }),
    ...(pool.autoScaleRun !== undefined && { autoScaleRun: pool.autoScaleRun }),
  };
}

function machineEntity({ state, alive }: QueryContext, member: Member): MachineEntity {
  const { id, peer, name, capacity, addresses, version, joinedAtMs, scheduling } = member;
  return {
    id,
    peer,
    name,
    capacity,
    addresses,
    version,
    joinedAtMs,
    scheduling,
    alive: alive(id),
    nodes: state.allotments
      .onMachine(id)
      .map((allotment) => allotment.node)
      .sort(),
    votesIn: state.groups.votesOf(id),
  };
}

function tokenEntity({ id, expiresAtMs, usesLeft, createdBy }: Token): TokenEntity {
  return { id, expiresAtMs, usesLeft, createdBy };
}

function existingPool(state: MeshState, id: string): PoolRecord {
  const pool = state.pools.get(id);
  if (pool === undefined) throw new ShoalError('PoolNotFound', `There is no pool ${id}.`);
  return pool;
}

async function getBlob({ state, rows }: QueryContext, container: string, name: string): Promise<BlobRecord> {
  if (state.blobs.rowPrefix(container) === undefined) {
    throw new ShoalError('ContainerNotFound', `There is no container ${container}.`);
  }
  const key = state.blobs.rowKey(container, name);
  const row = key === undefined ? undefined : await rows.get(key);
  const record = row === undefined ? undefined : state.blobs.record(container, decode(row) as BlobRow);
  if (record === undefined)
    throw new ShoalError('BlobNotFound', `The container ${container} has no blob ${name}.`);
  return record;
}

/**
 * In the order of the escaped names, which is also the order of plain ones. `next` is the key of the page's last row;
 * for most names that is the name.
 */
async function listBlobs(
  { state, rows }: QueryContext,
  asked: { container: string; prefix: string; after: string | undefined; limit: unknown },
): Promise<MeshQueries['blob.list'][1]> {
  const { container, prefix, after, limit } = asked;
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > PAGE_ITEMS_MAX) {
    throw new ShoalError('OutOfRangeInput', `A page has between 1 and ${PAGE_ITEMS_MAX} blobs.`);
  }
  const base = state.blobs.rowPrefix(container);
  if (base === undefined) throw new ShoalError('ContainerNotFound', `There is no container ${container}.`);
  const escaped = escapeBlobName(prefix);
  const start = after === undefined ? undefined : base + after;
  if (escaped === undefined || (start !== undefined && !isRowKey(start))) {
    throw new ShoalError(
      'InvalidArgument',
      'The prefix is no well-formed text, or `after` was not given out by a page.',
    );
  }
  const items: BlobRecord[] = [];
  const scan = {
    prefix: base + state.blobs.keyPrefix(escaped),
    ...(start === undefined ? {} : { after: start }),
  };
  let last: string | undefined;
  for await (const [key, value] of rows.scan(scan)) {
    if (items.length === limit) return last === undefined ? { items } : { items, next: last };
    last = key.slice(base.length);
    const row = decode(value) as BlobRow;
    const record = row.name.startsWith(prefix) ? state.blobs.record(container, row) : undefined;
    if (record !== undefined) items.push(record);
  }
  return { items };
}

function isRowKey(text: string): boolean {
  return text.length <= STORE_KEY_LENGTH_MAX && /^[\x20-\x7e]*$/.test(text);
}

function byName<T>(items: readonly T[], name: (item: T) => string): T[] {
  return [...items].sort((a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0));
}

interface TextReader {
  (property: string): string;
  optional(property: string): string | undefined;
}

/** Arguments come over the wire: a property that is missing or no text is the asker's mistake, not a TypeError of ours. */
function textReader(argument: unknown): TextReader {
  const source = (typeof argument === 'object' && argument !== null ? argument : {}) as Record<
    string,
    unknown
  >;
  const optional = (property: string): string | undefined => {
    const value = source[property];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string')
      throw new ShoalError('InvalidArgument', `The argument ${property} is no text.`);
    return value;
  };
  const required = (property: string): string => {
    const value = optional(property);
    if (value === undefined) throw new ShoalError('InvalidArgument', `The argument ${property} is missing.`);
    return value;
  };
  return Object.assign(required, { optional });
}
