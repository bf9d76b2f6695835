import { expect, test } from 'vitest';
import type { MeshCommand } from '../../../src/model/commands.ts';
import { idOf, MeshWorld, offer, SETTINGS } from './world.ts';

test('init makes the founder a member, the pool default, and groups in which it votes', async () => {
  const world = new MeshWorld().init('a');
  expect(world.machine.machines().map(({ name }) => name)).toEqual(['a']);
  expect(world.machine.settings()).toEqual(SETTINGS);
  const pool = await world.query('pool.get', { pool: 'DEFAULT' });
  expect(pool).toMatchObject({
    spec: { id: 'default', vmSize: 'machine', everyMachine: true, slotsFromCores: true },
    allocationState: 'resizing',
    state: 'active',
  });
  const groups = await world.query('group.list', {});
  expect(groups).toEqual([
    { group: 'mesh', founders: [idOf('a')], voters: [idOf('a')], generation: 0 },
    { group: 'pool:default', founders: [idOf('a')], voters: [idOf('a')], generation: 0 },
  ]);
  expect(world.code({ kind: 'mesh.init', settings: SETTINGS, machine: offer('b') })).toBe(
    'AlreadyInitialized',
  );
});

test('before init everything else is refused', () => {
  const world = new MeshWorld();
  expect(world.code({ kind: 'container.create', name: 'abc' })).toBe('NotInitialized');
  expect(world.machine.dueAtMs()).toBeUndefined();
});

test('a token lets in as many machines as it has uses, and is then off the allow-list', () => {
  const world = new MeshWorld().init('a');
  const expiresAtMs = world.timeMs + 1000;
  world.ok({ kind: 'token.create', id: 't', peer: 'temp', expiresAtMs, uses: 2, createdBy: idOf('a') });
  expect([...world.machine.allowedPeers()].sort()).toEqual(['peera', 'temp']);
  expect(world.machine.tokenByPeer('temp')?.usesLeft).toBe(2);
  expect(world.ok({ kind: 'machine.join', tokenPeer: 'temp', machine: offer('b') })).toEqual({
    machine: idOf('b'),
    settings: SETTINGS,
  });
  world.ok({ kind: 'machine.join', tokenPeer: 'temp', machine: offer('c') });
  expect([...world.machine.allowedPeers()].sort()).toEqual(['peera', 'peerb', 'peerc']);
  expect(world.last?.effects).toContainEqual({ kind: 'allowListChanged' });
  expect(world.code({ kind: 'machine.join', tokenPeer: 'temp', machine: offer('d') })).toBe('InvalidToken');
});

test('an expired, revoked or unknown token is refused, and a sweep takes expired ones off the allow-list', () => {
  const world = new MeshWorld().init('a');
  const create = (id: string, expiresAtMs: number): void => {
    world.ok({ kind: 'token.create', id, peer: `temp-${id}`, expiresAtMs, uses: 1, createdBy: idOf('a') });
  };
  create('old', world.timeMs + 10);
  create('gone', world.timeMs + 10_000);
  expect(world.machine.dueAtMs()).toBe(world.timeMs + 10);
  world.ok({ kind: 'token.revoke', id: 'gone' });
  expect(world.code({ kind: 'token.revoke', id: 'gone' })).toBe('TokenNotFound');
  world.timeMs += 10;
  for (const tokenPeer of ['temp-old', 'temp-gone', 'stranger']) {
    expect(world.code({ kind: 'machine.join', tokenPeer, machine: offer('b') })).toBe('InvalidToken');
  }
  world.ok({ kind: 'mesh.sweep' });
  expect([...world.machine.allowedPeers()]).toEqual(['peera']);
});

test('time never goes back, so an expired token stays expired under a new leader with a slow clock', () => {
  const world = new MeshWorld().init('a');
  world.ok({
    kind: 'token.create',
    id: 't',
    peer: 'temp',
    expiresAtMs: world.timeMs + 10,
    uses: 1,
    createdBy: idOf('a'),
  });
  world.timeMs += 20;
  world.ok({ kind: 'container.create', name: 'abc' });
  world.timeMs -= 5_000;
  expect(world.code({ kind: 'machine.join', tokenPeer: 'temp', machine: offer('b') })).toBe('InvalidToken');
  expect(world.machine.timeMs()).toBe(1_000_020);
});

test('a leader whose clock says no number does not stop the time of the mesh', () => {
  const world = new MeshWorld().init('a');
  const before = world.machine.timeMs();
  world.machine.apply(99, { timeMs: Number.NaN, commands: [] });
  expect(world.machine.timeMs()).toBe(before);
});

