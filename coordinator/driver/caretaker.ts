/**
 * Keeps the voters of a group that this machine leads as they should be, one committed step after another. Between steps
 * it looks as soon as what it waits for may have come: a configuration is committed, a learner has the log, a machine
 * came, or was there long enough. The slow look beside that is for everything that just takes time.
 */
import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import {
  CARETAKER_GATHER_MS,
  CARETAKER_PERIOD_MS,
  MACHINES_WATCHED_MAX,
  RAFT_CAUGHT_UP_ENTRIES,
  VOTER_STABLE_FIRST_MS,
  VOTER_STABLE_MS,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { type MachineId, MESH_GROUP } from '../../src/model/ids.ts';
import type { Progress, RaftStatus } from '../consensus/index.ts';
import type { MeshMachine } from '../core/mesh/machine.ts';
import type { Census } from '../membership/census.ts';
import type { VoterStep } from '../membership/interface.ts';
import { planVoters } from '../membership/plan-voters.ts';
import type { GroupHost } from './group-host.ts';
import type { Presence } from './presence.ts';
import type { Replica } from './replica.ts';
import type { Router } from './router.ts';

export interface CaretakerOptions {
  readonly replica: Replica;
  readonly host: GroupHost;
  readonly router: Router;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Log;
  readonly self: MachineId;
  readonly mesh: () => MeshMachine | undefined;
  /** Of the mesh's machines, now. */
  readonly census: (mesh: MeshMachine) => Census;
}

export class Caretaker {
  readonly #options: CaretakerOptions;
  #timer: Timer | undefined;
  /** Goes off when the next machine will have been up long enough. */
  #stableTimer: Timer | undefined;
  #reporting = false;
  /** Of this leader's. A replica leads a term once, and has one caretaker then. */
  #reports = 0;
  /** The next voters that the mesh's directory knows of by the last report. */
  #announced: readonly MachineId[] | undefined;
  /** A change is on its way, so that every turn of the group may be the one it was waiting for. */
  #changing = true;
  #lookDue = false;
  #stopped = false;

  constructor(options: CaretakerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = every(this.#options.clock, CARETAKER_PERIOD_MS, () => this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#stableTimer?.cancel();
  }

  /** A turn of the group has ended. */
  onTurn(): void {
    if (this.#changing) this.wake();
  }

  /** A machine came or went, or the mesh's list of them changed. */
  wake(): void {
    if (this.#lookDue || this.#stopped) return;
    this.#lookDue = true;
    const look = (): void => {
      this.#lookDue = false;
      if (!this.#stopped) this.#look();
    };
    const { clock, mesh } = this.#options;
    // Of a large mesh something changes all the time, and each look is at all of it.
    const machines = mesh()?.machines().length ?? 0;
    if (machines > MACHINES_WATCHED_MAX) clock.after(CARETAKER_GATHER_MS, look);
    else clock.soon(look);
  }

  #look(): void {
    const { replica, presence, self, mesh: meshOf, census } = this.#options;
    const mesh = meshOf();
    if (mesh?.settings() === undefined) return;
    const status = replica.raft.status();
    if (status.role !== 'leader') return;
    const { voters, learners } = status.configuration;
    // The next step is planned on a configuration that is committed here, by an entry of this leader's own term: until
    // then one of an earlier leader may yet come to count.
    this.#changing =
      replica.meta.term !== status.term || !sameMembers(status.configuration, replica.meta.configuration);
    if (this.#changing) return;
    const machines = census(mesh);
    // A group of one dies with its machine, and one of two with either: it grows as soon as there are machines to grow to.
    const stableMs = voters.length < 3 ? VOTER_STABLE_FIRST_MS : VOTER_STABLE_MS;
    const progress = status.progress();
    const caughtUp = (machine: MachineId): boolean => isCaughtUp(progress.get(machine), status.lastIndex);
    const step = planVoters({ group: replica.group, self, voters, learners, machines, stableMs, caughtUp });
    const next = votersAfter(voters, step);
    const announced = this.#tellVoters(mesh, status, next);
    if (step !== undefined && (next === undefined || announced)) this.#take(step);
    this.#changing =
      (step !== undefined && step.kind !== 'transfer' && (next === undefined || announced)) ||
      learners.some((id) => presence.isAlive(id) && !caughtUp(id));
    this.#lookWhenStable(machines, stableMs);
  }

  #lookWhenStable(machines: Census, stableMs: number): void {
    const waitMs = machines.untilStableMs(stableMs);
    this.#stableTimer?.cancel();
    if (Number.isFinite(waitMs)) this.#stableTimer = this.#options.clock.after(waitMs, () => this.wake());
  }

  #take(step: VoterStep): void {
    const { replica, host, log } = this.#options;
    log.info({ group: replica.group, ...step }, 'the members of a group change');
    if (step.kind === 'transfer') replica.raft.transferLeadership(step.to);
    else replica.raft.proposeChange(step);
    // A transfer under way leaves nothing to do, and a turn without work would only come back here.
    if (replica.hasWork()) host.wake(replica);
  }

  /**
   * The mesh group's directory of voters follows the group, and is one step ahead of it: `machine.remove` goes by the
   * directory, so it must know of a change before the group begins to decide by it. Returns whether these next voters
   * are known there, by the answer to the last report: what any earlier one said is void then, wherever it may still be.
   */
  #tellVoters(mesh: MeshMachine, status: RaftStatus, next: readonly MachineId[] | undefined): boolean {
    if (this.#reporting) return false;
    const { group, generation } = this.#options.replica;
    const voters = [...status.configuration.voters].sort();
    const record = mesh.group(group);
    const known =
      record !== undefined &&
      record.generation === generation &&
      sameList([...record.voters].sort(), voters) &&
      sameList(record.next ?? [], next ?? []);
    if (next === undefined ? known : sameList(this.#announced ?? [], next)) return true;
    this.#report({ voters, next, term: status.term });
    return false;
  }

  #report(change: {
    voters: readonly MachineId[];
    next: readonly MachineId[] | undefined;
    term: number;
  }): void {
    const { replica, router, log } = this.#options;
    const { group, generation } = replica;
    const { voters, next, term } = change;
    const failed = (message: string | undefined): void =>
      log.debug({ group, error: message }, 'the voters could not be told to the mesh; it is tried again');
    this.#reporting = true;
    this.#announced = undefined;
    router
      .propose(MESH_GROUP, {
        kind: 'group.voters',
        group,
        voters,
        ...(next === undefined ? {} : { next }),
        report: { term, number: this.#reports++ },
        generation,
      })
      .then((outcome) => {
        if (outcome.ok) this.#announced = next;
        else failed(outcome.message);
        return outcome.ok && next !== undefined;
      })
      .catch((error: unknown) => {
        failed(asShoalError(error).message);
        return false;
      })
      .then((goOn) => {
        this.#reporting = false;
        if (goOn) this.wake();
      });
  }
}

/** Who votes once this step is taken; undefined where it changes nobody's vote. */
function votersAfter(
  voters: readonly MachineId[],
  step: VoterStep | undefined,
): readonly MachineId[] | undefined {
  if (step?.kind === 'promote') return [...voters, step.id].sort();
  if (step?.kind !== 'remove' || !voters.includes(step.id)) return undefined;
  return voters.filter((id) => id !== step.id).sort();
}

function isCaughtUp(progress: Progress | undefined, lastIndex: number): boolean {
  return progress?.state === 'replicate' && progress.match + RAFT_CAUGHT_UP_ENTRIES >= lastIndex;
}

function sameMembers(a: RaftStatus['configuration'], b: RaftStatus['configuration']): boolean {
  return sameList(a.voters, b.voters) && sameList(a.learners, b.learners);
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, position) => item === b[position]);
}
