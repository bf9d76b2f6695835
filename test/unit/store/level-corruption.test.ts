import { cp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../../src/store/interface.ts';
import { levelError } from '../../../src/store/level-engine.ts';
import { openLevelStore } from '../../../src/store/level-store.ts';
import { entries, entry, failure, only, put, start } from './store-values.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A closed store whose last `count` batches are in LevelDB's log and nowhere else. */
async function storeWithLog(count: number, sync: (batch: number) => boolean): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await openLevelStore(directory);
  for (let index = 1; index <= count; index++) {
    const group = { group: 'pool:a', append: [entry(index)], rows: [put(`k${index}`, 'x'.repeat(200))] };
    await store.write({ groups: [group] }, sync(index));
  }
  await store.close();
  return directory;
}

const always = (): boolean => true;

async function newestLog(directory: string): Promise<string> {
  const names = (await readdir(join(directory, 'level'))).filter((name) => name.endsWith('.log')).sort();
  return join(directory, 'level', names[names.length - 1] ?? '');
}

async function flipByte(path: string, offset: number): Promise<void> {
  const handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 0x40;
  await handle.write(byte, 0, 1, offset);
  await handle.close();
}

async function reopenAnd<T>(directory: string, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await openLevelStore(directory);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

const logLength = (directory: string): Promise<number | undefined> =>
  reopenAnd(directory, async (store) => (await store.loadGroup('pool:a'))?.entries.length);

describe('damage to LevelDB’s log', () => {
  it.each([
    ['in the first block', 5_000],
    ['in the middle', 70_000],
  ])('%s, before synced batches, refuses the store and leaves it as it is', async (_, offset) => {
    const directory = await storeWithLog(500, (batch) => batch % 100 === 0);
    const log = await newestLog(directory);
    await flipByte(log, offset);
    const before = await readFile(log);
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.file]).toEqual(['CorruptStore', log]);
    expect(error.values.missing).toMatch(/^batches before batch \d+$/);
    expect(await readFile(log)).toEqual(before);
  });

  it('refuses the store where a page of zeros replaced synced batches', async () => {
    const directory = await storeWithLog(500, (batch) => batch % 100 === 0);
    const log = await newestLog(directory);
    const handle = await open(log, 'r+');
    await handle.write(Buffer.alloc(4096), 0, 4096, 40_960);
    await handle.close();
    expect((await failure(openLevelStore(directory))).code).toBe('CorruptStore');
  });

  it('in the last block is told from a torn tail by the acked mark, and names the group', async () => {
    const directory = await storeWithLog(50, always);
    const log = await newestLog(directory);
    await truncate(log, (await stat(log)).size - 3_000);
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.group]).toEqual(['CorruptStore', 'pool:a']);
    expect(error.values.missing).toMatch(/^batches 4\d\.\.51$/);
    expect(error.message).toMatch(/group pool:a had its log up to entry 50 and term 0, now entry [34]\d/);
  });

  it('at its end, in batches that were not synced, is cut quietly', async () => {
    const directory = await storeWithLog(50, (batch) => batch <= 20);
    const log = await newestLog(directory);
    await truncate(log, (await stat(log)).size - 3_000);
    const length = (await logLength(directory)) ?? 0;
    expect(length).toBeGreaterThanOrEqual(20);
    expect(length).toBeLessThan(50);
    expect(await logLength(directory)).toBe(length);
  });

  it('before unsynced batches cuts these too: what remains is a prefix', async () => {
    // A power cut wrote later pages of the unsynced tail and not an earlier one. LevelDB would skip the hole.
    const directory = await storeWithLog(500, (batch) => batch <= 20);
    await flipByte(await newestLog(directory), 70_000);
    const store = await openLevelStore(directory);
    const length = (await store.loadGroup('pool:a'))?.entries.length ?? 0;
    expect(length).toBeGreaterThan(20);
    expect(length).toBeLessThan(300);
    expect(await store.getRow('pool:a', `k${length}`)).toBeDefined();
    expect(await store.getRow('pool:a', `k${length + 1}`)).toBeUndefined();
    await store.write(only({ group: 'pool:a', append: [entry(length + 1)] }), true);
    await store.close();
    expect(await logLength(directory)).toBe(length + 1);
  });

  it('refuses the store where a whole batch was taken out between two others', async () => {
    const directory = await storeWithLog(500, (batch) => batch % 100 === 0);
    const log = await newestLog(directory);
    const bytes = await readFile(log);
    // Two blocks swapped for one: all checksums hold, only LevelDB's numbering shows the gap.
    await writeFile(log, Buffer.concat([bytes.subarray(0, 32_768), bytes.subarray(98_304)]));
    expect((await failure(openLevelStore(directory))).code).toBe('CorruptStore');
  });

  it('refuses the store when the log is gone', async () => {
    const directory = await storeWithLog(50, always);
    await rm(await newestLog(directory));
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.missing]).toEqual(['CorruptStore', 'database']);
  });

  it('refuses the store when a later log is gone and the older data are all there', async () => {
    const directory = await storeWithLog(50, always);
    await reopenAnd(directory, (store) => store.write(only({ group: 'pool:a', append: [entry(51)] }), true));
    await rm(await newestLog(directory));
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.group, error.values.missing]).toEqual([
      'CorruptStore',
      'pool:a',
      'batches 52..52',
    ]);
  });

  it('does not mistake a truncated Raft log for a loss', async () => {
    const directory = await storeWithLog(50, always);
    await reopenAnd(directory, (store) => store.write(only({ group: 'pool:a', truncateFrom: 5 }), true));
    expect(await logLength(directory)).toBe(4);
  });

  it('does not miss a group that was dropped', async () => {
    const directory = await storeWithLog(5, always);
    await reopenAnd(directory, (store) => store.dropGroup('pool:a'));
    expect(await logLength(directory)).toBeUndefined();
  });
});

