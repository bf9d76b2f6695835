import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../src/lib/clock.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { RUNNER_LEFTOVER_WAIT_MS, RUNNER_LOG_BYTES_MAX } from '../../src/lib/limits.ts';
import { clearCgroups } from './cgroups.ts';
import type { Isolation } from './isolation.ts';
import { findMarked, isMarked } from './process-table.ts';
import { signalProcess } from './processes.ts';
import { RUNNER_MARK, type SocketPlace } from './protocol.ts';

export interface RunnerPlace {
  /** Holds journal, log, pid file, and the socket where its path is short enough. */
  readonly directory: string;
  readonly identity: string;
  readonly socket: SocketPlace;
  /** Path of the bundled main.ts. */
  readonly script: string;
}

/**
 * V8's helper threads and malloc's arenas are not wanted in a process that only waits and forks: without them
 * it is smaller, and each fork 15 % cheaper (measured).
 */
const NODE_FLAGS = ['--v8-pool-size=0', '--max-semi-space-size=1'];
const LEAN_ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  UV_THREADPOOL_SIZE: '1',
  MSGPACKR_NATIVE_ACCELERATION_DISABLED: 'true',
};

/**
 * Starts a runner that outlives this process: in its own session, with its own log, with none of our
 * descriptors and none of our environment, for tasks could read that in /proc. It listens some 50 ms later.
 */
export function startRunner(place: RunnerPlace, isolation: Isolation): ChildProcess {
  makePrivateDirectory(place.directory);
  makePrivateDirectory(place.socket.directory);
  const log = openLog(place.directory);
  const words = [
    ...isolation.prefix,
    process.execPath,
    ...NODE_FLAGS,
    place.script,
    place.directory,
    place.socket.path,
    place.identity,
    isolation.hasNamespace ? 'namespace' : 'plain',
  ];
  const [program = process.execPath, ...rest] = words;
  try {
    const child = spawn(program, rest, {
      cwd: '/',
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', [RUNNER_MARK]: place.identity, ...LEAN_ENVIRONMENT },
      stdio: ['ignore', log, log],
      detached: true,
    });
    child.unref();
    if (child.pid !== undefined) writeFileSync(pidFile(place), `${child.pid}\n`, { mode: 0o600 });
    return child;
  } finally {
    closeSync(log);
  }
}

/**
 * The pid by which the live runner of this place can be killed with all its tasks; undefined if there is
 * none.
 */
export function findRunnerPid(place: RunnerPlace): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(pidFile(place), 'latin1'), 10);
    if (pid > 1 && isMarked(pid, place.identity)) return pid;
  } catch {
    // No file: look for the process.
  }
  return findMarked(place.identity)[0];
}

/**
 * Kills whatever carries this runner's mark, the runner too if it lives, waits until it is gone, and clears
 * its cgroups away. One that SIGKILL does not end in time hangs in the kernel and will not run its own code
 * again: it is not waited for.
 *
 * @returns the number of processes that are still there.
 */
export async function killLeftovers(identity: string, clock: Clock): Promise<number> {
  const untilMs = clock.monotonicMs() + RUNNER_LEFTOVER_WAIT_MS;
  for (;;) {
    const marked = findMarked(identity);
    for (const pid of marked) signalProcess(pid, 'SIGKILL');
    const isEmpty = clearCgroups(identity);
    if ((marked.length === 0 && isEmpty) || clock.monotonicMs() > untilMs) return marked.length;
    await new Promise<void>((resolve) => clock.after(5, resolve));
  }
}

/** @throws ShoalError Forbidden if the name is taken by somebody else's directory, or by no directory. */
function makePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const status = lstatSync(path);
  // The temporary directory is everybody's: another user may have made the name first, to read our socket
  // there.
  if (!status.isDirectory() || status.uid !== process.geteuid?.() || (status.mode & 0o077) !== 0) {
    throw new ShoalError(
      'Forbidden',
      `The runner's directory ${path} is not a directory of this user alone (mode 0700).`,
    );
  }
}

/** The log of the runner that lives, and of those before it. */
export function runnerLogPaths(directory: string): readonly [current: string, former: string] {
  return [join(directory, 'runner.log'), join(directory, 'runner.log.old')];
}

function openLog(directory: string): number {
  const [path, former] = runnerLogPaths(directory);
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > RUNNER_LOG_BYTES_MAX) renameSync(path, former);
  return openSync(path, 'a', 0o600);
}

function pidFile(place: RunnerPlace): string {
  return join(place.directory, 'runner.pid');
}
