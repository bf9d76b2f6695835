import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExitReason, Launch, NodeSetup } from './interface.ts';
import { EXECUTION_MARK, RUNNER_MARK } from './protocol.ts';
import { isBelow } from './task-files.ts';

export interface LaunchFailure {
  readonly reason: Extract<ExitReason, 'programNotFound' | 'launchFailed'>;
  readonly message: string;
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_LANG = 'C.UTF-8';

/** What is wrong with a launch in itself, before anything is touched; undefined if nothing is. */
export function findFault(launch: Launch, setup: NodeSetup | undefined): LaunchFailure | undefined {
  if (setup === undefined) return failed(`The node ${launch.node} is not set up in this runner.`);
  const namesProgram = launch.argv.length > 0 && launch.argv[0] !== '';
  if (!namesProgram && launch.container === undefined) return failed('The command line names no program.');
  if (launch.argv.some((argument) => argument.includes('\0')))
    return failed('An argument contains a NUL character.');
  if (launch.slots > setup.slots) {
    return failed(`The task needs ${launch.slots} slots and its node has ${setup.slots}.`);
  }
  for (const path of [launch.taskDirectory, launch.workingDirectory]) {
    if (!isBelow(setup.rootDirectory, path))
      return failed(`The directory ${path} is not below the node's root.`);
  }
  for (const [name, value] of Object.entries(launch.environment)) {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0')) {
      return failed(`The environment variable ${JSON.stringify(name)} has an invalid name or value.`);
    }
  }
  return undefined;
}

/**
 * The whole environment of a task: nothing of the runner's own or the agent's goes in. Our two marks come
 * last, so that no setting of the user can hide a process from its runner.
 */
export function taskEnvironment(
  launch: Launch,
  setup: NodeSetup,
  runner: string,
  execution: string,
): Record<string, string> {
  return {
    // A container's image has its own.
    ...(launch.container === undefined ? { PATH: DEFAULT_PATH, LANG: DEFAULT_LANG } : {}),
    HOME: launch.workingDirectory,
    ...setup.environment,
    ...launch.environment,
    [RUNNER_MARK]: runner,
    [EXECUTION_MARK]: execution,
  };
}

/**
 * A program without a slash is taken from the working directory if it is there and executable, else PATH is
 * searched.
 */
export function resolveProgram(program: string, workingDirectory: string): string {
  if (program.includes('/')) return program;
  const local = join(workingDirectory, program);
  const status = statSync(local, { throwIfNoEntry: false });
  return status?.isFile() === true && (status.mode & 0o111) !== 0 ? local : program;
}

/** The meaning of an error of the preparations or of spawn itself. */
export function explainFailure(error: unknown, program: string, workingDirectory: string): LaunchFailure {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { reason: 'programNotFound', message: explainMissing(program, workingDirectory) };
    case 'E2BIG':
      return failed('The command line and environment are too long for the operating system (E2BIG).');
    case 'EACCES':
      return failed(
        `The program ${program} may not be executed by the task's user, or its directory not be entered (EACCES).`,
      );
    case 'EAGAIN':
      return failed('The operating system has no room for another process (EAGAIN).');
    default:
      return failed(error instanceof Error ? error.message : String(error));
  }
}

function explainMissing(program: string, workingDirectory: string): string {
  const path = program.startsWith('/') ? program : join(workingDirectory, program);
  if (program.includes('/') && existsSync(path)) {
    return `The program ${program} exists, but the interpreter that its first line names does not.`;
  }
  if (program.includes('/')) return `The program ${program} does not exist.`;
  return `The program ${program} is neither in the task's working directory nor in PATH.`;
}

export function failed(message: string): LaunchFailure {
  return { reason: 'launchFailed', message };
}
