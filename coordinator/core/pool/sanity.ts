/**
 * Walks the whole state of a pool's group and throws on the first invariant that does not hold; each is named as in the
 * project's list of invariants. Run after every command in tests and by the simulator; it costs O(state).
 */
import { invariant } from '../../../src/lib/assert.ts';
import { addDigest, executionDigest } from '../../../src/model/execution.ts';
import { idKey } from '../../../src/model/ids.ts';
import { integerOfId } from '../../../src/model/validate.ts';
import { isOverdue } from './attend.ts';
import { isUnprepared, mustWait } from './execution.ts';
import { emptyTally, type Job, type Tally } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { packTask } from './numbers.ts';
import { Flag, Intent, outranks } from './task-table.ts';
import { isPlaceable, type PoolState } from './turn.ts';

export function checkState(state: PoolState): void {
  const books = new Map<NodeRecord, Books>();
  for (const node of state.nodes.all())
    books.set(node, {
      executions: new Set(),
      assigned: 0,
      own: 0,
      gangs: 0,
      running: 0,
      runningSlots: 0,
      stops: 0,
      stoppingSlots: 0,
      digest: 0,
    });
  for (const job of state.jobs.values()) {
    checkJob(state, job);
    for (const task of job.table.tasks()) {
      if (job.nodeTasks.has(task)) checkNodeTask(state, job, task, books);
      else checkTask(state, job, task, books);
    }
    checkCounts(job);
    checkDependencies(job);
  }
  for (const [node, book] of books) checkNode(state, node, book);
}

interface Books {
  readonly executions: Set<number>;
  assigned: number;
  own: number;
  gangs: number;
  running: number;
  runningSlots: number;
  stops: number;
  stoppingSlots: number;
  digest: number;
}

function checkJob(state: PoolState, job: Job): void {
  const name = `job ${job.number}`;
  invariant(
    job.isOwn ? state.nodeJob === job : state.jobNamed(job.id) === job,
    `${name} is not found by its id`,
  );
  invariant(job.number < state.nextJob, `${name} has a number that was not given yet`);
  invariant(job.version < state.nextVersion, `${name} has a version that was not given yet`);
  invariant(
    job.state !== 'disabled' && job.state !== 'completed' ? true : job.isQuiet,
    `${name} is ${job.state} with live tasks (S16)`,
  );
  invariant(
    !(job.state === 'disabling' || job.state === 'terminating') ||
      !job.isQuiet ||
      job.nodeTasks.releasing.size > 0,
    `${name} is ${job.state} though nothing lives (S16)`,
  );
  invariant(
    (job.endedAtMs !== undefined) ===
      (job.state === 'completed' || (job.state === 'deleting' && job.previousState === 'completed')),
    `${name} has an end time in state ${job.state}`,
  );
  invariant(
    state.preemptible.has(job) === (job.allowTaskPreemption === true),
    `${name} is wrongly ${state.preemptible.has(job) ? '' : 'not '}preemptible`,
  );
  invariant(job.queued || !isPlaceable(job), `${name} has ready tasks but is not in the queue of jobs`);
}

