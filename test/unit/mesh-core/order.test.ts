import { expect, test } from 'vitest';
import { OrderedMap } from '../../../coordinator/core/mesh/order.ts';

test('values come in the order of their keys, whatever the order they were set in', () => {
  const map = new OrderedMap<string, number>();
  for (const [key, value] of [
    ['b', 2],
    ['a', 1],
    ['c', 3],
  ] as const)
    map.set(key, value);
  map.delete('b');
  expect(map.inOrder()).toEqual([1, 3]);
  map.set('c', 4);
  expect(map.inOrder()).toEqual([1, 4]);
  map.set('b', 5);
  expect(map.inOrder()).toEqual([1, 5, 4]);
});

test('the list is the same array until something changes, so a look at it costs nothing', () => {
  const map = new OrderedMap<string, number>();
  map.set('a', 1);
  const before = map.inOrder();
  map.delete('b');
  expect(map.inOrder()).toBe(before);
  map.set('a', 1);
  expect(map.inOrder()).not.toBe(before);
  expect(before).toEqual([1]);
});
