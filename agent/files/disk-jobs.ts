/**
 * What a disk thread does for the chunk store, one job after the other and by blocking calls: a chunk costs the main thread one
 * message, where each of open, write, fdatasync, close and rename would be a trip through libuv's threads and back.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { isCode } from '../../src/lib/system-error.ts';
import type { DiskResult } from './chunk-disk.ts';

/** `memory`: moves to the thread with the job; the content is its first `lengthBytes` bytes. */
export type DiskJob =
  | { readonly kind: 'hash'; readonly memory: ArrayBuffer; readonly lengthBytes: number }
  | {
      readonly kind: 'write';
      readonly memory: ArrayBuffer;
      readonly lengthBytes: number;
      /** Written and synced here, then renamed to `path`. */
      readonly incoming: string;
      readonly path: string;
      /** SHA-256 that the bytes must have; with another one nothing is written. */
      readonly expected: string | undefined;
      /** The name is durable too when the job is done. */
      readonly syncName: boolean;
    }
  | {
      readonly kind: 'read';
      /** Undefined: the thread allocates it. */
      readonly memory: ArrayBuffer | undefined;
      /** Fewer come back where the file ends before. */
      readonly lengthBytes: number;
      readonly path: string;
      readonly hashed: boolean;
    }
  | { readonly kind: 'sync'; readonly directories: readonly string[] };

export type DiskAnswer =
  | { readonly kind: 'done'; readonly result: DiskResult }
  /** `code`: of the system, as ENOSPC. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined };

/** Throws what the system calls throw. */
export function runDiskJob(job: DiskJob): DiskResult {
  switch (job.kind) {
    case 'hash':
      return { ...contentOf(job), hash: hashOf(viewOf(job)) };
    case 'write':
      return write(job);
    case 'read':
      return read(job);
    case 'sync':
      for (const path of job.directories) syncDirectory(path);
      return { memory: undefined, lengthBytes: 0, hash: undefined };
  }
}

type Content = Pick<DiskResult, 'memory' | 'lengthBytes'>;

function write(job: Extract<DiskJob, { kind: 'write' }>): DiskResult {
  const bytes = viewOf(job);
  const { expected } = job;
  const hash = expected === undefined ? undefined : hashOf(bytes);
  if (hash === expected) writeFile(job, bytes);
  return { ...contentOf(job), hash };
}

function writeFile(
  { incoming, path, syncName }: Extract<DiskJob, { kind: 'write' }>,
  bytes: Uint8Array,
): void {
  try {
    const file = openSync(incoming, 'wx', 0o600);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
      fdatasyncSync(file);
    } finally {
      closeSync(file);
    }
    renameIntoFanOut(incoming, path);
  } catch (error) {
    rmSync(incoming, { force: true });
    throw error;
  }
  if (syncName) syncDirectory(dirname(path));
}

/** The directory is made when first needed: all 256 at once would cost a start 0.1 s. */
function renameIntoFanOut(incoming: string, path: string): void {
  try {
    renameSync(incoming, path);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
    const directory = dirname(path);
    // Another thread may make it at the same time.
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    syncDirectory(dirname(directory));
    renameSync(incoming, path);
  }
}

function read({ memory, lengthBytes, path, hashed }: Extract<DiskJob, { kind: 'read' }>): DiskResult {
  const file = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(memory ?? new ArrayBuffer(lengthBytes), 0, lengthBytes);
    let filled = 0;
    while (filled < lengthBytes) {
      const count = readSync(file, bytes, filled, lengthBytes - filled, filled);
      if (count === 0) break;
      filled += count;
    }
    const hash = hashed ? hashOf(bytes.subarray(0, filled)) : undefined;
    return { memory: bytes.buffer, lengthBytes: filled, hash };
  } finally {
    closeSync(file);
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function viewOf({ memory, lengthBytes }: { memory: ArrayBuffer; lengthBytes: number }): Uint8Array {
  return new Uint8Array(memory, 0, lengthBytes);
}

function contentOf({ memory, lengthBytes }: Content): Content {
  return { memory, lengthBytes };
}
