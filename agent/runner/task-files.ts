import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { INLINE_OUTPUT_BYTES_MAX } from '../../src/lib/limits.ts';
import { isCode } from '../../src/lib/system-error.ts';

/** Who owns a task's files where the runner is root. */
export interface Owner {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** True for a path that is absolute, has no `.` or `..` in it, and lies strictly below `root`. */
export function isBelow(root: string, path: string): boolean {
  if (path.includes('\0') || resolve(path) !== path) return false;
  return path.startsWith(root.endsWith(sep) ? root : root + sep);
}

export interface TaskFiles {
  /** The working directory was made just now: there is nothing in it. */
  readonly isNew: boolean;
  readonly stdoutFd: number;
  readonly stderrFd: number;
}

/**
 * Makes what an execution needs on disk before it starts.
 *
 * @throws the file system's error; ENOTDIR if a directory's name is taken by something else, a link included.
 */
export function prepareTaskFiles(root: string, task: string, working: string, owner: Owner): TaskFiles {
  const isNew = makeDirectories(root, task, working, owner);
  const stdoutFd = createOutput(task, 'stdout.txt', owner);
  try {
    return { isNew, stdoutFd, stderrFd: createOutput(task, 'stderr.txt', owner) };
  } catch (error) {
    closeQuietly(stdoutFd);
    throw error;
  }
}

/**
 * Makes the directories of one execution where they are missing. A working directory is only made right
 * inside the task's directory: deeper down the path goes through directories that the task may have turned
 * into links.
 */
function makeDirectories(root: string, task: string, working: string, owner: Owner): boolean {
  const isNew = makeTaskDirectory(root, task, owner);
  if (working === task) return isNew;
  if (dirname(working) === task) return makeTaskDirectory(root, working, owner);
  if (!lstatSync(working).isDirectory()) throw notADirectory(working);
  return false;
}

/**
 * Makes a task's directory, and its missing parents below `root`. The parents stay the runner's own, so that
 * no task can put a link where another's directory will be; others may pass through them but not list them.
 * False if it was there before.
 */
function makeTaskDirectory(root: string, path: string, owner: Owner): boolean {
  try {
    mkdirSync(path, 0o770);
  } catch (error) {
    if (isCode(error, 'ENOENT')) {
      makeParents(root, dirname(path));
      return makeTaskDirectory(root, path, owner);
    }
    if (!isCode(error, 'EEXIST')) throw error;
    if (!lstatSync(path).isDirectory()) throw notADirectory(path);
    return false;
  }
  if (owner.uid !== undefined) giveDirectory(path, owner);
  return true;
}

/**
 * By descriptor: where the parent is the task's, its older processes may have swapped the name for a link by
 * now.
 */
function giveDirectory(path: string, owner: Owner): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    giveTo(fd, owner);
  } finally {
    closeSync(fd);
  }
}

function giveTo(fd: number, owner: Owner): void {
  if (owner.uid !== undefined) fchownSync(fd, owner.uid, owner.gid ?? owner.uid);
}

function makeParents(root: string, path: string): void {
  if (path !== root && !isBelow(root, path)) throw notADirectory(path);
  try {
    mkdirSync(path, 0o711);
  } catch (error) {
    if (isCode(error, 'ENOENT') && path !== root) {
      makeParents(root, dirname(path));
      makeParents(root, path);
      return;
    }
    if (!isCode(error, 'EEXIST')) throw error;
    if (!lstatSync(path).isDirectory()) throw notADirectory(path);
  }
}

function notADirectory(path: string): Error {
  return Object.assign(new Error(`ENOTDIR: not a directory, '${path}'`), { code: 'ENOTDIR' });
}

const OUTPUT_FLAGS =
  constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_APPEND;

/**
 * Creates an output file and returns its descriptor. Whatever had its name, a link or a FIFO for example, is
 * removed and never opened. Appending, so that a task which truncates its own log leaves no hole.
 */
function createOutput(directory: string, name: string, owner: Owner): number {
  const fd = openFresh(join(directory, name));
  giveTo(fd, owner);
  return fd;
}

function openFresh(path: string): number {
  try {
    return openSync(path, OUTPUT_FLAGS, 0o640);
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    unlinkSync(path);
    return openSync(path, OUTPUT_FLAGS, 0o640);
  }
}

export interface CollectedOutput {
  readonly bytes: number;
  /** All of it, where it is short. */
  readonly inline: Uint8Array | undefined;
}

const NOTHING: CollectedOutput = { bytes: 0, inline: new Uint8Array(0) };
const inlineBuffer = Buffer.allocUnsafe(INLINE_OUTPUT_BYTES_MAX + 1);

/** What a task wrote to an open output file. One read tells all of a file that is empty or short. */
export function collectOutput(fd: number): CollectedOutput {
  try {
    const length = readSync(fd, inlineBuffer, 0, inlineBuffer.length, 0);
    if (length === 0) return NOTHING;
    if (length <= INLINE_OUTPUT_BYTES_MAX) {
      return { bytes: length, inline: new Uint8Array(inlineBuffer.subarray(0, length)) };
    }
    return { bytes: fstatSync(fd).size, inline: undefined };
  } catch {
    return { bytes: 0, inline: undefined };
  }
}

export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // A deferred write error (NFS, quota) is the task's; nothing here can act on it.
  }
}
