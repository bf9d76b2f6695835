import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ChunkFiles } from '../../../agent/files/chunk-files.ts';
import { ChunkStore, type ChunkStoreOptions } from '../../../agent/files/chunk-store.ts';
import { DiskThreads } from '../../../agent/files/disk-threads.ts';
import { hashOf } from '../../../agent/files/manifest.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { giveBack } from '../../../src/lib/lent-bytes.ts';
import { CHUNK_BYTES } from '../../../src/lib/limits.ts';
import { fc } from '../../support/properties.ts';
import { diskThreadScript } from './disk-thread-script.ts';
import { failureCode, temporaryDirectory } from './temporary-directory.ts';

const CAPACITY = 64 * 1024 * 1024;

async function makeStore(
  options: Partial<ChunkStoreOptions> = {},
): Promise<{ store: ChunkStore; directory: string; reopen: () => Promise<ChunkStore> }> {
  const directory = await temporaryDirectory();
  const disk = new ChunkFiles(directory, new DiskThreads(await diskThreadScript(), systemClock));
  onTestFinished(() => disk.close());
  const open = (): Promise<ChunkStore> =>
    ChunkStore.open({ disk, clock: systemClock, capacityBytes: CAPACITY, ...options });
  return { store: await open(), directory, reopen: open };
}

const pathOf = (directory: string, hash: string): string => join(directory, 'chunks', hash.slice(0, 2), hash);

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/** The bytes in pieces of odd sizes. */
async function* pieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

describe('a chunk', () => {
  it('is found under its SHA-256, over a restart too', async () => {
    const { store, reopen } = await makeStore();
    const bytes = Buffer.from('hello');
    const hash = await store.put(bytes);
    expect(hash).toBe(createHash('sha256').update('hello').digest('hex'));
    for (const current of [store, await reopen()]) {
      expect(Buffer.from((await current.get(hash)) ?? []).toString()).toBe('hello');
      expect([current.has(hash), current.sizeBytes()]).toEqual([true, 5]);
    }
  });

  it('is stored once however often and at once it is put', async () => {
    const { store, directory } = await makeStore();
    const bytes = randomBytes(1000);
    const hashes = await Promise.all(Array.from({ length: 20 }, () => store.put(bytes)));
    expect(new Set(hashes).size).toBe(1);
    expect(store.sizeBytes()).toBe(1000);
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  });

  it.each([
    ['changed', (path: string) => writeFile(path, 'hellO')],
    ['cut short', (path: string) => truncate(path, 2)],
    ['emptied', (path: string) => truncate(path, 0)],
  ])('that was %s on disk is set aside, reported and missing, and can be put again', async (_, damage) => {
    const damaged: string[] = [];
    const { store, directory } = await makeStore({ onDamaged: (hash) => damaged.push(hash) });
    const hash = await store.put(Buffer.from('hello'));
    await damage(pathOf(directory, hash));
    expect(await store.get(hash)).toBeUndefined();
    expect([store.has(hash), store.sizeBytes(), damaged]).toEqual([false, 0, [hash]]);
    expect(await readdir(join(directory, 'damaged'))).toEqual([hash]);
    await store.put(Buffer.from('hello'));
    expect(Buffer.from((await store.get(hash)) ?? []).toString()).toBe('hello');
  });

  it('above the limit is refused', async () => {
    const { store } = await makeStore();
    expect(await failureCode(store.put(Buffer.alloc(CHUNK_BYTES + 1)))).toBe('TooLarge');
  });

  it('beyond the quota is refused, and there is room again after a collect', async () => {
    const { store } = await makeStore({ capacityBytes: 2500 });
    const first = await store.put(randomBytes(1000));
    await store.put(randomBytes(1000));
    expect(await failureCode(store.put(randomBytes(1000)))).toBe('DiskFull');
    expect(await store.collect((hash) => hash !== first)).toBe(1000);
    await store.put(randomBytes(1000));
    expect(store.sizeBytes()).toBe(2000);
  });

  it.each(['../../etc/passwd', '', 'A'.repeat(64), 'constructor'])(
    'is never looked for under %j',
    async (name) => {
      const { store } = await makeStore();
      expect([store.has(name), await store.get(name)]).toEqual([false, undefined]);
    },
  );

  it('half written at a crash leaves nothing behind', async () => {
    const { store, directory, reopen } = await makeStore();
    await store.put(Buffer.from('whole'));
    await writeFile(join(directory, 'incoming/7'), 'hal');
    await mkdir(join(directory, 'chunks/ab'), { recursive: true });
    await writeFile(join(directory, 'chunks/ab/not a hash'), 'x');
    expect((await reopen()).sizeBytes()).toBe(5);
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  });
});

