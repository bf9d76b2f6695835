/**
 * What an entry leaves to be done once its commands are applied: held tasks that were stopped come to their end, and
 * what nodes owe begins where it may. One place for it, so that whatever lets a node begin (it is heard again, it has
 * become empty, its job was enabled, the last try failed) need not know of it.
 */
import { settleExecution } from './ending.ts';
import { beginNodeTask } from './execution.ts';
import type { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { ascending, jobOf, taskOf } from './numbers.ts';
import type { PoolState, Turn } from './turn.ts';

export function attend(turn: Turn): void {
  if (turn.revoked.size > 0) settleRevoked(turn);
  // Most nodes owe nothing, most of the time.
  for (const node of turn.touchedNodes(({ owed, id }) => owed.size > 0 || turn.state.overdue.has(id))) {
    if (turn.state.nodes.get(node.id) !== node) continue;
    beginOwed(turn, node);
    refreshOverdue(turn.state, node);
  }
}

function settleRevoked(turn: Turn): void {
  // The end of one may be that of others: a gang's.
  while (turn.revoked.size > 0) {
    const packed = Math.min(...turn.revoked.keys());
    const outcome = turn.revoked.get(packed);
    turn.revoked.delete(packed);
    const job = turn.state.jobs.get(jobOf(packed));
    const task = taskOf(packed);
    // Its node may have been lost after it was stopped, and it with the node.
    if (job?.nodeTasks.isHeld(job.table.node(task), task) === true) settleExecution(turn, job, task, outcome);
  }
}

function beginOwed(turn: Turn, node: NodeRecord): void {
  for (const packed of ascending(node.owed)) {
    const job = turn.state.jobs.get(jobOf(packed));
    const task = taskOf(packed);
    if (job === undefined || !mayBegin(job, task, node)) continue;
    // Two executions of a task that one entry begins, loses and begins again would share an epoch.
    if (job.table.epoch(task) >= turn.index) continue;
    node.owed.delete(packed);
    beginNodeTask(turn, job, task, node);
  }
}

/** Whether nothing but the epoch keeps a task of the node from beginning. */
function mayBegin(job: Job, task: number, node: NodeRecord): boolean {
  if (node.lost) return false;
  const role = job.nodeTasks.get(task)?.role;
  switch (role) {
    case 'start':
      return node.leaving === undefined && node.restart === undefined && node.fault === undefined;
    case 'preparation':
      // Tasks that are held for it decide, where there are any: they have their place on the node already.
      return job.nodeTasks.heldOn(node.index).size > 0 || (job.state === 'active' && node.open);
    case 'release':
      return node.restart === undefined;
    case 'reboot':
    case 'reimage':
      return node.executions.size === 0;
    // Begins with its task.
    case 'subtask':
    case undefined:
      return false;
  }
}

/** What may begin and has not waits for the next entry; where none comes by itself, a sweep is one. */
export function refreshOverdue(state: PoolState, node: NodeRecord): void {
  if (isOverdue(state, node)) state.overdue.add(node.id);
  else if (state.overdue.size > 0) state.overdue.delete(node.id);
}

export function isOverdue(state: PoolState, node: NodeRecord): boolean {
  for (const packed of node.owed) {
    const job = state.jobs.get(jobOf(packed));
    if (job !== undefined && mayBegin(job, taskOf(packed), node)) return true;
  }
  return false;
}
