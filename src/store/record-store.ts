/**
 * The store over any ordered key-value engine.
 *
 * Writes stand in one queue. While a batch is on its way to the disk the next ones gather, and all that gathered go as
 * one batch with one fdatasync (group commit); order is kept, and each write is still all or nothing. A write that
 * clears a prefix or moves the start of a log must first read what is there, so it goes alone, after everything before
 * it (a clear holds the others up for 1.4 s for each million rows it removes). The same queue carries `loadGroup` and
 * `dropGroup`, which therefore see a group between two batches and never inside one.
 *
 * After a failed write nothing is known about the end of the log on disk (fsync may have thrown pages away), so the
 * store takes no more writes until it is opened again; reads go on.
 */
import { asShoalError, ShoalError } from '../lib/errors.ts';
import { STORE_PAGE_RECORDS, STORE_TURN_BYTES_MAX } from '../lib/limits.ts';
import type { Engine, EngineBatch, PageOptions } from './engine.ts';
import { readLog } from './group-log.ts';
import { writeGroup } from './group-write.ts';
import {
  type DamagedGroup,
  type GroupState,
  newGroupState,
  type PurgeRange,
  type StoreHeads,
} from './heads.ts';
import type { GroupWrite, RowWrite, ScanOptions, Store, StoreBatch, StoredGroup } from './interface.ts';
import {
  BATCH_KEY,
  checkRowKey,
  entryKey,
  type GroupKeys,
  groupKeys,
  indexOfEntry,
  LOCAL_PREFIX,
  prefixEnd,
} from './keys.ts';
import { decodeEntry, encodeBatchMark, frame, unframeOrThrow } from './records.ts';

interface PendingWrite {
  readonly kind: 'write';
  readonly batch: StoreBatch;
  readonly sync: boolean;
  readonly resolve: () => void;
  readonly reject: (error: ShoalError) => void;
}

const NO_TERMS: ReadonlyMap<GroupWrite, number> = new Map();

/** Runs alone, between two batches. */
interface PendingTask {
  readonly kind: 'task';
  readonly run: () => Promise<void>;
}

