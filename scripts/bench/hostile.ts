/**
 * What an honest client loses while a hostile one is at work, for each kind of attack.
 *
 * The honest client is Azure's own, in this process: reads of single tasks, one after another, signed with the
 * account's key. The hostile one (`scripts/hostile-client`) is a process of one thread, as fast as it gets answers,
 * with several loops at once. It comes from an address of its own (127.0.0.2) and, where it has a credential at all,
 * with a token of its own; rows that end in "same" come from the honest client's address with the honest client's key,
 * so that nothing but their connections and what they ask for tells the two apart.
 *
 * All of them share one machine. So each round has three parts of equal length:
 *
 *     alone     the honest client by itself
 *     beside    with the hostile client at the same agent
 *     control   with the hostile client at a server that does nothing (`scripts/hostile-sink`), sending as many requests a second
 *               as it sent to the agent: what it takes from the honest client by using the machine, whoever answers
 *
 * `left` is beside/alone; `control` is control/alone; `ours` is beside/control, what remains of the honest client's
 * throughput for all that the agent has to do with it. Medians over the rounds. `cpu` is what the three agents used for
 * the hostile client, in percent of one core: all that they used, less what as many honest requests had cost alone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchServiceClient, BatchSharedKeyCredentials } from '@azure/batch';
import { ATTACKS, type AttackName, isAttack } from '../hostile-client/attacks.ts';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { PROGRAM } from '../local-mesh/local-mesh.ts';
import { tasks } from './jobs.ts';
import { agentCpuMs } from './processes.ts';
import { median, type Rows, row } from './report.ts';

/** The mix that the first version of this benchmark had, at which 51 % were left. */
const MIX: readonly AttackName[] = [
  'signatures',
  'deep-filter',
  'long-filter',
  'endless-formula',
  'huge',
  'nested',
  'slow',
];
const POOL = 'hostile-bench';
/** Of each part, before it is measured: what the one before it left in queues, and what the agents learn about this one. */
const SETTLE_MS = 1_000;

interface Target {
  readonly host: string;
  readonly port: number;
}

interface Case {
  readonly name: string;
  readonly attacks: readonly AttackName[];
  readonly loops?: number;
  readonly same?: true;
}

export interface HostileSettings {
  readonly roundMs: number;
  readonly rounds: number;
  readonly listed: number;
  /** Names of attacks, or `mix`; all where absent. */
  readonly attacks?: readonly string[];
}

export async function hostile(mesh: LocalMesh, settings: HostileSettings): Promise<Rows> {
  const { client } = mesh.alive();
  const { accountName: account, accountKey: key, url } = await client.mesh.account();
  if (url === null) throw new Error('the mesh does not listen on TCP');
  const azure = new BatchServiceClient(new BatchSharedKeyCredentials(account, key), url);
  const { token } = await client.mesh.createAccessToken({});
  // Without machines: what is measured is answering, not running.
  const autoScaleFormula = '$TargetDedicatedNodes = 0;';
  await azure.pool.add({ id: POOL, vmSize: 'shoal.1c1g', enableAutoScale: true, autoScaleFormula });
  const job = `hostile-${process.pid}`;
  await azure.job.add({ id: job, poolInfo: { poolId: POOL } });
  for (let first = 0; first < settings.listed; first += 5_000) {
    const batch = [...tasks(settings.listed, '/bin/true')].slice(
      first,
      Math.min(settings.listed, first + 5_000),
    );
    await client.tasks.addAll(job, batch);
  }
  const agent = { host: new URL(url).hostname, port: Number(new URL(url).port) };
  const read = (): Promise<unknown> => azure.task.get(job, 't1');
  const rows: Rows = {};
  const sink = await Sink.start();
  try {
    await perSecond(read, settings.roundMs);
    for (const one of casesOf(settings.attacks)) {
      const orders = { account, key, job, pool: POOL, ...(one.same === true ? {} : { token }) };
      Object.assign(rows, await measure(mesh, one, { agent, sink: sink.target, orders, read, ...settings }));
      process.stderr.write(`${one.name.padEnd(28)} ${rows[`hostile: ${one.name}`]?.note}\n`);
    }
  } finally {
    sink.stop();
  }
  await azure.job.deleteMethod(job);
  await azure.pool.deleteMethod(POOL);
  return rows;
}

