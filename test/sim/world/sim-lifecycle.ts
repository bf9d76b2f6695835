/** What happens around a simulated process: its inputs take their time, and its end reads as the real agent reads it. */
import { Readable } from 'node:stream';
import type { FileService } from '../../../agent/files/interface.ts';
import { bringInputs, type InputDirectory } from '../../../agent/lifecycle/inputs.ts';
import type { Assigned, Lifecycle, Prepared } from '../../../agent/lifecycle/interface.ts';
import { endingOf, inputFailure, uploadFailure } from '../../../agent/lifecycle/outcomes.ts';
import { Reach } from '../../../agent/lifecycle/reach.ts';
import { executionName } from '../../../agent/runner/execution-key.ts';
import type { Exit } from '../../../agent/runner/interface.ts';
import { wallClockLimitMs } from '../../../agent/runner/wall-clock.ts';
import type { Clock } from '../../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../../src/lib/errors.ts';
import { COORDINATION_POLL_MS } from '../../../src/lib/limits.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { TaskOutcome } from '../../../src/model/task.ts';
import { OUTPUTS, outputOf } from './file-contents.ts';
import { scriptOf } from './task-script.ts';

const COLLECT_MS_MAX = 3;

/** Files by their paths in a task's directory. */
export type Inputs = Map<string, Uint8Array>;

/** What tasks get and leave; none of it in worlds without files. */
interface LifecycleFiles {
  readonly service: FileService;
  /** What was brought, by the names of executions. */
  readonly inputs: Map<string, Inputs>;
}

export interface SimLifecycleOptions {
  /** Executions of subtasks whose coordination command has succeeded, by their names. */
  readonly coordinated?: ReadonlySet<string>;
  readonly files?: LifecycleFiles;
}

export class SimLifecycle implements Lifecycle {
  readonly #clock: Clock;
  readonly #random: Prng;
  readonly #files: LifecycleFiles | undefined;
  readonly #coordinated: ReadonlySet<string>;

  constructor(clock: Clock, random: Prng, { files, coordinated = new Set() }: SimLifecycleOptions = {}) {
    this.#clock = clock;
    this.#random = random;
    this.#files = files;
    this.#coordinated = coordinated;
  }

  async prepare(assigned: Assigned, signal: AbortSignal): Promise<Prepared> {
    const { pool, node, job, task, epoch, spec } = assigned;
    const { role } = spec;
    if (role === 'reboot' || role === 'reimage') return this.#restarted();
    const script = scriptOf(spec.commandLine);
    if (script.prepareMs > 0) await this.#pause(script.prepareMs, signal);
    if (signal.aborted) throw new ShoalError('OperationTimedOut', 'The preparation was ended.');
    const key = { pool, job: job.number, task, epoch };
    const failed = await this.#bringInputs(assigned, executionName(key), signal);
    if (failed !== undefined) return { ok: false, outcome: failed };
    const launch = {
      key,
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
        GANG: spec.gang === undefined ? '' : JSON.stringify(spec.gang),
        INPUTS: JSON.stringify(spec.resourceFiles ?? []),
        PREPARED: role === undefined && job.preparation !== undefined ? 'yes' : '',
      },
      taskDirectory: '/simulated',
      workingDirectory: '/simulated/wd',
      wallClockMsMax: wallClockLimitMs(spec.constraints),
      outputBytesMax: 0,
    };
    return { ok: true, launch };
  }

  async #restarted(): Promise<Prepared> {
    await this.#pause(this.#random.next() * COLLECT_MS_MAX);
    const endedAtMs = this.#clock.wallMs();
    return { ok: false, outcome: { kind: 'exited', exitCode: 0, endedAtMs, files: [] } };
  }

  /** By the agent's own code, into a directory in memory. */
  async #bringInputs(
    { spec: { resourceFiles = [] } }: Assigned,
    name: string,
    signal: AbortSignal,
  ): Promise<TaskOutcome | undefined> {
    if (this.#files === undefined || resourceFiles.length === 0) return undefined;
    const { service, inputs } = this.#files;
    const brought: Inputs = new Map();
    inputs.set(name, brought);
    try {
      const sources = { files: service, reach: new Reach(), owner: undefined };
      await bringInputs(sources, resourceFiles, directoryInMemory(brought), signal);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const coded = asShoalError(error);
      return inputFailure(this.#clock.wallMs(), coded, coded.values.source ?? '');
    }
  }

  async finish(assigned: Assigned, exit: Exit): Promise<TaskOutcome> {
    await this.#pause(this.#random.next() * COLLECT_MS_MAX);
    const ending = endingOf(exit);
    const isOver = ending.kind !== 'lost' && ending.kind !== 'killed' && exit.startedAtMs !== undefined;
    if (!isOver || assigned.spec.outputFiles === undefined) return { ...ending, files: [] };
    try {
      return { ...ending, files: [await this.#storeOutput(assigned)] };
    } catch (error) {
      const failure = uploadFailure(asShoalError(error));
      return ending.failure === undefined
        ? { ...ending, kind: 'fileUploadError', failure, files: [] }
        : { ...ending, files: [] };
    }
  }

  async #storeOutput({ pool, job, task, epoch, spec }: Assigned): Promise<TaskOutcome['files'][number]> {
    if (this.#files === undefined) throw new Error('a world without files has a task with outputs');
    const { service } = this.#files;
    const name = `${job.id}/${spec.id}`;
    const content = await service.ingest(Readable.from([outputOf(name, epoch)], { objectMode: false }));
    const origin = { pool, job: job.number, task, epoch };
    await service.publish(OUTPUTS, [{ name, content, origin }]);
    return { path: 'wd/output', ...content };
  }

  async discard(): Promise<void> {}

  async coordinated({ pool, job, task, epoch }: Assigned, signal: AbortSignal): Promise<boolean> {
    const name = executionName({ pool, job: job.number, task, epoch });
    while (!signal.aborted) {
      if (this.#coordinated.has(name)) return true;
      await this.#pause(COORDINATION_POLL_MS);
    }
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

function directoryInMemory(files: Inputs): InputDirectory {
  return {
    createFile: async (path) => {
      files.set(path, new Uint8Array());
      return {
        truncate: async () => void files.set(path, new Uint8Array()),
        write: async (bytes, offset, lengthBytes, position) => {
          const before = files.get(path) ?? new Uint8Array();
          const after = new Uint8Array(Math.max(before.length, position + lengthBytes));
          after.set(before);
          after.set(bytes.subarray(offset, offset + lengthBytes), position);
          files.set(path, after);
          return { bytesWritten: lengthBytes };
        },
        chmod: async () => undefined,
        chown: async () => undefined,
        close: async () => undefined,
      };
    },
  };
}