export class RecordStore implements Store {
  readonly incarnation: string;
  readonly failed: Promise<ShoalError>;
  readonly #engine: Engine;
  readonly #groups: Map<string, GroupState | DamagedGroup>;
  readonly #queue: (PendingWrite | PendingTask)[] = [];
  /** Groups written since the last synced batch: the next sync makes them durable too. */
  readonly #unmarked = new Set<string>();
  /** Dropped groups whose log and rows are being removed; the value tells one drop of a name from the next. */
  readonly #dropping = new Map<string, symbol>();
  #batchNumber: number;
  #draining = false;
  #failure: ShoalError | undefined;
  #tellFailed: (error: ShoalError) => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(engine: Engine, incarnation: string, heads: StoreHeads) {
    this.#engine = engine;
    this.incarnation = incarnation;
    this.failed = new Promise((resolve) => {
      this.#tellFailed = resolve;
    });
    this.#groups = heads.groups;
    this.#batchNumber = heads.batch;
    for (const group of heads.dropped) this.#startRemoval(group);
  }

  groups(): Promise<readonly string[]> {
    return Promise.resolve([...this.#groups.keys()]);
  }

  loadGroup(group: string): Promise<StoredGroup | undefined> {
    return this.#alone(() => this.#readGroup(group));
  }

  /** The group is gone for good when this resolves; its records go a page at a time, beside other writes. */
  dropGroup(group: string): Promise<void> {
    return this.#alone(() => this.#markDropped(group));
  }

  write(batch: StoreBatch, sync: boolean): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#enqueue({ kind: 'write', batch, sync, resolve, reject });
    });
  }

  async getRow(group: string, key: string): Promise<Uint8Array | undefined> {
    if (this.#dropping.has(group)) return undefined;
    return this.#get(this.#keysOf(group).rowPrefix + key, group);
  }

  async getRows(group: string, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    if (this.#dropping.has(group)) return keys.map(() => undefined);
    const { rowPrefix } = this.#keysOf(group);
    const fullKeys = keys.map((key) => rowPrefix + key);
    const records = await this.#engine.getMany(fullKeys);
    return records.map((record, i) =>
      record === undefined ? undefined : unframeOrThrow(fullKeys[i] ?? '', record, { group }),
    );
  }

  scanRows(group: string, options: ScanOptions): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#scan(this.#keysOf(group).rowPrefix, options, group);
  }

  async *snapshotRows(group: string): AsyncGenerator<readonly (readonly [string, Uint8Array])[]> {
    if (this.#dropping.has(group)) return;
    const { rowPrefix } = this.#keysOf(group);
    for await (const page of this.#engine.snapshot(rowPrefix, prefixEnd(rowPrefix)))
      yield page.map(([key, record]) => [
        key.slice(rowPrefix.length),
        unframeOrThrow(key, record, { group }),
      ]);
  }

  getLocal(key: string): Promise<Uint8Array | undefined> {
    return this.#get(LOCAL_PREFIX + key, '');
  }

  scanLocal(options: ScanOptions): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#scan(LOCAL_PREFIX, options, '');
  }

  /** Waits for the writes that are in the queue. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve, reject) => {
      this.#enqueue({ kind: 'task', run: () => this.#engine.close().then(resolve, reject) });
    });
    return this.#closing;
  }

  // --- Queue ----------------------------------------------------------------------------------------------------

  #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#enqueue({ kind: 'task', run: () => work().then(resolve, reject) });
    });
  }

  #enqueue(item: PendingWrite | PendingTask): void {
    this.#queue.push(item);
    if (this.#draining) return;
    this.#draining = true;
    // One microtask later: writes of several groups made in the same turn of the loop share the first batch too. (As a
    // promise's: `queueMicrotask` makes an asynchronous resource for each call, which costs more than the rest of this.)
    void Promise.resolve().then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
      if (item.kind === 'task') await item.run();
      else if (!this.#touchesDropped(item.batch) || (await this.#clearedOfDropped(item)))
        await this.#commit(this.#gather(item));
    }
    this.#draining = false;
  }

  /** `first` and the writes right behind it that may share its batch. */
  #gather(first: PendingWrite): PendingWrite[] {
    const turn = [first];
    if (readsFirst(first.batch)) return turn;
    let bytes = approximateBytes(first.batch);
    for (;;) {
      const next = this.#queue[0];
      if (next === undefined || next.kind === 'task' || readsFirst(next.batch)) return turn;
      if (this.#touchesDropped(next.batch)) return turn;
      bytes += approximateBytes(next.batch);
      if (bytes > STORE_TURN_BYTES_MAX) return turn;
      turn.push(next);
      this.#queue.shift();
    }
  }

  /** Never rejects: every write of the turn learns its own outcome. */
  async #commit(turn: PendingWrite[]): Promise<void> {
    const failure = this.#failure;
    if (failure !== undefined) {
      for (const write of turn) write.reject(failure);
      return;
    }
    const filled = await this.#fill(turn);
    if (filled === undefined) return;
    try {
      await this.#writeBatch(filled.batch, filled.sync, filled.states);
    } catch (error) {
      for (const write of filled.accepted) write.reject(asShoalError(error));
      return;
    }
    for (const write of filled.accepted) write.resolve();
  }

  /**
   * All writes of the turn as one batch. A write that is refused is rejected, and the batch made anew without it:
   * a caller's mistake must not fail the others.
   */
  async #fill(
    turn: PendingWrite[],
  ): Promise<
    | { batch: EngineBatch; sync: boolean; states: Map<string, GroupState>; accepted: PendingWrite[] }
    | undefined
  > {
    const accepted = [...turn];
    while (accepted.length > 0) {
      const sync = accepted.some((write) => write.sync);
      const batch = this.#beginBatch(sync);
      const states = new Map<string, GroupState>();
      let current: PendingWrite | undefined;
      try {
        for (current of accepted) {
          const alone = readsFirst(current.batch);
          const terms = alone ? await this.#termsAtStarts(current.batch) : NO_TERMS;
          this.#putGroups(batch, states, current.batch, terms);
          if (alone) await this.#putRowsWithClears(batch, current.batch);
          else this.#putRows(batch, current.batch);
        }
        return { batch, sync, states, accepted };
      } catch (error) {
        batch.discard();
        current?.reject(asShoalError(error));
        accepted.splice(0, accepted.length, ...accepted.filter((write) => write !== current));
      }
    }
    return undefined;
  }

  /** The mark comes first, so that the check of a damaged log finds it without decoding the rest. */
  #beginBatch(synced: boolean): EngineBatch {
    const batch = this.#engine.begin();
    batch.put(BATCH_KEY, encodeBatchMark(BATCH_KEY, { batch: this.#batchNumber + 1, synced }));
    return batch;
  }

  async #writeBatch(
    batch: EngineBatch,
    sync: boolean,
    states: ReadonlyMap<string, GroupState>,
  ): Promise<void> {
    try {
      await this.#engine.write(batch, sync);
    } catch (error) {
      this.#failure = asShoalError(error);
      this.#tellFailed(this.#failure);
      throw this.#failure;
    }
    this.#batchNumber++;
    for (const [group, state] of states) {
      this.#groups.set(group, state);
      this.#unmarked.add(group);
    }
    if (sync) this.#noteAcked();
  }

  #noteAcked(): void {
    const groups = [];
    for (const group of this.#unmarked) {
      const state = this.#groups.get(group);
      if (state === undefined || 'damage' in state) continue;
      const { batch, lastIndex, hardState } = state.head;
      groups.push({ group, batch, lastIndex, term: hardState.term });
    }
    this.#unmarked.clear();
    this.#engine.noteAcked({ batch: this.#batchNumber, groups });
  }

  // --- Writing --------------------------------------------------------------------------------------------------

  #putGroups(
    batch: EngineBatch,
    states: Map<string, GroupState>,
    write: StoreBatch,
    termsAtStarts: ReadonlyMap<GroupWrite, number>,
  ): void {
    for (const groupWrite of write.groups) {
      const { group } = groupWrite;
      const known = states.get(group) ?? this.#groups.get(group);
      if (known !== undefined && 'damage' in known) throw known.damage;
      const before = known ?? newGroupState(group);
      const termAtStart = termsAtStarts.get(groupWrite);
      const number = this.#batchNumber + 1;
      states.set(group, writeGroup(batch, number, before, known === undefined, groupWrite, termAtStart));
    }
  }

  /** For each start in `write` the term of the entry on disk that it stands for. */
  async #termsAtStarts(write: StoreBatch): Promise<ReadonlyMap<GroupWrite, number>> {
    const terms = new Map<GroupWrite, number>();
    for (const groupWrite of write.groups) {
      const { group, start } = groupWrite;
      if (start === undefined) continue;
      const key = entryKey(this.#keysOf(group), start.index);
      const record = await this.#engine.get(key);
      if (record === undefined) continue;
      const payload = unframeOrThrow(key, record, { group, missing: `log entry ${start.index}` });
      terms.set(groupWrite, decodeEntry(start.index, payload).term);
    }
    return terms;
  }

  #putRows(batch: EngineBatch, write: StoreBatch): void {
    for (const { group, rows } of write.groups)
      if (rows !== undefined) putRows(batch, this.#keysOf(group).rowPrefix, rows);
    if (write.local !== undefined) putRows(batch, LOCAL_PREFIX, write.local);
  }

  /**
   * LevelDB has no range tombstones: a clear is a delete for each key on disk, and for each key that this very write
   * has put before. The deletes stream into the engine's batch page by page, so a million of them cost its memory
   * (some 60 bytes each) and neither our heap nor a stall of the loop.
   */
  async #putRowsWithClears(batch: EngineBatch, write: StoreBatch): Promise<void> {
    const own = new Set<string>();
    for (const [prefix, row] of this.#rowsOf(write)) {
      if (row.kind === 'put') {
        putRow(batch, prefix, row.key, row.value);
        own.add(prefix + row.key);
      } else if (row.kind === 'delete') {
        batch.delete(prefix + row.key);
      } else {
        checkRowKey(row.prefix);
        const cleared = prefix + row.prefix;
        for (const key of own) if (key.startsWith(cleared)) batch.delete(key);
        await this.#deleteRange(batch, cleared);
      }
    }
  }

  *#rowsOf(write: StoreBatch): Iterable<readonly [string, RowWrite]> {
    for (const groupWrite of write.groups) {
      if (groupWrite.rows === undefined) continue;
      const { rowPrefix } = this.#keysOf(groupWrite.group);
      for (const row of groupWrite.rows) yield [rowPrefix, row];
    }
    for (const row of write.local ?? []) yield [LOCAL_PREFIX, row];
  }

  async #deleteRange(batch: EngineBatch, prefix: string): Promise<void> {
    const end = prefixEnd(prefix);
    let from = prefix;
    for (;;) {
      const keys = await this.#engine.keys({
        from,
        fromExcluded: from !== prefix,
        end,
        limit: STORE_PAGE_RECORDS,
      });
      for (const key of keys) batch.delete(key);
      const last = keys[keys.length - 1];
      if (last === undefined || keys.length < STORE_PAGE_RECORDS) return;
      from = last;
    }
  }

  // --- Dropping -------------------------------------------------------------------------------------------------

  /** One small synced batch says that the group is gone; what it leaves behind no read looks at any more. */
  async #markDropped(group: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const known = this.#groups.get(group);
    if (known === undefined) return;
    // The mark goes first: a mark without its group looks like a loss, a group without its mark does no harm.
    await this.#engine.forgetAcked(group);
    const batch = this.#beginBatch(true);
    batch.delete(known.keys.head);
    batch.delete(known.keys.start);
    batch.put(known.keys.dropped, frame(known.keys.dropped, new Uint8Array(0)));
    this.#unmarked.delete(group);
    await this.#writeBatch(batch, true, new Map());
    this.#groups.delete(group);
    this.#startRemoval(group);
  }

  /** Also after a restart. A failure (the store was closed, the disk is full) leaves the rest to the next open. */
  #startRemoval(group: string): void {
    this.#dropping.set(group, Symbol(group));
    this.#removeRecords(group, (page) => this.#alone(page)).catch(() => undefined);
  }

  /** `run` says whether other writes may come between two pages. */
  async #removeRecords(
    group: string,
    run: (page: () => Promise<number>) => Promise<number> = (page) => page(),
  ): Promise<void> {
    const drop = this.#dropping.get(group);
    const { entryPrefix, rowPrefix, dropped } = groupKeys(group);
    for (const prefix of [entryPrefix, rowPrefix, dropped]) {
      const range = { from: prefix, end: prefixEnd(prefix), limit: STORE_PAGE_RECORDS };
      // A write that could not wait may have finished this removal, and the name be in use or dropped again.
      const page = (): Promise<number> =>
        this.#dropping.get(group) === drop ? this.#deletePage(range) : Promise.resolve(0);
      for (let removed = STORE_PAGE_RECORDS; removed === STORE_PAGE_RECORDS; ) removed = await run(page);
    }
    if (this.#dropping.get(group) === drop) this.#dropping.delete(group);
  }

  async #deletePage(range: PageOptions): Promise<number> {
    const keys = await this.#engine.keys(range);
    if (keys.length > 0) await this.#deleteKeys(keys);
    return keys.length;
  }

  async #deleteKeys(keys: readonly string[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const batch = this.#beginBatch(false);
    for (const key of keys) batch.delete(key);
    await this.#writeBatch(batch, false, new Map());
  }

  #touchesDropped(write: StoreBatch): boolean {
    return this.#dropping.size > 0 && write.groups.some(({ group }) => this.#dropping.has(group));
  }

  /**
   * A write to a new group of a dropped one's name first finishes the removal, with the queue at a stop: the order of
   * writes is worth more than the delay. False where that failed, and the write is rejected.
   */
  async #clearedOfDropped(write: PendingWrite): Promise<boolean> {
    try {
      for (const { group } of write.batch.groups) {
        if (this.#dropping.has(group)) await this.#removeRecords(group);
      }
      return true;
    } catch (error) {
      write.reject(asShoalError(error));
      return false;
    }
  }

  // --- Reading --------------------------------------------------------------------------------------------------

  #keysOf(group: string): GroupKeys {
    return this.#groups.get(group)?.keys ?? groupKeys(group);
  }

  async #get(fullKey: string, group: string): Promise<Uint8Array | undefined> {
    const record = await this.#engine.get(fullKey);
    return record === undefined ? undefined : unframeOrThrow(fullKey, record, { group });
  }

  /** What an earlier run had no time to remove. Not without a gap: a recovered log begins far behind its last entry. */
  async #deadEntries({ keys, start }: GroupState): Promise<readonly PurgeRange[]> {
    const end = entryKey(keys, start.index + 1);
    const ranges: { from: number; to: number }[] = [];
    for (let from = keys.entryPrefix; ; ) {
      const fromExcluded = from !== keys.entryPrefix;
      const dead = await this.#engine.keys({ from, fromExcluded, end, limit: STORE_PAGE_RECORDS });
      for (const key of dead) {
        const index = indexOfEntry(keys, key);
        const last = ranges[ranges.length - 1];
        if (last?.to === index - 1) last.to = index;
        else ranges.push({ from: index, to: index });
      }
      const lastKey = dead[dead.length - 1];
      if (lastKey === undefined) return ranges;
      from = lastKey;
    }
  }

  /** Each page is one moment's truth and none is held between two pages, so a slow reader keeps nothing from compaction. */
  async *#scan(
    base: string,
    options: ScanOptions,
    group: string,
  ): AsyncGenerator<readonly [string, Uint8Array]> {
    if (this.#dropping.has(group)) return;
    const { prefix, after } = options;
    const end = prefixEnd(base + prefix);
    let from = base + prefix;
    let fromExcluded = false;
    if (after !== undefined && after >= prefix) {
      from = base + after;
      fromExcluded = true;
      if (from >= end) return;
    }
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    while (left > 0) {
      const limit = Math.min(left, STORE_PAGE_RECORDS);
      const page = await this.#engine.page({ from, fromExcluded, end, limit });
      for (const [key, record] of page.records) {
        yield [key.slice(base.length), unframeOrThrow(key, record, { group })];
      }
      const last = page.records[page.records.length - 1];
      if (page.finished || last === undefined) return;
      left -= page.records.length;
      from = last[0];
      fromExcluded = true;
    }
  }

  async #readGroup(group: string): Promise<StoredGroup | undefined> {
    const state = this.#groups.get(group);
    if (state === undefined) return undefined;
    if ('damage' in state) throw state.damage;
    const entries = await readLog(this.#engine, group, state);
    this.#groups.set(group, { ...state, purge: await this.#deadEntries(state) });
    const { hardState, applied } = state.head;
    return { group, hardState, start: state.start, entries, applied };
  }
}

