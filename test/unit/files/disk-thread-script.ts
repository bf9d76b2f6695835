import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll } from 'vitest';

let directory: string | undefined;
let script: Promise<string> | undefined;

afterAll(async () => {
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** The program of the disk threads, bundled as the build does it: once for each file of tests. */
export function diskThreadScript(): Promise<string> {
  script ??= bundle();
  return script;
}

async function bundle(): Promise<string> {
  directory = await mkdtemp(join(tmpdir(), 'shoal-disk-thread-'));
  const outfile = join(directory, 'disk-thread.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, '../../../agent/files/disk-thread.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'silent',
  });
  return outfile;
}
