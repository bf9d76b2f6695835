/** The end of an execution, whether its node reported it or was lost: off the books, then on to what becomes of the task. */
import type { TaskOutcome } from '../../../src/model/task.ts';
import { endExecution } from './execution.ts';
import { disbandGang } from './gang.ts';
import type { Job } from './job-record.ts';
import { afterTask } from './job-state.ts';
import type { NodeRecord } from './node-record.ts';
import { settleNodeTask } from './node-task-ending.ts';
import { ascending, jobOf, taskOf } from './numbers.ts';
import { exitActions, failureOf, isSuccess, SUBTASK_FAILED, TASK_ENDED, verdictOf } from './outcome.ts';
import { Intent } from './task-table.ts';
import { completeTask, type Ending, removeTask, requeueTask } from './transition.ts';
import type { Turn } from './turn.ts';

/** `outcome` is undefined where the node was lost; `startedAtMs` as the same report says. */
export function settleExecution(
  turn: Turn,
  job: Job,
  task: number,
  outcome: TaskOutcome | undefined,
  startedAtMs?: number,
): void {
  const { table } = job;
  const started = outcome?.startedAtMs ?? startedAtMs ?? job.startedAtMs.get(task);
  const own = job.nodeTasks.get(task);
  if (own !== undefined) {
    settleNodeTask(turn, job, task, own, outcome, started);
    return;
  }
  const intent = table.intent(task);
  const verdict = verdictOf({
    intent,
    outcome,
    retryCount: table.retryCount(task),
    maxRetryCount: table.maxRetryCount(task),
  });
  if (outcome !== undefined) countRun(turn, job, task, outcome, started);
  endExecution(turn, job, task);
  disbandGang(turn, job, task);
  switch (verdict.kind) {
    case 'complete': {
      const ended = intent === Intent.fail && !verdict.succeeded ? failedByPart(turn, outcome) : outcome;
      completeTask(turn, job, task, endingOf(turn, job, task, ended, started, verdict));
      break;
    }
    case 'retry':
      requeueTask(turn, job, task, 'retry');
      break;
    case 'requeue':
      requeueTask(turn, job, task, verdict.counted ? 'requeue' : 'recovery');
      break;
    case 'remove':
      removeTask(turn, job, task);
      afterTask(turn, job, 'none');
      break;
  }
}

/** It was killed because a part of it had failed: that is why it failed, not the kill. */
function failedByPart(turn: Turn, outcome: TaskOutcome | undefined): TaskOutcome {
  const { endedAtMs, files } = outcome ?? { endedAtMs: turn.nowMs, files: [] };
  return { kind: 'exited', endedAtMs, files, failure: SUBTASK_FAILED };
}

function endingOf(
  turn: Turn,
  job: Job,
  task: number,
  outcome: TaskOutcome | undefined,
  startedAtMs: number | undefined,
  { succeeded, byUser }: { readonly succeeded: boolean; readonly byUser: boolean },
): Ending {
  const exit = byUser || outcome === undefined ? ({ kind: 'killed' } as const) : outcome;
  const failure = byUser || outcome === undefined ? TASK_ENDED : failureOf(outcome);
  return {
    succeeded,
    actions: exitActions(job.exitConditions.get(task), exit, byUser),
    completion: {
      startedAtMs,
      endedAtMs: outcome?.endedAtMs ?? turn.nowMs,
      exitCode: outcome?.exitCode,
      failure: succeeded ? undefined : failure,
      files: outcome?.files ?? [],
    },
  };
}

/** Weight of the newest run in the expected run time. */
const RUN_WEIGHT = 0.2;

function countRun(
  turn: Turn,
  job: Job,
  task: number,
  outcome: TaskOutcome,
  startedAtMs: number | undefined,
): void {
  if (outcome.kind === 'lost' || outcome.kind === 'killed') return;
  const node = turn.state.nodes.at(job.table.node(task));
  if (node !== undefined) {
    node.totalTasksRun += 1;
    if (isSuccess(outcome)) node.totalTasksSucceeded += 1;
  }
  const runMs = startedAtMs === undefined ? Number.NaN : outcome.endedAtMs - startedAtMs;
  if (!(runMs >= 0)) return;
  job.expectedRunMs =
    job.expectedRunMs === undefined ? runMs : job.expectedRunMs + RUN_WEIGHT * (runMs - job.expectedRunMs);
}

/** The node's lease is over, or the mesh took the node back: nothing of it runs any more, and nobody will report. */
export function releaseExecutions(turn: Turn, node: NodeRecord): void {
  for (const packed of ascending(node.executions)) {
    const job = turn.state.jobs.get(jobOf(packed));
    if (job !== undefined) settleExecution(turn, job, taskOf(packed), undefined);
  }
}
