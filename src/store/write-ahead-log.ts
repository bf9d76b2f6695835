/**
 * Reads LevelDB's own log (format: "leveldb Log format", doc/log_format.md) before LevelDB does. LevelDB drops what is
 * damaged there without a word and goes on with what comes after, which turns a lost batch into a state that never
 * was; and its replay deletes the evidence. What a damaged place means depends on what stands behind it:
 *
 *   1. Nothing, or only batches nobody was promised (unsynced, and the acked mark is not beyond the damage): a crash
 *      or power cut caught unsynced pages, which reach the disk in any order. The log is cut at the damage, quietly,
 *      so that what remains is a prefix.
 *   2. A batch that was synced: fdatasync covers everything before it, so the damage came later. Corruption.
 *      (A sync in flight during a power cut looks the same where its pages outran older ones. Not told apart: refusing
 *      a store costs a copy from the peers, serving from one that lost a vote costs the group.)
 *   3. Nothing behind it, but the acked mark names a later batch: found by `checkAcked` once the database is open.
 *
 * A batch missing as a whole shows too: LevelDB numbers operations, and each batch begins where the last one ended,
 * across log files. Damage in the table files (.ldb) is met when a record is read.
 */
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../lib/errors.ts';
import { BATCH_KEY } from './keys.ts';
import { type BatchMark, decodeBatchMark, unframe } from './records.ts';

const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
/** Sequence number (8 bytes) and count of operations (4), before the first operation of a batch. */
const BATCH_HEADER_BYTES = 12;
/** Enough of a batch to read its header and our mark, its first operation. */
const BATCH_PREFIX_BYTES = 128;

/** Types of fragments; 3 is one in the middle of a batch. */
const FULL = 1;
const FIRST = 2;
const LAST = 4;

type LogItem =
  | {
      readonly kind: 'batch';
      readonly offset: number;
      /** LevelDB's number of the batch's first operation. */
      readonly sequence: number;
      readonly operations: number;
      /** Undefined where the batch does not begin with our mark. */
      readonly mark: BatchMark | undefined;
    }
  | { readonly kind: 'damage'; readonly offset: number };

/**
 * Cuts an unpromised damaged tail off the logs in `directory`; throws `CorruptStore` where something promised is lost.
 * `ackedBatch`: last batch known to be synced. The caller holds the store's lock.
 */
export async function checkWriteAheadLog(directory: string, ackedBatch: number): Promise<void> {
  const files = await logFiles(directory);
  let damage: { file: number; offset: number } | undefined;
  let nextSequence: number | undefined;
  for (const [file, path] of files.entries()) {
    for (const item of readLog(await readFile(path))) {
      const inOrder = item.kind === 'batch' && item.sequence === (nextSequence ?? item.sequence);
      if (!inOrder) damage ??= { file, offset: item.offset };
      if (item.kind === 'damage') continue;
      if (damage !== undefined && wasPromised(item.mark, ackedBatch)) {
        throw damagedInside(files[damage.file] ?? path, damage.offset, item.mark);
      }
      nextSequence = item.sequence + item.operations;
    }
  }
  if (damage !== undefined) await cut(files.slice(damage.file), damage.offset);
}

async function logFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names
    .filter((name) => /^\d+\.log$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    .map((name) => join(directory, name));
}

function wasPromised(mark: BatchMark | undefined, ackedBatch: number): boolean {
  return mark === undefined || mark.synced || mark.batch <= ackedBatch;
}

function damagedInside(path: string, offset: number, later: BatchMark | undefined): ShoalError {
  const laterName = later === undefined ? 'a later batch' : `batch ${later.batch}`;
  return new ShoalError(
    'CorruptStore',
    `${path} is damaged at byte ${offset}, before ${laterName} which was synced to disk.`,
    { file: path, offset: String(offset), missing: `batches before ${laterName}` },
  );
}

