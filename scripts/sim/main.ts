/**
 * Runs seeded worlds of the whole control plane: `--seed N` prints what happened in one, `--seeds A..B` says which fail.
 * `--faults partition,slowDisk` takes these in place of the seeds' own draws. `--planted` spoils the code in one way after
 * another and says which world shows it; more words choose bugs by their names.
 */
import '../../src/lib/polyfill.ts';
import { parseArgs } from 'node:util';
import { FAULT_KINDS } from '../../test/sim/world/faults.ts';
import { type RunResult, runSeed } from '../../test/sim/world/simulation.ts';
import { huntPlanted } from './planted.ts';

const USAGE = 'usage: sim --seed N | --seeds A..B [--faults kind,kind] | --planted [word …]';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    faults: { type: 'string' },
    planted: { type: 'boolean' },
  },
});
const chosen = values.faults?.split(',');
const options = chosen === undefined ? {} : { faults: FAULT_KINDS.filter((kind) => chosen.includes(kind)) };
if (values.planted) process.exitCode = (await huntPlanted(positionals)) ? 0 : 1;
else if (values.seed !== undefined) await runOne(Number(values.seed));
else await runMany(...rangeOf(values.seeds ?? '1..100'));

async function runOne(seed: number): Promise<void> {
  const result = await runSeed({ ...options, seed, onLine: (line) => process.stdout.write(`${line}\n`) });
  process.stdout.write(`${summaryOf(result)}\n`);
  if (result.failure === undefined) return;
  process.stdout.write(`${result.failure.stack ?? result.failure.message}\n`);
  process.exitCode = 1;
}

async function runMany(first: number, last: number): Promise<void> {
  const startedMs = performance.now();
  let failed = 0;
  for (let seed = first; seed <= last; seed++) {
    const result = await runSeed({ ...options, seed });
    if (result.failure === undefined) continue;
    failed += 1;
    process.stdout.write(`${summaryOf(result)}\n`);
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`${last - first + 1} seeds, ${failed} failed, ${seconds} s\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}

function summaryOf({
  seed,
  failure,
  faults,
  virtualMs,
  events,
  tasksAccepted,
  processesStarted,
}: RunResult): string {
  const verdict = failure === undefined ? 'held' : `FAILED ${failure.message.split('\n')[0]}`;
  const figures = `${(virtualMs / 1000).toFixed(1)} s, ${events} events, ${tasksAccepted} tasks, ${processesStarted} processes`;
  return `seed ${seed} [${faults.join(' ')}] ${figures}: ${verdict}`;
}

function rangeOf(text: string): [number, number] {
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  if (match === null) throw new Error(USAGE);
  return [Number(match[1]), Number(match[2])];
}