describe('a store directory with a missing or foreign part', () => {
  it.each([
    ['CURRENT, where LevelDB would open empty', 'level/CURRENT', 'database'],
    ['the generation file', 'generation', 'generation'],
    ['the acked marks', 'acked', 'acked'],
    ['the whole database', 'level', 'database'],
  ])('is refused without %s', async (_, part, missing) => {
    const directory = await storeWithLog(5, always);
    await rm(join(directory, part), { recursive: true });
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.missing]).toEqual(['CorruptStore', missing]);
  });

  it('is refused with the database of another store', async () => {
    const directory = await storeWithLog(5, always);
    const other = await storeWithLog(500, (batch) => batch % 100 === 0);
    await rm(join(directory, 'level'), { recursive: true });
    await cp(join(other, 'level'), join(directory, 'level'), { recursive: true });
    const error = await failure(openLevelStore(directory));
    expect([error.code, error.values.missing]).toEqual(['CorruptStore', 'database']);
  });

  it.each(['', 'shoal store xyz\n'])('is refused with the generation file %j', async (text) => {
    const directory = await storeWithLog(1, always);
    await writeFile(join(directory, 'generation'), text);
    expect((await failure(openLevelStore(directory))).code).toBe('CorruptStore');
  });

  it('is refused with an empty CURRENT or a truncated manifest', async () => {
    const directory = await storeWithLog(5, always);
    await writeFile(join(directory, 'level/CURRENT'), '');
    expect((await failure(openLevelStore(directory))).code).toBe('CorruptStore');
  });

  it('finishes a creation that was interrupted before its last step', async () => {
    const directory = await temporaryDirectory();
    const store = await openLevelStore(directory);
    await store.close();
    await rm(join(directory, 'generation'));
    await rm(join(directory, 'acked'));
    expect(await reopenAnd(directory, async (again) => again.incarnation)).toBe(store.incarnation);
  });

  it('opens with unreadable acked marks, which prove nothing', async () => {
    const directory = await storeWithLog(5, always);
    await flipByte(join(directory, 'acked'), 20);
    await flipByte(join(directory, 'acked'), 1024 + 20);
    expect(await logLength(directory)).toBe(5);
  });
});

describe('damage to table files', () => {
  /** A store whose data lie in tables: a reopen turns the log into one. */
  async function storeWithTables(): Promise<{ directory: string; tables: string[] }> {
    const directory = await temporaryDirectory();
    const store = await openLevelStore(directory);
    await store.write(only({ group: 'pool:a', append: entries(1, 400), start: start(0, 0) }), true);
    await store.close();
    await reopenAnd(directory, async () => undefined);
    const names = (await readdir(join(directory, 'level'))).filter((name) => name.endsWith('.ldb'));
    return { directory, tables: names.map((name) => join(directory, 'level', name)) };
  }

  it('refuses the store when a table is missing', async () => {
    const { directory, tables } = await storeWithTables();
    await rm(tables[0] ?? '');
    expect((await failure(openLevelStore(directory))).code).toBe('CorruptStore');
  });

  it('never shows a damaged or shortened log, wherever a byte is flipped', async () => {
    const { directory, tables } = await storeWithTables();
    const table = tables[0] ?? '';
    const size = (await stat(table)).size;
    let found = 0;
    for (let offset = 40; offset < size; offset += Math.ceil(size / 25)) {
      await flipByte(table, offset);
      const outcome = await logLength(directory).catch((error: unknown) => levelError(error, directory).code);
      if (outcome === 'CorruptStore') found++;
      else expect(outcome).toBe(400);
      await flipByte(table, offset);
    }
    expect(found).toBeGreaterThan(5);
  });
});

describe('errors of LevelDB', () => {
  it.each([
    ['IO error: /x/000012.log: No space left on device', 'LEVEL_IO_ERROR', 'DiskFull'],
    ['IO error: /x/000012.log: Disk quota exceeded', 'LEVEL_IO_ERROR', 'DiskFull'],
    ['IO error: /x/000012.log: Input/output error', 'LEVEL_IO_ERROR', 'InternalError'],
    ['Corruption: block checksum mismatch', 'LEVEL_CORRUPTION', 'CorruptStore'],
    ['IO error: lock /x/LOCK: already held by process', 'LEVEL_LOCKED', 'AgentRunning'],
  ])('%j becomes %s → %s', (message, code, expected) => {
    const cause = Object.assign(new Error(message), { code });
    expect(levelError(new Error('Database failed to open', { cause }), '/x').code).toBe(expected);
  });
});
