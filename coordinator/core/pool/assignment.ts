/**
 * The gate of assignments. Placement proposed them on an older state, perhaps wrongly: each is checked against the
 * state as it is now, and what does not fit is left out (Nomad's plan applier, Omega's optimistic transactions).
 */
import { PREFETCH_PER_SLOT_MAX } from '../../../src/lib/limits.ts';
import type { Assignment, CommandResults, Outcome, PoolCommand } from '../../../src/model/commands.ts';
import { beginExecution } from './execution.ts';
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
    ensurePreparation(turn, job, node);
    beginExecution(turn, job, item.task, node);
    assigned.push(item);
  }
  return accepted({ epoch: turn.index, assigned });
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
