/** The transfers of this machine: one at most for each content, however many ask for it, and a bounded number at work. */
import { Readable } from 'node:stream';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { lend } from '../../src/lib/lent-bytes.ts';
import { CHUNK_READ_AHEAD, TRANSFERS_MAX } from '../../src/lib/limits.ts';
import { GOT_CHANNEL, Got } from '../../src/wire/files.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import type { ByteRange, ChunkStore } from './chunk-store.ts';
import type { Holds } from './holds.ts';
import { type ChunkHash, chunkLength, type Manifest, type ResolvedManifest } from './manifest.ts';
import type { Surroundings } from './surroundings.ts';
import { Transfer } from './transfer.ts';
import { unlessAborted } from './unless-aborted.ts';

type FoundManifest = Extract<ResolvedManifest, { kind: 'found' }>;

interface Shared {
  readonly transfer: Transfer;
  /** Who still waits for it; without anybody it ends. */
  waiting: number;
}

export class Fetcher {
  readonly #surroundings: Surroundings;
  readonly #store: ChunkStore;
  readonly #holds: Holds;
  readonly #shared = new Map<ChunkHash, Shared>();
  readonly #streams = new Set<Transfer>();
  #room = TRANSFERS_MAX;
  readonly #inLine: (() => void)[] = [];
  #stopped = false;

  constructor(surroundings: Surroundings, store: ChunkStore, holds: Holds) {
    this.#surroundings = surroundings;
    this.#store = store;
    this.#holds = holds;
  }

  start(): void {
    const { transport, coordinator, log } = this.#surroundings;
    transport.onMessage(GOT_CHANNEL, (from, payload) => {
      try {
        coordinator.requireMember(from);
        const { manifest, chunks } = Got.decode(payload);
        this.#shared.get(manifest)?.transfer.onGot(from, chunks);
      } catch (error) {
        log.debug({ from, error: asShoalError(error).message }, 'an announcement of chunks was refused');
      }
    });
  }

