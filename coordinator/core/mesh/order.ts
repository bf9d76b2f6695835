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
