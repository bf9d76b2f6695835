/**
 * Keeps the flight record of each replica (see flight-record.ts) while it runs. It writes where something is written
 * anyway: entries are put away by the batch that cuts them from the log, and a base is copied once for each half record
 * of them, so a task costs its share of the deflated log and no fsync.
 */
import { type Clock, nextTurn } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import {
  FLIGHT_BASE_BYTES_MAX,
  FLIGHT_BASE_SLICE_BYTES,
  FLIGHT_RECORD_BYTES_MAX,
  FLIGHT_SEGMENT_BYTES,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { LogEntry, LogStart, RowWrite, Store } from '../../src/store/interface.ts';
import {
  baseGroup,
  contentsRow,
  deleteSegment,
  EMPTY_RECORD,
  type FlightRecord,
  isRecordGroup,
  packSegment,
  putSegment,
  type RecordBase,
  readContents,
  segmentsGroup,
} from './flight-record.ts';
import type { Replica } from './replica.ts';

export interface FlightRecordBounds {
  /** Deflated entries kept, bytes. */
  readonly recordBytes: number;
  /** Rows of a base, bytes. */
  readonly baseBytes: number;
}

/** What a record needs to know of a replica, as of now. */
export type Recorded = Pick<Replica, 'group' | 'rowsGroup' | 'appliedIndex' | 'meta' | 'stateHash'>;

interface RecorderOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether this is still the replica of its group: what is written for another would bring a dropped group back. */
  readonly isPresent: (replica: Recorded) => boolean;
  readonly bounds?: FlightRecordBounds;
}

type RowPage = readonly (readonly [string, Uint8Array])[];

interface Keeping {
  record: FlightRecord;
  /** Grows with each snapshot: what was begun for the state before it is void. */
  life: number;
  baseDue: boolean;
  /** Of the newest base, be it still being copied: it has no second one, for they are told apart by their indexes. */
  baseIndex: number;
  /** One thing after another. */
  work: Promise<void>;
}

const KEPT_BASES = 2;
const DEFAULT_BOUNDS = { recordBytes: FLIGHT_RECORD_BYTES_MAX, baseBytes: FLIGHT_BASE_BYTES_MAX };

