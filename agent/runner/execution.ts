import { RUNNER_MESSAGE_LENGTH_MAX } from '../../src/lib/limits.ts';
import type { CgroupBox } from './cgroups.ts';
import type { Container } from './containers.ts';
import type { Exit, ExitReason, Launch } from './interface.ts';
import { closeQuietly, collectOutput } from './task-files.ts';

/** Why an execution is being ended by us. */
export interface Verdict {
  readonly reason: ExitReason;
  readonly message: string | undefined;
}

/** One that runs: its first process is not reaped yet. */
export interface Execution {
  readonly name: string;
  readonly launch: Launch;
  /** Of the first process, as this process sees it; also its group's and its session's. */
  readonly pid: number;
  /** Wall clock. */
  readonly startedAtMs: number;
  readonly startedMonotonicMs: number;
  readonly stdoutFd: number;
  readonly stderrFd: number;
  /** The first one stands. */
  verdict: Verdict | undefined;
  /** Monotonic time of the SIGKILL that follows a SIGTERM. */
  killAtMs: number | undefined;
  /** SIGKILL was sent: nothing of it may go on living. */
  isCondemned: boolean;
  box: CgroupBox | undefined;
  /** Where its process is an engine's command line. */
  readonly container: Container | undefined;
  /** Of the process that watches the container, once it was seen. */
  monitor: number | undefined;
}

/** Collects what an ended execution wrote, and gives up its descriptors. */
export function concludeExecution(execution: Execution, exitCode: number): Exit {
  const stdout = collectOutput(execution.stdoutFd);
  const stderr = collectOutput(execution.stderrFd);
  closeQuietly(execution.stdoutFd);
  closeQuietly(execution.stderrFd);
  return {
    key: execution.launch.key,
    node: execution.launch.node,
    reason: execution.verdict?.reason ?? 'exited',
    exitCode,
    startedAtMs: execution.startedAtMs,
    endedAtMs: Date.now(),
    message: shorten(execution.verdict?.message),
    stdoutBytes: stdout.bytes,
    stderrBytes: stderr.bytes,
    stdoutInline: stdout.inline,
    stderrInline: stderr.inline,
  };
}

/** The end of an execution that never began. */
export function neverStarted(launch: Launch, verdict: Verdict): Exit {
  return {
    key: launch.key,
    node: launch.node,
    reason: verdict.reason,
    exitCode: undefined,
    startedAtMs: undefined,
    endedAtMs: Date.now(),
    message: shorten(verdict.message),
    stdoutBytes: 0,
    stderrBytes: 0,
    stdoutInline: undefined,
    stderrInline: undefined,
  };
}

/** A message may quote the user's program name, of any length; a thousand of them must fit into a frame. */
function shorten(message: string | undefined): string | undefined {
  if (message === undefined || message.length <= RUNNER_MESSAGE_LENGTH_MAX) return message;
  return `${message.slice(0, RUNNER_MESSAGE_LENGTH_MAX)}…`;
}
