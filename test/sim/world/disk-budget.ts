/**
 * How many disks a world may lose: each group must keep a majority of voters whose disks hold what was promised, and of two
 * copies of a content one must stay.
 */
import { MESH_GROUP } from '../../../src/model/ids.ts';
import type { SimMachine } from './sim-machine.ts';

const VOTERS_THAT_BEAR_A_LOSS = 3;

export class DiskBudget {
  readonly #machines: readonly SimMachine[];
  #isSpent = false;
  /** Whose chunks may go. */
  #victim: SimMachine | undefined;

  constructor(machines: readonly SimMachine[]) {
    this.#machines = machines;
  }

  /** True where this machine's disk may go: then no other one may. */
  spend(machine: SimMachine): boolean {
    return this.#bears(machine) && this.spendMember(machine);
  }

  /** True where this machine may be removed: then no disk may go. Whether each group bears it is for the mesh to tell. */
  spendMember(machine: SimMachine): boolean {
    if (this.#isSpent || !this.spendChunks(machine)) return false;
    this.#isSpent = true;
    return true;
  }

  /** True where some of this machine's chunks may go, now and later: then no other machine's may. */
  spendChunks(machine: SimMachine): boolean {
    this.#victim ??= machine;
    return this.#victim === machine;
  }

  /** By the leaders' configurations. A group that nobody leads just now, or that still grows, is not put at risk. */
  #bears(machine: SimMachine): boolean {
    const machines = this.#machines;
    const mesh = machines.find(({ isUp, life }) => isUp && life?.coordinator.leads(MESH_GROUP))?.life;
    const groups = mesh?.coordinator.mesh?.groups();
    if (groups === undefined) return false;
    return groups.every(({ group }) => {
      const leader = machines.find(({ isUp, life }) => isUp && life?.coordinator.leads(group));
      const replica = leader?.life?.coordinator.host.replica(group);
      if (replica === undefined) return false;
      // Also while a change of voters is on its way: by the end of the log and by what is applied.
      return [replica.raft.status().configuration, replica.meta.configuration].every(
        ({ voters, learners }) =>
          voters.length >= VOTERS_THAT_BEAR_A_LOSS || ![...voters, ...learners].includes(machine.id),
      );
    });
  }
}
