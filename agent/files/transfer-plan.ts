/**
 * Which chunk comes next, and from whom. Pure: time is an argument, and chance a seed.
 *
 * Holders are of two kinds: sources, which had the content before, and fellows, which fetch it as well. n receivers shall
 * cost a source one upload and not n. So the receivers share out the chunks among them (chunk c is first asked of the source
 * by the receiver of rank c modulo n, which all compute alike), tell each other what arrived, and take that from each other.
 * A receiver that is slow or silent loses its share: what counts in the end is that each chunk arrives.
 *
 * Among the chunks that a holder may be asked for, the one with the fewest holders goes first (rarest first, as in
 * BitTorrent), ties broken by an order that the seed shuffles. A choice looks at TRANSFER_CANDIDATES_MAX chunks of
 * this machine's share and no more, from where the last one stopped.
 */
import {
  TRANSFER_ASKED_TOGETHER,
  TRANSFER_BACK_OFF_MAX_MS,
  TRANSFER_BACK_OFF_MIN_MS,
  TRANSFER_CANDIDATES_MAX,
  TRANSFER_FELLOW_IDLE_MS,
  TRANSFER_FELLOWS_MAX,
  TRANSFER_HOLDER_WINDOW,
  TRANSFER_HOLDERS_MAX,
  TRANSFER_IMPATIENCE_MS,
  TRANSFER_PATIENCE_MS,
  TRANSFER_WINDOW,
} from '../../src/lib/limits.ts';
import { Prng } from '../../src/lib/prng.ts';

export interface TransferPlanOptions {
  readonly self: string;
  readonly chunkCount: number;
  /** Chunks that need not come: they are here, or nobody wants them. */
  readonly skip: (chunk: number) => boolean;
  /** Different on each machine, so that they begin with different chunks. */
  readonly seed: number;
  /** In order of their numbers, and without waiting for fellows: somebody reads while they come. */
  readonly sequential: boolean;
}

export type HolderKind = 'source' | 'fellow';

export interface Pick {
  readonly holder: string;
  readonly chunk: number;
}

interface Holder {
  readonly peer: string;
  readonly kind: HolderKind;
  /** `all`, or one bit a chunk. */
  held: Uint8Array | 'all';
  readonly inFlight: Set<number>;
  /** Its window is being filled. */
  filling: boolean;
  failures: number;
  backOffUntilMs: number;
  /** Of a fellow: last word of its progress. */
  heardMs: number;
  /** Since when nothing is in flight from it. */
  idleSinceMs: number;
  impatientUntilMs: number;
  /** Where in `#pending` its next look begins. */
  cursor: number;
  /** Sent wrong bytes: never asked again. */
  expelled: boolean;
}

const NOWHERE = -1;

export class TransferPlan {
  readonly #options: TransferPlanOptions;
  readonly #holders = new Map<string, Holder>();
  /** Chunks that are wanted and in flight from nobody; unordered, so that any can leave at once. */
  readonly #pending: Int32Array;
  /** Where in `#pending` a chunk is. */
  readonly #place: Int32Array;
  #pendingCount = 0;
  #inFlightCount = 0;
  #remaining = 0;
  /** Sequential: no chunk below it is pending. */
  #low = 0;
  /** Sequential: no chunk from here on may be asked for yet. */
  #horizon = Number.POSITIVE_INFINITY;
  readonly #arrived: Uint8Array;

  constructor(options: TransferPlanOptions) {
    const { chunkCount, skip } = options;
    this.#options = options;
    this.#place = new Int32Array(chunkCount).fill(NOWHERE);
    this.#arrived = new Uint8Array(Math.ceil(chunkCount / 8));
    const wanted = new Int32Array(chunkCount);
    let count = 0;
    for (let chunk = 0; chunk < chunkCount; chunk++) if (!skip(chunk)) wanted[count++] = chunk;
    this.#pending = wanted.subarray(0, count);
    this.#pendingCount = count;
    this.#remaining = count;
    this.#shuffle();
  }

  /** Chunks that have not arrived. */
  get remaining(): number {
    return this.#remaining;
  }

  get inFlight(): number {
    return this.#inFlightCount;
  }

  // --- Holders --------------------------------------------------------------------------------------------------

