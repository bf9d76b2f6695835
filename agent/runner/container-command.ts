/** The command lines of podman and docker, as far as the runner speaks them. They are the same but for a few words. */
import { createHash } from 'node:crypto';
import { CONTAINER_PROCESSES_MAX } from '../../src/lib/limits.ts';
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
    ...options,
    ...boundsBehind(options, engine, setup),
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

/**
 * Bounds of the machine, behind the task's own options, for of one that is given twice the last counts: a task may have
 * less, never more. A daemon's containers are out of our sight and have none of our limits, so the daemon keeps them. Podman's
 * memory is summed with that of the node's tasks, and it bounds their processes unless the task says otherwise.
 */
function boundsBehind(
  options: readonly string[],
  { kind }: ContainerEngine,
  { memoryBytesMax }: NodeSetup,
): readonly string[] {
  const isDaemons = kind === 'docker';
  const pids = ownBound('--pids-limit', options);
  const memory = ownBound('--memory', options);
  return [
    ...(isDaemons && memoryBytesMax !== undefined && !isWithin(memory, memoryBytesMax)
      ? [`--memory=${memoryBytesMax}`]
      : []),
    ...((isDaemons || pids !== undefined) && !isWithin(pids, CONTAINER_PROCESSES_MAX)
      ? [`--pids-limit=${CONTAINER_PROCESSES_MAX}`]
      : []),
  ];
}

/** What the task asks for itself; engines take 0 and less for no bound at all. */
function ownBound(name: string, options: readonly string[]): number | undefined {
  const text = options.findLast((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  const [, figure, unit = ''] = /^(-?\d+)([bkmg]?)$/i.exec(text ?? '') ?? [];
  return figure === undefined
    ? undefined
    : Number(figure) * 1024 ** Math.max(0, 'bkmg'.indexOf(unit.toLowerCase()));
}

function isWithin(own: number | undefined, bound: number): boolean {
  return own !== undefined && own > 0 && own <= bound;
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
