import { expect, test } from 'vitest';
import type { MeshCommand } from '../../../src/model/commands.ts';
import type { PoolSpec } from '../../../src/model/pool.ts';
import { GIB, idOf, MeshWorld, offer } from './world.ts';

const addPool = (spec: Partial<PoolSpec> = {}): MeshCommand => ({
  kind: 'pool.add',
  spec: { id: 'p', vmSize: 'shoal.1c1g', targetDedicatedNodes: 2, ...spec },
  voters: [idOf('a')],
});

const node = (number: number, over: Record<string, unknown> = {}) => ({
  node: `tvm-${number.toString(16).padStart(8, '0')}`,
  pool: 'p',
  machine: idOf('a'),
  cores: 1,
  memoryBytes: GIB,
  slots: 1,
  dedicated: true,
  labels: [],
  ...over,
});

const allot = (
  add: ReturnType<typeof node>[],
  over: Partial<Extract<MeshCommand, { kind: 'allot' }>> = {},
): MeshCommand => ({
  kind: 'allot',
  add,
  leave: [],
  resizeErrors: [],
  steady: [],
  ...over,
});

function steadyPool(): MeshWorld {
  const world = new MeshWorld().init('a', 'b');
  world.ok(addPool());
  world.ok(allot([node(1), node(2)], { steady: ['p'] }));
  return world;
}

test('a new pool is resizing, has a group, and its id is taken whatever the case', async () => {
  const world = new MeshWorld().init('a');
  world.ok(addPool());
  expect(await world.query('pool.get', { pool: 'P' })).toMatchObject({
    allocationState: 'resizing',
    targetDedicatedNodes: 2,
    targetLowPriorityNodes: 0,
    currentDedicatedNodes: 0,
  });
  expect(world.machine.group('pool:p')?.voters).toEqual([idOf('a')]);
  expect(world.code(addPool({ id: 'P' }))).toBe('PoolExists');
});

test('a pool that cannot be is refused with the property that is wrong', () => {
  const world = new MeshWorld().init('a', 'b');
  for (const spec of [
    { vmSize: 'standard_nope' },
    { resizeTimeout: 'PT1M' },
    { resizeTimeout: 'soon' },
    { everyMachine: true },
    { id: 'no spaces' },
  ]) {
    expect(world.code(addPool(spec))).toBe('InvalidPropertyValue');
  }
  expect(world.code({ ...addPool(), voters: [idOf('a'), idOf('b')] } as MeshCommand)).toBe(
    'InvalidPropertyValue',
  );
  expect(world.code({ ...addPool(), voters: [idOf('z')] } as MeshCommand)).toBe('MachineNotFound');
});

test('a pool is resized only when steady, and is resizing from then on', async () => {
  const world = steadyPool();
  expect(world.machine.pool('p')?.allocationState).toBe('steady');
  world.ok({ kind: 'pool.resize', pool: 'p', resize: { targetDedicatedNodes: 3 } });
  expect(world.code({ kind: 'pool.resize', pool: 'p', resize: { targetDedicatedNodes: 1 } })).toBe(
    'PoolBeingResized',
  );
  expect(await world.query('pool.get', { pool: 'p' })).toMatchObject({
    targetDedicatedNodes: 3,
    currentDedicatedNodes: 2,
    allocationState: 'resizing',
  });
});

test('a resize names a target, and a pool with a node on every machine has none', () => {
  const world = steadyPool();
  expect(world.code({ kind: 'pool.resize', pool: 'p', resize: {} })).toBe('MissingRequiredProperty');
  expect(world.code({ kind: 'pool.resize', pool: 'nope', resize: { targetDedicatedNodes: 1 } })).toBe(
    'PoolNotFound',
  );
  expect(world.code({ kind: 'pool.resize', pool: 'default', resize: { targetDedicatedNodes: 1 } })).toBe(
    'OperationInvalidForCurrentState',
  );
});

test('stopping a resize makes the targets what is there', async () => {
  const world = steadyPool();
  expect(world.code({ kind: 'pool.stopResize', pool: 'p' })).toBe('OperationInvalidForCurrentState');
  world.ok({ kind: 'pool.resize', pool: 'p', resize: { targetDedicatedNodes: 9 } });
  world.ok({ kind: 'pool.stopResize', pool: 'p' });
  expect(await world.query('pool.get', { pool: 'p' })).toMatchObject({
    allocationState: 'stopping',
    targetDedicatedNodes: 2,
  });
  world.ok(allot([], { steady: ['p'] }));
  expect(world.machine.pool('p')?.allocationState).toBe('steady');
});

