/** What this machine tells and gives to others of its chunks. Members only. */

import type { Duplex } from 'node:stream';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { keepRecent } from '../../src/lib/keep-recent.ts';
import {
  BITFIELD_BYTES_MAX,
  CONTENT_INLINE_BYTES_MAX,
  PUSH_CONTENTS_MAX,
  SERVED_STREAM_IDLE_MS,
  SERVED_STREAMS_PER_PEER_MAX,
  TRANSFER_FELLOWS_MAX,
} from '../../src/lib/limits.ts';
import {
  CHUNKS_PURPOSE,
  DAMAGED_CHANNEL,
  Damaged,
  HAVE_REQUEST,
  Have,
  HaveAnswer,
} from '../../src/wire/files.ts';
import type { ChunkStore } from './chunk-store.ts';
import { serveChunks } from './chunk-stream.ts';
import type { Fetcher } from './fetcher.ts';
import type { ChunkHash, Manifest, ResolvedManifest } from './manifest.ts';
import type { Surroundings } from './surroundings.ts';

/** A receiver that did not ask again for this long fetches no more. */
const FETCHER_MS = 4_000;
const MANIFESTS_WITH_FETCHERS_MAX = 1_024;
/** Manifests kept decoded: several receivers ask for the same one each second. */
const MANIFESTS_KEPT = 8;
const MANIFEST_CHUNKS_KEPT_MAX = 100_000;

export class Serving {
  readonly #surroundings: Surroundings;
  readonly #store: ChunkStore;
  readonly #fetcher: Fetcher;
  /** By manifest, peers that fetch it and when they said so last (monotonic ms). */
  readonly #fetchers = new Map<ChunkHash, Map<string, number>>();
  readonly #manifests = new Map<ChunkHash, ResolvedManifest>();
  readonly #streams = new Map<string, Set<Duplex>>();
  #examining = false;

  constructor(surroundings: Surroundings, store: ChunkStore, fetcher: Fetcher) {
    this.#surroundings = surroundings;
    this.#store = store;
    this.#fetcher = fetcher;
  }

