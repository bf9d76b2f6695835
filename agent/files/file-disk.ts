/** What the file services of a machine keep on its disk, and where: a directory, or the simulator's memory. */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../src/lib/clock.ts';
import type { ChunkDisk } from './chunk-disk.ts';
import { ChunkFiles } from './chunk-files.ts';
import { DiskThreads } from './disk-threads.ts';
import { type LinesFile, LocalLinesFile } from './lines-file.ts';

export interface FileDisk {
  /** Makes the place. Returns how many bytes of chunks it may take. */
  open(): Promise<number>;
  readonly chunks: ChunkDisk;
  /** What is kept for somebody until a time; see holds.ts. */
  readonly kept: LinesFile;
}

/** Of the disk's size, what chunks may take: the store of the agent itself must never find it full. */
const DISK_SHARE = 0.9;

export function localFileDisk(init: {
  /** One process at a time. */
  readonly directory: string;
  /** Path of the bundled disk-thread.ts. */
  readonly diskThreadScript: string;
  readonly clock: Clock;
}): FileDisk {
  const { directory, diskThreadScript, clock } = init;
  return {
    async open() {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const { blocks, bsize } = await statfs(directory);
      return Math.floor(blocks * bsize * DISK_SHARE);
    },
    chunks: new ChunkFiles(directory, new DiskThreads(diskThreadScript, clock)),
    kept: new LocalLinesFile(join(directory, 'kept')),
  };
}
