/** One machine as the packer of nodes sees it: what is on it, what leaves it, and what was promised to whom. */
import type { Allotment, MachineRecord } from '../../src/model/machine.ts';
import type { VmSize } from '../../src/model/vm-size.ts';
import { leavesAtOnce } from '../core/mesh/allotments.ts';

export interface PackMachine extends Pick<MachineRecord, 'id' | 'capacity' | 'scheduling'> {
  readonly alive: boolean;
  /** How long it has been alive or silent, ms. */
  readonly forMs: number;
}

/** 2: dedicated, 1: low priority, 0: of a pool that wants a node on every machine. */
export type Rank = 0 | 1 | 2;

/** What one node of a pool asks of a machine. */
export interface Wish {
  readonly pool: string;
  readonly rank: Rank;
  readonly size: VmSize;
  readonly requiredLabels: readonly string[];
}

/** What a node of some rank finds on the machine. */
interface Standing {
  /** Room of the nodes that it cannot displace. */
  readonly staying: Room;
  readonly displaceable: number;
}

interface Room {
  cores: number;
  memoryBytes: number;
}

export class Site {
  readonly machine: PackMachine;
  /** Its place among all machines, by their ids. */
  readonly order: number;
  readonly #rankOf: (allotment: Allotment) => Rank;
  readonly #present = new Map<string, Allotment>();
  /** Nodes whose room is free soon: called back, their tasks ended rather than waited for. */
  readonly #departing = new Set<string>();
  readonly #nodesOfPool = new Map<string, number>();
  /** Room taken by all nodes that are here. */
  readonly #taken: Room = { cores: 0, memoryBytes: 0 };
  /** Room promised to nodes that wait for others to leave. */
  readonly #promised: Room = { cores: 0, memoryBytes: 0 };
  #promisedRank: Rank | undefined;
  #promisedWhole = false;
  /** By rank, worked out when asked for: a packing asks a machine far more often than it changes it. */
  #standings: (Standing | undefined)[] = [];

  constructor(machine: PackMachine, order: number, rankOf: (allotment: Allotment) => Rank) {
    this.machine = machine;
    this.order = order;
    this.#rankOf = rankOf;
  }

  /** New nodes may come here at all. */
  get open(): boolean {
    const { alive, scheduling, capacity } = this.machine;
    return alive && scheduling === 'enabled' && capacity.cores >= 1;
  }

  hasLabels(labels: readonly string[]): boolean {
    return labels.every((label) => this.machine.capacity.labels.includes(label));
  }

  nodesOf(pool: string): number {
    return this.#nodesOfPool.get(pool) ?? 0;
  }

  get coresLeft(): number {
    return this.machine.capacity.cores - this.#taken.cores - this.#promised.cores;
  }

  /** True where the empty machine would do. */
  isLargeEnough({ size }: Wish): boolean {
    const { cores, memoryBytes } = this.machine.capacity;
    return size.kind === 'machine' || (size.cores <= cores && size.memoryBytes <= memoryBytes);
  }

  /** Whether the node could be here if nothing else was. What follows is asked of such machines only. */
  admits(wish: Wish): boolean {
    return this.open && this.hasLabels(wish.requiredLabels) && this.isLargeEnough(wish);
  }

