/** The user's own files: what an upload reads, and where a download may write. */
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ShoalError } from '../lib/errors.ts';
import { isValidBlobName } from '../model/blob.ts';
import { localFileError } from './remote-output.ts';

export interface LocalFile {
  /** Absolute. */
  readonly file: string;
  /** Relative to where the walk began, `/` between components; empty where it began at a file. */
  readonly relative: string;
  readonly sizeBytes: number;
}

export interface Walk {
  readonly files: readonly LocalFile[];
  /** Links, sockets, devices: what is no file and no directory is left out. */
  readonly skipped: readonly string[];
}

/** The regular files at and below `start`, in the order of their names. A link at `start` itself is followed. */
export async function walkFiles(start: string): Promise<Walk> {
  const files: LocalFile[] = [];
  const skipped: string[] = [];
  const walk = async (directory: string, relative: string): Promise<void> => {
    const entries = await readdir(directory, { withFileTypes: true });
    entries.sort((left, right) => (left.name < right.name ? -1 : 1));
    for (const entry of entries) {
      const file = path.join(directory, entry.name);
      const below = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory()) await walk(file, below);
      else if (entry.isFile()) files.push({ file, relative: below, sizeBytes: (await lstat(file)).size });
      else skipped.push(file);
    }
  };
  try {
    const found = await stat(start);
    if (found.isDirectory()) await walk(start, '');
    else if (found.isFile()) files.push({ file: start, relative: '', sizeBytes: found.size });
    else skipped.push(start);
  } catch (error) {
    throw localFileError(error, start);
  }
  return { files, skipped };
}

/**
 * The bytes of a file that had `sizeBytes` when its upload was announced. One that grew is cut there; one that
 * shrank ends the upload: the agent would wait for the rest.
 */
export async function* readFileExactly(
  file: string,
  sizeBytes: number,
  onBytes: (count: number) => void = () => {},
): AsyncGenerator<Uint8Array> {
  if (sizeBytes === 0) return;
  let count = 0;
  try {
    for await (const chunk of createReadStream(file, { end: sizeBytes - 1 }) as AsyncIterable<Buffer>) {
      count += chunk.byteLength;
      onBytes(chunk.byteLength);
      yield chunk;
    }
  } catch (error) {
    throw localFileError(error, file);
  }
  if (count < sizeBytes) {
    throw new ShoalError('InvalidArgument', `${file} became shorter while it was read.`, { Path: file });
  }
}

/**
 * The path of `relative` below `root`, its directories made. The name comes from the mesh: it must not leave `root`,
 * neither by itself nor through a link that is there already.
 */
export async function prepareTarget(root: string, relative: string): Promise<string> {
  if (!isValidBlobName(relative)) {
    throw new ShoalError('InvalidArgument', `"${relative}" cannot be a path below ${root}.`, {
      Path: relative,
    });
  }
  const parts = relative.split('/');
  let directory = root;
  try {
    await mkdir(root, { recursive: true });
    for (const part of parts.slice(0, -1)) {
      directory = path.join(directory, part);
      await mkdir(directory).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      if (!(await lstat(directory)).isDirectory()) {
        throw new ShoalError('InvalidArgument', `${directory} is no directory.`, { Path: directory });
      }
    }
  } catch (error) {
    throw localFileError(error, directory);
  }
  return path.join(directory, parts.at(-1) ?? '');
}
