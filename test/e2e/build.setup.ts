/** Bundles the program once for all end-to-end tests: they run what users run. `SHOAL_PROGRAM` names one that is built. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export function setup(): void {
  if (process.env.SHOAL_PROGRAM !== undefined) return;
  const build = join(import.meta.dirname, '..', '..', 'scripts', 'build.mjs');
  const { status, stderr } = spawnSync(process.execPath, [build], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the bundles cannot be built:\n${stderr}`);
}
