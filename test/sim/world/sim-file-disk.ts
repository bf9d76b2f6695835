/**
 * The disk of a machine's file services, in memory. A chunk's bytes are durable once it is written, its name once that was
 * synced: a loss of power takes back any of the names that were not. It can be full, rot, and be taken away.
 */
import type { ChunkDisk, DiskResult } from '../../../agent/files/chunk-disk.ts';
import type { FileDisk } from '../../../agent/files/file-disk.ts';
import type { LinesFile } from '../../../agent/files/lines-file.ts';
import { type ChunkHash, hashOf } from '../../../agent/files/manifest.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { Scope, VirtualTime } from './virtual-time.ts';

const CAPACITY_BYTES = 1024 ** 3;
/** A read is answered from the page cache, or by a quick disk. */
const READ_MS_MAX = 1;

export interface SimFileDiskOptions {
  readonly time: VirtualTime;
  readonly random: Prng;
  readonly isFull: () => boolean;
  /** How long the next write takes, ms. */
  readonly writeMs: (sync: boolean) => number;
  readonly onStored: (hash: ChunkHash, bytes: Uint8Array) => void;
  /** Nothing refers to the chunk, says the agent. */
  readonly onRemoved: (hash: ChunkHash) => void;
}

interface ChunkFile {
  bytes: Uint8Array;
  isNameDurable: boolean;
}

export class SimFileDisk {
  readonly #options: SimFileDiskOptions;
  readonly #files = new Map<ChunkHash, ChunkFile>();
  /** Chunks whose bytes are not what they were, whether anybody has noticed or not. */
  readonly #damaged = new Set<ChunkHash>();
  #kept = '';
  /** On its way to the file of what is kept. */
  #appending = '';
  /** Grows with each change. */
  version = 0;

  constructor(options: SimFileDiskOptions) {
    this.#options = options;
  }

