/**
 * Puts an entry into a map as its newest, and drops the oldest one where that makes more than `max`. `mayDrop` passes over
 * entries that are in use; where all are, the map grows. A map keeps the order in which its entries were put in.
 */
export function keepRecent<K, V>(
  map: Map<K, V>,
  entry: readonly [K, V],
  max: number,
  mayDrop: (value: V) => boolean = () => true,
): void {
  map.delete(entry[0]);
  map.set(...entry);
  if (map.size <= max) return;
  for (const [key, value] of map) {
    if (key === entry[0] || !mayDrop(value)) continue;
    map.delete(key);
    return;
  }
}
