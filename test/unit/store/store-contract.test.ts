import { describe, expect, it } from 'vitest';
import type { Store } from '../../../src/store/interface.ts';
import { openLevelStore } from '../../../src/store/level-store.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { collect, entries, entry, failure, only, plain, put, start, text } from './store-values.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** Opens a store anew on the same disk with each call. */
type Opener = () => Promise<Store>;

const IMPLEMENTATIONS: readonly [string, () => Promise<Opener>][] = [
  [
    'level',
    async () => {
      const directory = await temporaryDirectory();
      return () => openLevelStore(directory);
    },
  ],
  [
    'memory',
    async () => {
      const disk = new MemoryDisk();
      return async () => openMemoryStore(disk);
    },
  ],
];

describe.each(IMPLEMENTATIONS)('the %s store', (_, makeOpener) => {
  async function withStore(
    use: (store: Store, reopen: () => Promise<Store>) => Promise<void>,
  ): Promise<void> {
    const open = await makeOpener();
    let store = await open();
    const reopen = async (): Promise<Store> => {
      await store.close();
      store = await open();
      return store;
    };
    await use(store, reopen);
    await store.close();
  }

  it('gives back over a restart what one batch wrote', () =>
    withStore(async (store, reopen) => {
      const hardState = { term: 2 ** 40, votedFor: 'peer:0123abcd', commit: 3 };
      await store.write(
        only({
          group: 'pool:a-b_c.d',
          hardState,
          start: start(2, 1),
          append: [
            { index: 3, term: 1, kind: 'noop', data: new Uint8Array(0) },
            { index: 4, term: 2 ** 40, kind: 'configuration', data: text('c') },
          ],
          applied: { index: 3, stateHash: 0xdeadbeef },
          rows: [put('task/1', 'one')],
        }),
        true,
      );
      const again = await reopen();
      const group = await again.loadGroup('pool:a-b_c.d');
      expect(group).toMatchObject({
        hardState,
        start: start(2, 1),
        applied: { index: 3, stateHash: 0xdeadbeef },
      });
      expect(plain(group?.entries ?? [])).toEqual([
        { index: 3, term: 1, kind: 'noop', data: '' },
        { index: 4, term: 2 ** 40, kind: 'configuration', data: 'c' },
      ]);
      expect(await again.groups()).toEqual(['pool:a-b_c.d']);
      expect(Buffer.from((await again.getRow('pool:a-b_c.d', 'task/1')) ?? []).toString()).toBe('one');
    }));

  it('keeps its incarnation over a restart', () =>
    withStore(async (store, reopen) => {
      expect(store.incarnation).toMatch(/^[0-9a-f]{8}$/);
      expect((await reopen()).incarnation).toBe(store.incarnation);
    }));

  it('answers undefined for a group and rows it does not have', () =>
    withStore(async (store) => {
      expect(await store.loadGroup('none')).toBeUndefined();
      expect(await store.getRow('none', 'key')).toBeUndefined();
      expect(await store.getLocal('key')).toBeUndefined();
      expect(await collect(store.scanRows('none', { prefix: '' }))).toEqual([]);
    }));

  it('replaces a conflicting suffix', () =>
    withStore(async (store, reopen) => {
      await store.write(only({ group: 'g', append: entries(1, 10) }), true);
      await store.write(only({ group: 'g', truncateFrom: 4, append: entries(4, 6, 2) }), true);
      const log = plain((await (await reopen()).loadGroup('g'))?.entries ?? []);
      expect(log.map(({ index, term }) => [index, term])).toEqual([
        [1, 1],
        [2, 1],
        [3, 1],
        [4, 2],
        [5, 2],
        [6, 2],
      ]);
    }));

  it('compacts the log, also past its end for a snapshot', () =>
    withStore(async (store, reopen) => {
      await store.write(only({ group: 'g', append: entries(1, 10) }), true);
      await store.write(only({ group: 'g', start: start(7, 1) }), true);
      expect((await store.loadGroup('g'))?.entries.map(({ index }) => index)).toEqual([8, 9, 10]);
      await store.write(only({ group: 'g', start: start(100, 5), append: [entry(101, 5)] }), true);
      const group = await (await reopen()).loadGroup('g');
      expect(group?.start).toEqual(start(100, 5));
      expect(group?.entries.map(({ index }) => index)).toEqual([101]);
    }));

  it.each([
    ['behind', 20],
    ['at', 30],
    ['inside', 40],
  ])(
    'takes a snapshot that lies %s a log which went another way, and keeps nothing of that',
    (_where, last) =>
      withStore(async (store, reopen) => {
        await store.write(only({ group: 'g', append: entries(1, last, 1) }), true);
        await store.write(only({ group: 'g', start: start(30, 7) }), true);
        await store.write(only({ group: 'g', append: entries(31, 33, 7) }), true);
        const group = await (await reopen()).loadGroup('g');
        expect(group?.entries.map(({ index, term }) => [index, term])).toEqual([
          [31, 7],
          [32, 7],
          [33, 7],
        ]);
      }),
  );

  it('compacts up to an entry that was appended in the same turn', () =>
    withStore(async (store) => {
      void store.write(only({ group: 'g', append: entries(1, 10) }), true);
      await store.write(only({ group: 'g', start: start(8, 1) }), true);
      expect((await store.loadGroup('g'))?.entries.map(({ index }) => index)).toEqual([9, 10]);
    }));

  it('writes no entry that the start of the same write makes void', () =>
    withStore(async (store) => {
      await store.write(only({ group: 'g', append: entries(1, 10) }), true);
      await store.write(only({ group: 'g', append: entries(11, 14), start: start(12, 1) }), true);
      expect((await store.loadGroup('g'))?.entries.map(({ index }) => index)).toEqual([13, 14]);
    }));

  it('removes a long compacted log a piece at a time and never shows it', () =>
    withStore(async (store, reopen) => {
      await store.write(only({ group: 'g', append: entries(1, 2000) }), true);
      await store.write(only({ group: 'g', start: start(1990, 1) }), true);
      const again = await reopen();
      expect((await again.loadGroup('g'))?.entries.length).toBe(10);
      for (let commit = 1; commit <= 4; commit++) {
        await again.write(only({ group: 'g', hardState: { term: 1, votedFor: null, commit } }), false);
      }
      expect((await again.loadGroup('g'))?.entries.length).toBe(10);
    }));

  it.each([
    ['a gap in the log', { append: [entry(12)] }],
    ['an entry that is there', { append: [entry(10)] }],
    ['a truncation of what was compacted', { truncateFrom: 5 }],
    ['a start that goes back', { start: start(4, 1) }],
    ['a term that goes back', { hardState: { term: 4, votedFor: null, commit: 8 } }],
    ['a commit that goes back', { hardState: { term: 5, votedFor: 'a', commit: 7 } }],
    ['a second vote in a term', { hardState: { term: 5, votedFor: 'b', commit: 8 } }],
    ['an applied index that goes back', { applied: { index: 6, stateHash: 0 } }],
    ['a term that is no integer', { hardState: { term: Number.NaN, votedFor: null, commit: 8 } }],
  ] as const)('refuses %s and changes nothing', (_name, bad) =>
    withStore(async (store) => {
      const hardState = { term: 5, votedFor: 'a', commit: 8 };
      await store.write(
        only({
          group: 'g',
          hardState,
          start: start(5, 1),
          append: entries(6, 10),
          applied: { index: 7, stateHash: 1 },
        }),
        true,
      );
      const before = await store.loadGroup('g');
      const neighbour = store.write(only({ group: 'other', append: entries(1, 1) }), true);
      const refused = store.write(only({ group: 'g', rows: [put('k', 'v')], ...bad }), true);
      expect((await failure(refused)).code).toBe('InternalError');
      await neighbour;
      expect(await store.loadGroup('g')).toEqual(before);
      expect(await store.getRow('g', 'k')).toBeUndefined();
      expect((await store.loadGroup('other'))?.entries.length).toBe(1);
    }),
  );

  it('keeps groups apart whose names are prefixes of each other or need escapes', () =>
    withStore(async (store, reopen) => {
      const groups = ['a', 'a/b', 'a:b', 'a%2Fb', 'a.', 'ä', 'A', '_-.~'];
      for (const group of groups) await store.write(only({ group, rows: [put('k', group)] }), false);
      await store.write(only({ group: 'a', rows: [{ kind: 'clear', prefix: '' }] }), true);
      const again = await reopen();
      expect([...(await again.groups())].sort()).toEqual([...groups].sort());
      for (const group of groups) {
        expect(await collect(again.scanRows(group, { prefix: '' }))).toEqual(
          group === 'a' ? [] : [['k', group]],
        );
      }
    }));

  it.each(['', '\ud800', 'x'.repeat(257)])('refuses the group id %j', (group) =>
    withStore(async (store) => {
      expect((await failure(store.write(only({ group }), false))).code).toBe('InvalidArgument');
    }),
  );

  it('refuses a row key that is not ASCII', () =>
    withStore(async (store) => {
      const refused = store.write(only({ group: 'g', rows: [put('ü', '1')] }), false);
      expect((await failure(refused)).code).toBe('InvalidArgument');
    }));

  it('clears a prefix in the order of the batch', () =>
    withStore(async (store) => {
      await store.write(
        only({ group: 'g', rows: [put('a1', 'old'), put('a2', 'old'), put('b', 'old')] }),
        false,
      );
      await store.write(
        only({
          group: 'g',
          rows: [put('a3', 'before'), { kind: 'clear', prefix: 'a' }, put('a1', 'after'), put('a4', 'after')],
        }),
        true,
      );
      expect(await collect(store.scanRows('g', { prefix: '' }))).toEqual([
        ['a1', 'after'],
        ['a4', 'after'],
        ['b', 'old'],
      ]);
    }));

  it('clears what writes still in the queue have put', () =>
    withStore(async (store) => {
      void store.write(only({ group: 'g', rows: [put('a1', 'x')] }), false);
      void store.write(only({ group: 'g', rows: [{ kind: 'clear', prefix: '' }] }), false);
      await store.write(only({ group: 'g', rows: [put('a2', 'y')] }), true);
      expect(await collect(store.scanRows('g', { prefix: '' }))).toEqual([['a2', 'y']]);
    }));

  it('clears more rows than a page holds', () =>
    withStore(async (store) => {
      const rows = Array.from({ length: 1300 }, (_unused, i) => put(`k${i}`, 'v'));
      await store.write({ groups: [], local: rows }, false);
      await store.write({ groups: [], local: [put('other', 'v'), { kind: 'clear', prefix: 'k' }] }, true);
      expect(await collect(store.scanLocal({ prefix: '' }))).toEqual([['other', 'v']]);
    }));

  it('scans a prefix in order, after a key, up to a limit, over many pages', () =>
    withStore(async (store) => {
      const keys = Array.from({ length: 1500 }, (_unused, i) => `t/${String(i).padStart(5, '0')}`);
      const shuffled = keys.toSorted((a, b) => (a.slice(-1) + a < b.slice(-1) + b ? -1 : 1));
      await store.write(
        only({ group: 'g', rows: [...shuffled.map((key) => put(key, key)), put('u', 'u')] }),
        false,
      );
      const scanned = await collect(store.scanRows('g', { prefix: 't/' }));
      expect(scanned.map(([key]) => key)).toEqual(keys);
      const part = await collect(store.scanRows('g', { prefix: 't/', after: 't/00700', limit: 600 }));
      expect(part.map(([key]) => key)).toEqual(keys.slice(701, 1301));
      expect(await collect(store.scanRows('g', { prefix: 't/', after: 'u' }))).toEqual([]);
      expect((await collect(store.scanRows('g', { prefix: 't/', after: 'a', limit: 1 })))[0]?.[0]).toBe(
        't/00000',
      );
      expect(await collect(store.scanRows('g', { prefix: 't/', limit: 0 }))).toEqual([]);
    }));

  it('lets writes go on between the pages of a scan', () =>
    withStore(async (store) => {
      const rows = Array.from({ length: 1200 }, (_unused, i) => put(String(i).padStart(5, '0'), 'v'));
      await store.write(only({ group: 'g', rows }), false);
      const seen: string[] = [];
      for await (const [key] of store.scanRows('g', { prefix: '' })) {
        if (seen.length === 0)
          await store.write(only({ group: 'g', rows: [{ kind: 'delete', key: '01199' }] }), false);
        seen.push(key);
      }
      expect(seen.length).toBe(1199);
    }));

  it('reads a snapshot as it was when it began, whatever is written meanwhile', () =>
    withStore(async (store) => {
      const keys = Array.from({ length: 1200 }, (_unused, i) => String(i).padStart(5, '0'));
      await store.write(only({ group: 'g', rows: keys.map((key) => put(key, 'old')) }), false);
      const seen: [string, string][] = [];
      for await (const page of store.snapshotRows('g')) {
        if (seen.length === 0)
          await store.write(
            only({
              group: 'g',
              rows: [put('01198', 'new'), { kind: 'delete', key: '01199' }, put('02000', 'new')],
            }),
            false,
          );
        for (const [key, value] of page) seen.push([key, Buffer.from(value).toString()]);
      }
      expect(seen).toEqual(keys.map((key) => [key, 'old']));
    }));

  it('reads many rows at once, missing ones included', () =>
    withStore(async (store) => {
      await store.write(only({ group: 'g', rows: [put('a', '1'), put('c', '3')] }), false);
      const found = await store.getRows('g', ['c', 'b', 'a']);
      expect(found.map((value) => value && Buffer.from(value).toString())).toEqual(['3', undefined, '1']);
    }));

  it('keeps the order of concurrent writes', () =>
    withStore(async (store) => {
      const writes = Array.from({ length: 200 }, (_unused, i) =>
        store.write(
          only({ group: 'g', append: [entry(i + 1)], rows: [put('last', String(i)), put(`k${i}`, '')] }),
          i % 7 === 0,
        ),
      );
      await Promise.all(writes);
      expect(Buffer.from((await store.getRow('g', 'last')) ?? []).toString()).toBe('199');
      expect((await store.loadGroup('g'))?.entries.length).toBe(200);
    }));

  it('drops a group with all it had, and takes it up anew', () =>
    withStore(async (store, reopen) => {
      for (const group of ['g', 'h']) {
        const rows = [put('k', 'v')];
        await store.write(
          only({ group, append: entries(1, 600), rows, hardState: { term: 9, votedFor: 'a', commit: 5 } }),
          true,
        );
      }
      await store.dropGroup('g');
      await store.dropGroup('never was');
      let again = await reopen();
      expect(await again.groups()).toEqual(['h']);
      expect(await again.loadGroup('g')).toBeUndefined();
      expect(await again.getRow('g', 'k')).toBeUndefined();
      expect((await again.loadGroup('h'))?.entries.length).toBe(600);
      await again.write(only({ group: 'g', append: entries(1, 1) }), true);
      again = await reopen();
      expect((await again.loadGroup('g'))?.entries.length).toBe(1);
    }));

  it('drops a large group beside other writes, and shows nothing of it while it goes', () =>
    withStore(async (store, reopen) => {
      const rows = Array.from({ length: 5000 }, (_unused, i) => put(`k${i}`, 'v'));
      await store.write(only({ group: 'g', rows }), true);
      await store.dropGroup('g');
      expect([await store.getRow('g', 'k1'), await store.getRows('g', ['k1'])]).toEqual([
        undefined,
        [undefined],
      ]);
      expect(await collect(store.scanRows('g', { prefix: '' }))).toEqual([]);
      await store.write(only({ group: 'h', rows: [put('k', 'h')] }), true);
      // Closed half-way, the removal goes on after the restart, and a new group of the name waits for it.
      const again = await reopen();
      expect(await again.groups()).toEqual(['h']);
      await again.write(only({ group: 'g', rows: [put('k4999', 'new')] }), true);
      expect(await collect(again.scanRows('g', { prefix: '' }))).toEqual([['k4999', 'new']]);
    }));

  it('keeps the lives of a name apart that is dropped and taken up again and again', () =>
    withStore(async (store, reopen) => {
      const rows = Array.from({ length: 1500 }, (_unused, i) => put(`k${i}`, 'v'));
      const groups = ['g', 'ga'];
      for (let life = 1; life <= 4; life++) {
        for (const group of groups)
          void store.write(only({ group, append: entries(1, 700 * life), rows }), false);
        for (const group of groups) void store.dropGroup(group);
        void store.write(only({ group: 'ga', append: entries(1, life) }), false);
        void store.dropGroup('ga');
      }
      await store.write(only({ group: 'g', append: entries(1, 2), rows: [put('k', 'v')] }), true);
      const again = await reopen();
      expect(await again.groups()).toEqual(['g']);
      expect((await again.loadGroup('g'))?.entries.length).toBe(2);
      expect(await collect(again.scanRows('g', { prefix: '' }))).toEqual([['k', 'v']]);
      expect(await collect(again.scanRows('ga', { prefix: '' }))).toEqual([]);
    }));

  it('refuses writes once closed, after finishing those before', () =>
    withStore(async (store, reopen) => {
      const last = store.write(only({ group: 'g', append: entries(1, 1) }), true);
      const closed = store.close();
      expect((await failure(store.write(only({ group: 'g' }), true))).code).toBe('InternalError');
      await last;
      await closed;
      expect((await (await reopen()).loadGroup('g'))?.entries.length).toBe(1);
    }));
});
