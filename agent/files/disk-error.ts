/** What the system says of a disk, as this project's errors. */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { isCode } from '../../src/lib/system-error.ts';

export function diskError(error: unknown): ShoalError {
  if (isCode(error, 'ENOSPC', 'EDQUOT')) return new ShoalError('DiskFull', undefined, {}, { cause: error });
  return asShoalError(error);
}