test('a joiner whose answer got lost may ask again, under the same token and as the same machine only', () => {
  const world = new MeshWorld().init('a');
  world.ok({
    kind: 'token.create',
    id: 't',
    peer: 'temp',
    expiresAtMs: world.timeMs + 9,
    uses: 1,
    createdBy: idOf('a'),
  });
  world.ok({ kind: 'machine.join', tokenPeer: 'temp', machine: offer('b') });
  expect(world.code({ kind: 'machine.join', tokenPeer: 'temp', machine: offer('b') })).toBe('ok');
  expect(world.machine.machines()).toHaveLength(2);
  const wiped = offer('b', { id: 'peerb/00000002' });
  expect(world.code({ kind: 'machine.join', tokenPeer: 'temp', machine: wiped })).toBe('InvalidToken');
  expect(world.code({ kind: 'machine.join', tokenPeer: 'other', machine: offer('b') })).toBe('InvalidToken');
});

test('names are unique whatever their case, and a suffix stays over restarts', () => {
  const world = new MeshWorld().init('host');
  world.join('b', { name: 'HOST' });
  world.join('c', { name: 'host' });
  const nameOf = (id: string): string | undefined => world.machine.machine(id)?.name;
  expect([nameOf(idOf('b')), nameOf(idOf('c'))]).toEqual(['HOST-2', 'host-3']);
  expect(world.machine.machineByName('Host-2')?.peer).toBe('peerb');
  world.ok({ kind: 'machine.update', machine: offer('c', { name: 'host', version: '2' }) });
  expect(world.machine.machine(idOf('c'))).toMatchObject({ name: 'host-3', version: '2' });
  world.ok({ kind: 'machine.update', machine: offer('c', { name: 'other' }) });
  expect(nameOf(idOf('c'))).toBe('other');
  expect(world.machine.machineByName('host-3')).toBeUndefined();
});

test('a machine that comes back with a wiped disk is a new machine with the old name; its nodes are gone', () => {
  const world = new MeshWorld().init('a', 'b');
  world.ok({
    kind: 'pool.add',
    spec: { id: 'p', vmSize: 'shoal.1c1g', targetDedicatedNodes: 1 },
    voters: [idOf('a')],
  });
  allotOne(world, 'tvm-00000001', 'p', idOf('b'));
  world.ok({ kind: 'machine.update', machine: offer('b', { id: 'peerb/00000002' }) });
  expect(world.machine.machine(idOf('b'))).toBeUndefined();
  expect(world.machine.machineByPeer('peerb')).toMatchObject({ id: 'peerb/00000002', name: 'b' });
  expect(world.machine.allotments('p')).toEqual([]);
  expect(world.last?.effects).toContainEqual({ kind: 'allotmentsChanged', pool: 'p' });
});

test('a stranger cannot update itself into the mesh, and a machine id names its own peer', () => {
  const world = new MeshWorld().init('a');
  expect(world.code({ kind: 'machine.update', machine: offer('b') })).toBe('NotAMember');
  const forged = offer('b', { id: idOf('a') });
  expect(world.code({ kind: 'machine.update', machine: forged })).toBe('InvalidPropertyValue');
});

test('a draining machine calls its nodes back to finish their tasks, and takes none until it is enabled', () => {
  const world = new MeshWorld().init('a');
  world.ok({
    kind: 'pool.add',
    spec: { id: 'p', vmSize: 'shoal.1c1g', targetDedicatedNodes: 2 },
    voters: [idOf('a')],
  });
  allotOne(world, 'tvm-00000001', 'p', idOf('a'));
  world.ok({ kind: 'machine.drain', machine: idOf('a'), draining: true });
  expect(world.machine.allotments()).toMatchObject([
    { leaving: { option: 'taskcompletion', reason: 'drain' } },
  ]);
  allotOne(world, 'tvm-00000002', 'p', idOf('a'));
  expect(world.machine.allotments()).toHaveLength(1);
  world.ok({ kind: 'machine.drain', machine: idOf('a'), draining: false });
  allotOne(world, 'tvm-00000002', 'p', idOf('a'));
  expect(world.machine.allotments()).toHaveLength(2);
});

test('a machine whose vote a group cannot do without is not removed', () => {
  const world = new MeshWorld().init('a', 'b', 'c', 'd');
  expect(world.code({ kind: 'machine.remove', machine: idOf('a') })).toBe('OperationInvalidForCurrentState');
  for (const group of ['mesh', 'pool:default'] as const) {
    world.ok({ kind: 'group.voters', group, voters: [idOf('a'), idOf('b'), idOf('c')], generation: 0 });
  }
  world.ok({ kind: 'machine.remove', machine: idOf('a') });
  expect([...world.machine.allowedPeers()].sort()).toEqual(['peerb', 'peerc', 'peerd']);
  // b and c are a majority of 3 voters; c alone would not be.
  expect(world.code({ kind: 'machine.remove', machine: idOf('b') })).toBe('OperationInvalidForCurrentState');
  expect(world.code({ kind: 'machine.remove', machine: idOf('a') })).toBe('MachineNotFound');
});

