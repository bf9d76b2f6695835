/**
 * What can befall a mesh, at random and for a while: processes killed with SIGKILL or stopped, and, where each agent has
 * a host and a disk of its own, hosts cut off, pairs of hosts that do not hear each other, disks without a free byte.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../src/lib/prng.ts';
import { processesBelow } from '../local-mesh/census.ts';
import { type LocalAgent, type LocalMesh, until } from '../local-mesh/local-mesh.ts';
import type { Lan } from '../netns/lan.ts';
import type { Ground } from './ground.ts';

/** `machine`: the agent with its runner and all tasks. `freeze`: SIGSTOP, later SIGCONT, of an agent. */
const PROCESS_KINDS = ['agent', 'agent', 'runner', 'machine', 'task', 'task', 'freeze'] as const;
/** `cut`: a host loses the network. `split`: two hosts do not hear each other. `deaf`: only one of them does not. */
const HOST_KINDS = ['cut', 'split', 'deaf', 'fullDisk'] as const;
export type Injury = (typeof PROCESS_KINDS)[number] | (typeof HOST_KINDS)[number] | 'everybody';

const IN_WORDS: Readonly<Record<Injury, string>> = {
  agent: 'kill an agent',
  runner: 'kill a runner',
  machine: 'kill a machine',
  task: 'kill a task',
  everybody: 'kill everybody',
  freeze: 'stop an agent',
  cut: 'cut a host off',
  split: 'split two hosts',
  deaf: 'make a host deaf to another',
  fullDisk: 'fill a disk',
};

const DOWN_MS_MAX = 3_000;
const FROZEN_MS_MIN = 500;
/** Twice a lease: some freezes end before the runner kills, some long after the tasks run elsewhere. */
const FROZEN_MS_MAX = 6_000;
/** From shorter than an election to thrice a lease. */
const CUT_MS_MIN = 300;
const CUT_MS_MAX = 10_000;
/** From the moment its disk has room again. */
const ANSWER_MS_MAX = 20_000;

export class Injuries {
  readonly #mesh: LocalMesh;
  readonly #ground: Ground;
  readonly #kinds: readonly Exclude<Injury, 'everybody'>[];
  readonly #random: Prng;
  readonly #say: (text: string) => void;
  /** Agents that are down, frozen or starting: left alone until they are well. */
  readonly #hurt = new Set<LocalAgent>();
  readonly #healing = new Set<Promise<void>>();
  readonly counts = new Map<Injury, number>();
  readonly failures: string[] = [];

  constructor(mesh: LocalMesh, ground: Ground, random: Prng, say: (text: string) => void) {
    this.#mesh = mesh;
    this.#ground = ground;
    this.#kinds = ground.lan === undefined ? PROCESS_KINDS : [...PROCESS_KINDS, ...HOST_KINDS];
    this.#random = random;
    this.#say = say;
  }

  /** Agents that should answer at this moment. */
  well(): LocalAgent[] {
    return this.#mesh.agents.filter((agent) => !this.#hurt.has(agent));
  }

