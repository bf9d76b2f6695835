import { invariant } from '../../src/lib/assert.ts';
import { decodeConfiguration } from './configuration.ts';
import type { Configuration, Entry, RaftState, SnapshotMeta } from './interface.ts';

/** What an entry costs on the wire besides its data: index, term, kind and framing. */
const ENTRY_OVERHEAD_BYTES = 32;

const NO_ENTRIES: readonly Entry[] = [];

export function entryBytes(entry: Entry): number {
  return entry.data.byteLength + ENTRY_OVERHEAD_BYTES;
}

/** Without the message that it came in, or was made for: an entry stays for long, and what it lies in is many times as large. */
function apart(entry: Entry): Entry {
  const { data } = entry;
  return data.byteLength === data.buffer.byteLength ? entry : { ...entry, data: new Uint8Array(data) };
}

/** What the disk must still learn of the log. */
export interface UnstableLog {
  readonly entries: readonly Entry[];
  readonly truncateFrom: number | undefined;
  readonly snapshot: SnapshotMeta | undefined;
}

/**
 * The log from its start (a snapshot point) to its last entry, all of it in memory, with four marks:
 * start <= applied <= commit <= last, and `stable`, up to which this machine's disk agrees with it. It also holds the
 * configurations, because one takes effect when its entry is appended and is void when that entry is cut (thesis 4.1).
 */
export class RaftLog {
  #start: SnapshotMeta;
  #entries: Entry[];
  /** Configurations of entries after the start, oldest first. */
  #configurations: { readonly index: number; readonly configuration: Configuration }[] = [];
  #commit: number;
  #applied: number;
  #stable: number;
  /** The last entry of the batch that is being written now; lowered if a conflict cuts into that batch. */
  #writing: { index: number; term: number } | undefined;
  #truncateFrom: number | undefined;
  #snapshot: SnapshotMeta | undefined;

  constructor({ snapshot, entries, hardState, applied }: RaftState) {
    this.#start = snapshot;
    this.#entries = [];
    for (const entry of entries) this.append(entry);
    this.#stable = this.lastIndex;
    // The commit index is not synced on its own, so what is applied may have outrun it on disk.
    this.#commit = Math.max(hardState.commit, applied, snapshot.index);
    this.#applied = Math.max(applied, snapshot.index);
    invariant(this.#commit <= this.lastIndex, 'the stored log reaches its commit index');
  }

  get start(): SnapshotMeta {
    return this.#start;
  }

  get firstIndex(): number {
    return this.#start.index + 1;
  }

  get lastIndex(): number {
    return this.#start.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#start.term;
  }

  get commit(): number {
    return this.#commit;
  }

  get applied(): number {
    return this.#applied;
  }

  /** Entries up to here are on this machine's disk, unchanged. */
  get stable(): number {
    return this.#stable;
  }

  /** The configuration in force: that of the last configuration entry, committed or not. */
  get configuration(): Configuration {
    return this.#configurations.at(-1)?.configuration ?? this.#start.configuration;
  }

  /** Index of the entry that brought `configuration`, or the log's start. */
  get configurationIndex(): number {
    return this.#configurations.at(-1)?.index ?? this.#start.index;
  }

  /** The last configuration that cannot be cut any more. */
  get committedConfiguration(): Configuration {
    return this.#configurationAt(this.#commit);
  }

  #configurationAt(index: number): Configuration {
    const known = this.#configurations.findLast((candidate) => candidate.index <= index);
    return known?.configuration ?? this.#start.configuration;
  }

