/** Commands by which machines come into the mesh, change and leave it. */

import type { MachineOffer, MeshCommand, Outcome } from '../../../src/model/commands.ts';
import type { MachineId } from '../../../src/model/ids.ts';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { PoolSpec } from '../../../src/model/pool.ts';
import { refuse } from '../refusal.ts';
import { keepsMajority } from './groups.ts';
import type { Member } from './members.ts';
import { checkOffer } from './members.ts';
import { SETTINGS_ROW } from './rows.ts';
import type { MeshState } from './state.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

type CommandOf<K extends MeshCommand['kind']> = Extract<MeshCommand, { kind: K }>;

/** Low-priority nodes on every machine, so that work runs at once and still gives way to a pool that wants the machine. */
const DEFAULT_POOL: PoolSpec = {
  id: 'default',
  vmSize: 'machine',
  everyMachine: true,
  slotsFromCores: true,
};

export function initMesh(state: MeshState, turn: Turn, command: CommandOf<'mesh.init'>): Outcome<unknown> {
  if (state.settings !== undefined) return refuse('AlreadyInitialized');
  const refusal = checkOffer(command.machine);
  if (refusal !== undefined) return refusal;
  const { meshId, accountName, accountKey, apiSecret } = command.settings;
  state.settings = { meshId, accountName, accountKey, ...(apiSecret === undefined ? {} : { apiSecret }) };
  turn.put(SETTINGS_ROW, state.settings);
  const founder = enrol(state, turn, command.machine, command.machine.peer);
  state.groups.found(turn, MESH_GROUP, [founder.id]);
  state.groups.found(turn, poolGroup(DEFAULT_POOL.id), [founder.id]);
  return { ok: true, value: state.pools.add(turn, DEFAULT_POOL) };
}

export function createToken(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'token.create'>,
): Outcome<unknown> {
  // Else the token's end would take a member off the allow-list.
  if (state.members.byPeer(command.peer) !== undefined) {
    return refuseProperty('token.peer', command.peer, 'it is the identity of a member.');
  }
  return state.tokens.create(turn, command) ?? { ok: true, value: turn.stamp() };
}

export function revokeToken(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'token.revoke'>,
): Outcome<unknown> {
  const token = state.tokens.get(command.id);
  if (token === undefined) return refuse('TokenNotFound');
  state.tokens.remove(turn, token);
  return { ok: true, value: turn.stamp() };
}

/**
 * The last use of a token takes its identity off the allow-list, so a joiner whose answer got lost asks again as
 * itself, or over the connection that is still open; the latter is why one that came in by this token is let in twice.
 */
export function joinMachine(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'machine.join'>,
): Outcome<unknown> {
  const refusal = checkOffer(command.machine);
  if (refusal !== undefined) return refusal;
  const offer = command.machine;
  const member = state.members.byPeer(offer.peer);
  if (member !== undefined && member.id === offer.id && member.joinedWith === command.tokenPeer) {
    refreshMember(state, turn, member, offer);
    return joined(state, offer);
  }
  const token = state.tokens.byPeer(command.tokenPeer);
  if (token === undefined || token.expiresAtMs <= turn.timeMs) {
    return refuse(
      'InvalidToken',
      token === undefined ? 'The join token is unknown, used up or revoked.' : 'The join token has expired.',
    );
  }
  if (state.tokens.byPeer(offer.peer) !== undefined) {
    return refuseProperty('machine.peer', offer.peer, 'a machine cannot take the identity of a join token.');
  }
  state.tokens.use(turn, token);
  if (member === undefined) enrol(state, turn, offer, command.tokenPeer);
  else changeMember(state, turn, member, offer, command.tokenPeer);
  return joined(state, offer);
}

function joined(state: MeshState, offer: MachineOffer): Outcome<unknown> {
  return { ok: true, value: { machine: offer.id, settings: state.settings } };
}

export function updateMachine(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'machine.update'>,
): Outcome<unknown> {
  const refusal = checkOffer(command.machine);
  if (refusal !== undefined) return refusal;
  const member = state.members.byPeer(command.machine.peer);
  if (member === undefined)
    return refuse('NotAMember', `The peer ${command.machine.peer} is no member of this mesh.`);
  changeMember(state, turn, member, command.machine, member.joinedWith);
  return { ok: true, value: turn.stamp() };
}

