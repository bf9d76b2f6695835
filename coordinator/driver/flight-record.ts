/**
 * What a group keeps so that its past can be replayed: copies of its rows at an index (bases), and the log entries from
 * there on that were cut from the log, deflated. The table of contents is a row beside the group's own, and changes in
 * one batch with what it names.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { LogEntry, LogStart, RowWrite, Store } from '../../src/store/interface.ts';
import { decode, encode } from '../../src/wire/codec.ts';

/** A state from which a replay can begin. */
export interface RecordBase {
  readonly meta: LogStart;
  readonly stateHash: number;
  /** Store group that holds the rows; null for the empty state of a founded group. */
  readonly rowsGroup: string | null;
}

interface RecordSegment {
  readonly from: number;
  readonly to: number;
  /** Deflated. */
  readonly bytes: number;
}

export interface FlightRecord {
  /** Oldest first. None: nothing can be replayed. */
  readonly bases: readonly RecordBase[];
  /** Without a gap from the entry behind the oldest base (or later, where the log still has it) to the start of the log. */
  readonly segments: readonly RecordSegment[];
}

const CONTENTS_KEY = 'record';
/** Entries are mostly msgpack with long runs in common: the fastest level makes a fifth of them. */
const DEFLATE = { level: 1 } as const;

export const segmentsGroup = (group: string): string => `${group}~record`;
export const baseGroup = (group: string, index: number): string => `${group}~base-${index}`;

/** Store groups of the record, of this and of interrupted copies. */
export function isRecordGroup(name: string, group: string): boolean {
  return name === segmentsGroup(group) || name.startsWith(`${group}~base-`);
}

export function contentsRow(record: FlightRecord): RowWrite {
  return { kind: 'put', key: CONTENTS_KEY, value: encode(record) };
}

export const EMPTY_RECORD: RowWrite = contentsRow({ bases: [], segments: [] });

/** A group whose log begins behind `meta` with nothing in its state. */
export function foundingRecord(meta: LogStart): RowWrite {
  return contentsRow({ bases: [{ meta, stateHash: 0, rowsGroup: null }], segments: [] });
}

export async function readContents(store: Store, group: string): Promise<FlightRecord> {
  const row = await store.getRow(group, CONTENTS_KEY);
  return row === undefined ? { bases: [], segments: [] } : (decode(row) as FlightRecord);
}

const segmentKey = (from: number): string => from.toString(16).padStart(14, '0');

export function packSegment(entries: readonly LogEntry[]): Uint8Array {
  return deflateRawSync(
    encode(entries.map(({ index, term, kind, data }) => [index, term, kind, data])),
    DEFLATE,
  );
}

export function unpackSegment(bytes: Uint8Array): LogEntry[] {
  const rows = decode(inflateRawSync(bytes)) as [number, number, LogEntry['kind'], Uint8Array][];
  return rows.map(([index, term, kind, data]) => ({ index, term, kind, data }));
}

export function putSegment(from: number, bytes: Uint8Array): RowWrite {
  return { kind: 'put', key: segmentKey(from), value: bytes };
}

export function deleteSegment({ from }: RecordSegment): RowWrite {
  return { kind: 'delete', key: segmentKey(from) };
}

/** The entries behind `after`, from the segments and then from the log. Whether any is missing is for the reader to see. */
export async function* recordedEntries(
  store: Store,
  group: string,
  { segments }: FlightRecord,
  after: number,
  log: readonly LogEntry[],
): AsyncGenerator<LogEntry> {
  let last = after;
  for (const { from, to } of segments) {
    if (to <= after) continue;
    const bytes = await store.getRow(segmentsGroup(group), segmentKey(from));
    if (bytes === undefined) continue;
    for (const entry of unpackSegment(bytes)) {
      if (entry.index <= last) continue;
      last = entry.index;
      yield entry;
    }
  }
  for (const entry of log) if (entry.index > last) yield entry;
}
