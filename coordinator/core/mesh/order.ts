/**
 * The values of a map in the order of its keys. A Map keeps the order in which its keys came, and that is another one
 * on a replica that restarted in between and was loaded from rows in key order. So no command may walk a Map as it
 * is: the writes, the events and the words of a refusal would differ from replica to replica, and where it stops half
 * way, the state.
 */
export function inKeyOrder<V>(map: ReadonlyMap<string, V>): V[] {
  const values: V[] = [];
  for (const key of [...map.keys()].sort()) values.push(map.get(key) as V);
  return values;
}

/**
 * A map whose values in the order of its keys are put together once after a change; until the next one it is the same
 * array. Keys are sorted only where one came or went.
 */
export class OrderedMap<K extends string, V> {
  readonly #byKey = new Map<K, V>();
  #keys: readonly K[] | undefined;
  #inOrder: readonly V[] | undefined;

  get size(): number {
    return this.#byKey.size;
  }

  get(key: K): V | undefined {
    return this.#byKey.get(key);
  }

  set(key: K, value: V): void {
    if (!this.#byKey.has(key)) this.#keys = undefined;
    this.#byKey.set(key, value);
    this.#inOrder = undefined;
  }

  has(key: K): boolean {
    return this.#byKey.has(key);
  }

  delete(key: K): void {
    if (!this.#byKey.delete(key)) return;
    this.#keys = undefined;
    this.#inOrder = undefined;
  }

  /** In no order that replicas share. */
  values(): Iterable<V> {
    return this.#byKey.values();
  }

  /** Whoever kept it from before sees by its identity whether anything has changed. */
  inOrder(): readonly V[] {
    this.#keys ??= [...this.#byKey.keys()].sort();
    this.#inOrder ??= this.#keys.map((key) => this.#byKey.get(key) as V);
    return this.#inOrder;
  }
}
