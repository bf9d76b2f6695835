import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLevelStore } from '../../../src/store/level-store.ts';
import { failure } from './store-values.ts';
import { temporaryDirectory } from './temporary-directory.ts';

// Below node_modules, so that the bundle still finds `level`.
const bundleFolder = fileURLToPath(new URL('../../../node_modules/.cache/shoal-test/', import.meta.url));
const bundle = join(bundleFolder, `store-writer-${process.pid}.mjs`);

beforeAll(async () => {
  await mkdir(bundleFolder, { recursive: true });
  await build({
    entryPoints: [fileURLToPath(new URL('./writer-process.ts', import.meta.url))],
    outfile: bundle,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
  });
});

afterAll(() => rm(bundle, { force: true }));

/** Starts the writer; resolves once it has acknowledged `count` turns. */
async function startWriter(
  directory: string,
  mode: string,
  count: number,
): Promise<{ child: ChildProcess; acked: () => number }> {
  const child = spawn(process.execPath, [bundle, directory, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  let acked = 0;
  let lines = 0;
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the writer ended early')));
    createInterface({ input: child.stdout }).on('line', (line) => {
      acked = Math.max(acked, Number(line));
      if (++lines === count) resolve();
    });
  });
  return { child, acked: () => acked };
}

/** Kills without warning and waits until all that the process said has been read. */
async function kill(child: ChildProcess): Promise<void> {
  child.removeAllListeners('exit');
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

describe('a store whose process is killed', () => {
  it.each(['sync', 'mixed'])('has every acknowledged batch after each of five kills (%s)', async (mode) => {
    const directory = await temporaryDirectory();
    for (let round = 1; round <= 5; round++) {
      const { child, acked } = await startWriter(directory, mode, 37 * round);
      await kill(child);
      const store = await openLevelStore(directory);
      const log = (await store.loadGroup('g'))?.entries ?? [];
      expect(log.length).toBeGreaterThanOrEqual(acked());
      expect(log.map(({ index }) => index)).toEqual(log.map((_, i) => i + 1));
      const keys = log.map(({ index }) => String(index));
      const rows = await store.getRows('g', [...keys, String(log.length + 1)]);
      expect(rows.map((row) => row && Buffer.from(row).toString())).toEqual([
        ...keys.map((key) => `entry ${key}`),
        undefined,
      ]);
      expect(await store.getLocal(String(log.length))).toBeDefined();
      await store.close();
    }
  });

  it('is closed to a second process until the first is gone', async () => {
    const directory = await temporaryDirectory();
    const { child } = await startWriter(directory, 'sync', 1);
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.directory]).toEqual(['AgentRunning', join(directory, 'lock')]);
    await kill(child);
    await (await openLevelStore(directory)).close();
  });
});
