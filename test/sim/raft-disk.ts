import { decodeConfiguration } from '../../coordinator/consensus/configuration.ts';
import type {
  Configuration,
  Entry,
  HardState,
  RaftState,
  Ready,
  SnapshotMeta,
} from '../../coordinator/consensus/interface.ts';

/** The replicated state machine of the simulation: a running hash of what was applied, and the configuration. */
export interface Rows {
  readonly applied: number;
  readonly hash: number;
  readonly configuration: Configuration;
}

/** All a crash could leave behind: one consistent picture of hard state, log and rows. */
export interface Disk {
  readonly hardState: HardState;
  readonly start: SnapshotMeta;
  readonly entries: readonly Entry[];
  readonly rows: Rows;
}

export function emptyDisk(configuration: Configuration): Disk {
  return {
    hardState: { term: 0, votedFor: null, commit: 0 },
    start: { index: 0, term: 0, configuration },
    entries: [],
    rows: { applied: 0, hash: 0, configuration },
  };
}

export function raftState(disk: Disk): RaftState {
  return {
    hardState: disk.hardState,
    snapshot: disk.start,
    entries: disk.entries,
    applied: disk.rows.applied,
  };
}

export function lastIndexOf(disk: Disk): number {
  return disk.start.index + disk.entries.length;
}

/** Undefined where the disk has no such entry, or has forgotten it. */
export function termAt(disk: Disk, index: number): number | undefined {
  return index === disk.start.index ? disk.start.term : disk.entries[index - disk.start.index - 1]?.term;
}

/** The configuration that the last entry of its kind on this disk brought. */
export function configurationOf({ start, entries }: Disk): Configuration {
  const last = entries.findLast((entry) => entry.kind === 'configuration');
  return (last && decodeConfiguration(last.data)) ?? start.configuration;
}

/** The disk after a `Ready` was carried out; `received` are the rows that came with its snapshot. */
export function written(disk: Disk, ready: Ready, received: Rows | undefined): Disk {
  let { start, entries, rows } = disk;
  if (ready.snapshot !== undefined) {
    if (received === undefined) throw new Error('a snapshot came without its rows');
    if (ready.truncateFrom !== undefined) throw new Error('a snapshot leaves nothing to cut');
    start = ready.snapshot;
    entries = [];
    rows = received;
  }
  if (ready.truncateFrom !== undefined) {
    entries = entries.slice(0, Math.max(0, ready.truncateFrom - start.index - 1));
  }
  for (const entry of ready.entries) {
    const next: number = start.index + entries.length + 1;
    if (entry.index !== next) throw new Error(`entry ${entry.index} is written where ${next} belongs`);
    entries = [...entries, entry];
  }
  for (const entry of ready.committed) rows = appliedRows(rows, entry);
  return { hardState: ready.hardState ?? disk.hardState, start, entries, rows };
}

function appliedRows(rows: Rows, entry: Entry): Rows {
  if (entry.index !== rows.applied + 1) {
    throw new Error(`entry ${entry.index} is applied after ${rows.applied}`);
  }
  let hash = Math.imul(rows.hash ^ entry.term, 0x9e3779b1) >>> 0;
  for (const byte of entry.data) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  const decoded = entry.kind === 'configuration' ? decodeConfiguration(entry.data) : undefined;
  return { applied: entry.index, hash, configuration: decoded ?? rows.configuration };
}

export function compacted(disk: Disk, start: SnapshotMeta): Disk {
  if (start.index <= disk.start.index) return disk;
  return { ...disk, start, entries: disk.entries.slice(start.index - disk.start.index) };
}
