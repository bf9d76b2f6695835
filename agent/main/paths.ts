/**
 * Where an agent keeps its things. `private` is closed to everybody else; `nodes` can be walked through by the tasks'
 * own users, who can read nothing on the way but their own directories.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

export interface Paths {
  readonly root: string;
  readonly config: string;
  readonly identity: string;
  readonly store: string;
  readonly chunks: string;
  readonly staging: string;
  readonly runner: string;
  readonly logs: string;
  readonly nodes: string;
  readonly apiSocket: string;
}

export function pathsOf(dataDirectory: string): Paths {
  const root = resolve(dataDirectory);
  const secret = join(root, 'private');
  return {
    root,
    config: join(root, 'config.json'),
    identity: join(secret, 'identity.key'),
    store: join(secret, 'store'),
    chunks: join(secret, 'chunks'),
    staging: join(secret, 'staging'),
    runner: join(secret, 'runner'),
    logs: join(secret, 'logs'),
    nodes: join(root, 'nodes'),
    apiSocket: join(root, 'api.sock'),
  };
}

export async function createDirectories(paths: Paths): Promise<void> {
  await mkdir(paths.root, { recursive: true });
  await chmod(paths.root, 0o711);
  await mkdir(join(paths.root, 'private'), { recursive: true, mode: 0o700 });
  await chmod(join(paths.root, 'private'), 0o700);
  for (const directory of [paths.chunks, paths.staging, paths.runner, paths.logs])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  await mkdir(paths.nodes, { recursive: true });
  await chmod(paths.nodes, 0o711);
}
