/** Ids of Azure Batch: 1 to 64 of letters, digits, `-` and `_`; they keep their case and are unique without it. */
import { ID_LENGTH_MAX } from '../lib/limits.ts';

/** PeerId of a libp2p node, base58. */
export type PeerId = string;

/** `<PeerId>/<store incarnation>`: a wiped disk is a new machine. */
export type MachineId = string;

/** `mesh`, or `pool:<lower-case pool id>`. */
export type GroupId = 'mesh' | `pool:${string}`;

export const MESH_GROUP: GroupId = 'mesh';

export function poolGroup(poolId: string): GroupId {
  return `pool:${idKey(poolId)}`;
}

export function machineId(peer: PeerId, incarnation: string): MachineId {
  return `${peer}/${incarnation}`;
}

export function peerOfMachine(machine: MachineId): PeerId {
  const slash = machine.indexOf('/');
  return slash < 0 ? machine : machine.slice(0, slash);
}

/** The form under which ids are compared and indexed. */
export function idKey(id: string): string {
  return id.toLowerCase();
}

const ID_SHAPE = new RegExp(`^[A-Za-z0-9_-]{1,${ID_LENGTH_MAX}}$`);

export function isValidId(id: string): boolean {
  return ID_SHAPE.test(id);
}

/** Ids of jobs made by a schedule are `<schedule>:job-<n>`; nobody can add such a job. */
export const JOB_REFERENCE_PATTERN = `^[A-Za-z0-9_-]{1,${ID_LENGTH_MAX}}(?::job-[1-9][0-9]{0,9})?$`;
const JOB_REFERENCE_SHAPE = new RegExp(JOB_REFERENCE_PATTERN);

export function isValidJobReference(id: string): boolean {
  return JOB_REFERENCE_SHAPE.test(id);
}