test('a resize that cannot be met ends when its time is over, and keeps target and errors', async () => {
  const world = steadyPool();
  world.ok({ kind: 'pool.resize', pool: 'p', resize: { targetDedicatedNodes: 9, resizeTimeout: 'PT5M' } });
  const errors = [{ code: 'AllocationFailed', message: '7 of 9' }];
  world.ok(allot([], { resizeErrors: [{ pool: 'p', errors }] }));
  const due = world.machine.dueAtMs() ?? 0;
  expect(due).toBe(world.timeMs + 300_000);
  world.timeMs = due;
  world.ok({ kind: 'mesh.sweep' });
  expect(await world.query('pool.get', { pool: 'p' })).toMatchObject({
    allocationState: 'steady',
    targetDedicatedNodes: 9,
    resizeErrors: errors,
  });
});

test('removed nodes are called back and the targets shrink by them', async () => {
  const world = steadyPool();
  const remove = (nodes: string[]): MeshCommand => ({
    kind: 'pool.removeNodes',
    pool: 'p',
    nodes,
    option: 'taskcompletion',
  });
  expect(world.code(remove(['tvm-00000009']))).toBe('NodeNotFound');
  expect(world.code(remove([]))).toBe('OutOfRangeInput');
  expect(world.code(remove(Array.from({ length: 101 }, (_, at) => `n${at}`)))).toBe('OutOfRangeInput');
  world.ok(remove(['tvm-00000001']));
  expect(world.machine.allotment('tvm-00000001')?.leaving).toEqual({
    option: 'taskcompletion',
    reason: 'resize',
  });
  expect(await world.query('pool.get', { pool: 'p' })).toMatchObject({
    allocationState: 'resizing',
    targetDedicatedNodes: 1,
    currentDedicatedNodes: 1,
  });
  expect(world.code(remove(['tvm-00000002']))).toBe('PoolBeingResized');
});

test('a deleted pool calls all nodes back at once, is erased when they are gone, and its group with it', () => {
  const world = steadyPool();
  world.ok({ kind: 'pool.removeNodes', pool: 'p', nodes: ['tvm-00000001'], option: 'taskcompletion' });
  world.ok({ kind: 'pool.delete', pool: 'p' });
  for (const allotment of world.machine.allotments('p')) {
    expect(allotment.leaving).toEqual({ option: 'requeue', reason: 'poolDeleted' });
  }
  expect(world.code({ kind: 'pool.delete', pool: 'p' })).toBe('PoolBeingDeleted');
  expect(world.code(addPool())).toBe('PoolBeingDeleted');
  expect(world.code({ kind: 'pool.erase', pool: 'p' })).toBe('OperationInvalidForCurrentState');
  world.ok({ kind: 'node.released', nodes: ['tvm-00000001', 'tvm-00000002'] });
  world.ok({ kind: 'pool.erase', pool: 'p' });
  expect(world.machine.pool('p')).toBeUndefined();
  expect(world.machine.group('pool:p')).toBeUndefined();
  expect(world.last?.effects).toContainEqual({ kind: 'groupsChanged', group: 'pool:p' });
});

test('a pool of an old name has a group of a later generation, which an old report cannot touch', () => {
  const world = steadyPool();
  world.ok({ kind: 'pool.delete', pool: 'p' });
  world.ok({ kind: 'node.released', nodes: ['tvm-00000001', 'tvm-00000002'] });
  world.ok({ kind: 'pool.erase', pool: 'p' });
  const late: MeshCommand = { kind: 'group.voters', group: 'pool:p', voters: [idOf('b')], generation: 0 };
  expect(world.code(late)).toBe('OperationInvalidForCurrentState');
  world.ok(addPool());
  expect(world.machine.group('pool:p')).toMatchObject({ generation: 1, founders: [idOf('a')] });
  expect(world.code(late)).toBe('OperationInvalidForCurrentState');
});

test('jobs keep the group of an erased pool', () => {
  const world = steadyPool();
  world.ok({ kind: 'job.reserve', job: 'j', pool: 'p', voters: [] });
  world.ok({ kind: 'pool.delete', pool: 'p' });
  world.ok({ kind: 'node.released', nodes: ['tvm-00000001', 'tvm-00000002'] });
  world.ok({ kind: 'pool.erase', pool: 'p' });
  expect(world.machine.group('pool:p')?.voters).toEqual([idOf('a')]);
});

test('the pool default can be deleted like any other', () => {
  const world = new MeshWorld().init('a');
  world.ok({ kind: 'pool.delete', pool: 'default' });
  world.ok({ kind: 'pool.erase', pool: 'default' });
  expect(world.machine.pools()).toEqual([]);
});