function checkTask(state: PoolState, job: Job, task: number, books: ReadonlyMap<NodeRecord, Books>): void {
  const { table } = job;
  const name = `task ${job.number}/${task}`;
  const flags = table.flags(task);
  const live = (flags & Flag.live) !== 0;
  const completed = table.state(task) === 'completed';
  invariant(table.numberOf(table.idOf(task)) === task, `${name} is not found by its id (S1)`);
  invariant(job.live.has(task) === live, `${name} is live on one book only (S3)`);
  invariant(!(live && completed), `${name} is completed and live (S5)`);
  invariant(live || table.state(task) !== 'running', `${name} runs without an execution (S16)`);
  invariant(live || table.intent(task) === Intent.none, `${name} is to be stopped but does not live`);
  invariant(live || (flags & Flag.ghost) === 0, `${name} is a ghost that does not live (S2)`);
  invariant(
    (flags & Flag.ghost) === 0 || table.intent(task) === Intent.delete,
    `${name} is a ghost that is not to be deleted (S2)`,
  );
  invariant(
    completed || (flags & (Flag.succeeded | Flag.satisfied | Flag.cancels)) === 0,
    `${name} has a result before its end (S6)`,
  );
  invariant((flags & Flag.ready) === 0 || (flags & Flag.queued) !== 0, `${name} is ready but in no queue`);
  invariant(
    table.retryCount(task) >= 0 &&
      (table.maxRetryCount(task) === -1 ||
        job.updatedConstraints.has(task) ||
        table.retryCount(task) <= table.maxRetryCount(task)),
    `${name} was retried too often (S10)`,
  );
  if (job.isEnding && live)
    invariant(
      !outranks(Intent.terminate, table.intent(task)),
      `${name} lives in a job that ends and nobody stops it`,
    );
  const cancelled = job.dependencies.isCancelled(task);
  const ready = !live && table.isActive(task) && table.waitingOn(task) === 0 && !cancelled;
  invariant(
    ((flags & Flag.ready) !== 0) === ready,
    `${name} is ${ready ? '' : 'not '}ready but not marked so (S8)`,
  );
  if (!live) return;
  enterExecution(state, job, task, books);
  checkGang(state, job, task);
}

/** All nodes or none (S11), and none of them shared, until it is to end. */
function checkGang(state: PoolState, job: Job, task: number): void {
  const { table, nodeTasks } = job;
  if (!job.gangs.has(task) || table.intent(task) !== Intent.none) return;
  const nodes = nodeTasks.subtasksOf(task).map((one) => {
    invariant(table.flag(one, Flag.live), `subtask ${job.number}/${one} of a live task has ended (S11)`);
    return state.nodes.at(table.node(one));
  });
  const { instances } = job.ready.queueOf(task);
  invariant(
    nodes.length === instances,
    `task ${job.number}/${task} has ${nodes.length} of ${instances} nodes (S11)`,
  );
  invariant(
    nodes[0] === state.nodes.at(table.node(task)),
    `task ${job.number}/${task} is not on its first node`,
  );
  for (const node of nodes)
    invariant(
      node?.gangs === 1 && node.assignedSlots === 1,
      `a node of the task ${job.number}/${task} is shared or was lost (S11)`,
    );
}

/** Start, preparation and release tasks, and restarts (S12). */
function checkNodeTask(
  state: PoolState,
  job: Job,
  task: number,
  books: ReadonlyMap<NodeRecord, Books>,
): void {
  const { table, nodeTasks } = job;
  const name = `task ${job.number}/${task} of a node`;
  const own = nodeTasks.get(task);
  const node = own === undefined ? undefined : state.nodes.get(own.node);
  const isThere = node !== undefined && node.number === own?.nodeNumber;
  const live = table.flag(task, Flag.live);
  const completed = table.state(task) === 'completed';
  invariant(nodeTasks.live.has(task) === live, `${name} is live on one book only (S3)`);
  invariant(!job.live.has(task), `${name} is taken for a user's`);
  invariant((table.flags(task) & (Flag.ready | Flag.queued | Flag.ghost)) === 0, `${name} is placed`);
  invariant(!(live && completed), `${name} is completed and live (S5)`);
  invariant(live || table.intent(task) === Intent.none, `${name} is to be stopped but does not live`);
  invariant(table.state(task) !== 'preparing' || own?.role === 'subtask', `${name} is preparing (S16)`);
  invariant(
    nodeTasks.releasing.has(task) === (own?.role === 'release' && !completed),
    `${name} is wrongly awaited by its job`,
  );
  if (own?.role === 'release')
    invariant(job.live.size === 0 && job.isEnding, `${name} runs before its job has ended (S12)`);
  invariant(isThere || completed, `${name} is owed by a node that is gone`);
  if (!isThere) return;
  const owed = !live && !completed;
  invariant(node.owed.has(packTask(job.number, task)) === owed, `${name} is ${owed ? 'not ' : ''}owed`);
  if (live) enterExecution(state, job, task, books);
}

