/** Log files by the time of their lines. */
import type { Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { isCode } from '../../src/lib/system-error.ts';
import { readInto } from '../files/read-into.ts';

export interface TimeRange {
  readonly startMs: number;
  readonly endMs: number;
}

export interface FoundLog {
  readonly name: string;
  readonly file: FileHandle;
}

/** Enough to hold the time of a first line. */
const HEAD_BYTES = 512;
/** The kernel stamps a file with the time of its last tick, so a line may be a little later than its file. */
const MODIFIED_SLACK_MS = 1_000;

/**
 * Opens those of the files that have lines of the time range; the caller closes them. What is missing is left out.
 * `paths` are newest first: a file that moves on meanwhile is met twice, and taken once, but none is missed.
 */
export async function openLogsOf(paths: readonly string[], range: TimeRange): Promise<FoundLog[]> {
  const found: FoundLog[] = [];
  const met = new Set<number>();
  try {
    for (const path of paths) {
      const file = await open(path, 'r').catch(unlessMissing);
      if (file === undefined) continue;
      const status = await file.stat();
      if (!met.has(status.ino) && (await isOf(file, status, range)))
        found.push({ name: basename(path), file });
      else await file.close();
      met.add(status.ino);
    }
    return found;
  } catch (error) {
    await Promise.all(found.map(({ file }) => file.close()));
    throw error;
  }
}

async function isOf(file: FileHandle, status: Stats, { startMs, endMs }: TimeRange): Promise<boolean> {
  if (!status.isFile() || status.size === 0) return false;
  if (status.mtimeMs + MODIFIED_SLACK_MS < startMs) return false;
  const head = Buffer.alloc(HEAD_BYTES);
  const length = await readInto(file, head, 0);
  const firstMs = Date.parse(
    /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/.exec(head.toString('latin1', 0, length))?.[0] ?? '',
  );
  // A file that does not say when it begins may hold anything.
  return Number.isNaN(firstMs) || firstMs <= endMs;
}

function unlessMissing(error: unknown): undefined {
  if (isCode(error, 'ENOENT')) return undefined;
  throw error;
}
