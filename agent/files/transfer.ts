/**
 * Brings one content here. It asks who holds what (and who else fetches it), resolves the manifest by the same chunks
 * as everything else, and lets a swarm fetch what is missing. What is here already is never fetched, so a transfer
 * that failed goes on where it ended.
 */
import { every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { lend } from '../../src/lib/lent-bytes.ts';
import {
  CHUNK_ANNOUNCEMENT_MAX,
  STREAM_READ_AHEAD,
  TRANSFER_ANNOUNCE_MS,
  TRANSFER_FELLOWS_MAX,
  TRANSFER_HOLDERS_MAX,
  TRANSFER_NO_HOLDER_MS,
  TRANSFER_PROGRESS_MS,
  TRANSFER_REFRESH_MS,
  TRANSFER_TICK_MS,
  TRANSFER_WINDOW,
} from '../../src/lib/limits.ts';
import { peerOfMachine } from '../../src/model/ids.ts';
import { GOT_CHANNEL, Got, HAVE_REQUEST, Have, HaveAnswer } from '../../src/wire/files.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import type { ChunkStore } from './chunk-store.ts';
import { ChunkSwarm } from './chunk-swarm.ts';
import {
  type ChunkHash,
  chunkLength,
  decodeManifestNode,
  hashOf,
  type Manifest,
  type ManifestNode,
} from './manifest.ts';
import type { Surroundings } from './surroundings.ts';
import { type HolderKind, TransferPlan } from './transfer-plan.ts';

export interface TransferInit {
  readonly surroundings: Surroundings;
  readonly store: ChunkStore;
  readonly manifest: ChunkHash;
  /** Peers that are said to hold it. */
  readonly hints: readonly string[];
  /** Waits until this machine has room for one more transfer of bulk; returns how to give the room back. */
  readonly room: () => Promise<() => void>;
  /** A reader's part of the content, in the reader's order; absent: all of it. */
  readonly stream?: { readonly offsetBytes: number; readonly lengthBytes: number };
}

interface KnownHolder {
  readonly kind: HolderKind;
  held: Uint8Array | 'all';
}

export class Transfer {
  readonly #init: TransferInit;
  readonly #holders = new Map<string, KnownHolder>();
  readonly #asking = new Set<string>();
  readonly #pinned: ChunkHash[] = [];
  readonly #waiting = new Map<number, (() => void)[]>();
  /** Chunks that arrived before the reader came to them: as many as are fetched ahead of it. */
  readonly #unread = new Map<number, Buffer<ArrayBuffer>>();
  readonly #done: Promise<Manifest>;
  #settle: { resolve(manifest: Manifest): void; reject(error: ShoalError): void } = {
    resolve: () => undefined,
    reject: () => undefined,
  };
  #settled = false;
  readonly #root: Promise<void>;
  #rootCame: () => void = () => undefined;
  #manifest: Manifest | undefined;
  #plan: TransferPlan | undefined;
  #swarm: ChunkSwarm | undefined;
  #buffers: ChunkBuffers | undefined;
  #giveRoomBack: () => void = () => undefined;
  #ticker: Timer | undefined;
  #announcing: Timer | undefined;
  #news: number[] = [];
  #startedMs = 0;
  #progressMs = 0;
  #refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(init: TransferInit) {
    this.#init = init;
    this.#done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#done.catch(() => undefined);
    this.#root = new Promise((resolve) => {
      this.#rootCame = resolve;
    });
  }

  /** Resolves when all of it is here. Rejects with BlobNotFound, PeerUnreachable, OperationTimedOut or DiskFull. */
  get done(): Promise<Manifest> {
    return this.#done;
  }

  /** Undefined until the manifest is known. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  get arrivedBytes(): number {
    if (this.#manifest === undefined || this.#plan === undefined) return 0;
    return Math.max(0, this.#manifest.sizeBytes - this.#plan.remaining * this.#manifest.chunkBytes);
  }

  start(): void {
    const { clock } = this.#init.surroundings;
    this.#startedMs = clock.monotonicMs();
    this.#progressMs = this.#startedMs;
    this.#ticker = every(clock, TRANSFER_TICK_MS, () => this.#tick());
    this.#pin(this.#init.manifest);
    this.#run().catch((error: unknown) => this.fail(asShoalError(error)));
  }

  /** The pins of all its chunks, which are now the caller's to release. */
  takePins(): () => void {
    const pinned = this.#pinned.splice(0);
    return () => {
      for (const hash of pinned) this.#init.store.unpin(hash);
    };
  }

  fail(error: ShoalError): void {
    this.#end();
    this.#settle.reject(error);
  }

  // --- What others say ------------------------------------------------------------------------------------------

  /** Another machine fetches the same content. */
  addFellow(peer: string): void {
    if (this.#settled || this.#holders.has(peer) || peer === this.#init.surroundings.transport.self) return;
    const fellows = [...this.#holders.values()].filter(({ kind }) => kind === 'fellow').length;
    if (fellows >= TRANSFER_FELLOWS_MAX) return;
    this.#holders.set(peer, { kind: 'fellow', held: new Uint8Array() });
    this.#tellPlan(peer);
    void this.#askHave(peer);
  }

  onGot(peer: string, chunks: readonly number[]): void {
    this.#plan?.announced(peer, chunks, this.#nowMs());
    this.#swarm?.pump();
  }

  // --- Reading along --------------------------------------------------------------------------------------------

  /**
   * Resolves when the chunk is here, with its bytes, lent, where they are still in memory; the chunks behind it are fetched
   * meanwhile, those before it are read. Rejects with the transfer's failure.
   */
  async takeChunk(chunk: number): Promise<Uint8Array | undefined> {
    await this.#arrivalOf(chunk);
    const bytes = this.#unread.get(chunk);
    for (const read of this.#unread.keys()) if (read <= chunk) this.#unread.delete(read);
    if (bytes !== undefined) lend(bytes, () => this.#buffers?.giveBack(bytes));
    return bytes;
  }

  async #arrivalOf(chunk: number): Promise<void> {
    this.#plan?.setHorizon(chunk + 1 + STREAM_READ_AHEAD);
    this.#swarm?.pump();
    if (this.#plan?.hasArrived(chunk) === true || this.#hasChunk(chunk)) return;
    const arrival = new Promise<void>((resolve) => {
      this.#waiting.set(chunk, [...(this.#waiting.get(chunk) ?? []), resolve]);
    });
    await Promise.race([arrival, this.#done]);
  }

  /** Resolves with the manifest as soon as that is known. */
  async manifestIsHere(): Promise<Manifest> {
    while (this.#manifest === undefined) {
      await Promise.race([this.#manifestKnown, this.#done]);
    }
    return this.#manifest;
  }

  // --- Its course -----------------------------------------------------------------------------------------------

  #manifestSettle: () => void = () => undefined;
  readonly #manifestKnown = new Promise<void>((resolve) => {
    this.#manifestSettle = resolve;
  });

  async #run(): Promise<void> {
    const here = await this.#local();
    if (this.#settled) return;
    if (here !== undefined) {
      this.#knowManifest(here);
      return this.#finish(here);
    }
    if (this.#init.store.has(this.#init.manifest)) this.#rootCame();
    this.#refresh();
    await this.#root;
    const found = await this.#resolve();
    if (this.#settled) return;
    this.#knowManifest(found);
    const giveBack = await this.#init.room();
    if (this.#settled) return giveBack();
    this.#giveRoomBack = giveBack;
    this.#progressMs = this.#nowMs();
    this.#startSwarm(found);
  }

  /** The manifest, where all that is wanted is here and nobody has to be asked. */
  async #local(): Promise<Manifest | undefined> {
    const { store, manifest } = this.#init;
    const resolved = await store.readManifest(manifest);
    if (resolved.kind === 'missing') return undefined;
    const range = this.#chunkRange(resolved.manifest);
    const { chunks } = resolved.manifest;
    const wanted = range === undefined ? chunks : chunks.slice(range.first, range.last + 1);
    return wanted.every((hash) => store.has(hash)) ? resolved.manifest : undefined;
  }

  #knowManifest(manifest: Manifest): void {
    this.#manifest = manifest;
    for (const hash of manifest.chunks) this.#pin(hash);
    this.#manifestSettle();
  }

  /** From the root chunk down to the blob's own manifest, fetching what lies between them. */
  async #resolve(): Promise<Manifest> {
    const { store, manifest } = this.#init;
    const root = await store.get(manifest);
    if (root === undefined) throw new ShoalError('BlobNotFound', `The manifest ${manifest} cannot be read.`);
    let node = decodeManifestNode(root);
    while (node.level > 0) node = await this.#fetchLevel(node);
    return node;
  }

  async #fetchLevel(node: ManifestNode): Promise<ManifestNode> {
    const { store } = this.#init;
    for (const hash of node.chunks) this.#pin(hash);
    await new Promise<void>((resolve) => this.#startSwarm(node, resolve));
    const parts: Uint8Array[] = [];
    for (const hash of node.chunks) {
      const part = await store.get(hash);
      if (part === undefined)
        throw new ShoalError('BlobNotFound', 'A part of a manifest is damaged.', { hash });
      parts.push(part);
    }
    const inner = decodeManifestNode(Buffer.concat(parts));
    if (inner.level !== node.level - 1) {
      throw new ShoalError(
        'InvalidPropertyValue',
        `A manifest of level ${inner.level} below level ${node.level}.`,
      );
    }
    return inner;
  }

  /** `onLevel`: these are the chunks of a manifest, and this is called when they are here. */
  #startSwarm(node: Manifest, onLevel?: () => void): void {
    const { surroundings, store } = this.#init;
    const range = onLevel === undefined ? this.#chunkRange(node) : undefined;
    const plan = new TransferPlan({
      self: surroundings.transport.self,
      chunkCount: node.chunks.length,
      skip: (chunk) =>
        store.has(node.chunks[chunk] ?? '') ||
        (range !== undefined && (chunk < range.first || chunk > range.last)),
      seed: seedOf(surroundings.transport.self, this.#init.manifest),
      sequential: range !== undefined,
    });
    if (range !== undefined) plan.setHorizon(range.first + 1 + STREAM_READ_AHEAD);
    this.#swarm?.close();
    this.#plan = plan;
    const buffers = new ChunkBuffers(node.chunkBytes, TRANSFER_WINDOW);
    this.#buffers = buffers;
    this.#swarm = new ChunkSwarm({
      surroundings,
      store,
      plan,
      chunks: node.chunks,
      lengthOf: (chunk) => chunkLength(node, chunk),
      buffers,
      onArrived: (chunk, bytes) => {
        this.#progressMs = this.#nowMs();
        if (range !== undefined && bytes !== undefined) this.#unread.set(chunk, bytes);
        else if (bytes !== undefined) buffers.giveBack(bytes);
        if (onLevel === undefined) this.#arrived(chunk);
        if (plan.remaining > 0) return;
        if (onLevel === undefined) this.#finish(node);
        else onLevel();
      },
      onFailed: (error) => this.fail(error),
    });
    for (const [peer, { kind, held }] of this.#holders) {
      // What a bitfield says is about the blob's chunks.
      if (onLevel === undefined || (kind === 'source' && held === 'all')) this.#tellPlan(peer);
    }
    if (plan.remaining > 0) this.#swarm.pump();
    else if (onLevel === undefined) this.#finish(node);
    else onLevel();
  }

  #chunkRange({ chunkBytes }: Manifest): { first: number; last: number } | undefined {
    const { stream } = this.#init;
    if (stream === undefined) return undefined;
    const first = Math.floor(stream.offsetBytes / chunkBytes);
    return { first, last: Math.ceil((stream.offsetBytes + stream.lengthBytes) / chunkBytes) - 1 };
  }

  #arrived(chunk: number): void {
    for (const resolve of this.#waiting.get(chunk) ?? []) resolve();
    this.#waiting.delete(chunk);
    this.#news.push(chunk);
    this.#announcing ??= this.#init.surroundings.clock.after(TRANSFER_ANNOUNCE_MS, () => this.#announce());
  }

  #announce(): void {
    this.#announcing = undefined;
    const { transport } = this.#init.surroundings;
    const fellows = [...this.#holders].filter(([, { kind }]) => kind === 'fellow').map(([peer]) => peer);
    while (this.#news.length > 0) {
      const chunks = this.#news.splice(0, CHUNK_ANNOUNCEMENT_MAX);
      const got = Got.encode({ manifest: this.#init.manifest, chunks });
      for (const peer of fellows) transport.send(peer, GOT_CHANNEL, got);
    }
  }

  /** Done is what a crash cannot undo. */
  #finish(manifest: Manifest): void {
    if (this.#settled) return;
    this.#announce();
    this.#end();
    this.#init.store.settle([...this.#pinned]).then(
      () => this.#settle.resolve(manifest),
      (error: unknown) => this.#settle.reject(asShoalError(error)),
    );
  }

  #end(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#ticker?.cancel();
    this.#announcing?.cancel();
    this.#swarm?.close();
    this.#giveRoomBack();
  }

  // --- Holders --------------------------------------------------------------------------------------------------

  #tick(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#refreshedMs >= TRANSFER_REFRESH_MS) this.#refresh();
    this.#swarm?.dropStalled();
    this.#swarm?.pump();
    this.#checkProgress(nowMs);
  }

  #checkProgress(nowMs: number): void {
    // A reader that does not read on holds the transfer up by itself.
    if (this.#init.stream !== undefined && this.#waiting.size === 0 && this.#plan !== undefined) {
      this.#progressMs = nowMs;
      return;
    }
    const { manifest, surroundings } = this.#init;
    const named = surroundings.coordinator.mesh?.manifestHolders(manifest) ?? [];
    const holders = [...this.#holders.values()].filter(({ held }) => held.length > 0).length;
    const waitMs = holders === 0 && named.length === 0 ? TRANSFER_NO_HOLDER_MS : TRANSFER_PROGRESS_MS;
    // Whoever waits for room makes no progress and needs none.
    if (this.#manifest !== undefined && this.#swarm === undefined) this.#progressMs = nowMs;
    if (nowMs - this.#progressMs < waitMs) return;
    this.fail(this.#stuck(holders, named.length));
  }

  #stuck(holders: number, named: number): ShoalError {
    const values = { manifest: this.#init.manifest };
    if (holders > 0) {
      return new ShoalError(
        'OperationTimedOut',
        'No machine that holds the content sends any of it.',
        values,
      );
    }
    if (named === 0)
      return new ShoalError('BlobNotFound', 'No machine that is up holds the content.', values);
    return new ShoalError(
      'PeerUnreachable',
      `None of the ${named} machines that hold the content can be reached.`,
      values,
    );
  }

  /** Asks those who should know; the whole mesh only where none of them does. */
  #refresh(): void {
    const { hints, manifest, surroundings } = this.#init;
    const { transport, coordinator } = surroundings;
    const nowMs = this.#nowMs();
    const first = this.#refreshedMs === Number.NEGATIVE_INFINITY;
    this.#refreshedMs = nowMs;
    const likely = new Set([
      ...hints,
      ...(coordinator.mesh?.manifestHolders(manifest) ?? []).map(peerOfMachine),
    ]);
    for (const peer of this.#holders.keys()) likely.add(peer);
    const reachable = [...likely].filter((peer) => peer !== transport.self && transport.isConnected(peer));
    const known = [...this.#holders.values()].some(({ held }) => held.length > 0);
    if (!known && (!first || reachable.length === 0)) reachable.push(...transport.connected());
    for (const peer of new Set(reachable.slice(0, TRANSFER_HOLDERS_MAX))) void this.#askHave(peer);
  }

  async #askHave(peer: string): Promise<void> {
    const { surroundings, manifest, store } = this.#init;
    if (this.#asking.has(peer)) return;
    this.#asking.add(peer);
    try {
      const ask = Have.encode({
        manifest,
        fetching: this.#init.stream === undefined,
        withChunks: !store.has(manifest),
      });
      const answer = HaveAnswer.decode(
        await surroundings.transport.request(peer, HAVE_REQUEST, ask, { timeoutMs: 4 * TRANSFER_REFRESH_MS }),
      );
      if (!this.#settled) await this.#onHave(peer, answer);
    } catch (error) {
      surroundings.log.debug(
        { peer, error: asShoalError(error).message },
        'a machine did not say what it holds',
      );
    } finally {
      this.#asking.delete(peer);
    }
  }

  async #onHave(peer: string, answer: HaveAnswer): Promise<void> {
    await this.#takeChunks(answer.chunks);
    if (this.#settled) return;
    const known = this.#holders.get(peer);
    if (answer.held !== 'none' || known !== undefined) {
      const held = answer.held === 'all' ? 'all' : (answer.bitfield ?? new Uint8Array());
      // msgpack hands out a view of the whole message; the plan writes into what it keeps.
      this.#holders.set(peer, { kind: known?.kind ?? 'source', held: held === 'all' ? held : held.slice() });
      this.#tellPlan(peer);
    }
    for (const fellow of answer.fetchers) this.addFellow(fellow);
    if (this.#init.store.has(this.#init.manifest)) this.#rootCame();
    this.#swarm?.pump();
  }

  /** Chunks inside an answer: the manifest, and those that it names. Others are nobody's wish. */
  async #takeChunks(chunks: readonly Uint8Array[]): Promise<void> {
    const { store, manifest } = this.#init;
    if (chunks.length === 0 || store.has(manifest)) return;
    const byHash = new Map(chunks.map((bytes) => [hashOf(bytes), bytes]));
    const root = byHash.get(manifest);
    if (root === undefined) return;
    const { level, chunks: named } = decodeManifestNode(root);
    const wanted = level === 0 ? named.filter((hash) => byHash.has(hash)) : [];
    for (const hash of wanted) this.#pin(hash);
    for (const hash of new Set([...wanted, manifest])) {
      const bytes = byHash.get(hash);
      if (bytes !== undefined) await store.put(bytes);
    }
    this.#progressMs = this.#nowMs();
  }

  #tellPlan(peer: string): void {
    const holder = this.#holders.get(peer);
    if (holder !== undefined) this.#plan?.setHolder(peer, holder.kind, holder.held, this.#nowMs());
  }

  #hasChunk(chunk: number): boolean {
    const hash = this.#manifest?.chunks[chunk];
    return hash !== undefined && this.#init.store.has(hash);
  }

  #pin(hash: ChunkHash): void {
    this.#init.store.pin(hash);
    this.#pinned.push(hash);
  }

  #nowMs(): number {
    return this.#init.surroundings.clock.monotonicMs();
  }
}

/** FNV-1a: receivers of one content begin with different chunks. */
function seedOf(self: string, manifest: string): number {
  let seed = 0x811c9dc5;
  for (const character of `${self} ${manifest}`)
    seed = Math.imul(seed ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return seed >>> 0;
}