  start(): void {
    const { transport, bulk, coordinator } = this.#surroundings;
    transport.onRequest(HAVE_REQUEST, async (from, payload) => {
      coordinator.requireMember(from);
      const { manifest, fetching, withChunks } = Have.decode(payload);
      return HaveAnswer.encode(await this.#have(from, manifest, fetching, withChunks));
    });
    transport.onMessage(DAMAGED_CHANNEL, (from, payload) => void this.#onDamaged(from, payload));
    bulk.onBulk(CHUNKS_PURPOSE, (from, _header, stream) => void this.#serve(from, stream));
  }

  stop(): void {
    for (const streams of this.#streams.values()) {
      for (const stream of streams) stream.destroy(new ShoalError('ServerBusy', 'This agent stops.'));
    }
  }

  async #have(
    from: string,
    manifest: ChunkHash,
    fetching: boolean,
    withChunks: boolean,
  ): Promise<HaveAnswer> {
    const active = this.#fetcher.active(manifest);
    if (fetching) active?.addFellow(from);
    const fetchers = fetching ? this.#noteFetcher(manifest, from) : [];
    const resolved = await this.#resolve(manifest);
    if (resolved.kind === 'missing') return { held: 'none', bitfield: null, fetchers, chunks: [] };
    const bitfield = this.#bitfield(resolved.manifest);
    const chunks = withChunks ? await this.#chunksToSend(manifest, resolved) : [];
    if (bitfield === 'all') return { held: 'all', bitfield: null, fetchers, chunks };
    return { held: bitfield === undefined ? 'none' : 'some', bitfield: bitfield ?? null, fetchers, chunks };
  }

  /** Who else fetches it, the latest first. */
  #noteFetcher(manifest: ChunkHash, from: string): string[] {
    const nowMs = this.#surroundings.clock.monotonicMs();
    const peers = this.#fetchers.get(manifest) ?? new Map<string, number>();
    keepRecent(this.#fetchers, [manifest, peers], MANIFESTS_WITH_FETCHERS_MAX);
    for (const [peer, saidMs] of peers) if (nowMs - saidMs > FETCHER_MS) peers.delete(peer);
    peers.delete(from);
    const others = [...peers.keys()].reverse().slice(0, TRANSFER_FELLOWS_MAX);
    peers.set(from, nowMs);
    return others;
  }

  async #resolve(manifest: ChunkHash): Promise<ResolvedManifest> {
    if (!this.#store.has(manifest)) return { kind: 'missing', chunk: manifest };
    const known = this.#manifests.get(manifest);
    if (known !== undefined) return known;
    const resolved = await this.#store.readManifest(manifest);
    if (resolved.kind === 'missing') return resolved;
    if (resolved.manifest.chunks.length > MANIFEST_CHUNKS_KEPT_MAX) return resolved;
    keepRecent(this.#manifests, [manifest, resolved], MANIFESTS_KEPT);
    return resolved;
  }

  /** Undefined for a part of a content that is too large for a bitfield. */
  #bitfield({ chunks }: Manifest): Uint8Array | 'all' | undefined {
    const bits = new Uint8Array(Math.ceil(chunks.length / 8));
    let held = 0;
    for (const [chunk, hash] of chunks.entries()) {
      if (!this.#store.has(hash)) continue;
      bits[chunk >> 3] = (bits[chunk >> 3] ?? 0) | (1 << (chunk & 7));
      held += 1;
    }
    if (held === chunks.length) return 'all';
    return bits.length > BITFIELD_BYTES_MAX ? undefined : bits;
  }

  async #chunksToSend(
    manifest: ChunkHash,
    resolved: Extract<ResolvedManifest, { kind: 'found' }>,
  ): Promise<Uint8Array[]> {
    const { sizeBytes, chunks } = resolved.manifest;
    const small = sizeBytes <= CONTENT_INLINE_BYTES_MAX && chunks.length < PUSH_CONTENTS_MAX;
    const read: Uint8Array[] = [];
    for (const hash of new Set([manifest, ...(small ? chunks : [])])) {
      const bytes = await this.#store.get(hash);
      if (bytes !== undefined) read.push(bytes);
    }
    return read;
  }

  /** A peer says that a chunk served here fails its hash. One look at a time: a liar costs one read of the disk after another, no more. */
  async #onDamaged(from: string, payload: Uint8Array): Promise<void> {
    if (this.#examining) return;
    this.#examining = true;
    try {
      this.#surroundings.coordinator.requireMember(from);
      await this.#store.examine(Damaged.decode(payload).chunk);
    } catch (error) {
      this.#surroundings.log.debug(
        { from, error: asShoalError(error).message },
        'word of a damaged chunk was refused',
      );
    } finally {
      this.#examining = false;
    }
  }

  async #serve(from: string, stream: Duplex): Promise<void> {
    // Without a listener a stream that breaks would end the process.
    stream.on('error', () => undefined);
    let idle = this.#surroundings.clock.after(0, () => undefined);
    try {
      this.#surroundings.coordinator.requireMember(from);
      this.#admit(from, stream);
      const onTurn = (): void => {
        idle.cancel();
        idle = this.#surroundings.clock.after(SERVED_STREAM_IDLE_MS, () =>
          stream.destroy(new ShoalError('OperationTimedOut', 'Nothing was asked or taken for too long.')),
        );
      };
      onTurn();
      await serveChunks(stream, (hash, buffers) => this.#store.getUnchecked(hash, buffers), onTurn);
    } catch (error) {
      const coded = asShoalError(error);
      if (coded.code !== 'PeerUnreachable') {
        this.#surroundings.log.debug({ from, error: coded.message }, 'a stream of chunks ended in an error');
      }
      stream.destroy(coded);
    } finally {
      idle.cancel();
    }
  }

  #admit(from: string, stream: Duplex): void {
    const streams = this.#streams.get(from) ?? new Set();
    if (streams.size >= SERVED_STREAMS_PER_PEER_MAX) {
      throw new ShoalError('TooManyRequests', `${from} has ${streams.size} streams of chunks open.`);
    }
    this.#streams.set(from, streams.add(stream));
    stream.once('close', () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(from) === streams) this.#streams.delete(from);
    });
  }
}
