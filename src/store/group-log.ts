/** The log of a group as a restart reads it. */
import { ShoalError } from '../lib/errors.ts';
import { STORE_PAGE_RECORDS } from '../lib/limits.ts';
import type { Engine } from './engine.ts';
import type { GroupState } from './heads.ts';
import type { LogEntry } from './interface.ts';
import { entryKey, indexOfEntry, prefixEnd } from './keys.ts';
import { decodeEntry, unframeOrThrow } from './records.ts';

/** Exactly the entries from the start to the end that the head names: anything else is damage. */
export async function readLog(
  engine: Engine,
  group: string,
  state: GroupState,
): Promise<readonly LogEntry[]> {
  const { keys, start, head } = state;
  const entries: LogEntry[] = [];
  const end = prefixEnd(keys.entryPrefix);
  let from = entryKey(keys, start.index + 1);
  let expected = start.index + 1;
  for (let finished = false; !finished; ) {
    const page = await engine.page({
      from,
      fromExcluded: entries.length > 0,
      end,
      limit: STORE_PAGE_RECORDS,
    });
    for (const [key, record] of page.records) {
      const index = indexOfEntry(keys, key);
      if (index > head.lastIndex) throw beyondEnd(group, index, head.lastIndex);
      if (index !== expected) throw missingEntries(group, expected, index - 1);
      const payload = unframeOrThrow(key, record, { group, missing: `log entry ${index}` });
      entries.push(decodeEntry(index, payload));
      expected++;
      from = key;
    }
    finished = page.finished;
  }
  if (expected <= head.lastIndex) throw missingEntries(group, expected, head.lastIndex);
  return entries;
}

function missingEntries(group: string, from: number, to: number): ShoalError {
  const missing = from === to ? `log entry ${from}` : `log entries ${from}..${to}`;
  return new ShoalError('CorruptStore', `Group ${group} has lost ${missing}.`, { group, missing });
}

function beyondEnd(group: string, index: number, lastIndex: number): ShoalError {
  return new ShoalError(
    'CorruptStore',
    `The log of group ${group} holds entry ${index}, but its hard state ends at ${lastIndex}: the hard state is an old one.`,
    { group, missing: `hard state after entry ${lastIndex}` },
  );
}
