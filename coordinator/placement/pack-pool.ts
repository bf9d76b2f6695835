/** What of a pool the packing of nodes looks at. */
import { idKey } from '../../src/model/ids.ts';
import type { ResizeError } from '../../src/model/pool.ts';
import { parseVmSize } from '../../src/model/vm-size.ts';
import type { PoolRecord } from '../core/mesh/pools.ts';
import type { Rank, Wish } from './site.ts';

export type PackPool = Pick<
  PoolRecord,
  | 'spec'
  | 'state'
  | 'allocationState'
  | 'creationTimeMs'
  | 'targetDedicatedNodes'
  | 'targetLowPriorityNodes'
  | 'resizeErrors'
  | 'deallocationOption'
>;

export function wishOf(pool: PackPool, rank: Rank): Wish | undefined {
  const size = parseVmSize(pool.spec.vmSize);
  if (size === undefined) return undefined;
  return { pool: pool.spec.id, rank, size, requiredLabels: pool.spec.requiredLabels ?? [] };
}

export function targetOf(pool: PackPool, rank: 1 | 2): number {
  return rank === 2 ? pool.targetDedicatedNodes : pool.targetLowPriorityNodes;
}

export function oldestFirst(a: PackPool, b: PackPool): number {
  return a.creationTimeMs - b.creationTimeMs || (idKey(a.spec.id) < idKey(b.spec.id) ? -1 : 1);
}

export function sameErrors(a: readonly ResizeError[], b: readonly ResizeError[]): boolean {
  return (
    a.length === b.length &&
    a.every((error, at) => error.code === b[at]?.code && error.message === b[at]?.message)
  );
}
