import { expect, test } from 'vitest';
import { idOf } from '../mesh-core/world.ts';
import { Estate, REPLACE_MS, sized } from './estate.ts';

test('the pool default has a whole-machine node on every machine, also on those that join, with a slot for each core', () => {
  const estate = new Estate({ a: [4, 8], b: [2, 4] }, true);
  estate.settle();
  expect(estate.layout()).toEqual(['a:default', 'b:default']);
  estate.join('c', [8, 16]);
  estate.settle();
  expect(estate.nodes().map(({ slots, cores, dedicated }) => [slots, cores, dedicated])).toEqual([
    [4, 4, false],
    [2, 2, false],
    [8, 8, false],
  ]);
  expect(estate.stateOf('default')).toBe('steady');
});

test('nodes of a pool go to machines of their own while there is room, and fit in cores and in memory', () => {
  const estate = new Estate({ a: [4, 8], b: [4, 8], c: [4, 2] });
  estate.addPool({ id: 'p', vmSize: 'shoal.1c4g', targetDedicatedNodes: 3 });
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'a:p', 'b:p']);
  expect(estate.stateOf('p')).toBe('steady');
});

test('a dedicated pool takes a machine back from low-priority nodes, and waits until they have left', () => {
  const estate = new Estate({ a: [4, 8], b: [4, 8] });
  estate.addPool({ id: 'low', vmSize: 'machine', targetLowPriorityNodes: 2 });
  estate.settle();
  estate.addPool({ id: 'high', vmSize: 'machine', targetDedicatedNodes: 1 });
  const plan = estate.pack();
  expect(plan.add).toEqual([]);
  expect(plan.leave).toMatchObject([{ option: 'requeue', reason: 'preempted' }]);
  expect(estate.plan()).toEqual({ add: [], leave: [], resizeErrors: [], steady: [] });
  expect(estate.stateOf('high')).toBe('resizing');
  estate.settle();
  expect(estate.layout()).toEqual(['a:high', 'b:low']);
  expect(estate.stateOf('high')).toBe('steady');
  expect(estate.errors('high')).toEqual([]);
  expect(estate.errors('low')).toEqual([
    'AllocationFailed 1 of 2 low-priority nodes (a whole machine each) found no machine. Machines: 2 taken. ' +
      'They are allotted once a machine joins or becomes free.',
  ]);
  // The machine is given back when the dedicated pool goes.
  estate.world.ok({ kind: 'pool.delete', pool: 'high' });
  estate.settle();
  expect(estate.layout()).toEqual(['a:low', 'b:low']);
  expect(estate.errors('low')).toEqual([]);
});

test('any pool takes a machine from default, a free machine first, and as few as it needs', () => {
  const estate = new Estate({ a: [4, 8], b: [4, 8], c: [4, 8] }, true);
  estate.settle();
  estate.addPool({ id: 'p', vmSize: 'shoal.2c2g', targetLowPriorityNodes: 2 });
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'a:p', 'b:default', 'c:default']);
  estate.join('d', [4, 8]);
  estate.resize('p', { targetLowPriorityNodes: 3 });
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'a:p', 'b:default', 'c:default', 'd:p']);
});

test('nodes of the same rank never displace each other; the older pool is served first', () => {
  const estate = new Estate({ a: [2, 8] });
  estate.addPool({ id: 'z-old', vmSize: 'machine', targetDedicatedNodes: 1 });
  estate.addPool({ id: 'a-new', vmSize: 'machine', targetDedicatedNodes: 1 });
  estate.settle();
  expect(estate.layout()).toEqual(['a:z-old']);
  expect(estate.stateOf('a-new')).toBe('resizing');
  expect(estate.errors('a-new')).toHaveLength(1);
  estate.join('b', [2, 8]);
  estate.settle();
  expect(estate.layout()).toEqual(['a:z-old', 'b:a-new']);
  expect([estate.stateOf('a-new'), estate.errors('a-new')]).toEqual(['steady', []]);
});

