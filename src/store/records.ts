/**
 * Records as bytes. LevelDB does not check its block checksums when it reads, and none of its checks cover the way from
 * our memory to its buffer; so each record carries its own: one version byte, then a CRC-32 over key and payload
 * (a record that turns up under another key fails too), then the payload. Integers are LEB128, as most are small.
 */
import { crcOfBytes, crcOfText } from '../lib/crc32.ts';
import { ShoalError } from '../lib/errors.ts';
import type { LogEntry, LogHardState, LogStart } from './interface.ts';

const VERSION = 1;
const HEADER_BYTES = 5;

export function frame(key: string, payload: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  record.set(payload, HEADER_BYTES);
  return seal(key, record);
}

/** Fills the header of a record whose payload is in place already. */
function seal(key: string, record: Buffer): Buffer {
  record[0] = VERSION;
  record.writeUInt32LE(crcOfBytes(record, HEADER_BYTES, crcOfText(key)), 1);
  return record;
}

/** The payload, or undefined where version or checksum are wrong. */
export function unframe(key: string, record: Uint8Array): Uint8Array | undefined {
  if (record.length < HEADER_BYTES || record[0] !== VERSION) return undefined;
  const stored = new DataView(record.buffer, record.byteOffset).getUint32(1, true);
  return crcOfBytes(record, HEADER_BYTES, crcOfText(key)) === stored
    ? record.subarray(HEADER_BYTES)
    : undefined;
}

/** Like `unframe`; throws `CorruptStore` with `values` and the key. */
export function unframeOrThrow(
  key: string,
  record: Uint8Array,
  values: Readonly<Record<string, string>>,
): Uint8Array {
  const payload = unframe(key, record);
  if (payload !== undefined) return payload;
  throw new ShoalError('CorruptStore', `The stored record ${JSON.stringify(key)} fails its checksum.`, {
    ...values,
    key,
  });
}

// --- Log entries ------------------------------------------------------------------------------------------------

const KINDS = ['noop', 'command', 'configuration'] as const satisfies readonly LogEntry['kind'][];

/** The index is in the key, and the key is under the checksum. */
export function encodeEntry(key: string, entry: LogEntry): Buffer {
  const termBytes = varintBytes(entry.term);
  const record = Buffer.allocUnsafe(HEADER_BYTES + 1 + termBytes + entry.data.length);
  record[HEADER_BYTES] = KINDS.indexOf(entry.kind);
  writeVarint(record, HEADER_BYTES + 1, entry.term);
  record.set(entry.data, HEADER_BYTES + 1 + termBytes);
  return seal(key, record);
}

export function decodeEntry(index: number, payload: Uint8Array): LogEntry {
  const reader = new Reader(payload);
  const kind = KINDS[reader.byte()];
  if (kind === undefined) throw new RangeError('unknown kind of entry');
  return { index, kind, term: reader.varint(), data: reader.rest() };
}

// --- Head of a group --------------------------------------------------------------------------------------------

/** What changes with every turn of a group, in one record: one put instead of three, and never at odds with itself. */
export interface GroupHead {
  /** Number of the batch that wrote this head. */
  readonly batch: number;
  readonly hardState: LogHardState;
  readonly applied: { readonly index: number; readonly stateHash: number };
  /** Where the log ends. A log that ends before it has lost entries. */
  readonly lastIndex: number;
}

export function encodeHead(key: string, head: GroupHead): Buffer {
  writer.begin();
  writer.varint(head.batch);
  writer.varint(head.hardState.term);
  writer.varint(head.hardState.commit);
  writer.optionalText(head.hardState.votedFor);
  writer.varint(head.applied.index);
  writer.float(head.applied.stateHash);
  writer.varint(head.lastIndex);
  return writer.sealed(key);
}

export function decodeHead(payload: Uint8Array): GroupHead {
  const reader = new Reader(payload);
  const batch = reader.varint();
  const term = reader.varint();
  const commit = reader.varint();
  const votedFor = reader.optionalText();
  const applied = { index: reader.varint(), stateHash: reader.float() };
  return { batch, hardState: { term, votedFor, commit }, applied, lastIndex: reader.varint() };
}

// --- Start of a log ---------------------------------------------------------------------------------------------

export function encodeStart(key: string, start: LogStart): Buffer {
  writer.begin();
  writer.varint(start.index);
  writer.varint(start.term);
  for (const ids of [start.configuration.voters, start.configuration.learners]) {
    writer.varint(ids.length);
    for (const id of ids) writer.text(id);
  }
  return writer.sealed(key);
}

export function decodeStart(payload: Uint8Array): LogStart {
  const reader = new Reader(payload);
  const index = reader.varint();
  const term = reader.varint();
  const voters = readTexts(reader);
  return { index, term, configuration: { voters, learners: readTexts(reader) } };
}

function readTexts(reader: Reader): string[] {
  const count = reader.varint();
  const texts: string[] = [];
  for (let i = 0; i < count; i++) texts.push(reader.text());
  return texts;
}

// --- Batch mark -------------------------------------------------------------------------------------------------

/** The first record of every batch. `synced` tells the reader of a damaged log whether anybody was promised this batch. */
export interface BatchMark {
  readonly batch: number;
  readonly synced: boolean;
}

export function encodeBatchMark(key: string, mark: BatchMark): Buffer {
  writer.begin();
  writer.varint(mark.batch);
  writer.varint(mark.synced ? 1 : 0);
  return writer.sealed(key);
}

export function decodeBatchMark(payload: Uint8Array): BatchMark {
  const reader = new Reader(payload);
  return { batch: reader.varint(), synced: reader.varint() === 1 };
}

// --- Integers and text ------------------------------------------------------------------------------------------

/** Plain arithmetic instead of shifts: terms and indexes may pass 2^32. */
function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function writeVarint(target: Uint8Array, offset: number, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`);
  let at = offset;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) target[at++] = (rest % 128) | 128;
  target[at++] = rest;
  return at;
}

/** Puts a payload together in memory of its own, from which each record is copied: records are many and small. */
class Writer {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  begin(): void {
    this.#length = HEADER_BYTES;
  }

  varint(value: number): void {
    this.#reserve(8);
    this.#length = writeVarint(this.#bytes, this.#length, value);
  }

  float(value: number): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#reserve(length);
    this.#length += this.#bytes.write(value, this.#length);
  }

  /** A flag before the text: null and the empty string are different answers. */
  optionalText(value: string | null): void {
    this.varint(value === null ? 0 : 1);
    if (value !== null) this.text(value);
  }

  sealed(key: string): Buffer {
    const record = Buffer.allocUnsafe(this.#length);
    this.#bytes.copy(record, 0, 0, this.#length);
    return seal(key, record);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

const writer = new Writer();

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new RangeError('record ends early');
    return value;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  float(): number {
    const value = this.#bytes.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }

  text(): string {
    const length = this.varint();
    if (this.#at + length > this.#bytes.length) throw new RangeError('record ends early');
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }

  optionalText(): string | null {
    return this.varint() === 0 ? null : this.text();
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }
}