  /** As one life of the agent sees it: what is under way when that ends comes to nothing. */
  attach(scope: Scope): FileDisk {
    return { open: async () => CAPACITY_BYTES, chunks: this.#chunks(scope), kept: this.#keptFile(scope) };
  }

  // --- What the world sees --------------------------------------------------------------------------------------

  /** The chunk as it was written; undefined where it is not here, or not any more what it was. */
  sound(hash: ChunkHash): Uint8Array | undefined {
    return this.#damaged.has(hash) ? undefined : this.#files.get(hash)?.bytes;
  }

  isDamaged(hash: ChunkHash): boolean {
    return this.#damaged.has(hash);
  }

  hashes(): Iterable<ChunkHash> {
    return this.#files.keys();
  }

  // --- Faults ---------------------------------------------------------------------------------------------------

  /** Returns how many chunks have lost their names. */
  crash(): number {
    let lost = 0;
    for (const [hash, file] of this.#files) {
      if (!file.isNameDurable && this.#options.random.chance(0.5)) {
        this.#files.delete(hash);
        lost += 1;
      }
      file.isNameDurable = true;
    }
    this.#kept += this.#appending.slice(0, this.#options.random.int(0, this.#appending.length));
    this.#appending = '';
    this.version += 1;
    return lost;
  }

  wipe(): void {
    this.#files.clear();
    this.#damaged.clear();
    this.#kept = '';
    this.#appending = '';
    this.version += 1;
  }

  /** One bit of the chunk changes. */
  rot(hash: ChunkHash): void {
    const file = this.#files.get(hash);
    if (file === undefined || file.bytes.length === 0) return;
    const bytes = Uint8Array.from(file.bytes);
    const at = this.#options.random.int(0, bytes.length - 1);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#options.random.int(0, 7));
    Object.assign(file, { bytes, isNameDurable: true });
    this.#damaged.add(hash);
    this.version += 1;
  }

  // --- What the agent sees --------------------------------------------------------------------------------------

  #chunks(scope: Scope): ChunkDisk {
    const write = <T>(sync: boolean, act: () => T): Promise<T> => this.#write(scope, sync, act);
    const read = <T>(act: () => T): Promise<T> => this.#read(scope, act);
    return {
      open: async () => [...this.#files].map(([name, { bytes }]) => ({ name, sizeBytes: bytes.length })),
      hash: (bytes) => {
        const lengthBytes = bytes.length;
        const memory = move(bytes.buffer);
        return read(() => ({ memory, lengthBytes, hash: hashOf(new Uint8Array(memory, 0, lengthBytes)) }));
      },
      write: (hash, bytes, { verify, syncName }) => {
        const lengthBytes = bytes.length;
        const memory = move(bytes.buffer);
        return write(true, () => this.#put(hash, { memory, lengthBytes }, verify, syncName));
      },
      read: (hash, { lengthBytes, hashed, memory }) => {
        const own = memory === undefined ? new ArrayBuffer(lengthBytes) : move(memory);
        return read(() => this.#get(hash, own, lengthBytes, hashed));
      },
      settle: (hashes) =>
        write(true, () => {
          for (const hash of hashes) this.#makeDurable(hash);
        }),
      remove: (hash) =>
        write(false, () => {
          this.#take(hash);
          this.#options.onRemoved(hash);
        }),
      setAside: (hash) => write(false, () => this.#take(hash)),
      close: async () => undefined,
    };
  }

  #keptFile(scope: Scope): LinesFile {
    return {
      read: async () => this.#kept,
      append: (text) => {
        this.#appending = text;
        return this.#write(scope, true, () => {
          this.#kept += text;
          this.#appending = '';
        });
      },
      replace: (text) =>
        this.#write(scope, true, () => {
          this.#kept = text;
        }),
    };
  }

  #put(
    hash: ChunkHash,
    { memory, lengthBytes }: { readonly memory: ArrayBuffer; readonly lengthBytes: number },
    verify: boolean,
    syncName: boolean,
  ): DiskResult {
    const bytes = Uint8Array.from(new Uint8Array(memory, 0, lengthBytes));
    const found = verify ? hashOf(bytes) : undefined;
    if (!verify || found === hash) {
      this.#files.set(hash, { bytes, isNameDurable: false });
      this.version += 1;
      this.#options.onStored(hash, bytes);
      if (syncName) this.#makeDurable(hash);
    }
    return { memory, lengthBytes, hash: found };
  }

  /** From here on a damaged chunk that was stored anew is a good one. */
  #makeDurable(hash: ChunkHash): void {
    const file = this.#files.get(hash);
    if (file === undefined || file.isNameDurable) return;
    file.isNameDurable = true;
    this.#damaged.delete(hash);
    this.version += 1;
  }

  #get(hash: ChunkHash, memory: ArrayBuffer, lengthBytes: number, hashed: boolean): DiskResult {
    const file = this.#files.get(hash);
    if (file === undefined) throw systemError('ENOENT');
    const read = file.bytes.subarray(0, lengthBytes);
    new Uint8Array(memory).set(read);
    return { memory, lengthBytes: read.length, hash: hashed ? hashOf(read) : undefined };
  }

  #take(hash: ChunkHash): void {
    if (!this.#files.delete(hash)) throw systemError('ENOENT');
    this.version += 1;
  }

  #write<T>(scope: Scope, sync: boolean, act: () => T): Promise<T> {
    return this.#later(scope, this.#options.writeMs(sync), () => {
      if (this.#options.isFull()) throw systemError('ENOSPC');
      return act();
    });
  }

  #read<T>(scope: Scope, act: () => T): Promise<T> {
    return this.#later(scope, this.#options.random.next() * READ_MS_MAX, act);
  }

  #later<T>(scope: Scope, delayMs: number, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#options.time.after(delayMs, scope, () => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

/** As a thread takes it: whoever gave it away has nothing any more. */
function move(memory: ArrayBuffer): ArrayBuffer {
  return structuredClone(memory, { transfer: [memory] });
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
