/** The pool's state as placement sees it. Jobs taken from the queue of jobs are given back after the round. */
import type { PlacementJob, PlacementNode, PlacementView } from '../../placement/tasks.ts';
import type { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { isPlaceable, type PoolState } from './turn.ts';

export class PoolPlacementView implements PlacementView {
  readonly #state: PoolState;
  readonly #taken: Job[] = [];

  constructor(state: PoolState) {
    this.#state = state;
  }

  get hasJobs(): boolean {
    return this.#state.queue.size > 0;
  }

  get fill(): 'spread' | 'pack' {
    return this.#state.pool?.pool.spec?.taskSchedulingPolicy?.nodeFillType ?? 'spread';
  }

  get freeNodes(): Iterable<PlacementNode> {
    return this.#state.nodes.free;
  }

  get openNodes(): Iterable<PlacementNode> {
    return this.#state.nodes.open;
  }

  get openSlots(): number {
    return this.#state.nodes.openSlots;
  }

  nextJob(): PlacementJob | undefined {
    for (let job = this.#state.queue.pop(); job !== undefined; job = this.#state.queue.pop()) {
      job.queued = false;
      if (!isPlaceable(job)) continue;
      this.#taken.push(job);
      return new JobView(this.#state, job);
    }
    return undefined;
  }

  expectedRunMsOf(job: number): number | undefined {
    return this.#state.jobs.get(job)?.expectedRunMs;
  }

  giveBack(): void {
    for (const job of this.#taken.splice(0)) this.#state.offer(job);
  }
}

class JobView implements PlacementJob {
  readonly #state: PoolState;
  readonly #job: Job;

  constructor(state: PoolState, job: Job) {
    this.#state = state;
    this.#job = job;
  }

  get number(): number {
    return this.#job.number;
  }

  get parallelLeft(): number {
    return this.#job.parallelLeft;
  }

  get readyCount(): number {
    return this.#job.ready.count;
  }

  get expectedRunMs(): number | undefined {
    return this.#job.expectedRunMs;
  }

  get queues(): PlacementJob['queues'] {
    return this.#job.ready.all();
  }

  /** A node's id, Azure's `TVM:<node id>`, or the id of a task of the job that ran before. */
  affinityOf(task: number): PlacementNode | undefined {
    const id = this.#job.affinities.get(task);
    if (id === undefined) return undefined;
    const node = this.#nodeNamed(id) ?? this.#nodeOfTask(id);
    return node?.open === true ? node : undefined;
  }

  #nodeNamed(id: string): NodeRecord | undefined {
    return this.#state.nodes.get(id.startsWith('TVM:') ? id.slice(4) : id);
  }

  #nodeOfTask(id: string): NodeRecord | undefined {
    const { table } = this.#job;
    const task = table.numberOf(id);
    return task === undefined ? undefined : this.#state.nodes.at(table.node(task));
  }
}
