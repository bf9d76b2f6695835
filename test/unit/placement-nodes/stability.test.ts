import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idOf } from '../mesh-core/world.ts';
import { Estate, REPLACE_MS, sized } from './estate.ts';

const size = fc.constantFrom([1, 2], [2, 4], [4, 8], [8, 16, 'gpu'], [4, 2, 'gpu']) as fc.Arbitrary<
  readonly [number, number, ...string[]]
>;
const spec = fc.record({
  vmSize: fc.constantFrom('machine', 'shoal.1c1g', 'shoal.2c4g', 'shoal.4c8g', 'shoal.3c1g'),
  targetDedicatedNodes: fc.integer({ min: 0, max: 4 }),
  targetLowPriorityNodes: fc.integer({ min: 0, max: 4 }),
  requiredLabels: fc.constantFrom([], [], ['gpu']),
});

const happening = fc.oneof(
  fc.tuple(fc.constant('pool' as const), spec),
  fc.tuple(fc.constant('everyMachine' as const), fc.constantFrom('machine', 'shoal.1c1g')),
  fc.tuple(fc.constant('join' as const), size),
  fc.tuple(
    fc.constantFrom(
      'silence' as const,
      'revive' as const,
      'drain' as const,
      'undrain' as const,
      'deletePool' as const,
      'remove' as const,
    ),
    fc.nat({ max: 30 }),
  ),
  fc.tuple(fc.constant('update' as const), fc.tuple(fc.nat({ max: 30 }), size)),
  fc.tuple(
    fc.constant('resize' as const),
    fc.tuple(fc.nat({ max: 30 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 })),
  ),
  fc.tuple(fc.constant('release' as const), fc.boolean()),
);

test('whatever happens: a packing that was applied is followed by an empty one, and the gate refuses nothing of it', () => {
  fc.assert(
    fc.property(
      fc.array(size, { minLength: 1, maxLength: 5 }),
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

function happen(estate: Estate, what: string, detail: unknown, serial: number): void {
  const mesh = estate.world.machine;
  const machines = mesh.machines().map(({ name }) => name);
  const pools = mesh.pools().map((pool) => pool.spec.id);
  const pick = <T>(items: readonly T[], at: unknown): T | undefined =>
    items[Number(at) % Math.max(1, items.length)];
  const [at] = Array.isArray(detail) ? detail : [detail];
  const machine = typeof at === 'number' ? (pick(machines, at) ?? '') : '';
  switch (what) {
    case 'pool':
      estate.addPool({ id: `p${serial}`, ...(detail as object) });
      break;
    case 'everyMachine':
      estate.addPool({ id: `e${serial}`, vmSize: String(detail), everyMachine: true });
      break;
    case 'join':
      estate.join(`m${serial}`, detail as readonly [number, number]);
      break;
    case 'silence':
      estate.silence(machine);
      break;
    case 'revive':
      estate.revive(machine);
      break;
    case 'drain':
    case 'undrain':
      estate.world.ok({ kind: 'machine.drain', machine: idOf(machine), draining: what === 'drain' });
      break;
    case 'remove':
      estate.world.run({ kind: 'machine.remove', machine: idOf(machine) });
      break;
    case 'update':
      estate.world.ok({
        kind: 'machine.update',
        machine: sized(machine, (detail as [number, [number, number]])[1]),
      });
      break;
    case 'deletePool':
      estate.world.run({ kind: 'pool.delete', pool: pick(pools, detail) ?? 'none' });
      break;
    case 'resize': {
      const [, targetDedicatedNodes, targetLowPriorityNodes] = detail as [number, number, number];
      const resize = {
        targetDedicatedNodes,
        targetLowPriorityNodes,
        nodeDeallocationOption: at % 2 === 0 ? 'requeue' : 'taskcompletion',
      } as const;
      estate.world.run({ kind: 'pool.resize', pool: pick(pools, at) ?? 'none', resize });
      break;
    }
    case 'release':
      estate.release(detail === true);
      break;
    default:
      throw new Error(what);
  }
}

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
