/** A task's runtime row and its state column: the leaves under every transition. */
import { invariant } from '../../../src/lib/assert.ts';
import { TASK_TRANSITIONS, type TaskState } from '../../../src/model/states.ts';
import type { Job } from './job-record.ts';
import { type Completion, packRuntime, runtimeRowKey } from './rows.ts';
import { Flag } from './task-table.ts';
import type { Turn } from './turn.ts';

/** The one place where a task's state changes: only along the table of legal transitions (S16), and with the counts. */
export function changeState(
  turn: Turn,
  job: Job,
  task: number,
  to: TaskState,
  flags: { readonly clear: number; readonly set: number } = NO_FLAGS,
): void {
  const { table } = job;
  const from = table.state(task);
  invariant(
    TASK_TRANSITIONS[from].includes(to),
    `task ${job.number}/${task} cannot go from ${from} to ${to}`,
  );
  const counted = !job.nodeTasks.has(task);
  if (counted) job.tally(task, -1);
  table.setState(task, to, turn.nowMs);
  table.setFlag(task, flags.clear, false);
  table.setFlag(task, flags.set, true);
  if (counted) job.tally(task, 1);
}

const NO_FLAGS = { clear: 0, set: 0 };

/** The other flags are derived from the rest of the state. */
const STORED_FLAGS = Flag.live | Flag.satisfied | Flag.cancels | Flag.succeeded | Flag.ghost;

/** Writes all that changed about the task since it was added; nothing of it is read back for that. */
export function writeRuntime(turn: Turn, job: Job, task: number, completion?: Completion): void {
  const { table } = job;
  const place = turn.state.nodes.placeAt(table.node(task));
  // What is held has its place, and no execution yet.
  const held = job.nodeTasks.isHeld(table.node(task), task);
  turn.putBytes(
    runtimeRowKey(job.number, task),
    packRuntime({
      state: table.state(task),
      stateAtMs: table.stateAtMs(task),
      previousState: table.previousState(task),
      previousAtMs: table.previousAtMs(task),
      version: table.version(task),
      modifiedAtMs: table.modifiedAtMs(task),
      epoch: table.epoch(task),
      node: place?.id,
      machine: place?.machine,
      intent: table.intent(task),
      flags: table.flags(task) & (held ? STORED_FLAGS & ~Flag.live : STORED_FLAGS),
      retryCount: table.retryCount(task),
      lastRetryAtMs: job.lastRetryAtMs.get(task),
      requeueCount: table.requeueCount(task),
      lastRequeueAtMs: job.lastRequeueAtMs.get(task),
      startedAtMs: job.startedAtMs.get(task),
      completion,
    }),
  );
}
