import { type GroupId, MESH_GROUP } from '../../src/model/ids.ts';
import type { StateMachine } from '../core/interface.ts';
import { MeshMachine } from '../core/mesh/machine.ts';
import { PoolMachine } from '../core/pool/machine.ts';

/** The state machine of a group, empty. */
export function createStateMachine(group: GroupId): StateMachine<unknown> {
  return group === MESH_GROUP ? new MeshMachine() : new PoolMachine(group.slice('pool:'.length));
}
