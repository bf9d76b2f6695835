/** Which pool's group has which job. A job id is unique in the mesh, so it is reserved here before the job is added there. */
import { detached } from '../../../src/lib/detached.ts';
import { idKey } from '../../../src/model/ids.ts';
import { directoryRow } from './rows.ts';
import type { Turn } from './turn.ts';

interface Reservation {
  readonly job: string;
  readonly pool: string;
}

export class Directory {
  /** Some 150 bytes a job: the key and a slot; the pool's name is shared by all of its jobs. */
  readonly #poolOfJob = new Map<string, string>();
  readonly #jobsOfPool = new Map<string, number>();
  /** One string for each pool, so that a million jobs do not hold a million copies of its name. */
  readonly #poolNames = new Map<string, string>();

  load(row: Reservation): void {
    this.#set(row);
  }

  poolOf(job: string): string | undefined {
    return this.#poolOfJob.get(idKey(job));
  }

  jobsOf(pool: string): number {
    return this.#jobsOfPool.get(idKey(pool)) ?? 0;
  }

  reserve(turn: Turn, job: string, pool: string): void {
    this.#unset(job);
    this.#set({ job, pool });
    turn.put(directoryRow(job), { job, pool });
  }

  release(turn: Turn, job: string): void {
    this.#unset(job);
    turn.delete(directoryRow(job));
  }

  #set({ job, pool }: Reservation): void {
    const name = this.#poolNames.get(pool) ?? detached(pool);
    this.#poolNames.set(name, name);
    this.#poolOfJob.set(detached(idKey(job)), name);
    this.#jobsOfPool.set(idKey(pool), this.jobsOf(pool) + 1);
  }

  #unset(job: string): void {
    const pool = this.#poolOfJob.get(idKey(job));
    if (pool === undefined) return;
    this.#poolOfJob.delete(idKey(job));
    const left = this.jobsOf(pool) - 1;
    if (left > 0) {
      this.#jobsOfPool.set(idKey(pool), left);
    } else {
      this.#jobsOfPool.delete(idKey(pool));
      this.#poolNames.delete(pool);
    }
  }
}
