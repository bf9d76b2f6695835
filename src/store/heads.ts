/** What a store knows of its groups without reading their logs; loaded once, when it opens. */
import { ShoalError } from '../lib/errors.ts';
import type { Acked, GroupAcked } from './engine.ts';
import type { LogStart } from './interface.ts';
import {
  BATCH_KEY,
  DROPPED_PREFIX,
  type GroupKeys,
  groupKeys,
  groupOfName,
  HEAD_PREFIX,
  START_PREFIX,
} from './keys.ts';
import { decodeBatchMark, decodeHead, decodeStart, type GroupHead, unframeOrThrow } from './records.ts';

/** Log entries from `from` to `to` that lie before the start of the log and still wait for their removal. */
export interface PurgeRange {
  readonly from: number;
  readonly to: number;
}

export interface GroupState {
  readonly keys: GroupKeys;
  readonly head: GroupHead;
  readonly start: LogStart;
  readonly purge: readonly PurgeRange[];
}

/** A group whose head or start cannot be read. It is held back by itself: the others stay usable for a rescue. */
export interface DamagedGroup {
  readonly keys: GroupKeys;
  readonly damage: ShoalError;
}

export interface StoreHeads {
  /** Number of the last batch that is in the database. */
  readonly batch: number;
  readonly groups: Map<string, GroupState | DamagedGroup>;
  /** Dropped groups whose records are not all removed yet. */
  readonly dropped: readonly string[];
}

export function newGroupState(group: string): GroupState {
  return {
    keys: groupKeys(group),
    head: {
      batch: 0,
      hardState: { term: 0, votedFor: null, commit: 0 },
      applied: { index: 0, stateHash: 0 },
      lastIndex: 0,
    },
    start: { index: 0, term: 0, configuration: { voters: [], learners: [] } },
    purge: [],
  };
}

type Records = readonly (readonly [key: string, record: Uint8Array])[];

/** All records below `g/`, `s/` and `x/`. */
export interface HeadRecords {
  readonly heads: Records;
  readonly starts: Records;
  readonly dropped: Records;
}

/**
 * `mark`: the record of the last batch; throws CorruptStore if it is damaged.
 * A group shows up by either record: LevelDB may lose one to a damaged key, which reads as "not there".
 */
export function readHeads(mark: Uint8Array | undefined, { heads, starts, dropped }: HeadRecords): StoreHeads {
  const batch =
    mark === undefined
      ? 0
      : decodeBatchMark(unframeOrThrow(BATCH_KEY, mark, { missing: 'batch mark' })).batch;
  const headOf = new Map(heads);
  const startOf = new Map(starts);
  const names = new Set([
    ...heads.map(([key]) => key.slice(HEAD_PREFIX.length)),
    ...starts.map(([key]) => key.slice(START_PREFIX.length)),
  ]);
  const groups = new Map<string, GroupState | DamagedGroup>();
  for (const name of names) {
    const group = groupOfName(name);
    const keys = groupKeys(group);
    groups.set(group, readGroup(group, keys, headOf.get(keys.head), startOf.get(keys.start)));
  }
  return {
    batch,
    groups,
    dropped: dropped.map(([key]) => groupOfName(key.slice(DROPPED_PREFIX.length, -1))),
  };
}

function readGroup(
  group: string,
  keys: GroupKeys,
  head: Uint8Array | undefined,
  start: Uint8Array | undefined,
): GroupState | DamagedGroup {
  if (head === undefined) return { keys, damage: lost(group, 'hard state') };
  if (start === undefined) return { keys, damage: lost(group, 'start of the log') };
  try {
    return {
      keys,
      head: decodeHead(unframeOrThrow(keys.head, head, { group, missing: 'hard state' })),
      start: decodeStart(unframeOrThrow(keys.start, start, { group, missing: 'start of the log' })),
      purge: [],
    };
  } catch (error) {
    if (error instanceof ShoalError) return { keys, damage: error };
    throw error;
  }
}

function lost(group: string, missing: string): ShoalError {
  return new ShoalError('CorruptStore', `Group ${group} has lost its ${missing}.`, { group, missing });
}

/**
 * Compares the database with the marks kept outside it. A database that is behind, as a whole or in one group, has lost
 * what others were promised (votes, entries): its incarnation must not speak again, so the whole store is refused.
 */
export function checkAcked(found: StoreHeads, acked: Acked): void {
  const losses = acked.groups
    .map((mark) => describeLoss(mark, found.groups.get(mark.group)))
    .filter((loss) => loss !== undefined);
  if (found.batch >= acked.batch && losses.length === 0) return;
  const missing =
    found.batch < acked.batch ? `batches ${found.batch + 1}..${acked.batch}` : 'hard state of a group';
  const details = losses.map((loss) => loss.text).join('; ');
  throw new ShoalError(
    'CorruptStore',
    `The store has lost what was synced to disk (${missing})${details === '' ? '' : `: ${details}`}.`,
    { group: losses.map((loss) => loss.group).join(','), missing },
  );
}

function describeLoss(
  mark: GroupAcked,
  state: GroupState | DamagedGroup | undefined,
): { group: string; text: string } | undefined {
  if (state === undefined) return { group: mark.group, text: `group ${mark.group} is gone` };
  if ('damage' in state || state.head.batch >= mark.batch) return undefined;
  return {
    group: mark.group,
    text:
      `group ${mark.group} had its log up to entry ${mark.lastIndex} and term ${mark.term}, ` +
      `now entry ${state.head.lastIndex} and term ${state.head.hardState.term}`,
  };
}
