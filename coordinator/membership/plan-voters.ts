/**
 * Who votes: after HashiCorp's autopilot (stabilization time, dead server clean-up, redundancy by spares), for groups
 * of 1, 3 or 5 voters and never 2 or 4 at rest, as a group of 2 survives no more than a group of 1 and fails twice as
 * often. The planner looks at one group as it is now and names the one next step; the leader carries it out, and asks
 * again once it is committed. It keeps no memory, so a new leader goes on where the old one stopped.
 *
 * Growing goes through an even number. Both newcomers are learners first, and only once both have the whole log and
 * were up for a while are they promoted, one right after the other.
 *
 * Replacing a dead voter: autopilot adds the new voter and then removes the dead one; etcd's runtime reconfiguration
 * guide removes first. With 3 voters of which 1 is dead, A and B are needed for every commit. Adding N first makes 4
 * voters, a majority of 3: now A, B and N are all needed, and if N (the machine we know least) fails before the dead
 * voter is removed, the quorum is lost although A and B live. Removing first makes 2 voters, A and B, needed before as
 * well; and then N makes 3 of 3. So: N becomes a learner and catches up (nothing is at risk meanwhile), the dead voter
 * is removed, N is promoted. With 5 voters both orders keep the same margin. A voter that is alive and only to be
 * drained still counts, so there the order is the other one: promote first.
 *
 * Every removal is checked against the quorum that is left, and without a quorum nothing is planned at all: that is
 * for `shoal recover`.
 */
import {
  LEARNERS_ADDED_MAX,
  VOTER_DEAD_MS,
  VOTER_STABLE_MS,
  VOTERS_MESH_MAX,
  VOTERS_MESH_MAX_FROM_MACHINES,
} from '../../src/lib/limits.ts';
import type { MachineId } from '../../src/model/ids.ts';
import { MESH_GROUP } from '../../src/model/ids.ts';
import type { Census } from './census.ts';
import { byFitness } from './choose-voters.ts';
import type { VoterMachine, VoterStep, VotersView } from './interface.ts';

/** The one next step towards a sound configuration; undefined where there is none to take now. */
export function planVoters(view: VotersView): VoterStep | undefined {
  const outlook = new Outlook(view);
  if (outlook.aliveVoters < majority(view.voters.length)) return undefined;
  return (
    handOver(outlook) ??
    removeDeadVoter(outlook) ??
    (view.voters.length % 2 === 0 ? leaveEvenNumber(outlook) : growOrReplace(outlook)) ??
    tendLearners(outlook)
  );
}

/**
 * What the rules below ask about. Only what concerns the group's own members is worked out at once: of a group that is as
 * it should be no rule asks for more, and a mesh has many machines.
 */
class Outlook {
  readonly view: VotersView;
  readonly machines: Census;
  readonly aliveVoters: number;
  /** Silent for too long, or no member any more; the ones that are no member first. */
  readonly deadVoters: readonly MachineId[];
  /** The most voters that the live machines warrant: 1, 3 or 5. */
  readonly limit: number;
  readonly #stableMs: number;
  #ready: readonly VoterMachine[] | undefined;

  constructor(view: VotersView) {
    const { group, voters, machines, deadMs = VOTER_DEAD_MS } = view;
    this.view = view;
    this.machines = machines;
    // An even number is left as fast as can be: whoever has the whole log may vote, however young.
    this.#stableMs = voters.length % 2 === 0 ? 0 : (view.stableMs ?? VOTER_STABLE_MS);
    const strangers = voters.filter((id) => !machines.has(id));
    const silent = voters.filter((id) => {
      const machine = machines.get(id);
      return machine !== undefined && !machine.alive && machine.forMs >= deadMs;
    });
    this.aliveVoters = voters.filter((id) => machines.get(id)?.alive).length;
    this.deadVoters = [...strangers, ...silent];
    this.limit = votersFor(group === MESH_GROUP, machines.alive);
  }

