/** Making, renewing and removing the tasks that nodes owe; each is owed from then on and begins by itself. */
import { TASK_NUMBER_MAX } from '../../../src/lib/limits.ts';
import {
  type NodeTaskRole,
  preparationSpec,
  releaseSpec,
  startTaskSpec,
} from '../../../src/model/node-task.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { NODE_JOB_ID, type NodeTask, nodeTaskId, preparedLabel } from './node-tasks.ts';
import { packTask } from './numbers.ts';
import {
  type AdditionRow,
  additionRowKey,
  jobSpecRowKey,
  type NodeTaskRow,
  runtimeRowKey,
  taskRowKey,
} from './rows.ts';
import { changeState, writeRuntime } from './runtime.ts';
import { Flag } from './task-table.ts';
import type { PoolState, Turn } from './turn.ts';

/** A node joined, or restarted: it runs the start task that the pool has now. */
export function renewStartTask(turn: Turn, node: NodeRecord): void {
  removeNodeTask(turn, turn.state.nodeJob, 'start', node);
  const start = turn.state.pool?.pool.spec?.startTask;
  if (start !== undefined)
    append(
      turn,
      nodeJobOf(turn),
      { role: 'start', waits: start.waitForSuccess !== false },
      node,
      startTaskSpec(start),
    );
  refreshStart(turn.state, node);
}

/** Its command line is never run: the agent knows what to do. */
export function addRestart(turn: Turn, node: NodeRecord, how: 'reboot' | 'reimage'): void {
  append(turn, nodeJobOf(turn), { role: how, waits: true }, node, { id: how, commandLine: how });
}

/** The job's first task comes to a node: the preparation task goes before it. */
export function ensurePreparation(turn: Turn, job: Job, node: NodeRecord): void {
  const { preparation } = job;
  if (preparation === undefined || job.nodeTasks.of('preparation', node) !== undefined) return;
  append(
    turn,
    job,
    { role: 'preparation', waits: job.waitsForPreparation },
    node,
    preparationSpec(preparation),
  );
}

/**
 * The job ends and nothing of it runs any more: its release task goes to every node that ran its preparation task and
 * is there. Asked once for each job. Returns false where there is no such node, or no release task.
 */
export function addReleases(turn: Turn, job: Job): boolean {
  const { release, nodeTasks } = job;
  if (release === undefined || nodeTasks.released) return false;
  for (const [task, { role, node: id, nodeNumber }] of [...nodeTasks.entries()]) {
    const node = turn.state.nodes.get(id);
    if (role !== 'preparation' || job.table.epoch(task) === 0) continue;
    if (node?.number === nodeNumber && !node.lost)
      append(turn, job, { role: 'release', waits: false }, node, releaseSpec(release));
  }
  return nodeTasks.releasing.size > 0;
}

function nodeJobOf(turn: Turn): Job {
  const { state } = turn;
  if (state.nodeJob !== undefined) return state.nodeJob;
  const spec = { id: NODE_JOB_ID, poolInfo: {} };
  const job = new Job({ number: state.nextJob++, spec, version: turn.newVersion(), nowMs: turn.nowMs });
  state.addJob(job);
  turn.put(jobSpecRowKey(job.number), spec);
  turn.touchJob(job);
  return job;
}

function append(
  turn: Turn,
  job: Job,
  own: Pick<NodeTask, 'role' | 'waits'>,
  node: NodeRecord,
  spec: TaskSpec,
): void {
  owe(turn, job, appendNodeTask(turn, job, own, node, spec), node);
}

