/** What becomes of a task of a node when its execution ends, and what its end means for the node and the job. */
import { assertNever } from '../../../src/lib/assert.ts';
import type { TaskOutcome } from '../../../src/model/task.ts';
import { endExecution, sendHeld, stopExecution } from './execution.ts';
import { settleSubtask } from './gang.ts';
import type { Job } from './job-record.ts';
import { settleJob } from './job-state.ts';
import type { NodeRecord } from './node-record.ts';
import {
  owe,
  refreshPrepared,
  refreshStart,
  removeNodeTask,
  renewNodeTask,
  renewStartTask,
} from './node-task-record.ts';
import type { NodeTask } from './node-tasks.ts';
import { ascending, jobOf, taskOf } from './numbers.ts';
import { failureOf, NODE_LOST, TASK_ENDED, verdictOf } from './outcome.ts';
import type { Completion } from './rows.ts';
import { changeState, writeRuntime } from './runtime.ts';
import { Flag, Intent } from './task-table.ts';
import type { Turn } from './turn.ts';

/** `outcome` is undefined where the node was lost. */
export function settleNodeTask(
  turn: Turn,
  job: Job,
  task: number,
  own: NodeTask,
  outcome: TaskOutcome | undefined,
  startedAtMs: number | undefined,
): void {
  const { table } = job;
  if (own.gang !== undefined) {
    settleSubtask(turn, job, task, { ...own, gang: own.gang }, outcome, startedAtMs);
    return;
  }
  const node = turn.state.nodes.at(table.node(task));
  const verdict = verdictOf({
    intent: table.intent(task),
    outcome,
    retryCount: table.retryCount(task),
    maxRetryCount: table.maxRetryCount(task),
  });
  endExecution(turn, job, task);
  if (node === undefined) return;
  const again = verdict.kind === 'retry' || verdict.kind === 'requeue';
  // A job does not wait for a node that may never come back.
  if (again && !(own.role === 'release' && outcome === undefined)) {
    repeat(turn, job, task, verdict.kind === 'retry');
    owe(turn, job, task, node);
    if (own.role === 'preparation') settleJob(turn, job);
    return;
  }
  const succeeded = verdict.kind === 'complete' && verdict.succeeded;
  const byUser = verdict.kind === 'complete' && verdict.byUser;
  const failure = outcome === undefined ? NODE_LOST : byUser ? TASK_ENDED : failureOf(outcome);
  complete(turn, job, task, succeeded, {
    startedAtMs,
    endedAtMs: outcome?.endedAtMs ?? turn.nowMs,
    exitCode: outcome?.exitCode,
    failure: succeeded ? undefined : failure,
    files: outcome?.files ?? [],
  });
  announce(turn, job, own, succeeded);
  follow(turn, job, task, own, node);
}

function repeat(turn: Turn, job: Job, task: number, counted: boolean): void {
  const { table } = job;
  if (counted) {
    table.setRetryCount(task, table.retryCount(task) + 1);
    job.lastRetryAtMs.set(task, turn.nowMs);
  }
  job.startedAtMs.delete(task);
  if (!table.isActive(task)) changeState(turn, job, task, 'active');
  writeRuntime(turn, job, task);
}

function complete(turn: Turn, job: Job, task: number, succeeded: boolean, completion: Completion): void {
  changeState(turn, job, task, 'completed', { clear: 0, set: succeeded ? Flag.succeeded : 0 });
  job.startedAtMs.delete(task);
  job.nodeTasks.releasing.delete(task);
  writeRuntime(turn, job, task, completion);
}

const NAMES = {
  start: 'start task',
  preparation: 'job preparation task',
  release: 'job release task',
  reboot: 'reboot',
  reimage: 'reimage',
  subtask: 'coordination command',
} as const;

function announce(turn: Turn, job: Job, { role, node }: NodeTask, succeeded: boolean): void {
  const what = job.isOwn ? `the ${NAMES[role]}` : `the ${NAMES[role]} of ${job.id}`;
  const data = { node, role, ...(job.isOwn ? {} : { job: job.id }) };
  if (succeeded) turn.event(`node.${role}`, `${what} succeeded on ${node}`, data);
  else turn.event(`node.${role}Failed`, `${what} failed on ${node}`, data);
}

function follow(turn: Turn, job: Job, task: number, { role }: NodeTask, node: NodeRecord): void {
  switch (role) {
    case 'start':
      refreshStart(turn.state, node);
      return;
    case 'preparation':
      refreshPrepared(job, task, node);
      if (job.table.flag(task, Flag.succeeded)) sendHeld(turn, job, node);
      else
        for (const held of ascending(job.nodeTasks.heldOn(node.index)))
          stopExecution(turn, job, held, Intent.recover);
      settleJob(turn, job);
      return;
    case 'release':
      settleJob(turn, job);
      return;
    case 'subtask':
      return;
    case 'reboot':
    case 'reimage':
      restarted(turn, node, role === 'reimage');
      return;
    default:
      assertNever(role);
  }
}

/** Nothing of what ran on the node is left: it begins anew, and so does what prepared it for its jobs. */
export function restarted(turn: Turn, node: NodeRecord, wiped: boolean): void {
  const { state } = turn;
  node.restart = undefined;
  removeNodeTask(turn, state.nodeJob, 'reboot', node);
  removeNodeTask(turn, state.nodeJob, 'reimage', node);
  renewStartTask(turn, node);
  for (const job of state.jobs.values()) {
    const task = job.nodeTasks.of('preparation', node);
    if (task === undefined || job.isEnding || job.table.state(task) !== 'completed') continue;
    const keeps = job.preparation?.rerunOnNodeRebootAfterSuccess === false && !wiped;
    if (keeps && job.table.flag(task, Flag.succeeded)) continue;
    renewNodeTask(turn, job, task, node);
    refreshPrepared(job, task, node);
  }
  turn.writeNode(node);
}

/** The node is gone from the pool: what it owed it can do no more. */
export function forgiveNode(turn: Turn, node: NodeRecord): void {
  const { state } = turn;
  for (const role of ['start', 'reboot', 'reimage'] as const) removeNodeTask(turn, state.nodeJob, role, node);
  giveUpOwed(turn, node, () => true);
}

/** The node is lost: jobs that end wait no longer for what it owes them. */
export function forgiveReleases(turn: Turn, node: NodeRecord): void {
  giveUpOwed(turn, node, ({ role }) => role === 'release');
}

function giveUpOwed(turn: Turn, node: NodeRecord, gives: (own: NodeTask) => boolean): void {
  for (const packed of ascending(node.owed)) {
    const job = turn.state.jobs.get(jobOf(packed));
    const task = taskOf(packed);
    const own = job?.nodeTasks.get(task);
    if (job === undefined || own === undefined || !gives(own)) continue;
    node.owed.delete(packed);
    complete(turn, job, task, false, {
      startedAtMs: undefined,
      endedAtMs: turn.nowMs,
      exitCode: undefined,
      failure: NODE_LOST,
      files: [],
    });
    settleJob(turn, job);
  }
}
