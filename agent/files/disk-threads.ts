/**
 * Threads that hash chunks, write and read them. To hash a GiB takes 0.6 s, to write it 0.5 s and more: on the main thread, or by
 * its many small calls, heartbeats and requests would wait for that. The bytes move to a thread and back without being copied.
 *
 * Started when there is work, and ended when there was none for a while: each has some 10 MB of its own.
 */
import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { DISK_THREAD_IDLE_MS, DISK_THREAD_JOBS_MAX, DISK_THREADS_MAX } from '../../src/lib/limits.ts';
import type { DiskResult } from './chunk-disk.ts';
import type { DiskAnswer, DiskJob } from './disk-jobs.ts';

interface Asked {
  readonly job: DiskJob;
  readonly resolve: (result: DiskResult) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  /** In the order in which they are answered. */
  readonly asked: Asked[];
}

/** Enough for buffers that pass through: the bytes themselves are not in V8's heap. */
const THREAD_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 };

export class DiskThreads {
  readonly #script: string;
  readonly #clock: Clock;
  readonly #threads: Thread[] = [];
  readonly #reads: Asked[] = [];
  readonly #writes: Asked[] = [];
  #readNext = false;
  #idle: Timer | undefined;
  #closed = false;

  /** `script`: path of the bundled disk-thread.ts. */
  constructor(script: string, clock: Clock) {
    this.#script = script;
    this.#clock = clock;
  }

  /**
   * The job's memory is the thread's from here on, and comes back with the result. Rejects with an error that has the
   * system's code, or with a `ShoalError` where the thread ended.
   */
  run(job: DiskJob): Promise<DiskResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ShoalError('ServerBusy', 'This agent stops.'));
      this.#idle?.cancel();
      this.#idle = undefined;
      const queue = job.kind === 'read' ? this.#reads : this.#writes;
      queue.push({ job, resolve, reject });
      this.#handOut();
    });
  }

  /** Makes the names in these directories durable. */
  async sync(directories: readonly string[]): Promise<void> {
    const share = Math.ceil(directories.length / DISK_THREADS_MAX);
    const jobs: Promise<DiskResult>[] = [];
    for (let at = 0; at < directories.length; at += share) {
      jobs.push(this.run({ kind: 'sync', directories: directories.slice(at, at + share) }));
    }
    await Promise.all(jobs);
  }

  /** Ends the threads wherever they are; what was asked of them fails. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#idle?.cancel();
    const asked = this.#threads.map((thread) => thread.asked);
    for (const queue of [this.#reads, this.#writes, ...asked]) {
      for (const { reject } of queue.splice(0)) reject(new ShoalError('ServerBusy', 'This agent stops.'));
    }
    await this.#endThreads();
  }

  #handOut(): void {
    while (this.#reads.length + this.#writes.length > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) return;
      const next = this.#takeNext();
      if (next === undefined) return;
      thread.asked.push(next);
      const memory = 'memory' in next.job ? next.job.memory : undefined;
      thread.worker.postMessage(next.job, memory === undefined ? [] : [memory]);
    }
  }

  /** Reads and writes take turns: who reads one chunk does not wait for all that transfers have to write. */
  #takeNext(): Asked | undefined {
    this.#readNext = !this.#readNext;
    const [first, second] = this.#readNext ? [this.#reads, this.#writes] : [this.#writes, this.#reads];
    return first.shift() ?? second.shift();
  }

  #freeThread(): Thread | undefined {
    const [least] = [...this.#threads].sort((a, b) => a.asked.length - b.asked.length);
    if (least !== undefined && least.asked.length < DISK_THREAD_JOBS_MAX) return least;
    return this.#threads.length < DISK_THREADS_MAX ? this.#start() : undefined;
  }

  #start(): Thread {
    const worker = new Worker(this.#script, { resourceLimits: THREAD_LIMITS, execArgv: [] });
    const thread: Thread = { worker, asked: [] };
    this.#threads.push(thread);
    // The agent's life does not hang on it.
    worker.unref();
    worker.on('message', (answer: DiskAnswer) => this.#onAnswer(thread, answer));
    worker.on('error', (cause) => this.#onEnded(thread, cause));
    worker.on('exit', () => this.#onEnded(thread));
    return thread;
  }

  #onAnswer(thread: Thread, answer: DiskAnswer): void {
    const asked = thread.asked.shift();
    this.#handOut();
    if (this.#isIdle()) {
      this.#idle?.cancel();
      this.#idle = this.#clock.after(DISK_THREAD_IDLE_MS, () => void this.#endThreads());
    }
    if (answer.kind === 'done') asked?.resolve(answer.result);
    else asked?.reject(Object.assign(new Error(answer.message), { code: answer.code }));
  }

  #isIdle(): boolean {
    return !this.#closed && this.#threads.every(({ asked }) => asked.length === 0);
  }

  async #endThreads(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  #onEnded(thread: Thread, cause?: unknown): void {
    const place = this.#threads.indexOf(thread);
    if (place >= 0) this.#threads.splice(place, 1);
    const error = new ShoalError('InternalError', 'A disk thread ended.', {}, { cause });
    for (const { reject } of thread.asked.splice(0)) reject(error);
    if (!this.#closed) this.#handOut();
  }
}
