/**
 * `npm run chaos`: hurts a mesh at random moments of a job, and counts.
 *
 * Ends with 0 if every accepted task is completed exactly once in the records, no two executions of one were alive at
 * once, and nothing is left running; with 1 otherwise, and then keeps the directory with the agents' logs.
 */
import '../../src/lib/polyfill.ts';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flagsOf, wholeNumber } from '../flags.ts';
import { runChaos } from './chaos.ts';

const USAGE = `usage: npm run chaos -- [option …]

Kills processes of a mesh of three agents at random moments of a job, and checks that nothing is lost or recorded twice.

  --kills N     injuries (default 20)
  --tasks N     tasks of the job (default 2000)
  --seconds S   go on so long, in place of so many injuries
  --hosts       each agent has a network namespace and a small disk of its own (root and iproute2): wires are cut and
                disks filled as well
  --seed N      what is hurt when, as far as the machine allows

  npm run chaos -- --kills 5 --tasks 500
  npm run chaos -- --hosts --seconds 900`;

const { values: flags } = flagsOf(USAGE, {
  options: {
    kills: { type: 'string', default: '20' },
    tasks: { type: 'string', default: '2000' },
    seed: { type: 'string' },
    seconds: { type: 'string' },
    hosts: { type: 'boolean', default: false },
  },
});
const kills = wholeNumber(USAGE, 'kills', flags.kills);
const tasks = wholeNumber(USAGE, 'tasks', flags.tasks);
const seed = flags.seed === undefined ? randomInt(2 ** 32) : wholeNumber(USAGE, 'seed', flags.seed);
const duration =
  flags.seconds === undefined ? {} : { seconds: Math.max(1, wholeNumber(USAGE, 'seconds', flags.seconds)) };

/** A memory file system where there is one: what is tested are processes, not the disk. */
const directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'shoal-chaos-'));
// Tasks run as users of their own and write down what they do.
await chmod(directory, 0o755);
const startedAtMs = performance.now();
const say = (text: string): void =>
  void process.stdout.write(
    `${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(6)} s  ${text}\n`,
  );

say(`seed ${seed}, ${tasks} tasks, ${flags.seconds === undefined ? `${kills} kills` : `${flags.seconds} s`}`);
try {
  const report = await runChaos({ kills, tasks, seed, hosts: flags.hosts, directory, say, ...duration });
  const { injuries, executions, rerun, violations } = report;
  say(`${[...injuries].map(([kind, count]) => `${count} ${kind}`).join(', ')}`);
  say(`${report.tasks} tasks, ${executions} executions, ${rerun} tasks ran more than once`);
  for (const violation of violations) say(`VIOLATION: ${violation}`);
  say(violations.length === 0 ? 'passed' : `FAILED, ${violations.length} violations; seed ${seed}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
} catch (error) {
  say(`FAILED: ${error instanceof Error ? error.stack : String(error)}; seed ${seed}`);
  process.exitCode = 1;
}
if (process.exitCode === 0) await rm(directory, { recursive: true, force: true, maxRetries: 3 });
else say(`kept: ${directory}`);