  /** The node can be here at once. Where room is promised, nothing of lower rank comes in between. */
  fitsNow(wish: Wish): boolean {
    if (this.#promisedRank !== undefined && wish.rank < this.#promisedRank) return false;
    if (wish.size.kind === 'machine') return this.#present.size === 0 && this.#promisedRank === undefined;
    return !this.#promisedWhole && this.#hasRoom(this.#taken, wish);
  }

  /** The node can be here once what departs and what is of lower rank has left. */
  fitsLater(wish: Wish): boolean {
    const { displaceable, staying } = this.#against(wish.rank);
    if (wish.size.kind === 'machine') {
      return displaceable === this.#present.size && this.#promisedRank === undefined;
    }
    return !this.#promisedWhole && this.#hasRoom(staying, wish);
  }

  /** How many nodes depart, or might be displaced by one of this rank. */
  displaceable(rank: Rank): number {
    return this.#against(rank).displaceable;
  }

  /**
   * Promises the room, and names the nodes that must be called back for it: lowest rank first, then the youngest,
   * which have done the least; none that need not.
   */
  promise(wish: Wish): readonly Allotment[] {
    const victims: Allotment[] = [];
    const candidates = [...this.#present.values()]
      .filter((node) => !this.#departing.has(node.node) && this.#rankOf(node) < wish.rank)
      .sort((a, b) => this.#rankOf(a) - this.#rankOf(b) || youngestFirst(a, b));
    for (const candidate of candidates) {
      const staying = [...this.#present.values()].filter((node) => !this.#departing.has(node.node));
      const enough =
        wish.size.kind === 'machine' ? staying.length === 0 : this.#hasRoom(roomOf(staying), wish);
      if (enough) break;
      this.callBack(candidate);
      victims.push(candidate);
    }
    const { cores, memoryBytes } = wish.size.kind === 'machine' ? this.machine.capacity : wish.size;
    this.#promised.cores += cores;
    this.#promised.memoryBytes += memoryBytes;
    this.#promisedWhole ||= wish.size.kind === 'machine';
    this.#promisedRank = Math.max(this.#promisedRank ?? 0, wish.rank) as Rank;
    return victims;
  }

  place(allotment: Allotment): void {
    this.#standings = [];
    this.#present.set(allotment.node, allotment);
    this.#taken.cores += allotment.cores;
    this.#taken.memoryBytes += allotment.memoryBytes;
    this.#nodesOfPool.set(allotment.pool, this.nodesOf(allotment.pool) + 1);
    if (allotment.leaving !== undefined && leavesAtOnce(allotment.leaving.option)) this.callBack(allotment);
  }

  callBack(allotment: Allotment): void {
    this.#standings = [];
    this.#departing.add(allotment.node);
  }

  /** Nodes that cannot stay: the machine offers less than it did. Calls them back. */
  expelMisfits(labelsOf: (pool: string) => readonly string[]): readonly Allotment[] {
    if (this.#present.size === 0) return [];
    const expelled: Allotment[] = [];
    const expel = (node: Allotment): void => {
      this.callBack(node);
      expelled.push(node);
    };
    const staying = (): Allotment[] =>
      [...this.#present.values()].filter((node) => !this.#departing.has(node.node));
    for (const node of staying()) if (!this.hasLabels(labelsOf(node.pool))) expel(node);
    const byWorth = staying().sort((a, b) => this.#rankOf(a) - this.#rankOf(b) || youngestFirst(a, b));
    for (const node of byWorth) {
      if (fitsIn(roomOf(staying()), this.machine.capacity)) break;
      expel(node);
    }
    return expelled;
  }

  #against(rank: Rank): Standing {
    let standing = this.#standings[rank];
    if (standing === undefined) {
      const staying = [...this.#present.values()].filter(
        (node) => !this.#departing.has(node.node) && this.#rankOf(node) >= rank,
      );
      standing = { staying: roomOf(staying), displaceable: this.#present.size - staying.length };
      this.#standings[rank] = standing;
    }
    return standing;
  }

  #hasRoom(taken: Room, { size }: Wish): boolean {
    if (size.kind === 'machine') return false;
    const sum = {
      cores: taken.cores + this.#promised.cores + size.cores,
      memoryBytes: taken.memoryBytes + this.#promised.memoryBytes + size.memoryBytes,
    };
    return fitsIn(sum, this.machine.capacity);
  }
}

function roomOf(nodes: readonly Allotment[]): Room {
  const room = { cores: 0, memoryBytes: 0 };
  for (const { cores, memoryBytes } of nodes) {
    room.cores += cores;
    room.memoryBytes += memoryBytes;
  }
  return room;
}

function fitsIn(room: Readonly<Room>, capacity: Readonly<Room>): boolean {
  return room.cores <= capacity.cores && room.memoryBytes <= capacity.memoryBytes;
}

/** By time, then by name: names count up. */
export function youngestFirst(a: Allotment, b: Allotment): number {
  return b.allottedAtMs - a.allottedAtMs || (a.node < b.node ? 1 : a.node > b.node ? -1 : 0);
}
