/**
 * Runs seeded worlds of the whole control plane, on all cores: `--seed N` prints what happened in one, `--seeds A..B`
 * and `--minutes M` say which fail, and with which faults at least. `--faults partition,slowDisk` takes these in place of
 * the seeds' own draws, `--script` exactly the faults written there (JSON, or the name of a file). `--planted` spoils the
 * code in one way after another and says which world shows it; more words choose bugs by their names. `--scale` says what
 * a mesh costs as it grows; words `machines/pools/tasks` choose sizes, and `--output json` tells more.
 */
import '../../src/lib/polyfill.ts';
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  FAULT_KINDS,
  type FaultKind,
  type FaultScript,
  parseScript,
} from '../../test/sim/world/fault-script.ts';
import { runSeed } from '../../test/sim/world/simulation.ts';
import { huntPlanted } from './planted.ts';
import { printScale } from './scale.ts';
import { runWorlds } from './worlds.ts';

const USAGE =
  'usage: sim --seed N | --seeds A..B | --minutes M [--seeds A..B] [--faults kind,kind] [--script FILE|JSON] | --planted [word …] | --scale [machines/pools/tasks …] [--output table|json]';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    faults: { type: 'string' },
    script: { type: 'string' },
    planted: { type: 'boolean' },
    scale: { type: 'boolean' },
    output: { type: 'string' },
  },
});
const choice = {
  ...(values.faults === undefined ? {} : { faults: kindsOf(values.faults) }),
  ...(values.script === undefined ? {} : { script: scriptOf(values.script) }),
};
if (values.planted) process.exitCode = (await huntPlanted(positionals)) ? 0 : 1;
else if (values.scale) {
  const output = values.output === 'json' ? 'json' : 'table';
  await printScale({ sizes: positionals, output, program: process.argv[1] ?? '' });
} else if (values.seed !== undefined) await runOne(wholeNumber(values.seed));
else {
  const [first, last] = rangeOf(values.seeds);
  const untilMs =
    values.minutes === undefined ? undefined : performance.now() + wholeNumber(values.minutes) * 60_000;
  const { failed } = await runWorlds({
    first,
    last,
    untilMs,
    choice,
    say: (line) => process.stdout.write(`${line}\n`),
  });
  process.exitCode = failed > 0 ? 1 : 0;
}

async function runOne(seed: number): Promise<void> {
  const { failure, virtualMs, events, tasksAccepted, processesStarted, digest } = await runSeed({
    ...choice,
    seed,
    onLine: (line) => process.stdout.write(`${line}\n`),
  });
  process.stdout.write(
    `seed ${seed}: ${(virtualMs / 1000).toFixed(1)} s, ${events} events, ${tasksAccepted} tasks, ` +
      `${processesStarted} processes, course ${digest.toString(16)}\n`,
  );
  if (failure === undefined) return;
  process.stdout.write(`FAILED ${failure.stack ?? failure.message}\n`);
  process.exitCode = 1;
}

function kindsOf(text: string): readonly FaultKind[] {
  return text.split(',').map((word) => {
    const kind = FAULT_KINDS.find((known) => known === word);
    if (kind === undefined)
      throw new Error(`No fault is called ${word}; there are ${FAULT_KINDS.join(', ')}.`);
    return kind;
  });
}

function scriptOf(text: string): FaultScript {
  return parseScript(existsSync(text) ? readFileSync(text, 'utf8') : text);
}

function rangeOf(text: string | undefined): [number, number] {
  if (text === undefined) return values.minutes === undefined ? [1, 100] : [1, Number.MAX_SAFE_INTEGER];
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  if (match === null) throw new Error(USAGE);
  return [Number(match[1]), Number(match[2])];
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(USAGE);
  return Number(text);
}
