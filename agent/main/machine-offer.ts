/** What this machine says of itself to the mesh. */
import type { MachineOffer } from '../../src/model/commands.ts';
import { machineId } from '../../src/model/ids.ts';
import type { Capacity } from '../../src/model/machine.ts';

export function offerOf(machine: {
  readonly peer: string;
  readonly incarnation: string;
  readonly name: string;
  readonly capacity: Capacity;
  readonly addresses: readonly string[];
  readonly version: string;
}): MachineOffer {
  const { peer, incarnation, name, capacity, addresses, version } = machine;
  return { id: machineId(peer, incarnation), peer, name, capacity, addresses, version };
}
