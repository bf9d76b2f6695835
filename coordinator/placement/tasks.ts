/**
 * Which ready task goes to which node. A pure function of a narrow view of the pool: it proposes, and the gate in
 * coordinator/core checks each proposal again.
 *
 * One round has two passes. The first fills free slots, job by job in their order, and in each job by task number.
 * The second assigns tasks of quick jobs ahead of free slots, so that a slot never waits for a round trip (an agent
 * that asks only when idle loses one per task); how far ahead is bounded by the job's expected run time. Cost: the
 * jobs and queues that are looked at, the nodes with room, and O(log nodes) for each task placed; never all tasks.
 */
import { Heap } from '../../src/lib/heap.ts';
import {
  PLACEMENT_PASSED_OVER_MAX,
  PLACEMENT_RESERVED_MAX,
  PREFETCH_BACKLOG_MS,
  PREFETCH_JOBS_MAX,
  PREFETCH_PER_SLOT_MAX,
  PREFETCH_UNKNOWN_ROUNDS,
} from '../../src/lib/limits.ts';
import type { Assignment } from '../../src/model/commands.ts';

export interface PlacementNode {
  readonly index: number;
  readonly id: string;
  readonly slots: number;
  /** Slots of all that is assigned to it; above `slots` where tasks wait. */
  readonly assignedSlots: number;
  /** Slots among them that come free soon: what holds them is being stopped. */
  readonly stoppingSlots: number;
  /** Assigned slots for each job. */
  readonly slotsByJob: ReadonlyMap<number, number>;
  hasLabels(labels: readonly string[]): boolean;
}

/** Ready tasks of one job that ask for the same. */
export interface PlacementQueue {
  readonly slots: number;
  /** Idle nodes that each of its tasks takes for itself, all at once; 0 where it shares one. */
  readonly instances: number;
  readonly labels: readonly string[];
  /** Equal for equal labels. */
  readonly labelsKey: string;
  peek(): number | undefined;
  take(): number | undefined;
  /** Gives a taken task back. */
  push(task: number): void;
}

export interface PlacementJob {
  readonly number: number;
  /** How many more of its tasks may be live. */
  readonly parallelLeft: number;
  /** Tasks that are ready. */
  readonly readyCount: number;
  /** Undefined until one of its tasks has ended. */
  readonly expectedRunMs: number | undefined;
  readonly queues: readonly PlacementQueue[];
  /** Where the task would rather run. */
  affinityOf(task: number): PlacementNode | undefined;
}

export interface PlacementView {
  readonly fill: 'spread' | 'pack';
  /** Nodes that take new work and have a free slot. */
  readonly freeNodes: Iterable<PlacementNode>;
  /** All nodes that take new work, and the sum of their slots. */
  readonly openNodes: Iterable<PlacementNode>;
  readonly openSlots: number;
  /** Jobs with ready tasks, in their order: greater priority first, then older. Taken one by one, as far as needed. */
  nextJob(): PlacementJob | undefined;
  expectedRunMsOf(job: number): number | undefined;
}

/**
 * For each big task that found no node: how many were placed after it. Belongs to one leader; a new one begins anew.
 * Key: `<job>/<task>`.
 */
export type PassedOver = Map<string, number>;

export interface Placement {
  readonly assignments: readonly Assignment[];
  /** Jobs that the view handed out. */
  readonly visited: readonly PlacementJob[];
}

export function placeTasks(view: PlacementView, limit: number, passedOver: PassedOver): Placement {
  const round = new Round(view, limit, passedOver);
  round.fillFreeSlots();
  round.prefetch();
  round.finish();
  return { assignments: round.assignments, visited: round.visited };
}

/** What a node has left in this round. */
interface Load {
  readonly node: PlacementNode;
  assigned: number;
  /** Kept free for a big task: nothing of a later order goes here. */
  reserved: boolean;
  /** The job that was given a slot in this round; -1 for several. */
  givenTo: number | undefined;
}

interface Ranked {
  readonly load: Load;
  readonly node: PlacementNode;
  /** `assigned` when it was ranked: a stale rank is renewed when it comes to the top. */
  readonly assigned: number;
}

