/** The command lines of podman and docker, as far as the runner speaks them. They are the same but for a few words. */
import { createHash } from 'node:crypto';
import type { ContainerEngine, ContainerLaunch, Launch, NodeSetup } from './interface.ts';

export interface ContainerFiles {
  /** The container's variables: arguments would show them to every user of the machine. */
  readonly environment: string;
  /** Written by the engine once the container exists. */
  readonly id: string;
  /** Written by podman: the process that watches the container, and is its parent. */
  readonly monitor: string;
}

/** Unique for ever, like the execution that it is made of, and short whatever its job is called. */
export function containerName(runner: string, execution: string): string {
  return `shoal-${createHash('sha256').update(`${runner} ${execution}`).digest('hex').slice(0, 32)}`;
}

export function runArguments(
  name: string,
  { argv, workingDirectory }: Launch,
  { engine, image, options, entersWorkingDirectory }: ContainerLaunch,
  setup: NodeSetup,
  files: ContainerFiles,
  multiLine: readonly string[],
): readonly string[] {
  return [
    'run',
    '--rm',
    `--name=${name}`,
    `--cidfile=${files.id}`,
    // The task waited for its image already, with the account that may fetch it.
    '--pull=never',
    // What it writes goes to our files; a second copy would only fill the disk.
    '--log-driver=none',
    ...(engine.kind === 'podman' ? [`--conmon-pidfile=${files.monitor}`] : []),
    `--env-file=${files.environment}`,
    ...multiLine.map((assignment) => `--env=${assignment}`),
    ...userArguments(engine, setup),
    '--security-opt=no-new-privileges',
    // Where SELinux is at work it would keep the container out of the node's directory.
    '--security-opt=label=disable',
    `--mount=type=bind,source=${setup.rootDirectory},target=${setup.rootDirectory}`,
    ...(entersWorkingDirectory ? [`--workdir=${workingDirectory}`] : []),
    ...memoryArguments(engine, setup),
    ...options,
    image,
    ...argv,
  ];
}

/** The user of the node's other tasks, so that all of them can work on the node's files. */
function userArguments(engine: ContainerEngine, { uid, gid }: NodeSetup): readonly string[] {
  if (uid !== undefined) return [`--user=${uid}:${gid ?? uid}`];
  const own = `--user=${engine.user}`;
  return engine.kind === 'podman' && engine.isRootless ? ['--userns=keep-id', own] : [own];
}

/** Containers of a daemon are out of our sight: the daemon keeps the node's bound. Podman's are summed with the node's tasks. */
function memoryArguments(engine: ContainerEngine, { memoryBytesMax }: NodeSetup): readonly string[] {
  if (engine.kind === 'podman' || memoryBytesMax === undefined) return [];
  return [`--memory=${memoryBytesMax}`];
}

/** Ends a container of any state at once, and forgets it. */
export function removeArguments(engine: ContainerEngine, name: string): readonly string[] {
  return engine.kind === 'podman' ? ['rm', '--force', '--ignore', '--time=0', name] : ['rm', '--force', name];
}

/** True if what an engine said of a removal means that there is no such container. */
export function saysAbsent(said: string): boolean {
  return /no such container/i.test(said);
}

/** The file's lines, and what no line can hold: a value of several lines goes into an argument. */
export function environmentLines(environment: Readonly<Record<string, string>>): {
  readonly text: string;
  readonly multiLine: readonly string[];
} {
  const lines: string[] = [];
  const multiLine: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    // Engines skip lines that begin with # and trim those that begin with a space.
    const isPlain = !/[\r\n]/.test(value) && /^[^\s#]/.test(name) && !/[\s]/.test(name);
    (isPlain ? lines : multiLine).push(`${name}=${value}`);
  }
  return { text: lines.map((line) => `${line}\n`).join(''), multiLine };
}

/** Exit codes with which both engines say that it was they who failed ("Exit status" of podman-run and docker run). */
const ENGINE_FAILED = 125;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

export type EngineVerdict = 'launchFailed' | 'programNotFound' | undefined;

/** Who is meant by an exit code: undefined for the program in the container. */
export function judgeExit(exitCode: number, wasCreated: boolean, lastWords: string): EngineVerdict {
  if (exitCode === ENGINE_FAILED && !wasCreated) return 'launchFailed';
  const isEngines = /^(Error: |docker: )/m.test(lastWords);
  if (!isEngines) return undefined;
  if (exitCode === ENGINE_FAILED) return 'launchFailed';
  if (exitCode === NOT_EXECUTABLE || exitCode === NOT_FOUND) {
    return /not found|no such file|permission denied/i.test(lastWords) ? 'programNotFound' : 'launchFailed';
  }
  return undefined;
}
