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
import { parseVmSize } from '../../src/model/vm-size.ts';
import { nodeName, slotsOf } from '../core/mesh/allotments.ts';
import type { PoolRecord } from '../core/mesh/pools.ts';
import { allocationFailed } from './resize-errors.ts';
import type { PackMachine, Rank, Wish } from './site.ts';
import { Site, youngestFirst } from './site.ts';

export type { PackMachine } from './site.ts';

export type PackPool = Pick<
  PoolRecord,
  | 'spec'
  | 'state'
  | 'allocationState'
  | 'creationTimeMs'
  | 'targetDedicatedNodes'
  | 'targetLowPriorityNodes'
  | 'resizeErrors'
  | 'deallocationOption'
>;

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
  /** As they will be under the plan so far. */
  readonly #nodes: Map<string, Allotment>;
  readonly #added: Omit<Allotment, 'allottedAtMs'>[] = [];
  readonly #leaves: Leave[] = [];
  readonly #unmet = new Map<PackPool, ResizeError[]>();
  readonly #steady: string[] = [];
  readonly #resizeErrors: NodePlan['resizeErrors'][number][] = [];

  constructor(view: PackView) {
    this.#view = view;
    this.#pools = new Map(view.pools.map((pool) => [idKey(pool.spec.id), pool]));
    this.#nodes = new Map(view.allotments.map((allotment) => [allotment.node, allotment]));
    const onMachine = new Map<string, Allotment[]>(view.machines.map((machine) => [machine.id, []]));
    for (const allotment of view.allotments) onMachine.get(allotment.machine)?.push(allotment);
    this.#sites = view.machines
      .map((machine) => new Site(machine, onMachine.get(machine.id) ?? [], (node) => this.#rankOf(node)))
      .sort((a, b) => (a.machine.id < b.machine.id ? -1 : 1));
    this.#siteOf = new Map(this.#sites.map((site) => [site.machine.id, site]));
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
      const staying = this.#staying(pool, rank).sort(
        (a, b) =>
          Number(this.#isLost(b)) - Number(this.#isLost(a)) || tasks(a) - tasks(b) || youngestFirst(a, b),
      );
      const excess = staying.length - targetOf(pool, rank);
      for (const node of staying.slice(0, Math.max(0, excess))) {
        this.#leave(node, pool.deallocationOption, 'resize');
      }
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
    const sites = this.#sites.filter((site) => site.admits(wish));
    let placed = 0;
    let waiting = 0;
    for (let missing = target - sound; missing > 0; missing -= 1) {
      if (this.#placeNow(pool, wish, sites)) placed += 1;
      else if (this.#promise(wish, sites)) waiting += 1;
      // All nodes of a wish are alike: what finds no machine now finds none for the next either.
      else break;
    }
    // A lost node is let go only once another is there in its place.
    const surplus = Math.max(0, sound + placed + lost.length - target);
    for (const node of lost.slice(0, surplus)) this.#leave(node, 'requeue', 'resize');
    const unmet = target - sound - placed - waiting - (lost.length - surplus);
    if (unmet > 0) this.#failed(pool, allocationFailed({ wish, target, unmet, sites: this.#sites }));
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
    for (const node of this.#nodes.values()) {
      if (idKey(node.pool) === idKey(pool.spec.id) && node.leaving?.reason === 'resize') return false;
    }
    return ([2, 1] as const).every((rank) => this.#staying(pool, rank).length === targetOf(pool, rank));
  }

  /** Free room first on machines with the fewest nodes of this pool (a lost machine then costs it least), then where it fits tightest. */
  #placeNow(pool: PackPool, wish: Wish, sites: readonly Site[]): boolean {
    let best: Site | undefined;
    for (const site of sites) {
      if (site.fitsNow(wish) && (best === undefined || isBetterNow(site, best, wish.pool))) best = site;
    }
    if (best !== undefined) this.#add(pool, wish, best);
    return best !== undefined;
  }

  #promise(wish: Wish, sites: readonly Site[]): boolean {
    let best: Site | undefined;
    for (const site of sites) {
      if (site.fitsLater(wish) && (best === undefined || isBetterLater(site, best, wish.rank))) best = site;
    }
    if (best === undefined) return false;
    for (const victim of best.promise(wish)) this.#leave(victim, 'requeue', 'preempted');
    return true;
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
    this.#nodes.set(added.node, allotment);
    site.place(allotment);
  }

  #leave(node: Allotment, option: NodeDeallocationOption, reason: Leave['reason']): void {
    this.#leaves.push({ node: node.node, option, reason });
    const leaving = { ...node, leaving: { option, reason } };
    this.#nodes.set(node.node, leaving);
    if (option === 'requeue' || option === 'terminate') this.#siteOf.get(node.machine)?.callBack(node);
  }

  #failed(pool: PackPool, error: ResizeError): void {
    this.#unmet.set(pool, [...(this.#unmet.get(pool) ?? []), error]);
  }

  #staying(pool: PackPool, rank: 1 | 2): Allotment[] {
    const key = idKey(pool.spec.id);
    return [...this.#nodes.values()].filter(
      (node) => idKey(node.pool) === key && node.dedicated === (rank === 2) && node.leaving === undefined,
    );
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

function wishOf(pool: PackPool, rank: Rank): Wish | undefined {
  const size = parseVmSize(pool.spec.vmSize);
  if (size === undefined) return undefined;
  return { pool: pool.spec.id, rank, size, requiredLabels: pool.spec.requiredLabels ?? [] };
}

function targetOf(pool: PackPool, rank: 1 | 2): number {
  return rank === 2 ? pool.targetDedicatedNodes : pool.targetLowPriorityNodes;
}

function oldestFirst(a: PackPool, b: PackPool): number {
  return a.creationTimeMs - b.creationTimeMs || (idKey(a.spec.id) < idKey(b.spec.id) ? -1 : 1);
}

/** Sites come in the order of their ids, so the first of equals wins. */
function isBetterNow(site: Site, best: Site, pool: string): boolean {
  return (site.nodesOf(pool) - best.nodesOf(pool) || site.coresLeft - best.coresLeft) < 0;
}

function isBetterLater(site: Site, best: Site, rank: Rank): boolean {
  const a = site.machine.capacity;
  const b = best.machine.capacity;
  return (
    (site.displaceable(rank) - best.displaceable(rank) ||
      a.cores - b.cores ||
      a.memoryBytes - b.memoryBytes) < 0
  );
}

function sameErrors(a: readonly ResizeError[], b: readonly ResizeError[]): boolean {
  return (
    a.length === b.length &&
    a.every((error, at) => error.code === b[at]?.code && error.message === b[at]?.message)
  );
}
