import { expect, test } from 'vitest';
import type { MeshCommand } from '../../../src/model/commands.ts';
import { idOf, MeshWorld } from './world.ts';

const reserve = (
  job: string,
  pool: string,
  over: { voters?: string[]; replaces?: string } = {},
): MeshCommand => ({
  kind: 'job.reserve',
  job,
  pool,
  voters: [idOf('a')],
  ...over,
});

test('a job id is reserved for one pool; the same again is no error, another pool is', async () => {
  const world = new MeshWorld().init('a');
  world.ok(reserve('Job', 'default'));
  expect(world.code(reserve('job', 'DEFAULT'))).toBe('ok');
  expect(world.code(reserve('job', 'other'))).toBe('JobExists');
  expect(await world.query('job.locate', { job: 'JOB' })).toBe('default');
  expect(await world.query('job.locate', { job: 'nope' })).toBeUndefined();
});

test('a reservation found empty is replaced, if it is still the one that was looked at', () => {
  const world = new MeshWorld().init('a');
  world.ok(reserve('j', 'one'));
  expect(world.code(reserve('j', 'two', { replaces: 'three' }))).toBe('JobExists');
  world.ok(reserve('j', 'two', { replaces: 'ONE' }));
  expect(world.machine.jobPool('j')).toBe('two');
});

test('a job on a pool that is not there makes the group it waits in, of 1, 3 or 5 members', () => {
  const world = new MeshWorld().init('a', 'b', 'c');
  expect(world.code(reserve('j', 'later', { voters: [] }))).toBe('ServerBusy');
  expect(world.code(reserve('j', 'later', { voters: [idOf('a'), idOf('b')] }))).toBe('InvalidPropertyValue');
  expect(world.code(reserve('j', 'later', { voters: [idOf('a'), idOf('a'), idOf('b')] }))).toBe(
    'InvalidPropertyValue',
  );
  expect(world.code(reserve('j', 'later', { voters: [idOf('z')] }))).toBe('MachineNotFound');
  const voters = [idOf('a'), idOf('b'), idOf('c')];
  world.ok(reserve('j', 'later', { voters }));
  expect(world.machine.group('pool:later')).toEqual({
    group: 'pool:later',
    founders: voters,
    voters,
    generation: 0,
  });
  world.ok(reserve('k', 'LATER', { voters: [idOf('b')] }));
  expect(world.machine.group('pool:later')?.voters).toEqual(voters);
});

test('a release frees the id for the pool that holds it, and is harmless else', () => {
  const world = new MeshWorld().init('a');
  world.ok(reserve('j', 'default'));
  world.ok({ kind: 'job.release', job: 'j', pool: 'other' });
  expect(world.machine.jobPool('j')).toBe('default');
  world.ok({ kind: 'job.release', job: 'J', pool: 'Default' });
  world.ok({ kind: 'job.release', job: 'j', pool: 'default' });
  expect(world.machine.jobPool('j')).toBeUndefined();
});

test('no job goes to a pool that is being deleted', () => {
  const world = new MeshWorld().init('a');
  world.ok(reserve('old', 'default'));
  world.ok({ kind: 'pool.delete', pool: 'default' });
  expect(world.code(reserve('new', 'default'))).toBe('PoolBeingDeleted');
  expect(world.code(reserve('old', 'default'))).toBe('ok');
});

test('a group reports its voters; its founders stay, and its generation never goes back', () => {
  const world = new MeshWorld().init('a', 'b', 'c');
  const report = (voters: string[], generation: number): MeshCommand => ({
    kind: 'group.voters',
    group: 'mesh',
    voters,
    generation,
  });
  world.ok(report([idOf('a'), idOf('b')], 0));
  expect(world.machine.group('mesh')).toMatchObject({
    founders: [idOf('a')],
    voters: [idOf('a'), idOf('b')],
  });
  world.ok(report([idOf('b')], 1));
  expect(world.machine.group('mesh')).toMatchObject({
    founders: [idOf('b')],
    voters: [idOf('b')],
    generation: 1,
  });
  expect(world.code(report([idOf('a')], 0))).toBe('OperationInvalidForCurrentState');
  expect(world.code(report([], 2))).toBe('InvalidPropertyValue');
  expect(world.code({ ...report([idOf('a')], 2), group: 'pool:UPPER' } as MeshCommand)).toBe(
    'InvalidPropertyValue',
  );
});

test('a repeated request has one effect and the same answer, a refusal as well', () => {
  const world = new MeshWorld().init('a');
  const create: MeshCommand = { kind: 'container.create', name: 'abc' };
  const first = world.run(create, 'r1');
  const refused = world.run(create, 'r2');
  expect(refused).toMatchObject({ ok: false, code: 'ContainerExists' });
  world.ok({ kind: 'container.delete', name: 'abc' });
  expect(world.run(create, 'r1')).toEqual(first);
  expect(world.run(create, 'r2')).toEqual(refused);
  expect(
    world.reload().apply(99, { timeMs: 0, commands: [{ requestId: 'r1', command: create }] }).results,
  ).toEqual([first]);
});

test('answers are forgotten in the order in which they came, in memory and in rows', () => {
  const world = new MeshWorld({ requestIdsKept: 3 }).init('a');
  for (let at = 0; at < 5; at += 1) world.run({ kind: 'container.create', name: `con${at}` }, `r${at}`);
  expect([...world.rows.keys()].filter((key) => key.startsWith('q/'))).toHaveLength(3);
  expect(world.run({ kind: 'container.create', name: 'con4' }, 'r4')).toMatchObject({ ok: true });
  expect(world.run({ kind: 'container.create', name: 'con1' }, 'r1')).toMatchObject({ ok: false });
  const reloaded = world.reload();
  const again = (requestId: string, name: string) =>
    reloaded.apply(99, { timeMs: 0, commands: [{ requestId, command: { kind: 'container.create', name } }] })
      .results[0];
  expect(again('r3', 'con3')).toMatchObject({ ok: true });
  expect(again('r2', 'con2')).toMatchObject({ ok: false });
});

test('a command of a pool, of a later version or of the wrong shape is refused, and the state machine lives', () => {
  const world = new MeshWorld().init('a');
  const bad = [
    { kind: 'job.delete', job: 'j' },
    { kind: 'mesh.teleport' },
    { kind: 'pool.add' },
    { kind: 'machine.update', machine: null },
    { kind: 'blob.put', container: 'abc', createContainer: true },
    { kind: 'allot' },
  ] as unknown as MeshCommand[];
  for (const command of bad) expect(world.code(command)).toBe('InvalidRequestBody');
});

test('queries refuse unknown names and arguments of the wrong kind with a code', async () => {
  const world = new MeshWorld().init('a');
  await expect(world.machine.query('nope', {}, world.reader)).rejects.toMatchObject({
    code: 'InvalidArgument',
  });
  await expect(world.machine.query('pool.get', {}, world.reader)).rejects.toMatchObject({
    code: 'InvalidArgument',
  });
  await expect(world.machine.query('pool.get', { pool: 7 }, world.reader)).rejects.toMatchObject({
    code: 'InvalidArgument',
  });
  await expect(world.query('pool.get', { pool: 'nope' })).rejects.toMatchObject({ code: 'PoolNotFound' });
});
