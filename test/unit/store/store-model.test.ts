import { expect, it } from 'vitest';
import type { RowWrite, Store, StoreBatch } from '../../../src/store/interface.ts';
import { openLevelStore } from '../../../src/store/level-store.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { fc } from '../../support/properties.ts';
import { collect, entries, only, plain, start } from './store-values.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const GROUP = 'pool:m';

/** What the store should hold: the obvious way. */
interface Model {
  rows: Map<string, string>;
  local: Map<string, string>;
  startIndex: number;
  lastIndex: number;
  term: number;
}

type Step =
  | { readonly kind: 'write'; readonly sync: boolean; readonly rows: RowWrite[]; readonly local: RowWrite[] }
  | { readonly kind: 'append'; readonly sync: boolean; readonly count: number; readonly back: number }
  | { readonly kind: 'compact'; readonly sync: boolean; readonly keep: number }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'crash' };

const keys = fc.stringMatching(/^[ab/]{1,3}$/);
const rowWrite: fc.Arbitrary<RowWrite> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('put'), key: keys, value: fc.uint8Array({ maxLength: 8 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), key: keys }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('clear'), prefix: fc.stringMatching(/^[ab/]{0,2}$/) }),
  },
);
const rowWrites = fc.array(rowWrite, { maxLength: 6 });
const sync = fc.boolean();
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('write'), sync, rows: rowWrites, local: rowWrites }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('append'), sync, count: fc.nat(5), back: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('compact'), sync, keep: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' } as const) },
);

function emptyModel(): Model {
  return { rows: new Map(), local: new Map(), startIndex: 0, lastIndex: 0, term: 1 };
}

function copy(model: Model): Model {
  return { ...model, rows: new Map(model.rows), local: new Map(model.local) };
}

function applyRows(rows: Map<string, string>, writes: readonly RowWrite[]): void {
  for (const write of writes) {
    if (write.kind === 'put') rows.set(write.key, Buffer.from(write.value).toString());
    else if (write.kind === 'delete') rows.delete(write.key);
    else for (const key of [...rows.keys()]) if (key.startsWith(write.prefix)) rows.delete(key);
  }
}

/** Applies the step to the model and returns the same as a batch. */
function advance(model: Model, step: Exclude<Step, { kind: 'reopen' | 'crash' }>): StoreBatch {
  switch (step.kind) {
    case 'write':
      applyRows(model.rows, step.rows);
      applyRows(model.local, step.local);
      return { groups: [{ group: GROUP, rows: step.rows }], local: step.local };
    case 'append': {
      const truncateFrom = Math.max(model.startIndex + 1, model.lastIndex + 1 - step.back);
      if (truncateFrom <= model.lastIndex) model.term++;
      model.lastIndex = truncateFrom + step.count - 1;
      const append = step.count === 0 ? [] : entries(truncateFrom, model.lastIndex, 1);
      return only({ group: GROUP, truncateFrom, append });
    }
    case 'compact': {
      const index = Math.max(model.startIndex, model.lastIndex - step.keep);
      model.startIndex = index;
      return only({ group: GROUP, start: start(index, 1) });
    }
  }
}

const sorted = (rows: ReadonlyMap<string, string>): [string, string][] =>
  [...rows].sort(([a], [b]) => (a < b ? -1 : 1));

async function holds(store: Store, model: Model): Promise<boolean> {
  const group = await store.loadGroup(GROUP);
  const indexes = plain(group?.entries ?? []).map(({ index }) => index);
  const expected = Array.from(
    { length: model.lastIndex - model.startIndex },
    (_, i) => model.startIndex + i + 1,
  );
  const found = [
    await collect(store.scanRows(GROUP, { prefix: '' })),
    await collect(store.scanLocal({ prefix: '' })),
    indexes,
    group?.start.index ?? 0,
  ];
  return (
    JSON.stringify(found) ===
    JSON.stringify([sorted(model.rows), sorted(model.local), expected, model.startIndex])
  );
}

it('the memory store equals a map, and after a crash one of the states since the last sync', () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(), async (steps, seed) => {
      const disk = new MemoryDisk({ seed });
      let store = openMemoryStore(disk);
      let model = emptyModel();
      /** The states a crash may leave: the last synced one, and each unsynced one since. */
      let possible = [copy(model)];
      for (const step of steps) {
        if (step.kind === 'reopen') {
          await store.close();
          store = openMemoryStore(disk);
        } else if (step.kind === 'crash') {
          disk.crash();
          store = openMemoryStore(disk);
          let survivor: Model | undefined;
          for (const candidate of possible) if (await holds(store, candidate)) survivor = candidate;
          expect(survivor).toBeDefined();
          model = copy(survivor ?? model);
          possible = [copy(model)];
        } else {
          await store.write(advance(model, step), step.sync);
          possible = step.sync ? [copy(model)] : [...possible, copy(model)];
        }
        expect(await holds(store, model)).toBe(true);
      }
    }),
    { numRuns: 200 },
  ));

it('the level store equals a map, over restarts and with writes in flight together', async () => {
  const directory = await temporaryDirectory();
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const path = `${directory}/${round++}`;
      let store = await openLevelStore(path);
      const model = emptyModel();
      let flying: Promise<void>[] = [];
      for (const step of steps) {
        if (step.kind === 'reopen' || step.kind === 'crash') {
          await store.close();
          await Promise.all(flying);
          flying = [];
          store = await openLevelStore(path);
        } else {
          flying.push(store.write(advance(model, step), step.sync));
        }
      }
      await Promise.all(flying);
      expect(await holds(store, model)).toBe(true);
      await store.close();
    }),
    { numRuns: 25 },
  );
});
