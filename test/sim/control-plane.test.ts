import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runWorlds } from '../../scripts/sim/worlds.ts';
import { parseScript } from './world/fault-script.ts';
import type { Habit } from './world/habits.ts';
import { LONG } from './world/profile.ts';
import { minimise } from './world/shrink.ts';
import { type RunOptions, type RunResult, runSeed } from './world/simulation.ts';

const SEEDS = Number(process.env.SIM_SEEDS ?? 200);
const FIRST_SEED = Number(process.env.SIM_SEED ?? 1);
const TIMELINE_LINES = 60;
const LONG_SEEDS = 3;
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Throws with the seed and what happened last where a world broke a promise. */
async function hold(options: RunOptions): Promise<RunResult> {
  const result = await runSeed(options);
  const { failure, seed, faults, timeline } = result;
  if (failure === undefined) return result;
  const course = timeline.slice(-TIMELINE_LINES).join('\n');
  throw new Error(`seed ${seed} [${faults.join(',')}]: ${failure.message}\n${course}`, { cause: failure });
}

describe('a mesh under faults', () => {
  let directory = '';

  // Bundled, a world runs as fast as in `npm run sim`.
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'shoal-sim-'));
    await build({
      absWorkingDir: root,
      entryPoints: ['scripts/sim/worker.ts'],
      outfile: join(directory, 'worker.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['msgpackr-extract'],
      banner: {
        js: "import { createRequire as shoalCreateRequire } from 'node:module'; const require = shoalCreateRequire(import.meta.url);",
      },
    });
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test(
    `keeps its promises in ${SEEDS} worlds, and finishes everything once the faults stop`,
    async () => {
      const said: string[] = [];
      const { failed, tasks } = await runWorlds({
        first: FIRST_SEED,
        last: FIRST_SEED + SEEDS - 1,
        untilMs: undefined,
        choice: {},
        say: (line) => said.push(line),
        worker: pathToFileURL(join(directory, 'worker.mjs')),
      });
      expect(failed, said.join('\n')).toBe(0);
      // Worlds in which nothing runs prove nothing.
      expect(tasks / SEEDS).toBeGreaterThan(100);
    },
    SEEDS * 2_000 + 20_000,
  );

  // Each with what its clients did then, for seeds draw more as worlds come to know more.
  test.each([
    [
      'a machine whose disk was full when it joined comes to work',
      40,
      'dependencies nodeTasks endJobs deletePool contendForTokens contendForObjects lists gangs',
      '[{"kind":"fillDisk","atMs":149,"forMs":682,"machines":[2,1],"amount":0.6676}]',
    ],
    [
      'a task that was being prepared when its machine fell asleep does not begin when that wakes up',
      140,
      'nodeTasks contendForTokens',
      '[{"kind":"suspend","atMs":1478,"forMs":6209,"machines":[4,1],"amount":0.8606602984946221}]',
    ],
    [
      'a machine that finds only after its disk has room again that a write failed begins anew',
      6182,
      'nodeTasks endTasks endJobs contendForTokens contendForObjects files schedules comeLate',
      '[{"kind":"fillDisk","atMs":2071,"forMs":639,"machines":[4,2],"amount":0.5227542200591415}]',
    ],
    [
      'the machine that founded the mesh comes back with an empty store',
      1,
      'endJobs interruptJobs secondPool joinLate contendForTokens contendForObjects lists files schedules',
      '[{"kind":"wipeDisk","atMs":3000,"forMs":600,"machines":[0,1],"amount":0.5}]',
    ],
    [
      'a machine whose disk fills while a snapshot comes in begins anew with room',
      5584,
      'removeMachine joinLate secondPool',
      undefined,
    ],
  ] as const)('%s (seed %i)', async (_claim, seed, habits, script) => {
    await hold({
      seed,
      habits: habits.split(' ') as Habit[],
      ...(script === undefined ? {} : { script: parseScript(script) }),
    });
  });

  test('keeps what was stored through faults, and collects what nothing refers to', async () => {
    for (let seed = 1; seed <= LONG_SEEDS; seed++)
      await hold({ seed, habits: ['files'], profile: LONG, keepTimeline: false });
  }, 120_000);

  test.each([
    ['', { seed: 7 }],
    [' with files', { seed: 7, habits: ['files'] }],
  ] as const)('takes the same course for the same seed%s, whatever is kept of it', async (_, options) => {
    const [one, other] = [await runSeed(options), await runSeed(options)];
    expect(other.timeline).toEqual(one.timeline);
    expect(other.digest).toBe(one.digest);
    const unseen = await runSeed({ ...options, keepTimeline: false });
    expect([unseen.events, unseen.virtualMs]).toEqual([one.events, one.virtualMs]);
  });
});

describe('shrinking', () => {
  test('finds the two faults of twenty that fail together', async () => {
    let current = Array.from({ length: 20 }, (_, number) => number);
    await minimise(
      () => current,
      async (items) => {
        const fails = items.includes(3) && items.includes(17);
        if (fails) current = [...items];
        return fails;
      },
    );
    expect(current).toEqual([3, 17]);
  });
});