export function appendNodeTask(
  turn: Turn,
  job: Job,
  { role, waits, gang }: Pick<NodeTask, 'role' | 'waits' | 'gang'>,
  node: NodeRecord,
  spec: TaskSpec,
): number {
  const { table } = job;
  const own: NodeTask = {
    role,
    node: node.id,
    machine: node.machine,
    nodeNumber: node.number,
    waits,
    ...(gang === undefined ? {} : { gang }),
  };
  const version = turn.newVersion();
  const maxRetryCount = spec.constraints?.maxTaskRetryCount ?? 0;
  const task = table.append({
    id: nodeTaskId(own),
    createdAtMs: turn.nowMs,
    version,
    maxRetryCount,
    shape: job.ready.shapeFor(slotsOfNodeTask(own), undefined),
  });
  table.setExecution(task, 0, node.index);
  job.nodeTasks.add(task, own);
  const row: NodeTaskRow = {
    ...spec,
    role,
    place: [node.id, node.machine, node.number],
    waits,
    ...(gang === undefined ? {} : { gang }),
  };
  const addition: AdditionRow = [1, turn.nowMs, version, maxRetryCount];
  turn.put(taskRowKey(job.number, task), row);
  turn.put(additionRowKey(job.number, task), addition);
  turn.touchJob(job);
  return task;
}

/** A subtask holds its node's slot; on the node of its primary that one does. */
export function slotsOfNodeTask({ gang }: Pick<NodeTask, 'gang'>): number {
  return gang !== undefined && gang.instance > 0 ? 1 : 0;
}

/** Numbers are given once: a job that used all up gets no more tasks of either kind. */
export function canAppend(job: Job, count = 1): boolean {
  return job.table.last + count <= TASK_NUMBER_MAX;
}

export function owe(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  node.owed.add(packTask(job.number, task));
  turn.touchNode(node);
}

/** A task of the node that was completed is to run again, as if it never had. */
export function renewNodeTask(turn: Turn, job: Job, task: number, node: NodeRecord): void {
  const { table } = job;
  changeState(turn, job, task, 'active', { clear: Flag.succeeded, set: 0 });
  table.setRetryCount(task, 0);
  job.lastRetryAtMs.delete(task);
  writeRuntime(turn, job, task);
  owe(turn, job, task, node);
}

/** Forgets the task of this role, which is not live. */
export function removeNodeTask(turn: Turn, job: Job | undefined, role: NodeTaskRole, node: NodeRecord): void {
  const task = job?.nodeTasks.of(role, node);
  if (job === undefined || task === undefined) return;
  node.owed.delete(packTask(job.number, task));
  dropNodeTask(turn, job, task);
}

/** Forgets one that is neither live nor owed. */
export function dropNodeTask(turn: Turn, job: Job, task: number): void {
  job.nodeTasks.remove(task);
  job.forget(task);
  job.table.remove(task);
  turn.delete(taskRowKey(job.number, task));
  turn.delete(additionRowKey(job.number, task));
  turn.delete(runtimeRowKey(job.number, task));
}

/** The job's tasks leave memory: no node owes it anything more. */
export function dropNodeTasks(state: PoolState, job: Job): void {
  for (const [task, { node: id }] of job.nodeTasks.entries()) {
    const node = state.nodes.get(id);
    node?.owed.delete(packTask(job.number, task));
    node?.unmet.delete(preparedLabel(job.number));
  }
}

// --- What follows from them for their node; derived alike after a change and after a load --------------------------

export function refreshStart(state: PoolState, node: NodeRecord): void {
  const job = state.nodeJob;
  const task = job?.nodeTasks.of('start', node);
  if (job === undefined || task === undefined || job.nodeTasks.get(task)?.waits !== true) node.start = 'none';
  else if (job.table.state(task) !== 'completed') node.start = 'waiting';
  else node.start = job.table.flag(task, Flag.succeeded) ? 'succeeded' : 'failed';
}

/** A node whose preparation failed for good takes no task of the job. */
export function refreshPrepared(job: Job, task: number, node: NodeRecord): void {
  const label = preparedLabel(job.number);
  const { table } = job;
  if (job.waitsForPreparation && table.state(task) === 'completed' && !table.flag(task, Flag.succeeded))
    node.unmet.add(label);
  else node.unmet.delete(label);
}