function enterExecution(
  state: PoolState,
  job: Job,
  task: number,
  books: ReadonlyMap<NodeRecord, Books>,
): void {
  const { table } = job;
  const node = state.nodes.at(table.node(task));
  const book = node === undefined ? undefined : books.get(node);
  invariant(
    node !== undefined && book !== undefined,
    `task ${job.number}/${task} lives on a node that is not in the pool (S13)`,
  );
  invariant(!node.lost, `task ${job.number}/${task} lives on a lost node (S13)`);
  // Its labels and slots are checked at the gate: a machine may change them under what runs there.
  const slots = job.slotsOf(task);
  book.executions.add(packTask(job.number, task));
  book.assigned += slots;
  const held = job.nodeTasks.isHeld(node.index, task);
  // One that was sent may lose a subtask; then it is to be stopped.
  const waits = table.state(task) === 'preparing' && mustWait(job, task, node);
  invariant(
    held === waits || (waits && table.intent(task) !== Intent.none),
    `task ${job.number}/${task} is ${held ? 'held by' : 'let past'} the preparation of its job (S12)`,
  );
  if (!held)
    book.digest = addDigest(
      book.digest,
      executionDigest({ job: job.number, task, epoch: table.epoch(task) }),
    );
  if (table.intent(task) !== Intent.none) {
    book.stops += 1;
    book.stoppingSlots += slots;
  }
  if (job.nodeTasks.get(task)?.role === 'subtask') book.gangs += 1;
  if (job.nodeTasks.has(task)) book.own += 1;
  else if (!held)
    invariant(!isUnprepared(job, node), `task ${job.number}/${task} runs on an unprepared node (S12)`);
  if (job.nodeTasks.has(task) || table.state(task) !== 'running') return;
  book.running += 1;
  book.runningSlots += slots;
}

function checkNode(state: PoolState, node: NodeRecord, book: Books): void {
  const name = `node ${node.id}`;
  invariant(
    node.executions.size === book.executions.size,
    `${name} holds ${node.executions.size} executions, and ${book.executions.size} tasks live there (S21)`,
  );
  for (const packed of book.executions)
    invariant(node.executions.has(packed), `${name} does not hold execution ${packed}`);
  invariant(
    node.assignedSlots === book.assigned,
    `${name} counts ${node.assignedSlots} assigned slots of ${book.assigned} (S7)`,
  );
  invariant(
    node.runningTasks === book.running && node.runningSlots === book.runningSlots,
    `${name} miscounts what runs (S7)`,
  );
  invariant(node.gangs === book.gangs, `${name} miscounts its subtasks`);
  invariant(node.ownExecutions === book.own, `${name} miscounts its own executions`);
  invariant(
    state.overdue.has(node.id) === isOverdue(state, node),
    `${name} owes something that nobody will begin`,
  );
  checkStart(state, node);
  invariant(
    node.stops === book.stops && node.stoppingSlots === book.stoppingSlots,
    `${name} miscounts what is to be stopped`,
  );
  invariant(node.digest === book.digest, `${name} has a wrong digest`);
  const byJob = [...node.slotsByJob.values()].reduce((sum, slots) => sum + slots, 0);
  invariant(byJob === node.assignedSlots, `${name} miscounts slots by job`);
  invariant(
    node.state === node.derivedState(),
    `${name} is ${node.derivedState()} but shown as ${node.state}`,
  );
  invariant(
    state.nodes.open.has(node) === node.open,
    `${name} is wrongly ${node.open ? 'closed to' : 'open for'} placement (S13)`,
  );
  invariant(
    state.nodes.free.has(node) === (node.open && node.freeSlots > 0),
    `${name} is wrongly filed by free slots`,
  );
}

function checkStart(state: PoolState, node: NodeRecord): void {
  const task = state.nodeJob?.nodeTasks.of('start', node);
  const table = state.nodeJob?.table;
  if (task === undefined || table === undefined || state.nodeJob?.nodeTasks.get(task)?.waits !== true) {
    invariant(node.start === 'none', `node ${node.id} waits for a start task that is not there`);
    return;
  }
  invariant(
    (node.start === 'succeeded') === table.flag(task, Flag.succeeded),
    `node ${node.id} is ${node.start} but its start task is ${table.state(task)} (S12)`,
  );
}

