/** HTTP's ranges (first and last byte, both included) and ours (offset and length). */
import { ShoalError } from '../../src/lib/errors.ts';
import type { ByteRange } from '../../src/model/control.ts';

/** A range of something of `sizeBytes`; an end beyond it is cut. Throws InvalidRange where it begins behind the last byte. */
export function lengthOfRange(
  range: ByteRange | undefined,
  sizeBytes: number,
): { readonly offsetBytes: number; readonly lengthBytes: number } {
  if (range === undefined) return { offsetBytes: 0, lengthBytes: sizeBytes };
  const { start } = range;
  const end = Math.min(range.end ?? sizeBytes - 1, sizeBytes - 1);
  const valid = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0;
  // An empty file has no first byte, yet its whole may be asked for.
  if (valid && start === 0 && sizeBytes === 0) return { offsetBytes: 0, lengthBytes: 0 };
  if (!valid || start > end) {
    throw new ShoalError('InvalidRange', `Bytes ${start} to ${range.end ?? 'the end'} of ${sizeBytes}.`);
  }
  return { offsetBytes: start, lengthBytes: end - start + 1 };
}