/** Synced: a cut that a power failure takes back would later stand before new, synced batches and look like case 2. */
async function cut(files: readonly string[], offset: number): Promise<void> {
  for (const [i, path] of files.entries()) {
    const handle = await open(path, 'r+');
    try {
      await handle.truncate(i === 0 ? offset : 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** The batches of one log file, and each place where one cannot be read. */
function* readLog(bytes: Buffer): Generator<LogItem> {
  let batch: { offset: number; prefix: Buffer } | undefined;
  let lost = false;
  for (const fragment of readFragments(bytes)) {
    if (fragment.kind === 'damage') {
      yield { kind: 'damage', offset: batch?.offset ?? fragment.offset };
      batch = undefined;
      lost = true;
      continue;
    }
    const { type, offset, data } = fragment;
    if (type === FULL || type === FIRST) {
      if (batch !== undefined) yield { kind: 'damage', offset: batch.offset };
      batch = { offset, prefix: data.subarray(0, BATCH_PREFIX_BYTES) };
      lost = false;
    } else if (batch === undefined) {
      // The rest of a batch whose beginning was damaged has been reported; one without any beginning has not.
      if (!lost) yield { kind: 'damage', offset };
      lost = true;
    } else if (batch.prefix.length < BATCH_PREFIX_BYTES) {
      batch.prefix = Buffer.concat([batch.prefix, data]).subarray(0, BATCH_PREFIX_BYTES);
    }
    if ((type === FULL || type === LAST) && batch !== undefined) {
      yield decodeBatch(batch.offset, batch.prefix);
      batch = undefined;
    }
  }
  if (batch !== undefined) yield { kind: 'damage', offset: batch.offset };
}

type Fragment =
  | { readonly kind: 'fragment'; readonly offset: number; readonly type: number; readonly data: Buffer }
  | { readonly kind: 'damage'; readonly offset: number };

function* readFragments(bytes: Buffer): Generator<Fragment> {
  let offset = 0;
  while (offset < bytes.length) {
    const blockEnd = Math.min(offset - (offset % BLOCK_BYTES) + BLOCK_BYTES, bytes.length);
    const room = blockEnd - offset;
    // A writer fills a rest too short for a header with zeros; the same rest at the end of the file is a torn header.
    if (room < HEADER_BYTES) {
      if (blockEnd % BLOCK_BYTES !== 0) yield { kind: 'damage', offset };
      offset = blockEnd;
      continue;
    }
    const length = bytes.readUInt16LE(offset + 4);
    const type = bytes.readUInt8(offset + 6);
    const end = offset + HEADER_BYTES + length;
    const plausible = type >= FULL && type <= LAST && end <= blockEnd;
    const body = plausible ? bytes.subarray(offset + HEADER_BYTES - 1, end) : undefined;
    if (body !== undefined && maskedCrc32c(body) === bytes.readUInt32LE(offset)) {
      yield { kind: 'fragment', offset, type, data: body.subarray(1) };
      offset = end;
    } else {
      yield { kind: 'damage', offset };
      // A header that makes sense is believed as to where the next one is, or damage in the file's last block would
      // hide what follows it; otherwise the next block is the next place where a record can begin.
      offset = plausible ? end : blockEnd;
    }
  }
}

function decodeBatch(offset: number, prefix: Buffer): LogItem {
  if (prefix.length < BATCH_HEADER_BYTES) return { kind: 'damage', offset };
  return {
    kind: 'batch',
    offset,
    sequence: Number(prefix.readBigUInt64LE(0)),
    operations: prefix.readUInt32LE(8),
    mark: markOf(prefix.subarray(BATCH_HEADER_BYTES)),
  };
}

/** First operation: tag 1 (a value), length and bytes of the key, length and bytes of the value; both lengths below 128. */
function markOf(operation: Buffer): BatchMark | undefined {
  const keyEnd = 2 + BATCH_KEY.length;
  if (operation[0] !== 1 || operation[1] !== BATCH_KEY.length) return undefined;
  if (operation.toString('latin1', 2, keyEnd) !== BATCH_KEY) return undefined;
  const valueBytes = operation[keyEnd] ?? 0;
  const payload = unframe(BATCH_KEY, operation.subarray(keyEnd + 1, keyEnd + 1 + valueBytes));
  return payload === undefined ? undefined : decodeBatchMark(payload);
}

/** CRC-32C, rotated and offset as LevelDB stores it. zlib has only the other polynomial. */
function maskedCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    crc = (CRC32C_TABLE[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});
