/** Flight records: what a machine has recorded leads to the state that it has, and breaks no promise on the way (R9, R12). */
import { type ReplayVerdict, replayGroup, replicatedGroups } from '../../../coordinator/driver/replay.ts';
import { asShoalError } from '../../../src/lib/errors.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import type { Store } from '../../../src/store/interface.ts';
import { openMemoryStore } from '../../../src/store/memory-store.ts';
import { Violation } from './referee.ts';
import type { SimMachine } from './sim-machine.ts';
import type { Timeline } from './timeline.ts';

/** Every group on the machine's disk, as `shoal replay` does it. Throws Violation. */
export async function replayDisk(machine: SimMachine, timeline: Timeline): Promise<void> {
  const store = openMemoryStore(machine.disk.copy());
  try {
    for (const group of await replicatedGroups(store)) await replay(machine.name, store, group, timeline);
  } catch (error) {
    if (!machine.isRotten || asShoalError(error).code !== 'CorruptStore') throw error;
    timeline.note(machine.name, 'has a damaged record among what its agent does not read');
  }
  await store.close();
}

async function replay(name: string, store: Store, group: GroupId, timeline: Timeline): Promise<void> {
  for await (const item of replayGroup(store, group))
    if (item.kind === 'verdict') judge(name, item, timeline);
}

function judge(name: string, item: ReplayVerdict, timeline: Timeline): void {
  const { group, verdict, from, to, problems } = item;
  timeline.note(name, `replays ${group} from ${from} to ${to}: ${verdict}`);
  if (verdict === 'violated')
    throw new Violation(`the replay of ${group} at ${name}: ${problems.join('; ')}`);
}
