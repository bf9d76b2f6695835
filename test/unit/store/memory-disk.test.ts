import { describe, expect, it } from 'vitest';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { entries, entry, failure, only, put } from './store-values.ts';

const caught = (work: () => unknown): Promise<string> =>
  failure(Promise.resolve().then(work)).then((error) => error.code);

describe('the memory disk', () => {
  it('loses no synced batch in a crash and any number of unsynced ones', async () => {
    const survivors = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      const disk = new MemoryDisk({ seed });
      const store = openMemoryStore(disk);
      await store.write(only({ group: 'g', append: entries(1, 3) }), true);
      for (let index = 4; index <= 6; index++)
        await store.write(only({ group: 'g', append: [entry(index)] }), false);
      const lost = disk.crash();
      const length = (await openMemoryStore(disk).loadGroup('g'))?.entries.length ?? 0;
      expect(length).toBe(6 - lost);
      survivors.add(length);
    }
    expect([...survivors].sort()).toEqual([3, 4, 5, 6]);
  });

  it('keeps what was written when only the process dies', async () => {
    const disk = new MemoryDisk();
    await openMemoryStore(disk).write(only({ group: 'g', append: entries(1, 3) }), false);
    disk.kill();
    const store = openMemoryStore(disk);
    expect((await store.loadGroup('g'))?.entries.length).toBe(3);
    disk.crash(0);
    expect(await openMemoryStore(disk).loadGroup('g')).toBeUndefined();
  });

  it('answers nothing to the store of an earlier life', async () => {
    const disk = new MemoryDisk();
    const store = openMemoryStore(disk);
    disk.crash();
    expect((await failure(store.write(only({ group: 'g' }), true))).code).toBe('InternalError');
    expect((await failure(store.getRow('g', 'k'))).code).toBe('InternalError');
  });

  it('may or may not have a write that was in flight when the power went', async () => {
    const outcomes = new Set<boolean>();
    for (let seed = 1; seed <= 20; seed++) {
      let release = (): void => undefined;
      const latency = (): Promise<void> => new Promise((resolve) => (release = resolve));
      const disk = new MemoryDisk({ seed, latency });
      const write = openMemoryStore(disk).write(only({ group: 'g', append: entries(1, 1) }), true);
      while (disk.unsyncedBatches === 0) await Promise.resolve();
      disk.crash();
      release();
      expect((await failure(write)).code).toBe('InternalError');
      outcomes.add((await openMemoryStore(disk).loadGroup('g')) !== undefined);
    }
    expect(outcomes.size).toBe(2);
  });

  it('that is full fails every later write and serves reads', async () => {
    const disk = new MemoryDisk();
    const store = openMemoryStore(disk);
    await store.write({ groups: [], local: [put('k', 'v')] }, true);
    disk.full = true;
    expect((await failure(store.write({ groups: [], local: [put('k', 'w')] }, true))).code).toBe('DiskFull');
    disk.full = false;
    expect((await failure(store.write({ groups: [], local: [put('k', 'w')] }, true))).code).toBe('DiskFull');
    expect(Buffer.from((await store.getLocal('k')) ?? []).toString()).toBe('v');
    expect((await store.failed).code).toBe('DiskFull');
  });

  it.each([
    ['e/', 'log entry'],
    ['g/', 'hard state'],
    ['s/', 'start of the log'],
  ])('that rots below %s is found out by loadGroup, whatever bit it was', async (prefix, missing) => {
    for (let seed = 1; seed <= 30; seed++) {
      const disk = new MemoryDisk({ seed });
      const store = openMemoryStore(disk);
      await store.write(only({ group: 'g', append: entries(1, 5) }), true);
      await store.write(only({ group: 'h', append: [] }), true);
      await store.close();
      disk.rot(`${prefix}g`);
      const error = await failure(openMemoryStore(disk).loadGroup('g'));
      expect([error.code, error.values.group]).toEqual(['CorruptStore', 'g']);
      expect(error.values.missing).toContain(missing);
    }
  });

  it('that rots in one group leaves the others usable', async () => {
    const disk = new MemoryDisk();
    let store = openMemoryStore(disk);
    for (const group of ['g', 'h']) await store.write(only({ group, append: entries(1, 5) }), true);
    await store.close();
    disk.rot('g/g');
    store = openMemoryStore(disk);
    expect((await store.loadGroup('h'))?.entries.length).toBe(5);
    expect((await failure(store.write(only({ group: 'g', append: [entry(6)] }), true))).code).toBe(
      'CorruptStore',
    );
    await store.dropGroup('g');
    expect(await store.loadGroup('g')).toBeUndefined();
  });

  it('that rots in a row is found out when the row is read', async () => {
    const disk = new MemoryDisk();
    const store = openMemoryStore(disk);
    await store.write(only({ group: 'g', rows: [put('k', 'v')] }), true);
    disk.rot('r/');
    const error = await failure(store.getRow('g', 'k'));
    expect([error.code, error.values]).toEqual(['CorruptStore', { group: 'g', key: 'r/g/k' }]);
  });

  it('from which an entry vanished is found out, at the end of the log too', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const disk = new MemoryDisk({ seed });
      const store = openMemoryStore(disk);
      await store.write(only({ group: 'g', append: entries(1, 5) }), true);
      const index = Number.parseInt(disk.vanish('e/')?.slice(-14) ?? '', 16);
      const error = await failure(store.loadGroup('g'));
      expect(error.values).toEqual({ group: 'g', missing: `log entry ${index}` });
    }
  });

  it('that lied about a sync is refused', async () => {
    const disk = new MemoryDisk();
    const store = openMemoryStore(disk);
    for (let index = 1; index <= 3; index++)
      await store.write(only({ group: 'g', append: [entry(index)] }), true);
    disk.loseSynced(2);
    expect(await caught(() => openMemoryStore(disk))).toBe('CorruptStore');
  });

  it('is somebody else after it was wiped', async () => {
    const disk = new MemoryDisk();
    const store = openMemoryStore(disk);
    await store.write(only({ group: 'g', append: entries(1, 3) }), true);
    disk.wipe();
    const fresh = openMemoryStore(disk);
    expect(fresh.incarnation).not.toBe(store.incarnation);
    expect(await fresh.groups()).toEqual([]);
  });

  it('serves one store at a time', async () => {
    const disk = new MemoryDisk();
    openMemoryStore(disk);
    expect(await caught(() => openMemoryStore(disk))).toBe('AgentRunning');
  });
});