export function drainMachine(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'machine.drain'>,
): Outcome<unknown> {
  const member = state.members.get(command.machine);
  if (member === undefined) return refuse('MachineNotFound');
  const scheduling = command.draining ? 'draining' : 'enabled';
  if (member.scheduling === scheduling) return { ok: true, value: turn.stamp() };
  state.members.setScheduling(turn, member, scheduling);
  // Nodes already called back stay so: their pools have begun to end them. The packer allots new ones after an undrain.
  if (command.draining) {
    for (const allotment of state.allotments.onMachine(member.id)) {
      state.allotments.leave(turn, allotment, { option: 'taskcompletion', reason: 'drain' });
    }
  }
  tellAllPools(state, turn);
  turn.event('machine.scheduling', `The machine ${member.name} is ${scheduling}.`, {
    machine: member.name,
    scheduling,
  });
  return { ok: true, value: turn.stamp() };
}

export function removeMachine(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'machine.remove'>,
): Outcome<unknown> {
  const member = state.members.get(command.machine);
  if (member === undefined) return refuse('MachineNotFound');
  if (state.members.size === 1) {
    return refuse('OperationInvalidForCurrentState', 'The last machine of a mesh cannot be removed.');
  }
  const stranded = groupStrandedWithout(state, member.id, command.silent ?? []);
  if (stranded !== undefined) {
    return refuse(
      'OperationInvalidForCurrentState',
      `Without ${member.name} the group ${stranded} has no majority of its voters left: drain the machine, wait until ` +
        'others vote in its place (`shoal status` shows it), and remove it then; or, if the machine is lost, run ' +
        '`shoal recover` for the group first.',
    );
  }
  removeMember(state, turn, member);
  return { ok: true, value: turn.stamp() };
}

/**
 * A machine off the allow-list can talk to nobody, so a group that needs its vote would stop for ever, and for a
 * single voter take the only full copy with it. A group that is changing decides by its voters or by the next ones;
 * nobody here can tell by which. Machines that are silent cannot stand in, unless the one to be removed is silent too:
 * then the group loses nothing that it has now.
 */
function groupStrandedWithout(
  state: MeshState,
  machine: MachineId,
  silent: readonly MachineId[],
): string | undefined {
  const missed = silent.includes(machine) ? [] : silent;
  const isLeft = (voter: MachineId): boolean =>
    voter !== machine && state.members.get(voter) !== undefined && !missed.includes(voter);
  return state.groups
    .all()
    .find(({ voters, next = voters }) =>
      [voters, next].some((some) => some.includes(machine) && !keepsMajority(some, isLeft)),
    )?.group;
}

function enrol(state: MeshState, turn: Turn, offer: MachineOffer, joinedWith: string): Member {
  const number = state.counters.take(turn, 'machine');
  const member = state.members.enrol(turn, offer, { number, joinedWith });
  announce(state, turn, member);
  return member;
}

/** The same store: an update. Another one: the disk was wiped, and what the old machine held, ran and voted is gone. */
function changeMember(
  state: MeshState,
  turn: Turn,
  member: Member,
  offer: MachineOffer,
  joinedWith: string,
): void {
  if (member.id === offer.id) {
    refreshMember(state, turn, member, offer);
    return;
  }
  dropNodes(state, turn, member);
  const number = state.counters.take(turn, 'machine');
  const successor = state.members.enrol(turn, offer, { number, joinedWith, replaces: member });
  turn.effect({ kind: 'blobsChanged' });
  announce(state, turn, successor);
}

function announce(state: MeshState, turn: Turn, member: Member): void {
  turn.effect({ kind: 'allowListChanged' });
  tellAllPools(state, turn);
  turn.event('machine.joined', `The machine ${member.name} joined.`, { machine: member.name });
}

function refreshMember(state: MeshState, turn: Turn, member: Member, offer: MachineOffer): void {
  const updated = state.members.update(turn, member, offer);
  for (const allotment of state.allotments.onMachine(member.id)) {
    state.allotments.refit(turn, allotment, updated, state.pools.get(allotment.pool));
  }
  turn.effect({ kind: 'allowListChanged' });
  tellAllPools(state, turn);
}

function removeMember(state: MeshState, turn: Turn, member: Member): void {
  dropNodes(state, turn, member);
  state.members.remove(turn, member);
  turn.effect({ kind: 'allowListChanged' });
  turn.effect({ kind: 'blobsChanged' });
  turn.event('machine.removed', `The machine ${member.name} was removed.`, { machine: member.name });
}

/** Its nodes are gone, not leaving: their pools learn it as a loss, and requeue once the nodes' leases are over. */
function dropNodes(state: MeshState, turn: Turn, member: Member): void {
  for (const allotment of state.allotments.onMachine(member.id)) state.allotments.remove(turn, allotment);
}

/** Room came or went: the packer must look again, whatever the pool. */
function tellAllPools(state: MeshState, turn: Turn): void {
  for (const pool of state.pools.all()) turn.effect({ kind: 'poolChanged', pool: pool.spec.id });
}
