/**
 * The key space of a store. Each kind of record has a prefix of its own, so that a scan of one never meets another:
 *
 *     !store          incarnation of the store
 *     !batch          number of the last batch; first record of every batch
 *     g/<group>       head: hard state, applied mark, end of the log
 *     s/<group>       start of the log and the configuration there
 *     e/<group>/<hex> log entry, index as 14 hexadecimal digits: bytewise order is numeric order up to 2^53
 *     r/<group>/<key> state row
 *     x/<group>/      the group is dropped; its log and rows wait for their removal
 *     l/<key>         row of the machine itself
 *
 * Group ids are percent-encoded: the result never contains `/`, so no group's keys are a prefix of another's.
 */
import { ShoalError } from '../lib/errors.ts';
import { STORE_GROUP_LENGTH_MAX, STORE_KEY_LENGTH_MAX } from '../lib/limits.ts';

export const STORE_KEY = '!store';
export const BATCH_KEY = '!batch';
export const HEAD_PREFIX = 'g/';
export const START_PREFIX = 's/';
export const DROPPED_PREFIX = 'x/';
export const LOCAL_PREFIX = 'l/';

const INDEX_DIGITS = 14;

/** The keys of one group; built once per group, as percent-encoding costs more than everything else in a key. */
export interface GroupKeys {
  readonly head: string;
  readonly start: string;
  readonly entryPrefix: string;
  readonly rowPrefix: string;
  readonly dropped: string;
}

export function groupKeys(group: string): GroupKeys {
  const name = escapeGroup(group);
  return {
    head: `${HEAD_PREFIX}${name}`,
    start: `${START_PREFIX}${name}`,
    entryPrefix: `e/${name}/`,
    rowPrefix: `r/${name}/`,
    dropped: `${DROPPED_PREFIX}${name}/`,
  };
}

function escapeGroup(group: string): string {
  try {
    if (group !== '' && group.length <= STORE_GROUP_LENGTH_MAX) return encodeURIComponent(group);
  } catch {
    // A lone surrogate: refused below.
  }
  throw new ShoalError(
    'InvalidArgument',
    `A group id is well-formed text of 1 to ${STORE_GROUP_LENGTH_MAX} characters; got ${group.length} characters.`,
  );
}

/** The group of an escaped name. A name that no group can have (a damaged key) stands for itself. */
export function groupOfName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

export function entryKey(keys: GroupKeys, index: number): string {
  return keys.entryPrefix + index.toString(16).padStart(INDEX_DIGITS, '0');
}

export function indexOfEntry(keys: GroupKeys, key: string): number {
  return Number.parseInt(key.slice(keys.entryPrefix.length), 16);
}

/** The least key above all that start with `prefix`. `prefix` ends in ASCII, so one step up stays in bytewise order. */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

/** Rows are ordered bytewise on disk and by UTF-16 unit in memory; only for ASCII are the two the same. */
export function checkRowKey(key: string): void {
  if (key.length > STORE_KEY_LENGTH_MAX || !ASCII.test(key)) {
    throw new ShoalError(
      'InvalidArgument',
      `A row key is ASCII and at most ${STORE_KEY_LENGTH_MAX} characters long; got ${JSON.stringify(key.slice(0, 80))}.`,
    );
  }
}

const ASCII = /^[\x00-\x7f]*$/;
