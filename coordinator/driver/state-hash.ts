/** The running hash over all row writes of a group: equal on every replica that applied the same entries. */
import { crcOfBytes, crcOfText } from '../../src/lib/crc32.ts';
import type { RowWrite } from '../core/interface.ts';

export function hashRow(seed: number, row: RowWrite): number {
  switch (row.kind) {
    case 'put':
      return crcOfBytes(row.value, 0, crcOfText(row.key, crcOfText('+', seed)));
    case 'delete':
      return crcOfText(row.key, crcOfText('-', seed));
    case 'clear':
      return crcOfText(row.prefix, crcOfText('!', seed));
  }
}
