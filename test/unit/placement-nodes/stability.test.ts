import { expect, test } from 'vitest';
import { fc } from '../../support/properties.ts';
import { Estate, REPLACE_MS } from './estate.ts';
import { happen, happening, machineSize } from './happenings.ts';

test('whatever happens: a packing that was applied is followed by an empty one, and the gate refuses nothing of it', () => {
  fc.assert(
    fc.property(
      fc.array(machineSize, { minLength: 1, maxLength: 5 }),
      fc.array(happening, { maxLength: 25 }),
      (sizes, happenings) => {
        const estate = new Estate(Object.fromEntries(sizes.map((one, at) => [`m${at}`, one])), true);
        let serial = 100;
        for (const [what, detail] of happenings) {
          serial += 1;
          happen(estate, what, detail, serial);
          if (serial % 3 === 0) estate.world.timeMs += REPLACE_MS;
          estate.pack();
          expect(estate.plan()).toEqual({ add: [], leave: [], resizeErrors: [], steady: [] });
          checkRoom(estate);
        }
        estate.settle();
        checkRanks(estate);
      },
    ),
    { numRuns: 200 },
  );
});

/** Staying nodes never take more than their machine has, and nobody has more nodes than it asked for. */
function checkRoom(estate: Estate): void {
  const mesh = estate.world.machine;
  for (const { id, capacity } of mesh.machines()) {
    const staying = mesh.allotmentsOn(id).filter(({ leaving }) => leaving === undefined);
    expect(staying.reduce((sum, node) => sum + node.cores, 0)).toBeLessThanOrEqual(capacity.cores);
    expect(staying.reduce((sum, node) => sum + node.memoryBytes, 0)).toBeLessThanOrEqual(
      capacity.memoryBytes,
    );
  }
  for (const pool of mesh.pools()) {
    if (pool.spec.everyMachine) continue;
    const staying = mesh.allotments(pool.spec.id).filter(({ leaving }) => leaving === undefined);
    expect(staying.filter(({ dedicated }) => dedicated).length).toBeLessThanOrEqual(
      pool.targetDedicatedNodes,
    );
    expect(staying.filter(({ dedicated }) => !dedicated).length).toBeLessThanOrEqual(
      pool.targetLowPriorityNodes,
    );
  }
}

/** Where a dedicated pool has too few nodes, no open machine holds low-priority ones whose room would do. */
function checkRanks(estate: Estate): void {
  const mesh = estate.world.machine;
  const plan = estate.plan();
  expect(plan.leave).toEqual([]);
  for (const pool of mesh.pools()) {
    if (pool.state !== 'active' || pool.spec.everyMachine || pool.resizeErrors.length > 0) continue;
    const staying = mesh.allotments(pool.spec.id).filter(({ leaving }) => leaving === undefined);
    const waits = staying.length < pool.targetDedicatedNodes + pool.targetLowPriorityNodes;
    // Without an error every node is there, or waits for one that still finishes its tasks.
    if (waits) expect(mesh.allotments().some(({ leaving }) => leaving !== undefined)).toBe(true);
  }
}
