/**
 * The state of a pool's group, and one turn of changing it. A turn is the application of one log entry: it gathers row
 * writes, events and effects; rows of jobs and nodes are written once, at its end, however often they changed.
 */

import { Heap } from '../../../src/lib/heap.ts';
import type { EntityStamp, Outcome, PoolMirror } from '../../../src/model/commands.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { TaskOutcome } from '../../../src/model/task.ts';
import { LoadHistory } from '../../autoscale/loads.ts';
import { SampleHistory } from '../../autoscale/samples.ts';
import type { CoreEvent, PoolEffect, RowWrite } from '../interface.ts';
import type { Job } from './job-record.ts';
import { type NodeRecord, NodeTable } from './node-record.ts';
import { packTask } from './numbers.ts';
import { RequestLog } from './requests.ts';
import { jobRowKey, META_KEY, type MetaRow, nodeActivityRowKey, nodeRowKey, POOL_KEY, pack } from './rows.ts';

export interface PoolRow {
  readonly meshIndex: number;
  readonly pool: PoolMirror;
}

/** Everything that `load` restores and `apply` changes. */
export class PoolState {
  readonly poolId: string;
  timeMs = 0;
  nextJob = 1;
  nextVersion = 1;
  /** Undefined until the coordinator first mirrored the pool. */
  pool: PoolRow | undefined;
  readonly jobs = new Map<number, Job>();
  readonly nodes = new NodeTable();
  readonly requests = new RequestLog();
  readonly samples = new SampleHistory();
  /** Not replicated, and read by no command: what machines tell their coordinator, in its memory alone. */
  readonly loads = new LoadHistory();
  readonly #jobNumbers = new Map<string, number>();

  /** Jobs that may have something to place, in their order; a job is checked when it is taken out. */
  readonly queue = new Heap<Job>((a, b) =>
    a.priority === b.priority ? a.number < b.number : a.priority > b.priority,
  );
  /** What waits for a sweep: wall clocks, tasks to be cancelled, jobs whose rows are to be removed. Checked when taken out. */
  readonly deadlines = new Heap<{ readonly atMs: number; readonly job: number }>((a, b) =>
    a.atMs === b.atMs ? a.job < b.job : a.atMs < b.atMs,
  );
  readonly cancelled = new Heap<number>((a, b) => a < b);
  readonly sweepable = new Heap<number>((a, b) => a < b);
  /** Jobs whose tasks may be stopped for those of greater priority. */
  readonly preemptible = new Set<Job>();
  /** Holds what nodes owe the pool; made when the first of them does. */
  nodeJob: Job | undefined;
  /** Nodes that owe something which could not begin in the entry that asked for it: see attend.ts. */
  readonly overdue = new Set<string>();

  constructor(poolId: string) {
    this.poolId = poolId;
  }

  /** The pool's id as its users write it; the group's name has it in lower case. */
  get poolName(): string {
    return this.pool?.pool.id ?? this.poolId;
  }

  jobNamed(id: string): Job | undefined {
    const number = this.#jobNumbers.get(idKey(id));
    return number === undefined ? undefined : this.jobs.get(number);
  }

  addJob(job: Job): void {
    this.jobs.set(job.number, job);
    if (job.isOwn) this.nodeJob = job;
    else this.#jobNumbers.set(job.key, job.number);
    job.onReady = (one) => this.offer(one);
    job.onCancelled = (one, task) => this.cancelled.push(packTask(one.number, task));
    this.watchDeadline(job);
    this.watchPreemption(job);
  }

  removeJob(job: Job): void {
    this.jobs.delete(job.number);
    this.preemptible.delete(job);
    this.#jobNumbers.delete(job.key);
  }

  watchDeadline(job: Job): void {
    const atMs = job.deadlineMs;
    if (atMs !== undefined) this.deadlines.push({ atMs, job: job.number });
  }

  watchPreemption(job: Job): void {
    if (job.allowTaskPreemption === true) this.preemptible.add(job);
    else this.preemptible.delete(job);
  }

  /** Puts the job into the queue of jobs if it has anything to place. */
  offer(job: Job): void {
    if (job.queued || !isPlaceable(job)) return;
    job.queued = true;
    this.queue.push(job);
  }

  /** A priority changed: the queue's order no longer holds. */
  reorderQueue(): void {
    this.queue.clear();
    for (const job of this.jobs.values()) {
      job.queued = false;
      this.offer(job);
    }
  }
}

export function isPlaceable(job: Job): boolean {
  return job.state === 'active' && job.ready.count > 0 && job.parallelLeft > 0;
}

