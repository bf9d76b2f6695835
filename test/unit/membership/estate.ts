/** Machines that come, fall silent, return and are removed, and one group whose leader does what the planner says. */
import { Census } from '../../../coordinator/membership/census.ts';
import type { VoterMachine, VoterStep } from '../../../coordinator/membership/interface.ts';
import { planVoters } from '../../../coordinator/membership/plan-voters.ts';
import type { GroupId } from '../../../src/model/ids.ts';

export const STABLE_MS = 10_000;
export const DEAD_MS = 60_000;

interface Host {
  alive: boolean;
  sinceMs: number;
  draining: boolean;
}

export class Estate {
  readonly group: GroupId;
  readonly hosts = new Map<string, Host>();
  voters: string[];
  learners: string[] = [];
  leader: string;
  nowMs = 1_000_000;
  /** When a learner began to follow; it has the whole log a while later. */
  readonly #learnsSince = new Map<string, number>();
  readonly steps: VoterStep[] = [];

  constructor(group: GroupId, first: string) {
    this.group = group;
    this.voters = [first];
    this.leader = first;
    this.hosts.set(first, { alive: true, sinceMs: 0, draining: false });
  }

  join(id: string): void {
    this.hosts.set(id, { alive: true, sinceMs: this.nowMs, draining: false });
  }

  setAlive(id: string, alive: boolean): void {
    const host = this.hosts.get(id);
    if (host !== undefined && host.alive !== alive) Object.assign(host, { alive, sinceMs: this.nowMs });
  }

  drain(id: string, draining: boolean): void {
    const host = this.hosts.get(id);
    if (host !== undefined) host.draining = draining;
  }

  isAlive(id: string): boolean {
    return this.hosts.get(id)?.alive ?? false;
  }

  get aliveVoters(): number {
    return this.voters.filter((id) => this.isAlive(id)).length;
  }

  hasQuorum(): boolean {
    return this.aliveVoters >= majority(this.voters.length);
  }

  machines(): VoterMachine[] {
    return [...this.hosts].map(([id, { alive, sinceMs, draining }]) => ({
      id,
      alive,
      forMs: this.nowMs - sinceMs,
      draining,
      votes: this.voters.includes(id) ? 1 : 0,
    }));
  }

  plan(): VoterStep | undefined {
    if (!this.hasQuorum()) return undefined;
    if (!this.isAlive(this.leader) || !this.voters.includes(this.leader)) {
      this.leader = this.voters.find((id) => this.isAlive(id)) ?? this.leader;
    }
    return planVoters({
      group: this.group,
      self: this.leader,
      voters: this.voters,
      learners: this.learners,
      machines: new Census(this.machines()),
      caughtUp: (id) =>
        this.voters.includes(id) || this.nowMs - (this.#learnsSince.get(id) ?? this.nowMs) >= 2_000,
      stableMs: STABLE_MS,
      deadMs: DEAD_MS,
    });
  }

  /** One round of the leader: at most one step, then time passes. Returns whether there was a step. */
  round(stepMs = 1_000): boolean {
    const step = this.plan();
    if (step !== undefined) this.#carryOut(step);
    this.nowMs += stepMs;
    return step !== undefined;
  }

  /** Until nothing was to do for longer than any wait of the planner. */
  settle(): void {
    let quietMs = 0;
    for (let rounds = 0; quietMs <= DEAD_MS + STABLE_MS + 5_000; rounds += 1) {
      if (rounds > 2_000) throw new Error(`never at rest: ${JSON.stringify(this.steps.slice(-6))}`);
      quietMs = this.round() ? 0 : quietMs + 1_000;
    }
  }

  #addLearner(id: string): void {
    demand(!this.voters.includes(id) && !this.learners.includes(id), 'a new learner is new');
    this.learners.push(id);
    this.#learnsSince.set(id, this.nowMs);
  }

  #carryOut(step: VoterStep): void {
    this.steps.push(step);
    const had = this.hasQuorum();
    switch (step.kind) {
      case 'addLearner':
        this.#addLearner(step.id);
        break;
      case 'addLearners':
        for (const id of step.ids) this.#addLearner(id);
        break;
      case 'promote':
        demand(this.learners.includes(step.id), 'who is promoted was a learner');
        this.learners = this.learners.filter((id) => id !== step.id);
        this.voters.push(step.id);
        break;
      case 'remove':
        demand(step.id !== this.leader, 'the leader does not remove itself');
        demand(this.voters.includes(step.id) || this.learners.includes(step.id), 'who is removed was there');
        this.voters = this.voters.filter((id) => id !== step.id);
        this.learners = this.learners.filter((id) => id !== step.id);
        break;
      case 'transfer':
        demand(this.voters.includes(step.to) && this.isAlive(step.to), 'the new leader votes and is up');
        this.leader = step.to;
        break;
    }
    demand(had && this.hasQuorum(), `${JSON.stringify(step)} keeps the quorum`);
  }
}

export function founded(group: GroupId, names: readonly string[]): Estate {
  const estate = new Estate(group, names[0] ?? 'a');
  for (const name of names.slice(1)) estate.join(name);
  estate.settle();
  return estate;
}

export function majority(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

function demand(condition: boolean, what: string): void {
  if (!condition) throw new Error(`violated: ${what}`);
}
