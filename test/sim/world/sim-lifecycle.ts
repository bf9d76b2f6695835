/** What happens around a simulated process: its inputs take their time, and its end reads as the real agent reads it. */
import type { Assigned, Lifecycle, Prepared } from '../../../agent/lifecycle/interface.ts';
import { endingOf } from '../../../agent/lifecycle/outcomes.ts';
import type { Exit } from '../../../agent/runner/interface.ts';
import type { Clock } from '../../../src/lib/clock.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { TaskOutcome } from '../../../src/model/task.ts';
import { scriptOf } from './task-script.ts';

const COLLECT_MS_MAX = 3;

export class SimLifecycle implements Lifecycle {
  readonly #clock: Clock;
  readonly #random: Prng;

  constructor(clock: Clock, random: Prng) {
    this.#clock = clock;
    this.#random = random;
  }

  async prepare(assigned: Assigned, signal: AbortSignal): Promise<Prepared> {
    const { pool, node, job, task, epoch, spec } = assigned;
    const { role } = spec;
    if (role === 'reboot' || role === 'reimage') return this.#restarted();
    const script = scriptOf(spec.commandLine);
    if (script.prepareMs > 0) await this.#pause(script.prepareMs, signal);
    if (signal.aborted) throw new ShoalError('OperationTimedOut', 'The preparation was ended.');
    const launch = {
      key: { pool, job: job.number, task, epoch },
      node,
      lease: pool,
      slots: role === undefined ? (spec.requiredSlots ?? 1) : 0,
      priority: role === undefined ? job.priority : 1_001,
      argv: spec.commandLine.split(' '),
      environment: {
        JOB: job.id,
        TASK: role === undefined ? spec.id : `${role}@${node}`,
        AFTER: (spec.dependsOn?.taskIds ?? []).join(' '),
        ROLE: role ?? '',
        PREPARED: role === undefined && job.preparation !== undefined ? 'yes' : '',
      },
      taskDirectory: '/simulated',
      workingDirectory: '/simulated/wd',
      wallClockMsMax: undefined,
      outputBytesMax: 0,
    };
    return { ok: true, launch };
  }

  async #restarted(): Promise<Prepared> {
    await this.#pause(this.#random.next() * COLLECT_MS_MAX);
    const endedAtMs = this.#clock.wallMs();
    return { ok: false, outcome: { kind: 'exited', exitCode: 0, endedAtMs, files: [] } };
  }

  async finish(_assigned: Assigned, exit: Exit): Promise<TaskOutcome> {
    await this.#pause(this.#random.next() * COLLECT_MS_MAX);
    return { ...endingOf(exit), files: [] };
  }

  async discard(): Promise<void> {}

  /** No world has tasks of several instances. */
  async coordinated(): Promise<boolean> {
    return false;
  }

  #pause(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#clock.after(delayMs, resolve);
      signal?.addEventListener('abort', () =>
        reject(new ShoalError('OperationTimedOut', 'The preparation was ended.')),
      );
    });
  }
}
