/**
 * Which running tasks make room for ready tasks of greater priority. A pure function that proposes; the gate in
 * coordinator/core checks each proposal again. Only tasks of jobs that allow it are taken, only for a strictly greater
 * priority (so that two jobs never take each other's place in turn), and only where what is free, or is being freed
 * already, does not do. Cost: tasks wanted times nodes, within the limit.
 */
import type { Preemption } from '../../src/model/commands.ts';

export interface Victim {
  readonly job: number;
  readonly task: number;
  readonly epoch: number;
  readonly slots: number;
  readonly priority: number;
  /** Undefined as long as it waits on its node: nothing is lost with it. */
  readonly startedAtMs: number | undefined;
}

export interface PreemptionNode {
  readonly slots: number;
  /** Free slots once all that is being stopped has ended; below 0 where tasks wait on the node. */
  readonly freeSoon: number;
  readonly victims: readonly Victim[];
  hasLabels(labels: readonly string[]): boolean;
}

export interface WaitingJob {
  readonly number: number;
  readonly priority: number;
  /** How many more of its tasks may be live. */
  readonly parallelLeft: number;
  readonly queues: readonly {
    readonly slots: number;
    readonly labels: readonly string[];
    readonly ready: number;
    readonly instances: number;
  }[];
}

/** `jobs` in their order. A last task may take the answer beyond `limit` by what one node runs. */
export function proposePreemptions(
  jobs: Iterable<WaitingJob>,
  nodes: readonly PreemptionNode[],
  limit: number,
): readonly Preemption[] {
  const books = nodes.map((node) => new NodeBook(node));
  const proposed: Preemption[] = [];
  for (const job of jobs) {
    let left = job.parallelLeft;
    for (const queue of job.queues) {
      // Room on several nodes at once is not made this way.
      if (queue.instances > 0) continue;
      // Of big tasks one at a time: placement keeps what comes free for the first of a queue, and for no other.
      let wanted = Math.min(queue.slots > 1 ? 1 : queue.ready, queue.ready, left);
      left -= wanted;
      const fitting = books.filter(({ node }) => node.slots >= queue.slots && node.hasLabels(queue.labels));
      for (const book of fitting) wanted -= book.takeFree(queue.slots, wanted);
      for (; wanted > 0 && proposed.length < limit; wanted--) {
        const choice = cheapest(fitting, queue.slots, job.priority);
        if (choice === undefined) break;
        choice.book.give(choice.victims, queue.slots);
        for (const { job: of, task, epoch } of choice.victims)
          proposed.push({ forJob: job.number, job: of, task, epoch });
      }
    }
    if (proposed.length >= limit) break;
  }
  return proposed;
}

interface Choice {
  readonly book: NodeBook;
  readonly victims: readonly Victim[];
}

class NodeBook {
  readonly node: PreemptionNode;
  #free: number;
  #victims: readonly Victim[];

  constructor(node: PreemptionNode) {
    this.node = node;
    this.#free = node.freeSoon;
    this.#victims = [...node.victims].sort(leastLossFirst);
  }

  /** Sets free slots aside for as many as `wanted` tasks; returns for how many. */
  takeFree(slots: number, wanted: number): number {
    const taken = Math.max(0, Math.min(wanted, Math.floor(this.#free / slots)));
    this.#free -= taken * slots;
    return taken;
  }

  /** The tasks that make room for one of `slots`; undefined where all of a lesser priority would not do. */
  victimsFor(slots: number, priority: number): readonly Victim[] | undefined {
    const chosen: Victim[] = [];
    let free = this.#free;
    for (const victim of this.#victims) {
      if (free >= slots) break;
      if (victim.priority >= priority) return undefined;
      chosen.push(victim);
      free += victim.slots;
    }
    return free >= slots ? chosen : undefined;
  }

  give(victims: readonly Victim[], slots: number): void {
    for (const victim of victims) this.#free += victim.slots;
    this.#free -= slots;
    this.#victims = this.#victims.filter((victim) => !victims.includes(victim));
  }
}

function cheapest(books: readonly NodeBook[], slots: number, priority: number): Choice | undefined {
  let best: Choice | undefined;
  for (const book of books) {
    const victims = book.victimsFor(slots, priority);
    if (victims !== undefined && (best === undefined || isCheaper(victims, best.victims)))
      best = { book, victims };
  }
  return best;
}

/** By the most important task that is lost, then by how many have started, then by how much they ran. */
function isCheaper(some: readonly Victim[], others: readonly Victim[]): boolean {
  return (
    (costliest(some) - costliest(others) ||
      started(some) - started(others) ||
      earliest(others) - earliest(some)) < 0
  );
}

function costliest(victims: readonly Victim[]): number {
  return victims.reduce((most, { priority }) => Math.max(most, priority), -Number.MAX_VALUE);
}

function started(victims: readonly Victim[]): number {
  return victims.filter(({ startedAtMs }) => startedAtMs !== undefined).length;
}

function earliest(victims: readonly Victim[]): number {
  return victims.reduce(
    (least, { startedAtMs = Number.MAX_VALUE }) => Math.min(least, startedAtMs),
    Number.MAX_VALUE,
  );
}

/** The least priority first, then what started last; what waits has lost nothing yet. */
function leastLossFirst(a: Victim, b: Victim): number {
  return (
    a.priority - b.priority ||
    (b.startedAtMs ?? Number.MAX_VALUE) - (a.startedAtMs ?? Number.MAX_VALUE) ||
    b.job - a.job ||
    b.task - a.task
  );
}
