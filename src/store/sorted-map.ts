/**
 * A map with ordered ranges. Keys live in a sorted array that is put in order only when somebody asks for a range, so a
 * burst of writes or deletes costs one merge and not a shift of the array for each.
 */
export class SortedMap<V> {
  readonly #values = new Map<string, V>();
  #sorted: string[] = [];
  /** Keys that are not in `#sorted` yet. */
  readonly #added = new Set<string>();
  /** Keys that are still in `#sorted` and no longer in the map. */
  readonly #removed = new Set<string>();

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: V): void {
    this.exchange(key, value);
  }

  /** Like `set`, or `delete` where there is no value; returns what was there. */
  exchange(key: string, value: V | undefined): V | undefined {
    const before = this.#values.get(key);
    if (value === undefined) {
      if (before !== undefined) this.delete(key);
    } else {
      if (before === undefined && !this.#removed.delete(key)) this.#added.add(key);
      this.#values.set(key, value);
    }
    return before;
  }

  delete(key: string): void {
    if (this.#values.delete(key) && !this.#added.delete(key)) this.#removed.add(key);
  }

  /** At most `limit` pairs with keys from `from` (or just after it) up to, not including, `end`. */
  range(from: string, fromExcluded: boolean, end: string, limit: number): [string, V][] {
    this.#settle();
    const pairs: [string, V][] = [];
    for (let at = this.#position(from); at < this.#sorted.length && pairs.length < limit; at++) {
      const key = this.#sorted[at] as string;
      if (key >= end) break;
      if (fromExcluded && key === from) continue;
      if (this.#values.has(key)) pairs.push([key, this.#values.get(key) as V]);
    }
    return pairs;
  }

  #settle(): void {
    if (this.#removed.size * 2 > this.#sorted.length) {
      this.#sorted = this.#sorted.filter((key) => !this.#removed.has(key));
      this.#removed.clear();
    }
    if (this.#added.size === 0) return;
    const added = [...this.#added].sort(compare);
    this.#added.clear();
    const last = this.#sorted[this.#sorted.length - 1];
    if (last === undefined || last < (added[0] as string)) {
      for (const key of added) this.#sorted.push(key);
    } else if (added.length <= INSERT_MAX) {
      for (const key of added) this.#sorted.splice(this.#position(key), 0, key);
    } else {
      this.#sorted = merge(this.#sorted, added);
    }
  }

  /** Index of the first sorted key that is not below `key`. */
  #position(key: string): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Up to here shifting the array for each new key is cheaper than a merge. */
const INSERT_MAX = 32;

/** By UTF-16 unit, which for ASCII is bytewise. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function merge(left: readonly string[], right: readonly string[]): string[] {
  const merged: string[] = [];
  let at = 0;
  for (const key of left) {
    while (at < right.length && (right[at] as string) < key) merged.push(right[at++] as string);
    merged.push(key);
  }
  while (at < right.length) merged.push(right[at++] as string);
  return merged;
}
