/** The first voters of a new group, and the order in which machines are preferred as voters. */
import { VOTER_STABLE_MS } from '../../src/lib/limits.ts';
import type { MachineId } from '../../src/model/ids.ts';
import type { VoterMachine } from './interface.ts';

const VOTERS = 3;

/**
 * 3 machines, live ones first; 1 where the mesh has not so many, or no two of them are up; none where none is. Votes are
 * spread evenly over the mesh. Two live machines decide with a third that is down: what rests on one alone is lost where
 * that one turns out to be another by now, with an empty disk.
 */
export function chooseVoters(
  machines: readonly VoterMachine[],
  stableMs = VOTER_STABLE_MS,
): readonly MachineId[] {
  const alive = machines.filter((machine) => machine.alive);
  // A machine that came a second ago may be gone in another: it votes only where there are too few others.
  const stable = best(
    alive.filter((machine) => machine.forMs >= stableMs),
    VOTERS,
  );
  const others = stable.length >= VOTERS ? [] : best(alive, VOTERS + stable.length);
  const live = [...stable, ...others.filter((machine) => !stable.includes(machine))];
  const missing = live.length > VOTERS / 2 ? VOTERS - live.length : 0;
  const down = machines.filter((machine) => !machine.alive && !machine.draining);
  const candidates = [...live, ...(missing > 0 ? best(down, missing) : [])];
  return candidates.slice(0, candidates.length >= VOTERS ? VOTERS : 1).map((machine) => machine.id);
}

/** The first so many in the order of their fitness. Each job that is added asks, so a large mesh is not sorted for it. */
function best(machines: readonly VoterMachine[], count: number): VoterMachine[] {
  const found: VoterMachine[] = [];
  for (const machine of machines) {
    const last = found.length < count ? undefined : found.at(-1);
    if (last !== undefined && byFitness(machine, last) >= 0) continue;
    if (last !== undefined) found.pop();
    const at = found.findIndex((other) => byFitness(machine, other) < 0);
    found.splice(at < 0 ? found.length : at, 0, machine);
  }
  return found;
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
