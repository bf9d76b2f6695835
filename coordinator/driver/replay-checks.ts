/**
 * What a replay holds against a pool's log beside the state machine's own checks: promises about the course of things,
 * which no single state shows. It reads the rows that the entries write, and knows nothing of how they came about.
 */
import type { Outcome, PoolCommand } from '../../src/model/commands.ts';
import { JOB_TRANSITIONS, type JobState, TASK_TRANSITIONS, type TaskState } from '../../src/model/states.ts';
import type { Applied } from '../core/interface.ts';
import { type JobRow, partsOfKey, unpack, unpackRuntime } from '../core/pool/rows.ts';
import { Flag } from '../core/pool/task-table.ts';

interface TaskCourse {
  readonly state: TaskState;
  readonly epoch: number;
  readonly live: boolean;
  /** Epoch of the last outcome that was recorded. */
  readonly ended: number;
}

const NEW_TASK: TaskCourse = { state: 'active', epoch: 0, live: false, ended: 0 };

/** An execution that ended without an outcome that counts: its task waits to run again. */
export interface Requeued {
  readonly job: number;
  readonly task: number;
  readonly epoch: number;
}

/** Entries must be shown to it in their order, after the rows they begin from. */
export class PoolCourse {
  readonly #tasks = new Map<string, TaskCourse>();
  readonly #jobs = new Map<string, JobState>();

  load(key: string, value: Uint8Array): void {
    if (key.startsWith('x/')) this.#tasks.set(key.slice(2), courseOf(value, 0));
    else if (key.startsWith('j/')) this.#jobs.set(key, (unpack(value) as JobRow).state);
  }

  /** What is wrong with this entry (nothing where all is well), and what it gave back to the queue. */
  see(
    index: number,
    commands: readonly PoolCommand[],
    applied: Applied<unknown>,
  ): { readonly wrong: readonly string[]; readonly requeued: readonly Requeued[] } {
    const wrong: string[] = [];
    const requeued: Requeued[] = [];
    commands.forEach((command, position) => {
      if (command.kind === 'report') this.#seeReport(command, applied.results[position], wrong);
    });
    for (const row of applied.writes) {
      if (row.kind === 'put') this.#seeRow(index, row.key, row.value, wrong, requeued);
      else if (row.kind === 'delete') this.#forget(row.key);
      else this.#forgetBelow(row.prefix);
    }
    return { wrong, requeued };
  }

  /** A recorded outcome is of the last execution that was begun, and the first of that execution (S3, S5). */
  #seeReport(
    { items }: Extract<PoolCommand, { readonly kind: 'report' }>,
    outcome: Outcome<unknown> | undefined,
    wrong: string[],
  ): void {
    const verdicts = outcome?.ok === true && Array.isArray(outcome.value) ? outcome.value : [];
    items.forEach(({ job, task, epoch, outcome: end }, position) => {
      if (verdicts[position] !== 'recorded' || end === undefined) return;
      const key = `${hex8(job)}/${hex8(task)}`;
      const course = this.#tasks.get(key) ?? NEW_TASK;
      if (course.epoch !== epoch)
        wrong.push(
          `an outcome of task ${job}/${task} under epoch ${epoch} is recorded; its epoch is ${course.epoch}`,
        );
      if (course.ended >= epoch) wrong.push(`task ${job}/${task} has two outcomes of epoch ${epoch}`);
      this.#tasks.set(key, { ...course, ended: epoch });
    });
  }

  #seeRow(index: number, key: string, value: Uint8Array, wrong: string[], requeued: Requeued[]): void {
    if (key.startsWith('x/')) this.#seeTask(index, key.slice(2), value, wrong, requeued);
    else if (key.startsWith('j/')) this.#seeJob(key, (unpack(value) as JobRow).state, wrong);
  }

  #seeTask(index: number, key: string, value: Uint8Array, wrong: string[], requeued: Requeued[]): void {
    const before = this.#tasks.get(key) ?? NEW_TASK;
    const after = courseOf(value, before.ended);
    const name = `task ${key}`;
    if (after.state !== before.state && !TASK_TRANSITIONS[before.state].includes(after.state))
      wrong.push(`${name} goes from ${before.state} to ${after.state} (S16)`);
    if (after.epoch < before.epoch)
      wrong.push(`the epoch of ${name} falls from ${before.epoch} to ${after.epoch} (S3)`);
    if (after.epoch > before.epoch && after.epoch !== index)
      wrong.push(`${name} is assigned under epoch ${after.epoch} by entry ${index} (S3)`);
    if (after.epoch > before.epoch && before.live)
      wrong.push(`${name} is assigned while its execution ${before.epoch} lives (S3)`);
    // What this very entry assigned may be written more than once in it.
    if (after.live && !before.live && after.epoch <= before.epoch && after.epoch !== index)
      wrong.push(`${name} lives again under its old epoch ${after.epoch} (S3)`);
    if (before.live && !after.live && after.state === 'active') {
      const { job, rest } = partsOfKey(`x/${key}`);
      requeued.push({ job, task: Number.parseInt(rest, 16), epoch: after.epoch });
    }
    this.#tasks.set(key, after);
  }

  /** A job's row is written once an entry, whatever states it went through in it. */
  #seeJob(key: string, state: JobState, wrong: string[]): void {
    const before = this.#jobs.get(key);
    if (before !== undefined && before !== state && !reachable(before).has(state))
      wrong.push(`job ${key.slice(2)} goes from ${before} to ${state} (S16)`);
    this.#jobs.set(key, state);
  }

  #forget(key: string): void {
    if (key.startsWith('x/')) this.#tasks.delete(key.slice(2));
    else this.#jobs.delete(key);
  }

  #forgetBelow(prefix: string): void {
    if (!prefix.startsWith('x/')) return;
    for (const key of this.#tasks.keys()) if (key.startsWith(prefix.slice(2))) this.#tasks.delete(key);
  }
}

function courseOf(value: Uint8Array, ended: number): TaskCourse {
  const { state, epoch, flags } = unpackRuntime(value);
  return { state, epoch, live: (flags & Flag.live) !== 0, ended };
}

function reachable(from: JobState): ReadonlySet<JobState> {
  const found = new Set<JobState>(JOB_TRANSITIONS[from]);
  for (const state of found) for (const next of JOB_TRANSITIONS[state]) found.add(next);
  return found;
}

function hex8(number: number): string {
  return number.toString(16).padStart(8, '0');
}
