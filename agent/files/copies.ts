/**
 * Second copies. A new content goes to one other machine before anybody names it: small ones many in one request with
 * their bytes inside, larger ones by asking the other machine to fetch them from here.
 */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  CONTENT_INLINE_BYTES_MAX,
  COPIES_AT_ONCE,
  COPY_TRIES_MAX,
  FETCH_POLL_MS,
  PUSH_CONTENTS_MAX,
  RPC_TIMEOUT_MS,
  TRANSFER_PROGRESS_MS,
} from '../../src/lib/limits.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import { FETCH_REQUEST, Fetch, FetchAnswer, PUSH_REQUEST, Push } from '../../src/wire/files.ts';
import type { ChunkStore } from './chunk-store.ts';
import type { Fetcher } from './fetcher.ts';
import type { Holds } from './holds.ts';
import type { StoredContent } from './interface.ts';
import { hashOf } from './manifest.ts';
import type { Surroundings } from './surroundings.ts';

/** What a push adds to the bytes of each content: its manifest chunk and the frame. */
const PUSH_OVERHEAD_BYTES = 256;

export class Copies {
  readonly #surroundings: Surroundings;
  readonly #store: ChunkStore;
  readonly #fetcher: Fetcher;
  readonly #holds: Holds;
  /** Moves on with each copy, so that many small ones spread over the machines. */
  #turn = 0;

  constructor(surroundings: Surroundings, store: ChunkStore, fetcher: Fetcher, holds: Holds) {
    this.#surroundings = surroundings;
    this.#store = store;
    this.#fetcher = fetcher;
    this.#holds = holds;
  }

  start(): void {
    const { transport, coordinator } = this.#surroundings;
    transport.onRequest(PUSH_REQUEST, async (from, payload) => {
      coordinator.requireMember(from);
      await this.#takePush(payload);
      return new Uint8Array();
    });
    transport.onRequest(FETCH_REQUEST, async (from, payload, signal) => {
      coordinator.requireMember(from);
      return this.#fetchFor(payload, signal);
    });
  }

  /**
   * Copies contents that are here to one other machine each; the answer names who holds each, in the same order. This
   * machine alone where no other is up or none could take it: the repair adds a copy later.
   */
  async copy(
    contents: readonly StoredContent[],
    keepUntilMs: number | undefined,
    signal?: AbortSignal,
  ): Promise<readonly (readonly MachineId[])[]> {
    const holders: (readonly MachineId[])[] = contents.map(() => [this.#surroundings.self]);
    const jobs = batches(contents).map((batch) => async (): Promise<void> => {
      const other = await this.#toAnother(batch.contents, keepUntilMs, signal);
      if (other === undefined) return;
      for (const index of batch.indexes) holders[index] = [this.#surroundings.self, other];
    });
    const rest = jobs[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const job of { [Symbol.iterator]: () => rest }) await job();
    };
    await Promise.all(Array.from({ length: Math.min(COPIES_AT_ONCE, jobs.length) }, worker));
    return holders;
  }

  /** Asks a machine to fetch a content and waits until it has all of it. */
  async orderFetch(
    machine: MachineId,
    manifest: string,
    from: readonly string[],
    keepUntilMs: number | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const { transport, clock } = this.#surroundings;
    const order = Fetch.encode({
      manifest,
      from: [...from],
      ...(keepUntilMs === undefined ? {} : { keepUntilMs }),
    });
    let arrivedBytes = 0;
    let progressMs = clock.monotonicMs();
    for (;;) {
      const options = {
        timeoutMs: FETCH_POLL_MS + RPC_TIMEOUT_MS,
        ...(signal === undefined ? {} : { signal }),
      };
      const answer = FetchAnswer.decode(
        await transport.request(peerOfMachine(machine), FETCH_REQUEST, order, options),
      );
      if (answer.done) return;
      if (answer.arrivedBytes > arrivedBytes) progressMs = clock.monotonicMs();
      arrivedBytes = answer.arrivedBytes;
      if (clock.monotonicMs() - progressMs > 6 * TRANSFER_PROGRESS_MS) {
        throw new ShoalError('OperationTimedOut', `${machine} makes no progress with the copy.`, {
          manifest,
        });
      }
    }
  }

  async #toAnother(
    contents: readonly StoredContent[],
    keepUntilMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<MachineId | undefined> {
    const pushed = isSmall(contents) ? await this.#toPush(contents, keepUntilMs) : undefined;
    for (const machine of this.#candidates()) {
      signal?.throwIfAborted();
      try {
        if (pushed !== undefined) await this.#push(machine, pushed, signal);
        else {
          for (const { manifest } of contents) {
            await this.orderFetch(
              machine,
              manifest,
              [this.#surroundings.transport.self],
              keepUntilMs,
              signal,
            );
          }
        }
        return machine;
      } catch (error) {
        signal?.throwIfAborted();
        this.#surroundings.log.info(
          { machine, error: asShoalError(error).message },
          'a copy could not be made there',
        );
      }
    }
    return undefined;
  }

  /** Machines that are up, each time beginning with another. Those that drain only where there is no other. */
  #candidates(): MachineId[] {
    const { coordinator, self } = this.#surroundings;
    const up = (coordinator.mesh?.machines() ?? []).filter(
      ({ id }) => id !== self && coordinator.presence.isAlive(id),
    );
    const enabled = up.filter(({ scheduling }) => scheduling === 'enabled');
    const machines = (enabled.length > 0 ? enabled : up).map(({ id }) => id);
    this.#turn += 1;
    const start = machines.length === 0 ? 0 : this.#turn % machines.length;
    return [...machines.slice(start), ...machines.slice(0, start)].slice(0, COPY_TRIES_MAX);
  }

  /** Throws where a content is not here any more as it was stored: nobody may name it then. */
  async #toPush(
    contents: readonly StoredContent[],
    keepUntilMs: number | undefined,
  ): Promise<readonly PushedContent[]> {
    const pushed: PushedContent[] = [];
    for (const { manifest } of contents) {
      const chunks = await this.#allChunks(manifest);
      pushed.push({ manifest, chunks, ...(keepUntilMs === undefined ? {} : { keepUntilMs }) });
    }
    return pushed;
  }

