/**
 * The machines that could host nodes of one kind, in the order in which nodes take them. All nodes of a size and labels
 * ask the same of a machine, whatever their pool, so pools that want alike nodes share one such list; and finding a
 * machine costs the logarithm of their number, where looking at each would make a packing nodes times machines.
 *
 * It rests on what holds in a packing once all nodes that it calls back by itself are called back: a machine's room only
 * becomes less, and wishes come from the highest rank down. So what did not fit on a machine need not be asked again.
 */
import { Heap } from '../../src/lib/heap.ts';
import { obstaclesTo } from './resize-errors.ts';
import type { Rank, Site, Wish } from './site.ts';

/** A machine as it was when it was put in; void once it has other room. */
interface Offer {
  readonly site: Site;
  readonly coresLeft: number;
  /** Nodes of the pool that it is offered to; 0 where it is offered to all. */
  readonly nodes: number;
}

interface Queue {
  readonly sites: readonly Site[];
  /** Those before it take no more nodes of this rank. */
  next: number;
}

export class Openings {
  readonly #sites: readonly Site[];
  readonly #admitting: readonly Site[];
  /** Machines whose room changed, by whatever wish, in the order in which that happened. */
  readonly #changed: readonly Site[];
  #changesSeen: number;
  /** With room now. Each machine has at most one offer here that is not void. */
  readonly #free = new Heap<Offer>(isTakenBefore);
  readonly #queues = new Map<Rank, Queue>();
  #obstacles: string | undefined;

  /** `changed` grows while the packing goes on; `sites` are all there are. */
  constructor(wish: Wish, sites: readonly Site[], changed: readonly Site[]) {
    this.#sites = sites;
    this.#changed = changed;
    this.#changesSeen = changed.length;
    this.#admitting = sites.filter((site) => site.admits(wish));
    for (const site of this.#admitting) if (site.fitsNow(wish)) this.#free.push(offerOf(site, 0));
  }

  /**
   * Names up to `count` machines with room, one after another, and returns how many there were: those with the fewest
   * nodes of the pool first (a lost machine then costs it least), of these the one where it fits tightest. `take` must
   * place the node before it returns.
   */
  takeFree(wish: Wish, count: number, take: (site: Site) => void): number {
    this.#catchUp(wish);
    const aside: Offer[] = [];
    const used = new Heap<Offer>(isTakenBefore);
    let taken = 0;
    while (taken < count) {
      const site = this.#nextUnused(wish, (offer) => {
        aside.push(offer);
        used.push(offerOf(offer.site, offer.site.nodesOf(wish.pool)));
      });
      const best = site ?? nextOf(used, wish);
      if (best === undefined) break;
      take(best);
      taken += 1;
      used.push(offerOf(best, best.nodesOf(wish.pool)));
    }
    for (const offer of aside) if (!isVoid(offer)) this.#free.push(offer);
    return taken;
  }

  /** The machine that could take the node once others have left it, with the fewest to be displaced; of these the smallest. */
  displaceable(wish: Wish): Site | undefined {
    const queue = this.#queueOf(wish);
    for (; queue.next < queue.sites.length; queue.next += 1) {
      const site = queue.sites[queue.next];
      if (site?.fitsLater(wish)) return site;
    }
    return undefined;
  }

  /** What keeps such a node away from all the machines. */
  obstacles(wish: Wish): string {
    this.#obstacles ??= obstaclesTo(wish, this.#sites);
    return this.#obstacles;
  }

  #catchUp(wish: Wish): void {
    const changed = new Set(this.#changed.slice(this.#changesSeen));
    this.#changesSeen = this.#changed.length;
    for (const site of changed)
      if (site.admits(wish) && site.fitsNow(wish)) this.#free.push(offerOf(site, 0));
  }

  /** The tightest machine without a node of the pool; those with one go to `usedOne`. */
  #nextUnused(wish: Wish, usedOne: (offer: Offer) => void): Site | undefined {
    for (let offer = this.#free.pop(); offer !== undefined; offer = this.#free.pop()) {
      if (isVoid(offer) || !offer.site.fitsNow(wish)) continue;
      if (offer.site.nodesOf(wish.pool) === 0) return offer.site;
      usedOne(offer);
    }
    return undefined;
  }

  /** A rank's nodes displace lower ones, which their rank never counted as staying: so the order stays while the rank is served. */
  #queueOf(wish: Wish): Queue {
    let queue = this.#queues.get(wish.rank);
    if (queue === undefined) {
      const sites = this.#admitting.filter((site) => site.fitsLater(wish));
      queue = { sites: sites.sort((a, b) => compareDisplaced(a, b, wish.rank)), next: 0 };
      this.#queues.set(wish.rank, queue);
    }
    return queue;
  }
}

function offerOf(site: Site, nodes: number): Offer {
  return { site, coresLeft: site.coresLeft, nodes };
}

function isVoid({ site, coresLeft }: Offer): boolean {
  return site.coresLeft !== coresLeft;
}

function nextOf(used: Heap<Offer>, wish: Wish): Site | undefined {
  for (let offer = used.pop(); offer !== undefined; offer = used.pop())
    if (!isVoid(offer) && offer.site.fitsNow(wish)) return offer.site;
  return undefined;
}

function isTakenBefore(a: Offer, b: Offer): boolean {
  return (a.nodes - b.nodes || a.coresLeft - b.coresLeft || a.site.order - b.site.order) < 0;
}

function compareDisplaced(a: Site, b: Site, rank: Rank): number {
  const [one, other] = [a.machine.capacity, b.machine.capacity];
  return (
    a.displaceable(rank) - b.displaceable(rank) ||
    one.cores - other.cores ||
    one.memoryBytes - other.memoryBytes ||
    a.order - b.order
  );
}
