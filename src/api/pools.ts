/** Routes of pools. */
import Type from 'typebox';
import { ShoalError } from '../lib/errors.ts';
import { REMOVE_NODES_MAX } from '../lib/limits.ts';
import { ApplicationPackageReferences } from '../model/application-schema.ts';
import type { EntityStamp } from '../model/commands.ts';
import { idKey, isValidId, MESH_GROUP } from '../model/ids.ts';
import { StartTask } from '../model/node-task.ts';
import { unwrap } from '../model/outcome.ts';
import { NODE_DEALLOCATION_OPTIONS, PoolPatch, PoolResize, PoolSpec } from '../model/pool.ts';
import type { PoolEntity } from '../model/queries.ts';
import { DisplayName, Duration, Echoed, Metadata } from '../model/schema.ts';
import { isRecord } from './case.ts';
import { isNotModified, readCondition } from './conditions.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata, poolUrl } from './entity-url.ts';
import { LIST_QUERY, matcherOf } from './list-query.ts';
import { listAnswer, pageByKey, readPageWish } from './paging.ts';
import { renderPool } from './render-pool.ts';
import { type Answer, type Call, empty, json, param, type Route } from './route.ts';
import { selector } from './select.ts';
import { type MeshStampCommand, stampHeaders } from './stamps.ts';
import { poolStats } from './usage.ts';
import { bodyReader } from './validate.ts';

/** Of PoolAddParameter and its kin, what needs a feature that this mesh has not. */
const NOT_YET = [
  'applicationLicenses',
  'certificateReferences',
  'userAccounts',
  'mountConfiguration',
  'identity',
];

const readSpec = bodyReader(PoolSpec, NOT_YET);
const { startTask: _, ...ofLaterPatch } = PoolPatch.properties;
const ofPatch = {
  metadata: Type.Optional(Metadata),
  displayName: Type.Optional(DisplayName),
  startTask: Type.Optional(StartTask),
  applicationPackageReferences: Type.Optional(ApplicationPackageReferences),
  targetNodeCommunicationMode: Type.Optional(Echoed),
};
const readPatch = bodyReader(Type.Object(ofPatch, { additionalProperties: false }), NOT_YET);
/** Since 2024-07-01 a pool may be made over while it is empty. */
const readLaterPatch = bodyReader(
  Type.Object({ ...ofLaterPatch, ...ofPatch }, { additionalProperties: false }),
  NOT_YET,
);
const readResize = bodyReader(PoolResize);
/** PoolUpdateProperties: what is absent is cleared. */
const readProperties = bodyReader(
  Type.Object(
    {
      metadata: Type.Optional(Metadata),
      startTask: Type.Optional(StartTask),
      applicationPackageReferences: Type.Optional(ApplicationPackageReferences),
      targetNodeCommunicationMode: Type.Optional(Echoed),
    },
    { additionalProperties: false },
  ),
  NOT_YET,
);
const readRemoval = bodyReader(
  Type.Object(
    {
      nodeList: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        minItems: 1,
        maxItems: REMOVE_NODES_MAX,
      }),
      resizeTimeout: Type.Optional(Duration),
      nodeDeallocationOption: Type.Optional(Type.Enum([...NODE_DEALLOCATION_OPTIONS])),
    },
    { additionalProperties: false },
  ),
);

export function poolRoutes(context: ApiContext): readonly Route[] {
  const pools = new PoolHandlers(context);
  const one = '/pools/:pool';
  return [
    { method: 'POST', path: '/pools', name: 'Pool_Add', handle: pools.add },
    { method: 'GET', path: '/pools', name: 'Pool_List', query: LIST_QUERY, handle: pools.list },
    { method: 'GET', path: one, name: 'Pool_Get', query: ['$select', '$expand'], handle: pools.get },
    { method: 'HEAD', path: one, name: 'Pool_Exists', handle: pools.exists },
    { method: 'PATCH', path: one, name: 'Pool_Patch', handle: pools.patch },
    {
      method: 'POST',
      path: `${one}/updateproperties`,
      name: 'Pool_UpdateProperties',
      handle: pools.updateProperties,
    },
    { method: 'DELETE', path: one, name: 'Pool_Delete', handle: pools.delete },
    { method: 'POST', path: `${one}/resize`, name: 'Pool_Resize', handle: pools.resize },
    { method: 'POST', path: `${one}/stopresize`, name: 'Pool_StopResize', handle: pools.stopResize },
    { method: 'POST', path: `${one}/removenodes`, name: 'Pool_RemoveNodes', handle: pools.removeNodes },
  ];
}

class PoolHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  add = async (call: Call): Promise<Answer> => {
    const spec = readSpec(call.version === 'flat' ? withTaskSlots(call.body) : call.body, call.version);
    const { control } = this.#context;
    const voters = await control.proposeVoters();
    const stamp = await this.#propose(call, { kind: 'pool.add', spec, voters });
    const url = poolUrl(call.baseUrl, spec.id);
    return empty(201, { ...stampHeaders(stamp), location: url, dataserviceid: url });
  };

  list = async (call: Call): Promise<Answer> => {
    const matches = matcherOf(call, 'pool');
    const select = selector(call.query);
    const wish = readPageWish(call.query);
    const pools = await this.#context.control.query(MESH_GROUP, 'pool.list', {}, call.options());
    const { items, next } = pageByKey(pools, wish, ({ spec }) => idKey(spec.id), matches);
    const statsOf = await poolStats(this.#context, call);
    const value = items.map((pool) =>
      select({ ...renderPool(pool, call.baseUrl, call.version), ...(statsOf && { stats: statsOf(pool) }) }),
    );
    return listAnswer(call, 'pools', value, next);
  };

  get = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const pool = await findPool(this.#context, call);
    if (isNotModified(call.headers, pool)) return empty(304, stampHeaders(pool));
    const statsOf = await poolStats(this.#context, call, pool.spec.id);
    const body = {
      'odata.metadata': elementMetadata(call.baseUrl, 'pools'),
      ...renderPool(pool, call.baseUrl, call.version),
      ...(statsOf && { stats: statsOf(pool) }),
    };
    return json(select(body), stampHeaders(pool));
  };

  exists = async (call: Call): Promise<Answer> => {
    const pool = await findPool(this.#context, call);
    return isNotModified(call.headers, pool)
      ? empty(304, stampHeaders(pool))
      : empty(200, stampHeaders(pool));
  };

  patch = async (call: Call): Promise<Answer> => {
    const read = call.version === 'later' ? readLaterPatch : readPatch;
    const patch = read(call.body, call.version);
    const stamp = await this.#propose(call, { kind: 'pool.patch', ...target(call), patch });
    return empty(200, headersOf(call, stamp));
  };

  updateProperties = async (call: Call): Promise<Answer> => {
    const { metadata, startTask, applicationPackageReferences, ...rest } = readProperties(
      call.body,
      call.version,
    );
    const stamp = await this.#propose(call, {
      kind: 'pool.patch',
      ...target(call),
      patch: {
        metadata: metadata ?? [],
        startTask: startTask ?? null,
        applicationPackageReferences: applicationPackageReferences ?? [],
        ...rest,
      },
    });
    return empty(204, headersOf(call, stamp));
  };

  delete = async (call: Call): Promise<Answer> => {
    await this.#propose(call, { kind: 'pool.delete', ...target(call) });
    return empty(202);
  };

  resize = async (call: Call): Promise<Answer> => {
    const resize = readResize(call.body, call.version);
    const stamp = await this.#propose(call, { kind: 'pool.resize', ...target(call), resize });
    return empty(202, headersOf(call, stamp));
  };

  stopResize = async (call: Call): Promise<Answer> => {
    const stamp = await this.#propose(call, { kind: 'pool.stopResize', ...target(call) });
    return empty(202, headersOf(call, stamp));
  };

  removeNodes = async (call: Call): Promise<Answer> => {
    const { nodeList, nodeDeallocationOption } = readRemoval(call.body, call.version);
    const option = nodeDeallocationOption ?? 'requeue';
    const stamp = await this.#propose(call, {
      kind: 'pool.removeNodes',
      ...target(call),
      nodes: nodeList,
      option,
    });
    return empty(202, headersOf(call, stamp));
  };

  async #propose(call: Call, command: MeshStampCommand): Promise<EntityStamp> {
    return unwrap(
      await this.#context.control.propose(MESH_GROUP, command, call.commandOptions(command.kind)),
    );
  }
}

/** The pool of the path. Rejects with `PoolNotFound`. */
export function findPool(context: ApiContext, call: Call): Promise<PoolEntity> {
  return context.control.query(MESH_GROUP, 'pool.get', { pool: poolIdOf(call) }, call.options());
}

export function poolIdOf(call: Call): string {
  const pool = param(call, 'pool');
  if (!isValidId(pool)) throw new ShoalError('PoolNotFound', undefined, { PoolId: pool.slice(0, 128) });
  return pool;
}

function target(call: Call): { readonly pool: string } & ReturnType<typeof readCondition> {
  return { pool: poolIdOf(call), ...readCondition(call.headers) };
}

function headersOf(call: Call, stamp: EntityStamp): Record<string, string> {
  return { ...stampHeaders(stamp), dataserviceid: poolUrl(call.baseUrl, poolIdOf(call)) };
}

/** Version 2020-03-01.11.0 calls the slots of a node its tasks. */
function withTaskSlots(body: unknown): unknown {
  if (!isRecord(body) || !Object.hasOwn(body, 'maxTasksPerNode')) return body;
  const { maxTasksPerNode, ...rest } = body;
  return { ...rest, taskSlotsPerNode: maxTasksPerNode };
}
