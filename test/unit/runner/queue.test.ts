import { describe, expect, it } from 'vitest';
import { LaunchQueue, type Waiting } from '../../../agent/runner/queue.ts';
import { fc } from '../../support/properties.ts';

const always = (): boolean => true;
const item = (name: string, changes: Partial<Waiting> = {}): Waiting => ({
  name,
  node: 'node',
  lease: 'pool',
  slots: 1,
  priority: 0,
  ...changes,
});

function takeAll(queue: LaunchQueue<Waiting>, isLive: (lease: string) => boolean = always): string[] {
  const names: string[] = [];
  for (;;) {
    const next = queue.take(isLive);
    if (next === undefined) return names;
    names.push(next.name);
  }
}

describe('the launch queue', () => {
  it('starts by priority, and equals in the order of arrival', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 10);
    for (const [name, priority] of [
      ['a', 0],
      ['b', 5],
      ['c', 0],
      ['d', 5],
      ['e', -5],
    ] as const) {
      queue.push(item(name, { priority }));
    }
    expect(takeAll(queue)).toEqual(['b', 'd', 'a', 'c', 'e']);
  });

  it('lets a wide task hold back narrower ones behind it rather than starve', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 2);
    const narrow = item('narrow');
    queue.push(narrow);
    queue.push(item('wide', { slots: 2 }));
    queue.push(item('behind'));
    expect(takeAll(queue)).toEqual(['narrow']);
    queue.release(narrow);
    expect(takeAll(queue)).toEqual(['wide']);
  });

  it('starts what needs no slot on a node that is full', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 1);
    queue.push(item('task'));
    queue.push(item('preparation', { slots: 0, priority: -1 }));
    expect(takeAll(queue)).toEqual(['task', 'preparation']);
    queue.push(item('start task', { slots: 0 }));
    queue.push(item('behind'));
    expect(takeAll(queue)).toEqual(['start task']);
  });

  it('starts what had no room as soon as there is some, whatever made it', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 1);
    queue.push(item('wide', { slots: 2, priority: 1 }));
    queue.push(item('narrow'));
    expect(takeAll(queue)).toEqual([]);
    queue.remove('wide');
    expect(takeAll(queue)).toEqual(['narrow']);
    queue.push(item('next'));
    expect(takeAll(queue)).toEqual([]);
    queue.setSlots('node', 2);
    expect(takeAll(queue)).toEqual(['next']);
  });

  it('starts nothing without a lease, and lets other leases pass meanwhile', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 4);
    queue.push(item('cut off', { lease: 'gone', priority: 9 }));
    queue.push(item('leased'));
    expect(takeAll(queue, (lease) => lease === 'pool')).toEqual(['leased']);
    expect(takeAll(queue)).toEqual(['cut off']);
  });

  it('forgets what was removed, also when the same name comes again', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 4);
    queue.push(item('a', { priority: 9 }));
    queue.push(item('b'));
    expect(queue.remove('a')?.name).toBe('a');
    expect(queue.remove('a')).toBeUndefined();
    queue.push(item('a', { priority: -1 }));
    expect(queue.size).toBe(2);
    expect(takeAll(queue)).toEqual(['b', 'a']);
  });

  it('makes a node that comes back wait for the slots that its dying tasks still hold', () => {
    const queue = new LaunchQueue<Waiting>();
    queue.setSlots('node', 1);
    queue.push(item('old'));
    queue.push(item('dropped'));
    const old = queue.take(always);
    expect(queue.removeNode('node').map(({ name }) => name)).toEqual(['dropped']);
    queue.setSlots('node', 1);
    queue.push(item('new'));
    expect(takeAll(queue)).toEqual([]);
    if (old !== undefined) queue.release(old);
    expect(takeAll(queue)).toEqual(['new']);
  });

  it('never gives out more slots than a node has, and in the end starts everything once', () => {
    const launches = fc.array(
      fc.record({
        node: fc.constantFrom('x', 'y'),
        slots: fc.integer({ min: 0, max: 3 }),
        priority: fc.integer(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(launches, fc.infiniteStream(fc.boolean()), (specs, coin) => {
        const queue = new LaunchQueue<Waiting>();
        queue.setSlots('x', 3);
        queue.setSlots('y', 5);
        const used = new Map([
          ['x', 0],
          ['y', 0],
        ]);
        const running: Waiting[] = [];
        const seen = new Set<string>();
        for (const [index, spec] of specs.entries()) queue.push(item(String(index), spec));
        while (queue.size > 0 || running.length > 0) {
          const next = coin.next().value ? queue.take(always) : undefined;
          if (next !== undefined) {
            expect(seen.has(next.name)).toBe(false);
            seen.add(next.name);
            running.push(next);
            used.set(next.node, (used.get(next.node) ?? 0) + next.slots);
            expect(used.get(next.node)).toBeLessThanOrEqual(next.node === 'x' ? 3 : 5);
          } else {
            const done = running.shift();
            if (done === undefined) continue;
            used.set(done.node, (used.get(done.node) ?? 0) - done.slots);
            queue.release(done);
          }
        }
        expect(seen.size).toBe(specs.length);
      }),
    );
  });
});
