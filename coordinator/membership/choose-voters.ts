/** The first voters of a new group, and the order in which machines are preferred as voters. */
import { VOTER_STABLE_MS } from '../../src/lib/limits.ts';
import type { MachineId } from '../../src/model/ids.ts';
import type { VoterMachine } from './interface.ts';

/** 3 live machines, or 1 where there are not so many; empty where none is alive. Votes are spread evenly over the mesh. */
export function chooseVoters(
  machines: readonly VoterMachine[],
  stableMs = VOTER_STABLE_MS,
): readonly MachineId[] {
  const alive = machines.filter((machine) => machine.alive).sort(byFitness);
  // A machine that came a second ago may be gone in another: it votes only where there are too few others.
  const stable = alive.filter((machine) => machine.forMs >= stableMs);
  const candidates =
    stable.length >= 3 ? stable : [...stable, ...alive.filter((machine) => !stable.includes(machine))];
  return candidates.slice(0, candidates.length >= 3 ? 3 : 1).map((machine) => machine.id);
}

/** Best first: up, not to be drained, with few votes; then by id, so that all who look agree. */
export function byFitness(a: VoterMachine, b: VoterMachine): number {
  return (
    Number(b.alive) - Number(a.alive) ||
    Number(a.draining) - Number(b.draining) ||
    a.votes - b.votes ||
    (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  );
}
