/** The tasks of a run as they end, their outputs printed: in the order of the items, or as they come. */
import type { ShoalClient } from '../../client/client.ts';
import { pause } from '../../client/retry.ts';
import type { TaskResource } from '../../client/shapes.ts';
import { RUN_FETCH_AHEAD_TASKS, WAIT_POLL_MS_MAX } from '../../lib/limits.ts';
import { pollDelayMs } from '../job-wait.ts';
import {
  type FetchedOutputs,
  fetchOutputs,
  type OutputPrinter,
  printFinished,
  printLive,
  type TaskPrinter,
} from './task-output.ts';
import { TASK_SELECT, TaskWatch } from './task-watch.ts';

export interface ResultOptions {
  readonly keepOrder: boolean;
  /** Undefined where outputs are not to be printed. */
  readonly printer: OutputPrinter | undefined;
  readonly signal: AbortSignal;
}

export class RunResults {
  readonly #client: ShoalClient;
  readonly #job: string;
  readonly #options: ResultOptions;
  readonly #watch: TaskWatch;
  /** Outputs on their way, of tasks whose turn comes soon. */
  readonly #ahead = new Map<string, Promise<FetchedOutputs>>();
  /** Tasks printed while they ran. */
  readonly #shown = new Set<string>();

  constructor(client: ShoalClient, job: string, options: ResultOptions) {
    this.#client = client;
    this.#job = job;
    this.#options = options;
    this.#watch = new TaskWatch(client, job);
  }

  /** Every task once, when it has ended and its output is printed. Ends early if the job ends without having run all. */
  async *ended(): AsyncGenerator<TaskResource> {
    const { signal } = this.#options;
    let quietSinceMs = performance.now();
    for (;;) {
      await this.#watch.refresh(signal);
      const ready = this.#ready();
      for (const [index, task] of ready.entries()) {
        this.#fetchAhead(ready.slice(index, index + RUN_FETCH_AHEAD_TASKS));
        await this.#printEnded(task);
        this.#watch.take(task);
        yield task;
      }
      if (this.#watch.isDrained) return;
      if (ready.length > 0 || (await this.#printRunning())) {
        quietSinceMs = performance.now();
        continue;
      }
      const quietMs = performance.now() - quietSinceMs;
      if (quietMs > WAIT_POLL_MS_MAX && (await this.#jobIsOver())) return;
      await pause(pollDelayMs(quietMs), signal);
    }
  }

  /** Tasks that have ended and whose turn it is. */
  #ready(): readonly TaskResource[] {
    const waiting = [...this.#watch.waiting()];
    if (!this.#options.keepOrder) return waiting.filter((task) => task.state === 'completed');
    const first = waiting.findIndex((task) => task.state !== 'completed');
    return first < 0 ? waiting : waiting.slice(0, first);
  }

  /** The round trips for the outputs of many small tasks overlap. */
  #fetchAhead(tasks: readonly TaskResource[]): void {
    if (this.#options.printer === undefined) return;
    for (const { id } of tasks) {
      if (this.#ahead.has(id) || this.#shown.has(id)) continue;
      const fetched = fetchOutputs(this.#client, this.#job, id, this.#options.signal);
      // Awaited when its turn comes; a failure before that must not count as unhandled.
      fetched.catch(() => {});
      this.#ahead.set(id, fetched);
    }
  }

  async #printEnded(task: TaskResource): Promise<void> {
    const { printer, signal } = this.#options;
    if (printer === undefined || this.#shown.delete(task.id)) return;
    const fetched = await (this.#ahead.get(task.id) ??
      fetchOutputs(this.#client, this.#job, task.id, signal));
    this.#ahead.delete(task.id);
    const one = printer.open(task.id);
    await printFinished(this.#client, this.#job, task.id, one, fetched, signal);
    await one.end();
    await this.#noteFailure(printer, task);
  }

  /** The task whose turn it is, if it runs, is printed as it writes. True if one was. */
  async #printRunning(): Promise<boolean> {
    const { printer, keepOrder } = this.#options;
    const [task] = this.#watch.waiting();
    if (printer === undefined || !keepOrder || task?.state !== 'running') return false;
    const one = printer.open(task.id);
    const last = await this.#follow(task, one, printer);
    await one.end();
    this.#shown.add(task.id);
    await this.#noteFailure(printer, last);
    return true;
  }

  /**
   * Prints the task until it has ended. The agent's stream goes on over a change of the task's node; here a stream
   * that breaks is opened again, and what was printed of the same execution is not printed twice.
   */
  async #follow(first: TaskResource, one: TaskPrinter, printer: OutputPrinter): Promise<TaskResource> {
    const { signal } = this.#options;
    let task = first;
    for (let round = 1; ; round++) {
      const whole = await printLive(this.#client, this.#job, task.id, one, signal);
      const now = await this.#client.tasks.get(this.#job, task.id, { select: TASK_SELECT, signal });
      if (whole && now.state === 'completed') return now;
      if (now.shoal?.epoch !== task.shoal?.epoch) {
        one.restart();
        await printer.note(`Task ${task.id} was started again; its output begins anew.`);
      }
      if (now.state === 'completed') {
        const fetched = await fetchOutputs(this.#client, this.#job, task.id, signal);
        await printFinished(this.#client, this.#job, task.id, one, fetched, signal);
        return now;
      }
      task = now;
      await pause(pollDelayMs(round * WAIT_POLL_MS_MAX), signal);
    }
  }

  async #noteFailure(printer: OutputPrinter, task: TaskResource): Promise<void> {
    const info = task.executionInfo;
    const { code = 'no reason given', message } = info?.failureInfo ?? {};
    // An exit code was the program's own choice, and it has said on standard error what it had to say.
    if (info?.result !== 'failure' || code === 'FailureExitCode') return;
    await printer.note(`${task.id}: failed: ${code}${message === undefined ? '' : `: ${message}`}`);
  }

  /** Someone ended the job: its tasks that never started stay active for ever. */
  async #jobIsOver(): Promise<boolean> {
    const { signal } = this.#options;
    const found = await this.#client.jobs.get(this.#job, { select: ['id', 'state'], signal });
    if (found.state !== 'completed') return false;
    return (await this.#client.jobs.taskCounts(this.#job, { signal })).running === 0;
  }
}
