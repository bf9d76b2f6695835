/** The mesh's machines as planners of voters see them; all caretakers that look at about the same time go by the same one. */
import type { Clock } from '../../src/lib/clock.ts';
import { CENSUS_KEPT_MS } from '../../src/lib/limits.ts';
import type { MachineId } from '../../src/model/ids.ts';
import type { MeshMachine } from '../core/mesh/machine.ts';
import { Census } from '../membership/census.ts';
import type { Presence } from './presence.ts';

/** What a census goes by beside the time. */
interface Basis {
  readonly machines: unknown;
  readonly groups: unknown;
  readonly presenceChanges: number;
}

export class CensusTaker {
  readonly #presence: Presence;
  readonly #clock: Clock;
  #last: { readonly census: Census; readonly atMs: number; readonly basis: Basis } | undefined;

  constructor(presence: Presence, clock: Clock) {
    this.#presence = presence;
    this.#clock = clock;
  }

  census(mesh: MeshMachine): Census {
    const atMs = this.#clock.monotonicMs();
    const basis = {
      machines: mesh.machines(),
      groups: mesh.groups(),
      presenceChanges: this.#presence.changes,
    };
    const last = this.#last;
    if (last !== undefined && atMs - last.atMs < CENSUS_KEPT_MS && isSame(last.basis, basis))
      return last.census;
    const census = this.#take(mesh);
    this.#last = { census, atMs, basis };
    return census;
  }

  #take(mesh: MeshMachine): Census {
    const votes = new Map<MachineId, number>();
    for (const { voters } of mesh.groups())
      for (const voter of voters) votes.set(voter, (votes.get(voter) ?? 0) + 1);
    return new Census(
      mesh.machines().map(({ id, scheduling }) => ({
        id,
        alive: this.#presence.isAlive(id),
        forMs: this.#presence.sinceMs(id),
        draining: scheduling === 'draining',
        votes: votes.get(id) ?? 0,
      })),
    );
  }
}

function isSame(a: Basis, b: Basis): boolean {
  return a.machines === b.machines && a.groups === b.groups && a.presenceChanges === b.presenceChanges;
}
