/**
 * Entries that many members of a group get alike. All machines follow the mesh group, so its leader sends each large entry
 * once to each of them: what it costs to encode, to encrypt and to carry is that of the entry times the machines. Once so
 * many have asked for the same ones that it is worth it, these are deflated, once for all who follow.
 *
 * An entry of a log is told by its index and term (Raft's log matching), so the place before the first one, their number
 * and the term of the last one tell them all.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import {
  FRAME_BYTES_MAX,
  SHARED_ENTRIES_BYTES_MIN,
  SHARED_ENTRIES_KEPT,
  SHARED_ENTRIES_MEMBERS_MIN,
} from '../../src/lib/limits.ts';
import { LogEntries, type PackedEntries } from '../../src/wire/protocol.ts';
import type { Entry } from '../consensus/index.ts';

export interface SharedAppend {
  readonly group: string;
  readonly generation: number;
  readonly previousIndex: number;
  readonly entries: readonly Entry[];
}

interface Sent {
  times: number;
  packed: PackedEntries | undefined;
}

export class SharedEntries {
  /** The latest ones last. */
  readonly #sent = new Map<string, Sent>();

  /** Undefined where they go as they are. */
  pack(append: SharedAppend): PackedEntries | undefined {
    const { entries } = append;
    if (bytesOf(entries) < SHARED_ENTRIES_BYTES_MIN) return undefined;
    const sent = this.#note(keyOf(append));
    if (sent.times < SHARED_ENTRIES_MEMBERS_MIN) return undefined;
    sent.packed ??= {
      count: entries.length,
      deflated: deflateRawSync(LogEntries.encode([...entries]), { level: 1 }),
    };
    return sent.packed;
  }

  #note(key: string): Sent {
    const sent = this.#sent.get(key) ?? { times: 0, packed: undefined };
    sent.times += 1;
    this.#sent.delete(key);
    this.#sent.set(key, sent);
    const [oldest] = this.#sent.keys();
    if (oldest !== undefined && this.#sent.size > SHARED_ENTRIES_KEPT) this.#sent.delete(oldest);
    return sent;
  }
}

/** Throws for what is no deflated list of as many entries as it says, and for more than a frame could carry. */
export function unpackEntries({ count, deflated }: PackedEntries): Entry[] {
  const entries = LogEntries.decode(inflateRawSync(deflated, { maxOutputLength: FRAME_BYTES_MAX }));
  if (entries.length !== count) throw new Error(`${entries.length} entries came where ${count} were said`);
  return entries;
}

function keyOf({ group, generation, previousIndex, entries }: SharedAppend): string {
  return `${group} ${generation} ${previousIndex} ${entries.length} ${entries.at(-1)?.term}`;
}

export function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const { data } of entries) bytes += data.length;
  return bytes;
}
