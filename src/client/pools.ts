import type { AutoScaleExplanation } from '../model/autoscale.ts';
import type { NodeRestart } from '../model/node-task.ts';
import type {
  AutoScaleChange,
  NodeDeallocationOption,
  PoolPatch,
  PoolResize,
  PoolSpec,
} from '../model/pool.ts';
import { API_VERSION, type Caller, type CallOptions } from './caller.ts';
import { type ListOptions, listAll } from './paging.ts';
import { route } from './route.ts';
import type { NodeResource, PoolResource } from './shapes.ts';

const query = { 'api-version': API_VERSION };

/** Pools and their nodes. */
export class PoolCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async add(spec: PoolSpec, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'POST', path: '/pools', query, json: spec, ...options });
  }

  list(options: ListOptions = {}): AsyncIterable<PoolResource> {
    return listAll(this.#caller, '/pools', options);
  }

  get(pool: string, options: CallOptions = {}): Promise<PoolResource> {
    return this.#caller.json({ method: 'GET', path: route`/pools/${pool}`, query, ...options });
  }

  async patch(pool: string, patch: PoolPatch, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'PATCH', path: route`/pools/${pool}`, query, json: patch, ...options });
  }

  async resize(pool: string, resize: PoolResize, options: CallOptions = {}): Promise<void> {
    const path = route`/pools/${pool}/resize`;
    await this.#caller.run({ method: 'POST', path, query, json: resize, ...options });
  }

  async enableAutoScale(pool: string, change: AutoScaleChange, options: CallOptions = {}): Promise<void> {
    const path = route`/pools/${pool}/enableautoscale`;
    await this.#caller.run({ method: 'POST', path, query, json: change, ...options });
  }

  async disableAutoScale(pool: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({
      method: 'POST',
      path: route`/pools/${pool}/disableautoscale`,
      query,
      ...options,
    });
  }

  /** What a formula, the pool's own where none is given, would do now. Changes nothing. */
  explainAutoScale(
    pool: string,
    formula: string | undefined,
    options: CallOptions = {},
  ): Promise<AutoScaleExplanation> {
    const path = route`/shoal/v1/pools/${pool}/explain-autoscale`;
    const json = formula === undefined ? {} : { formula };
    return this.#caller.json({ method: 'POST', path, json, ...options });
  }

  async delete(pool: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/pools/${pool}`, query, ...options });
  }

  nodes(pool: string, options: ListOptions = {}): AsyncIterable<NodeResource> {
    return listAll(this.#caller, route`/pools/${pool}/nodes`, options);
  }

  node(pool: string, node: string, options: CallOptions = {}): Promise<NodeResource> {
    return this.#caller.json({ method: 'GET', path: route`/pools/${pool}/nodes/${node}`, query, ...options });
  }

  /** No new tasks for the node. `option` says what becomes of those it runs. */
  async disableNode(
    pool: string,
    node: string,
    option: Exclude<NodeDeallocationOption, 'retaineddata'>,
    options: CallOptions = {},
  ): Promise<void> {
    const path = route`/pools/${pool}/nodes/${node}/disablescheduling`;
    await this.#caller.run({
      method: 'POST',
      path,
      query,
      json: { nodeDisableSchedulingOption: option },
      ...options,
    });
  }

  async enableNode(pool: string, node: string, options: CallOptions = {}): Promise<void> {
    const path = route`/pools/${pool}/nodes/${node}/enablescheduling`;
    await this.#caller.run({ method: 'POST', path, query, ...options });
  }

  /** The node ends what it runs as `option` says, and begins anew with its start task; a reimage empties its directory too. */
  async restartNode(
    pool: string,
    node: string,
    how: NodeRestart,
    option: NodeDeallocationOption,
    options: CallOptions = {},
  ): Promise<void> {
    const path =
      how === 'reboot'
        ? route`/pools/${pool}/nodes/${node}/reboot`
        : route`/pools/${pool}/nodes/${node}/reimage`;
    const json = how === 'reboot' ? { nodeRebootOption: option } : { nodeReimageOption: option };
    await this.#caller.run({ method: 'POST', path, query, json, ...options });
  }
}
