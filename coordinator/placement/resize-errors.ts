/** Why a pool has fewer nodes than it asked for, in words that say what would help. */
import type { ResizeError } from '../../src/model/pool.ts';
import type { Site, Wish } from './site.ts';

const GIB = 1024 ** 3;

/** Azure's code for it. */
export function allocationFailed(failure: {
  readonly wish: Wish;
  readonly target: number;
  readonly unmet: number;
  readonly obstacles: string;
}): ResizeError {
  const { wish, target, unmet, obstacles } = failure;
  const kind = wish.rank === 2 ? 'dedicated' : 'low-priority';
  return {
    code: 'AllocationFailed',
    message:
      `${unmet} of ${target} ${kind} nodes (${describe(wish)}) found no machine. ` +
      `Machines: ${obstacles}. They are allotted once a machine joins or becomes free.`,
  };
}

/** Counts each machine under the first thing that keeps the node away. The same for all wishes of a size and labels. */
export function obstaclesTo(wish: Wish, sites: readonly Site[]): string {
  const counts = new Map<string, number>();
  for (const site of sites) {
    const obstacle = obstacleOf(site, wish);
    counts.set(obstacle, (counts.get(obstacle) ?? 0) + 1);
  }
  const obstacles = OBSTACLES.flatMap((obstacle) => {
    const count = counts.get(obstacle);
    return count === undefined ? [] : [`${count} ${obstacle}`];
  });
  return obstacles.length === 0 ? 'none' : obstacles.join(', ');
}

const OBSTACLES = ['silent', 'draining', 'without a required label', 'too small', 'taken'] as const;

function obstacleOf(site: Site, wish: Wish): (typeof OBSTACLES)[number] {
  const { alive, scheduling } = site.machine;
  if (!alive) return 'silent';
  if (scheduling !== 'enabled') return 'draining';
  if (!site.hasLabels(wish.requiredLabels)) return 'without a required label';
  return site.open && site.isLargeEnough(wish) ? 'taken' : 'too small';
}

function describe({ size, requiredLabels }: Wish): string {
  const what =
    size.kind === 'machine'
      ? 'a whole machine each'
      : `${size.cores} cores and ${Math.round((size.memoryBytes / GIB) * 100) / 100} GiB each`;
  return requiredLabels.length === 0 ? what : `${what}, labels ${requiredLabels.join(', ')}`;
}
