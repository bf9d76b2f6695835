/** `npm run netns`: three hosts in network namespaces, two of them cut off in turn and back. Needs root and iproute2. */
import '../../src/lib/polyfill.ts';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flagsOf } from '../flags.ts';
import { runPartition } from './partition.ts';

flagsOf(
  `usage: npm run netns

Three hosts in network namespaces find each other, two are cut off in turn and come back, and a job ends right.
Needs root and iproute2.`,
  {},
);

const directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'shoal-netns-'));
// Tasks run as users of their own and write down what they do.
await chmod(directory, 0o755);
const startedAtMs = performance.now();
const say = (text: string): void =>
  void process.stdout.write(
    `${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(6)} s  ${text}\n`,
  );

try {
  const violations = await runPartition({ directory, say });
  for (const violation of violations) say(`VIOLATION: ${violation}`);
  say(violations.length === 0 ? 'passed' : 'FAILED');
  process.exitCode = violations.length === 0 ? 0 : 1;
} catch (error) {
  say(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
if (process.exitCode === 0) await rm(directory, { recursive: true, force: true, maxRetries: 3 });
else say(`kept: ${directory}`);
