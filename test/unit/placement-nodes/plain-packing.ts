/**
 * The packing of nodes written down as plainly as can be: each node that is missing looks at every machine. What it costs
 * is nodes times machines; what it decides is what the packer must decide.
 */

import { nodeName, slotsOf } from '../../../coordinator/core/mesh/allotments.ts';
import type { NodePlan, PackView } from '../../../coordinator/placement/nodes.ts';
import {
  oldestFirst,
  type PackPool,
  sameErrors,
  targetOf,
  wishOf,
} from '../../../coordinator/placement/pack-pool.ts';
import { allocationFailed, obstaclesTo } from '../../../coordinator/placement/resize-errors.ts';
import type { Rank, Wish } from '../../../coordinator/placement/site.ts';
import { Site, youngestFirst } from '../../../coordinator/placement/site.ts';
import { NODE_REPLACE_MS } from '../../../src/lib/limits.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import type { NodeDeallocationOption, ResizeError } from '../../../src/model/pool.ts';

export function packPlainly(view: PackView): NodePlan {
  const packing = new PlainPacking(view);
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

class PlainPacking {
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
    this.#sites = [...view.machines]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((machine, order) => new Site(machine, order, (node) => this.#rankOf(node)));
    this.#siteOf = new Map(this.#sites.map((site) => [site.machine.id, site]));
    for (const allotment of view.allotments) this.#siteOf.get(allotment.machine)?.place(allotment);
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
    if (unmet > 0)
      this.#failed(
        pool,
        allocationFailed({ wish, target, unmet, obstacles: obstaclesTo(wish, this.#sites) }),
      );
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
