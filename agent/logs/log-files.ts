/**
 * The agent's log as files of bounded size and number: `agent.log` is written, `agent.1.log` came before it, and so on.
 *
 * A line is written at once, by the thread that has it: the last lines before a process ends are those that are looked for,
 * and at the levels of everyday an agent writes a few a minute. A file that cannot be written, on a full disk, costs its
 * lines: standard error has them too, and to log is no reason to fail.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isCode } from '../../src/lib/system-error.ts';

export interface LogFilesLimits {
  readonly fileBytesMax: number;
  /** The one that is written included. */
  readonly filesMax: number;
}

/** Newest first. */
export function logFilePaths(directory: string, filesMax: number): readonly string[] {
  const name = (age: number): string => (age === 0 ? 'agent.log' : `agent.${age}.log`);
  return Array.from({ length: filesMax }, (_, age) => join(directory, name(age)));
}

export class LogFiles {
  readonly #limits: LogFilesLimits;
  readonly #paths: readonly string[];
  #written: { readonly descriptor: number; sizeBytes: number } | undefined;

  /** Goes on with the file that is there. */
  constructor(directory: string, limits: LogFilesLimits) {
    this.#limits = limits;
    this.#paths = logFilePaths(directory, limits.filesMax);
  }

  /** Whole lines, with their ends. Never throws. */
  write(lines: string): void {
    const bytes = Buffer.from(lines);
    try {
      const sizeBytes = Math.min(bytes.length, this.#limits.fileBytesMax);
      const file = this.#fileFor(sizeBytes);
      file.sizeBytes += writeSync(file.descriptor, bytes, 0, sizeBytes);
    } catch {
      // See above. The next line tries again.
    }
  }

  close(): void {
    if (this.#written !== undefined) closeSync(this.#written.descriptor);
    this.#written = undefined;
  }

  #fileFor(bytes: number): { readonly descriptor: number; sizeBytes: number } {
    const now = this.#written ?? this.#open();
    if (now.sizeBytes === 0 || now.sizeBytes + bytes <= this.#limits.fileBytesMax) return now;
    this.close();
    this.#moveOn();
    return this.#open();
  }

  #open(): { readonly descriptor: number; sizeBytes: number } {
    const descriptor = openSync(this.#paths[0] ?? '', 'a', 0o600);
    this.#written = { descriptor, sizeBytes: fstatSync(descriptor).size };
    return this.#written;
  }

  /** Each file takes the place of the one before it; the oldest is lost. */
  #moveOn(): void {
    for (let age = this.#paths.length - 1; age > 0; age -= 1) {
      try {
        renameSync(this.#paths[age - 1] ?? '', this.#paths[age] ?? '');
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error;
      }
    }
  }
}
