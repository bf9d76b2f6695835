/**
 * What a store asks of the ordered key-value engine below it: LevelDB, or the simulator's disk. Everything that gives
 * the bytes a meaning (keys, checksums, logs, order of writes) is above this line and runs in both.
 */

/** Collects operations; nothing happens before `write`. Later operations win over earlier ones. */
export interface EngineBatch {
  put(key: string, value: Uint8Array): void;
  delete(key: string): void;
  /** Gives its memory back without a write. */
  discard(): void;
}

export interface PageOptions {
  /** First key that may be returned... */
  readonly from: string;
  /** ...unless this says that it is excluded itself. */
  readonly fromExcluded?: boolean;
  /** First key that may not be returned. */
  readonly end: string;
  readonly limit: number;
}

export interface Page {
  readonly records: readonly (readonly [string, Uint8Array])[];
  /** True where no key is left below `end`; a page may end early for its size in bytes. */
  readonly finished: boolean;
}

/** What the disk has been told to be durable: the last synced batch and the groups it or unsynced ones before it touched. */
export interface Acked {
  readonly batch: number;
  readonly groups: readonly GroupAcked[];
}

export interface GroupAcked {
  readonly group: string;
  readonly batch: number;
  readonly lastIndex: number;
  readonly term: number;
}

export interface Engine<Batch extends EngineBatch = EngineBatch> {
  get(key: string): Promise<Uint8Array | undefined>;
  getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>;
  page(options: PageOptions): Promise<Page>;
  /** The records from `from` up to `end`, page by page, all as of the call of the first `next()`. */
  snapshot(from: string, end: string): AsyncIterable<Page['records']>;
  /** Keys only, for removals. */
  keys(options: PageOptions): Promise<readonly string[]>;
  begin(): Batch;
  /** All of the batch or nothing; with `sync` durable when it resolves. The store has one call in flight at most. */
  write(batch: Batch, sync: boolean): Promise<void>;
  /** Remembers outside the database what a crash must not take back. Must not wait for the disk. */
  noteAcked(acked: Acked): void;
  /** The group is to be dropped: durably forgets its mark, which would otherwise be missed later. */
  forgetAcked(group: string): Promise<void>;
  close(): Promise<void>;
}
