/**
 * Where an agent keeps its things. `private` is closed to everybody else; `nodes` can be walked through by the tasks'
 * own users, who can read nothing on the way but their own directories.
 */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ShoalError } from '../../src/lib/errors.ts';

export interface Paths {
  readonly root: string;
  readonly config: string;
  readonly identity: string;
  /** See KnownMembers. */
  readonly members: string;
  readonly store: string;
  readonly chunks: string;
  readonly runner: string;
  /** See LogFiles. */
  readonly logs: string;
  readonly containers: string;
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
    members: join(secret, 'members.json'),
    store: join(secret, 'store'),
    chunks: join(secret, 'chunks'),
    runner: join(secret, 'runner'),
    logs: join(secret, 'logs'),
    containers: join(secret, 'containers'),
    nodes: join(root, 'nodes'),
    apiSocket: join(root, 'api.sock'),
  };
}

/** Throws InvalidArgument where the tasks' own users could not reach their directories. */
export async function createDirectories(paths: Paths): Promise<void> {
  await mkdir(paths.root, { recursive: true });
  await chmod(paths.root, 0o711);
  await mkdir(join(paths.root, 'private'), { recursive: true, mode: 0o700 });
  await chmod(join(paths.root, 'private'), 0o700);
  for (const directory of [paths.chunks, paths.runner, paths.logs, paths.containers])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  await mkdir(paths.nodes, { recursive: true });
  await chmod(paths.nodes, 0o711);
  if (process.getuid?.() === 0) await requireWayFor(paths.nodes);
}

/** Root's tasks run as users of their own: every directory on the way to theirs must let others through. */
async function requireWayFor(directory: string): Promise<void> {
  for (let at = directory; ; at = dirname(at)) {
    const { mode } = await stat(at);
    if ((mode & 0o001) === 0) {
      throw new ShoalError(
        'InvalidArgument',
        `Tasks run as users of their own and cannot reach ${directory}: ${at} is closed to others. Open it with \`chmod o+x ${at}\`, or choose another --data.`,
        { directory: at },
      );
    }
    if (at === dirname(at)) return;
  }
}
