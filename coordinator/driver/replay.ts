/**
 * Applies what a store has recorded of a group once more, from the oldest state it still has, and holds the course and
 * the end of it against the promises: invariants on the way; at the end the hash and the rows of the replica itself.
 */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { REPLAY_PROBLEMS_MAX, REPLAY_ROWS_PER_CHECK } from '../../src/lib/limits.ts';
import type { CommandBatch, PoolCommand } from '../../src/model/commands.ts';
import { type GroupId, MESH_GROUP } from '../../src/model/ids.ts';
import type { LogEntry, RowWrite, Store, StoredGroup } from '../../src/store/interface.ts';
import { SortedMap } from '../../src/store/sorted-map.ts';
import { decode } from '../../src/wire/codec.ts';
import type { Applied, StateMachine } from '../core/interface.ts';
import { type RecordBase, readContents, recordedEntries } from './flight-record.ts';
import { PoolCourse, type Requeued } from './replay-checks.ts';
import { hashRow } from './state-hash.ts';
import { createStateMachine } from './state-machines.ts';

export interface ReplayedEntry {
  readonly kind: 'entry';
  readonly group: GroupId;
  readonly entry: LogEntry;
  /** Of an entry of kind `command`. */
  readonly batch: CommandBatch | undefined;
  readonly applied: Applied<unknown> | undefined;
  /** Executions that it took off the books for others to follow. */
  readonly requeued: readonly Requeued[];
  /** Which invariants this entry broke. */
  readonly problems: readonly string[];
  /** A state row as it is after this entry. Valid until the next entry is asked for. */
  readonly row: (key: string) => Uint8Array | undefined;
}

export interface ReplayVerdict {
  readonly kind: 'verdict';
  readonly group: GroupId;
  /** `unrecorded`: the store has no state to begin from, so nothing is known but that the present rows are sound. */
  readonly verdict: 'holds' | 'violated' | 'unrecorded';
  /** Index of the state that the replay began with, and whether that was the empty state of a new group. */
  readonly from: number;
  readonly founding: boolean;
  /** The replica's applied index. */
  readonly to: number;
  /** Entries in the log that were not applied here yet. */
  readonly unapplied: number;
  readonly entries: number;
  readonly rows: number;
  readonly stateHash: { readonly replayed: number; readonly stored: number };
  /** The first ones; `problemCount` has them all. */
  readonly problems: readonly string[];
  readonly problemCount: number;
}

/** Groups that have a replica in the store, the mesh group first. */
export async function replicatedGroups(store: Store): Promise<readonly GroupId[]> {
  const names = (await store.groups()).filter((name) => !name.includes('~')) as GroupId[];
  return names.sort((a, b) => (a === MESH_GROUP ? -1 : b === MESH_GROUP ? 1 : a < b ? -1 : 1));
}

/** Yields every entry after it was applied, and a verdict last. Throws GroupNotFound, or CorruptStore for damaged records. */
export async function* replayGroup(
  store: Store,
  group: GroupId,
): AsyncGenerator<ReplayedEntry | ReplayVerdict> {
  const stored = await store.loadGroup(group);
  if (stored === undefined) throw new ShoalError('GroupNotFound', `This store holds no replica of ${group}.`);
  const record = await readContents(store, group);
  const replay = new Replay(group);
  const live = await liveRows(store, stored);
  const base = record.bases[0];
  if (base === undefined) {
    replay.checkLoaded(live);
    yield replay.verdict(stored, undefined);
    return;
  }
  await replay.begin(store, base);
  for await (const entry of recordedEntries(store, group, record, base.meta.index, stored.entries)) {
    if (entry.index > stored.applied.index || replay.broken) break;
    yield replay.apply(entry);
  }
  replay.compare(stored, live);
  yield replay.verdict(stored, base);
}

type Rows = ReadonlyMap<string, Uint8Array>;

async function liveRows(store: Store, { group }: StoredGroup): Promise<Rows> {
  const pointer = await store.getRow(group, 'rows');
  const rowsGroup = pointer === undefined ? `${group}~0` : (decode(pointer) as string);
  const rows = new Map<string, Uint8Array>();
  for await (const page of store.snapshotRows(rowsGroup))
    for (const [key, value] of page) rows.set(key, value);
  return rows;
}

/** One group's replay, entry by entry. `replayGroup` is the way to replay what a store holds. */
export class Replay {
  readonly #group: GroupId;
  readonly #machine: StateMachine<unknown>;
  readonly #course: PoolCourse | undefined;
  readonly #rows = new SortedMap<Uint8Array>();
  readonly #problems: string[] = [];
  #problemCount = 0;
  #index = 0;
  #term = 0;
  #stateHash = 0;
  #entries = 0;
  #uncheckedEntries = 0;
  /** The state can no longer be told: what follows would mean nothing. */
  broken = false;

  constructor(group: GroupId) {
    this.#group = group;
    this.#machine = createStateMachine(group);
    this.#course = group === MESH_GROUP ? undefined : new PoolCourse();
  }

  /** From the empty state of a group whose log begins behind this entry. */
  beginEmpty({ index, term }: Pick<LogEntry, 'index' | 'term'>): void {
    this.#index = index;
    this.#term = term;
    this.#machine.loaded();
  }

  /** What broke so far, the first ones by name. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  get stateHash(): number {
    return this.#stateHash;
  }

  /** At the end: checks the state whatever was checked before. */
  check(): void {
    if (!this.broken) this.#checkState();
  }