  /** Machines that are up, do not vote and could. */
  spares(): VoterMachine[] {
    const { voters, machines } = this.view;
    return machines.machines.filter(({ id, alive }) => alive && !voters.includes(id));
  }

  hasSpares(): boolean {
    return this.machines.alive > this.aliveVoters;
  }

  /** Spares up for long enough. */
  stable(): VoterMachine[] {
    return this.spares().filter((machine) => this.#isStable(machine));
  }

  /** Stable spares that are learners and have the whole log: best first. */
  get ready(): readonly VoterMachine[] {
    const { voters, learners, machines, caughtUp } = this.view;
    this.#ready ??= learners
      .flatMap((id) => machines.get(id) ?? [])
      .filter(
        (machine) =>
          machine.alive && !voters.includes(machine.id) && this.#isStable(machine) && caughtUp(machine.id),
      )
      .sort(byFitness);
    return this.#ready;
  }

  #isStable({ forMs }: VoterMachine): boolean {
    return forMs >= this.#stableMs;
  }
}

function votersFor(meshGroup: boolean, aliveMachines: number): number {
  if (meshGroup && aliveMachines >= VOTERS_MESH_MAX_FROM_MACHINES) return VOTERS_MESH_MAX;
  return aliveMachines >= 3 ? 3 : 1;
}

