/**
 * The ready tasks of one job, by number: one that comes back is the oldest and goes first. Tasks that ask for the same
 * slots and labels share a queue, so that a thousand tasks that fit nowhere are passed over as one. A queue may
 * hold numbers that are ready no more; they are dropped when they come to its head.
 */
import { Heap } from '../../../src/lib/heap.ts';
import { Flag, type TaskTable } from './task-table.ts';

export class ReadyQueue {
  readonly slots: number;
  /** Nodes that each takes for itself, all at once; 0 where it shares one. */
  readonly instances: number;
  /** Sorted and unique. */
  readonly labels: readonly string[];
  readonly labelsKey: string;
  /** Tasks of this shape that are ready, exactly. */
  ready = 0;
  readonly #heap = new Heap<number>((a, b) => a < b);
  readonly #table: TaskTable;

  constructor(slots: number, labels: readonly string[], instances: number, table: TaskTable) {
    this.slots = slots;
    this.instances = instances;
    this.labels = labels;
    this.labelsKey = labels.join('\n');
    this.#table = table;
  }

  push(task: number): void {
    if (this.#table.flag(task, Flag.queued)) return;
    this.#table.setFlag(task, Flag.queued, true);
    this.#heap.push(task);
  }

  /** The first ready task, left in the queue. */
  peek(): number | undefined {
    for (;;) {
      const task = this.#heap.peek();
      if (task === undefined || this.#table.flag(task, Flag.ready)) return task;
      this.#heap.pop();
      this.#table.setFlag(task, Flag.queued, false);
    }
  }

  /** Takes the first ready task out of the queue; `push` gives it back. */
  take(): number | undefined {
    const task = this.peek();
    if (task === undefined) return undefined;
    this.#heap.pop();
    this.#table.setFlag(task, Flag.queued, false);
    return task;
  }
}

export class ReadyQueues {
  readonly #table: TaskTable;
  readonly #queues: ReadyQueue[] = [];
  readonly #indexes = new Map<string, number>();
  /** Tasks that are ready, exactly. */
  count = 0;

  constructor(table: TaskTable) {
    this.#table = table;
  }

  /** Index of the queue for tasks that ask for this; kept in the task's `shape` column. */
  shapeFor(slots: number, labels: readonly string[] | undefined, instances = 0): number {
    const sorted = labels === undefined || labels.length === 0 ? NO_LABELS : [...new Set(labels)].sort();
    const key = [instances === 0 ? slots : `${slots}*${instances}`, ...sorted].join('\n');
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const index = this.#queues.push(new ReadyQueue(slots, sorted, instances, this.#table)) - 1;
    this.#indexes.set(key, index);
    return index;
  }

  queueOf(task: number): ReadyQueue {
    const queue = this.#queues[this.#table.shape(task)];
    if (queue === undefined) throw new Error(`task ${task} has no shape`);
    return queue;
  }

  slotsOf(task: number): number {
    return this.queueOf(task).slots;
  }

  /** In the order in which this replica came to know them: nothing that is recorded may depend on it. */
  all(): readonly ReadyQueue[] {
    return this.#queues;
  }

  /** Those with ready tasks, as their first tasks are placed. */
  inOrder(): readonly ReadyQueue[] {
    const head = (queue: ReadyQueue): number => queue.peek() ?? Number.POSITIVE_INFINITY;
    return this.#queues.filter(({ ready }) => ready > 0).sort((a, b) => head(a) - head(b));
  }

  /** Notes whether a task is ready now. True if it became so. */
  set(task: number, ready: boolean): boolean {
    if (ready === this.#table.flag(task, Flag.ready)) return false;
    this.#table.setFlag(task, Flag.ready, ready);
    const queue = this.queueOf(task);
    this.count += ready ? 1 : -1;
    queue.ready += ready ? 1 : -1;
    if (ready) queue.push(task);
    return ready;
  }
}

const NO_LABELS: readonly string[] = [];