test('labels are wanted, and the error says what is missing', () => {
  const estate = new Estate({ a: [4, 8], b: [1, 1, 'gpu'], c: [4, 8, 'gpu'], d: [4, 8, 'gpu'] });
  estate.world.ok({ kind: 'machine.drain', machine: idOf('d'), draining: true });
  estate.addPool({ id: 'p', vmSize: 'shoal.4c8g', targetDedicatedNodes: 2, requiredLabels: ['gpu'] });
  estate.settle();
  expect(estate.layout()).toEqual(['c:p']);
  expect(estate.errors('p')).toEqual([
    'AllocationFailed 1 of 2 dedicated nodes (4 cores and 8 GiB each, labels gpu) found no machine. ' +
      'Machines: 1 draining, 1 without a required label, 1 too small, 1 taken. ' +
      'They are allotted once a machine joins or becomes free.',
  ]);
});

test('a shrinking pool gives up its emptiest nodes, as it was told to', () => {
  const estate = new Estate({ a: [4, 8] });
  estate.addPool({ id: 'p', targetDedicatedNodes: 3 });
  estate.settle();
  const [one, two, three] = estate.nodes('p').map(({ node }) => node);
  estate.running.set(one ?? '', 2).set(three ?? '', 1);
  estate.resize('p', { targetDedicatedNodes: 1, nodeDeallocationOption: 'taskcompletion' });
  const plan = estate.pack();
  expect(plan.leave).toEqual([
    { node: two, option: 'taskcompletion', reason: 'resize' },
    { node: three, option: 'taskcompletion', reason: 'resize' },
  ]);
  expect(plan.steady).toEqual([]);
  estate.release(true);
  estate.settle();
  expect(estate.nodes('p').map(({ node }) => node)).toEqual([one]);
  expect(estate.stateOf('p')).toBe('steady');
});

test('a drained machine loses its nodes to others', () => {
  const estate = new Estate({ a: [4, 8], b: [4, 8] });
  estate.addPool({ id: 'p', targetDedicatedNodes: 2 });
  estate.settle();
  estate.world.ok({ kind: 'machine.drain', machine: idOf('a'), draining: true });
  estate.settle();
  estate.release(true);
  expect(estate.layout()).toEqual(['b:p', 'b:p']);
});

test('nodes of a silent machine stay for a while, and are let go only once there are others in their place', () => {
  const estate = new Estate({ a: [1, 8], b: [1, 8] });
  estate.addPool({ id: 'p', targetDedicatedNodes: 2 });
  estate.settle();
  estate.silence('a');
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'b:p']);
  estate.world.timeMs += REPLACE_MS;
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'b:p']);
  expect(estate.errors('p')).toEqual([]);
  estate.join('c', [1, 8]);
  const plan = estate.pack();
  expect(plan.add).toHaveLength(1);
  expect(plan.leave).toMatchObject([{ reason: 'resize', option: 'requeue' }]);
  expect(estate.layout()).toEqual(['b:p', 'c:p']);
});

test('a node that no longer fits its machine is called back: lost labels, lost cores', () => {
  const estate = new Estate({ a: [4, 8, 'gpu'], b: [4, 8, 'gpu'] });
  estate.addPool({ id: 'p', targetDedicatedNodes: 2, requiredLabels: ['gpu'] });
  estate.addPool({ id: 'q', vmSize: 'shoal.3c1g', targetDedicatedNodes: 2 });
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'a:q', 'b:p', 'b:q']);
  estate.world.ok({ kind: 'machine.update', machine: sized('a', [3, 8, 'gpu']) });
  estate.world.ok({ kind: 'machine.update', machine: sized('b', [4, 8]) });
  estate.settle();
  expect(estate.layout()).toEqual(['a:p', 'a:p', 'b:q']);
});

test('a new packing of a plan that was applied twice changes nothing', () => {
  const estate = new Estate({ a: [4, 8] });
  estate.addPool({ id: 'p', targetDedicatedNodes: 2 });
  const plan = estate.plan();
  estate.world.ok({ kind: 'allot', ...plan });
  estate.world.ok({ kind: 'allot', ...plan });
  expect(estate.nodes()).toHaveLength(2);
});

test('a thousand machines and a thousand nodes are packed in one turn', () => {
  const machines = Object.fromEntries(
    Array.from({ length: 1000 }, (_, at) => [`m${String(at).padStart(4, '0')}`, [8, 16] as const]),
  );
  const estate = new Estate(machines, true);
  estate.pack();
  estate.addPool({ id: 'p', vmSize: 'shoal.4c8g', targetDedicatedNodes: 1000 });
  const plan = estate.plan();
  expect(plan.leave).toHaveLength(500);
});