  /** Makes a holder known, or says more of one. False where there are too many, or it was expelled. */
  setHolder(peer: string, kind: HolderKind, held: Uint8Array | 'all', nowMs: number): boolean {
    const known = this.#holders.get(peer);
    if (known !== undefined) {
      known.held = held;
      return !known.expelled;
    }
    const alike = [...this.#holders.values()].filter((holder) => holder.kind === kind).length;
    if (alike >= (kind === 'fellow' ? TRANSFER_FELLOWS_MAX : TRANSFER_HOLDERS_MAX)) return false;
    this.#holders.set(peer, {
      peer,
      kind,
      held,
      inFlight: new Set(),
      filling: true,
      failures: 0,
      backOffUntilMs: 0,
      heardMs: nowMs,
      idleSinceMs: nowMs,
      impatientUntilMs: 0,
      cursor: 0,
      expelled: false,
    });
    return true;
  }

  /** A fellow says that these chunks arrived there. */
  announced(peer: string, chunks: readonly number[], nowMs: number): void {
    const holder = this.#holders.get(peer);
    if (holder === undefined) return;
    holder.heardMs = nowMs;
    if (holder.held === 'all') return;
    if (holder.held.length === 0) holder.held = new Uint8Array(this.#arrived.length);
    for (const chunk of chunks) {
      const at = chunk >> 3;
      const byte = holder.held[at];
      if (byte !== undefined) holder.held[at] = byte | (1 << (chunk & 7));
    }
  }

  /** A holder broke off, stalled or refused: what it owes goes back, and it is left alone for a while. */
  failed(peer: string, nowMs: number): void {
    const holder = this.#holders.get(peer);
    if (holder === undefined) return;
    this.#takeBack(holder, nowMs);
    const wait = Math.min(TRANSFER_BACK_OFF_MIN_MS * 2 ** holder.failures, TRANSFER_BACK_OFF_MAX_MS);
    holder.failures += 1;
    holder.backOffUntilMs = nowMs + wait;
  }

  /** A holder sent bytes that are not the chunk: it is asked for nothing more. */
  expelled(peer: string, nowMs: number): void {
    const holder = this.#holders.get(peer);
    if (holder === undefined) return;
    this.#takeBack(holder, nowMs);
    holder.expelled = true;
  }

  // --- Chunks ---------------------------------------------------------------------------------------------------

  /** The next chunk to ask for, now in flight; undefined where there is nothing to do until something happens. */
  pick(nowMs: number): Pick | undefined {
    if (this.#pendingCount === 0 || this.#inFlightCount >= TRANSFER_WINDOW) return undefined;
    for (const kind of ['fellow', 'source'] as const) {
      for (const holder of this.#readyHolders(kind, nowMs)) {
        const chunk = this.#chunkFor(holder, nowMs);
        if (chunk === undefined) continue;
        this.#leave(chunk);
        holder.inFlight.add(chunk);
        this.#inFlightCount += 1;
        return { holder: holder.peer, chunk };
      }
    }
    return undefined;
  }

  /** The chunk is here, whoever it came from. */
  arrived(chunk: number, nowMs: number): void {
    if (this.hasArrived(chunk)) return;
    for (const holder of this.#holders.values()) {
      if (!holder.inFlight.delete(chunk)) continue;
      this.#inFlightCount -= 1;
      holder.failures = 0;
      if (holder.kind === 'fellow') holder.heardMs = nowMs;
      if (holder.inFlight.size === 0) holder.idleSinceMs = nowMs;
    }
    if (this.#place[chunk] !== NOWHERE) this.#leave(chunk);
    this.#arrived[chunk >> 3] = (this.#arrived[chunk >> 3] ?? 0) | (1 << (chunk & 7));
    this.#remaining -= 1;
  }

  hasArrived(chunk: number): boolean {
    return ((this.#arrived[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
  }

  /** The holder does not have the chunk after all. */
  missing(peer: string, chunk: number, nowMs: number): void {
    const holder = this.#holders.get(peer);
    if (!holder?.inFlight.delete(chunk)) return;
    this.#inFlightCount -= 1;
    if (holder.inFlight.size === 0) holder.idleSinceMs = nowMs;
    if (holder.held === 'all') holder.held = new Uint8Array(this.#arrived.length).fill(255);
    holder.held[chunk >> 3] = (holder.held[chunk >> 3] ?? 0) & ~(1 << (chunk & 7));
    this.#enter(chunk);
  }

  /** Sequential: the reader came so far that chunks below `chunk` may be asked for. */
  setHorizon(chunk: number): void {
    this.#horizon = chunk;
  }

  // --- Choice ---------------------------------------------------------------------------------------------------

  #readyHolders(kind: HolderKind, nowMs: number): Holder[] {
    const ready: Holder[] = [];
    for (const holder of this.#holders.values()) {
      if (holder.kind !== kind || !hasRoom(holder)) continue;
      if (this.#isHealthy(holder, nowMs)) ready.push(holder);
    }
    return ready.sort((a, b) => a.inFlight.size - b.inFlight.size);
  }

  #isHealthy(holder: Holder, nowMs: number): boolean {
    return !holder.expelled && nowMs >= holder.backOffUntilMs;
  }

  #chunkFor(holder: Holder, nowMs: number): number | undefined {
    if (this.#options.sequential) return this.#firstFor(holder);
    const fellows = [...this.#holders.values()].filter(
      (other) => other.kind === 'fellow' && other !== holder && this.#isHealthy(other, nowMs),
    );
    const restrained = holder.kind === 'source' && fellows.length > 0 && !this.#isImpatient(holder, nowMs);
    const ranks = restrained ? this.#ranks(fellows, nowMs) : [];
    let best: number | undefined;
    let bestScore = Number.POSITIVE_INFINITY;
    // One chunk in as many as there are receivers is this machine's share of the source.
    const looks = Math.min(TRANSFER_CANDIDATES_MAX * Math.max(1, ranks.length), this.#pendingCount);
    for (let look = 0; look < looks && bestScore > 0; look++) {
      holder.cursor = (holder.cursor + 1) % this.#pendingCount;
      const chunk = this.#pending[holder.cursor] ?? 0;
      if (restrained && ranks[chunk % ranks.length] !== this.#options.self) continue;
      if (!holds(holder, chunk)) continue;
      let copies = 0;
      for (const fellow of fellows) if (holds(fellow, chunk)) copies += 1;
      if (copies >= (restrained ? 1 : bestScore)) continue;
      best = chunk;
      bestScore = copies;
    }
    return best;
  }

  /** Those who share out the source's upload among them, in an order that is the same for all. */
  #ranks(fellows: readonly Holder[], nowMs: number): string[] {
    const active = fellows.filter(
      ({ held, heardMs }) => held !== 'all' && nowMs - heardMs < TRANSFER_FELLOW_IDLE_MS,
    );
    return [this.#options.self, ...active.map(({ peer }) => peer)].sort();
  }

  /** A source with nothing to do means that this machine waits for fellows: not for long. */
  #isImpatient(source: Holder, nowMs: number): boolean {
    if (nowMs < source.impatientUntilMs) return true;
    if (source.inFlight.size > 0 || nowMs - source.idleSinceMs < TRANSFER_PATIENCE_MS) return false;
    source.impatientUntilMs = nowMs + TRANSFER_IMPATIENCE_MS;
    return true;
  }

  #firstFor(holder: Holder): number | undefined {
    const end = Math.min(this.#options.chunkCount, this.#horizon);
    while (this.#low < end && this.#place[this.#low] === NOWHERE) this.#low += 1;
    const last = Math.min(end, this.#low + TRANSFER_CANDIDATES_MAX);
    for (let chunk = this.#low; chunk < last; chunk++) {
      if (this.#place[chunk] !== NOWHERE && holds(holder, chunk)) return chunk;
    }
    return undefined;
  }

  // --- Books ----------------------------------------------------------------------------------------------------

  #takeBack(holder: Holder, nowMs: number): void {
    for (const chunk of holder.inFlight) this.#enter(chunk);
    this.#inFlightCount -= holder.inFlight.size;
    holder.inFlight.clear();
    holder.idleSinceMs = nowMs;
  }

  #enter(chunk: number): void {
    this.#pending[this.#pendingCount] = chunk;
    this.#place[chunk] = this.#pendingCount;
    this.#pendingCount += 1;
    this.#low = Math.min(this.#low, chunk);
  }

  /** The last one takes the place of the one that leaves. */
  #leave(chunk: number): void {
    const place = this.#place[chunk] ?? NOWHERE;
    this.#pendingCount -= 1;
    const last = this.#pending[this.#pendingCount] ?? 0;
    this.#pending[place] = last;
    this.#place[last] = place;
    this.#place[chunk] = NOWHERE;
  }

  /** Fisher and Yates. */
  #shuffle(): void {
    const random = new Prng(this.#options.seed);
    for (let at = this.#pendingCount - 1; at > 0; at--) {
      const other = random.int(0, at);
      const chunk = this.#pending[at] ?? 0;
      this.#pending[at] = this.#pending[other] ?? 0;
      this.#pending[other] = chunk;
    }
    for (let at = 0; at < this.#pendingCount; at++) this.#place[this.#pending[at] ?? 0] = at;
  }
}

/** A window that was full is filled again when TRANSFER_ASKED_TOGETHER have room in it: what is asked for at once travels in one frame. */
function hasRoom(holder: Holder): boolean {
  const { size } = holder.inFlight;
  if (size >= TRANSFER_HOLDER_WINDOW) holder.filling = false;
  else if (size <= TRANSFER_HOLDER_WINDOW - TRANSFER_ASKED_TOGETHER) holder.filling = true;
  return holder.filling;
}

function holds({ held }: Holder, chunk: number): boolean {
  return held === 'all' || ((held[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
}
