/** One group's part of a batch, as operations on records. Checks first what a caller must never ask for. */
import { ShoalError } from '../lib/errors.ts';
import { STORE_PURGE_PER_WRITE } from '../lib/limits.ts';
import type { EngineBatch } from './engine.ts';
import type { GroupState, PurgeRange } from './heads.ts';
import type { GroupWrite, LogEntry } from './interface.ts';
import { entryKey } from './keys.ts';
import { encodeEntry, encodeHead, encodeStart } from './records.ts';

/**
 * Puts everything of `write` but its rows into `batch` and returns the group as it will be. `isNew` groups get a start
 * record even if `write` names none: a head without a start is how a later open tells damage.
 *
 * The order is truncate, start, append. Entries at or before a `start` of the same write are never written.
 * `termAtStart` is the term of the entry on disk at the index of `write.start`, undefined where there is none. If it
 * is the start's own term this is a compaction, and what follows stays. If not, the start is a snapshot that replaces
 * a log which went another way, and nothing of that log is left (thesis 5.2, figure 5.3 step 5: "discard the entire log").
 *
 * Throws InternalError where the write would break what Raft rests on; the batch is then to be discarded.
 */
export function writeGroup(
  batch: EngineBatch,
  batchNumber: number,
  before: GroupState,
  isNew: boolean,
  write: GroupWrite,
  termAtStart: number | undefined,
): GroupState {
  checkNeverBack(before, write);
  const { keys } = before;
  let lastIndex = before.head.lastIndex;
  let start = before.start;
  let purge = before.purge;

  if (write.truncateFrom !== undefined) {
    if (write.truncateFrom <= start.index) {
      refuse(write, `truncation from ${write.truncateFrom}, but the log starts after ${start.index}`);
    }
    lastIndex = cutAfter(batch, before, write.truncateFrom - 1, lastIndex);
  }
  if (write.start !== undefined) {
    if (write.start.index < start.index) refuse(write, `log start ${write.start.index} after ${start.index}`);
    if (write.start.index > start.index && termAtStart !== write.start.term) {
      lastIndex = cutAfter(batch, before, write.start.index, lastIndex);
    }
    purge = withRange(purge, start.index + 1, Math.min(write.start.index, lastIndex));
    start = write.start;
    lastIndex = Math.max(lastIndex, start.index);
  }
  if (write.start !== undefined || isNew) batch.put(keys.start, encodeStart(keys.start, start));
  for (const entry of write.append ?? []) {
    if (entry.index > start.index) lastIndex = appendEntry(batch, before, lastIndex, write, entry);
  }
  purge = removeSome(batch, before, purge);

  const head = {
    batch: batchNumber,
    hardState: write.hardState ?? before.head.hardState,
    applied: write.applied ?? before.head.applied,
    lastIndex,
  };
  batch.put(keys.head, encodeHead(keys.head, head));
  return { keys, head, start, purge };
}

/** Deletes the entries after `index`; returns where the log ends now. */
function cutAfter(batch: EngineBatch, before: GroupState, index: number, lastIndex: number): number {
  for (let next = index + 1; next <= lastIndex; next++) batch.delete(entryKey(before.keys, next));
  return Math.min(index, lastIndex);
}

/** The last gate before the disk: term, commit and applied grow, and a term has one vote (reliability R6, R7). */
function checkNeverBack(before: GroupState, write: GroupWrite): void {
  const { hardState, applied } = before.head;
  const next = write.hardState;
  if (next !== undefined) {
    if (next.term < hardState.term) refuse(write, `term ${next.term} after ${hardState.term}`);
    if (next.commit < hardState.commit) refuse(write, `commit ${next.commit} after ${hardState.commit}`);
    if (next.term === hardState.term && hardState.votedFor !== null && next.votedFor !== hardState.votedFor) {
      refuse(write, `second vote in term ${next.term}: ${next.votedFor} after ${hardState.votedFor}`);
    }
  }
  if (write.applied !== undefined && write.applied.index < applied.index) {
    refuse(write, `applied index ${write.applied.index} after ${applied.index}`);
  }
}

function withRange(purge: readonly PurgeRange[], from: number, to: number): readonly PurgeRange[] {
  return from > to ? purge : [...purge, { from, to }];
}

function appendEntry(
  batch: EngineBatch,
  before: GroupState,
  lastIndex: number,
  write: GroupWrite,
  entry: LogEntry,
): number {
  if (entry.index !== lastIndex + 1) refuse(write, `entry ${entry.index} after entry ${lastIndex}`);
  const key = entryKey(before.keys, entry.index);
  batch.put(key, encodeEntry(key, entry));
  return entry.index;
}

/** Entries before the start are void by the start record alone, so their removal may take its time. */
function removeSome(
  batch: EngineBatch,
  before: GroupState,
  purge: readonly PurgeRange[],
): readonly PurgeRange[] {
  let budget = STORE_PURGE_PER_WRITE;
  const left: PurgeRange[] = [];
  for (const { from, to } of purge) {
    const end = Math.min(to + 1, from + budget);
    for (let index = from; index < end; index++) batch.delete(entryKey(before.keys, index));
    budget -= end - from;
    if (end <= to) left.push({ from: end, to });
  }
  return left;
}

function refuse(write: GroupWrite, what: string): never {
  throw new ShoalError('InternalError', `The store refuses a write to group ${write.group}: ${what}.`, {
    group: write.group,
  });
}
