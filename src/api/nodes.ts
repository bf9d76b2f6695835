/** Routes of nodes, and the counts of all pools' nodes. */
import Type from 'typebox';
import { ShoalError } from '../lib/errors.ts';
import { NODE_COUNTS_PAGE_MAX, PAGE_ITEMS_MAX } from '../lib/limits.ts';
import { idKey, MESH_GROUP, poolGroup } from '../model/ids.ts';
import type { NodeRestart } from '../model/node-task.ts';
import { unwrap } from '../model/outcome.ts';
import { NODE_DEALLOCATION_OPTIONS, type NodeDeallocationOption } from '../model/pool.ts';
import type { NodeEntity } from '../model/queries.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata, nodeUrl } from './entity-url.ts';
import { filterOf, LIST_QUERY, matcherOf } from './list-query.ts';
import { listAnswer, pageByKey, readLimit, readPageWish, readSkipToken } from './paging.ts';
import { findPool, poolIdOf } from './pools.ts';
import { renderNode, renderNodeCounts } from './render-node.ts';
import { type Answer, type Call, empty, json, param, type Route } from './route.ts';
import { selector } from './select.ts';
import { type PoolStampCommand, stampHeaders } from './stamps.ts';
import { bodyReader } from './validate.ts';

const readDisable = bodyReader(
  Type.Object(
    { nodeDisableSchedulingOption: Type.Optional(Type.Enum(['requeue', 'terminate', 'taskcompletion'])) },
    { additionalProperties: false },
  ),
);

const DeallocationOption = Type.Optional(Type.Enum([...NODE_DEALLOCATION_OPTIONS]));
const readReboot = bodyReader(
  Type.Object({ nodeRebootOption: DeallocationOption }, { additionalProperties: false }),
);
const readReimage = bodyReader(
  Type.Object({ nodeReimageOption: DeallocationOption }, { additionalProperties: false }),
);
const SSH_PORT = 22;

export function nodeRoutes(context: ApiContext): readonly Route[] {
  const nodes = new NodeHandlers(context);
  const all = '/pools/:pool/nodes';
  const one = `${all}/:node`;
  return [
    { method: 'GET', path: all, name: 'ComputeNode_List', query: LIST_QUERY, handle: nodes.list },
    { method: 'GET', path: one, name: 'ComputeNode_Get', query: ['$select'], handle: nodes.get },
    {
      method: 'POST',
      path: `${one}/disablescheduling`,
      name: 'ComputeNode_DisableScheduling',
      handle: nodes.disableScheduling,
    },
    {
      method: 'POST',
      path: `${one}/enablescheduling`,
      name: 'ComputeNode_EnableScheduling',
      handle: nodes.enableScheduling,
    },
    { method: 'POST', path: `${one}/reboot`, name: 'ComputeNode_Reboot', handle: nodes.reboot },
    { method: 'POST', path: `${one}/reimage`, name: 'ComputeNode_Reimage', handle: nodes.reimage },
    {
      method: 'GET',
      path: `${one}/remoteloginsettings`,
      name: 'ComputeNode_GetRemoteLoginSettings',
      handle: nodes.remoteLogin,
    },
    {
      method: 'GET',
      path: '/nodecounts',
      name: 'Account_ListPoolNodeCounts',
      query: ['$filter', 'maxresults', '$skiptoken'],
      handle: nodes.counts,
    },
  ];
}

class NodeHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  list = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const after = readSkipToken(call.query, 'number')?.[0];
    const request = {
      ...filterOf(call, 'node'),
      limit: readLimit(call.query),
      ...(after !== undefined && { after }),
    };
    const [pool, addressOf] = await Promise.all([
      findPool(this.#context, call),
      this.#context.addresses.read(call.options()),
    ]);
    const page = await this.#context.control.query(
      poolGroup(pool.spec.id),
      'node.list',
      request,
      call.options(),
    );
    const value = page.items.map((node) =>
      select(renderNode(node, { vmSize: pool.spec.vmSize, address: addressOf(node.machine) }, call.baseUrl)),
    );
    return listAnswer(call, 'nodes', value, page.next === undefined ? undefined : [page.next]);
  };

  get = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const { node, vmSize } = await requireNodeEntity(this.#context, call);
    const addressOf = await this.#context.addresses.read(call.options());
    const rendered = renderNode(node, { vmSize, address: addressOf(node.machine) }, call.baseUrl);
    return json(select({ 'odata.metadata': elementMetadata(call.baseUrl, 'nodes'), ...rendered }));
  };

  /** Nothing of the mesh makes users or listens for ssh: this is where the machine's own server is, if it has one. */
  remoteLogin = async (call: Call): Promise<Answer> => {
    const { node } = await requireNodeEntity(this.#context, call);
    const address = (await this.#context.addresses.read(call.options()))(node.machine);
    if (address === undefined)
      throw new ShoalError('OperationNotValidOnNode', 'The machine of the node has told no address.');
    return json({
      'odata.metadata': elementMetadata(call.baseUrl, 'remoteloginsettings'),
      remoteLoginIPAddress: address,
      remoteLoginPort: SSH_PORT,
    });
  };

  disableScheduling = async (call: Call): Promise<Answer> => {
    const option =
      call.body === undefined ? undefined : readDisable(call.body, call.version).nodeDisableSchedulingOption;
    return this.#setScheduling(call, false, option ?? 'requeue');
  };

  enableScheduling = (call: Call): Promise<Answer> => this.#setScheduling(call, true, 'requeue');

  async #setScheduling(
    call: Call,
    enabled: boolean,
    option: 'requeue' | 'terminate' | 'taskcompletion',
  ): Promise<Answer> {
    const node = param(call, 'node');
    return this.#propose(call, 200, { kind: 'node.scheduling', node, enabled, option });
  }

  reboot = (call: Call): Promise<Answer> => {
    const option = call.body === undefined ? undefined : readReboot(call.body, call.version).nodeRebootOption;
    return this.#restart(call, 'reboot', option);
  };

  reimage = (call: Call): Promise<Answer> => {
    const option =
      call.body === undefined ? undefined : readReimage(call.body, call.version).nodeReimageOption;
    return this.#restart(call, 'reimage', option);
  };

  #restart(call: Call, how: NodeRestart, option: NodeDeallocationOption = 'requeue'): Promise<Answer> {
    return this.#propose(call, 202, { kind: 'node.restart', node: param(call, 'node'), how, option });
  }

  async #propose(
    call: Call,
    status: 200 | 202,
    command: PoolStampCommand & { readonly node: string },
  ): Promise<Answer> {
    const pool = await findPool(this.#context, call);
    const stamp = unwrap(
      await this.#context.control.propose(
        poolGroup(pool.spec.id),
        command,
        call.commandOptions(command.kind),
      ),
    );
    const url = nodeUrl(call.baseUrl, poolIdOf(call), command.node);
    return empty(status, { ...stampHeaders(stamp), dataserviceid: url });
  }

  counts = async (call: Call): Promise<Answer> => {
    const matches = matcherOf(call, 'nodeCounts');
    const wish = readPageWish(call.query, NODE_COUNTS_PAGE_MAX);
    const pools = await this.#context.control.query(MESH_GROUP, 'pool.list', {}, call.options());
    const ids = pools.map(({ spec }) => spec.id);
    const { items, next } = pageByKey(ids, wish, idKey, (pool) => matches({ pool }));
    const value = await Promise.all(
      items.map(async (pool) => renderNodeCounts(pool, await this.#allNodes(call, pool))),
    );
    return listAnswer(call, 'poolnodecounts', value, next);
  };

  async #allNodes(call: Call, pool: string): Promise<readonly NodeEntity[]> {
    const nodes: NodeEntity[] = [];
    let after: number | undefined;
    do {
      const request = { limit: PAGE_ITEMS_MAX, ...(after !== undefined && { after }) };
      const page = await this.#context.control.query(poolGroup(pool), 'node.list', request, call.options());
      nodes.push(...page.items);
      after = page.next;
    } while (after !== undefined);
    return nodes;
  }
}

/** The node of the path, where its pool exists. Rejects with `PoolNotFound` or `NodeNotFound`. */
export async function requireNode(
  context: ApiContext,
  call: Call,
): Promise<{ readonly pool: string; readonly node: string }> {
  const pool = await findPool(context, call);
  const node = param(call, 'node');
  if (node.length > 256) throw new ShoalError('NodeNotFound');
  return { pool: pool.spec.id, node };
}

/** The node of the path as it is now. Rejects with `PoolNotFound` or `NodeNotFound`. */
export async function requireNodeEntity(
  context: ApiContext,
  call: Call,
): Promise<{ readonly node: NodeEntity; readonly vmSize: string }> {
  const { spec } = await findPool(context, call);
  const request = { node: param(call, 'node') };
  const node = await context.control.query(poolGroup(spec.id), 'node.get', request, call.options());
  return { node, vmSize: spec.vmSize };
}
