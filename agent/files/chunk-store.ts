/**
 * Chunks of blobs on this machine, each under its SHA-256; which of them are here is known in memory.
 *
 * Durability. A chunk's bytes are durable before it has its name; the names are made durable before `put` or `ingest`
 * resolves, the manifest goes last. So a name never stands for bytes that are not on disk, and a blob is acknowledged when
 * all of it is.
 */
import { Readable } from 'node:stream';
import { type Clock, nextTurn } from '../../src/lib/clock.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { lend } from '../../src/lib/lent-bytes.ts';
import { BLOB_BYTES_MAX, CHUNK_BYTES, CHUNK_READ_AHEAD, CHUNK_WRITES_MAX } from '../../src/lib/limits.ts';
import { isCode } from '../../src/lib/system-error.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import type { ChunkDisk, DiskResult, FoundFile } from './chunk-disk.ts';
import { diskError } from './disk-error.ts';
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

export interface ChunkStoreOptions {
  readonly disk: ChunkDisk;
  readonly clock: Clock;
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

/** What came of writing a chunk; `bytes` are the caller's again. */
export type Written =
  | { readonly kind: 'stored'; readonly bytes: Buffer<ArrayBuffer> }
  /** It is here already. */
  | { readonly kind: 'present'; readonly bytes: Buffer<ArrayBuffer> }
  /** They are not the chunk of that hash. */
  | { readonly kind: 'wrong'; readonly bytes: Buffer<ArrayBuffer> };

interface WriteOptions {
  readonly verify: boolean;
  readonly syncName: boolean;
}

/** Chunks that `collect` looks at before it lets the loop turn. */
const COLLECT_TURN = 4096;

export class ChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #disk: ChunkDisk;
  readonly #chunkBytes: number;
  /** Hash to size of every chunk on disk: some 150 bytes a chunk, 150 MB for a terabyte. */
  readonly #sizes = new Map<ChunkHash, number>();
  /** Chunks that must not be collected, with how often they were pinned. */
  readonly #pins = new Map<ChunkHash, number>();
  /** Writes and removals under way: at most one for each hash, so that an unlink never meets a rename. */
  readonly #busy = new Map<ChunkHash, Promise<void>>();
  readonly #examined = new ChunkBuffers(CHUNK_BYTES, CHUNK_WRITES_MAX);
  #usedBytes = 0;

  private constructor(options: ChunkStoreOptions) {
    this.#options = options;
    this.#disk = options.disk;
    this.#chunkBytes = options.chunkBytes ?? CHUNK_BYTES;
  }

  static async open(options: ChunkStoreOptions): Promise<ChunkStore> {
    const store = new ChunkStore(options);
    for (const file of await options.disk.open()) store.#register(file);
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
    const { kind } = await this.#writeSound(hash, movable(bytes), { verify: false, syncName: true });
    // Whoever brought it may not have come to that yet.
    if (kind === 'present') await this.settle([hash]);
    return hash;
  }

  /**
   * Stores one chunk of many if it has this hash. Its name may be lost in a crash until `settle` was called with it; never do
   * wrong bytes get its name. `bytes`, which begin where their memory begins, move away and come back with the answer.
   */
  async putVerified(hash: ChunkHash, bytes: Buffer<ArrayBuffer>): Promise<Written> {
    if (bytes.length > CHUNK_BYTES) throw new ShoalError('TooLarge');
    return this.#write(hash, bytes, { verify: true, syncName: false });
  }

  /** Makes the names of chunks that `putVerified` stored durable. */
  async settle(hashes: readonly ChunkHash[]): Promise<void> {
    try {
      await this.#disk.settle(hashes);
    } catch (error) {
      throw diskError(error);
    }
  }

