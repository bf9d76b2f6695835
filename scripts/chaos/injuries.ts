/** What can befall a mesh: processes killed with SIGKILL or stopped for a while, at random, and brought back. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../src/lib/prng.ts';
import { processesBelow } from '../local-mesh/census.ts';
import type { LocalAgent, LocalMesh } from '../local-mesh/local-mesh.ts';

/** `machine`: the agent with its runner and all tasks. `freeze`: SIGSTOP, later SIGCONT, of an agent. */
const KINDS = ['agent', 'agent', 'runner', 'machine', 'task', 'task', 'freeze'] as const;
export type Injury = (typeof KINDS)[number] | 'everybody';

const DOWN_MS_MAX = 3_000;
const FROZEN_MS_MIN = 500;
/** Twice a lease: some freezes end before the runner kills, some long after the tasks run elsewhere. */
const FROZEN_MS_MAX = 6_000;

export class Injuries {
  readonly #mesh: LocalMesh;
  readonly #random: Prng;
  readonly #say: (text: string) => void;
  /** Agents that are down, frozen or starting: left alone until they are well. */
  readonly #hurt = new Set<LocalAgent>();
  readonly #healing = new Set<Promise<void>>();
  readonly counts = new Map<Injury, number>();
  readonly failures: string[] = [];

  constructor(mesh: LocalMesh, random: Prng, say: (text: string) => void) {
    this.#mesh = mesh;
    this.#random = random;
    this.#say = say;
  }

  /** Agents that should answer at this moment. */
  well(): LocalAgent[] {
    return this.#mesh.agents.filter((agent) => !this.#hurt.has(agent));
  }

  /** Hurts somebody who is well; waits for one if nobody is. */
  async injure(): Promise<void> {
    const kind = this.#random.pick(KINDS);
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
    this.#say(`${kind === 'freeze' ? 'stop' : 'kill'} ${kind}: ${detail}`);
  }
}
