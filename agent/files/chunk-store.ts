/**
 * Chunks of blobs on this machine's disk, each under its SHA-256:
 *
 *     <directory>/chunks/<first 2 digits>/<hash>
 *     <directory>/incoming/<number>     being written; removed at start
 *     <directory>/damaged/<hash>        failed its hash when read
 *
 * 256 directories of some thousand files each are right for ext4 up to terabytes; a second level would mostly hold
 * one file per directory and make the scan at start as slow as the disk.
 *
 * Durability. A chunk is written to `incoming`, fdatasynced and renamed, a few at once; the fan-out directories are
 * synced before `put` or `ingest` resolves, the manifest goes last. So a name never stands for bytes that are not on
 * disk, and a blob is acknowledged when all of it is. Measured (256 MiB, ext4): fdatasync of each 1 MiB file by 4
 * writers 1.6 GB/s, all synced at the end 1.4 GB/s, none synced 2.8 GB/s: the plain way is also the fastest safe one.
 */
import { type Dirent, constants as fsConstants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  BLOB_BYTES_MAX,
  CHUNK_BYTES,
  CHUNK_READ_AHEAD,
  CHUNK_WRITES_MAX,
  CHUNKS_SET_ASIDE_MAX,
} from '../../src/lib/limits.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import {
  type ChunkHash,
  chunkLength,
  encodeManifest,
  hashOf,
  isChunkHash,
  type Manifest,
  type ResolvedManifest,
  resolveManifest,
} from './manifest.ts';
import { readInto } from './read-into.ts';

export interface ChunkStoreOptions {
  /** More is refused with DiskFull. Counted in bytes of content. */
  readonly capacityBytes: number;
  /** Length of the chunks that `ingest` cuts. Default and maximum `CHUNK_BYTES`. */
  readonly chunkBytes?: number;
  /** A chunk failed its hash when read; it counts as missing from then on. */
  readonly onDamaged?: (hash: ChunkHash) => void;
}

export interface IngestedBlob {
  readonly manifest: Manifest;
  readonly manifestHash: ChunkHash;
  /** Until this is called no `collect` takes the blob's chunks. Call it once something else refers to the blob. */
  readonly release: () => void;
}

export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Chunks that `collect` looks at before it lets the loop turn. */
const COLLECT_TURN = 4096;

export class ChunkStore {
  readonly #directory: string;
  readonly #options: ChunkStoreOptions;
  readonly #chunkBytes: number;
  /** Hash to size of every chunk on disk: some 150 bytes a chunk, 150 MB for a terabyte. */
  readonly #sizes = new Map<ChunkHash, number>();
  /** Chunks that must not be collected, with how often they were pinned. */
  readonly #pins = new Map<ChunkHash, number>();
  /** Writes and removals under way: at most one for each hash, so that an unlink never meets a rename. */
  readonly #busy = new Map<ChunkHash, Promise<void>>();
  /** Fan-out directories that exist or are being made. */
  readonly #fanOuts = new Map<string, Promise<void>>();
  readonly #writers = new Slots(CHUNK_WRITES_MAX);
  #usedBytes = 0;
  #incomingNumber = 0;

  private constructor(directory: string, options: ChunkStoreOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
  }

  /** Opens or makes the store in `directory`. One process at a time: the caller holds the machine's lock. */
  static async open(directory: string, options: ChunkStoreOptions): Promise<ChunkStore> {
    const store = new ChunkStore(directory, options);
    await rm(join(directory, 'incoming'), { recursive: true, force: true });
    for (const name of ['incoming', 'damaged', 'chunks']) {
      await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
    }
    await syncDirectory(directory);
    for (const name of await readdir(join(directory, 'chunks'))) {
      if (/^[0-9a-f]{2}$/.test(name)) await store.#loadFanOut(name);
    }
    return store;
  }

  /** Bytes of all chunks, those being written included. */
  sizeBytes(): number {
    return this.#usedBytes;
  }

  has(hash: ChunkHash): boolean {
    return this.#sizes.has(hash);
  }

  /** Every chunk on disk. */
  hashes(): Iterable<ChunkHash> {
    return this.#sizes.keys();
  }