/** Each attack and the mix from a caller of its own, the mix from the honest one's too; the others of those when asked for. */
function casesOf(wanted: readonly string[] | undefined): readonly Case[] {
  const attacks = Object.keys(ATTACKS).filter(isAttack);
  const apart: Case[] = [
    ...attacks.map((name) => ({ name, attacks: [name] })),
    { name: 'mix', attacks: MIX, loops: 1 },
  ];
  const same = apart.map((one): Case => ({ ...one, name: `${one.name} same`, same: true }));
  if (wanted !== undefined) return [...apart, ...same].filter(({ name }) => wanted.includes(name));
  return [...apart, ...same.filter(({ attacks }) => attacks === MIX)];
}

interface Setting extends HostileSettings {
  readonly agent: Target;
  readonly sink: Target;
  readonly orders: object;
  readonly read: () => Promise<unknown>;
}

async function measure(mesh: LocalMesh, one: Case, setting: Setting): Promise<Rows> {
  const { read, roundMs, rounds } = setting;
  const alone: number[] = [];
  const beside: number[] = [];
  const control: number[] = [];
  const sent: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = cpuOfAgents(mesh);
    alone.push(await perSecond(read, roundMs));
    const honestMs = (cpuOfAgents(mesh) - before) / ((alone.at(-1) ?? 1) * (roundMs / 1000));
    const attacker = await Hostile.start(one, setting.agent, setting.orders);
    await perSecond(read, SETTLE_MS);
    const from = { sent: await attacker.sent(), cpuMs: cpuOfAgents(mesh) };
    beside.push(await perSecond(read, roundMs));
    const until = { sent: await attacker.sent(), cpuMs: cpuOfAgents(mesh) };
    await attacker.stop();
    sent.push(((until.sent - from.sent) * 1000) / roundMs);
    const honest = honestMs * (beside.at(-1) ?? 0) * (roundMs / 1000);
    cpu.push((100 * (until.cpuMs - from.cpuMs - honest)) / roundMs);
    await sleep(SETTLE_MS);
    const bounded = { ...setting.orders, perSecond: Math.max(1, sent.at(-1) ?? 1) };
    const harmless = await Hostile.start(one, setting.sink, bounded);
    await perSecond(read, SETTLE_MS);
    control.push(await perSecond(read, roundMs));
    await harmless.stop();
    await sleep(SETTLE_MS);
  }
  const left = median(beside.map((rate, index) => rate / (alone[index] ?? Number.NaN)));
  const controlled = median(control.map((rate, index) => rate / (alone[index] ?? Number.NaN)));
  const ours = median(beside.map((rate, index) => rate / (control[index] ?? Number.NaN)));
  const percent = (share: number): string => `${Math.round(100 * share)} %`;
  const note =
    `left ${percent(left)}, control ${percent(controlled)}, ours ${percent(ours)}, ` +
    `cpu ${Math.round(median(cpu))} % of a core, ${Math.round(median(sent))} hostile requests/s`;
  return { [`hostile: ${one.name}`]: row(median(beside), 'requests/s', median(alone), note) };
}

function cpuOfAgents(mesh: LocalMesh): number {
  return mesh.agents.reduce((sum, agent) => sum + agentCpuMs(agent), 0);
}

async function perSecond(read: () => Promise<unknown>, forMs: number): Promise<number> {
  const startedAtMs = performance.now();
  let requests = 0;
  while (performance.now() - startedAtMs < forMs) {
    await read();
    requests += 1;
  }
  return (requests * 1000) / (performance.now() - startedAtMs);
}

/** A program of `dist/` that ends with its standard input. */
function program(name: string, words: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join(dirname(PROGRAM), name), ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

class Hostile {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error('a child without standard output');
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  static async start({ attacks, loops, same }: Case, target: Target, orders: object): Promise<Hostile> {
    const all = {
      ...orders,
      ...target,
      attacks,
      ...(loops !== undefined && { loops }),
      localAddress: same === true ? '127.0.0.1' : '127.0.0.2',
    };
    const hostile = new Hostile(program('hostile-client.js', [JSON.stringify(all)]));
    await hostile.sent();
    return hostile;
  }

  async sent(): Promise<number> {
    this.#child.stdin?.write('\n');
    const line = await this.#lines.next();
    return Number(JSON.parse(line.value).sent);
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await gone;
  }
}

class Sink {
  readonly #child: ChildProcess;
  readonly target: Target;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.target = { host: '127.0.0.1', port };
  }

  static async start(): Promise<Sink> {
    const child = program('hostile-sink.js', []);
    if (child.stdout === null) throw new Error('a child without standard output');
    const line = await createInterface(child.stdout)[Symbol.asyncIterator]().next();
    return new Sink(child, Number(line.value));
  }

  stop(): void {
    this.#child.stdin?.end();
  }
}