test('a machine that is about to vote is removed only if the group can decide without it', () => {
  const world = new MeshWorld().init('a', 'b', 'c', 'd');
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(idOf) as [string, string, string, string];
  let number = 0;
  const announce = (voters: string[], next?: string[]) =>
    world.run({
      kind: 'group.voters',
      group: 'pool:default',
      voters,
      ...(next === undefined ? {} : { next }),
      report: { term: 2, number: number++ },
      generation: 0,
    });
  world.ok({ kind: 'group.voters', group: 'mesh', voters: [a, b, c], generation: 0 });
  expect(announce([a], [a, b])).toMatchObject({ ok: true });
  expect(world.code({ kind: 'machine.remove', machine: b })).toBe('OperationInvalidForCurrentState');
  expect(announce([a])).toMatchObject({ ok: true });
  expect(announce([a, b, c], [a, b])).toMatchObject({ ok: true });
  expect(world.code({ kind: 'machine.remove', machine: b })).toBe('OperationInvalidForCurrentState');
  expect(announce([a, b, c], [a, b, c, d])).toMatchObject({ ok: true });
  expect(world.code({ kind: 'machine.remove', machine: d })).toBe('ok');
  // Of four that may decide by now, two would be left.
  expect(world.code({ kind: 'machine.remove', machine: c })).toBe('OperationInvalidForCurrentState');
  expect(announce([a, b, c], [a, b, d])).toMatchObject({ ok: false, code: 'MachineNotFound' });
});

test('an announcement that comes after a later report changes nothing', () => {
  const world = new MeshWorld().init('a', 'b');
  const report = (term: number, number: number, next?: string[]): MeshCommand => ({
    kind: 'group.voters',
    group: 'mesh',
    voters: [idOf('a')],
    ...(next === undefined ? {} : { next }),
    report: { term, number },
    generation: 0,
  });
  world.ok(report(3, 0));
  expect(world.code(report(2, 9, [idOf('a'), idOf('b')]))).toBe('OperationInvalidForCurrentState');
  expect(world.code(report(3, 0, [idOf('a'), idOf('b')]))).toBe('OperationInvalidForCurrentState');
  world.ok(report(3, 1, [idOf('a'), idOf('b')]));
  expect(world.machine.group('mesh')).toMatchObject({ next: [idOf('a'), idOf('b')] });
  world.ok({ kind: 'group.voters', group: 'mesh', voters: [idOf('a')], generation: 1 });
  expect(world.machine.group('mesh')).toMatchObject({ generation: 1, voters: [idOf('a')] });
  expect(world.machine.group('mesh')?.next).toBeUndefined();
});

test('a voter that is there is not removed where the others are silent; one that is silent too is', () => {
  const world = new MeshWorld().init('a', 'b', 'c');
  const [a, b, c] = ['a', 'b', 'c'].map(idOf) as [string, string, string];
  for (const group of ['mesh', 'pool:default'] as const)
    world.ok({ kind: 'group.voters', group, voters: [a, b, c], generation: 0 });
  expect(world.code({ kind: 'machine.remove', machine: c, silent: [b] })).toBe(
    'OperationInvalidForCurrentState',
  );
  expect(world.code({ kind: 'machine.remove', machine: b, silent: [b] })).toBe('ok');
});

test('the last machine is not removed', () => {
  const world = new MeshWorld().init('a');
  expect(world.code({ kind: 'machine.remove', machine: idOf('a') })).toBe('OperationInvalidForCurrentState');
});

test('machines are listed with their nodes, their votes and whether they are up', async () => {
  const world = new MeshWorld({ alive: (machine) => machine === idOf('a') }).init('a', 'b');
  const machines = await world.query('machine.list', {});
  expect(machines.map(({ name, alive, votesIn, nodes }) => ({ name, alive, votesIn, nodes }))).toEqual([
    { name: 'a', alive: true, votesIn: ['mesh', 'pool:default'], nodes: [] },
    { name: 'b', alive: false, votesIn: [], nodes: [] },
  ]);
  expect(Object.keys(machines[0] ?? {})).not.toContain('joinedWith');
});

function allotOne(world: MeshWorld, node: string, pool: string, machine: string): void {
  const add = {
    node,
    pool,
    machine,
    cores: 1,
    memoryBytes: 1024 ** 3,
    slots: 1,
    dedicated: true,
    labels: [],
  };
  world.ok({ kind: 'allot', add: [add], leave: [], resizeErrors: [], steady: [] });
}
