import { expect, test } from 'vitest';
import { keepRecent } from '../../../src/lib/keep-recent.ts';

test('the entry that was put in longest ago goes, and one that is put in again is the newest', () => {
  const map = new Map<string, number>();
  for (const [at, key] of ['a', 'b', 'a', 'c'].entries()) keepRecent(map, [key, at], 2);
  expect([...map]).toEqual([
    ['a', 2],
    ['c', 3],
  ]);
});

test('what is in use stays, and so does what was just put in', () => {
  const map = new Map<string, boolean>();
  const isFree = (inUse: boolean): boolean => !inUse;
  keepRecent(map, ['a', true], 2, isFree);
  keepRecent(map, ['b', false], 2, isFree);
  keepRecent(map, ['c', true], 2, isFree);
  expect([...map.keys()]).toEqual(['a', 'c']);
  keepRecent(map, ['d', false], 2, isFree);
  expect([...map.keys()]).toEqual(['a', 'c', 'd']);
});
