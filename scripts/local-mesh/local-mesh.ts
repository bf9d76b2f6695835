/**
 * A mesh of real agents on this machine, each a process with a directory of its own: what the demo, the benchmarks, the
 * chaos script and the end-to-end tests stand on. Processes it started, and no others, are ended by `stop`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ShoalClient } from '../../src/client/client.ts';
import { SocketTransport } from '../../src/client/socket-transport.ts';
import type { LocalStatus } from '../../src/model/control.ts';

const ANSWER_MS_MAX = 60_000;
const END_MS_MAX = 10_000;

export interface LocalMeshOptions {
  /** Where the agents' directories are made; a new one below the system's temporary directory by default. */
  readonly directory?: string;
  /** Default: the agent's address and a free port, the same one at every start. */
  readonly listen?: (agent: number) => string;
  /** Default 127.0.0.1 for all of them; Linux has the rest of 127.0.0.0/8 as well. */
  readonly address?: (agent: number) => string;
  readonly mdns?: boolean;
  /** Put before the agent's command, as `ip netns exec NAME`. */
  readonly prefix?: (agent: number) => readonly string[];
  /** HTTP on a TCP port too. */
  readonly apiPort?: boolean;
  /** Keys of every agent's configuration beyond those that flags set. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface LocalAgent {
  readonly name: string;
  readonly data: string;
  readonly client: ShoalClient;
  process: ChildProcess | undefined;
}

/** The bundled program, from the source tree as well as from the bundle; `SHOAL_PROGRAM` names another. */
export const PROGRAM = process.env.SHOAL_PROGRAM ?? findProgram();

/** As the first line of the program has them. */
const NODE_FLAGS = ['--single-threaded-gc', '--no-memory-reducer'];

function findProgram(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = here.includes('/dist') ? here.slice(0, here.indexOf('/dist')) : join(here, '..', '..');
  return join(root, 'dist', 'shoal.js');
}

export class LocalMesh {
  readonly directory: string;
  readonly agents: LocalAgent[] = [];
  readonly #options: LocalMeshOptions;
  readonly #ownsDirectory: boolean;

  private constructor(directory: string, options: LocalMeshOptions) {
    this.directory = directory;
    this.#options = options;
    this.#ownsDirectory = options.directory === undefined;
  }

