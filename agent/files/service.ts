import { ShoalError } from '../../src/lib/errors.ts';
import type { FileService } from './interface.ts';
export function createFileService(_init: unknown): FileService {
  const no = () => Promise.reject(new ShoalError('InternalError', 'no files yet'));
  return new Proxy({} as FileService, {
    get: (_t, name) => (name === 'start' || name === 'stop' ? async () => undefined : no),
  });
}
