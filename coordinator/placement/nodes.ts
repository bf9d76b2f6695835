/**
 * Which machine hosts which node of which pool. Pure: a view in, a plan out; the mesh group's `allot` command checks
 * every part of it again.
 *
 * Ranks: dedicated nodes before low-priority ones, and both before the nodes of a pool that wants one on every machine
 * (`default`). A node may displace nodes of lower rank, never of its own; so a chain of displacements ends. Within a
 * rank the older pool is served first.
 *
 * A node that is called back stays on its machine until its pool says that it is empty, and takes its room until then:
 * a machine is never oversubscribed, not even for the seconds that a preemption takes. The room it will leave is
 * promised to the node it was called back for. Nothing remembers the promise; each packing makes it anew, and alike:
 * a wish that must wait chooses its machine by what this packing does not change (how much may be displaced there, the
 * machine's size, its id), among machines that only become fewer; what was chosen first is chosen again.
 */
import { NODE_REPLACE_MS } from '../../src/lib/limits.ts';
import type { MeshCommand } from '../../src/model/commands.ts';
import { idKey } from '../../src/model/ids.ts';
import type { Allotment } from '../../src/model/machine.ts';
import type { NodeDeallocationOption, ResizeError } from '../../src/model/pool.ts';
import { nodeName, slotsOf } from '../core/mesh/allotments.ts';
import { Openings } from './openings.ts';
import { oldestFirst, type PackPool, sameErrors, targetOf, wishOf } from './pack-pool.ts';
import { allocationFailed } from './resize-errors.ts';
import type { PackMachine, Rank, Wish } from './site.ts';
import { Site, youngestFirst } from './site.ts';

export type { PackMachine } from './site.ts';

export interface PackView {
  readonly pools: readonly PackPool[];
  readonly machines: readonly PackMachine[];
  readonly allotments: readonly Allotment[];
  /** The least number that no node's name had. */
  readonly nextNodeNumber: number;
  /** Tasks that run on a node, where known; a shrinking pool gives up the emptiest first. */
  readonly runningTasks?: (node: string) => number;
  /** Default `NODE_REPLACE_MS`. */
  readonly replaceMs?: number;
}

/** The content of an `allot` command. */
export type NodePlan = Omit<Extract<MeshCommand, { kind: 'allot' }>, 'kind'>;

export function isEmptyPlan({ add, leave, resizeErrors, steady }: NodePlan): boolean {
  return add.length + leave.length + resizeErrors.length + steady.length === 0;
}

/** What to change so that pools have the nodes they want, as far as the machines go. Empty where all is as it should be. */
export function packNodes(view: PackView): NodePlan {
  const packing = new Packing(view);
  const pools = [...view.pools].filter((pool) => pool.state === 'active').sort(oldestFirst);
  packing.expelMisfits();
  for (const pool of pools) packing.shrink(pool);
  for (const pool of pools) packing.fill(pool, 2);
  for (const pool of pools) packing.fill(pool, 1);
  for (const pool of pools) packing.fillEveryMachine(pool);
  for (const pool of pools) packing.conclude(pool);
  return packing.plan;
}

type Leave = NodePlan['leave'][number];

class Packing {
  readonly #view: PackView;
  readonly #sites: readonly Site[];
  readonly #siteOf: ReadonlyMap<string, Site>;
  readonly #pools: ReadonlyMap<string, PackPool>;
  /** By pool; as they will be under the plan so far. */
  readonly #nodes = new Map<string, Map<string, Allotment>>();
  /** Of nodes that ask the same of a machine. */
  readonly #openings = new Map<string, Openings>();
  /** Machines that got a node, or a promise for one; see Openings. */
  readonly #changed: Site[] = [];
  readonly #added: Omit<Allotment, 'allottedAtMs'>[] = [];
  readonly #leaves: Leave[] = [];
  readonly #unmet = new Map<PackPool, ResizeError[]>();
  readonly #steady: string[] = [];
  readonly #resizeErrors: NodePlan['resizeErrors'][number][] = [];

  constructor(view: PackView) {
    this.#view = view;
    this.#pools = new Map(view.pools.map((pool) => [idKey(pool.spec.id), pool]));
    const rankOf = (node: Allotment): Rank => this.#rankOf(node);
    this.#sites = [...view.machines]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((machine, order) => new Site(machine, order, rankOf));
    this.#siteOf = new Map(this.#sites.map((site) => [site.machine.id, site]));
    for (const allotment of view.allotments) {
      this.#note(allotment);
      this.#siteOf.get(allotment.machine)?.place(allotment);
    }
  }

