/** Which machine a node stands on. */
import { ShoalError } from '../../src/lib/errors.ts';
import type { CallOptions } from '../../src/model/control.ts';
import { idKey, type MachineId, MESH_GROUP } from '../../src/model/ids.ts';
import { callOf } from './blobs.ts';
import type { Surroundings } from './surroundings.ts';

type Around = Pick<Surroundings, 'self' | 'coordinator'>;

/** Throws NodeNotFound, and NodeNotReady where nobody hears from the machine. */
export async function machineOfNode(
  around: Around,
  pool: string,
  node: string,
  options: CallOptions = {},
): Promise<MachineId> {
  const { coordinator } = around;
  let allotment = coordinator.mesh?.allotment(node);
  if (allotment === undefined) {
    const all = await coordinator.router.query(MESH_GROUP, 'allotment.list', { pool }, callOf(options));
    allotment = all.find((one) => one.node === node);
  }
  if (allotment === undefined || idKey(allotment.pool) !== idKey(pool)) {
    throw new ShoalError('NodeNotFound', `The pool ${pool} has no node ${node}.`);
  }
  if (isUp(around, allotment.machine)) return allotment.machine;
  throw new ShoalError('NodeNotReady', `The machine of the node ${node} cannot be reached.`, { node });
}

/** Whether the machine is a member that somebody would answer on. */
export function isUp({ self, coordinator }: Around, machine: MachineId): boolean {
  if (machine === self) return true;
  return coordinator.mesh?.machine(machine) !== undefined && coordinator.presence.isAlive(machine);
}
