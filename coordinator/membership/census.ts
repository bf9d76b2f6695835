/**
 * The machines of a mesh as planners of voters see them at one moment. Made once for all groups that one machine leads: a
 * group has a handful of members, and its planning must not cost a look at all machines.
 */
import type { MachineId } from '../../src/model/ids.ts';
import type { VoterMachine } from './interface.ts';

export class Census {
  readonly machines: readonly VoterMachine[];
  /** How many are up. */
  readonly alive: number;
  readonly #byId: ReadonlyMap<MachineId, VoterMachine>;
  readonly #untilStableMs = new Map<number, number>();

  constructor(machines: readonly VoterMachine[]) {
    this.machines = machines;
    this.#byId = new Map(machines.map((machine) => [machine.id, machine]));
    this.alive = machines.reduce((count, { alive }) => count + Number(alive), 0);
  }

  get(id: MachineId): VoterMachine | undefined {
    return this.#byId.get(id);
  }

  has(id: MachineId): boolean {
    return this.#byId.has(id);
  }

  /** Until the next machine has been up for `stableMs`; infinite where each has been, or is down. */
  untilStableMs(stableMs: number): number {
    let leastMs = this.#untilStableMs.get(stableMs);
    if (leastMs === undefined) {
      leastMs = Number.POSITIVE_INFINITY;
      for (const { alive, forMs } of this.machines)
        if (alive && forMs < stableMs) leastMs = Math.min(leastMs, stableMs - forMs);
      this.#untilStableMs.set(stableMs, leastMs);
    }
    return leastMs;
  }
}