/** None of them clears. */
function putRows(batch: EngineBatch, prefix: string, rows: readonly RowWrite[]): void {
  for (const row of rows) {
    if (row.kind === 'put') putRow(batch, prefix, row.key, row.value);
    else if (row.kind === 'delete') batch.delete(prefix + row.key);
  }
}

function putRow(batch: EngineBatch, prefix: string, key: string, value: Uint8Array): void {
  checkRowKey(key);
  const fullKey = prefix + key;
  batch.put(fullKey, frame(fullKey, value));
}

/** True where the write depends on what the disk holds, which the writes before it must have reached. */
function readsFirst(batch: StoreBatch): boolean {
  return (
    isClearing(batch.local) ||
    batch.groups.some((write) => write.start !== undefined || isClearing(write.rows))
  );
}

function isClearing(rows: readonly RowWrite[] | undefined): boolean {
  return rows?.some((row) => row.kind === 'clear') ?? false;
}

/** Data only: keys and frames are small beside the bound this is compared with. */
function approximateBytes(batch: StoreBatch): number {
  let bytes = rowBytes(batch.local);
  for (const write of batch.groups) {
    bytes += rowBytes(write.rows);
    for (const entry of write.append ?? []) bytes += entry.data.length;
  }
  return bytes;
}

function rowBytes(rows: readonly RowWrite[] | undefined): number {
  let bytes = 0;
  for (const row of rows ?? []) if (row.kind === 'put') bytes += row.value.length;
  return bytes;
}

function closedError(): ShoalError {
  return new ShoalError('InternalError', 'The store is closed.');
}
