/** What the system says of a disk, as this project's errors. */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';

export function diskError(error: unknown): ShoalError {
  if (isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')) {
    return new ShoalError('DiskFull', undefined, {}, { cause: error });
  }
  return asShoalError(error);
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
