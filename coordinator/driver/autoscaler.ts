/**
 * Evaluates the formula of a pool on the leader of the pool's group, which knows its tasks and nodes, and has the mesh
 * group record the run and set the targets. It waits for the next run with one timer and costs nothing in between; a
 * pool that asks for it is evaluated also when what is counted of it changed.
 */
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { AUTOSCALE_ON_CHANGE_GAP_MS, AUTOSCALE_RETRY_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Prng } from '../../src/lib/prng.ts';
import type {
  AutoScaleEvaluation,
  AutoScaleRun,
  AutoScaleSettings,
  AutoScaleTargets,
} from '../../src/model/autoscale.ts';
import type { MeshCommand, Outcome } from '../../src/model/commands.ts';
import type { PoolMachine } from '../core/pool/machine.ts';

/** What the mesh group has of a pool that is sized by a formula, as this machine's replica knows it. */
export interface AutoScaleView {
  readonly pool: string;
  readonly settings: AutoScaleSettings;
  readonly run: AutoScaleRun | undefined;
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
  /** The mesh group's time. */
  readonly meshMs: number;
}

export interface AutoscalerOptions {
  readonly machine: PoolMachine;
  /** The pool group's own time. */
  readonly groupMs: () => number;
  readonly clock: Clock;
  readonly random: Prng;
  readonly log: Log;
  /** Undefined where the pool is not sized by a formula. */
  readonly view: () => AutoScaleView | undefined;
  readonly proposeToMesh: (command: MeshCommand) => Promise<Outcome<unknown>>;
}

export class Autoscaler {
  readonly #options: AutoscalerOptions;
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined;
  #recording = false;
  #stopped = false;
  /** Settings and run that were recorded, until this machine's replica of the mesh group shows the next. */
  #recorded = '';
  /** When the run after the last one is due, ms of the monotonic clock. */
  #schedule: { readonly last: string; readonly dueAtMs: number } | undefined;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #evaluatedAtMs = Number.NEGATIVE_INFINITY;
  /** Something of the pool moved since its counts were last looked at. */
  #moved = true;
  #evaluatedCounts = '';

  constructor(options: AutoscalerOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.timer.cancel();
  }

  /** An entry of the pool's group was applied. */
  poolMoved(): void {
    this.#moved = true;
    this.wake();
  }

