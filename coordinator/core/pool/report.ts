/** What agents say became of executions. Only the execution that the books hold can be reported; any other is stale. */
import type { Outcome, PoolCommand, ReportItem, ReportVerdict } from '../../../src/model/commands.ts';
import { settleExecution } from './ending.ts';
import { startExecution } from './execution.ts';
import { coordinateSubtask } from './gang.ts';
import type { NodeRecord } from './node-record.ts';
import { Flag } from './task-table.ts';
import { accepted, type Turn } from './turn.ts';

export function recordReport(
  turn: Turn,
  { node: id, items }: Extract<PoolCommand, { readonly kind: 'report' }>,
): Outcome<readonly ReportVerdict[]> {
  const node = turn.state.nodes.get(id);
  return accepted(items.map((item) => (node === undefined ? 'stale' : recordItem(turn, node, item))));
}

function recordItem(
  turn: Turn,
  node: NodeRecord,
  { job: jobNumber, task, epoch, startedAtMs, coordinated, outcome }: ReportItem,
): ReportVerdict {
  const job = turn.state.jobs.get(jobNumber);
  if (job === undefined) return 'stale';
  const { table } = job;
  if (!table.flag(task, Flag.live) || table.epoch(task) !== epoch || table.node(task) !== node.index)
    return 'stale';
  // Nobody was told of it yet.
  if (job.nodeTasks.isHeld(node.index, task)) return 'stale';
  // Started and ended in one item is one transition.
  if (outcome !== undefined) settleExecution(turn, job, task, outcome, startedAtMs);
  else {
    if (startedAtMs !== undefined) startExecution(turn, job, task, startedAtMs);
    if (coordinated === true) coordinateSubtask(turn, job, task);
  }
  return 'recorded';
}
