/** `npm run netns`: needs root and iproute2, and fails with their names where they are missing. */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runPartition } from '../../scripts/netns/partition.ts';

let directory: string | undefined;
afterAll(async () => {
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

it('hosts find each other at new addresses, and a job outlives that one after another is cut off', async () => {
  directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'shoal-netns-'));
  await chmod(directory, 0o755);
  const log: string[] = [];
  const violations = await runPartition({ directory, say: (text) => log.push(text) });
  expect(violations, log.join('\n')).toEqual([]);
}, 180_000);
