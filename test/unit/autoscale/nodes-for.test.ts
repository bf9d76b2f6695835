import { expect, test } from 'vitest';
import { nodesFor } from '../../../coordinator/autoscale/nodes-for.ts';
import { fc } from '../../support/properties.ts';

test.each([
  [{}, 4, 0],
  [{ 1: 4 }, 4, 1],
  [{ 1: 5 }, 4, 2],
  [{ 1: 2, 2: 2 }, 2, 3],
  [{ 3: 3 }, 4, 3],
  [{ 3: 3, 1: 3 }, 4, 3],
  [{ 3: 3, 1: 4 }, 4, 4],
  [{ 8: 1 }, 4, 0],
  [{ 1: 1_000_000 }, 1, 1_000_000],
] as const)('tasks by slots %j on nodes of %i slots fill %i', (tasks, slots, nodes) => {
  expect(nodesFor(new Map(Object.entries(tasks).map(([size, count]) => [Number(size), count])), slots)).toBe(
    nodes,
  );
});

/** One task after the other into the first node with room. */
function oneByOne(sizes: readonly number[], slotsPerNode: number): number {
  const free: number[] = [];
  for (const size of [...sizes].sort((a, b) => b - a)) {
    const at = free.findIndex((room) => room >= size);
    if (at < 0) free.push(slotsPerNode - size);
    else free[at] = (free[at] ?? 0) - size;
  }
  return free.length;
}

test('filling nodes alike needs as many as placing each task by itself', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 60 }),
      fc.integer({ min: 12, max: 20 }),
      (sizes, slotsPerNode) => {
        const bySlots = new Map<number, number>();
        for (const size of sizes) bySlots.set(size, (bySlots.get(size) ?? 0) + 1);
        expect(nodesFor(bySlots, slotsPerNode)).toBe(oneByOne(sizes, slotsPerNode));
      },
    ),
  );
});
