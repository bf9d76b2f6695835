/**
 * Which of many ranges of integers hold a given one. Each range is cut into the canonical blocks of a binary tree over
 * 2^31 integers (at most 62 of them) and filed under each; the ranges that hold an integer are those filed under its
 * 32 ancestors. No balancing, no order of insertion, and removal is not needed: a job's ranges go with the job.
 */
const LEVELS = 31;

export class RangeIndex<T> {
  readonly #blocks = new Map<number, T[]>();

  /** Files `value` under [start, end], both included, 0 <= start <= end < 2^31. */
  add(start: number, end: number, value: T): void {
    let low = start;
    while (low <= end) {
      // The largest aligned block that begins at `low` and does not pass `end`.
      let level = low === 0 ? LEVELS : trailingZeros(low);
      while (low + 2 ** level - 1 > end) level--;
      this.#file(blockKey(low, level), value);
      low += 2 ** level;
    }
  }

  #file(key: number, value: T): void {
    const filed = this.#blocks.get(key);
    if (filed === undefined) this.#blocks.set(key, [value]);
    else filed.push(value);
  }

  *holding(integer: number): Iterable<T> {
    for (let level = 0; level <= LEVELS; level++) {
      const filed = this.#blocks.get(blockKey(integer, level));
      if (filed !== undefined) yield* filed;
    }
  }
}

function blockKey(integer: number, level: number): number {
  return Math.floor(integer / 2 ** level) * (LEVELS + 1) + level;
}

function trailingZeros(integer: number): number {
  return 31 - Math.clz32(integer & -integer);
}