  /** Hurts somebody who is well; waits for one if nobody is. */
  async injure(): Promise<void> {
    const kind = this.#random.pick(this.#kinds);
    const agents = this.well();
    if (agents.length === 0) {
      await Promise.race(this.#healing);
      return this.injure();
    }
    const agent = this.#random.pick(agents);
    const pauseMs = this.#random.int(0, DOWN_MS_MAX);
    switch (kind) {
      case 'agent':
        return this.#down(kind, [agent], pauseMs, (one) => this.#mesh.kill(one));
      case 'machine':
        return this.#down(kind, [agent], pauseMs, (one) => this.#mesh.killMachine(one));
      case 'runner':
        return this.#killOne(kind, agent);
      case 'task':
        return this.#killOne(kind, agent);
      case 'freeze':
        return this.#freeze(agent, this.#random.int(FROZEN_MS_MIN, FROZEN_MS_MAX));
      case 'fullDisk':
        return this.#fillDisk(agent, this.#random.int(CUT_MS_MIN, CUT_MS_MAX));
      default:
        return this.#disconnect(kind, agent, agents, this.#random.int(CUT_MS_MIN, CUT_MS_MAX));
    }
  }

  /** Kills all agents at once, some with their runners. */
  async killEverybody(): Promise<void> {
    await this.healed();
    const withRunners = new Set(this.#mesh.agents.filter(() => this.#random.chance(0.5)));
    await this.#down('everybody', this.#mesh.agents, this.#random.int(0, DOWN_MS_MAX), (agent) =>
      withRunners.has(agent) ? this.#mesh.killMachine(agent) : this.#mesh.kill(agent),
    );
  }

  /** Resolves when nobody is hurt any more. */
  async healed(): Promise<void> {
    while (this.#healing.size > 0) await Promise.all(this.#healing);
  }

  /** Agents that are down although nobody killed them. */
  noteDeaths(): void {
    for (const agent of this.well())
      if (agent.process === undefined) {
        this.failures.push(`${agent.name} ended by itself; see its log`);
        this.#hurt.add(agent);
      }
  }

  async #down(
    kind: Injury,
    agents: readonly LocalAgent[],
    pauseMs: number,
    kill: (agent: LocalAgent) => Promise<void>,
  ): Promise<void> {
    this.noteDeaths();
    this.#count(kind, `${agents.map(({ name }) => name).join(', ')}, back in ${pauseMs} ms`);
    for (const agent of agents) this.#hurt.add(agent);
    await Promise.all(agents.map(kill));
    for (const agent of agents)
      this.#heal(agent, async () => {
        await sleep(pauseMs);
        await this.#mesh.startAgent(agent);
      });
  }

  async #freeze(agent: LocalAgent, frozenMs: number): Promise<void> {
    this.#count('freeze', `${agent.name} for ${frozenMs} ms`);
    this.#mesh.freeze(agent);
    this.#heal(agent, async () => {
      await sleep(frozenMs);
      this.#mesh.thaw(agent);
    });
  }

  #disconnect(
    kind: 'cut' | 'split' | 'deaf',
    agent: LocalAgent,
    agents: readonly LocalAgent[],
    cutMs: number,
  ): void {
    const { lan } = this.#ground;
    if (lan === undefined) return;
    const others = agents.filter((one) => one !== agent);
    const parts = kind === 'cut' || others.length === 0 ? [agent] : [agent, this.#random.pick(others)];
    this.#count(kind, `${parts.map(({ name }) => name).join(', ')} for ${cutMs} ms`);
    const mend = disconnect(
      lan,
      kind,
      parts.map((one) => this.#mesh.agents.indexOf(one)),
    );
    const mended = sleep(cutMs).then(mend);
    for (const part of parts) this.#heal(part, () => mended);
  }

  async #fillDisk(agent: LocalAgent, fullMs: number): Promise<void> {
    const host = this.#mesh.agents.indexOf(agent);
    this.#count('fullDisk', `${agent.name} for ${fullMs} ms`);
    await this.#ground.fillDisk(host);
    this.#heal(agent, async () => {
      await sleep(fullMs);
      await this.#ground.clearDisk(host);
      await until(`${agent.name} answers once its disk has room`, ANSWER_MS_MAX, async () => {
        return (await this.#mesh.status(agent)) !== undefined;
      });
    });
  }

  /** A process that its agent replaces by itself, or a task that is run again. */
  async #killOne(kind: 'runner' | 'task', agent: LocalAgent): Promise<void> {
    const candidates = (await processesBelow(agent.data)).filter(({ role }) => role === kind);
    if (candidates.length === 0) {
      this.#say(`${agent.name} runs no ${kind} at this moment`);
      return;
    }
    const { pid, words } = this.#random.pick(candidates);
    this.#count(kind, `${agent.name}, ${pid} (${words.slice(0, 40)})`);
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended between the look and the kill.
    }
  }

  #heal(agent: LocalAgent, heal: () => Promise<void>): void {
    this.#hurt.add(agent);
    const healing = heal()
      .catch((error: unknown) => {
        this.failures.push(`${agent.name} does not come back: ${String(error)}`);
      })
      .finally(() => {
        this.#hurt.delete(agent);
        this.#healing.delete(healing);
      });
    this.#healing.add(healing);
  }

  #count(kind: Injury, detail: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.#say(`${IN_WORDS[kind]}: ${detail}`);
  }
}

/** Returns what undoes it. */
function disconnect(lan: Lan, kind: 'cut' | 'split' | 'deaf', hosts: readonly number[]): () => void {
  const [one = 0, other] = hosts;
  if (kind === 'cut' || other === undefined) {
    lan.cut(one);
    return () => lan.mend(one);
  }
  lan.silence(other, one);
  if (kind === 'split') lan.silence(one, other);
  return () => {
    lan.unsilence(other, one);
    if (kind === 'split') lan.unsilence(one, other);
  };
}
