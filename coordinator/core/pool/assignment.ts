/**
 * The gate of assignments. Placement proposed them on an older state, perhaps wrongly: each is checked against the
 * state as it is now, and what does not fit is left out (Nomad's plan applier, Omega's optimistic transactions).
 */
import { PREFETCH_PER_SLOT_MAX } from '../../../src/lib/limits.ts';
import type { Assignment, CommandResults, Outcome, PoolCommand } from '../../../src/model/commands.ts';
import { beginExecution } from './execution.ts';
import { formGang, mayFormGang } from './gang.ts';
import type { Job } from './job-record.ts';
import type { NodeRecord } from './node-record.ts';
import { canAppend, ensurePreparation } from './node-task-record.ts';
import { Flag } from './task-table.ts';
import { accepted, type Turn } from './turn.ts';

export function assignTasks(
  turn: Turn,
  { items }: Extract<PoolCommand, { readonly kind: 'assign' }>,
): Outcome<CommandResults['assign']> {
  const assigned: Assignment[] = [];
  for (const item of items) {
    const job = turn.state.jobs.get(item.job);
    const node = turn.state.nodes.get(item.node);
    if (job === undefined || node === undefined || !fits(turn, job, item.task, node)) continue;
    if (item.others !== undefined || job.gangs.has(item.task)) {
      if (beginGang(turn, job, item, node)) assigned.push(item);
      continue;
    }
    ensurePreparation(turn, job, node);
    beginExecution(turn, job, item.task, node);
    assigned.push(item);
  }
  return accepted({ epoch: turn.index, assigned });
}

/** On all of its nodes or on none (S11): two that want the same nodes never wait for each other with a part of them. */
function beginGang(turn: Turn, job: Job, { task, others = [] }: Assignment, first: NodeRecord): boolean {
  const nodes = [first];
  for (const id of others) {
    const node = turn.state.nodes.get(id);
    if (node === undefined || !fits(turn, job, task, node)) return false;
    nodes.push(node);
  }
  if (!mayFormGang(job, task, nodes)) return false;
  for (const node of nodes) ensurePreparation(turn, job, node);
  formGang(turn, job, task, nodes);
  beginExecution(turn, job, task, first);
  return true;
}

function fits(turn: Turn, job: Job, task: number, node: NodeRecord): boolean {
  if (job.state !== 'active' || job.parallelLeft <= 0 || !node.open) return false;
  // Two executions of a task that one entry assigns, loses and assigns again would share an epoch.
  if (!job.table.flag(task, Flag.ready) || job.table.epoch(task) >= turn.index) return false;
  const { slots, labels } = job.ready.queueOf(task);
  return (
    slots <= node.slots &&
    node.assignedSlots + slots <= assignedSlotsMax(node.slots) &&
    node.hasLabels(labels) &&
    (job.preparation === undefined || canAppend(job))
  );
}

/** Executions beyond a node's slots wait there for a free one. */
export function assignedSlotsMax(slots: number): number {
  return slots * (1 + PREFETCH_PER_SLOT_MAX);
}