/** A node's load, and by how many slots it may be assigned ahead. */
interface Room {
  readonly load: Load;
  readonly slots: number;
}

class Round {
  readonly #view: PlacementView;
  readonly #limit: number;
  readonly #passedOver: PassedOver;
  readonly #loads = new Map<number, Load>();
  /** Nodes with a free slot, by labels: built for those labels that are asked for. */
  readonly #ranked = new Map<string, Heap<Ranked>>();
  /** Fewest slots, by labels, for which no node was found; loads only grow in a round. */
  readonly #noFit = new Map<string, number>();
  /** Big tasks that were passed over in this round, with how many placements were made before. */
  readonly #heads = new Map<string, number>();
  /** Queues whose first task waits for the next free slot: nothing of a later order is put ahead of it. */
  readonly #claims: PlacementQueue[] = [];
  readonly #taken: { readonly queue: PlacementQueue; readonly task: number }[] = [];
  readonly #placedOf = new Map<PlacementJob, number>();
  readonly #freeNodes: PlacementNode[];
  #freeSlots = 0;
  #reserved = 0;
  readonly assignments: Assignment[] = [];
  readonly visited: PlacementJob[] = [];

  constructor(view: PlacementView, limit: number, passedOver: PassedOver) {
    this.#view = view;
    this.#limit = limit;
    this.#passedOver = passedOver;
    this.#freeNodes = [...view.freeNodes];
    for (const { slots, assignedSlots } of this.#freeNodes) this.#freeSlots += slots - assignedSlots;
  }

  get #isFull(): boolean {
    return this.assignments.length >= this.#limit;
  }

