/** What may happen to a mesh: machines and pools that come, change and go. */
import { fc } from '../../support/properties.ts';
import { idOf } from '../mesh-core/world.ts';
import { type Estate, sized } from './estate.ts';

export const machineSize = fc.constantFrom(
  [1, 2],
  [2, 4],
  [4, 8],
  [8, 16, 'gpu'],
  [4, 2, 'gpu'],
) as fc.Arbitrary<readonly [number, number, ...string[]]>;
const spec = fc.record({
  vmSize: fc.constantFrom('machine', 'shoal.1c1g', 'shoal.2c4g', 'shoal.4c8g', 'shoal.3c1g'),
  targetDedicatedNodes: fc.integer({ min: 0, max: 4 }),
  targetLowPriorityNodes: fc.integer({ min: 0, max: 4 }),
  requiredLabels: fc.constantFrom([], [], ['gpu']),
});

export const happening = fc.oneof(
  fc.tuple(fc.constant('pool' as const), spec),
  fc.tuple(fc.constant('everyMachine' as const), fc.constantFrom('machine', 'shoal.1c1g')),
  fc.tuple(fc.constant('join' as const), machineSize),
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
  fc.tuple(fc.constant('update' as const), fc.tuple(fc.nat({ max: 30 }), machineSize)),
  fc.tuple(
    fc.constant('resize' as const),
    fc.tuple(fc.nat({ max: 30 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 })),
  ),
  fc.tuple(fc.constant('release' as const), fc.boolean()),
);

export function happen(estate: Estate, what: string, detail: unknown, serial: number): void {
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
