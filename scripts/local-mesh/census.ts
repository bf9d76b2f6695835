/** Which processes belong to a mesh on this machine, by their command lines and environments in /proc. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface MeshProcess {
  readonly pid: number;
  readonly role: 'agent' | 'runner' | 'task';
  readonly words: string;
}

/** All that live now of the agents whose data directories are below `directory`, and what they started. */
export async function processesBelow(directory: string): Promise<MeshProcess[]> {
  const found: MeshProcess[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const role = await roleOf(join('/proc', name), directory);
    if (role !== undefined) found.push({ pid: Number(name), ...role });
  }
  return found;
}

/** A zombie has neither words nor environment, and is nobody's process any more. */
async function roleOf(
  place: string,
  directory: string,
): Promise<Pick<MeshProcess, 'role' | 'words'> | undefined> {
  const words = (await text(join(place, 'cmdline'))).split('\0').filter((word) => word !== '');
  const shown = { words: words.join(' ') };
  const below = words.filter((word) => word.startsWith(`${directory}/`));
  // The runner's own command line, and those of the wrappers that hold its namespace.
  if (below.some((word) => word.endsWith('/private/runner'))) return { role: 'runner', ...shown };
  if (below.length > 0 && words.at(-1) === 'agent') return { role: 'agent', ...shown };
  const environment = await text(join(place, 'environ'));
  return environment.includes(`AZ_BATCH_NODE_ROOT_DIR=${directory}/`)
    ? { role: 'task', ...shown }
    : undefined;
}

function text(file: string): Promise<string> {
  return readFile(file, 'latin1').catch(() => '');
}
