import { expect, test } from 'vitest';
import { baseGroup, readContents } from '../../../coordinator/driver/flight-record.ts';
import { FlightRecorder, type Recorded } from '../../../coordinator/driver/flight-recorder.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLog } from '../../../src/lib/log.ts';
import type { LogEntry, LogStart } from '../../../src/store/interface.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';

const GROUP = 'pool:render';
const ROWS = 'pool:render~0';

const startAt = (index: number): LogStart => ({
  index,
  term: 1,
  configuration: { voters: [], learners: [] },
});

function entriesUpTo(index: number): readonly LogEntry[] {
  return Array.from({ length: 5 }, (_, entry) => ({
    index: index - 4 + entry,
    term: 1,
    kind: 'command',
    data: Uint8Array.of(entry, index),
  }));
}

test('a base that becomes due once more while it is copied is not copied twice, so that nothing drops it with its double', async () => {
  const store = openMemoryStore(new MemoryDisk());
  const recorder = new FlightRecorder({
    store,
    clock: systemClock,
    log: silentLog,
    isPresent: () => true,
    // Each cut makes a base due.
    bounds: { recordBytes: 1, baseBytes: 1_000 },
  });
  const replica: { -readonly [Key in keyof Recorded]: Recorded[Key] } = {
    group: GROUP,
    rowsGroup: ROWS,
    appliedIndex: 5,
    meta: startAt(5),
    stateHash: 0,
  };
  const applyUpTo = (index: number): void => {
    replica.appliedIndex = index;
    replica.meta = startAt(index);
  };
  const row = { kind: 'put', key: 'row', value: Uint8Array.of(1) } as const;
  await store.write({ groups: [{ group: ROWS, rows: [row] }] }, true);
  await recorder.open(replica);
  recorder.copyIfDue(replica);
  await recorder.settled(replica);

  applyUpTo(20);
  recorder.cut(replica, startAt(10), entriesUpTo(10));
  await recorder.settled(replica);
  recorder.cut(replica, startAt(15), entriesUpTo(15));
  recorder.copyIfDue(replica);
  await recorder.settled(replica);
  recorder.copyIfDue(replica);
  await recorder.settled(replica);
  applyUpTo(30);
  recorder.cut(replica, startAt(25), entriesUpTo(25));
  await recorder.settled(replica);
  recorder.copyIfDue(replica);
  await recorder.settled(replica);

  const { bases } = await readContents(store, GROUP);
  expect(bases.map(({ rowsGroup }) => rowsGroup)).toEqual([baseGroup(GROUP, 20), baseGroup(GROUP, 30)]);
  for (const { rowsGroup } of bases) expect(await store.getRow(rowsGroup ?? '', 'row')).toBeDefined();
});
