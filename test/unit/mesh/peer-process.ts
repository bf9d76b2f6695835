import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';
import { generateIdentity } from '../../../src/mesh/identity.ts';

/** What the child tells once it listens. */
export interface ChildReady {
  readonly self: string;
  readonly addresses: readonly string[];
}

/**
 * A mesh node in a process of its own, which allows `allowed` and can be killed or stopped like a machine. It makes an identity
 * of its own where none is given.
 */
export async function forkPeer(
  allowed: readonly string[],
  privateKey: Uint8Array = generateIdentity().privateKeyBytes,
): Promise<{ child: ChildProcess; ready: ChildReady }> {
  const child = fork(await bundle(), [JSON.stringify(allowed), Buffer.from(privateKey).toString('hex')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ready = await new Promise<ChildReady>((resolve, reject) => {
    child.once('message', (message) => resolve(message as ChildReady));
    child.once('exit', (code) => reject(new Error(`the child exited with ${code}`)));
  });
  return { child, ready };
}

let bundled: Promise<string> | undefined;

/** Node 20 runs no TypeScript; the bundle lies below node_modules so that its imports resolve. */
function bundle(): Promise<string> {
  bundled ??= (async () => {
    const folder = join(import.meta.dirname, '../../../node_modules/.cache/shoal-mesh-test');
    mkdirSync(folder, { recursive: true });
    const outfile = join(folder, `peer-${process.pid}.mjs`);
    await build({
      entryPoints: [join(import.meta.dirname, 'peer-main.ts')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      outfile,
    });
    return outfile;
  })();
  return bundled;
}
