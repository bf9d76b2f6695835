/**
 * Files below a directory whose contents belong to somebody hostile: a task can swap any directory for a link between
 * our check and our open. So nothing is checked by path. Each component is opened on its own, without following links,
 * relative to the directory that is open already. Node has no `openat`; `/proc/self/fd/<fd>/<name>` is the same on
 * Linux: the kernel goes from the descriptor straight to the open directory, whatever its name leads to by now, and
 * `O_NOFOLLOW` holds for the one component behind it.
 *
 * Hard links are let pass: the kernel's protected_hardlinks lets a task make them only of files that it could write.
 */

import { randomUUID } from 'node:crypto';
import { type BigIntStats, constants, type Dir, type Stats } from 'node:fs';
import {
  chmod,
  type FileHandle,
  lstat,
  mkdir,
  open,
  opendir,
  rename,
  rmdir,
  symlink,
  unlink,
} from 'node:fs/promises';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { PATH_BYTES_MAX, PATH_COMPONENT_BYTES_MAX, PATH_DEPTH_MAX } from '../../src/lib/limits.ts';
import { isCode } from '../../src/lib/system-error.ts';

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** O_NONBLOCK: the open of a FIFO waits for its other end, that of some devices for ever. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Linux's number for it; Node does not name it. */
const O_PATH = 0o10000000;
const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export type EntryKind = 'file' | 'directory' | 'link' | 'other';

export interface Entry {
  readonly name: string;
  readonly kind: EntryKind;
}

/**
 * The components of a relative path with `/` between them. Throws `InvalidPropertyValue` for everything that is not
 * one: empty, absolute, `.` and `..`, a NUL, newline or other control character, a backslash, too long, too deep.
 */
export function splitSafePath(path: string): readonly string[] {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX)
    throw badPath(path, `it is longer than ${PATH_BYTES_MAX} bytes`);
  if (!isWellFormed(path)) throw badPath(path, 'it is not valid Unicode');
  const components = path.split('/');
  if (components.length > PATH_DEPTH_MAX)
    throw badPath(path, `it is deeper than ${PATH_DEPTH_MAX} directories`);
  for (const component of components) checkComponent(path, component);
  return components;
}

function checkComponent(path: string, component: string): void {
  if (component === '') throw badPath(path, 'it is absolute or has an empty component');
  if (component === '.' || component === '..') throw badPath(path, `it has the component "${component}"`);
  if (/[\x00-\x1f\x7f]/.test(component)) throw badPath(path, 'it has a control character');
  if (component.includes('\\')) throw badPath(path, 'it has a backslash');
  if (Buffer.byteLength(component) > PATH_COMPONENT_BYTES_MAX) {
    throw badPath(path, `a component is longer than ${PATH_COMPONENT_BYTES_MAX} bytes`);
  }
}

/** A lone surrogate would reach the disk as U+FFFD: another name than the one that was checked. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** An open directory that keeps its identity under renames. `close` it. */
export class SafeDirectory {
  readonly #handle: FileHandle;
  /** For messages only. */
  readonly #name: string;

  private constructor(handle: FileHandle, name: string) {
    this.#handle = handle;
    this.#name = name;
  }

  /** `path` is ours: links on the way to it are followed, itself it must be a directory. */
  static async open(path: string): Promise<SafeDirectory> {
    return new SafeDirectory(await open(path, DIRECTORY_FLAGS).catch(refusal(path)), path);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /**
   * A regular file, for reading. Throws FileNotFound where it or a directory on the way is missing, and Forbidden where
   * a link, FIFO, socket, device or directory stands in its place.
   */
  readFile(path: string): Promise<FileHandle> {
    return this.#below(path, async (directory, name) => {
      const handle = await open(directory.#at(name), READ_FLAGS).catch(refusal(path));
      return requireRegular(handle, path);
    });
  }

