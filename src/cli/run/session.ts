/** One `shoal run` from its submission to its exit code, with Ctrl-C at any moment. */
import { pause } from '../../client/retry.ts';
import type { TaskResource } from '../../client/shapes.ts';
import { CANCEL_WAIT_MS, WAIT_POLL_MS_MAX } from '../../lib/limits.ts';
import { exitCodeOfInterrupt, type InterruptCause, type Run } from '../action.ts';
import { EXIT } from '../exit-codes.ts';
import { Exit } from '../failure.ts';
import { exitCodeOfTask, pollDelayMs, taskProgress } from '../job-wait.ts';
import { ProgressLine, RateMeter, renderTaskProgress } from '../progress.ts';
import { OutputFetcher } from './fetch-outputs.ts';
import { Gate } from './gate.ts';
import type { FoundInputs } from './inputs.ts';
import type { RunPlan } from './plan.ts';
import { RunResults } from './results.ts';
import { quietly, Submission } from './submission.ts';
import { OutputPrinter } from './task-output.ts';

export interface SessionOptions {
  readonly keepOrder: boolean;
  readonly quiet: boolean;
  readonly detach: boolean;
  /** Absolute; where the output files go. */
  readonly out: string | undefined;
  readonly flat: boolean;
  /** Delete the run's containers at its end. */
  readonly cleanup: boolean;
}

export class RunSession {
  readonly #run: Run;
  readonly #plan: RunPlan;
  readonly #options: SessionOptions;
  readonly #line: ProgressLine;
  readonly #gate = new Gate();
  /** Ends the present phase. */
  readonly #stop = new AbortController();
  /** Ends the wait for a cancelled job. */
  readonly #hurry = new AbortController();
  #phase: 'submitting' | 'watching' = 'submitting';
  #decision: 'detach' | 'cancel' | undefined;
  #cause: InterruptCause = 'SIGINT';
  readonly #submission: Submission;

  constructor(run: Run, plan: RunPlan, inputs: FoundInputs, options: SessionOptions) {
    this.#run = run;
    this.#plan = plan;
    this.#options = options;
    this.#line = new ProgressLine(run.world.stderr, run.showsProgress);
    this.#submission = new Submission(run, plan, inputs, this.#line);
  }

