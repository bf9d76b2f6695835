/**
 * Run as a process of its own and killed: appends one entry, one row and one local row a turn, several turns in flight,
 * and says on stdout which turn was acknowledged. Arguments: directory, and `sync` or `mixed` (every third is synced).
 */
import { writeSync } from 'node:fs';
import { openLevelStore } from '../../../src/store/level-store.ts';

const [directory = '', mode] = process.argv.slice(2);
const store = await openLevelStore(directory);
const log = (await store.loadGroup('g'))?.entries ?? [];
let next = (log[log.length - 1]?.index ?? 0) + 1;

async function writeTurns(): Promise<void> {
  for (;;) {
    const index = next++;
    const sync = mode === 'sync' || index % 3 === 0;
    const data = Buffer.from(`entry ${index}`);
    const row = { kind: 'put', key: String(index), value: data } as const;
    const group = { group: 'g', append: [{ index, term: 1, kind: 'command', data }], rows: [row] } as const;
    await store.write({ groups: [group], local: [row] }, sync);
    if (sync) writeSync(1, `${index}\n`);
  }
}

await Promise.all([writeTurns(), writeTurns(), writeTurns()]);
