/** Makes the state out of its rows, which come in key order; see rows.ts for why the letters sort as they do. */
import type { JobSpec } from '../../../src/model/job.ts';
import type { StoredTaskSpec } from '../../../src/model/node-task.ts';
import type { SampleRun } from '../../autoscale/samples.ts';
import { refreshOverdue } from './attend.ts';
import { Job } from './job-record.ts';
import { runOfRow } from './metrics.ts';
import { NodeRecord } from './node-record.ts';
import { refreshPrepared, refreshStart, slotsOfNodeTask } from './node-task-record.ts';
import { type NodeTask, nodeTaskId } from './node-tasks.ts';
import { packTask } from './numbers.ts';
import {
  type AdditionRow,
  isNodeTaskRow,
  type JobRow,
  type MetaRow,
  type NodeActivityRow,
  type NodeRow,
  type NodeTaskRow,
  partsOfKey,
  type SampleRow,
  unpack,
  unpackRuntime,
} from './rows.ts';
import { noteSparse, type TaskUpdateRow } from './task.ts';
import { Flag, Intent } from './task-table.ts';
import type { PoolRow, PoolState } from './turn.ts';

export class Restorer {
  readonly #state: PoolState;
  readonly #jobRows = new Map<number, JobRow>();
  readonly #sampleRuns: SampleRun[] = [];
  /** The add that the next tasks came with; tasks and adds come in the same order. */
  #addition = 0;
  #additionsOf: Job | undefined;
  readonly #loaders: Readonly<Record<string, (key: string, value: Uint8Array) => unknown>> = {
    j: (key, value) => this.#jobRows.set(partsOfKey(key).job, unpack(value) as JobRow),
    k: (key, value) => this.#loadJob(key, unpack(value) as JobSpec),
    // Read when it is asked for.
    l: () => undefined,
    m: (_key, value) => this.#loadMeta(unpack(value) as MetaRow),
    n: (key, value) => this.#loadNode(key.slice(2), unpack(value) as NodeRow),
    o: (key, value) => this.#state.nodes.get(key.slice(2))?.restoreActivity(unpack(value) as NodeActivityRow),
    p: (_key, value) => {
      this.#state.pool = unpack(value) as PoolRow;
    },
    q: (key, value) =>
      this.#loadOfJob(key, (job, rest) =>
        job.loadingAdditions.push({ first: Number.parseInt(rest, 16), row: unpack(value) as AdditionRow }),
      ),
    r: (key, value) => this.#state.requests.load(Number.parseInt(key.slice(2), 16), value),
    s: (key) => this.#loadOfJob(key, (job, rest) => job.dependencies.restoreTombstone(rest)),
    t: (key, value) =>
      this.#loadOfJob(key, (job, rest) =>
        this.#loadTask(job, Number.parseInt(rest, 16), unpack(value) as StoredTaskSpec),
      ),
    u: (key, value) =>
      this.#loadOfJob(key, (job, rest) =>
        this.#loadUpdate(job, Number.parseInt(rest, 16), unpack(value) as TaskUpdateRow),
      ),
    v: (_key, value) => this.#sampleRuns.push(runOfRow(unpack(value) as SampleRow)),
    x: (key, value) =>
      this.#loadOfJob(key, (job, rest) => this.#loadRuntime(job, Number.parseInt(rest, 16), value)),
  };

  constructor(state: PoolState) {
    this.#state = state;
  }

  load(key: string, value: Uint8Array): void {
    const loader = this.#loaders[key[0] ?? ''];
    if (loader === undefined)
      throw new Error(`unknown row ${key} in the group of pool ${this.#state.poolId}`);
    loader(key, value);
  }

  #loadJob(key: string, spec: JobSpec): void {
    const { job: number } = partsOfKey(key);
    const row = this.#jobRows.get(number);
    if (row === undefined) throw new Error(`row ${key} has no job row before it`);
    this.#jobRows.delete(number);
    const job = Job.fromRows(number, row, spec);
    if (job.sweptBlocks === undefined) job.table.skipTo(row.lastTask);
    this.#state.addJob(job);
  }

  #loadMeta([timeMs, nextJob, nextVersion, nextRequest]: MetaRow): void {
    this.#state.timeMs = timeMs;
    this.#state.nextJob = nextJob;
    this.#state.nextVersion = nextVersion;
    this.#state.requests.nextSequence = nextRequest;
  }

  #loadNode(id: string, row: NodeRow): void {
    const { nodes } = this.#state;
    nodes.add(NodeRecord.fromRow(nodes.indexFor(id, row.machine), id, row));
  }

  /** Rows of a job that is being swept go without having been looked at. */
  #loadOfJob(key: string, load: (job: Job, rest: string) => void): void {
    const { job: number, rest } = partsOfKey(key);
    const job = this.#state.jobs.get(number);
    if (job !== undefined && job.sweptBlocks === undefined) load(job, rest);
  }

  #loadTask(job: Job, task: number, spec: StoredTaskSpec): void {
    const [, createdAtMs, version, defaultMaxRetryCount] = this.#additionFor(job, task);
    if (isNodeTaskRow(spec)) {
      this.#loadNodeTask(job, task, spec, [createdAtMs, version]);
      return;
    }
    job.table.insert(task, {
      id: spec.id,
      createdAtMs,
      version,
      maxRetryCount: spec.constraints?.maxTaskRetryCount ?? defaultMaxRetryCount,
      shape: job.shapeOf(spec, task),
    });
    noteSparse(job, task, spec);
    if (spec.dependsOn !== undefined && job.usesTaskDependencies)
      job.loadingDependsOn.push({ task, dependsOn: spec.dependsOn });
  }

  #loadNodeTask(
    job: Job,
    task: number,
    { role, place: [node, machine, nodeNumber], waits, constraints, gang }: NodeTaskRow,
    [createdAtMs, version]: readonly [number, number],
  ): void {
    const own: NodeTask = { role, node, machine, nodeNumber, waits, ...(gang === undefined ? {} : { gang }) };
    job.table.insert(task, {
      id: nodeTaskId(own),
      createdAtMs,
      version,
      maxRetryCount: constraints?.maxTaskRetryCount ?? 0,
      shape: job.ready.shapeFor(slotsOfNodeTask(own), undefined),
    });
    job.table.setExecution(task, 0, this.#state.nodes.indexFor(node, machine));
    job.nodeTasks.add(task, own);
  }

  #additionFor(job: Job, task: number): AdditionRow {
    if (this.#additionsOf !== job) {
      this.#additionsOf = job;
      this.#addition = 0;
    }
    const additions = job.loadingAdditions;
    for (
      let next = additions[this.#addition + 1];
      next !== undefined && next.first <= task;
      next = additions[this.#addition + 1]
    )
      this.#addition += 1;
    const addition = additions[this.#addition];
    if (addition === undefined || addition.first > task)
      throw new Error(`task ${job.number}/${task} was never added`);
    return addition.row;
  }

  #loadUpdate(
    job: Job,
    task: number,
    [constraints, maxRetryCount, version, modifiedAtMs]: TaskUpdateRow,
  ): void {
    job.updatedConstraints.set(task, constraints);
    job.table.setMaxRetryCount(task, maxRetryCount);
    job.table.setVersion(task, version, modifiedAtMs);
  }

  #loadRuntime(job: Job, task: number, value: Uint8Array): void {
    const row = unpackRuntime(value);
    const { table } = job;
    table.restoreState(task, row.state, row.stateAtMs, row.previousState, row.previousAtMs);
    if (row.version > table.version(task)) table.setVersion(task, row.version, row.modifiedAtMs);
    table.setFlag(task, row.flags, true);
    table.setIntent(task, row.intent);
    table.setRetryCount(task, row.retryCount);
    table.setRequeueCount(task, row.requeueCount);
    if (row.node !== undefined && row.machine !== undefined)
      table.setExecution(task, row.epoch, this.#state.nodes.indexFor(row.node, row.machine));
    if (row.startedAtMs !== undefined) job.startedAtMs.set(task, row.startedAtMs);
    if (row.lastRetryAtMs !== undefined) job.lastRetryAtMs.set(task, row.lastRetryAtMs);
    if (row.lastRequeueAtMs !== undefined) job.lastRequeueAtMs.set(task, row.lastRequeueAtMs);
  }

  /** After the last row: derives books, counts, dependencies and queues. */
  finish(): void {
    this.#state.samples.load(this.#sampleRuns);
    for (const job of this.#state.jobs.values()) if (job.sweptBlocks === undefined) this.#finishJob(job);
    for (const node of this.#state.nodes.all()) {
      refreshStart(this.#state, node);
      refreshOverdue(this.#state, node);
      node.state = node.derivedState();
      this.#state.nodes.refresh(node);
    }
    for (const job of this.#state.jobs.values()) {
      this.#state.offer(job);
      if (job.state === 'deleting' && job.isQuiet && job.nodeTasks.releasing.size === 0)
        this.#state.sweepable.push(job.number);
    }
  }

  #finishJob(job: Job): void {
    for (const task of job.table.tasks()) {
      const own = job.nodeTasks.get(task);
      const live = job.table.flag(task, Flag.live);
      // A place on a node without an execution: it is held until that is prepared.
      const held = !live && job.table.state(task) === 'preparing';
      if (live || held) this.#finishExecution(job, task, held);
      if (own !== undefined) this.#finishNodeTask(job, task, own);
      else if (!job.table.flag(task, Flag.ghost)) job.tally(task, 1);
    }
    for (const { task, dependsOn } of job.loadingDependsOn) job.dependencies.register(task, dependsOn);
    for (const task of job.table.tasks()) job.refresh(task);
    job.loadingDependsOn = [];
    job.loadingAdditions = [];
  }

  #finishExecution(job: Job, task: number, held: boolean): void {
    const { table } = job;
    const node = this.#state.nodes.at(table.node(task));
    if (node === undefined)
      throw new Error(`task ${job.number}/${task} is live on a node that is not in the pool`);
    const slots = job.slotsOf(task);
    node.add(job.number, task, slots);
    if (held) {
      table.setFlag(task, Flag.live, true);
      job.nodeTasks.hold(node.index, task);
    } else node.sent({ job: job.number, task, epoch: table.epoch(task) });
    if (table.intent(task) !== Intent.none) node.noteStop(slots, 1);
    if (job.nodeTasks.has(task)) {
      job.nodeTasks.live.add(task);
      node.ownExecutions += 1;
      if (job.nodeTasks.get(task)?.role === 'subtask') node.gangs += 1;
      return;
    }
    job.live.add(task);
    if (table.state(task) !== 'running') return;
    node.runningTasks += 1;
    node.runningSlots += slots;
  }

  #finishNodeTask(job: Job, task: number, { role, node: id, nodeNumber }: NodeTask): void {
    if (job.table.state(task) === 'completed') job.nodeTasks.releasing.delete(task);
    const node = this.#state.nodes.get(id);
    if (node?.number !== nodeNumber) return;
    if (job.table.isActive(task) && !job.table.flag(task, Flag.live))
      node.owed.add(packTask(job.number, task));
    if (role === 'preparation') refreshPrepared(job, task, node);
  }
}
