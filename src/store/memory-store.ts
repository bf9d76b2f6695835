/** The store of a simulated machine: the same records, checks and order of writes as on LevelDB, over a `MemoryDisk`. */
import { checkAcked, readHeads } from './heads.ts';
import type { Store } from './interface.ts';
import { BATCH_KEY, DROPPED_PREFIX, HEAD_PREFIX, prefixEnd, START_PREFIX } from './keys.ts';
import { MemoryDisk } from './memory-disk.ts';
import { RecordStore } from './record-store.ts';

export { MemoryDisk } from './memory-disk.ts';

/**
 * Opens the store that `disk` holds; without a disk, a new one. Throws `CorruptStore` where synced batches are missing
 * and `AgentRunning` where a store on this disk is neither closed nor crashed.
 */
export function openMemoryStore(disk: MemoryDisk = new MemoryDisk()): Store {
  const heads = readHeads(disk.get(BATCH_KEY), {
    heads: disk.list(HEAD_PREFIX, prefixEnd(HEAD_PREFIX)),
    starts: disk.list(START_PREFIX, prefixEnd(START_PREFIX)),
    dropped: disk.list(DROPPED_PREFIX, prefixEnd(DROPPED_PREFIX)),
  });
  checkAcked(heads, disk.acked);
  return new RecordStore(disk.attach(), disk.incarnation, heads);
}