  #loadOf(node: PlacementNode): Load {
    const known = this.#loads.get(node.index);
    if (known !== undefined) return known;
    const load: Load = { node, assigned: node.assignedSlots, reserved: false, givenTo: undefined };
    this.#loads.set(node.index, load);
    return load;
  }

  #parallelLeft(job: PlacementJob): number {
    return job.parallelLeft - (this.#placedOf.get(job) ?? 0);
  }

  #job(position: number): PlacementJob | undefined {
    const known = this.visited[position];
    if (known !== undefined) return known;
    const job = this.#view.nextJob();
    if (job !== undefined) this.visited.push(job);
    return job;
  }

  // --- First pass: free slots ---------------------------------------------------------------------------------------

  fillFreeSlots(): void {
    for (let position = 0; this.#freeSlots > 0 && !this.#isFull; position++) {
      const job = this.#job(position);
      if (job === undefined) return;
      this.#fillFrom(job);
    }
  }

  #fillFrom(job: PlacementJob): void {
    const queues = inOrder(job.queues);
    while (this.#freeSlots > 0 && !this.#isFull && this.#parallelLeft(job) > 0) {
      const queue = queues.peek();
      const task = queue?.peek();
      if (queue === undefined || task === undefined) return;
      if (queue.instances > 0) {
        queues.pop();
        if (this.#placeGang(job, queue, task) && queue.peek() !== undefined) queues.push(queue);
        continue;
      }
      const load = this.#preferred(job, queue, task) ?? this.#pick(queue);
      queues.pop();
      if (load === undefined) this.#passOver(job, queue, task);
      else {
        this.#assign(job, queue, load);
        this.#freeSlots -= queue.slots;
        if (queue.peek() !== undefined) queues.push(queue);
      }
    }
  }

  /** The node that the task has an affinity to, if it has room at once: a hint is not worth a wait. */
  #preferred(job: PlacementJob, queue: PlacementQueue, task: number): Load | undefined {
    const node = job.affinityOf(task);
    if (node === undefined || !node.hasLabels(queue.labels)) return undefined;
    const load = this.#loadOf(node);
    return !load.reserved && freeOf(load) >= queue.slots ? load : undefined;
  }

  /** Spread: the least loaded node with room. Pack: the most loaded. */
  #pick({ slots, labels, labelsKey }: PlacementQueue): Load | undefined {
    if ((this.#noFit.get(labelsKey) ?? Number.POSITIVE_INFINITY) <= slots) return undefined;
    const ranked = this.#rankedFor(labels, labelsKey);
    const tooSmall: Ranked[] = [];
    let found: Load | undefined;
    for (let top = ranked.pop(); top !== undefined; top = ranked.pop()) {
      const { load } = top;
      if (load.reserved || freeOf(load) <= 0) continue;
      if (load.assigned !== top.assigned) {
        ranked.push(rankOf(load));
        continue;
      }
      tooSmall.push(top);
      if (freeOf(load) < slots) continue;
      found = load;
      break;
    }
    for (const one of tooSmall) ranked.push(one);
    if (found === undefined) this.#noFit.set(labelsKey, slots);
    return found;
  }

  #rankedFor(labels: readonly string[], labelsKey: string): Heap<Ranked> {
    const known = this.#ranked.get(labelsKey);
    if (known !== undefined) return known;
    const ranked = new Heap<Ranked>(this.#view.fill === 'spread' ? emptierFirst : fullerFirst);
    for (const node of this.#freeNodes) {
      if (!node.hasLabels(labels)) continue;
      const load = this.#loadOf(node);
      ranked.push(rankOf(load));
    }
    this.#ranked.set(labelsKey, ranked);
    return ranked;
  }

  #assign(job: PlacementJob, queue: PlacementQueue, load: Load): void {
    const task = queue.take();
    if (task === undefined) return;
    this.#taken.push({ queue, task });
    load.assigned += queue.slots;
    load.givenTo = load.givenTo === undefined || load.givenTo === job.number ? job.number : -1;
    this.#placedOf.set(job, (this.#placedOf.get(job) ?? 0) + 1);
    this.assignments.push({ job: job.number, task, node: load.node.id });
  }

  // --- Tasks of several nodes ---------------------------------------------------------------------------------------

  /** On so many idle nodes, or on none: it never holds a part of them and waits for the rest. */
  #placeGang(job: PlacementJob, queue: PlacementQueue, task: number): boolean {
    const loads = this.#idleFor(queue);
    const [first, ...others] = loads;
    if (first === undefined || loads.length < queue.instances) {
      this.#passOverGang(job, queue, task);
      return false;
    }
    queue.take();
    this.#taken.push({ queue, task });
    for (const load of loads) {
      this.#freeSlots -= freeOf(load);
      load.assigned = load.node.slots;
      load.givenTo = -1;
      load.reserved = true;
    }
    this.#placedOf.set(job, (this.#placedOf.get(job) ?? 0) + 1);
    this.assignments.push({
      job: job.number,
      task,
      node: first.node.id,
      others: others.map(({ node }) => node.id),
    });
    return true;
  }

  #idleFor({ instances, labels }: PlacementQueue): readonly Load[] {
    const idle: Load[] = [];
    for (const node of this.#freeNodes) {
      if (node.assignedSlots > 0 || !node.hasLabels(labels)) continue;
      const load = this.#loadOf(node);
      if (load.assigned === 0 && !load.reserved) idle.push(load);
    }
    return idle.sort((a, b) => a.node.index - b.node.index).slice(0, instances);
  }

  /** It starves as a big task does; once enough went ahead of it, as many nodes as it needs are kept until they are idle. */
  #passOverGang(job: PlacementJob, queue: PlacementQueue, task: number): void {
    const key = `${job.number}/${task}`;
    if (this.#heads.has(key)) return;
    this.#heads.set(key, this.assignments.length);
    if ((this.#passedOver.get(key) ?? 0) < PLACEMENT_PASSED_OVER_MAX) return;
    if (this.#reserved >= PLACEMENT_RESERVED_MAX) return;
    const nearest: Load[] = [];
    for (let left = queue.instances; left > 0; left--) {
      const load = this.#nearestToRoom(queue);
      if (load === undefined) break;
      load.reserved = true;
      nearest.push(load);
    }
    // Fewer nodes than it needs may ever take it: none is kept for nothing.
    if (nearest.length < queue.instances) for (const load of nearest) load.reserved = false;
    else {
      this.#reserved += 1;
      for (const load of nearest) this.#freeSlots -= Math.max(0, freeOf(load));
    }
  }

  // --- Big tasks ----------------------------------------------------------------------------------------------------

  /**
   * A task that needs several slots can starve: one-slot tasks take each slot that comes free. Once enough of them
   * went ahead of it, the node that is nearest to having room is kept free of all later tasks until it has. Where
   * tasks are being stopped that leave room enough it is kept at once: they may be stopped for this very task.
   */
  #passOver(job: PlacementJob, queue: PlacementQueue, task: number): void {
    const key = `${job.number}/${task}`;
    if (queue.slots <= 1 || this.#heads.has(key)) return;
    this.#heads.set(key, this.assignments.length);
    if (this.#reserved >= PLACEMENT_RESERVED_MAX) return;
    const waited = (this.#passedOver.get(key) ?? 0) >= PLACEMENT_PASSED_OVER_MAX;
    const load = this.#nearestToRoom(queue);
    if (load === undefined || !(waited || freeSoonOf(load) >= queue.slots)) return;
    this.#reserved += 1;
    this.#freeSlots -= Math.max(0, freeOf(load));
    load.reserved = true;
  }

  /** Always the one with the most slots free soon: as nothing is added there, what it has only grows, whichever it is. */
  #nearestToRoom({ slots, labels }: PlacementQueue): Load | undefined {
    let best: Load | undefined;
    for (const node of this.#view.openNodes) {
      if (node.slots < slots || !node.hasLabels(labels)) continue;
      const load = this.#loadOf(node);
      if (load.reserved) continue;
      if (
        best === undefined ||
        freeSoonOf(load) > freeSoonOf(best) ||
        (freeSoonOf(load) === freeSoonOf(best) && node.index < best.node.index)
      )
        best = load;
    }
    return best;
  }

  // --- Second pass: ahead of free slots -----------------------------------------------------------------------------

  prefetch(): void {
    for (let position = 0; position < PREFETCH_JOBS_MAX; position++) {
      const job = this.#job(position);
      if (job === undefined) return;
      for (const queue of inOrder(job.queues).drain()) {
        if (queue.instances === 0 && this.#mayPrefetch(job)) this.#prefetchFrom(job, queue);
        if (this.#isFull || !this.#leave(job, queue)) return;
      }
    }
  }

  /**
   * What stays in a queue waits for the next free slot. If tasks of later jobs were put ahead on the nodes, that slot
   * would never come: so they keep off the nodes that could run it. Returns false where that is all of them.
   */
  #leave(job: PlacementJob, queue: PlacementQueue): boolean {
    const task = queue.peek();
    if (task === undefined || this.#parallelLeft(job) <= 0) return true;
    if (queue.instances > 0) {
      this.#passOverGang(job, queue, task);
      return true;
    }
    if (queue.slots > 1) {
      this.#passOver(job, queue, task);
      return true;
    }
    this.#claims.push(queue);
    return queue.labels.length > 0;
  }

  /**
   * Before one task of a job has ended nobody knows how long they run. One ahead for each slot then costs little as long
   * as there is work for many rounds: what waits behind a long task is no later than the rest. With little work left
   * it might wait behind the longest task of all while other nodes idle.
   */
  #mayPrefetch(job: PlacementJob): boolean {
    const left = job.readyCount - (this.#placedOf.get(job) ?? 0);
    if (left <= 0 || this.#parallelLeft(job) <= 0) return false;
    return job.expectedRunMs === undefined
      ? left >= PREFETCH_UNKNOWN_ROUNDS * this.#view.openSlots
      : job.expectedRunMs <= PREFETCH_BACKLOG_MS;
  }

  #prefetchFrom(job: PlacementJob, queue: PlacementQueue): void {
    const rooms = new Heap<Room>((a, b) => emptierFirst(a.load, b.load));
    for (const node of this.#view.openNodes) {
      // Most nodes have no room: nothing is made for them.
      if (node.slots < queue.slots || !node.hasLabels(queue.labels) || this.#isClaimed(node)) continue;
      const slots = this.#prefetchRoom(job, node, this.#loads.get(node.index));
      if (slots >= queue.slots) rooms.push({ load: this.#loadOf(node), slots });
    }
    for (let room = rooms.pop(); room !== undefined; room = rooms.pop()) {
      if (this.#isFull || this.#parallelLeft(job) <= 0 || queue.peek() === undefined) return;
      this.#assign(job, queue, room.load);
      const slots = room.slots - queue.slots;
      if (slots >= queue.slots) rooms.push({ load: room.load, slots });
    }
  }

  #isClaimed(node: PlacementNode): boolean {
    return this.#claims.some(({ labels }) => node.hasLabels(labels));
  }

  /** Slots by which the node may be assigned ahead with tasks of this job. */
  #prefetchRoom(job: PlacementJob, node: PlacementNode, load: Load | undefined): number {
    const givenTo = load?.givenTo;
    // What another job was just given is looked at in the next round, when it is on the node's books.
    if (load?.reserved === true || (givenTo !== undefined && givenTo !== job.number)) return 0;
    const assigned = load?.assigned ?? node.assignedSlots;
    const most = node.slots * (1 + PREFETCH_PER_SLOT_MAX) - assigned;
    const runMs = job.expectedRunMs;
    if (runMs === undefined)
      return Math.min(most, this.#holdsOnly(job, node) ? 2 * node.slots - assigned : 0);
    // Work on the node in slot milliseconds: what waits may take the backlog's time, behind one task in each slot.
    let workMs = (assigned - node.assignedSlots) * runMs;
    for (const [other, slots] of node.slotsByJob) {
      const otherMs = this.#view.expectedRunMsOf(other);
      // Behind a task of unknown or great length nothing is put.
      if (other !== job.number && (otherMs === undefined || otherMs > PREFETCH_BACKLOG_MS)) return 0;
      workMs += slots * (otherMs ?? runMs);
    }
    const roomMs = node.slots * (PREFETCH_BACKLOG_MS + runMs) - workMs;
    return Math.min(most, Math.floor(roomMs / Math.max(runMs, 1)));
  }

  #holdsOnly(job: PlacementJob, { slotsByJob }: PlacementNode): boolean {
    for (const other of slotsByJob.keys()) if (other !== job.number) return false;
    return true;
  }

  // ------------------------------------------------------------------------------------------------------------------

  /** Gives everything back: a task leaves its queue for good only when its assignment is applied. */
  finish(): void {
    for (const { queue, task } of this.#taken) queue.push(task);
    const before = new Map(this.#passedOver);
    this.#passedOver.clear();
    for (const [key, placedBefore] of this.#heads) {
      this.#passedOver.set(key, (before.get(key) ?? 0) + this.assignments.length - placedBefore);
    }
  }
}

function freeOf(load: Load): number {
  return load.node.slots - load.assigned;
}

function freeSoonOf(load: Load): number {
  return freeOf(load) + load.node.stoppingSlots;
}

function rankOf(load: Load): Ranked {
  return { load, node: load.node, assigned: load.assigned };
}

type Rank = Pick<Load, 'node' | 'assigned'>;

function emptierFirst(a: Rank, b: Rank): boolean {
  const shareA = a.assigned / a.node.slots;
  const shareB = b.assigned / b.node.slots;
  return shareA === shareB ? a.node.index < b.node.index : shareA < shareB;
}

function fullerFirst(a: Rank, b: Rank): boolean {
  const shareA = a.assigned / a.node.slots;
  const shareB = b.assigned / b.node.slots;
  return shareA === shareB ? a.node.index < b.node.index : shareA > shareB;
}

/** Queues with ready tasks, the one whose first task is oldest first. */
class QueueOrder {
  readonly #heap = new Heap<{ readonly queue: PlacementQueue; readonly head: number }>(
    (a, b) => a.head < b.head,
  );

  push(queue: PlacementQueue): void {
    const head = queue.peek();
    if (head !== undefined) this.#heap.push({ queue, head });
  }

  peek(): PlacementQueue | undefined {
    return this.#heap.peek()?.queue;
  }

  pop(): PlacementQueue | undefined {
    return this.#heap.pop()?.queue;
  }

  *drain(): Iterable<PlacementQueue> {
    for (let queue = this.pop(); queue !== undefined; queue = this.pop()) yield queue;
  }
}

function inOrder(queues: readonly PlacementQueue[]): QueueOrder {
  const order = new QueueOrder();
  for (const queue of queues) order.push(queue);
  return order;
}
