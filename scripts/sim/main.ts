/**
 * Runs seeded worlds of the whole control plane, on all cores: `--seed N` prints what happened in one, `--seeds A..B`
 * and `--minutes M` say which fail, and with which faults at least. `--faults partition,slowDisk` takes these in place of
 * the seeds' own draws, `--script` exactly the faults written there (JSON, or the name of a file). `--planted` spoils the
 * code in one way after another and says which world shows it; more words choose bugs by their names. `--scale` says what
 * a mesh costs as it grows; words `machines/pools/tasks` choose sizes, and `--output json` tells more.
 */
import '../../src/lib/polyfill.ts';
import { existsSync, readFileSync } from 'node:fs';
import {
  FAULT_KINDS,
  type FaultKind,
  type FaultScript,
  parseScript,
} from '../../test/sim/world/fault-script.ts';
import { runSeed } from '../../test/sim/world/simulation.ts';
import { flagsOf, misused, wholeNumber } from '../flags.ts';
import { huntPlanted } from './planted.ts';
import { printScale } from './scale.ts';
import { runWorlds } from './worlds.ts';

const USAGE = `usage: npm run sim -- [option …]

Runs seeded worlds of the whole control plane on all cores.

  --seed N           tell the story of one world
  --seeds A..B       run these worlds, and say which fail with how few faults (default 1..100)
  --minutes M        go on so long
  --faults a,b       with these faults, in place of what each seed draws:
                     ${FAULT_KINDS.join(', ').replace(/(.{60}\S*) /g, '$1\n                     ')}
  --script FILE|JSON with exactly these faults
  --planted [word …] find the bugs that are planted on purpose, or those with such names
  --scale [M/P/T …]  what a mesh of M machines, P pools and T tasks costs
  --output table|json

  npm run sim -- --seed 7
  npm run sim -- --seeds 1..500 --faults partition,losePower
  npm run sim -- --scale 1000/20/100000`;

const { values, positionals } = flagsOf(USAGE, {
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
// Whoever reads a story may have read enough.
process.stdout.on('error', () => process.exit());
const choice = {
  ...(values.faults === undefined ? {} : { faults: kindsOf(values.faults) }),
  ...(values.script === undefined ? {} : { script: scriptOf(values.script) }),
};
if (values.planted) process.exitCode = (await huntPlanted(positionals)) ? 0 : 1;
else if (values.scale) {
  const output = values.output === 'json' ? 'json' : 'table';
  await printScale({ sizes: positionals, output, program: process.argv[1] ?? '' });
} else if (values.seed !== undefined) await runOne(wholeNumber(USAGE, 'seed', values.seed));
else {
  const [first, last] = rangeOf(values.seeds);
  const untilMs =
    values.minutes === undefined
      ? undefined
      : performance.now() + wholeNumber(USAGE, 'minutes', values.minutes) * 60_000;
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
    if (kind === undefined) misused(USAGE, `No fault is called '${word}'.`);
    return kind;
  });
}

function scriptOf(text: string): FaultScript {
  return parseScript(existsSync(text) ? readFileSync(text, 'utf8') : text);
}

function rangeOf(text: string | undefined): [number, number] {
  if (text === undefined) return values.minutes === undefined ? [1, 100] : [1, Number.MAX_SAFE_INTEGER];
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  if (match === null) misused(USAGE, `--seeds takes the first and the last, as 1..100, not '${text}'.`);
  return [Number(match[1]), Number(match[2])];
}
