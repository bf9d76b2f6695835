/** `shoal replay`: the stored logs of a stopped agent, once more. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type ReplayedEntry, replayGroup, replicatedGroups } from '../../coordinator/driver/replay.ts';
import type { ReplayFlags, ReplayStep, ReplayVerdict } from '../../src/cli/agent-commands.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import type { Store } from '../../src/store/interface.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import { pathsOf } from './paths.ts';
import { stepsOf } from './replay-steps.ts';

/**
 * Throws NotInitialized where the directory holds no store, AgentRunning where its agent still runs, GroupNotFound, and
 * CorruptStore where a record that the replay needs is damaged.
 */
export async function* replayDirectory(flags: ReplayFlags): AsyncGenerator<ReplayStep | ReplayVerdict> {
  const store = await openStopped(flags.directory);
  try {
    for (const group of await groupsOf(store, flags.group)) {
      for await (const item of replayGroup(store, group)) {
        if (item.kind === 'verdict') yield item;
        else if (isAsked(item, flags)) yield* stepsOf(item, flags);
      }
    }
  } finally {
    await store.close();
  }
}

/** LevelDB has no way to open a database for reading alone, and nobody may have it open beside us. */
async function openStopped(directory: string): Promise<Store> {
  const { store } = pathsOf(directory);
  try {
    await access(join(store, 'generation'));
  } catch (cause) {
    throw new ShoalError(
      'NotInitialized',
      `${directory} is not the data directory of an agent.`,
      { directory },
      { cause },
    );
  }
  try {
    return await openLevelStore(store);
  } catch (error) {
    if (!(error instanceof ShoalError) || error.code !== 'AgentRunning') throw error;
    throw new ShoalError(
      'AgentRunning',
      `An agent is using ${directory}. Stop it, or copy the directory and replay the copy.`,
      { directory },
      { cause: error },
    );
  }
}

async function groupsOf(store: Store, asked: string | undefined): ReturnType<typeof replicatedGroups> {
  const groups = await replicatedGroups(store);
  if (asked === undefined) return groups;
  const group = groups.find((one) => one === asked.toLowerCase());
  if (group !== undefined) return [group];
  throw new ShoalError(
    'GroupNotFound',
    `The directory holds no replica of ${asked}, only of: ${groups.join(', ')}.`,
    { group: asked },
  );
}

/** What breaks a promise is shown whatever was asked for. */
function isAsked({ entry, problems }: ReplayedEntry, { from, to }: ReplayFlags): boolean {
  return (entry.index >= from && entry.index <= to) || problems.length > 0;
}
