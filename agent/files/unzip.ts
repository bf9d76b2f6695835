/**
 * The files of a zip archive, written below a directory. The archive may have been made by anybody: all of its list is
 * checked before anything is written, no name leads out of the directory, what is written is never more than what was
 * declared, and nothing is written through a link.
 */
import { constants } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { ShoalError } from '../../src/lib/errors.ts';
import { PACKAGE_LINK_BYTES_MAX } from '../../src/lib/limits.ts';
import { fillFile } from './fill-file.ts';
import { type SafeDirectory, splitSafePath } from './safe-path.ts';

export interface UnzipLimits {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

interface Member {
  readonly kind: 'file' | 'directory' | 'link';
  readonly path: string;
  readonly mode: number;
  readonly entry: Entry;
}

/** Systems whose zip programs put a Unix mode into an entry (APPNOTE.TXT 4.4.2): Unix and macOS. */
const UNIX_SYSTEMS = [3, 19];
/** Rejects with InvalidPropertyValue where the archive is broken or has what it must not have, and with TooLarge. */
export async function unzip(
  archive: string,
  target: SafeDirectory,
  signal: AbortSignal,
  limits: UnzipLimits,
): Promise<void> {
  const zip = await reading(() => openPromise(archive, { strictFileNames: true, autoClose: false }));
  try {
    const members = await reading(() => membersOf(zip, limits, signal));
    // Links come last, when there is nothing left to write.
    const order = { directory: 0, file: 1, link: 2 };
    for (const member of members.sort((a, b) => order[a.kind] - order[b.kind])) {
      signal.throwIfAborted();
      await write(zip, member, target, signal);
    }
  } finally {
    zip.close();
  }
}

async function membersOf(
  zip: ZipFile,
  { entriesMax, bytesMax }: UnzipLimits,
  signal: AbortSignal,
): Promise<Member[]> {
  const members: Member[] = [];
  let sizeBytes = 0;
  for await (const entry of zip.eachEntry()) {
    signal.throwIfAborted();
    const member = memberOf(entry);
    if (member === undefined) continue;
    members.push(member);
    sizeBytes += entry.uncompressedSize;
    if (members.length > entriesMax)
      throw new ShoalError('TooLarge', `The zip file has more than ${entriesMax} entries.`);
    if (sizeBytes > bytesMax)
      throw new ShoalError('TooLarge', `The files of the zip file have more than ${bytesMax} bytes.`);
  }
  return members;
}

/** Undefined for the directory itself. */
function memberOf(entry: Entry): Member | undefined {
  const system = entry.versionMadeBy >>> 8;
  const unix = UNIX_SYSTEMS.includes(system) ? entry.externalFileAttributes >>> 16 : 0;
  const path = entry.fileName.replace(/^(?:\.\/)+/, '').replace(/\/$/, '');
  if (path === '' || path === '.') return undefined;
  splitSafePath(path);
  const kind = entry.fileName.endsWith('/') ? 'directory' : kindOf(unix);
  if (kind === undefined) throw bad(`${path} is neither a file, a directory nor a link`);
  if (!entry.canDecodeFileData()) throw bad(`${path} is encrypted, or compressed in a way that is not known`);
  if (kind === 'link' && entry.uncompressedSize > PACKAGE_LINK_BYTES_MAX)
    throw bad(`the link ${path} is longer than ${PACKAGE_LINK_BYTES_MAX} bytes`);
  // Where the archive does not say what is a program, everything may be one.
  const executable = unix === 0 || (unix & 0o111) !== 0;
  return { kind, path, mode: executable ? 0o755 : 0o644, entry };
}

/** Undefined for devices, FIFOs and sockets. */
function kindOf(unix: number): Member['kind'] | undefined {
  switch (unix & constants.S_IFMT) {
    // Modes without a type, or no mode at all.
    case 0:
    case constants.S_IFREG:
      return 'file';
    case constants.S_IFDIR:
      return 'directory';
    case constants.S_IFLNK:
      return 'link';
    default:
      return undefined;
  }
}

async function write(
  zip: ZipFile,
  { kind, path, mode, entry }: Member,
  target: SafeDirectory,
  signal: AbortSignal,
): Promise<void> {
  switch (kind) {
    case 'directory':
      await (await target.directory(path, true)).close();
      break;
    case 'file': {
      const file = await target.createFile(path, mode);
      try {
        // A broken entry fails as soon as it is open: somebody must listen at once, or the process ends.
        await reading(async () => fillFile(file, await zip.openReadStreamPromise(entry), signal));
        // Whatever the umask is, tasks have a user of their own.
        await file.chmod(mode);
      } finally {
        await file.close();
      }
      break;
    }
    case 'link': {
      const leadsTo = await reading(async () => buffer(await zip.openReadStreamPromise(entry)));
      await target.createLink(path, innerTarget(path, leadsTo.toString('utf8')));
      break;
    }
  }
}

/**
 * Where a link of the archive leads, if that is surely inside: up from its own directory at most to the top, and only
 * then down. A `..` behind a name could go up from wherever another link leads.
 */
function innerTarget(path: string, leadsTo: string): string {
  const depth = path.split('/').length - 1;
  const parts = leadsTo.split('/');
  const down = parts.findIndex((part) => part !== '..');
  const up = down < 0 ? parts.length : down;
  const rest = parts.slice(up);
  const isSafe =
    up <= depth && rest.every((part) => part !== '' && part !== '..' && !/[\x00-\x1f\x7f]/.test(part));
  if (!isSafe) throw bad(`the link ${path} leads, or may lead, out of the package`);
  return leadsTo;
}

function bad(why: string): ShoalError {
  return new ShoalError('InvalidPropertyValue', `The zip file cannot be unpacked: ${why}.`);
}

/** What the reader finds wrong with an archive is the archive's fault, and not ours. */
async function reading<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ShoalError || !(error instanceof Error) || error.name === 'AbortError') throw error;
    // Of the file system: its errors have codes, and so have zlib's (Z_DATA_ERROR), which are the archive's.
    if ('code' in error && !String(error.code).startsWith('Z_')) throw error;
    throw new ShoalError(
      'InvalidPropertyValue',
      `The zip file cannot be unpacked: ${error.message}.`,
      {},
      { cause: error },
    );
  }
}