  /** Settings, targets or time may differ. */
  wake(): void {
    if (this.#stopped || this.#recording) return;
    const view = this.#options.view();
    if (view === undefined || this.#recorded === nameOfRun(view)) return;
    const waitMs = this.#waitMs(view);
    if (waitMs > 0) this.#wakeIn(waitMs);
    else this.#evaluate(view);
  }

  #waitMs(view: AutoScaleView): number {
    const nowMs = this.#options.clock.monotonicMs();
    const retryMs = this.#retryAtMs - nowMs;
    return Math.max(retryMs, Math.min(this.#scheduledMs(view), this.#onChangeMs(view)));
  }

  /**
   * The first run of new settings is due at once. From then on the interval is counted from when this machine saw the
   * last run: clocks of machines may differ by more than an interval. Only a new coordinator has nothing but the clock
   * to tell how much of it is over.
   */
  #scheduledMs(view: AutoScaleView): number {
    const { settings, run, meshMs } = view;
    const nowMs = this.#options.clock.monotonicMs();
    const last = nameOfRun(view);
    if (settings.runs === 0 || run === undefined) {
      this.#schedule = { last, dueAtMs: nowMs };
      return 0;
    }
    if (this.#schedule?.last !== last) {
      const { intervalMs } = settings;
      const byClockMs = run.timestampMs + intervalMs - this.#nowMs(meshMs);
      const leftMs = this.#schedule === undefined ? Math.min(intervalMs, Math.max(0, byClockMs)) : intervalMs;
      this.#schedule = { last, dueAtMs: nowMs + leftMs };
    }
    return this.#schedule.dueAtMs - nowMs;
  }

  #onChangeMs({ settings }: AutoScaleView): number {
    if (!settings.onChange || !this.#moved) return Number.POSITIVE_INFINITY;
    const gapMs = this.#evaluatedAtMs + AUTOSCALE_ON_CHANGE_GAP_MS - this.#options.clock.monotonicMs();
    if (gapMs > 0) return gapMs;
    this.#moved = false;
    return this.#counts() === this.#evaluatedCounts ? Number.POSITIVE_INFINITY : 0;
  }

  #evaluate(view: AutoScaleView): void {
    const { machine, random, clock } = this.#options;
    this.#evaluatedAtMs = clock.monotonicMs();
    this.#evaluatedCounts = this.#counts();
    this.#moved = false;
    const scheduled = this.#scheduledMs(view) <= 0;
    const evaluation = machine.evaluateAutoScale({
      formula: view.settings.formula,
      nowMs: Math.floor(this.#nowMs(view.meshMs)),
      seed: random.int(0, 0x7fff_ffff),
      targetDedicatedNodes: view.targetDedicatedNodes,
      targetLowPriorityNodes: view.targetLowPriorityNodes,
    });
    // What an evaluation between two scheduled ones finds as it was is not worth an entry in the mesh group's log.
    if (scheduled || isNews(evaluation, view)) this.#record(view, evaluation);
    else this.#wakeIn(this.#scheduledMs(view));
  }

  #record(view: AutoScaleView, { targets, results, error }: AutoScaleEvaluation): void {
    const { log, clock, proposeToMesh } = this.#options;
    const { pool, settings } = view;
    const { version, runs } = settings;
    if (error !== undefined) log.info({ pool, error }, 'the formula of a pool could not be evaluated');
    this.#recording = true;
    const after = (): void => {
      this.#recording = false;
      this.wake();
    };
    proposeToMesh({
      kind: 'pool.autoScaled',
      pool,
      version,
      run: runs,
      results,
      ...(error === undefined ? { targets } : { error }),
      ...(error === undefined && shrinks(targets, view) && { idleNodes: this.#options.machine.idleNodes() }),
    }).then(
      () => {
        // Taken, or refused because another run or other settings came first: the next is judged by what the replica then shows.
        this.#recorded = nameOfRun(view);
        after();
      },
      (thrown: unknown) => {
        log.debug(
          { pool, error: asShoalError(thrown).message },
          'a run of automatic scaling was not recorded',
        );
        this.#retryAtMs = clock.monotonicMs() + AUTOSCALE_RETRY_MS;
        after();
      },
    );
  }

  #wakeIn(waitMs: number): void {
    if (!Number.isFinite(waitMs)) return;
    const { clock } = this.#options;
    const atMs = Math.ceil(clock.monotonicMs() + waitMs);
    if (this.#timer?.atMs === atMs) return;
    this.#timer?.timer.cancel();
    const timer = clock.after(Math.max(0, waitMs), () => {
      this.#timer = undefined;
      this.wake();
    });
    this.#timer = { atMs, timer };
  }

  #counts(): string {
    return this.#options.machine.metrics().join();
  }

  #nowMs(meshMs: number): number {
    return Math.max(this.#options.groupMs(), meshMs);
  }
}

function nameOfRun({ settings }: AutoScaleView): string {
  return `${settings.version}/${settings.runs}`;
}

function shrinks(targets: AutoScaleTargets, view: AutoScaleView): boolean {
  return (
    targets.targetDedicatedNodes < view.targetDedicatedNodes ||
    targets.targetLowPriorityNodes < view.targetLowPriorityNodes
  );
}

function isNews({ targets, error }: AutoScaleEvaluation, view: AutoScaleView): boolean {
  return (
    error !== view.run?.error ||
    targets.targetDedicatedNodes !== view.targetDedicatedNodes ||
    targets.targetLowPriorityNodes !== view.targetLowPriorityNodes
  );
}
