/** The launcher (agent/launcher) as the instances of a task find it: a file of theirs, and what it must know in their environment. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LAUNCHER_PORT_MIN, LAUNCHER_PORTS } from '../../src/lib/limits.ts';
import { quoteArgument } from '../../src/model/command-line.ts';
import type { Subtask } from '../../src/model/node-task.ts';
import type { TaskDirectories } from './directories.ts';

function fileIn({ root }: TaskDirectories): string {
  return join(root, 'shoal-launcher');
}

/** One word, for programs that take nothing else for their remote shell; neither Node nor Shoal need be in the PATH of tasks. */
export async function placeLauncher(directories: TaskDirectories, script: string): Promise<void> {
  const words = [process.execPath, script].map(quoteArgument).join(' ');
  // Not over a common resource file of this name.
  await writeFile(fileIn(directories), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
}

/** Each run has a port of its own, so that one that is taken does not fail the next as well. */
export function launcherEnvironment(
  { primary, instance, run }: Subtask,
  directories: TaskDirectories,
  key: string,
): Record<string, string> {
  return {
    SHOAL_LAUNCHER: fileIn(directories),
    SHOAL_LAUNCHER_KEY: key,
    SHOAL_LAUNCHER_PORT: String(LAUNCHER_PORT_MIN + ((run * 7_919 + primary) % LAUNCHER_PORTS)),
    SHOAL_INSTANCE: String(instance),
  };
}
