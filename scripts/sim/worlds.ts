/** Many worlds on all cores: each worker takes the next seeds when it has done with the last ones. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { compileLess } from '../../src/lib/compile-less.ts';
import type { FaultKind, FaultScript } from '../../test/sim/world/fault-script.ts';
import type { Batch, BatchResult } from './worker.ts';

const SEEDS_A_BATCH = 10;
const YOUNG_GENERATION_MB = 64;

export interface WorldsOptions {
  readonly first: number;
  readonly last: number;
  /** Of `performance.now()`; no world begins after it. */
  readonly untilMs: number | undefined;
  readonly choice: { readonly faults?: readonly FaultKind[]; readonly script?: FaultScript };
  readonly say: (line: string) => void;
  /** Default: the one beside the bundle that holds this. */
  readonly worker?: URL;
}

export async function runWorlds(
  options: WorldsOptions,
): Promise<{ readonly failed: number; readonly tasks: number }> {
  const { first, last, untilMs, choice, say } = options;
  const startedMs = performance.now();
  compileLess();
  const totals = { worlds: 0, failed: 0, tasks: 0 };
  const startedCpuMs = cpuMs();
  let next = first;
  const isOver = (): boolean => next > last || (untilMs !== undefined && performance.now() > untilMs);
  const workers = Math.min(availableParallelism(), Math.ceil((last - first + 1) / SEEDS_A_BATCH));
  const work = async (): Promise<void> => {
    const worker = new Worker(options.worker ?? workerUrl(), {
      workerData: choice,
      // A world makes much garbage that dies young.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    try {
      while (!isOver()) {
        const batch: Batch = { first: next, last: Math.min(last, next + SEEDS_A_BATCH - 1) };
        next = batch.last + 1;
        const result = await ask(worker, batch);
        totals.worlds += batch.last - batch.first + 1;
        totals.failed += result.failures.length;
        totals.tasks += result.tasks;
        for (const failure of result.failures) say(failure);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  const seconds = (performance.now() - startedMs) / 1000;
  say(
    `${totals.worlds} worlds, ${totals.failed} failed, ${seconds.toFixed(1)} s: ` +
      `${perMinute(totals.worlds, seconds)} worlds a minute with ${workers} workers, ` +
      `${perMinute(totals.worlds, (cpuMs() - startedCpuMs) / 1000)} in a minute of one core`,
  );
  return totals;
}

/** Of all workers, their start and their shrinking included. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function perMinute(worlds: number, seconds: number): number {
  return Math.round((worlds * 60) / seconds);
}

function ask(worker: Worker, batch: Batch): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    worker.once('message', (result: BatchResult) => {
      worker.off('error', reject);
      resolve(result);
    });
    worker.once('error', reject);
    worker.postMessage(batch);
  });
}

/** The bundler puts this file's text into sim.js and the worker beside it; its parts lie one directory below. */
function workerUrl(): URL {
  return new URL(
    import.meta.url.includes('/parts/') ? '../sim-worker.js' : './sim-worker.js',
    import.meta.url,
  );
}
