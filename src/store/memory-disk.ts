/**
 * A disk for the simulator. It keeps what LevelDB on a real disk keeps, and loses what that loses: a crash takes back
 * any number of the last unsynced batches (what survives is a prefix; a batch torn in the middle fails its checksum in
 * LevelDB's log and counts as not written), never a synced one. Beyond that it can fill up, rot, and lie about a sync.
 * All randomness comes from one seeded generator.
 */
import { ShoalError } from '../lib/errors.ts';
import { STORE_PAGE_RECORDS } from '../lib/limits.ts';
import { Prng } from '../lib/prng.ts';
import type { Acked, Engine, EngineBatch, GroupAcked, Page, PageOptions } from './engine.ts';
import { SortedMap } from './sorted-map.ts';

export interface MemoryDiskOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Awaited before each write takes effect: virtual time for a slow disk. Default: none. */
  readonly latency?: (sync: boolean) => Promise<void>;
}

type Operation = readonly [key: string, value: Uint8Array | undefined];

/** Synced batches that `loseSynced` can still take back. */
const SYNCED_HISTORY_MAX = 64;

export class MemoryDisk {
  /** While true every write fails with DiskFull; reads go on. */
  full = false;
  readonly #random: Prng;
  readonly #latency: ((sync: boolean) => Promise<void>) | undefined;
  #records = new SortedMap<Uint8Array>();
  #incarnation: string;
  /** For each unsynced batch what its keys held before, newest last. */
  #unsynced: Operation[][] = [];
  #syncedHistory: Operation[][] = [];
  /** On its way to the disk: a crash may find it written or not. */
  #inFlight: readonly Operation[] | undefined;
  #ackedBatch = 0;
  #ackedGroups = new Map<string, GroupAcked>();
  /** Grows with each crash; an engine of an earlier life reaches nothing any more. */
  #life = 0;
  #attached = false;

  constructor(options: MemoryDiskOptions = {}) {
    this.#random = new Prng(options.seed ?? 1);
    this.#latency = options.latency;
    this.#incarnation = this.#newIncarnation();
  }

  get incarnation(): string {
    return this.#incarnation;
  }

