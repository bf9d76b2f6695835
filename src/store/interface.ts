/**
 * One `level` store for each machine: the Raft logs and hard states of all its groups, the state rows of their
 * replicated state machines, and the machine's own rows (outbox, leases, transfers). One synced batch a turn
 * makes everything of that turn durable.
 */
import type { ShoalError } from '../lib/errors.ts';

/** The same shape as consensus' `Entry`; named here because the store knows nothing of consensus. */
export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: 'noop' | 'command' | 'configuration';
  readonly data: Uint8Array;
}

export interface LogHardState {
  readonly term: number;
  readonly votedFor: string | null;
  readonly commit: number;
}

export interface LogStart {
  readonly index: number;
  readonly term: number;
  readonly configuration: { readonly voters: readonly string[]; readonly learners: readonly string[] };
}

/** A write to the rows of one group (or of the machine itself). Keys are short ASCII strings, ordered bytewise. */
export type RowWrite =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: string }
  /** All keys that start with `prefix`. */
  | { readonly kind: 'clear'; readonly prefix: string };

export interface GroupWrite {
  readonly group: string;
  readonly hardState?: LogHardState;
  /** Entries on disk from this index on are void. Carried out before `append`. */
  readonly truncateFrom?: number;
  readonly append?: readonly LogEntry[];
  /** The log now begins after this point; older entries are removed. */
  readonly start?: LogStart;
  readonly rows?: readonly RowWrite[];
  /** Index of the last entry whose rows are in this or an earlier batch, and the running hash of all row writes. */
  readonly applied?: { readonly index: number; readonly stateHash: number };
}

export interface StoreBatch {
  readonly groups: readonly GroupWrite[];
  /** The machine's own rows. */
  readonly local?: readonly RowWrite[];
}

/** What a restart finds of one group. */
export interface StoredGroup {
  readonly group: string;
  readonly hardState: LogHardState;
  readonly start: LogStart;
  readonly entries: readonly LogEntry[];
  readonly applied: { readonly index: number; readonly stateHash: number };
}

export interface ScanOptions {
  readonly prefix: string;
  /** Only keys greater than this one. */
  readonly after?: string;
  readonly limit?: number;
}

export interface Store {
  /** Random, made when the store was: a wiped disk is a new machine. 8 hexadecimal digits. */
  readonly incarnation: string;
  /** Resolves with its error when a write has failed, whoever asked for it: until it is opened anew the store takes no more. */
  readonly failed: Promise<ShoalError>;
  /** Ids of the groups this machine holds. */
  groups(): Promise<readonly string[]>;
  /** Throws `CorruptStore` where a record inside the log fails its checksum or is missing; cuts a torn tail. */
  loadGroup(group: string): Promise<StoredGroup | undefined>;
  /** Removes the log and all rows of a group. */
  dropGroup(group: string): Promise<void>;
  /** All of it or nothing. With `sync` it is on disk when the promise resolves. Rejects with `DiskFull` or `InternalError`. */
  write(batch: StoreBatch, sync: boolean): Promise<void>;
  getRow(group: string, key: string): Promise<Uint8Array | undefined>;
  getRows(group: string, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>;
  scanRows(group: string, options: ScanOptions): AsyncIterable<readonly [string, Uint8Array]>;
  /**
   * All rows of the group as they are at the call of the first `next()`, whatever is written while they are read; page by
   * page, as a step of an asynchronous iteration costs more than a row. It holds LevelDB's old versions back from
   * compaction, so it must be read to its end or returned from.
   */
  snapshotRows(group: string): AsyncIterable<readonly (readonly [string, Uint8Array])[]>;
  getLocal(key: string): Promise<Uint8Array | undefined>;
  scanLocal(options: ScanOptions): AsyncIterable<readonly [string, Uint8Array]>;
  close(): Promise<void>;
}