  /** Undefined where the entry is forgotten or does not exist. */
  term(index: number): number | undefined {
    return index === this.#start.index ? this.#start.term : this.#entries[index - this.firstIndex]?.term;
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Thesis 3.6.1: a later last term wins, then the longer log. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Adds one entry after the last; the caller has cut what was there. */
  append(entry: Entry): void {
    invariant(entry.index === this.lastIndex + 1, 'the log has no gap');
    invariant(entry.term >= this.lastTerm, 'terms in the log never fall');
    this.#entries.push(apart(entry));
    if (entry.kind !== 'configuration') return;
    const configuration = decodeConfiguration(entry.data);
    invariant(configuration !== undefined, 'a configuration entry decodes');
    this.#configurations.push({ index: entry.index, configuration });
  }

  /**
   * Takes a leader's entries, the first of which follows an entry that matched: skips what is here already, cuts
   * the log at the first conflict, appends the rest.
   */
  merge(entries: readonly Entry[]): void {
    let position = 0;
    for (; position < entries.length; position++) {
      const entry = entries[position];
      if (entry === undefined || this.holds(entry.index, entry.term)) continue;
      if (entry.index <= this.lastIndex) this.#truncate(entry.index);
      break;
    }
    for (; position < entries.length; position++) {
      const entry = entries[position];
      if (entry !== undefined) this.append(entry);
    }
  }

  /** Whether this entry is here, or was and is forgotten: what was committed is equal in every log. */
  holds(index: number, term: number): boolean {
    return index < this.#start.index || this.matches(index, term);
  }

  /** Whether one of these entries is not the one that is committed at its index. */
  contradictsCommitted(entries: readonly Entry[]): boolean {
    const first = entries[0]?.index ?? 0;
    for (let position = 0; first + position <= this.#commit; position++) {
      const entry = entries[position];
      if (entry === undefined) break;
      if (!this.holds(entry.index, entry.term)) return true;
    }
    return false;
  }

  #truncate(from: number): void {
    invariant(from > this.#commit, 'a committed entry is never cut');
    this.#entries.length = from - this.firstIndex;
    while ((this.#configurations.at(-1)?.index ?? 0) >= from) this.#configurations.pop();
    const writing = this.#writing;
    // The void suffix reaches the disk also through the batch on its way there, which no longer counts from here on.
    if (from <= Math.max(this.#stable, writing?.index ?? 0)) {
      this.#truncateFrom = Math.min(from, this.#truncateFrom ?? from);
    }
    this.#stable = Math.min(this.#stable, from - 1);
    if (writing !== undefined && writing.index >= from) {
      this.#writing = { index: from - 1, term: this.term(from - 1) ?? 0 };
    }
  }

  commitTo(index: number): boolean {
    if (index <= this.#commit) return false;
    invariant(index <= this.lastIndex, 'only entries that are in the log commit');
    this.#commit = index;
    return true;
  }

  appliedTo(index: number): void {
    this.#applied = Math.max(this.#applied, index);
  }

  /** Entries from `from` on, at most `bytesMax` of them but at least one where there is one. */
  slice(from: number, bytesMax: number, to = this.lastIndex): readonly Entry[] {
    const begin = from - this.firstIndex;
    const limit = to - this.#start.index;
    let end = begin;
    for (let bytes = 0; end < limit; end++) {
      const entry = this.#entries[end];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > bytesMax && end > begin) break;
    }
    return end === begin ? NO_ENTRIES : this.#entries.slice(begin, end);
  }

  /** Sum of the sizes of the entries in (after, to]. */
  bytesBetween(after: number, to: number): number {
    let bytes = 0;
    for (let position = after + 1 - this.firstIndex; position <= to - this.firstIndex; position++) {
      const entry = this.#entries[position];
      if (entry !== undefined) bytes += entryBytes(entry);
    }
    return bytes;
  }

  /** Committed and not applied; none while a received snapshot must replace the rows first. */
  unapplied(bytesMax: number): readonly Entry[] {
    if (this.#applied >= this.#commit || this.#snapshot !== undefined) return NO_ENTRIES;
    return this.slice(this.#applied + 1, bytesMax, this.#commit);
  }

  get hasUnapplied(): boolean {
    return this.#applied < this.#commit && this.#snapshot === undefined;
  }

  get hasUnstable(): boolean {
    return this.#stable < this.lastIndex || this.#truncateFrom !== undefined || this.#snapshot !== undefined;
  }

  /** Hands out what the disk must learn; `written` follows once it has. */
  takeUnstable(): UnstableLog {
    const unstable = {
      entries: this.slice(this.#stable + 1, Number.POSITIVE_INFINITY),
      truncateFrom: this.#truncateFrom,
      snapshot: this.#snapshot,
    };
    this.#writing = { index: this.lastIndex, term: this.lastTerm };
    this.#truncateFrom = undefined;
    this.#snapshot = undefined;
    return unstable;
  }

  /** What `takeUnstable` gave is on disk. */
  written(): void {
    const writing = this.#writing;
    this.#writing = undefined;
    if (writing !== undefined) this.#stableTo(writing.index, writing.term);
  }

  /** The index alone would not do: another leader may have put its own entry there during the write. */
  #stableTo(index: number, term: number): void {
    if (this.matches(index, term)) this.#stable = Math.max(this.#stable, index);
  }

  /** The greatest index up to `index` whose term is at most `term`; forgotten entries are taken to match. */
  lastIndexWithTermAtMost(index: number, term: number): number {
    let high = Math.min(index, this.lastIndex);
    if (high <= this.#start.index) return high;
    let low = this.#start.index;
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2);
      if ((this.term(middle) ?? 0) <= term) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The point in [start, last] as a snapshot would carry it: with the configuration of that index. */
  metaAt(index: number): SnapshotMeta {
    const term = this.term(index);
    invariant(term !== undefined, `index ${index} lies in the log`);
    return { index, term, configuration: this.#configurationAt(index) };
  }

  /** Forgets entries up to `index`, which must be applied. A point that is forgotten already changes nothing. */
  compact(index: number): SnapshotMeta {
    if (index <= this.#start.index) return this.#start;
    invariant(index <= this.#applied, 'only applied entries are forgotten');
    const start = this.metaAt(index);
    this.#entries = this.#entries.slice(index - this.#start.index);
    this.#configurations = this.#configurations.filter((known) => known.index > index);
    this.#start = start;
    return start;
  }

  /** Replaces everything by a received snapshot that lies ahead of what is committed here. */
  restore(snapshot: SnapshotMeta): void {
    invariant(snapshot.index > this.#commit, 'a snapshot never takes a committed entry back');
    this.#start = snapshot;
    this.#entries = [];
    this.#configurations = [];
    this.#commit = snapshot.index;
    this.#stable = snapshot.index;
    this.#snapshot = snapshot;
    // Voids all that is on disk and all that is on its way there.
    this.#truncateFrom = undefined;
    this.#writing = undefined;
  }
}