  /** Resolves with the exit code of the command: the worst of the tasks' own. */
  async execute(): Promise<number> {
    this.#run.onInterrupt((cause) => this.#interrupted(cause));
    await this.#submission.submit(this.#stop.signal, () => this.#briefly());
    if (this.#options.detach) return this.#detached();
    this.#phase = 'watching';
    try {
      const worst = await this.#watch();
      if (this.#options.cleanup) await this.#submission.deleteContainers(() => this.#briefly());
      return worst;
    } catch (error) {
      this.#line.clear();
      if (this.#decision === 'detach') return this.#detached();
      if (this.#decision === 'cancel') return this.#cancelled();
      await this.#run.note(
        `The job goes on without this command. To wait for it: shoal job wait ${this.#job}`,
      );
      throw error;
    } finally {
      this.#line.clear();
    }
  }

  get #job(): string {
    return this.#plan.wish.job;
  }

  // --- Watching ---------------------------------------------------------------------------------------------------

  async #watch(): Promise<number> {
    const { signal } = this.#stop;
    const { keepOrder, quiet } = this.#options;
    const json = this.#run.output.format !== 'table';
    const printer = quiet || json ? undefined : new OutputPrinter(this.#run, this.#line, this.#gate);
    const results = new RunResults(this.#run.client, this.#job, { keepOrder, printer, signal });
    const fetcher = this.#outputFetcher(signal);
    const tally = new Tally();
    const ended = this.#tallied(results, tally, fetcher);
    const shown = new AbortController();
    const progress = this.#showProgress(AbortSignal.any([signal, shown.signal]));
    try {
      if (json) await this.#run.output.rows(ended, []);
      else for await (const _task of ended);
      await fetcher?.end();
    } finally {
      shown.abort();
      await progress;
    }
    await this.#summary(tally, fetcher);
    return tally.count < this.#plan.total ? Math.max(tally.worst, EXIT.failed) : tally.worst;
  }

  async *#tallied(
    results: RunResults,
    tally: Tally,
    fetcher: OutputFetcher | undefined,
  ): AsyncGenerator<TaskResource> {
    for await (const task of results.ended()) {
      tally.add(task);
      if (task.executionInfo?.result === 'success') await fetcher?.add(task.id);
      yield task;
    }
  }

  #outputFetcher(signal: AbortSignal): OutputFetcher | undefined {
    const { out, flat } = this.#options;
    if (out === undefined) return undefined;
    const warn = async (text: string): Promise<void> => {
      this.#line.clear();
      await this.#run.note(text);
    };
    const container = this.#plan.outputContainer;
    return new OutputFetcher(this.#run.client, { container, directory: out, flat, signal, warn });
  }

  /** Its own failures are of no account: the results' own requests tell of them. */
  async #showProgress(signal: AbortSignal): Promise<void> {
    if (!this.#run.showsProgress) return;
    const rate = new RateMeter();
    const startedMs = performance.now();
    await quietly(async () => {
      for (;;) {
        const counts = await this.#run.client.jobs.taskCounts(this.#job, { signal });
        rate.note(performance.now(), counts.completed);
        const progress = taskProgress(this.#job, counts, rate);
        if (!this.#gate.isClosed) {
          this.#line.draw(() => renderTaskProgress(progress, this.#run.world.columns()));
        }
        await pause(Math.max(WAIT_POLL_MS_MAX / 4, pollDelayMs(performance.now() - startedMs)), signal);
      }
    });
  }

  async #summary(tally: Tally, fetcher: OutputFetcher | undefined): Promise<void> {
    this.#line.clear();
    const { total, outputContainer, wish } = this.#plan;
    if (tally.failed > 0) {
      await this.#run.note(
        `${tally.failed} of ${total} tasks failed; the worst exit code is ${tally.worst} (task ${tally.worstTask}). ` +
          `See: shoal task list ${wish.job} --failed`,
      );
    }
    if (tally.count < total)
      await this.#run.note(`The job was ended; ${total - tally.count} tasks never ran.`);
    if (!this.#run.world.stderrIsTerminal || wish.outputs.length === 0) return;
    await this.#run.note(
      fetcher === undefined
        ? `Outputs: shoal file get mesh://${outputContainer}/ DIR`
        : `${fetcher.files} output files are in ${this.#options.out}.`,
    );
  }

  // --- Interrupts -------------------------------------------------------------------------------------------------

  #interrupted(cause: InterruptCause): void {
    this.#cause = cause;
    const asks = cause === 'SIGINT' && this.#phase === 'watching' && this.#run.world.stderrIsTerminal;
    if (this.#decision !== undefined) this.#hurry.abort(new Exit(exitCodeOfInterrupt(cause)));
    else if (!asks || this.#gate.isClosed) this.#decide('cancel');
    else void this.#ask();
  }

  #decide(decision: 'detach' | 'cancel'): void {
    if (this.#decision !== undefined) return;
    this.#decision = decision;
    this.#stop.abort(new Exit(exitCodeOfInterrupt(this.#cause)));
    this.#gate.open();
  }

  async #ask(): Promise<void> {
    this.#gate.close();
    this.#line.clear();
    const { world } = this.#run;
    world.stderr.write('\n[d]etach and let it run, [c]ancel it, [r]esume? ');
    const key = await world.readKey().catch(() => undefined);
    world.stderr.write('\n');
    if (this.#decision !== undefined) return;
    if (key === 'd' || key === 'D') this.#decide('detach');
    else if (key === undefined || key === 'c' || key === 'C' || key === '\u0003') this.#decide('cancel');
    else this.#gate.open();
  }

  async #detached(): Promise<number> {
    const data = { job: this.#job, tasks: this.#plan.total };
    if (this.#run.output.format !== 'table') await this.#run.output.record(data, []);
    else await this.#run.output.text(`${this.#job}\n`);
    if (this.#run.world.stderrIsTerminal) await this.#run.note(`To wait for it: shoal job wait ${this.#job}`);
    return EXIT.ok;
  }

  /** Ends the job and waits until none of its processes is left. */
  async #cancelled(): Promise<number> {
    const code = exitCodeOfInterrupt(this.#cause);
    const { client } = this.#run;
    await client.jobs.terminate(this.#job, 'Cancelled', this.#briefly());
    const startedMs = performance.now();
    for (;;) {
      const { running } = await client.jobs.taskCounts(this.#job, this.#briefly());
      if (running === 0) break;
      if (performance.now() - startedMs > CANCEL_WAIT_MS || this.#hurry.signal.aborted) {
        await this.#run.note(`Job ${this.#job} is being ended; ${running} tasks still run.`);
        return code;
      }
      await pause(pollDelayMs(performance.now() - startedMs));
    }
    await this.#run.note(`Job ${this.#job} is cancelled.`);
    return code;
  }

  /** For what must still be done when the user has no patience any more. */
  #briefly(): { readonly signal: AbortSignal } {
    return { signal: AbortSignal.any([this.#hurry.signal, AbortSignal.timeout(CANCEL_WAIT_MS)]) };
  }
}

/** What the exit code and the summary are made of. */
class Tally {
  count = 0;
  failed = 0;
  worst: number = EXIT.ok;
  worstTask = '';

  add(task: TaskResource): void {
    this.count += 1;
    if (task.executionInfo?.result === 'failure') this.failed += 1;
    const code = exitCodeOfTask(task);
    if (code <= this.worst) return;
    this.worst = code;
    this.worstTask = task.id;
  }
}
