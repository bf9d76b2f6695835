/** A mesh of one founder whose state machine takes the packer's plans, and pools that let go of what is called back. */

import type { NodePlan, PackView } from '../../../coordinator/placement/nodes.ts';
import { isEmptyPlan, packNodes } from '../../../coordinator/placement/nodes.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import type { PoolSpec } from '../../../src/model/pool.ts';
import { idOf, MeshWorld, offer } from '../mesh-core/world.ts';

export const GIB = 1024 ** 3;
export const REPLACE_MS = 120_000;

export class Estate {
  readonly world = new MeshWorld();
  readonly #silentSince = new Map<string, number>();
  readonly running = new Map<string, number>();

  /** Machines by name; each `[cores, GiB, labels]`. The pool `default` is deleted unless it is wanted. */
  constructor(
    machines: Readonly<Record<string, readonly [number, number, ...string[]]>>,
    keepDefault = false,
  ) {
    for (const [at, [name, size]] of Object.entries(machines).entries()) {
      if (at === 0)
        this.world.ok({
          kind: 'mesh.init',
          settings: { meshId: 'm', accountName: 'a', accountKey: 'k' },
          machine: sized(name, size),
        });
      else this.join(name, size);
    }
    if (!keepDefault) {
      this.world.ok({ kind: 'pool.delete', pool: 'default' });
      this.world.ok({ kind: 'pool.erase', pool: 'default' });
    }
  }

  join(name: string, size: readonly [number, number, ...string[]]): void {
    const [founder] = this.world.machine.machines();
    this.world.ok({
      kind: 'token.create',
      id: `t-${name}`,
      peer: `temp-${name}`,
      expiresAtMs: this.world.timeMs + 1,
      uses: 1,
      createdBy: founder?.id ?? '',
    });
    this.world.ok({ kind: 'machine.join', tokenPeer: `temp-${name}`, machine: sized(name, size) });
  }

  addPool(spec: Partial<PoolSpec> & { readonly id: string }): void {
    this.world.timeMs += 1;
    const founder = this.world.machine.machines()[0]?.id ?? '';
    this.world.ok({ kind: 'pool.add', spec: { vmSize: 'shoal.1c1g', ...spec }, voters: [founder] });
  }

  resize(
    pool: string,
    resize: {
      targetDedicatedNodes?: number;
      targetLowPriorityNodes?: number;
      nodeDeallocationOption?: 'requeue' | 'taskcompletion';
    },
  ): void {
    this.world.ok({ kind: 'pool.resize', pool, resize });
  }

  silence(name: string): void {
    if (!this.#silentSince.has(idOf(name))) this.#silentSince.set(idOf(name), this.world.timeMs);
  }

  revive(name: string): void {
    this.#silentSince.delete(idOf(name));
  }

  plan(): NodePlan {
    return packNodes(this.view());
  }

  view(): PackView {
    const mesh = this.world.machine;
    return {
      pools: mesh.pools(),
      machines: mesh.machines().map((machine) => {
        const silentSince = this.#silentSince.get(machine.id);
        return {
          ...machine,
          alive: silentSince === undefined,
          forMs: this.world.timeMs - (silentSince ?? 0),
        };
      }),
      allotments: mesh.allotments(),
      nextNodeNumber: mesh.nextNodeNumber(),
      runningTasks: (node) => this.running.get(node) ?? 0,
      replaceMs: REPLACE_MS,
    };
  }

  /** Packs and applies once. The gate must take every node of the plan: they saw the same state. */
  pack(): NodePlan {
    const plan = this.plan();
    this.world.timeMs += 1;
    if (isEmptyPlan(plan)) return plan;
    this.world.ok({ kind: 'allot', ...plan });
    for (const { node } of plan.add) {
      if (this.world.machine.allotment(node) === undefined) throw new Error(`the gate refused ${node}`);
    }
    return plan;
  }

  /** The pools' coordinators say of all nodes that leave at once that they are empty. */
  release(all = false): number {
    const leaving = this.nodes().filter(
      ({ leaving }) => leaving !== undefined && (all || leaving.option === 'requeue'),
    );
    if (leaving.length > 0) this.world.ok({ kind: 'node.released', nodes: leaving.map(({ node }) => node) });
    return leaving.length;
  }

  /** Packs and releases until nothing changes; throws where that never comes. */
  settle(): void {
    for (let rounds = 0; rounds < 200; rounds += 1) {
      const plan = this.pack();
      if (this.release() === 0 && isEmptyPlan(plan)) return;
    }
    throw new Error('the packing never comes to rest');
  }

  nodes(pool?: string): readonly Allotment[] {
    return this.world.machine.allotments(pool);
  }

  /** `machine:pool` of the nodes that stay, sorted. */
  layout(pool?: string): string[] {
    return this.nodes(pool)
      .filter(({ leaving }) => leaving === undefined)
      .map((node) => `${this.world.machine.machine(node.machine)?.name ?? '?'}:${node.pool}`)
      .sort();
  }

  errors(pool: string): readonly string[] {
    return this.world.machine.pool(pool)?.resizeErrors.map(({ code, message }) => `${code} ${message}`) ?? [];
  }

  stateOf(pool: string): string | undefined {
    return this.world.machine.pool(pool)?.allocationState;
  }
}

export function sized(name: string, [cores, gib, ...labels]: readonly [number, number, ...string[]]) {
  return offer(name, { capacity: { ...offer(name).capacity, cores, memoryBytes: gib * GIB, labels } });
}