function majority(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** A leader that was removed from the mesh or is being drained lets another voter lead while it can. */
function handOver({ view, machines }: Outlook): VoterStep | undefined {
  const own = machines.get(view.self);
  if (own !== undefined && !own.draining) return undefined;
  const heir = view.voters
    .flatMap((id) => machines.get(id) ?? [])
    .filter(({ id, alive, draining }) => id !== view.self && alive && !draining && view.caughtUp(id))
    .sort(byFitness)[0];
  if (heir === undefined) return undefined;
  return {
    kind: 'transfer',
    to: heir.id,
    reason: own === undefined ? 'the leader was removed from the mesh' : 'the leader is being drained',
  };
}

function removeDeadVoter(outlook: Outlook): VoterStep | undefined {
  const { view, machines, deadVoters } = outlook;
  const dead = deadVoters.find((id) => id !== view.self);
  if (dead === undefined) return undefined;
  const stranger = !machines.has(dead);
  const odd = view.voters.length % 2 === 1;
  // From an odd number a removal leads to an even one, so the way on must be open: a ready learner to promote, a
  // second dead voter to remove, or, for one that is no member any more and that nobody will replace, a shrinking.
  const wayOn = outlook.ready.length > 0 || deadVoters.length > 1 || (stranger && !outlook.hasSpares());
  if (odd && !wayOn) return undefined;
  return remove(
    outlook,
    dead,
    stranger ? 'the machine was removed from the mesh' : 'the voter is silent for too long',
  );
}

/** With 2 or 4 voters: up if a learner is ready, wait if one will be, else down. */
function leaveEvenNumber(outlook: Outlook): VoterStep | undefined {
  const { view, machines, limit } = outlook;
  if (view.voters.length < limit) {
    const next = outlook.ready[0];
    if (next !== undefined) return promote(next.id, 'one more voter makes the number odd');
    if (outlook.hasSpares()) return undefined;
  }
  const worst = view.voters
    .filter((id) => id !== view.self)
    .flatMap((id) => machines.get(id) ?? [])
    .sort((a, b) => byFitness(b, a))[0];
  return worst === undefined ? undefined : remove(outlook, worst.id, 'one voter less makes the number odd');
}

/** With 1, 3 or 5 voters: two more at once, or one for another. */
function growOrReplace(outlook: Outlook): VoterStep | undefined {
  const { view, machines, limit, aliveVoters } = outlook;
  // A silent voter makes each newcomer one that the quorum depends on: first it must come back, or be given up.
  if (aliveVoters < view.voters.length) return undefined;
  const drained = view.voters.find((id) => machines.get(id)?.draining);
  if (view.voters.length >= limit && drained === undefined) return undefined;
  const [first, second] = outlook.ready;
  if (first === undefined) return undefined;
  if (second !== undefined && view.voters.length + 2 <= limit) {
    return promote(first.id, `the mesh has machines enough for ${view.voters.length + 2} voters`);
  }
  if (drained !== undefined && !first.draining)
    return promote(first.id, 'it takes the vote of a machine that is being drained');
  return undefined;
}

/** Learners cost a log, but no vote: every machine has one of the mesh group's; in a pool's they are those about to vote. */
function tendLearners(outlook: Outlook): VoterStep | undefined {
  const { view, machines } = outlook;
  const stranger = view.learners.find((id) => !machines.has(id));
  if (stranger !== undefined)
    return { kind: 'remove', id: stranger, reason: 'the machine was removed from the mesh' };
  if (view.group === MESH_GROUP) return addFollowers(outlook);
  const wanted = learnersOfPool(outlook);
  const isNew = ({ id }: VoterMachine): number => (view.learners.includes(id) ? 0 : 1);
  // One that learns already goes before one that would begin, but not before one that will stay longer.
  const candidates = (wanted === 0 ? [] : outlook.stable()).sort(
    (a, b) => Number(a.draining) - Number(b.draining) || isNew(a) - isNew(b) || byFitness(a, b),
  );
  const kept = new Set(candidates.slice(0, wanted).map(({ id }) => id));
  const missing = [...kept].find((id) => !view.learners.includes(id));
  if (missing !== undefined) return addLearner(missing, 'it is to vote, or to hold the second copy');
  // Fewer than wanted: a learner that was silent for a moment is worth waiting for, as its log is nearly there.
  if (kept.size < wanted) return undefined;
  const { deadMs = VOTER_DEAD_MS } = view;
  const spare = view.learners.find((id) => {
    const machine = machines.get(id);
    return machine !== undefined && !kept.has(id) && (machine.alive || machine.forMs >= deadMs);
  });
  return spare === undefined
    ? undefined
    : { kind: 'remove', id: spare, reason: 'it is not needed as a learner' };
}

/** Each such change names all members, and goes to all of them: so all who wait come with one. */
function addFollowers(outlook: Outlook): VoterStep | undefined {
  const learning = new Set(outlook.view.learners);
  const strays = outlook.spares().filter(({ id }) => !learning.has(id));
  const ids = strays
    .sort(byFitness)
    .slice(0, LEARNERS_ADDED_MAX)
    .map(({ id }) => id);
  const [first, ...others] = ids;
  if (first === undefined) return undefined;
  const reason = 'every machine follows the mesh group';
  return others.length === 0 ? addLearner(first, reason) : { kind: 'addLearners', ids, reason };
}

/** As many as are to be promoted next; beside a single voter one, which holds a second copy of the log. */
function learnersOfPool(outlook: Outlook): number {
  const { view, machines, limit, deadVoters } = outlook;
  const voters = view.voters.length;
  const growth = limit > voters ? limit - voters : 0;
  const drained = view.voters.filter((id) => machines.get(id)?.draining).length;
  // A dead voter's place goes to anybody, a draining one's only to a machine that stays.
  const staying = drained === 0 ? 0 : outlook.stable().filter(({ draining }) => !draining).length;
  const replacements = deadVoters.length + Math.min(drained, staying);
  return Math.max(growth, replacements, voters === 1 ? 1 : 0);
}

function addLearner(id: MachineId, reason: string): VoterStep {
  return { kind: 'addLearner', id, reason };
}

function promote(id: MachineId, reason: string): VoterStep {
  return { kind: 'promote', id, reason };
}

/** Undefined where the voters that are left could not commit even this removal. */
function remove(
  { view, machines, aliveVoters }: Outlook,
  id: MachineId,
  reason: string,
): VoterStep | undefined {
  const aliveLeft = aliveVoters - (machines.get(id)?.alive ? 1 : 0);
  return aliveLeft >= majority(view.voters.length - 1) ? { kind: 'remove', id, reason } : undefined;
}
