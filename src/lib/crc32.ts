/**
 * CRC-32 of what is stored. Most of it is short, and Node's own costs some 300 ns before its first byte (a view of the
 * bytes, checks of arguments, the way into C++): up to some 200 bytes a table in JavaScript is faster, at 100 twice.
 */
import { crc32 } from 'node:zlib';

/** Above this Node's is faster. */
const SHORT_BYTES_MAX = 192;
/** The polynomial of IEEE 802.3, bits reversed. */
const POLYNOMIAL = 0xedb88320;

const ASCII_MAX = 0x7f;

/** Four tables, so that four bytes go in one step ("slicing-by-4"). */
const [TABLE_0, TABLE_1, TABLE_2, TABLE_3] = makeTables();

/** Of the bytes from `from` on; `seed` is the CRC of what stands before them. */
export function crcOfBytes(bytes: Uint8Array, from: number, seed: number): number {
  const end = bytes.length;
  if (end - from > SHORT_BYTES_MAX) return crc32(bytes.subarray(from), seed);
  let crc = ~seed;
  let at = from;
  for (; at + 3 < end; at += 4) {
    crc ^= byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16);
    crc ^= byteAt(bytes, at + 3) << 24;
    crc =
      byteAt(TABLE_3, crc & 255) ^
      byteAt(TABLE_2, (crc >>> 8) & 255) ^
      byteAt(TABLE_1, (crc >>> 16) & 255) ^
      byteAt(TABLE_0, crc >>> 24);
  }
  for (; at < end; at++) crc = step(crc, byteAt(bytes, at));
  return ~crc >>> 0;
}

/** Of the text in UTF-8. */
export function crcOfText(text: string, seed = 0): number {
  if (text.length > SHORT_BYTES_MAX) return crc32(text, seed);
  let crc = ~seed;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > ASCII_MAX) return crc32(text, seed);
    crc = step(crc, unit);
  }
  return ~crc >>> 0;
}

function step(crc: number, byte: number): number {
  return (crc >>> 8) ^ byteAt(TABLE_0, (crc ^ byte) & 255);
}

/** All indexes here are within bounds. */
function byteAt(array: Uint8Array | Int32Array, index: number): number {
  return array[index] as number;
}

function makeTables(): [Int32Array, Int32Array, Int32Array, Int32Array] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[byte] = crc;
  }
  const next = (table: Int32Array): Int32Array => table.map((crc) => (crc >>> 8) ^ byteAt(first, crc & 255));
  const second = next(first);
  const third = next(second);
  return [first, second, third, next(third)];
}
