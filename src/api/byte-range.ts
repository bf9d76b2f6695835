/** `bytes=…` of Range and ocp-range headers: one range of one file. */
import { ShoalError } from '../lib/errors.ts';
import type { ByteRange } from '../model/control.ts';

const SHAPE = /^bytes=(\d{0,16})-(\d{0,16})$/;

/** Both ends included and inside the file. */
export interface ExactRange extends ByteRange {
  readonly end: number;
}

/**
 * The range within `sizeBytes`, or undefined for all of it. An end behind the file's is cut; `-n` means the last n
 * bytes. Throws `InvalidRange` where not one byte lies in it, and for lists of ranges and other units.
 */
export function readRange(header: string | undefined, sizeBytes: number): ExactRange | undefined {
  if (header === undefined) return undefined;
  const match = SHAPE.exec(header.trim());
  const [, first, last] = match ?? [];
  if (first === undefined || last === undefined || (first === '' && last === ''))
    throw invalid(header, sizeBytes);
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start > end) throw invalid(header, sizeBytes);
  return { start, end };
}

function invalid(header: string, sizeBytes: number): ShoalError {
  return new ShoalError('InvalidRange', `The range is not valid for a resource of ${sizeBytes} bytes.`, {
    Range: header.slice(0, 128),
    SizeBytes: String(sizeBytes),
  });
}
