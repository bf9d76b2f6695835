/**
 * Files below the directories of this machine's nodes. They belong to tasks, this process may be root: everything goes
 * through SafeDirectory, which follows no link and opens no FIFO.
 */
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ShoalError } from '../../src/lib/errors.ts';
import { FILE_ENTRIES_MAX, FILE_INLINE_BYTES_MAX, PATH_DEPTH_MAX } from '../../src/lib/limits.ts';
import type { ByteRange } from '../../src/model/control.ts';
import { lengthOfRange } from './byte-range.ts';
import { readInto } from './read-into.ts';
import { type Entry as DirectoryEntry, SafeDirectory, splitSafePath } from './safe-path.ts';

export interface Place {
  readonly node: string;
  /** Below the node's own directory; empty for that itself. */
  readonly directory: string;
}

export interface NodeFileEntry {
  readonly path: string;
  readonly directory: boolean;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
  readonly mode: number;
}

export interface OpenedNodeFile {
  readonly entry: NodeFileEntry;
  /** Bytes that `body` has: a file that grows meanwhile is served up to its size when it was opened. */
  readonly lengthBytes: number;
  readonly body: Readable;
}

export class NodeFiles {
  readonly #directory: string;

  constructor(nodesDirectory: string) {
    this.#directory = nodesDirectory;
  }

  /** Regular files and directories; links, FIFOs and names that no path may have are left out. At most FILE_ENTRIES_MAX. */
  list(place: Place, recursive: boolean): Promise<NodeFileEntry[]> {
    return this.#within(place, async (root) => {
      const found: NodeFileEntry[] = [];
      const pending: string[] = [''];
      for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
        const directories = await listOne(root, path, found);
        if (recursive) pending.push(...directories);
      }
      return found;
    });
  }

  /** Throws FileNotFound, and Forbidden for what is neither a file nor a directory. */
  stat(place: Place, path: string): Promise<NodeFileEntry> {
    return this.#within(place, async (root) => {
      const status = await root.status(path);
      if (status.isFile() || status.isDirectory()) return entryOf(path, status);
      throw new ShoalError('Forbidden', `${path} is neither a file nor a directory.`, { path });
    });
  }

  /** Throws InvalidRange where the range begins behind the file's end. */
  open(place: Place, path: string, range: ByteRange | undefined): Promise<OpenedNodeFile> {
    return this.#opened(place, path, range, async (file, entry, { offsetBytes, lengthBytes }) => {
      if (lengthBytes === 0) {
        await file.close();
        return { entry, lengthBytes, body: Readable.from([]) };
      }
      const end = offsetBytes + lengthBytes - 1;
      const body = file.createReadStream({ start: offsetBytes, end, highWaterMark: 256 * 1024 });
      return { entry, lengthBytes, body };
    });
  }

  /** A short range at once; undefined bytes where it is longer than FILE_INLINE_BYTES_MAX. */
  read(
    place: Place,
    path: string,
    range: ByteRange | undefined,
  ): Promise<{ entry: NodeFileEntry; bytes: Uint8Array | undefined }> {
    return this.#opened(place, path, range, async (file, entry, { offsetBytes, lengthBytes }) => {
      try {
        if (lengthBytes > FILE_INLINE_BYTES_MAX) return { entry, bytes: undefined };
        const bytes = Buffer.allocUnsafe(lengthBytes);
        // The file may have been cut meanwhile.
        return { entry, bytes: bytes.subarray(0, await readInto(file, bytes, offsetBytes)) };
      } finally {
        await file.close();
      }
    });
  }

  /** A directory that is not empty goes only with `recursive`. */
  remove(place: Place, path: string, recursive: boolean): Promise<void> {
    return this.#within(place, async (root) => {
      const status = await root.status(path);
      if (status.isDirectory() && !recursive && !(await isEmpty(root, path))) {
        throw new ShoalError(
          'OperationInvalidForCurrentState',
          `The directory ${path} is not empty: delete it with recursive=true.`,
          { path },
        );
      }
      await root.remove(path);
    });
  }

  async #opened<T>(
    place: Place,
    path: string,
    range: ByteRange | undefined,
    use: (file: FileHandle, entry: NodeFileEntry, part: ReturnType<typeof lengthOfRange>) => Promise<T>,
  ): Promise<T> {
    return this.#within(place, async (root) => {
      const file = await root.readFile(path);
      try {
        const entry = entryOf(path, await file.stat());
        return await use(file, entry, lengthOfRange(range, entry.sizeBytes));
      } catch (error) {
        await file.close().catch(() => undefined);
        throw error;
      }
    });
  }

  async #within<T>({ node, directory }: Place, use: (root: SafeDirectory) => Promise<T>): Promise<T> {
    if (splitSafePath(node).length !== 1) {
      throw new ShoalError('InvalidPropertyValue', `${node} is no name of a node.`);
    }
    const nodeRoot = await SafeDirectory.open(join(this.#directory, node));
    try {
      const root = directory === '' ? nodeRoot : await nodeRoot.directory(directory);
      try {
        return await use(root);
      } finally {
        if (root !== nodeRoot) await root.close();
      }
    } finally {
      await nodeRoot.close();
    }
  }
}

/** Adds what one directory holds; returns the directories among it. One that went meanwhile holds nothing. */
async function listOne(root: SafeDirectory, path: string, found: NodeFileEntry[]): Promise<string[]> {
  const directory = path === '' ? root : await root.directory(path).catch(unlessGone);
  if (directory === undefined) return [];
  const directories: string[] = [];
  try {
    for await (const entry of directory.entries()) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`;
      if (!isListed(entry, child)) continue;
      const status = await directory.status(entry.name).catch(unlessGone);
      if (status === undefined) continue;
      if (found.length >= FILE_ENTRIES_MAX) {
        throw new ShoalError(
          'TooLarge',
          `There are more than ${FILE_ENTRIES_MAX} files: list a part of them.`,
        );
      }
      found.push(entryOf(child, status));
      if (status.isDirectory()) directories.push(child);
    }
  } finally {
    if (directory !== root) await directory.close();
  }
  return directories;
}

function isListed({ kind, name }: DirectoryEntry, path: string): boolean {
  if (kind !== 'file' && kind !== 'directory') return false;
  // Such names cannot be asked for either.
  return !/[\x00-\x1f\x7f\\\ufffd]/.test(name) && path.split('/').length <= PATH_DEPTH_MAX;
}

function unlessGone(error: unknown): undefined {
  if (error instanceof ShoalError && (error.code === 'FileNotFound' || error.code === 'Forbidden'))
    return undefined;
  throw error;
}

async function isEmpty(root: SafeDirectory, path: string): Promise<boolean> {
  const directory = await root.directory(path);
  try {
    for await (const _ of directory.entries()) return false;
    return true;
  } finally {
    await directory.close();
  }
}

function entryOf(path: string, status: Stats): NodeFileEntry {
  const directory = status.isDirectory();
  return {
    path,
    directory,
    sizeBytes: directory ? 0 : status.size,
    modifiedAtMs: Math.floor(status.mtimeMs),
    mode: status.mode,
  };
}
