/**
 * Executions that are containers. The engine's command line runs as their process and is watched like any other; but what
 * it started need not be below it (podman's monitor leaves it, docker's daemon was never there), so a container is ended
 * by its name, and its execution has not ended before the engine said that it is gone.
 *
 * A record on disk names each container from before it can exist until it is known to be gone: a runner that follows a
 * dead one removes what that left before it takes any work.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  CONTAINER_MESSAGE_BYTES_MAX,
  CONTAINER_REMOVAL_PAUSE_MS,
  CONTAINER_REMOVAL_TIMEOUT_MS,
  CONTAINER_REMOVALS_MAX,
} from '../../src/lib/limits.ts';
import {
  containerName,
  type EngineVerdict,
  environmentLines,
  judgeExit,
  removeArguments,
  runArguments,
  saysAbsent,
} from './container-command.ts';
import type { ContainerEngine, ContainerLaunch, Launch, NodeSetup } from './interface.ts';
import { decodePayload, encodePayload } from './protocol.ts';

export interface ContainersInit {
  /** Private; made when the first container is. */
  readonly directory: string;
  /** The runner's identity. */
  readonly identity: string;
  readonly log: (message: string) => void;
}

/** A container that may exist. */
export interface Container {
  readonly name: string;
  readonly engine: ContainerEngine;
  /** Of the engine's command line, program included. */
  readonly argv: readonly string[];
}

export interface EndOfEngine {
  readonly exitCode: number;
  /** Nobody killed its command line: it said by itself how the container ended, and removed it. */
  readonly wasLeftAlone: boolean;
  readonly stderrFd: number;
}

export class Containers {
  readonly #init: ContainersInit;
  /** Pids of the engine's processes that work for us, not for a task. */
  readonly helpers = new Set<number>();

  constructor(init: ContainersInit) {
    this.#init = init;
  }

  /** Writes down that the container may exist. `environment` is all of the task's. Throws the file system's error. */
  prepare(
    execution: string,
    launch: Launch,
    container: ContainerLaunch,
    setup: NodeSetup,
    environment: Readonly<Record<string, string>>,
  ): Container {
    const { directory, identity } = this.#init;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { engine } = container;
    const name = containerName(identity, execution);
    const files = {
      environment: join(directory, `${name}.env`),
      id: join(directory, `${name}.id`),
      monitor: join(directory, `${name}.pid`),
    };
    const { text, multiLine } = environmentLines(environment);
    for (const stale of [files.id, files.monitor]) rmSync(stale, { force: true });
    writeFileSync(files.environment, text, { mode: 0o600 });
    writeFileSync(join(directory, `${name}.record`), encodePayload(engine), { mode: 0o600 });
    const argv = [engine.program, ...runArguments(name, launch, container, setup, files, multiLine)];
    return { name, engine, argv };
  }

  /** Pid of the process that watches the container, once there is one that is not a child of its engine's command line. */
  monitorOf({ name, engine }: Container): number | undefined {
    if (engine.kind !== 'podman') return undefined;
    try {
      const pid = Number.parseInt(readFileSync(join(this.#init.directory, `${name}.pid`), 'latin1'), 10);
      return pid > 1 ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * The engine's command line has ended: sees to it that the container has, too. Resolves with whose the exit code is, as
   * soon as the container is gone, or after CONTAINER_REMOVALS_MAX tries.
   */
  async conclude(
    container: Container,
    end: EndOfEngine,
  ): Promise<{ verdict: EngineVerdict; message: string }> {
    const message = readTail(end.stderrFd);
    const wasCreated = existsSync(join(this.#init.directory, `${container.name}.id`));
    const verdict = end.wasLeftAlone ? judgeExit(end.exitCode, wasCreated, message) : undefined;
    if (!end.wasLeftAlone || verdict !== undefined) {
      await this.#remove(container);
      // One that was killed before the engine had an answer may have asked its daemon for the container just before.
      if (!end.wasLeftAlone && !wasCreated && container.engine.kind === 'docker') {
        await pause(CONTAINER_REMOVAL_PAUSE_MS);
        await this.#remove(container);
      }
    }
    this.forget(container);
    return { verdict, message };
  }

  /** Removes what a former runner of this directory left. To be awaited before anything is launched. */
  async removeLeftovers(): Promise<void> {
    const { directory, log } = this.#init;
    if (!existsSync(directory)) return;
    const names = readdirSync(directory).filter((name) => name.endsWith('.record'));
    await Promise.all(
      names.map(async (file) => {
        const name = file.slice(0, -'.record'.length);
        const engine = readEngine(join(directory, file));
        if (engine !== undefined) await this.#remove({ name, engine });
        log(`removed the container ${name} of a former runner`);
        this.forget({ name });
      }),
    );
  }

  /** It does not exist (any more). */
  forget({ name }: Pick<Container, 'name'>): void {
    for (const kind of ['env', 'id', 'pid', 'record'])
      rmSync(join(this.#init.directory, `${name}.${kind}`), { force: true });
  }

  async #remove({ name, engine }: Pick<Container, 'name' | 'engine'>): Promise<void> {
    const { log } = this.#init;
    for (let attempt = 1; attempt <= CONTAINER_REMOVALS_MAX; attempt += 1) {
      const { isDone, said } = await runEngine(engine, removeArguments(engine, name), this.helpers);
      if (isDone || saysAbsent(said)) return;
      log(`the container ${name} was not removed (${attempt}): ${said.trim()}`);
      await pause(CONTAINER_REMOVAL_PAUSE_MS);
    }
    log(`gave up on the container ${name}: it may still run`);
  }
}

function runEngine(
  { program, environment }: ContainerEngine,
  words: readonly string[],
  helpers: Set<number>,
): Promise<{ isDone: boolean; said: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, words, {
      cwd: '/',
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    const { pid } = child;
    if (pid !== undefined) helpers.add(pid);
    let said = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), CONTAINER_REMOVAL_TIMEOUT_MS);
    child.stderr.on('data', (chunk: Buffer) => {
      if (said.length < CONTAINER_MESSAGE_BYTES_MAX) said += chunk.toString();
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      resolve({ isDone: false, said: error.message });
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      if (pid !== undefined) helpers.delete(pid);
      resolve({ isDone: code === 0, said });
    });
  });
}

/** The last words of the engine stand where the task's own would. */
function readTail(fd: number): string {
  try {
    const size = fstatSync(fd).size;
    const length = Math.min(size, CONTAINER_MESSAGE_BYTES_MAX);
    const bytes = Buffer.alloc(length);
    const read = readSync(fd, bytes, 0, length, size - length);
    return bytes.toString('utf8', 0, read).trim();
  } catch {
    return '';
  }
}

function readEngine(path: string): ContainerEngine | undefined {
  try {
    return decodePayload(readFileSync(path)) as ContainerEngine;
  } catch {
    // Written in part when its runner died: then its container was not started.
    return undefined;
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