  stop(): void {
    this.#stopped = true;
    const error = new ShoalError('ServerBusy', 'This agent stops.');
    for (const { transfer } of [...this.#shared.values()]) transfer.fail(error);
    for (const transfer of [...this.#streams]) transfer.fail(error);
  }

  /** The transfer of a content that is under way. */
  active(manifest: ChunkHash): Transfer | undefined {
    return this.#shared.get(manifest)?.transfer;
  }

  /** Resolves when all of the content is here, durably. `hints`: peers that are said to hold it. */
  async fetch(manifest: ChunkHash, hints: readonly string[], signal?: AbortSignal): Promise<Manifest> {
    signal?.throwIfAborted();
    const here = await this.complete(manifest);
    if (here !== undefined) {
      // What a reader brought, or a transfer that broke off, is in no hurry to be durable.
      await this.#store.settle([...here.manifestChunks, ...here.manifest.chunks]);
      return here.manifest;
    }
    const shared = this.#join(manifest, hints);
    shared.waiting += 1;
    try {
      return await unlessAborted(shared.transfer.done, signal);
    } finally {
      shared.waiting -= 1;
      if (shared.waiting === 0)
        shared.transfer.fail(new ShoalError('OperationTimedOut', 'Nobody waits for the content.'));
    }
  }

  /** The content's manifest where all of it is here, durably or not; its chunks are safe from collection for a while then. */
  async complete(manifest: ChunkHash): Promise<FoundManifest | undefined> {
    const resolved = await this.#store.readManifest(manifest);
    if (resolved.kind === 'missing') return undefined;
    const chunks = [...resolved.manifestChunks, ...resolved.manifest.chunks];
    // Many tasks that read one input hold it once.
    if (!this.#holds.extend(manifest, this.#surroundings.collectPeriodMs)) {
      for (const hash of chunks) this.#store.pin(hash);
      this.#holds.hold(manifest, this.#surroundings.collectPeriodMs, () => {
        for (const hash of chunks) this.#store.unpin(hash);
      });
    }
    return chunks.every((hash) => this.#store.has(hash)) ? resolved : undefined;
  }

  /**
   * The bytes of a content as they arrive, lent; what is here already is not fetched. `range` undefined: all of it. Throws
   * InvalidRange before anything is read.
   */
  async stream(
    manifest: ChunkHash,
    sizeBytes: number,
    range: ByteRange,
    hints: readonly string[],
    signal?: AbortSignal,
  ): Promise<Readable> {
    if (range.offsetBytes + range.lengthBytes > sizeBytes) throw new ShoalError('InvalidRange');
    const open = (part: ByteRange): Transfer => this.#openStream(manifest, part, hints);
    const first = open(range);
    try {
      const found = await unlessAborted(first.manifestIsHere(), signal);
      return Readable.from(this.#readAlong(first, found, range, open), {
        objectMode: false,
        highWaterMark: 1,
        ...(signal === undefined ? {} : { signal }),
      }).once('close', () => this.#endStream(first));
    } catch (error) {
      this.#endStream(first);
      throw error;
    }
  }

  #openStream(manifest: ChunkHash, range: ByteRange, hints: readonly string[]): Transfer {
    const transfer = new Transfer({
      surroundings: this.#surroundings,
      store: this.#store,
      manifest,
      hints,
      room: async () => () => undefined,
      stream: range,
    });
    this.#streams.add(transfer);
    transfer.start();
    return transfer;
  }

  async *#readAlong(
    transfer: Transfer,
    manifest: Manifest,
    { offsetBytes, lengthBytes }: ByteRange,
    open: (part: ByteRange) => Transfer,
  ): AsyncGenerator<Uint8Array> {
    const { chunkBytes } = manifest;
    const end = offsetBytes + lengthBytes;
    const buffers = new ChunkBuffers(chunkBytes, CHUNK_READ_AHEAD);
    for (let chunk = Math.floor(offsetBytes / chunkBytes); chunk * chunkBytes < end; chunk++) {
      const start = chunk * chunkBytes;
      const bytes =
        (await transfer.takeChunk(chunk)) ??
        (await this.#getLent(manifest.chunks[chunk] ?? '', buffers)) ??
        (await this.#fetchAgain(manifest, chunk, open));
      yield bytes.subarray(Math.max(0, offsetBytes - start), Math.min(bytes.length, end - start));
    }
  }

  async #getLent(hash: ChunkHash, buffers: ChunkBuffers): Promise<Uint8Array | undefined> {
    const bytes = await this.#store.get(hash, buffers);
    if (bytes !== undefined) lend(bytes, () => buffers.giveBack(bytes));
    return bytes;
  }

  /** A chunk was here and failed its hash: another machine may have it whole. */
  async #fetchAgain(
    manifest: Manifest,
    chunk: number,
    open: (part: ByteRange) => Transfer,
  ): Promise<Uint8Array> {
    const transfer = open({
      offsetBytes: chunk * manifest.chunkBytes,
      lengthBytes: chunkLength(manifest, chunk),
    });
    try {
      await transfer.done;
      const bytes = await this.#store.get(manifest.chunks[chunk] ?? '');
      if (bytes !== undefined) return bytes;
      throw new ShoalError(
        'BlobNotFound',
        `Chunk ${chunk} of the content is damaged on this machine's disk.`,
      );
    } finally {
      this.#endStream(transfer);
    }
  }

  #endStream(transfer: Transfer): void {
    this.#streams.delete(transfer);
    transfer.fail(new ShoalError('OperationTimedOut', 'Nobody reads the content any more.'));
    transfer.takePins()();
  }

  #join(manifest: ChunkHash, hints: readonly string[]): Shared {
    if (this.#stopped) throw new ShoalError('ServerBusy', 'This agent stops.');
    const known = this.#shared.get(manifest);
    if (known !== undefined) return known;
    const transfer = new Transfer({
      surroundings: this.#surroundings,
      store: this.#store,
      manifest,
      hints,
      room: () => this.#takeRoom(),
    });
    const shared: Shared = { transfer, waiting: 0 };
    this.#shared.set(manifest, shared);
    const ended = (holdName: string): void => {
      if (this.#shared.get(manifest) === shared) this.#shared.delete(manifest);
      this.#holds.hold(holdName, this.#surroundings.collectPeriodMs, transfer.takePins());
    };
    // What a failed one has brought is where the next one goes on, but it is no whole content.
    transfer.done.then(
      () => ended(manifest),
      () => ended(`part of ${manifest}`),
    );
    transfer.start();
    return shared;
  }

  async #takeRoom(): Promise<() => void> {
    if (this.#room > 0) this.#room -= 1;
    else await new Promise<void>((resolve) => this.#inLine.push(resolve));
    return () => {
      // The room passes straight to the next in line.
      const next = this.#inLine.shift();
      if (next === undefined) this.#room += 1;
      else next();
    };
  }
}
