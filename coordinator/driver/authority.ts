/**
 * Who may bring a command to a leader on another machine. What clients ask for comes from any member, for any member
 * answers clients. The rest is what coordinators and machines say on their own account, and each of them only of its own:
 * a machine that errs, or is somebody else's by now, harms what it has a part in and no more.
 *
 * Coordinators are known by the mesh group's directory, which is a step ahead of the groups: a voter is announced there
 * before it votes, so it is known before it can lead, after a failover too. A leader whose copy of the directory may be
 * behind does not refuse for good, see `requireRight`.
 */
import { ShoalError } from '../../src/lib/errors.ts';
import type { Command } from '../../src/model/commands.ts';
import { type GroupId, type MachineId, MESH_GROUP, peerOfMachine, poolGroup } from '../../src/model/ids.ts';
import type { GroupRecord } from '../../src/model/queries.ts';

/** What rights go by: the mesh group's state. */
export interface Directory {
  group(group: GroupId): Pick<GroupRecord, 'voters' | 'next' | 'generation'> | undefined;
  allotment(node: string): { readonly pool: string } | undefined;
}

type Kind = Command['kind'];
type CommandOf<K extends Kind> = Extract<Command, { readonly kind: K }>;
/** `from`: the peer that brings it. */
type Right<C> = (from: string, command: C, directory: Directory) => boolean;

/** Only the leader's own loops propose it. */
const nobody = (): boolean => false;
/** A client asks for it. */
const client = (): boolean => true;
/** Any member lets a joiner in who has dialled it: the token is what is checked. */
const member = (): boolean => true;
const ofPool: Right<{ readonly pool: string }> = (from, { pool }, directory) =>
  votesIn(from, poolGroup(pool), directory);

/** Every kind stands here, so that a new one has its place thought of. */
const MAY_BRING: { readonly [K in Kind]: Right<CommandOf<K>> } = {
  'mesh.init': nobody,
  'token.create': client,
  'token.revoke': client,
  'machine.join': member,
  'machine.update': (from, { machine }) => machine.peer === from,
  'machine.drain': client,
  'machine.remove': client,
  'group.voters': mayReport,
  'pool.add': client,
  'pool.patch': client,
  'pool.resize': client,
  'pool.stopResize': client,
  'pool.removeNodes': client,
  'pool.enableAutoScale': client,
  'pool.disableAutoScale': client,
  'pool.autoScaled': ofPool,
  'pool.delete': client,
  'pool.erase': ofPool,
  allot: nobody,
  'node.released': (from, { nodes }, directory) =>
    nodes.every((node) => {
      const allotment = directory.allotment(node);
      return allotment === undefined || ofPool(from, allotment, directory);
    }),
  'job.reserve': client,
  'job.release': client,
  'schedule.add': client,
  'schedule.patch': client,
  'schedule.update': client,
  'schedule.disable': client,
  'schedule.enable': client,
  'schedule.terminate': client,
  'schedule.delete': client,
  'schedule.launch': nobody,
  'schedule.ended': nobody,
  'container.create': client,
  'container.delete': client,
  'blob.put': client,
  'blob.delete': client,
  'application.put': client,
  'application.update': client,
  'application.delete': client,
  // A machine tells of its own copies; whoever leads the mesh group has others made.
  'blob.holders': (from, { changes }, directory) =>
    votesIn(from, MESH_GROUP, directory) ||
    changes.every(({ add, remove }) => [...add, ...remove].every((holder) => peerOfMachine(holder) === from)),
  'mesh.sweep': nobody,
  mirror: nobody,
  'job.add': client,
  'job.patch': client,
  'job.update': client,
  'job.disable': client,
  'job.enable': client,
  'job.terminate': client,
  'job.delete': client,
  'task.add': client,
  'task.update': client,
  'task.terminate': client,
  'task.delete': client,
  'task.reactivate': client,
  assign: nobody,
  preempt: nobody,
  report: nobody,
  'node.lost': nobody,
  'node.heard': nobody,
  'node.restart': client,
  'node.scheduling': client,
  sweep: nobody,
};

/**
 * Throws Forbidden for what the peer may not bring. `isCurrent`: all that was decided before stands in the directory; where
 * it may not, who speaks for a group is asked to try again (ServerBusy).
 */
export function requireRight(
  from: string,
  command: { readonly kind: string },
  directory: Directory,
  isCurrent: boolean,
): void {
  const { kind } = command;
  // A kind that nobody knows is refused like one that nobody may bring.
  const right = Object.hasOwn(MAY_BRING, kind) ? (MAY_BRING[kind as Kind] as Right<unknown>) : nobody;
  if (holds(right, from, command, directory)) return;
  if (right !== nobody && !isCurrent)
    throw new ShoalError('ServerBusy', 'This leader does not know yet all that was decided before it led.');
  throw new ShoalError('Forbidden', `This peer may not propose ${kind.slice(0, 64)}.`);
}

/** What came over the wire need not have the shape of its kind. */
function holds(right: Right<unknown>, from: string, command: unknown, directory: Directory): boolean {
  try {
    return right(from, command, directory);
  } catch {
    return false;
  }
}

/**
 * A group's voters, those to come included, tell who votes there. A greater generation is that of a copy which was
 * recovered by hand: its machine may have been none of the last voters, so all that can be asked of it is to vote itself.
 * The same holds where there is no record, as after the mesh group was recovered from a copy that was older.
 */
function mayReport(
  from: string,
  { group, voters, generation }: CommandOf<'group.voters'>,
  directory: Directory,
): boolean {
  const known = directory.group(group);
  if (known !== undefined && generation <= known.generation) return votesIn(from, group, directory);
  return isAmong(from, voters);
}

function votesIn(from: string, group: GroupId, directory: Directory): boolean {
  const { voters = [], next = [] } = directory.group(group) ?? {};
  return isAmong(from, voters) || isAmong(from, next);
}

function isAmong(peer: string, machines: readonly MachineId[]): boolean {
  return machines.some((machine) => peerOfMachine(machine) === peer);
}
