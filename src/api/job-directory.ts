/** Which pool's group holds a job: the mesh group's directory, remembered, and read again when it proves old. */

import { ShoalError } from '../lib/errors.ts';
import { keepRecent } from '../lib/keep-recent.ts';
import { JOB_LOCATIONS_KEPT } from '../lib/limits.ts';
import type { CallOptions, Control } from '../model/control.ts';
import { type GroupId, idKey, isValidJobReference, MESH_GROUP, poolGroup } from '../model/ids.ts';

export class JobDirectory {
  readonly #control: Control;
  /** Job key -> pool id; the first is the one that was not used for longest. */
  readonly #pools = new Map<string, string>();

  constructor(control: Control) {
    this.#control = control;
  }

  /**
   * Runs with the group of the job's pool. A remembered pool that has no such job is looked up again, since the job
   * may have been deleted and added to another pool. Rejects with `JobNotFound`.
   */
  async with<T>(job: string, options: CallOptions, run: (group: GroupId) => Promise<T>): Promise<T> {
    if (!isValidJobReference(job)) throw unknownJob(job);
    const remembered = this.#recall(idKey(job));
    if (remembered === undefined) return run(poolGroup(await this.#locate(job, options)));
    try {
      return await run(poolGroup(remembered));
    } catch (thrown) {
      if (!isAboutTheJob(thrown)) throw thrown;
      this.forget(job);
      if (thrown.code !== 'JobNotFound' && thrown.code !== 'GroupNotFound') throw thrown;
      const pool = await this.#locate(job, options);
      if (idKey(pool) === idKey(remembered)) throw thrown;
      return run(poolGroup(pool));
    }
  }

  remember(job: string, pool: string): void {
    keepRecent(this.#pools, [idKey(job), pool], JOB_LOCATIONS_KEPT);
  }

  forget(job: string): void {
    this.#pools.delete(idKey(job));
  }

  #recall(key: string): string | undefined {
    const pool = this.#pools.get(key);
    if (pool !== undefined) this.remember(key, pool);
    return pool;
  }

  async #locate(job: string, options: CallOptions): Promise<string> {
    const pool = await this.#control.query(MESH_GROUP, 'job.locate', { job }, options);
    if (typeof pool !== 'string') throw unknownJob(job);
    this.remember(job, pool);
    return pool;
  }
}

function unknownJob(job: string): ShoalError {
  return new ShoalError('JobNotFound', undefined, { JobId: job.slice(0, 128) });
}

/** A pool that is gone leaves no group behind to say that it has no such job. */
function isAboutTheJob(thrown: unknown): thrown is ShoalError {
  return (
    thrown instanceof ShoalError &&
    ['JobNotFound', 'GroupNotFound', 'NoQuorum', 'OperationTimedOut'].includes(thrown.code)
  );
}
