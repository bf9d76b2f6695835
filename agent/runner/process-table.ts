import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { PROCESS_ENVIRONMENT_BYTES_MAX } from '../../src/lib/limits.ts';
import { EXECUTION_MARK, RUNNER_MARK } from './protocol.ts';

/** One line of /proc, as of the last scan. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** One letter, as `ps` shows it. */
  readonly state: string;
  /** Clock ticks since boot. With the pid it names a process for ever. */
  readonly startTicks: number;
  readonly residentPages: number;
  /** The execution it belongs to; undefined for a process of somebody else, or that hides its origin. */
  owner: string | undefined;
}

/**
 * Whose is each process? Asked of /proc, by descent while its parents live, and by the mark in its
 * environment once a double fork and `setsid` cut it off from them. An answer is remembered, so a process
 * that is seen once cannot leave later.
 */
export class ProcessTable {
  readonly #mark: string;
  #known = new Map<number, ProcessEntry>();

  /** `runner` is the identity that the environment of our processes carries. */
  constructor(runner: string) {
    this.#mark = `${RUNNER_MARK}=${runner}`;
  }

  /**
   * Reads /proc anew. `roots` maps the pid of each running execution's first process to the execution's name.
   */
  scan(roots: ReadonlyMap<number, string>): IterableIterator<ProcessEntry> {
    const fresh = new Map<number, ProcessEntry>();
    for (const name of readdirSync('/proc')) {
      const pid = pidOf(name);
      const entry = pid === undefined ? undefined : readEntry(pid);
      if (entry !== undefined) fresh.set(entry.pid, entry);
    }
    const unresolved = new Set<number>();
    for (const entry of fresh.values()) {
      const before = this.#known.get(entry.pid);
      if (roots.has(entry.pid)) entry.owner = roots.get(entry.pid);
      else if (before !== undefined && before.startTicks === entry.startTicks) entry.owner = before.owner;
      else unresolved.add(entry.pid);
    }
    for (const pid of [...unresolved]) this.#resolve(pid, fresh, unresolved, roots);
    this.#known = fresh;
    return fresh.values();
  }

  #resolve(
    pid: number,
    entries: ReadonlyMap<number, ProcessEntry>,
    unresolved: Set<number>,
    roots: ReadonlyMap<number, string>,
  ): string | undefined {
    const entry = entries.get(pid);
    if (entry === undefined) return undefined;
    // Deleted before the climb: a loop of parents (a pid was used again between two reads) must end.
    if (!unresolved.delete(pid)) return entry.owner;
    entry.owner =
      roots.get(entry.group) ??
      roots.get(entry.session) ??
      this.#resolve(entry.parent, entries, unresolved, roots) ??
      readExecutionMark(pid, this.#mark);
    return entry.owner;
  }
}

/**
 * Pids of all processes whose environment has the mark of this runner, our own excepted: the runner, if any,
 * and its tasks.
 */
export function findMarked(runner: string): number[] {
  const marked: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = pidOf(name);
    if (pid === undefined || pid === process.pid) continue;
    if (hasVariable(readEnvironment(pid), `${RUNNER_MARK}=${runner}`)) marked.push(pid);
  }
  return marked;
}

/** True if `pid` lives and carries the mark of this runner. */
export function isMarked(pid: number, runner: string): boolean {
  return hasVariable(readEnvironment(pid), `${RUNNER_MARK}=${runner}`);
}

/** Bytes of one page, as /proc counts memory. */
export function readPageBytes(): number {
  const match = /^KernelPageSize:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps', 'latin1'));
  return Number(match?.[1] ?? 4) * 1024;
}

function pidOf(name: string): number | undefined {
  const first = name.charCodeAt(0);
  return first >= 0x31 && first <= 0x39 ? Number(name) : undefined;
}

/** Undefined if the process is gone. */
function readEntry(pid: number): ProcessEntry | undefined {
  const text = readProcFile(`/proc/${pid}/stat`, STAT_BYTES_MAX);
  if (text === undefined) return undefined;
  // The program's name stands in parentheses and may hold anything, parentheses and spaces too: fields count
  // from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    state: fields[0] ?? '?',
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTicks: Number(fields[19]),
    residentPages: Number(fields[21]),
    owner: undefined,
  };
}

const STAT_BYTES_MAX = 4096;
const buffer = Buffer.allocUnsafe(PROCESS_ENVIRONMENT_BYTES_MAX);

function readEnvironment(pid: number): string {
  return readProcFile(`/proc/${pid}/environ`, buffer.length) ?? '';
}

/** The file's text, or undefined where the process is gone or not ours to look into. */
function readProcFile(path: string, bytesMax: number): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    let length = 0;
    for (;;) {
      const read = readSync(fd, buffer, length, bytesMax - length, null);
      length += read;
      if (read === 0 || length === bytesMax) return buffer.toString('latin1', 0, length);
    }
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function readExecutionMark(pid: number, runnerMark: string): string | undefined {
  const environment = readEnvironment(pid);
  if (!hasVariable(environment, runnerMark)) return undefined;
  const start = `\0${environment}`.indexOf(`\0${EXECUTION_MARK}=`);
  if (start < 0) return undefined;
  const end = environment.indexOf('\0', start);
  return environment.slice(start + EXECUTION_MARK.length + 1, end < 0 ? undefined : end);
}

function hasVariable(environment: string, assignment: string): boolean {
  return `\0${environment}\0`.includes(`\0${assignment}\0`);
}
