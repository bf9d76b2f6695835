/** A short run of `npm run chaos`. */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runChaos } from '../../scripts/chaos/chaos.ts';

let directory: string | undefined;
afterAll(async () => {
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

it('a job outlives kills at random moments; each task is done once in the records and never twice at a time', async () => {
  directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'shoal-chaos-'));
  await chmod(directory, 0o755);
  const log: string[] = [];
  const report = await runChaos({
    kills: 6,
    tasks: 300,
    seed: 7,
    hosts: false,
    directory,
    say: (text) => log.push(text),
  });
  expect(report.violations, log.join('\n')).toEqual([]);
  expect(report.tasks).toBe(300);
  expect([...report.injuries.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(4);
}, 180_000);
