import { Heap } from '../../src/lib/heap.ts';

/** What the queue must know of an execution that waits for a slot. */
export interface Waiting {
  /** Unique among all that wait. */
  readonly name: string;
  readonly node: string;
  readonly lease: string;
  readonly slots: number;
  /** Greater first. */
  readonly priority: number;
}

interface Entry<T> {
  readonly item: T;
  readonly order: number;
}

interface NodeQueue<T> {
  /** Undefined once the node was removed, until its last execution is gone. */
  slots: number | undefined;
  slotsUsed: number;
  /** How many wait that need no slot. */
  slotless: number;
  /** One heap a lease: what waits without a lease must not hold up its neighbours. */
  readonly byLease: Map<string, Heap<Entry<T>>>;
}

/**
 * Executions that wait for the slots of their node: by priority, then in the order of arrival. Strictly so:
 * one that needs more slots than are free holds back all behind it, or a stream of small ones would keep it
 * waiting for ever. Pure.
 */
export class LaunchQueue<T extends Waiting> {
  readonly #nodes = new Map<string, NodeQueue<T>>();
  /** Where something waits, or did, and there is a slot for it or it needs none: of many nodes few are. */
  readonly #open = new Set<NodeQueue<T>>();
  readonly #waiting = new Map<string, T>();
  #order = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** Adds a node or changes its number of slots; what runs already keeps its slots. */
  setSlots(node: string, slots: number): void {
    const queue = this.#nodes.get(node) ?? { slots, slotsUsed: 0, slotless: 0, byLease: new Map() };
    queue.slots = slots;
    this.#nodes.set(node, queue);
    this.#note(queue);
  }

  /** The node's slots, or undefined for an unknown node. */
  slotsOf(node: string): number | undefined {
    return this.#nodes.get(node)?.slots;
  }

  has(name: string): boolean {
    return this.#waiting.has(name);
  }

  items(): IterableIterator<T> {
    return this.#waiting.values();
  }

  /** The node must be known. */
  push(item: T): void {
    const queue = this.#nodes.get(item.node);
    if (queue?.slots === undefined) throw new RangeError(`no node ${item.node}`);
    let heap = queue.byLease.get(item.lease);
    if (heap === undefined) {
      heap = new Heap<Entry<T>>(startsBefore);
      queue.byLease.set(item.lease, heap);
    }
    heap.push({ item, order: this.#order++ });
    this.#waiting.set(item.name, item);
    if (item.slots === 0) queue.slotless += 1;
    this.#note(queue);
  }

  /** Takes the next execution that may start now, and its slots with it; `release` gives them back. */
  take(isLive: (lease: string) => boolean): T | undefined {
    for (const queue of this.#open) {
      const heap = this.#headOf(queue, isLive);
      this.#note(queue);
      const head = heap?.peek();
      if (heap === undefined || head === undefined || head.item.slots > freeSlots(queue)) continue;
      heap.pop();
      queue.slotsUsed += head.item.slots;
      this.#forget(head.item);
      return head.item;
    }
    return undefined;
  }

  /** Gives back the slots of an execution that `take` returned. */
  release(item: Waiting): void {
    const queue = this.#nodes.get(item.node);
    if (queue === undefined) return;
    queue.slotsUsed -= item.slots;
    if (queue.slots === undefined && queue.slotsUsed === 0) this.#nodes.delete(item.node);
    this.#note(queue);
  }

  /** Removes one that waits; undefined if it does not. */
  remove(name: string): T | undefined {
    const item = this.#waiting.get(name);
    if (item !== undefined) this.#forget(item);
    return item;
  }

  removeWhere(matches: (item: T) => boolean): T[] {
    const removed = [...this.#waiting.values()].filter(matches);
    for (const item of removed) this.#forget(item);
    return removed;
  }

  /**
   * Forgets a node, and returns what waited for it. A node of the same name that is added while the last
   * executions of this one still die inherits the slots they use.
   */
  removeNode(node: string): T[] {
    const removed = this.removeWhere((item) => item.node === node);
    const queue = this.#nodes.get(node);
    if (queue !== undefined) {
      queue.slots = undefined;
      queue.byLease.clear();
      if (queue.slotsUsed === 0) this.#nodes.delete(node);
      this.#note(queue);
    }
    return removed;
  }

  /** It waits no more. Its entry may stay until it comes to the head: a heap has no cheap removal from its middle. */
  #forget(item: T): void {
    this.#waiting.delete(item.name);
    const queue = this.#nodes.get(item.node);
    if (queue === undefined) return;
    if (item.slots === 0) queue.slotless -= 1;
    this.#note(queue);
  }

  /** After each change of a node's slots or of what waits for them. */
  #note(queue: NodeQueue<T>): void {
    if (queue.byLease.size > 0 && (freeSlots(queue) > 0 || queue.slotless > 0)) this.#open.add(queue);
    else this.#open.delete(queue);
  }

  #headOf(queue: NodeQueue<T>, isLive: (lease: string) => boolean): Heap<Entry<T>> | undefined {
    let first: Heap<Entry<T>> | undefined;
    for (const [lease, heap] of queue.byLease) {
      this.#dropRemoved(heap);
      const head = heap.peek();
      if (head === undefined) {
        queue.byLease.delete(lease);
        continue;
      }
      if (!isLive(lease)) continue;
      const best = first?.peek();
      if (best === undefined || startsBefore(head, best)) first = heap;
    }
    return first;
  }

  #dropRemoved(heap: Heap<Entry<T>>): void {
    for (;;) {
      const head = heap.peek();
      // Compared by identity: the same name may have been removed and pushed again.
      if (head === undefined || this.#waiting.get(head.item.name) === head.item) return;
      heap.pop();
    }
  }
}

function freeSlots({ slots = 0, slotsUsed }: Pick<NodeQueue<never>, 'slots' | 'slotsUsed'>): number {
  return slots - slotsUsed;
}

function startsBefore<T extends Waiting>(a: Entry<T>, b: Entry<T>): boolean {
  if (a.item.priority !== b.item.priority) return a.item.priority > b.item.priority;
  return a.order < b.order;
}