  /** Stores one chunk, durably when it resolves. Throws TooLarge above `CHUNK_BYTES`, and DiskFull. */
  async put(bytes: Uint8Array): Promise<ChunkHash> {
    if (bytes.length > CHUNK_BYTES) {
      throw new ShoalError('TooLarge', `A chunk has at most ${CHUNK_BYTES} bytes; got ${bytes.length}.`);
    }
    const hash = hashOf(bytes);
    await this.#write(hash, bytes);
    // Also where it was here already: whoever renamed it may not have come to this line yet.
    await syncDirectory(this.#fanOut(hash));
    return hash;
  }

  /**
   * Stores one chunk of many whose hash the caller has computed. Its name may be lost in a crash until `settle` was called
   * with it; never do wrong bytes get its name. The bytes are the caller's again when it resolves.
   */
  async putHashed(hash: ChunkHash, bytes: Uint8Array): Promise<void> {
    if (bytes.length > CHUNK_BYTES) throw new ShoalError('TooLarge');
    await this.#write(hash, bytes);
  }

  /** Makes the names of chunks that `putHashed` stored durable: one sync for each directory, not for each chunk. */
  settle(hashes: readonly ChunkHash[]): Promise<void> {
    return this.#syncFanOuts(hashes);
  }

  /** The chunk, or undefined where it is not here. Its hash is checked: damaged bytes are set aside and never returned. */
  async get(hash: ChunkHash): Promise<Uint8Array | undefined> {
    if (!this.#sizes.has(hash)) return undefined;
    const bytes = await this.#readFile(hash, Buffer.allocUnsafeSlow);
    if (bytes !== undefined && hashOf(bytes) === hash) return bytes;
    // A collect may have taken it between the two lines above.
    if (this.#sizes.has(hash)) await this.#setAside(hash);
    return undefined;
  }

  /**
   * The chunk as it is on disk, for a peer: whoever receives a chunk checks its hash, and says so where it fails. The
   * check here would double the hashing of every transfer. Its memory is taken from `buffers`.
   */
  getUnchecked(hash: ChunkHash, buffers: ChunkBuffers): Promise<Buffer | undefined> {
    return this.#readFile(hash, (lengthBytes) => buffers.take(lengthBytes));
  }

  /** Reads the chunk from disk and sets it aside if it is damaged. */
  async examine(hash: ChunkHash): Promise<void> {
    await this.get(hash);
  }

  /** Protects a chunk, here already or not yet, from `collect` until `unpin` is called as often. */
  pin(hash: ChunkHash): void {
    this.#pins.set(hash, (this.#pins.get(hash) ?? 0) + 1);
  }

  unpin(hash: ChunkHash): void {
    const count = this.#pins.get(hash) ?? 0;
    if (count > 1) this.#pins.set(hash, count - 1);
    else this.#pins.delete(hash);
  }

  /** Removes every chunk that is neither referenced nor pinned. Returns the bytes that came free. */
  async collect(isReferenced: (hash: ChunkHash) => boolean): Promise<number> {
    let freed = 0;
    let looked = 0;
    for (const [hash, size] of this.#sizes) {
      if (++looked % COLLECT_TURN === 0) await setImmediate();
      if (this.#pins.has(hash) || isReferenced(hash)) continue;
      await this.#remove(hash, () => unlink(this.#path(hash)));
      freed += size;
    }
    return freed;
  }

  // --- Blobs ----------------------------------------------------------------------------------------------------

  /**
   * Cuts a stream into chunks and stores them with their manifest; resolves when all of it is on disk. Holds
   * `CHUNK_WRITES_MAX` + 2 chunks in memory at most, and reads no faster than the disk writes. What a failed ingest
   * has written stays until the next `collect`. `signal` is looked at between two chunks. Throws DiskFull, TooLarge,
   * and what the stream throws.
   */
  async ingest(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<IngestedBlob> {
    const pinned: ChunkHash[] = [];
    const release = (): void => {
      for (const hash of pinned.splice(0)) this.unpin(hash);
    };
    const keep = async (bytes: Uint8Array, hash: ChunkHash): Promise<void> => {
      this.pin(hash);
      pinned.push(hash);
      await this.#write(hash, bytes);
    };
    // One is being filled while the others are written.
    const buffers = new ChunkBuffers(this.#chunkBytes, CHUNK_WRITES_MAX + 1);
    const keepChunk = async (bytes: Uint8Array, hash: ChunkHash): Promise<void> => {
      await keep(bytes, hash);
      buffers.giveBack(bytes);
    };
    try {
      const manifest = await this.#ingestChunks(source, buffers, keepChunk, signal);
      await this.#syncFanOuts(manifest.chunks);
      const encoded = encodeManifest(manifest, this.#chunkBytes);
      const hashes = encoded.map(hashOf);
      for (const [i, hash] of hashes.entries()) await keep(encoded[i] ?? new Uint8Array(), hash);
      await this.#syncFanOuts(hashes);
      return { manifest, manifestHash: hashes[hashes.length - 1] ?? '', release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async #ingestChunks(
    source: AsyncIterable<Uint8Array>,
    buffers: ChunkBuffers,
    keep: (bytes: Uint8Array, hash: ChunkHash) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<Manifest> {
    const chunks: ChunkHash[] = [];
    let sizeBytes = 0;
    const window = new Window(CHUNK_WRITES_MAX);
    try {
      for await (const chunk of cutChunks(source, this.#chunkBytes, buffers)) {
        signal?.throwIfAborted();
        sizeBytes += chunk.length;
        if (sizeBytes > BLOB_BYTES_MAX)
          throw new ShoalError('TooLarge', `A blob has at most ${BLOB_BYTES_MAX} bytes.`);
        const hash = hashOf(chunk);
        chunks.push(hash);
        await window.add(keep(chunk, hash));
      }
    } finally {
      await window.settle();
    }
    window.throwFailure();
    return { sizeBytes, chunkBytes: this.#chunkBytes, chunks };
  }

  /** The manifest of the blob with this hash, from chunks that are here. */
  readManifest(manifestHash: ChunkHash): Promise<ResolvedManifest> {
    return resolveManifest(manifestHash, (hash) => this.get(hash));
  }

  /**
   * The blob's bytes, or a range of them. Throws InvalidRange where the range reaches beyond the blob. The stream fails
   * with BlobNotFound at a chunk that is missing or damaged, so what it has given is always right.
   */
  open(manifest: Manifest, range: ByteRange = { offsetBytes: 0, lengthBytes: manifest.sizeBytes }): Readable {
    const { offsetBytes, lengthBytes } = range;
    const valid = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes);
    if (!valid || offsetBytes < 0 || lengthBytes < 0 || offsetBytes + lengthBytes > manifest.sizeBytes) {
      throw new ShoalError(
        'InvalidRange',
        `Bytes ${offsetBytes} to ${offsetBytes + lengthBytes} of a blob of ${manifest.sizeBytes}.`,
      );
    }
    return Readable.from(this.#read(manifest, offsetBytes, offsetBytes + lengthBytes), {
      objectMode: false,
      highWaterMark: 1,
    });
  }

  async *#read(manifest: Manifest, from: number, to: number): AsyncGenerator<Uint8Array> {
    const { chunkBytes } = manifest;
    const last = Math.ceil(to / chunkBytes) - 1;
    const ahead: Promise<Uint8Array>[] = [];
    let next = Math.floor(from / chunkBytes);
    for (let index = next; index <= last && from < to; index++) {
      while (next <= last && next <= index + CHUNK_READ_AHEAD) {
        const fetched = this.#chunkOf(manifest, next++);
        // Whoever stops reading early leaves these behind; their failure is then nobody's business.
        fetched.catch(() => undefined);
        ahead.push(fetched);
      }
      const chunk = await ahead.shift();
      if (chunk === undefined) return;
      const start = index * chunkBytes;
      yield chunk.subarray(Math.max(0, from - start), Math.min(chunk.length, to - start));
    }
  }

  async #chunkOf(manifest: Manifest, index: number): Promise<Uint8Array> {
    const hash = manifest.chunks[index] ?? '';
    const bytes = await this.get(hash);
    if (bytes !== undefined && bytes.length === chunkLength(manifest, index)) return bytes;
    throw new ShoalError('BlobNotFound', `Chunk ${index} of the blob is not on this machine.`, {
      chunk: hash,
    });
  }

  // --- Disk -----------------------------------------------------------------------------------------------------

  async #write(hash: ChunkHash, bytes: Uint8Array): Promise<void> {
    for (let busy = this.#busy.get(hash); busy !== undefined; busy = this.#busy.get(hash)) await busy;
    if (this.#sizes.has(hash)) return;
    if (this.#usedBytes + bytes.length > this.#options.capacityBytes) {
      throw new ShoalError(
        'DiskFull',
        `The chunk store holds ${this.#usedBytes} of ${this.#options.capacityBytes} bytes and cannot take ${bytes.length} more.`,
      );
    }
    this.#usedBytes += bytes.length;
    try {
      await this.#exclusive(hash, () => this.#writers.run(() => this.#writeFile(hash, bytes)));
    } catch (error) {
      this.#usedBytes -= bytes.length;
      throw diskError(error);
    }
  }

  /** A file that was cut short gives less than the chunk has. */
  async #readFile(hash: ChunkHash, take: (lengthBytes: number) => Buffer): Promise<Buffer | undefined> {
    const size = this.#sizes.get(hash);
    if (size === undefined) return undefined;
    try {
      const handle = await open(this.#path(hash));
      try {
        const bytes = take(size);
        return bytes.subarray(0, await readInto(handle, bytes, 0));
      } finally {
        await handle.close();
      }
    } catch (error) {
      return readFailure(error);
    }
  }

  async #writeFile(hash: ChunkHash, bytes: Uint8Array): Promise<void> {
    const incoming = join(this.#directory, 'incoming', String(this.#incomingNumber++));
    try {
      const handle = await open(incoming, 'wx', 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await this.#makeFanOut(this.#fanOut(hash));
      await rename(incoming, this.#path(hash));
    } catch (error) {
      await rm(incoming, { force: true }).catch(() => undefined);
      throw error;
    }
    this.#sizes.set(hash, bytes.length);
  }

  /** Out of the books first: from here on the chunk is missing to everybody. */
  async #remove(hash: ChunkHash, unlinkFile: () => Promise<void>): Promise<void> {
    const size = this.#sizes.get(hash) ?? 0;
    this.#sizes.delete(hash);
    try {
      await this.#exclusive(hash, unlinkFile);
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw diskError(error);
    } finally {
      this.#usedBytes -= size;
    }
  }

  async #setAside(hash: ChunkHash): Promise<void> {
    const damaged = join(this.#directory, 'damaged');
    await this.#remove(hash, async () => {
      const names = await readdir(damaged);
      for (const name of names.slice(CHUNKS_SET_ASIDE_MAX - 1))
        await rm(join(damaged, name), { force: true });
      await rename(this.#path(hash), join(damaged, hash));
    });
    this.#options.onDamaged?.(hash);
  }

  #exclusive(hash: ChunkHash, work: () => Promise<void>): Promise<void> {
    const done = work().finally(() => this.#busy.delete(hash));
    // Those who wait for the hash only need it free; the failure belongs to whoever started the work.
    this.#busy.set(
      hash,
      done.catch(() => undefined),
    );
    return done;
  }

  async #loadFanOut(name: string): Promise<void> {
    const path = join(this.#directory, 'chunks', name);
    const files = await readdir(path, { withFileTypes: true });
    await Promise.all(files.map((file) => this.#register(path, file)));
    this.#fanOuts.set(path, Promise.resolve());
  }

  /** Made when first needed: all 256 at once would cost a start 0.1 s. */
  #makeFanOut(path: string): Promise<void> {
    const making = this.#fanOuts.get(path) ?? makeDirectory(path);
    this.#fanOuts.set(path, making);
    // A failure (a full disk) is not remembered.
    making.catch(() => this.#fanOuts.delete(path));
    return making;
  }

  /** A size that no chunk has, or a name, is nothing of ours or a torn write: either would only fail its hash later. */
  async #register(path: string, file: Dirent): Promise<void> {
    if (!file.isFile() || !isChunkHash(file.name)) return;
    const { size } = await stat(join(path, file.name));
    if (size > CHUNK_BYTES) return;
    this.#sizes.set(file.name, size);
    this.#usedBytes += size;
  }

  async #syncFanOuts(hashes: readonly ChunkHash[]): Promise<void> {
    const directories = new Set(hashes.map((hash) => this.#fanOut(hash)));
    await Promise.all([...directories].map((path) => this.#writers.run(() => syncDirectory(path))));
  }

  #fanOut(hash: ChunkHash): string {
    return join(this.#directory, 'chunks', hash.slice(0, 2));
  }

  #path(hash: ChunkHash): string {
    return join(this.#fanOut(hash), hash);
  }
}

/** Pieces of exactly `chunkBytes`, the last one shorter; each is whoever's it is yielded to. */
async function* cutChunks(
  source: AsyncIterable<Uint8Array>,
  chunkBytes: number,
  buffers: ChunkBuffers,
): AsyncGenerator<Uint8Array> {
  let chunk = buffers.take(chunkBytes);
  let filled = 0;
  for await (const piece of source) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + chunkBytes - filled);
      chunk.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < chunkBytes) continue;
      yield chunk;
      chunk = buffers.take(chunkBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

/** Work in flight, bounded; remembers the first failure so that none goes unhandled. */
class Window {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits until there is room for the next; throws what an earlier one failed with. */
  async add(work: Promise<void>): Promise<void> {
    const tracked = work
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    this.throwFailure();
  }

  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** Lets `count` pieces of work run at once; the others wait in order. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The slot passes straight to the next in line.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A block that the disk cannot read any more (EIO) is as good as damaged. */
function readFailure(error: unknown): undefined {
  if (isCode(error, 'ENOENT') || isCode(error, 'EIO')) return undefined;
  throw diskError(error);
}

function diskError(error: unknown): ShoalError {
  if (isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')) {
    return new ShoalError('DiskFull', undefined, {}, { cause: error });
  }
  return asShoalError(error);
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