  get acked(): Acked {
    return { batch: this.#ackedBatch, groups: [...this.#ackedGroups.values()] };
  }

  get unsyncedBatches(): number {
    return this.#unsynced.length + (this.#inFlight === undefined ? 0 : 1);
  }

  /** All records below `prefix`, for opening a store and for the world's checks. */
  list(prefix: string, end: string): readonly (readonly [string, Uint8Array])[] {
    return this.#records.range(prefix, false, end, Number.POSITIVE_INFINITY);
  }

  get(key: string): Uint8Array | undefined {
    return this.#records.get(key);
  }

  /** Another disk with what this one holds now: a copied directory. */
  copy(): MemoryDisk {
    const copy = new MemoryDisk();
    for (const [key, value] of this.list('', '\uffff')) copy.#records.set(key, value);
    copy.#incarnation = this.#incarnation;
    copy.#ackedBatch = this.#ackedBatch;
    copy.#ackedGroups = new Map(this.#ackedGroups);
    return copy;
  }

  // --- Faults ---------------------------------------------------------------------------------------------------

  /**
   * The machine loses power: its store is dead, and of the unsynced batches the first `keep` survive (default: the
   * generator draws). Returns how many were lost.
   */
  crash(keep?: number): number {
    const unsynced = this.unsyncedBatches;
    const kept = Math.min(keep ?? this.#random.int(0, unsynced), unsynced);
    if (this.#inFlight !== undefined && kept === unsynced) this.#unsynced.push(this.#apply(this.#inFlight));
    while (this.#unsynced.length > kept) this.#undo(this.#unsynced.pop() ?? []);
    // What survived has reached the disk.
    this.#settle();
    this.#detach();
    return unsynced - kept;
  }

  /** The process alone dies: the page cache keeps what was written, the batch in flight is lost or not. */
  kill(): void {
    if (this.#inFlight !== undefined && this.#random.chance(0.5)) {
      this.#unsynced.push(this.#apply(this.#inFlight));
    }
    this.#detach();
  }

  /** A disk that lied: after the crash the last `count` synced batches are missing too. */
  loseSynced(count: number): void {
    this.crash(0);
    for (let i = 0; i < count; i++) this.#undo(this.#syncedHistory.pop() ?? []);
  }

  /** Flips one bit of a stored value below `prefix`. Returns its key, or undefined where there is none. */
  rot(prefix: string): string | undefined {
    const key = this.#pickBelow(prefix);
    const value = key === undefined ? undefined : this.#records.get(key);
    if (key === undefined || value === undefined) return undefined;
    const damaged = Uint8Array.from(value);
    const at = this.#random.int(0, damaged.length - 1);
    damaged[at] = (damaged[at] ?? 0) ^ (1 << this.#random.int(0, 7));
    this.#records.set(key, damaged);
    return key;
  }

  /** Takes a record below `prefix` away. Returns its key. */
  vanish(prefix: string): string | undefined {
    const key = this.#pickBelow(prefix);
    if (key !== undefined) this.#records.delete(key);
    return key;
  }

  /** Somebody put a new disk in: empty, with another incarnation. */
  wipe(): void {
    this.#detach();
    this.#records = new SortedMap();
    this.#unsynced = [];
    this.#syncedHistory = [];
    this.#ackedBatch = 0;
    this.#ackedGroups.clear();
    this.#incarnation = this.#newIncarnation();
  }

  // --- Engine ---------------------------------------------------------------------------------------------------

  /** The engine of one life of the machine. Throws AgentRunning while another one is open. */
  attach(): Engine {
    if (this.#attached) throw new ShoalError('AgentRunning', 'Another agent already uses this memory disk.');
    this.#attached = true;
    const life = this.#life;
    const alive = async <T>(work: () => T | Promise<T>): Promise<T> => {
      if (life !== this.#life) throw crashed();
      return work();
    };
    const engine: Engine<MemoryBatch> = {
      get: (key) => alive(() => this.#records.get(key)),
      getMany: (keys) => alive(() => keys.map((key) => this.#records.get(key))),
      page: (options) => alive(() => this.#page(options)),
      snapshot: (from, end) => this.#snapshot(from, end, life),
      keys: (options) => alive(() => this.#page(options).records.map(([key]) => key)),
      begin: () => new MemoryBatch(),
      write: (batch, sync) => alive(() => this.#write(batch, sync, life)),
      noteAcked: (acked) => {
        if (life === this.#life) this.#noteAcked(acked);
      },
      forgetAcked: (group) => alive(() => void this.#ackedGroups.delete(group)),
      close: () => alive(() => this.#detach()),
    };
    return engine;
  }

  #page({ from, fromExcluded, end, limit }: PageOptions): Page {
    const records = this.#records.range(from, fromExcluded === true, end, limit);
    return { records, finished: records.length < limit };
  }

  async *#snapshot(from: string, end: string, life: number): AsyncGenerator<Page['records']> {
    const { records } = this.#page({ from, end, limit: Number.POSITIVE_INFINITY });
    for (let at = 0; at < records.length; at += STORE_PAGE_RECORDS) {
      if (life !== this.#life) throw crashed();
      yield records.slice(at, at + STORE_PAGE_RECORDS);
    }
  }

  async #write(batch: MemoryBatch, sync: boolean, life: number): Promise<void> {
    if (this.full) throw new ShoalError('DiskFull');
    if (this.#latency !== undefined) {
      this.#inFlight = batch.operations;
      await this.#latency(sync);
      if (life !== this.#life) throw crashed();
      this.#inFlight = undefined;
    }
    this.#unsynced.push(this.#apply(batch.operations));
    if (sync) this.#settle();
  }

  #settle(): void {
    this.#syncedHistory.push(...this.#unsynced);
    this.#unsynced = [];
    if (this.#syncedHistory.length > SYNCED_HISTORY_MAX) {
      this.#syncedHistory.splice(0, this.#syncedHistory.length - SYNCED_HISTORY_MAX);
    }
  }

  /** Returns what undoes it. */
  #apply(operations: readonly Operation[]): Operation[] {
    return operations.map(([key, value]) => [key, this.#records.exchange(key, value)]);
  }

  #undo(before: readonly Operation[]): void {
    for (const [key, value] of before.toReversed()) this.#records.exchange(key, value);
  }

  #noteAcked(acked: Acked): void {
    this.#ackedBatch = acked.batch;
    for (const mark of acked.groups) this.#ackedGroups.set(mark.group, mark);
  }

  #detach(): void {
    this.#life++;
    this.#attached = false;
    this.#inFlight = undefined;
  }

  #pickBelow(prefix: string): string | undefined {
    const records = this.#records.range(prefix, false, `${prefix}\uffff`, Number.POSITIVE_INFINITY);
    return records.length === 0 ? undefined : this.#random.pick(records)[0];
  }

  #newIncarnation(): string {
    return this.#random.int(0, 0xffffffff).toString(16).padStart(8, '0');
  }
}

function crashed(): ShoalError {
  return new ShoalError('InternalError', 'The machine of this store has crashed.');
}

class MemoryBatch implements EngineBatch {
  readonly operations: Operation[] = [];

  put(key: string, value: Uint8Array): void {
    this.operations.push([key, value]);
  }

  delete(key: string): void {
    this.operations.push([key, undefined]);
  }

  discard(): void {
    this.operations.length = 0;
  }
}
