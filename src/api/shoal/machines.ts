/** Our routes of machines. */
import { ShoalError } from '../../lib/errors.ts';
import { idKey, type MachineId, MESH_GROUP } from '../../model/ids.ts';
import { unwrap } from '../../model/outcome.ts';
import type { ApiContext } from '../context.ts';
import { type Answer, type Call, empty, param, type Route } from '../route.ts';
import type { MeshStampCommand } from '../stamps.ts';
import { itemsAnswer } from './items.ts';

export function machineRoutes(context: ApiContext): readonly Route[] {
  const { control } = context;
  const one = '/shoal/v1/machines/:machine';
  const run = async (call: Call, command: MeshStampCommand): Promise<Answer> => {
    unwrap(await control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
    return empty(204);
  };
  return [
    {
      method: 'GET',
      path: '/shoal/v1/machines',
      name: 'Shoal_ListMachines',
      handle: async (call) =>
        itemsAnswer(await control.query(MESH_GROUP, 'machine.list', {}, call.options())),
    },
    {
      method: 'POST',
      path: `${one}/drain`,
      name: 'Shoal_DrainMachine',
      handle: async (call) =>
        run(call, { kind: 'machine.drain', machine: await findMachine(context, call), draining: true }),
    },
    {
      method: 'POST',
      path: `${one}/undrain`,
      name: 'Shoal_UndrainMachine',
      handle: async (call) =>
        run(call, { kind: 'machine.drain', machine: await findMachine(context, call), draining: false }),
    },
    {
      method: 'DELETE',
      path: one,
      name: 'Shoal_RemoveMachine',
      handle: async (call) =>
        run(call, { kind: 'machine.remove', machine: await findMachine(context, call) }),
    },
  ];
}

/** By name, PeerId or whole id: people know the first, logs show the others. Rejects with `MachineNotFound`. */
async function findMachine({ control }: ApiContext, call: Call): Promise<MachineId> {
  const wanted = param(call, 'machine');
  const machines = await control.query(MESH_GROUP, 'machine.list', {}, call.options());
  const found =
    machines.find((machine) => machine.id === wanted || machine.peer === wanted) ??
    machines.find((machine) => idKey(machine.name) === idKey(wanted));
  if (found !== undefined) return found.id;
  throw new ShoalError('MachineNotFound', undefined, { Machine: wanted.slice(0, 128) });
}
