/** The running hash over all row writes of a group: equal on every replica that applied the same entries. */
import { crc32 } from 'node:zlib';
import type { RowWrite } from '../core/interface.ts';

export function hashRow(seed: number, row: RowWrite): number {
  switch (row.kind) {
    case 'put':
      return crc32(row.value, crc32(`+${row.key}`, seed));
    case 'delete':
      return crc32(`-${row.key}`, seed);
    case 'clear':
      return crc32(`!${row.prefix}`, seed);
  }
}