  get plan(): NodePlan {
    return { add: this.#added, leave: this.#leaves, resizeErrors: this.#resizeErrors, steady: this.#steady };
  }

  expelMisfits(): void {
    const labelsOf = (pool: string): readonly string[] =>
      this.#pools.get(idKey(pool))?.spec.requiredLabels ?? [];
    for (const site of this.#sites) {
      for (const node of site.expelMisfits(labelsOf)) this.#leave(node, 'requeue', 'resize');
    }
  }

  /** Calls back what is above the target: nodes of lost machines first, then the emptiest, then the youngest. */
  shrink(pool: PackPool): void {
    if (pool.spec.everyMachine) return;
    const tasks = (node: Allotment): number => this.#view.runningTasks?.(node.node) ?? 0;
    for (const rank of [2, 1] as const) {
      const staying = this.#staying(pool, rank);
      const excess = staying.length - targetOf(pool, rank);
      if (excess <= 0) continue;
      staying.sort(
        (a, b) =>
          Number(this.#isLost(b)) - Number(this.#isLost(a)) || tasks(a) - tasks(b) || youngestFirst(a, b),
      );
      for (const node of staying.slice(0, excess)) this.#leave(node, pool.deallocationOption, 'resize');
    }
  }

  /** Finds machines for the nodes that are missing, and for those whose machine is lost. */
  fill(pool: PackPool, rank: 1 | 2): void {
    const wish = wishOf(pool, rank);
    if (pool.spec.everyMachine || wish === undefined) return;
    const target = targetOf(pool, rank);
    const staying = this.#staying(pool, rank);
    const lost = staying.filter((node) => this.#isLost(node)).sort(youngestFirst);
    const sound = staying.length - lost.length;
    const found = this.#find(pool, wish, target - sound);
    // A lost node is let go only once another is there in its place.
    const surplus = Math.max(0, sound + found.placed + lost.length - target);
    for (const node of lost.slice(0, surplus)) this.#leave(node, 'requeue', 'resize');
    const unmet = target - sound - found.placed - found.waiting - (lost.length - surplus);
    if (unmet > 0) {
      const obstacles = this.#openingsFor(wish).obstacles(wish);
      this.#failed(pool, allocationFailed({ wish, target, unmet, obstacles }));
    }
  }

  fillEveryMachine(pool: PackPool): void {
    const wish = wishOf(pool, 0);
    if (!pool.spec.everyMachine || wish === undefined) return;
    for (const site of this.#sites) {
      if (site.admits(wish) && site.nodesOf(pool.spec.id) === 0 && site.fitsNow(wish))
        this.#add(pool, wish, site);
    }
  }

  /** Says which pools are as they should be, and what stands in the way of the others. */
  conclude(pool: PackPool): void {
    const errors = this.#unmet.get(pool) ?? [];
    if (!sameErrors(errors, pool.resizeErrors)) this.#resizeErrors.push({ pool: pool.spec.id, errors });
    if (pool.allocationState !== 'steady' && this.#isMet(pool)) this.#steady.push(pool.spec.id);
  }

  #isMet(pool: PackPool): boolean {
    if (pool.spec.everyMachine) return true;
    for (const { leaving } of this.#nodesOf(pool)) if (leaving?.reason === 'resize') return false;
    return ([2, 1] as const).every((rank) => this.#staying(pool, rank).length === targetOf(pool, rank));
  }

  /** Machines with room first. No wish makes room: once there is none it only remains to promise what others will leave. */
  #find(pool: PackPool, wish: Wish, missing: number): { placed: number; waiting: number } {
    if (missing <= 0) return { placed: 0, waiting: 0 };
    const openings = this.#openingsFor(wish);
    const placed = openings.takeFree(wish, missing, (site) => this.#add(pool, wish, site));
    let waiting = 0;
    while (placed + waiting < missing) {
      const site = openings.displaceable(wish);
      if (site === undefined) break;
      for (const victim of site.promise(wish)) this.#leave(victim, 'requeue', 'preempted');
      this.#changed.push(site);
      waiting += 1;
    }
    return { placed, waiting };
  }

  #openingsFor(wish: Wish): Openings {
    const kind = JSON.stringify([wish.size, wish.requiredLabels]);
    let openings = this.#openings.get(kind);
    if (openings === undefined) {
      openings = new Openings(wish, this.#sites, this.#changed);
      this.#openings.set(kind, openings);
    }
    return openings;
  }

  #add(pool: PackPool, wish: Wish, site: Site): void {
    const { capacity, id } = site.machine;
    const { cores, memoryBytes } = wish.size.kind === 'machine' ? capacity : wish.size;
    const added = {
      node: nodeName(this.#view.nextNodeNumber + this.#added.length),
      pool: pool.spec.id,
      machine: id,
      cores,
      memoryBytes,
      slots: slotsOf(pool, cores),
      dedicated: wish.rank === 2,
      labels: capacity.labels,
    };
    this.#added.push(added);
    // Its time is not known before it is applied; nothing younger can be in this packing.
    const allotment = { ...added, allottedAtMs: Number.MAX_SAFE_INTEGER };
    this.#note(allotment);
    site.place(allotment);
    this.#changed.push(site);
  }

  #leave(node: Allotment, option: NodeDeallocationOption, reason: Leave['reason']): void {
    this.#leaves.push({ node: node.node, option, reason });
    this.#note({ ...node, leaving: { option, reason } });
    if (option === 'requeue' || option === 'terminate') this.#siteOf.get(node.machine)?.callBack(node);
  }

  #failed(pool: PackPool, error: ResizeError): void {
    this.#unmet.set(pool, [...(this.#unmet.get(pool) ?? []), error]);
  }

  #note(node: Allotment): void {
    const key = idKey(node.pool);
    const nodes = this.#nodes.get(key);
    if (nodes === undefined) this.#nodes.set(key, new Map([[node.node, node]]));
    else nodes.set(node.node, node);
  }

  #nodesOf(pool: PackPool): Iterable<Allotment> {
    return this.#nodes.get(idKey(pool.spec.id))?.values() ?? [];
  }

  #staying(pool: PackPool, rank: 1 | 2): Allotment[] {
    const staying: Allotment[] = [];
    for (const node of this.#nodesOf(pool))
      if (node.dedicated === (rank === 2) && node.leaving === undefined) staying.push(node);
    return staying;
  }

  #isLost(node: Allotment): boolean {
    const machine = this.#siteOf.get(node.machine)?.machine;
    if (machine === undefined) return true;
    return !machine.alive && machine.forMs >= (this.#view.replaceMs ?? NODE_REPLACE_MS);
  }

  #rankOf(node: Allotment): Rank {
    if (this.#pools.get(idKey(node.pool))?.spec.everyMachine) return 0;
    return node.dedicated ? 2 : 1;
  }
}