  async begin(store: Store, { meta, stateHash, rowsGroup }: RecordBase): Promise<void> {
    this.#index = meta.index;
    this.#term = meta.term;
    this.#stateHash = stateHash;
    if (rowsGroup !== null) {
      for await (const page of store.snapshotRows(rowsGroup)) {
        for (const [key, value] of page) {
          this.#rows.set(key, value);
          this.#machine.load(key, value);
          this.#course?.load(key, value);
        }
      }
    }
    this.#machine.loaded();
    this.#checkState();
  }

  apply(entry: LogEntry): ReplayedEntry {
    const before = this.#problemCount;
    const problems: string[] = [];
    if (entry.index !== this.#index + 1) {
      problems.push(`entry ${entry.index} follows entry ${this.#index}: the record has a gap`);
      this.broken = true;
    }
    if (entry.term < this.#term) problems.push(`the term falls from ${this.#term} to ${entry.term}`);
    this.#index = entry.index;
    this.#term = entry.term;
    this.#entries += 1;
    const { batch, applied, requeued } = this.broken ? NOT_APPLIED : this.#applyCommands(entry, problems);
    for (const problem of problems) this.#note(problem);
    if (this.#problemCount === before && applied !== undefined) this.#checkInTurn(problems);
    return {
      kind: 'entry',
      group: this.#group,
      entry,
      batch,
      applied,
      requeued,
      problems,
      row: (key) => this.#rows.get(key),
    };
  }

  #applyCommands(entry: LogEntry, problems: string[]): Pick<ReplayedEntry, 'batch' | 'applied' | 'requeued'> {
    if (entry.kind !== 'command') return NOT_APPLIED;
    try {
      const batch = decode(entry.data) as CommandBatch;
      const applied = this.#machine.apply(entry.index, batch);
      for (const row of applied.writes) {
        this.#stateHash = hashRow(this.#stateHash, row);
        this.#write(row);
      }
      const commands = batch.commands.map(({ command }) => command as PoolCommand);
      const seen = this.#course?.see(entry.index, commands, applied);
      problems.push(...(seen?.wrong ?? []));
      return { batch, applied, requeued: seen?.requeued ?? [] };
    } catch (error) {
      this.broken = true;
      problems.push(`it cannot be applied: ${asShoalError(error).message}`);
      return NOT_APPLIED;
    }
  }

  /** A check walks the whole state: the larger that is, the more entries share one. */
  #checkInTurn(problems: string[]): void {
    this.#uncheckedEntries += 1;
    if (this.#uncheckedEntries * REPLAY_ROWS_PER_CHECK < this.#rows.size) return;
    const problem = this.#checkState();
    if (problem !== undefined) problems.push(problem);
  }

  #checkState(): string | undefined {
    this.#uncheckedEntries = 0;
    const problem = insane(this.#machine);
    if (problem !== undefined) this.#note(problem);
    return problem;
  }

  /** Nothing can be replayed; at least the present state is sound or not. */
  checkLoaded(live: Rows): void {
    for (const [key, value] of live) {
      this.#rows.set(key, value);
      this.#machine.load(key, value);
    }
    this.#machine.loaded();
    this.#checkState();
  }

  compare({ applied }: StoredGroup, live: Rows): void {
    if (this.#index < applied.index)
      this.#note(`the replay ends at entry ${this.#index}, and the replica at ${applied.index}`);
    if (this.broken) return;
    this.#checkState();
    if (this.#stateHash !== applied.stateHash)
      this.#note(`the state hash is ${this.#stateHash}, and the replica's ${applied.stateHash} (R9)`);
    for (const [key, value] of this.#rows.range('', false, '\uffff', Number.POSITIVE_INFINITY)) {
      const stored = live.get(key);
      if (stored === undefined) this.#note(`the replica has lost the row ${key}`);
      else if (Buffer.compare(stored, value) !== 0)
        this.#note(`the row ${key} is another one at the replica`);
    }
    for (const key of live.keys())
      if (this.#rows.get(key) === undefined) this.#note(`the replica has a row ${key} that no entry wrote`);
  }

  verdict({ applied, entries }: StoredGroup, base: RecordBase | undefined): ReplayVerdict {
    const sound = base === undefined ? 'unrecorded' : 'holds';
    return {
      kind: 'verdict',
      group: this.#group,
      verdict: this.#problemCount === 0 ? sound : 'violated',
      from: base?.meta.index ?? applied.index,
      founding: base?.rowsGroup === null,
      to: applied.index,
      unapplied: entries.filter(({ index }) => index > applied.index).length,
      entries: this.#entries,
      rows: this.#rows.size,
      stateHash: {
        replayed: base === undefined ? applied.stateHash : this.#stateHash,
        stored: applied.stateHash,
      },
      problems: this.#problems,
      problemCount: this.#problemCount,
    };
  }

  #note(problem: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < REPLAY_PROBLEMS_MAX)
      this.#problems.push(this.#entries === 0 ? problem : `after entry ${this.#index}: ${problem}`);
  }

  #write(row: RowWrite): void {
    if (row.kind === 'put') this.#rows.set(row.key, row.value);
    else if (row.kind === 'delete') this.#rows.delete(row.key);
    else {
      const end = `${row.prefix}\uffff`;
      for (const [key] of this.#rows.range(row.prefix, false, end, Number.POSITIVE_INFINITY))
        this.#rows.delete(key);
    }
  }
}

const NOT_APPLIED = { batch: undefined, applied: undefined, requeued: [] };

function insane(machine: StateMachine<unknown>): string | undefined {
  try {
    machine.sanityCheck();
    return undefined;
  } catch (error) {
    return asShoalError(error).message;
  }
}