describe('the names of chunks', () => {
  class NotingThreads extends DiskThreads {
    readonly synced: string[] = [];

    override sync(directories: readonly string[]): Promise<void> {
      this.synced.push(...directories);
      return super.sync(directories);
    }
  }

  it('that a full disk does not take fail whoever stores them as a full disk does', async () => {
    class FullThreads extends DiskThreads {
      override sync(): Promise<void> {
        return Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }));
      }
    }
    const threads = new FullThreads(await diskThreadScript(), systemClock);
    onTestFinished(() => threads.close());
    const store = await ChunkStore.open({
      disk: new ChunkFiles(await temporaryDirectory(), threads),
      clock: systemClock,
      capacityBytes: CAPACITY,
    });
    expect(await failureCode(store.ingest(pieces(randomBytes(100), 50)))).toBe('DiskFull');
  });

  it('are made durable once, and again after a restart', async () => {
    const directory = await temporaryDirectory();
    const threads = new NotingThreads(await diskThreadScript(), systemClock);
    onTestFinished(() => threads.close());
    const open = (): Promise<ChunkStore> =>
      ChunkStore.open({
        disk: new ChunkFiles(directory, threads),
        clock: systemClock,
        capacityBytes: CAPACITY,
      });
    const hash = hashOf(Buffer.from('hello'));
    const fanOut = join(directory, 'chunks', hash.slice(0, 2));
    const store = await open();
    await store.putVerified(hash, Buffer.from(Uint8Array.from(Buffer.from('hello')).buffer));
    await Promise.all([store.settle([hash]), store.settle([hash])]);
    await store.settle([hash]);
    expect(threads.synced).toEqual([fanOut]);
    // Whoever wrote them before may have been killed.
    await (await open()).settle([hash]);
    expect(threads.synced).toEqual([fanOut, fanOut]);
  });
});