  /** Resolves when all agents are up, know each other, and every pool and the mesh has its voters. */
  static async start(agents: number, options: LocalMeshOptions = {}): Promise<LocalMesh> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'shoal-mesh-')));
    await mkdir(directory, { recursive: true });
    // A temporary directory is closed to others, and tasks run as users of their own.
    await chmod(directory, 0o711);
    const mesh = new LocalMesh(directory, options);
    try {
      await mesh.add();
      for (let agent = 1; agent < agents; agent += 1) await mesh.add();
      await mesh.settle();
      return mesh;
    } catch (error) {
      await mesh.stop();
      throw error;
    }
  }

  /** One more machine: made or joined, and started. `own`: keys of its configuration alone. */
  async add(own: Readonly<Record<string, unknown>> = {}): Promise<LocalAgent> {
    const number = this.agents.length;
    const name = `machine-${number + 1}`;
    const data = join(this.directory, name);
    const address = this.#options.address?.(number) ?? '127.0.0.1';
    const flags = [
      '--name',
      name,
      '--listen',
      this.#options.listen?.(number) ?? `/ip4/${address}/tcp/${await freePort(address)}`,
      ...(this.#options.mdns === true ? [] : ['--no-mdns']),
    ];
    if (this.#options.apiPort === true) flags.push('--api', '127.0.0.1:0');
    if (number === 0) await this.#run(number, ['--data', data, 'init', ...flags]);
    else
      await this.#run(number, [
        '--data',
        data,
        'join',
        (await this.alive().client.mesh.createToken({ validMs: 60_000, uses: 1 })).token,
        ...flags,
      ]);
    const config = { ...this.#options.config, ...own };
    if (Object.keys(config).length > 0) await amendConfig(join(data, 'config.json'), config);
    const client = new ShoalClient(new SocketTransport({ kind: 'socket', path: join(data, 'api.sock') }));
    const agent: LocalAgent = { name, data, client, process: undefined };
    this.agents.push(agent);
    await this.startAgent(agent);
    return agent;
  }

  /** Any agent that runs. */
  alive(): LocalAgent {
    const agent = this.agents.find((one) => one.process !== undefined);
    if (agent === undefined) throw new Error('no agent of the mesh is running');
    return agent;
  }

  async startAgent(agent: LocalAgent): Promise<void> {
    const [command = process.execPath, ...words] = [
      ...(this.#options.prefix?.(this.agents.indexOf(agent)) ?? []),
      process.execPath,
      ...NODE_FLAGS,
      PROGRAM,
      '--data',
      agent.data,
      'agent',
    ];
    const child = spawn(command, words, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    child.stderr.pipe(createWriteStream(join(this.directory, `${agent.name}.log`), { flags: 'a' }));
    agent.process = child;
    child.once('exit', () => {
      if (agent.process === child) agent.process = undefined;
    });
    await until(`${agent.name} answers`, ANSWER_MS_MAX, async () => {
      if (agent.process !== child)
        throw new Error(`${agent.name} ended while it started:\n${await this.logOf(agent)}`);
      return (await this.status(agent)) !== undefined;
    });
  }

  /** SIGKILL to the agent's process alone: its runner and tasks live on. */
  async kill(agent: LocalAgent): Promise<void> {
    const child = agent.process;
    if (child?.pid === undefined) return;
    const gone = ended(child);
    process.kill(child.pid, 'SIGKILL');
    await gone;
  }

  /** SIGKILL to the agent, its runner and everything the runner runs, as when a machine loses power. */
  async killMachine(agent: LocalAgent): Promise<void> {
    const status = await this.status(agent);
    await this.kill(agent);
    if (status !== undefined) killQuietly(status.runner.pid);
  }

  /** SIGSTOP to the agent's process: it hangs, and its runner and links find out by themselves. */
  freeze(agent: LocalAgent): void {
    agent.process?.kill('SIGSTOP');
  }

  thaw(agent: LocalAgent): void {
    agent.process?.kill('SIGCONT');
  }

  async status(agent: LocalAgent): Promise<LocalStatus | undefined> {
    try {
      return await agent.client.mesh.status({ signal: AbortSignal.timeout(2_000) });
    } catch {
      return undefined;
    }
  }

  /** The agent whose machine leads the group. */
  async leader(group: string): Promise<LocalAgent> {
    let found: LocalAgent | undefined;
    await until(`somebody leads ${group}`, ANSWER_MS_MAX, async () => {
      for (const agent of this.agents) {
        if (agent.process === undefined) continue;
        const status = await this.status(agent);
        if (status?.groups.some((one) => one.group === group && one.role === 'leader') === true)
          found = agent;
      }
      return found !== undefined;
    });
    if (found === undefined) throw new Error('unreachable');
    return found;
  }

  /** All agents are linked, the groups have the voters they should have, and a node stands on each machine. */
  async settle(): Promise<void> {
    const running = this.agents.filter((agent) => agent.process !== undefined);
    const voters = running.length >= 3 ? 3 : 1;
    await until('the mesh has settled', 60_000, async () => {
      for (const agent of running) {
        const status = await this.status(agent);
        if (status === undefined || status.connectedPeers.length < running.length - 1) return false;
        if (status.groups.some((group) => group.voters.length < voters || group.leader === undefined))
          return false;
      }
      const nodes = [];
      for await (const node of this.alive().client.pools.nodes('default')) nodes.push(node);
      return (
        nodes.filter((node) => node.state === 'idle' || node.state === 'running').length >= running.length
      );
    });
  }

  logOf(agent: LocalAgent): Promise<string> {
    return readFile(join(this.directory, `${agent.name}.log`), 'utf8').catch(() => '');
  }

  /** Ends every agent with its runner and tasks; removes the directories if they were made here. */
  async stop(): Promise<void> {
    await Promise.all(this.agents.map((agent) => this.#end(agent)));
    if (this.#ownsDirectory) await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  async #end(agent: LocalAgent): Promise<void> {
    agent.client.close();
    const child = agent.process;
    if (child?.pid !== undefined) {
      const gone = ended(child);
      process.kill(child.pid, 'SIGINT');
      const late = await Promise.race([gone.then(() => false), sleep(END_MS_MAX, true, { ref: false })]);
      if (late) killQuietly(child.pid);
    }
    // A runner whose agent was killed is nobody's child any more.
    const pid = Number(
      await readFile(join(agent.data, 'private', 'runner', 'runner.pid'), 'utf8').catch(() => ''),
    );
    if (pid > 0 && (await isRunnerOf(pid, agent.data))) killQuietly(pid);
  }

  #run(agent: number, words: readonly string[]): Promise<void> {
    const [command = process.execPath, ...rest] = [
      ...(this.#options.prefix?.(agent) ?? []),
      process.execPath,
      ...NODE_FLAGS,
      PROGRAM,
      ...words,
    ];
    return new Promise((resolve, reject) => {
      const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      child.once('error', reject);
      child.once('close', (code) =>
        code === 0 ? resolve() : reject(new Error(`shoal ${words.slice(2, 3).join(' ')} failed: ${said}`)),
      );
    });
  }
}

async function amendConfig(file: string, keys: Readonly<Record<string, unknown>>): Promise<void> {
  const config: unknown = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...Object(config), ...keys }));
}

/** Below the ports that the kernel gives to outgoing connections: it must still be free when the agent starts again. */
const PORT_MIN = 20_000;
const PORTS = 12_000;

async function freePort(address: string): Promise<number> {
  for (;;) {
    const port = PORT_MIN + randomInt(PORTS);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, address, () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** Asks until the answer is true; rejects with what was waited for. */
export async function until(
  what: string,
  withinMs: number,
  ask: () => Promise<boolean> | boolean,
  periodMs = 50,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`waited ${withinMs / 1000} s in vain: ${what}`);
    await sleep(periodMs);
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** The number in a pid file may be somebody else's by now. */
async function isRunnerOf(pid: number, data: string): Promise<boolean> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return words.includes(data);
}
