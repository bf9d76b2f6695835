/** Pools that a job or a schedule brings along (Azure Batch's AutoPoolSpecification): made for it, and taken back at its end. */
import type { JobSpec } from './job.ts';
import type { PoolSpec } from './pool.ts';

/** Whom a pool was made for; part of its record. */
export interface AutoPool {
  readonly lifetime: 'job' | 'jobschedule';
  /** Id of the job, or of the schedule. */
  readonly owner: string;
  /** The pool stays when its owner ends. */
  readonly keepAlive: boolean;
}

/**
 * The pool to make; undefined where the job names one that is there. `seed` decides its id: the same for every try at
 * the same job.
 */
export function autoPoolOf(
  { autoPoolSpecification }: JobSpec['poolInfo'],
  owner: { readonly job: string; readonly schedule?: string; readonly seed: string },
): { readonly spec: PoolSpec; readonly auto: AutoPool } | undefined {
  if (autoPoolSpecification === undefined) return undefined;
  const {
    autoPoolIdPrefix = 'autopool',
    poolLifetimeOption,
    keepAlive = false,
    pool,
  } = autoPoolSpecification;
  const ofSchedule = poolLifetimeOption === 'jobschedule' && owner.schedule !== undefined;
  // One pool for all jobs of the schedule, or one for each.
  const seed = ofSchedule ? owner.seed.replace(/^[^/]*/, owner.schedule) : owner.seed;
  return {
    spec: { ...pool, id: `${autoPoolIdPrefix}_${fingerprint(seed)}` },
    auto: {
      lifetime: ofSchedule ? 'jobschedule' : 'job',
      owner: ofSchedule ? owner.schedule : owner.job,
      keepAlive,
    },
  };
}

/** 128 bits of FNV-1a, as 32 hexadecimal digits: it tells names apart, and is no secret. */
function fingerprint(text: string): string {
  let hash = 0x6c62272e07bb014262b821756295c58dn;
  for (const byte of new TextEncoder().encode(text))
    hash = BigInt.asUintN(128, (hash ^ BigInt(byte)) * 0x1000000000000000000013bn);
  return hash.toString(16).padStart(32, '0');
}
