/** One core's share of many worlds. What fails is shrunk here and comes back as text. */
import '../../src/lib/polyfill.ts';
import { parentPort, workerData } from 'node:worker_threads';
import { type FaultKind, type FaultScript, printScript } from '../../test/sim/world/fault-script.ts';
import { shrink } from '../../test/sim/world/shrink.ts';
import { type RunOptions, type RunResult, runSeed } from '../../test/sim/world/simulation.ts';

export interface Batch {
  readonly first: number;
  readonly last: number;
}

export interface BatchResult {
  readonly failures: readonly string[];
  /** Accepted in all these worlds. */
  readonly tasks: number;
}

const SHRINK = { worldsMax: 80, ms: 20_000 } as const;
const LAST_LINES = 12;

// Refusals are errors too, and their stacks cost a world more than what they say.
Error.stackTraceLimit = 0;

const choice = workerData as { readonly faults?: readonly FaultKind[]; readonly script?: FaultScript };

parentPort?.on('message', (batch: Batch) => {
  void runBatch(batch).then((result) => parentPort?.postMessage(result));
});

async function runBatch({ first, last }: Batch): Promise<BatchResult> {
  const failures: string[] = [];
  let tasks = 0;
  for (let seed = first; seed <= last; seed++) {
    const options: RunOptions = { ...choice, seed, keepTimeline: false };
    const result = await runSeed(options);
    tasks += result.tasksAccepted;
    if (result.failure !== undefined) failures.push(await reportOf(result, options));
  }
  return { failures, tasks };
}

async function reportOf(result: RunResult, options: RunOptions): Promise<string> {
  const nowMs = (): number => performance.now();
  const bounds = { worldsMax: SHRINK.worldsMax, untilMs: nowMs() + SHRINK.ms, nowMs };
  const least = await shrink(result, options, bounds);
  const again = least === result ? await runSeed({ ...options, keepTimeline: true }) : least;
  return [
    `seed ${result.seed} FAILED ${result.failure?.message}`,
    ` fails with ${least.script.length} of ${result.script.length} faults: ${least.failure?.message.split('\n')[0]}`,
    printScript(least.script),
    ...again.timeline.slice(-LAST_LINES).map((line) => `    ${line}`),
  ].join('\n');
}