test('the gate leaves out what does not fit: room, labels, targets, strangers, used names', () => {
  const world = new MeshWorld().init('a', 'b');
  world.ok(addPool({ requiredLabels: ['linux'] }));
  world.ok(addPool({ id: 'gpu', requiredLabels: ['gpu'] }));
  world.ok(addPool({ id: 'whole', vmSize: 'machine' }));
  world.ok(
    allot([
      node(1, { cores: 5 }),
      node(2, { memoryBytes: 9 * GIB }),
      node(3, { pool: 'gpu' }),
      node(4, { machine: idOf('z') }),
      node(5, { pool: 'nope' }),
      node(6, { node: 'elephant' }),
      node(7, { dedicated: false }),
      node(8),
      node(8),
      node(9, { pool: 'whole', cores: 4, memoryBytes: 8 * GIB }),
    ]),
  );
  expect(world.machine.allotments().map((allotment) => allotment.node)).toEqual(['tvm-00000008']);
  world.ok(allot([node(8), node(7)]));
  expect(world.machine.allotments()).toHaveLength(1);
  world.ok(allot([node(10), node(11)]));
  expect(world.machine.allotments()).toHaveLength(2);
});

test('a machine is never oversubscribed by a node that comes while another one leaves', () => {
  const world = new MeshWorld().init('a');
  world.ok(allot([node(1, { pool: 'default', cores: 4, memoryBytes: 8 * GIB, dedicated: false })]));
  world.ok(addPool());
  const leave = [{ node: 'tvm-00000001', option: 'requeue', reason: 'preempted' }] as const;
  world.ok(allot([node(2)], { leave }));
  expect(world.machine.allotments().map((allotment) => allotment.node)).toEqual(['tvm-00000001']);
  world.ok({ kind: 'node.released', nodes: ['tvm-00000001'] });
  world.ok(allot([node(3)]));
  expect(world.machine.allotments().map((allotment) => allotment.node)).toEqual(['tvm-00000003']);
});

test('a node that is not called back cannot be released', () => {
  const world = steadyPool();
  world.ok({ kind: 'node.released', nodes: ['tvm-00000001', 'nope'] });
  expect(world.machine.allotments('p')).toHaveLength(2);
});

test('a waiting node is hurried by a stronger call, and never given more time again', () => {
  const world = steadyPool();
  const call = (option: 'requeue' | 'taskcompletion', reason: 'resize' | 'preempted'): void => {
    world.ok(allot([], { leave: [{ node: 'tvm-00000001', option, reason }] }));
  };
  call('taskcompletion', 'resize');
  call('requeue', 'preempted');
  call('taskcompletion', 'resize');
  expect(world.machine.allotment('tvm-00000001')?.leaving).toEqual({
    option: 'requeue',
    reason: 'preempted',
  });
});

test('the ETag changes with properties and targets, not with nodes', async () => {
  const world = new MeshWorld().init('a');
  world.ok(addPool());
  const eTag = async (): Promise<string> => (await world.query('pool.get', { pool: 'p' })).eTag;
  const first = await eTag();
  world.ok(allot([node(1), node(2)], { steady: ['p'] }));
  expect(await eTag()).toBe(first);
  const patch = (ifMatch: string): MeshCommand => ({
    kind: 'pool.patch',
    pool: 'p',
    patch: { metadata: [{ name: 'a', value: 'b' }] },
    condition: { ifMatch },
  });
  expect(world.code(patch('0x0'))).toBe('ConditionNotMet');
  world.ok(patch(first));
  const second = await eTag();
  expect(second).not.toBe(first);
  expect(world.code(patch(`"${first}"`))).toBe('ConditionNotMet');
  expect(world.code(patch('*'))).toBe('ok');
  expect(world.machine.pool('p')?.spec.metadata).toEqual([{ name: 'a', value: 'b' }]);
});

test('two changes in one entry have different ETags', () => {
  const world = new MeshWorld().init('a');
  const { results } = world.apply([
    { requestId: null, command: addPool({ id: 'one' }) },
    { requestId: null, command: addPool({ id: 'two' }) },
  ]);
  const [one, two] = results.map((outcome) => (outcome.ok ? (outcome.value as { eTag: string }).eTag : ''));
  expect(one).toMatch(/^0x[0-9A-F]{16}$/);
  expect(one).not.toBe(two);
});

test('a whole-machine node follows its machine when that grows; labels follow on all nodes', () => {
  const world = new MeshWorld().init('a');
  world.ok(allot([node(1, { pool: 'default', cores: 4, memoryBytes: 8 * GIB, dedicated: false, slots: 4 })]));
  const capacity = { ...offer('a').capacity, cores: 8, memoryBytes: 16 * GIB, labels: ['linux', 'gpu'] };
  world.ok({ kind: 'machine.update', machine: offer('a', { capacity }) });
  expect(world.machine.allotments()).toMatchObject([
    { cores: 8, memoryBytes: 16 * GIB, slots: 8, labels: ['linux', 'gpu'] },
  ]);
  expect(world.last?.effects).toContainEqual({ kind: 'allotmentsChanged', pool: 'default' });
});
