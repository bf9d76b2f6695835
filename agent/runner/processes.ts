import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface ProcessSpec {
  readonly program: string;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly stdoutFd: number;
  readonly stderrFd: number;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/**
 * Starts a process as leader of its own session and group. A failure is thrown, or comes as the child's
 * `error` event with no pid: which of the two is libuv's choice by error code.
 */
export function startProcess(spec: ProcessSpec): ChildProcess {
  return spawn(spec.program, spec.argv.slice(1), {
    argv0: spec.argv[0] ?? spec.program,
    cwd: spec.workingDirectory,
    env: spec.environment,
    stdio: ['ignore', spec.stdoutFd, spec.stderrFd],
    // Its own session: it has no terminal, and a signal to its group reaches nothing of ours.
    detached: true,
    ...(spec.uid === undefined ? {} : { uid: spec.uid, gid: spec.gid ?? spec.uid }),
  });
}

/** As shells say it: 128 + signal for a death by signal. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** False if there was nothing to signal (any more). */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Signals the process group that `leader` was started to lead; also after its leader's end. */
export function signalGroup(leader: number, signal: NodeJS.Signals): boolean {
  return signalProcess(-leader, signal);
}