describe('a blob', () => {
  it('of any size comes back as it went in, whole and in ranges', async () => {
    const { store } = await makeStore({ chunkBytes: 64 });
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 700 }),
        fc.integer({ min: 1, max: 200 }),
        fc.nat(700),
        fc.nat(700),
        async (bytes, pieceBytes, a, b) => {
          const { manifest, manifestHash } = await store.ingest(pieces(bytes, pieceBytes));
          expect(manifest.chunks.length).toBe(Math.ceil(bytes.length / 64));
          const found = await store.readManifest(manifestHash);
          expect(found.kind === 'found' && found.manifest).toEqual(manifest);
          expect(await readAll(store.open(manifest))).toEqual(Buffer.from(bytes));
          const [from = 0, to = 0] = [a, b].map((at) => Math.min(at, bytes.length)).sort((x, y) => x - y);
          const range = store.open(manifest, { offsetBytes: from, lengthBytes: to - from });
          expect(await readAll(range)).toEqual(Buffer.from(bytes.subarray(from, to)));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gets the same hash however it was cut into pieces on its way', async () => {
    const { store } = await makeStore();
    const bytes = randomBytes(3 * CHUNK_BYTES + 17);
    const one = await store.ingest(pieces(bytes, 65_536));
    const two = await store.ingest(pieces(bytes, 99_999));
    expect(two.manifestHash).toBe(one.manifestHash);
    expect(one.manifest.chunks).toEqual(
      [0, 1, 2, 3].map((i) => hashOf(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES))),
    );
  });

  it.each([
    [-1, 1],
    [0, 11],
    [11, 0],
    [0.5, 1],
    [Number.NaN, 1],
  ])('refuses the range of %d + %d bytes of 10', async (offsetBytes, lengthBytes) => {
    const { store } = await makeStore();
    const { manifest } = await store.ingest(pieces(Buffer.alloc(10), 10));
    expect(
      await failureCode(Promise.resolve().then(() => store.open(manifest, { offsetBytes, lengthBytes }))),
    ).toBe('InvalidRange');
  });

  it('with a damaged chunk gives what comes before it and fails there', async () => {
    const { store, directory } = await makeStore({ chunkBytes: 100 });
    const bytes = randomBytes(500);
    const { manifest } = await store.ingest(pieces(bytes, 500));
    await truncate(pathOf(directory, manifest.chunks[3] ?? ''), 50);
    const parts: Uint8Array[] = [];
    const reading = (async () => {
      for await (const part of store.open(manifest)) parts.push(part);
    })();
    expect(await failureCode(reading)).toBe('BlobNotFound');
    expect(Buffer.concat(parts)).toEqual(bytes.subarray(0, 300));
  });

  it('that is stored again is whole, whatever became of its chunks meanwhile', async () => {
    const { store, directory } = await makeStore({ chunkBytes: 100 });
    const bytes = randomBytes(500);
    const { manifest, manifestHash } = await store.ingest(pieces(bytes, 500));
    for (const hash of [manifest.chunks[3] ?? '', manifestHash])
      await writeFile(pathOf(directory, hash), randomBytes(100));
    await store.ingest(pieces(bytes, 500));
    const found = await store.readManifest(manifestHash);
    expect(found.kind).toBe('found');
    expect(await readAll(store.open(manifest))).toEqual(bytes);
  });

  it('is not collected before it is released, then only where nothing refers to it', async () => {
    const { store } = await makeStore({ chunkBytes: 100 });
    const kept = await store.ingest(pieces(randomBytes(350), 50));
    const other = await store.ingest(pieces(randomBytes(350), 50));
    expect(await store.collect(() => false)).toBe(0);
    kept.release();
    other.release();
    other.release();
    const references = new Set([kept.manifestHash, ...kept.manifest.chunks]);
    const found = await store.readManifest(kept.manifestHash);
    for (const hash of found.kind === 'found' ? found.manifestChunks : []) references.add(hash);
    expect(await store.collect((hash) => references.has(hash))).toBeGreaterThan(350);
    expect((await readAll(store.open(kept.manifest))).length).toBe(350);
    expect((await store.readManifest(other.manifestHash)).kind).toBe('missing');
  });

  it('that is put and collected at the same time is either there or not', async () => {
    const { store, directory } = await makeStore();
    const bytes = randomBytes(100);
    for (let round = 0; round < 50; round++) {
      const [hash] = await Promise.all([store.put(bytes), store.collect(() => false), store.put(bytes)]);
      const onDisk = await stat(pathOf(directory, hash)).then(
        () => true,
        () => false,
      );
      expect([store.has(hash), store.sizeBytes()]).toEqual([onDisk, onDisk ? 100 : 0]);
    }
  });

  it('whose source fails or is aborted is not acknowledged, and its chunks can be collected', async () => {
    const { store } = await makeStore({ chunkBytes: 100 });
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield randomBytes(1050);
      throw new Error('the peer is gone');
    }
    await expect(store.ingest(failing())).rejects.toThrow('the peer is gone');
    const controller = new AbortController();
    controller.abort(new Error('stop'));
    await expect(store.ingest(pieces(randomBytes(500), 100), controller.signal)).rejects.toThrow('stop');
    await store.collect(() => false);
    expect(store.sizeBytes()).toBe(0);
  });

  it('beyond the quota is refused without taking the rest of the stream', async () => {
    const { store } = await makeStore({ chunkBytes: 100, capacityBytes: 1000 });
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        given++;
        yield randomBytes(100);
      }
    }
    expect(await failureCode(store.ingest(endless()))).toBe('DiskFull');
    expect(given).toBeLessThan(20);
  });

  it('of any length takes a window of memory, read and written', async () => {
    const { store } = await makeStore({ capacityBytes: 1024 ** 3 });
    const before = process.memoryUsage().arrayBuffers;
    let highest = 0;
    const measure = (): void => {
      highest = Math.max(highest, process.memoryUsage().arrayBuffers - before);
    };
    async function* numbered(): AsyncGenerator<Uint8Array> {
      const piece = Buffer.alloc(65_536);
      for (let i = 0; i < 48 * 16; i++) {
        piece.writeUInt32LE(i);
        measure();
        yield piece;
      }
    }
    const { manifest } = await store.ingest(numbered());
    let length = 0;
    for await (const part of store.open(manifest)) {
      length += part.length;
      measure();
      giveBack(part as Buffer);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(length).toBe(48 * CHUNK_BYTES);
    // Written and read it passes through some four chunks each time; the collector frees what is left of them late.
    expect(highest).toBeLessThan(16 * CHUNK_BYTES);
  });

  it('is right for a reader that gives the memory of each piece back', async () => {
    const { store } = await makeStore({ chunkBytes: 1_000 });
    const bytes = randomBytes(50_300);
    const { manifest } = await store.ingest(pieces(bytes, 777));
    const read = createHash('sha256');
    for await (const piece of store.open(manifest)) {
      read.update(piece as Buffer);
      giveBack(piece as Buffer);
    }
    expect(read.digest('hex')).toBe(hashOf(bytes));
  });

  it('can be read from a file stream', async () => {
    const { store, directory } = await makeStore();
    const path = join(directory, 'input');
    const bytes = randomBytes(2_500_000);
    await writeFile(path, bytes);
    const { manifest } = await store.ingest(createReadStream(path));
    expect((await readAll(store.open(manifest))).equals(bytes)).toBe(true);
  });
});
