/**
 * Specifications of tasks as their rows hold them. Those that were added a moment ago are still in memory, so that the
 * usual way from add to dispatch reads no disk; the rest is read in one call for each batch.
 */
import { SPEC_CACHE_BYTES_MAX } from '../../src/lib/limits.ts';
import type { RowReader, RowWrite } from '../core/interface.ts';
import { isTaskRowKey, taskRowKey } from '../core/pool/rows.ts';

export class SpecCache {
  /** Insertion order is age: the oldest go first. */
  readonly #rows = new Map<string, Uint8Array>();
  #bytes = 0;

  /** Sees the row writes of a pool's group as they are applied. */
  remember(group: string, writes: readonly RowWrite[]): void {
    for (const write of writes) {
      if (write.kind !== 'put' || !isTaskRowKey(write.key)) continue;
      const key = `${group}/${write.key}`;
      this.#bytes += write.value.length - (this.#rows.get(key)?.length ?? 0);
      this.#rows.set(key, write.value);
    }
    if (this.#bytes > SPEC_CACHE_BYTES_MAX) this.#shrink();
  }

  #shrink(): void {
    for (const [key, value] of this.#rows) {
      if (this.#bytes <= SPEC_CACHE_BYTES_MAX / 2) return;
      this.#rows.delete(key);
      this.#bytes -= value.length;
    }
  }

  /** Row values in the order asked for; undefined for a task that is gone. */
  async load(
    rows: RowReader,
    group: string,
    tasks: readonly { readonly job: number; readonly task: number }[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const keys = tasks.map(({ job, task }) => taskRowKey(job, task));
    const missing = keys.filter((key) => !this.#rows.has(`${group}/${key}`));
    const read = new Map<string, Uint8Array | undefined>();
    if (missing.length > 0) {
      const values = await rows.getMany(missing);
      for (const [position, key] of missing.entries()) read.set(key, values[position]);
    }
    return keys.map((key) => this.#rows.get(`${group}/${key}`) ?? read.get(key));
  }
}