export class Turn {
  readonly state: PoolState;
  /** Log index of the entry; the epoch of what it assigns. */
  readonly index: number;
  readonly nowMs: number;
  readonly writes: RowWrite[] = [];
  readonly events: CoreEvent[] = [];
  readonly effects: PoolEffect[] = [];
  /** Held tasks that are to end: nothing of them runs, so their end is known at once, or is another's. Settled with the entry. */
  readonly revoked = new Map<number, TaskOutcome | undefined>();
  readonly #dirtyJobs = new Set<Job>();
  readonly #dirtyNodes = new Set<NodeRecord>();
  readonly #changedNodes = new Set<NodeRecord>();
  readonly #metaBefore: MetaRow;

  constructor(state: PoolState, index: number, timeMs: number) {
    this.state = state;
    this.index = index;
    this.#metaBefore = metaOf(state);
    // A new leader's clock may be behind the last one's.
    if (timeMs > state.timeMs) state.timeMs = timeMs;
    this.nowMs = state.timeMs;
  }

  put(key: string, row: unknown): void {
    this.writes.push({ kind: 'put', key, value: pack(row) });
  }

  putBytes(key: string, value: Uint8Array): void {
    this.writes.push({ kind: 'put', key, value });
  }

  delete(key: string): void {
    this.writes.push({ kind: 'delete', key });
  }

  clear(prefix: string): void {
    this.writes.push({ kind: 'clear', prefix });
  }

  event(kind: string, message: string, data: CoreEvent['data']): void {
    this.events.push({ kind, message, data });
  }

  effect(effect: PoolEffect): void {
    this.effects.push(effect);
  }

  touchJob(job: Job): void {
    this.#dirtyJobs.add(job);
  }

  /** Something about a node's executions changed. */
  touchNode(node: NodeRecord): void {
    this.#dirtyNodes.add(node);
  }

  /** In the order of their ids. */
  touchedNodes(which?: (node: NodeRecord) => boolean): NodeRecord[] {
    const nodes: NodeRecord[] = [];
    for (const node of this.#dirtyNodes) if (which === undefined || which(node)) nodes.push(node);
    return nodes.length > 1 ? nodes.sort((a, b) => (a.id < b.id ? -1 : 1)) : nodes;
  }

  /** The node itself changed. */
  writeNode(node: NodeRecord): void {
    this.#dirtyNodes.add(node);
    this.#changedNodes.add(node);
  }

  /** A version that no entity of the group had before. */
  newVersion(): number {
    return this.state.nextVersion++;
  }

  /** Writes the rows of everything touched. Nothing may change after it. */
  finish(): void {
    for (const node of this.touchedNodes()) this.#finishNode(node);
    for (const job of [...this.#dirtyJobs].sort((a, b) => a.number - b.number)) {
      if (this.state.jobs.get(job.number) === job) this.put(jobRowKey(job.number), job.toRow());
    }
    const meta = metaOf(this.state);
    if (meta.some((value, position) => value !== this.#metaBefore[position])) this.put(META_KEY, meta);
    if (isErasable(this.state)) this.effect({ kind: 'erasable' });
  }

  #finishNode(node: NodeRecord): void {
    if (this.state.nodes.get(node.id) !== node) return;
    node.refreshState(this.nowMs);
    this.state.nodes.refresh(node);
    if (this.#changedNodes.has(node)) this.put(nodeRowKey(node.id), node.toRow());
    this.put(nodeActivityRowKey(node.id), node.toActivityRow());
    if (isReleasable(node)) this.effect({ kind: 'nodeEmpty', node: node.id });
  }

  writePool(row: PoolRow): void {
    this.state.pool = row;
    this.put(POOL_KEY, row);
  }
}

function metaOf(state: PoolState): MetaRow {
  return [state.timeMs, state.nextJob, state.nextVersion, state.requests.nextSequence];
}

/** A leaving node with nothing assigned to it. */
export function isReleasable(node: NodeRecord): boolean {
  return node.leaving !== undefined && node.executions.size === 0;
}

/** The pool is deleting and holds neither node nor job. */
export function isErasable(state: PoolState): boolean {
  return state.pool?.pool.deleting === true && state.nodes.size === 0;
}

export function eTagOf(version: number): string {
  return `0x${version.toString(16).toUpperCase()}`;
}

export function stampOf(entity: { readonly version: number; readonly modifiedAtMs: number }): EntityStamp {
  return { eTag: eTagOf(entity.version), lastModifiedMs: entity.modifiedAtMs };
}

export function accepted<T>(value: T): Outcome<T> {
  return { ok: true, value };
}