export class FlightRecorder {
  readonly #options: RecorderOptions;
  readonly #bounds: FlightRecordBounds;
  readonly #keeping = new WeakMap<Recorded, Keeping>();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#bounds = options.bounds ?? DEFAULT_BOUNDS;
  }

  /** The replica was loaded: takes its record up again, and removes what an interrupted copy left. */
  async open(replica: Recorded): Promise<void> {
    const { store } = this.#options;
    const record = await readContents(store, replica.group);
    const named = new Set(record.bases.map(({ rowsGroup }) => rowsGroup));
    if (record.segments.length > 0) named.add(segmentsGroup(replica.group));
    for (const name of await store.groups())
      if (isRecordGroup(name, replica.group) && !named.has(name)) await store.dropGroup(name);
    this.#keeping.set(replica, {
      record,
      life: 0,
      baseDue: record.bases.length === 0 && replica.appliedIndex > 0,
      baseIndex: record.bases.at(-1)?.meta.index ?? 0,
      work: Promise.resolve(),
    });
  }

  /** A snapshot took the place of the state: the record begins anew with its rows. */
  reset(replica: Recorded): void {
    const keeping = this.#keeping.get(replica);
    if (keeping === undefined) return;
    const old = keeping.record;
    keeping.record = { bases: [], segments: [] };
    keeping.life += 1;
    keeping.baseDue = true;
    keeping.baseIndex = 0;
    this.#work(replica, keeping, () => this.#dropAll(replica, old));
  }

  /** Copies the rows where a new base is due. Must be called while rows and applied index agree: between two turns. */
  copyIfDue(replica: Recorded): void {
    const keeping = this.#keeping.get(replica);
    if (keeping?.baseDue !== true) return;
    keeping.baseDue = false;
    keeping.baseIndex = replica.appliedIndex;
    const pages = this.#options.store.snapshotRows(replica.rowsGroup)[Symbol.asyncIterator]();
    // The first `next()` fixes what is read: the rows of this very moment.
    const first = pages.next();
    const base: RecordBase = {
      meta: replica.meta,
      stateHash: replica.stateHash,
      rowsGroup: baseGroup(replica.group, replica.appliedIndex),
    };
    const { life } = keeping;
    this.#work(replica, keeping, async () => {
      try {
        await this.#copy(replica, keeping, life, base, first, pages);
      } finally {
        await pages.return?.();
      }
    });
  }

  /**
   * The log is cut behind `start`; `entries` are those that it loses. Writes both in one batch, a little later: entries
   * are deflated piece by piece, with the loop's other work in between.
   */
  cut(replica: Recorded, start: LogStart, entries: readonly LogEntry[]): void {
    const keeping = this.#keeping.get(replica);
    if (keeping === undefined) return;
    const { life } = keeping;
    this.#work(replica, keeping, () => this.#cut(replica, keeping, life, start, entries));
  }

  /** Resolves when nothing is being written any more; to be called once the replica is no longer present. */
  settled(replica: Recorded): Promise<void> {
    return this.#keeping.get(replica)?.work ?? Promise.resolve();
  }

  /** Removes the record of a replica that is dropped. */
  async drop(replica: Recorded): Promise<void> {
    const { store } = this.#options;
    const { group } = replica;
    await this.settled(replica);
    for (const name of await store.groups()) if (isRecordGroup(name, group)) await store.dropGroup(name);
  }

  // --- One thing after another ------------------------------------------------------------------------------------

  #work(replica: Recorded, keeping: Keeping, work: () => Promise<void>): void {
    keeping.work = keeping.work.then(work).catch((error: unknown) => {
      this.#options.log.warn(
        { group: replica.group, error: asShoalError(error).message },
        'the flight record or the cut of the log could not be written',
      );
    });
  }

  #isCurrent(replica: Recorded, keeping: Keeping, life: number): boolean {
    return keeping.life === life && this.#options.isPresent(replica);
  }

  async #cut(
    replica: Recorded,
    keeping: Keeping,
    life: number,
    start: LogStart,
    entries: readonly LogEntry[],
  ): Promise<void> {
    const oldest = keeping.record.bases[0];
    const kept = oldest === undefined ? [] : entries.filter(({ index }) => index > oldest.meta.index);
    const packed: { from: number; to: number; bytes: Uint8Array }[] = [];
    for (const piece of piecesOf(kept)) {
      packed.push({ from: piece.from, to: piece.to, bytes: packSegment(piece.entries) });
      await nextTurn(this.#options.clock);
    }
    if (!this.#isCurrent(replica, keeping, life)) return;
    const record = {
      bases: keeping.record.bases,
      segments: [
        ...keeping.record.segments,
        ...packed.map(({ from, to, bytes }) => ({ from, to, bytes: bytes.length })),
      ],
    };
    keeping.record = record;
    const rows = packed.map(({ from, bytes }) => putSegment(from, bytes));
    await this.#options.store.write(
      {
        groups: [
          ...(rows.length > 0 ? [{ group: segmentsGroup(replica.group), rows }] : []),
          { group: replica.group, start, rows: [contentsRow(record)] },
        ],
      },
      false,
    );
    const behind = record.segments.filter(({ to }) => to > keeping.baseIndex);
    const behindBytes = behind.reduce((sum, { bytes }) => sum + bytes, 0);
    keeping.baseDue ||= behindBytes > this.#bounds.recordBytes / KEPT_BASES;
  }

  async #copy(
    replica: Recorded,
    keeping: Keeping,
    life: number,
    base: RecordBase,
    first: Promise<IteratorResult<RowPage>>,
    pages: AsyncIterator<RowPage>,
  ): Promise<void> {
    const { store } = this.#options;
    const group = base.rowsGroup ?? '';
    let slice: RowWrite[] = [];
    let sliceBytes = 0;
    let bytes = 0;
    for (let page = await first; page.done !== true; page = await pages.next()) {
      for (const [key, value] of page.value) {
        slice.push({ kind: 'put', key, value });
        sliceBytes += key.length + value.length;
        bytes += key.length + value.length;
        if (bytes <= this.#bounds.baseBytes && sliceBytes < FLIGHT_BASE_SLICE_BYTES) continue;
        if (!this.#isCurrent(replica, keeping, life)) return this.#abandon(replica, group);
        if (bytes > this.#bounds.baseBytes) return this.#giveUp(replica, keeping, group);
        await store.write({ groups: [{ group, rows: slice }] }, false);
        slice = [];
        sliceBytes = 0;
      }
    }
    if (!this.#isCurrent(replica, keeping, life)) return this.#abandon(replica, group);
    await this.#begin(replica, keeping, base, slice);
  }

  /** The copy is whole: the record has one more beginning, and lets go of what lies before the two last ones. */
  async #begin(
    replica: Recorded,
    keeping: Keeping,
    base: RecordBase,
    lastRows: readonly RowWrite[],
  ): Promise<void> {
    const { store } = this.#options;
    const bases = [...keeping.record.bases, base].slice(-KEPT_BASES);
    const oldest = bases[0]?.meta.index ?? 0;
    const gone = keeping.record.segments.filter(({ to }) => to <= oldest);
    const goneBases = keeping.record.bases.filter((one) => !bases.includes(one));
    const record = { bases, segments: keeping.record.segments.filter(({ to }) => to > oldest) };
    keeping.record = record;
    await store.write(
      {
        groups: [
          { group: base.rowsGroup ?? '', rows: lastRows },
          ...(gone.length > 0
            ? [{ group: segmentsGroup(replica.group), rows: gone.map(deleteSegment) }]
            : []),
          { group: replica.group, rows: [contentsRow(record)] },
        ],
      },
      false,
    );
    for (const { rowsGroup } of goneBases) if (rowsGroup !== null) await store.dropGroup(rowsGroup);
  }

  /** A snapshot came in between. Where the replica itself is gone, so will be all that it has in the store. */
  async #abandon(replica: Recorded, partial: string): Promise<void> {
    if (this.#options.isPresent(replica)) await this.#options.store.dropGroup(partial);
  }

  /**
   * The state is too large to be copied. An older record would have to grow without bound, so there is none until the
   * replica is loaded anew.
   */
  async #giveUp(replica: Recorded, keeping: Keeping, partial: string): Promise<void> {
    const { store, log } = this.#options;
    const old = keeping.record;
    keeping.record = { bases: [], segments: [] };
    log.info(
      { group: replica.group, bytesMax: this.#bounds.baseBytes },
      'the state is too large for a record',
    );
    await store.write({ groups: [{ group: replica.group, rows: [EMPTY_RECORD] }] }, false);
    await store.dropGroup(partial);
    await this.#dropAll(replica, old);
  }

  async #dropAll(replica: Recorded, { bases, segments }: FlightRecord): Promise<void> {
    const { store } = this.#options;
    if (!this.#options.isPresent(replica)) return;
    for (const { rowsGroup } of bases) if (rowsGroup !== null) await store.dropGroup(rowsGroup);
    if (segments.length > 0) await store.dropGroup(segmentsGroup(replica.group));
  }
}

function* piecesOf(
  entries: readonly LogEntry[],
): Generator<{ from: number; to: number; entries: readonly LogEntry[] }> {
  let begin = 0;
  let bytes = 0;
  for (const [position, entry] of entries.entries()) {
    bytes += entry.data.length;
    if (bytes < FLIGHT_SEGMENT_BYTES && position < entries.length - 1) continue;
    const piece = entries.slice(begin, position + 1);
    yield { from: piece[0]?.index ?? entry.index, to: entry.index, entries: piece };
    begin = position + 1;
    bytes = 0;
  }
}
