import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { createRunnerClient, type RunnerClientInit, type RunnerLog } from '../../../agent/runner/client.ts';
import { executionName } from '../../../agent/runner/execution-key.ts';
import type {
  ExecutionKey,
  Exit,
  Launch,
  NodeSetup,
  RunnerClient,
  RunnerListener,
  Running,
} from '../../../agent/runner/interface.ts';
import { openBootClock } from '../../../agent/runner/machine-clocks.ts';
import { findMarked } from '../../../agent/runner/process-table.ts';
import { signalProcess } from '../../../agent/runner/processes.ts';
import { runnerIdentity } from '../../../agent/runner/protocol.ts';
import { killLeftovers } from '../../../agent/runner/start-runner.ts';
import { systemClock } from '../../../src/lib/clock.ts';

const silent: RunnerLog = { info: () => {}, warn: () => {}, error: () => {} };

/** Bundles a program of this repository as the build does, and returns its path. */
export async function bundle(entry: string, outfile: string): Promise<string> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['msgpackr-extract'],
    logLevel: 'silent',
  });
  return outfile;
}

export async function until(holds: () => boolean, what: string, boundMs = 30_000): Promise<void> {
  const endMs = performance.now() + boundMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${boundMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Remembers what a runner says. */
export class Recorder implements RunnerListener {
  readonly started: Running[] = [];
  readonly exits = new Map<string, Exit>();
  /** Exits told, repetitions included. */
  exitsTold = 0;
  lost = 0;

  onStarted(running: Running): void {
    this.started.push(running);
  }

  onExit(exit: Exit): void {
    this.exitsTold += 1;
    this.exits.set(executionName(exit.key), exit);
  }

  onLost(): void {
    this.lost += 1;
  }

  async exitOf(key: ExecutionKey, boundMs?: number): Promise<Exit> {
    await until(() => this.exits.has(executionName(key)), `the exit of ${executionName(key)}`, boundMs);
    const exit = this.exits.get(executionName(key));
    if (exit === undefined) throw new Error('unreachable');
    return exit;
  }

  async startOf(key: ExecutionKey): Promise<Running> {
    const find = (): Running | undefined =>
      this.started.find((one) => executionName(one.key) === executionName(key));
    await until(() => find() !== undefined, `the start of ${executionName(key)}`);
    const running = find();
    if (running === undefined) throw new Error('unreachable');
    return running;
  }
}

export const key = (task: number, epoch = task): ExecutionKey => ({ pool: 'pool', job: 1, task, epoch });

/** A directory of its own, clients of a runner in it, and an end that leaves no process behind. */
export class Workbench {
  readonly root: string;
  readonly directory: string;
  readonly nodeRoot: string;
  readonly #script: string;
  readonly #clients: RunnerClient[] = [];

  constructor(script: string, name = 'runner') {
    this.root = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    this.directory = join(this.root, name);
    this.nodeRoot = join(this.root, 'node');
    this.#script = script;
  }

  client(init: Partial<RunnerClientInit> = {}): RunnerClient {
    const { directory } = this;
    const client = createRunnerClient({
      directory,
      runnerScript: this.#script,
      log: silent,
      clock: systemClock,
      bootMs: openBootClock(),
      ...init,
    });
    this.#clients.push(client);
    return client;
  }

  /** A client that is attached, has the node `node`, and a lease `pool`. */
  async ready(
    setup: Partial<NodeSetup> = {},
    init: Partial<RunnerClientInit> = {},
  ): Promise<[RunnerClient, Recorder]> {
    const client = this.client(init);
    const recorder = new Recorder();
    await client.attach(recorder);
    client.configureNode(this.setup(setup));
    client.setLease('pool', 60_000);
    return [client, recorder];
  }

  setup(changes: Partial<NodeSetup> = {}): NodeSetup {
    return {
      node: 'node',
      slots: 4,
      environment: {},
      uid: undefined,
      gid: undefined,
      rootDirectory: this.nodeRoot,
      memoryBytesMax: undefined,
      ...changes,
    };
  }

  launch(task: number, argv: readonly string[], changes: Partial<Launch> = {}): Launch {
    const taskDirectory = join(this.nodeRoot, 'job', String(task));
    return {
      key: key(task),
      node: 'node',
      lease: 'pool',
      slots: 1,
      priority: 0,
      argv,
      environment: {},
      taskDirectory,
      workingDirectory: join(taskDirectory, 'wd'),
      wallClockMsMax: undefined,
      outputBytesMax: 1024 * 1024,
      ...changes,
    };
  }

  /** Host pids of everything that runs under this directory's runner, itself included. */
  processes(): number[] {
    return findMarked(runnerIdentity(this.directory));
  }

  /** To all of them; the first may take others with it. */
  signal(signal: NodeJS.Signals): void {
    for (const pid of this.processes()) signalProcess(pid, signal);
  }

  async end(): Promise<void> {
    for (const client of this.#clients) await client.detach();
    await killLeftovers(runnerIdentity(this.directory), systemClock);
    rmSync(this.root, { recursive: true, force: true });
  }
}

export const shell = (script: string): string[] => ['/bin/sh', '-c', script];

export const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