function checkCounts(job: Job): void {
  const counts = emptyTally();
  const slots = emptyTally();
  let ready = 0;
  for (const task of job.table.tasks()) {
    const flags = job.table.flags(task);
    if ((flags & Flag.ready) !== 0) ready += 1;
    if ((flags & Flag.ghost) !== 0 || job.nodeTasks.has(task)) continue;
    const state = job.table.state(task);
    const column = state === 'preparing' ? 'running' : state;
    const columns: (keyof Tally)[] =
      column === 'completed' ? [column, (flags & Flag.succeeded) === 0 ? 'failed' : 'succeeded'] : [column];
    for (const one of columns) {
      counts[one] += 1;
      slots[one] += job.slotsOf(task);
    }
  }
  for (const column of Object.keys(counts) as (keyof Tally)[]) {
    invariant(
      job.counts[column] === counts[column],
      `job ${job.number} counts ${job.counts[column]} ${column} tasks of ${counts[column]} (S21)`,
    );
    invariant(
      job.slotCounts[column] === slots[column],
      `job ${job.number} counts ${job.slotCounts[column]} ${column} slots of ${slots[column]} (S21)`,
    );
  }
  const { active, running, completed, succeeded, failed } = counts;
  invariant(
    active + running + completed ===
      [...job.table.tasks()].filter((task) => !job.table.flag(task, Flag.ghost) && !job.nodeTasks.has(task))
        .length,
    `job ${job.number} loses tasks (S22)`,
  );
  invariant(succeeded + failed === completed, `job ${job.number} has completed tasks without a result (S22)`);
  invariant(
    job.ready.count === ready,
    `job ${job.number} counts ${job.ready.count} ready tasks of ${ready} (S21)`,
  );
}

/** From first principles: each dependency is looked up, none is remembered. */
function checkDependencies(job: Job): void {
  const waiting = new Map<number, number>();
  const cancelled = new Set<number>();
  for (const { task, on } of job.dependencies.edges()) {
    if (!job.table.has(task)) continue;
    const { satisfied, cancels } = typeof on === 'string' ? standingOfId(job, on) : standingOfRange(job, on);
    if (!satisfied) waiting.set(task, (waiting.get(task) ?? 0) + 1);
    if (cancels) cancelled.add(task);
  }
  for (const task of job.table.tasks()) {
    const wrong = `task ${job.number}/${task} waits on ${job.table.waitingOn(task)} dependencies, and ${waiting.get(task) ?? 0} do not hold (S8)`;
    invariant(job.table.waitingOn(task) === (waiting.get(task) ?? 0), wrong);
    invariant(
      job.dependencies.isCancelled(task) === cancelled.has(task),
      `task ${job.number}/${task} is wrongly ${cancelled.has(task) ? 'spared' : 'cancelled'} (S8)`,
    );
  }
}

function standingOfId(job: Job, key: string): { satisfied: boolean; cancels: boolean } {
  const standing = job.dependencies.standing(key);
  return { satisfied: standing === 'satisfied', cancels: standing === 'cancels' };
}

function standingOfRange(
  job: Job,
  [start, end]: readonly [number, number],
): { satisfied: boolean; cancels: boolean } {
  const integers = new Map<number, boolean>();
  let cancels = false;
  const enter = (key: string): void => {
    const integer = integerOfId(key);
    if (integer === undefined || integer < start || integer > end) return;
    const standing = job.dependencies.standing(key);
    if (standing === 'absent') return;
    integers.set(integer, (integers.get(integer) ?? true) && standing === 'satisfied');
    cancels ||= standing === 'cancels';
  };
  const tombstones = new Set(job.dependencies.tombstones());
  for (const key of tombstones) enter(key);
  for (const task of job.table.tasks()) {
    const key = idKey(job.table.idOf(task));
    if (!tombstones.has(key)) enter(key);
  }
  const held = [...integers.values()].filter((holds) => holds).length;
  return { satisfied: held === end - start + 1, cancels };
}
