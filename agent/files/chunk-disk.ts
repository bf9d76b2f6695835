/**
 * The disk under a chunk store: files of bytes, each named by the hash that they should have. `ChunkFiles` keeps them in
 * directories; the simulator has one in memory, which loses what a disk loses.
 */
import type { ChunkHash } from './manifest.ts';

/** Memory moves to the disk with a call and comes back with its result. */
export interface DiskResult {
  readonly memory: ArrayBuffer | undefined;
  readonly lengthBytes: number;
  /** SHA-256 of the bytes, as hexadecimal digits, where it was to be computed. */
  readonly hash: string | undefined;
}

export interface FoundFile {
  /** Whatever somebody called it: not always a hash. */
  readonly name: string;
  readonly sizeBytes: number;
}

/** Rejects with errors that have the system's code, as ENOENT, EIO and ENOSPC. */
export interface ChunkDisk {
  /** Makes the place ready, forgets what was being written when the last process ended, and lists what is there. */
  open(): Promise<readonly FoundFile[]>;
  /** `bytes` begin where their memory begins; so do they below. */
  hash(bytes: Uint8Array<ArrayBuffer>): Promise<DiskResult>;
  /**
   * The bytes are durable when it resolves; their name only where `syncName` says so, or after `settle`. `verify`: nothing is
   * written where the bytes have another hash, which the result tells.
   */
  write(
    hash: ChunkHash,
    bytes: Uint8Array<ArrayBuffer>,
    how: { readonly verify: boolean; readonly syncName: boolean },
  ): Promise<DiskResult>;
  /** Up to `lengthBytes`, into `memory` where there is any. */
  read(
    hash: ChunkHash,
    how: { readonly lengthBytes: number; readonly hashed: boolean; readonly memory: ArrayBuffer | undefined },
  ): Promise<DiskResult>;
  /** Makes the names of these chunks durable. */
  settle(hashes: readonly ChunkHash[]): Promise<void>;
  remove(hash: ChunkHash): Promise<void>;
  /** Out of the way, for a person to look at. */
  setAside(hash: ChunkHash): Promise<void>;
  /** What is under way fails. */
  close(): Promise<void>;
}
