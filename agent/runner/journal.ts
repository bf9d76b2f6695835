import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';
import {
  RUNNER_EXITS_PER_FRAME_MAX,
  RUNNER_JOURNAL_BYTES_MAX,
  RUNNER_JOURNAL_RESET_BYTES,
} from '../../src/lib/limits.ts';
import { executionName } from './execution-key.ts';
import type { ExecutionKey, Exit } from './interface.ts';
import { decodePayload, encodePayload, type Report } from './protocol.ts';

/**
 * The exits that no agent has acknowledged yet, on disk, so that they survive the runner. A record is length,
 * CRC-32, and the very bytes of the message that went to or came from the agent: a report, or an
 * acknowledgement.
 *
 * It is written but not synced: it guards against the death of a process, which leaves the page cache alone.
 * When the machine itself dies, its tasks die with it, and an exit lost then is an execution that runs again,
 * as promise 2 allows. A start without an exit needs no answer of the journal: such an execution died with
 * its runner.
 */
export class Journal {
  readonly #path: string;
  #fd: number;
  #bytes: number;
  /**
   * The next rewrite; it grows with what is kept, or a long list of exits would be written again and again.
   */
  #rewriteAboveBytes = RUNNER_JOURNAL_BYTES_MAX;
  /** Set when a record could not be written (disk full): only a rewrite makes the file true again. */
  #isBehind = false;

  private constructor(path: string, fd: number, bytes: number) {
    this.#path = path;
    this.#fd = fd;
    this.#bytes = bytes;
  }

  /**
   * Opens or creates the file, cuts off a torn tail, and returns what is unacknowledged in the order of its
   * end.
   */
  static open(path: string): { journal: Journal; exits: Exit[] } {
    const fd = openSync(path, 'a+', 0o600);
    const { exits, validBytes } = replay(readFileSync(fd));
    ftruncateSync(fd, validBytes);
    return { journal: new Journal(path, fd, validBytes), exits };
  }

  /** `payload` is an encoded Report. */
  reported(payload: Uint8Array): void {
    this.#append(payload);
  }

  acknowledged(keys: readonly ExecutionKey[]): void {
    const record: Acknowledgement = { type: 'acknowledge', keys };
    this.#append(encodePayload(record));
  }

  /** Gives back the space of what was acknowledged, where that is worth the write. Cheap when it is not. */
  compact(unacknowledged: ReadonlyMap<string, Exit>): void {
    if (unacknowledged.size === 0) {
      if (this.#bytes > RUNNER_JOURNAL_RESET_BYTES || this.#isBehind) this.#reset();
    } else if (this.#bytes > this.#rewriteAboveBytes || this.#isBehind) {
      this.#rewrite([...unacknowledged.values()]);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #append(payload: Uint8Array): void {
    if (this.#isBehind) return;
    try {
      this.#write(this.#fd, record(payload));
    } catch {
      // A part of the record may be there: nothing behind it would be read.
      this.#isBehind = true;
    }
  }

  #reset(): void {
    ftruncateSync(this.#fd, 0);
    this.#bytes = 0;
    this.#isBehind = false;
  }

  #rewrite(exits: readonly Exit[]): void {
    const fresh = `${this.#path}.new`;
    const fd = openSync(fresh, REWRITE_FLAGS, 0o600);
    const bytesBefore = this.#bytes;
    this.#bytes = 0;
    try {
      for (let start = 0; start < exits.length; start += RUNNER_EXITS_PER_FRAME_MAX) {
        const part = exits.slice(start, start + RUNNER_EXITS_PER_FRAME_MAX);
        const report: Report = { type: 'report', started: [], exits: part };
        this.#write(fd, record(encodePayload(report)));
      }
      // Before the rename: the old file must not be given up for one that a power cut would leave empty.
      fsyncSync(fd);
      renameSync(fresh, this.#path);
    } catch {
      closeSync(fd);
      this.#bytes = bytesBefore;
      this.#isBehind = true;
      return;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#rewriteAboveBytes = Math.max(RUNNER_JOURNAL_BYTES_MAX, 2 * this.#bytes);
    this.#isBehind = false;
  }

  #write(fd: number, bytes: Uint8Array): void {
    let written = 0;
    while (written < bytes.length) written += writeSync(fd, bytes, written);
    this.#bytes += bytes.length;
  }
}

interface Acknowledgement {
  readonly type: 'acknowledge';
  readonly keys: readonly ExecutionKey[];
}

const HEADER_BYTES = 8;
const REWRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND;

function record(payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  bytes.writeUInt32BE(crc32(payload), 4);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

function replay(bytes: Buffer): { exits: Exit[]; validBytes: number } {
  const exits = new Map<string, Exit>();
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const end = at + HEADER_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    const payload = bytes.subarray(at + HEADER_BYTES, end);
    if (crc32(payload) !== bytes.readUInt32BE(at + 4)) break;
    applyRecord(exits, decodePayload(payload) as Report | Acknowledgement);
    at = end;
  }
  return { exits: [...exits.values()], validBytes: at };
}

function applyRecord(exits: Map<string, Exit>, entry: Report | Acknowledgement): void {
  if (entry.type === 'report') for (const exit of entry.exits) exits.set(executionName(exit.key), exit);
  else for (const key of entry.keys) exits.delete(executionName(key));
}