  async #push(
    machine: MachineId,
    contents: readonly PushedContent[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await this.#surroundings.transport.request(
      peerOfMachine(machine),
      PUSH_REQUEST,
      Push.encode({ contents: [...contents] }),
      signal === undefined ? {} : { signal },
    );
  }

  async #allChunks(manifest: string): Promise<Uint8Array[]> {
    const resolved = await this.#store.readManifest(manifest);
    const hashes = resolved.kind === 'found' ? [...resolved.manifestChunks, ...resolved.manifest.chunks] : [];
    const chunks: Uint8Array[] = [];
    for (const hash of new Set(hashes)) {
      const bytes = await this.#store.get(hash);
      if (bytes !== undefined) chunks.push(bytes);
    }
    if (chunks.length === 0 || chunks.length < new Set(hashes).size) {
      throw new ShoalError(
        'ServerBusy',
        `A chunk of the content ${manifest} was damaged on this machine: store it again.`,
      );
    }
    return chunks;
  }

  // --- The other side -------------------------------------------------------------------------------------------

  async #takePush(payload: Uint8Array): Promise<void> {
    for (const { manifest, chunks, keepUntilMs } of Push.decode(payload).contents) {
      const hashes = chunks.map(hashOf);
      for (const hash of hashes) this.#store.pin(hash);
      this.#holds.hold(manifest, this.#surroundings.collectPeriodMs, () => {
        for (const hash of hashes) this.#store.unpin(hash);
      });
      for (const bytes of chunks) await this.#store.put(bytes);
      if ((await this.#fetcher.complete(manifest)) === undefined) {
        throw new ShoalError('InvalidRequestBody', `The pushed content ${manifest} is not complete.`);
      }
      if (keepUntilMs !== undefined) await this.#holds.keep(manifest, keepUntilMs);
    }
  }

  async #fetchFor(payload: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { manifest, from, keepUntilMs } = Fetch.decode(payload);
    const work = this.#fetcher.fetch(manifest, from, undefined);
    work.catch(() => undefined);
    const waited = await Promise.race([work, this.#pause(FETCH_POLL_MS, signal)]);
    if (waited === undefined) {
      const arrivedBytes = this.#fetcher.active(manifest)?.arrivedBytes ?? 0;
      return FetchAnswer.encode({ done: false, arrivedBytes });
    }
    if (keepUntilMs !== undefined) await this.#holds.keep(manifest, keepUntilMs);
    return FetchAnswer.encode({ done: true, arrivedBytes: waited.sizeBytes });
  }

  #pause(delayMs: number, signal: AbortSignal): Promise<undefined> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        resolve(undefined);
      };
      const timer = this.#surroundings.clock.after(delayMs, end);
      signal.addEventListener('abort', end);
    });
  }
}

function isSmall(contents: readonly StoredContent[]): boolean {
  return contents.every(({ sizeBytes }) => sizeBytes <= CONTENT_INLINE_BYTES_MAX);
}

interface PushedContent {
  readonly manifest: string;
  readonly chunks: Uint8Array[];
  readonly keepUntilMs?: number;
}

interface Batch {
  readonly contents: StoredContent[];
  readonly indexes: number[];
}

/** Small contents together up to what one push takes, larger ones each alone. */
function batches(contents: readonly StoredContent[]): Batch[] {
  const all: Batch[] = [];
  let small: Batch | undefined;
  let bytes = 0;
  for (const [index, content] of contents.entries()) {
    const cost = content.sizeBytes + PUSH_OVERHEAD_BYTES;
    if (cost > CONTENT_INLINE_BYTES_MAX) {
      all.push({ contents: [content], indexes: [index] });
      continue;
    }
    if (
      small === undefined ||
      bytes + cost > CONTENT_INLINE_BYTES_MAX ||
      small.contents.length >= PUSH_CONTENTS_MAX
    ) {
      small = { contents: [], indexes: [] };
      bytes = 0;
      all.push(small);
    }
    small.contents.push(content);
    small.indexes.push(index);
    bytes += cost;
  }
  return all;
}