  /**
   * The chunk, or undefined where it is not here. Its hash is checked: damaged bytes are set aside and never returned. Its
   * memory is taken from `buffers` where there are any.
   */
  async get(hash: ChunkHash, buffers?: ChunkBuffers): Promise<Buffer<ArrayBuffer> | undefined> {
    const size = this.#sizes.get(hash);
    if (size === undefined) return undefined;
    const memory = buffers?.take(size).buffer;
    const found = await this.#readFile(hash, { hashed: true, ...(memory === undefined ? {} : { memory }) });
    if (found?.memory !== undefined && found.hash === hash) return bytesOf(found);
    // A collect may have taken it between the two lines above.
    if (this.#sizes.has(hash)) await this.#setAside(hash);
    return undefined;
  }

  /**
   * The chunk as it is on disk, for a peer: whoever receives a chunk checks its hash, and says so where it fails. The
   * check here would double the hashing of every transfer. Its memory is taken from `buffers`.
   */
  async getUnchecked(hash: ChunkHash, buffers: ChunkBuffers): Promise<Buffer<ArrayBuffer> | undefined> {
    const size = this.#sizes.get(hash);
    if (size === undefined) return undefined;
    const found = await this.#readFile(hash, { hashed: false, memory: buffers.take(size).buffer });
    return found === undefined ? undefined : bytesOf(found);
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
      if (++looked % COLLECT_TURN === 0) await nextTurn(this.#options.clock);
      if (this.#pins.has(hash) || isReferenced(hash)) continue;
      await this.#remove(hash, () => this.#disk.remove(hash));
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
    const kept = new Set<ChunkHash>();
    const keep = async (bytes: Buffer<ArrayBuffer>, hash: ChunkHash): Promise<Written> => {
      if (kept.has(hash)) return { kind: 'present', bytes };
      kept.add(hash);
      this.pin(hash);
      pinned.push(hash);
      return this.#writeSound(hash, bytes, { verify: false, syncName: false });
    };
    try {
      const manifest = await this.#ingestChunks(source, keep, signal);
      await this.settle(manifest.chunks);
      const encoded = encodeManifest(manifest, this.#chunkBytes);
      const hashes = encoded.map(hashOf);
      for (const [i, hash] of hashes.entries()) await keep(movable(encoded[i] ?? new Uint8Array()), hash);
      await this.settle(hashes);
      return { manifest, manifestHash: hashes[hashes.length - 1] ?? '', release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async #ingestChunks(
    source: AsyncIterable<Uint8Array>,
    keep: (bytes: Buffer<ArrayBuffer>, hash: ChunkHash) => Promise<Written>,
    signal: AbortSignal | undefined,
  ): Promise<Manifest> {
    const chunks: ChunkHash[] = [];
    let sizeBytes = 0;
    // One is being filled while the others are written.
    const buffers = new ChunkBuffers(this.#chunkBytes, CHUNK_WRITES_MAX + 1);
    const add = async (chunk: Buffer<ArrayBuffer>, place: number): Promise<void> => {
      const hashed = await this.#disk.hash(chunk);
      const hash = hashed.hash ?? '';
      chunks[place] = hash;
      buffers.giveBack((await keep(bytesOf(hashed), hash)).bytes);
    };
    const window = new Window(CHUNK_WRITES_MAX);
    try {
      for await (const chunk of cutChunks(source, this.#chunkBytes, buffers)) {
        signal?.throwIfAborted();
        sizeBytes += chunk.length;
        if (sizeBytes > BLOB_BYTES_MAX)
          throw new ShoalError('TooLarge', `A blob has at most ${BLOB_BYTES_MAX} bytes.`);
        await window.add(add(chunk, chunks.push('') - 1));
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
   * with BlobNotFound at a chunk that is missing or damaged, so what it has given is always right. Its bytes are lent.
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
    const buffers = new ChunkBuffers(chunkBytes, CHUNK_READ_AHEAD + 1);
    const ahead: Promise<Buffer<ArrayBuffer>>[] = [];
    let next = Math.floor(from / chunkBytes);
    for (let index = next; index <= last && from < to; index++) {
      while (next <= last && next <= index + CHUNK_READ_AHEAD) {
        const fetched = this.#chunkOf(manifest, next++, buffers);
        // Whoever stops reading early leaves these behind; their failure is then nobody's business.
        fetched.catch(() => undefined);
        ahead.push(fetched);
      }
      const chunk = await ahead.shift();
      if (chunk === undefined) return;
      const start = index * chunkBytes;
      lend(chunk, () => buffers.giveBack(chunk));
      yield chunk.subarray(Math.max(0, from - start), Math.min(chunk.length, to - start));
    }
  }

  async #chunkOf(manifest: Manifest, index: number, buffers: ChunkBuffers): Promise<Buffer<ArrayBuffer>> {
    const hash = manifest.chunks[index] ?? '';
    const bytes = await this.get(hash, buffers);
    if (bytes !== undefined && bytes.length === chunkLength(manifest, index)) return bytes;
    throw new ShoalError('BlobNotFound', `Chunk ${index} of the blob is not on this machine.`, {
      chunk: hash,
    });
  }

  // --- Disk -----------------------------------------------------------------------------------------------------

  /**
   * A chunk that is here already may have been damaged since it was written. Whoever stores it again has the right bytes,
   * and will be told that they are safe: so it is read first, and written anew where it fails its hash.
   */
  async #writeSound(hash: ChunkHash, bytes: Buffer<ArrayBuffer>, options: WriteOptions): Promise<Written> {
    const written = await this.#write(hash, bytes, options);
    if (written.kind !== 'present') return written;
    const here = await this.get(hash, this.#examined);
    if (here === undefined) return this.#write(hash, written.bytes, options);
    this.#examined.giveBack(here);
    return written;
  }

  async #write(hash: ChunkHash, bytes: Buffer<ArrayBuffer>, options: WriteOptions): Promise<Written> {
    for (let busy = this.#busy.get(hash); busy !== undefined; busy = this.#busy.get(hash)) await busy;
    if (this.#sizes.has(hash)) return { kind: 'present', bytes };
    const lengthBytes = bytes.length;
    if (this.#usedBytes + lengthBytes > this.#options.capacityBytes) {
      throw new ShoalError(
        'DiskFull',
        `The chunk store holds ${this.#usedBytes} of ${this.#options.capacityBytes} bytes and cannot take ${lengthBytes} more.`,
      );
    }
    this.#usedBytes += lengthBytes;
    try {
      const written = await this.#exclusive(hash, () => this.#writeFile(hash, bytes, options));
      if (written.kind === 'wrong') this.#usedBytes -= lengthBytes;
      return written;
    } catch (error) {
      this.#usedBytes -= lengthBytes;
      throw diskError(error);
    }
  }

  /** A file that was cut short gives less than the chunk has. */
  async #readFile(
    hash: ChunkHash,
    how: { readonly hashed: boolean; readonly memory?: ArrayBuffer },
  ): Promise<DiskResult | undefined> {
    const lengthBytes = this.#sizes.get(hash);
    if (lengthBytes === undefined) return undefined;
    try {
      const { hashed, memory } = how;
      return await this.#disk.read(hash, { lengthBytes, hashed, memory });
    } catch (error) {
      return readFailure(error);
    }
  }

  async #writeFile(hash: ChunkHash, bytes: Buffer<ArrayBuffer>, options: WriteOptions): Promise<Written> {
    const result = await this.#disk.write(hash, bytes, options);
    if (options.verify && result.hash !== hash) return { kind: 'wrong', bytes: bytesOf(result) };
    this.#sizes.set(hash, result.lengthBytes);
    return { kind: 'stored', bytes: bytesOf(result) };
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
    await this.#remove(hash, () => this.#disk.setAside(hash));
    this.#options.onDamaged?.(hash);
  }

  #exclusive<Result>(hash: ChunkHash, work: () => Promise<Result>): Promise<Result> {
    const done = work().finally(() => this.#busy.delete(hash));
    // Those who wait for the hash only need it free; the failure belongs to whoever started the work.
    this.#busy.set(
      hash,
      done.then(
        () => undefined,
        () => undefined,
      ),
    );
    return done;
  }

  /** A size that no chunk has, or a name, is nothing of ours or a torn write: either would only fail its hash later. */
  #register({ name, sizeBytes }: FoundFile): void {
    if (!isChunkHash(name) || sizeBytes > CHUNK_BYTES) return;
    this.#sizes.set(name, sizeBytes);
    this.#usedBytes += sizeBytes;
  }
}

/** Pieces of exactly `chunkBytes`, the last one shorter; each is whoever's it is yielded to. */
async function* cutChunks(
  source: AsyncIterable<Uint8Array>,
  chunkBytes: number,
  buffers: ChunkBuffers,
): AsyncGenerator<Buffer<ArrayBuffer>> {
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

/** In memory that nobody else has, and that can therefore move to a thread. */
function movable(bytes: Uint8Array): Buffer<ArrayBuffer> {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

function bytesOf({ memory, lengthBytes }: DiskResult): Buffer<ArrayBuffer> {
  return Buffer.from(memory ?? new ArrayBuffer(0), 0, lengthBytes);
}

/** A block that the disk cannot read any more (EIO) is as good as damaged. */
function readFailure(error: unknown): undefined {
  if (isCode(error, 'ENOENT', 'EIO')) return undefined;
  throw diskError(error);
}
