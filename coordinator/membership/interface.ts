/** What the planner of voters sees, and what it may ask for. */
import type { GroupId, MachineId } from '../../src/model/ids.ts';
import type { Census } from './census.ts';

/** A machine of the mesh; one that is not among these is off the allow-list. */
export interface VoterMachine {
  readonly id: MachineId;
  /** As the group's leader sees it now. */
  readonly alive: boolean;
  /** How long it has been so, ms. */
  readonly forMs: number;
  /** About to be taken away: it keeps its votes only while nobody can take them over. */
  readonly draining: boolean;
  /** Groups in which it votes. */
  readonly votes: number;
}

export interface VotersView {
  readonly group: GroupId;
  /** The leader, who plans. */
  readonly self: MachineId;
  /** The last configuration in the leader's log. */
  readonly voters: readonly MachineId[];
  readonly learners: readonly MachineId[];
  readonly machines: Census;
  /** Whether the log of this voter or learner is as long as the leader's, but for what is on its way. */
  readonly caughtUp: (machine: MachineId) => boolean;
  /** Default `VOTER_STABLE_MS`. */
  readonly stableMs?: number;
  /** Default `VOTER_DEAD_MS`. */
  readonly deadMs?: number;
}

/** One change of one voter, or a word to the one who should lead; `reason` is for people. */
export type VoterStep =
  | { readonly kind: 'addLearner' | 'promote' | 'remove'; readonly id: MachineId; readonly reason: string }
  | { readonly kind: 'addLearners'; readonly ids: readonly MachineId[]; readonly reason: string }
  | { readonly kind: 'transfer'; readonly to: MachineId; readonly reason: string };
