import type { FileHandle } from 'node:fs/promises';

/** Fills `bytes` from `offsetBytes` of the file on; returns how many there were: fewer where the file ends before. */
export async function readInto(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<number> {
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offsetBytes + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
