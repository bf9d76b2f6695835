/** What this machine was given to run in one pool and has not yet been told to forget. Pure bookkeeping. */
import {
  addDigest,
  type ExecutionId,
  executionDigest,
  executionKey,
  removeDigest,
} from '../../src/model/execution.ts';
import type { TaskOutcome } from '../../src/model/task.ts';
import type { Assigned } from '../lifecycle/interface.ts';

/** Ended executions remembered, so that a late copy of their dispatch does not run them again. */
const ENDED_KEPT = 50_000;

export type Phase = 'preparing' | 'launched' | 'finishing' | 'reporting';

export interface Execution {
  readonly key: string;
  readonly assigned: Assigned;
  phase: Phase;
  /** Ends preparation when the execution is stopped. */
  readonly abort: AbortController;
  stopping: boolean;
  startedAtMs: number | undefined;
  startReported: boolean;
  /** Of a subtask: its coordination command has succeeded. */
  coordinated: boolean;
  outcome: TaskOutcome | undefined;
}

export interface NodeSummary {
  digest: number;
  count: number;
}

export class ExecutionTable {
  readonly #live = new Map<string, Execution>();
  readonly #nodes = new Map<string, NodeSummary>();
  readonly #ended = new Set<string>();
  /** Nothing is known of what ended up to this epoch: such executions are taken only if they were asked for. */
  #endedFloor = Number.POSITIVE_INFINITY;

  /**
   * First word of the coordinator in this life, or after a lapse of the lease: what it assigned up to `index` may have
   * run, and ended, in an earlier life, or have been given to another node.
   */
  setFloor(index: number): void {
    this.#endedFloor = Number.isFinite(this.#endedFloor) ? Math.max(this.#endedFloor, index) : index;
  }

  get(id: ExecutionId): Execution | undefined {
    return this.#live.get(executionKey(id));
  }

  values(): Iterable<Execution> {
    return this.#live.values();
  }

  get size(): number {
    return this.#live.size;
  }

  summary(node: string): Readonly<NodeSummary> {
    return this.#nodes.get(node) ?? { digest: 0, count: 0 };
  }

  /**
   * Takes a new execution in; undefined if it is known, has ended, or is so old that it may have ended.
   * `asked`: the coordinator sent it because this machine said it had never got it, so age is no ground to refuse.
   */
  admit(assigned: Assigned, asked: boolean): Execution | undefined {
    const id = { job: assigned.job.number, task: assigned.task, epoch: assigned.epoch };
    const key = executionKey(id);
    if (this.#live.has(key) || this.#ended.has(key)) return undefined;
    if (!asked && assigned.epoch <= this.#endedFloor) return undefined;
    const execution: Execution = {
      key,
      assigned,
      phase: 'preparing',
      abort: new AbortController(),
      stopping: false,
      startedAtMs: undefined,
      startReported: false,
      coordinated: false,
      outcome: undefined,
    };
    this.#live.set(key, execution);
    const summary = this.#nodes.get(assigned.node) ?? { digest: 0, count: 0 };
    this.#nodes.set(assigned.node, {
      digest: addDigest(summary.digest, executionDigest(id)),
      count: summary.count + 1,
    });
    return execution;
  }

  hasEnded(id: ExecutionId): boolean {
    return this.#ended.has(executionKey(id));
  }

  /** Its outcome is acknowledged, or the coordinator disowned it. */
  end(execution: Execution): void {
    if (!this.#live.delete(execution.key)) return;
    const { node, job, task, epoch } = execution.assigned;
    const summary = this.#nodes.get(node);
    if (summary !== undefined) {
      const digest = removeDigest(summary.digest, executionDigest({ job: job.number, task, epoch }));
      if (summary.count === 1) this.#nodes.delete(node);
      else this.#nodes.set(node, { digest, count: summary.count - 1 });
    }
    this.#remember(execution.key);
  }

  #remember(key: string): void {
    this.#ended.add(key);
    if (this.#ended.size <= ENDED_KEPT) return;
    const oldest = this.#ended.values().next().value;
    if (oldest === undefined) return;
    this.#ended.delete(oldest);
    this.#endedFloor = Math.max(this.#endedFloor, Number(oldest.slice(oldest.lastIndexOf('/') + 1)));
  }
}