  /**
   * A new file, for writing; missing directories are made (0755, as a task's own would be). What has the name, a link
   * included, is unlinked and never written through. `mode` is cut to its permission bits: no setuid, setgid, sticky.
   */
  createFile(path: string, mode = 0o644): Promise<FileHandle> {
    return this.#below(
      path,
      async (directory, name) => {
        await unlink(directory.#at(name)).catch(unless('ENOENT', path));
        return open(directory.#at(name), CREATE_FLAGS, mode & 0o777).catch(refusal(path));
      },
      true,
    );
  }

  /** A new link, whatever `leadsTo` is; what has its name is unlinked, and missing directories are made. */
  createLink(path: string, leadsTo: string): Promise<void> {
    return this.#below(
      path,
      async (directory, name) => {
        await unlink(directory.#at(name)).catch(unless('ENOENT', path));
        await symlink(leadsTo, directory.#at(name)).catch(refusal(path));
      },
      true,
    );
  }

  /** A directory below this one; with `make` it and those on the way are made where they are missing. */
  directory(path: string, make = false): Promise<SafeDirectory> {
    return this.#below(path, (directory, name) => directory.#child(name, make), make);
  }

  /** What has this name, links not followed. */
  status(path: string): Promise<Stats> {
    return this.#below(path, (directory, name) => lstat(directory.#at(name)).catch(refusal(path)));
  }

  /**
   * The entries of this directory, as a stream: a task may have made ten million. Names that are not UTF-8 come with
   * U+FFFD in them and cannot be opened.
   */
  async *entries(): AsyncGenerator<Entry> {
    const listing: Dir = await opendir(this.#at('.')).catch(refusal(this.#name));
    // The iterator closes the listing, also when its reader stops early.
    for await (const entry of listing) yield { name: entry.name, kind: kindOf(entry) };
  }

  /** Gives an entry another name within this directory's tree; what has the new name is replaced. */
  rename(from: string, to: string): Promise<void> {
    return this.#below(from, (fromDirectory, fromName) =>
      this.#below(to, (toDirectory, toName) =>
        rename(fromDirectory.#at(fromName), toDirectory.#at(toName)).catch(refusal(from)),
      ),
    );
  }

  /**
   * Removes a file, link or whole tree; links inside are removed and not followed. Missing is fine. Does not
   * end while somebody goes on filling it: kill who does that first.
   */
  remove(path: string): Promise<void> {
    return this.#below(path, (directory, name) => directory.#removeEntry(name, path)).catch(
      (error: unknown) => {
        if (!(error instanceof ShoalError && error.code === 'FileNotFound')) throw error;
      },
    );
  }

  // --- One component --------------------------------------------------------------------------------------------

  #at(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }

  async #child(name: string, make: boolean): Promise<SafeDirectory> {
    const path = `${this.#name}/${name}`;
    const isNew = make && (await this.#make(name, path));
    const handle = await open(this.#at(name), DIRECTORY_FLAGS).catch(refusal(path));
    // Whatever the agent's umask is: tasks have users of their own.
    if (isNew) await handle.chmod(0o755);
    return new SafeDirectory(handle, path);
  }

  /** False where something has the name already. */
  async #make(name: string, path: string): Promise<boolean> {
    try {
      await mkdir(this.#at(name), 0o755);
      return true;
    } catch (error) {
      unless('EEXIST', path)(error);
      return false;
    }
  }

  /** Runs `use` with the directory that holds the last component of `path`, which is open only meanwhile. */
  async #below<T>(
    path: string,
    use: (directory: SafeDirectory, name: string) => Promise<T>,
    make = false,
  ): Promise<T> {
    const components = splitSafePath(path);
    const name = components[components.length - 1] ?? '';
    let directory: SafeDirectory = this;
    try {
      for (const component of components.slice(0, -1)) {
        const child = await directory.#child(component, make);
        if (directory !== this) await directory.close();
        directory = child;
      }
      return await use(directory, name);
    } finally {
      if (directory !== this) await directory.close();
    }
  }

  async #removeEntry(name: string, path: string): Promise<void> {
    try {
      await unlink(this.#at(name));
      return;
    } catch (error) {
      if (isCode(error, 'ENOENT')) return;
      // EISDIR from Linux, EPERM by POSIX.
      if (!isCode(error, 'EISDIR', 'EPERM')) throw refused(error, path);
    }
    await this.#removeTree(name, path);
  }

  /**
   * Flat, with three directories open at most: a task can nest deeper than our stack, our descriptors and PATH_MAX reach.
   * What lies two levels down is moved up one and met again; all of it stays inside the tree, so an interrupted
   * removal is simply done again.
   */
  async #removeTree(name: string, path: string): Promise<void> {
    const top = await this.#openAnyway(name, path);
    if (top === undefined) return;
    try {
      for (let found = true; found; ) {
        found = false;
        for await (const entry of top.entries()) {
          if (await top.#unlinkFile(entry.name, path)) continue;
          found = true;
          await top.#flatten(entry.name, path);
        }
      }
    } finally {
      await top.close();
    }
    await rmdir(this.#at(name)).catch(unless('ENOENT', path));
  }

  /** Removes the directory `name`; directories inside it move up here. */
  async #flatten(name: string, path: string): Promise<void> {
    const child = await this.#openAnyway(name, path);
    if (child === undefined) return;
    try {
      for await (const entry of child.entries()) {
        if (await child.#unlinkFile(entry.name, path)) continue;
        // A directory without write permission cannot be moved: its `..` changes.
        await (await child.#openAnyway(entry.name, path))?.close();
        await rename(child.#at(entry.name), this.#at(randomUUID())).catch(unless('ENOENT', path));
      }
    } finally {
      await child.close();
    }
    // Not empty: its listing raced with our own removals or with somebody who fills it. The caller comes by again.
    await rmdir(this.#at(name)).catch(unless('ENOTEMPTY', path));
  }

  /**
   * A directory for emptying, also one that its task left without permissions. `chmod` follows links, so it goes through
   * a descriptor (O_PATH needs no permission on the directory itself). Undefined where there is no directory any more.
   */
  async #openAnyway(name: string, path: string): Promise<SafeDirectory | undefined> {
    try {
      const bare = await open(this.#at(name), O_PATH | DIRECTORY_FLAGS);
      try {
        await chmod(`/proc/self/fd/${bare.fd}`, 0o700);
        return new SafeDirectory(await open(`/proc/self/fd/${bare.fd}/.`, DIRECTORY_FLAGS), path);
      } finally {
        await bare.close();
      }
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return undefined;
      throw refused(error, path);
    }
  }

  /** False where it is a directory. */
  async #unlinkFile(name: string, path: string): Promise<boolean> {
    try {
      await unlink(this.#at(name));
      return true;
    } catch (error) {
      if (isCode(error, 'ENOENT')) return true;
      if (isCode(error, 'EISDIR', 'EPERM')) return false;
      throw refused(error, path);
    }
  }
}

async function requireRegular(handle: FileHandle, path: string): Promise<FileHandle> {
  const status = await handle.stat();
  if (status.isFile()) return handle;
  await handle.close();
  throw new ShoalError('Forbidden', `${path} is no regular file.`, { path });
}

function kindOf(entry: Pick<Stats | BigIntStats, 'isFile' | 'isDirectory' | 'isSymbolicLink'>): EntryKind {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  return entry.isSymbolicLink() ? 'link' : 'other';
}

// --- Errors -----------------------------------------------------------------------------------------------------

function badPath(path: string, why: string): ShoalError {
  const shown = JSON.stringify(path.slice(0, 100));
  return new ShoalError('InvalidPropertyValue', `The path ${shown} is not valid: ${why}.`, { path: shown });
}

const refusal =
  (path: string) =>
  (error: unknown): never => {
    throw refused(error, path);
  };

/** Passes over one code. */
const unless =
  (code: string, path: string) =>
  (error: unknown): void => {
    if (!isCode(error, code)) throw refused(error, path);
  };

/** ELOOP: a link in place of a file. ENOTDIR: a link or file in place of a directory. ENXIO: a socket or a FIFO. */
function refused(error: unknown, path: string): ShoalError {
  const options = { cause: error };
  if (isCode(error, 'ENOENT'))
    return new ShoalError('FileNotFound', `${path} does not exist.`, { path }, options);
  if (isCode(error, 'ELOOP', 'ENOTDIR', 'ENXIO', 'EISDIR', 'EACCES', 'EPERM')) {
    return new ShoalError(
      'Forbidden',
      `${path} leads through a link or is no regular file.`,
      { path },
      options,
    );
  }
  if (isCode(error, 'ENOSPC', 'EDQUOT')) return new ShoalError('DiskFull', undefined, { path }, options);
  return asShoalError(error);
}
