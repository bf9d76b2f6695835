import { describe, expect, test } from 'vitest';
import {
  changeConfiguration,
  decodeConfiguration,
  encodeConfiguration,
  isConfiguration,
  quorumSize,
  quorumValue,
} from '../../../coordinator/consensus/configuration.ts';
import type { Configuration, ConfigurationChange } from '../../../coordinator/consensus/interface.ts';
import { fc } from '../../support/properties.ts';

const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g');
const configuration: fc.Arbitrary<Configuration> = fc.uniqueArray(id, { minLength: 1 }).chain((ids) =>
  fc.integer({ min: 1, max: ids.length }).map((count) => ({
    voters: ids.slice(0, count),
    learners: ids.slice(count),
  })),
);
const change: fc.Arbitrary<ConfigurationChange> = fc.record({
  kind: fc.constantFrom('addLearner', 'promote', 'remove'),
  id,
});

describe('a configuration', () => {
  test('is the same after its way through an entry', () => {
    fc.assert(
      fc.property(configuration, (value) => {
        expect(decodeConfiguration(encodeConfiguration(value))).toEqual(value);
      }),
    );
  });

  test('is never read from bytes that are none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const decoded = decodeConfiguration(bytes);
        expect(decoded === undefined || isConfiguration(decoded)).toBe(true);
      }),
    );
    for (const value of [
      { voters: [], learners: ['a'] },
      { voters: ['a', 'a'], learners: [] },
      { voters: ['a'], learners: ['a'] },
      { voters: ['a', ''], learners: [] },
      { voters: ['a'], learners: [7] },
      { voters: 'a', learners: [] },
      null,
    ]) {
      expect(isConfiguration(value)).toBe(false);
    }
  });

  test('changes by one voter at most, so that any two majorities before and after meet', () => {
    fc.assert(
      fc.property(configuration, change, (before, step) => {
        const after = changeConfiguration(before, step);
        if (after === undefined) return;
        expect(isConfiguration(after)).toBe(true);
        const all = new Set([...before.voters, ...after.voters]);
        expect(quorumSize(before) + quorumSize(after)).toBeGreaterThan(all.size);
      }),
    );
  });

  test('refuses what makes no sense', () => {
    const group: Configuration = { voters: ['a'], learners: ['b'] };
    expect(changeConfiguration(group, { kind: 'addLearner', id: 'a' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'addLearner', id: 'b' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'addLearner', id: '' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'promote', id: 'a' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'promote', id: 'c' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'remove', id: 'c' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'remove', id: 'a' })).toBeUndefined();
    expect(changeConfiguration(group, { kind: 'remove', id: 'b' })).toEqual({ voters: ['a'], learners: [] });
  });

  test('reaches a value when a majority of the voters has, whatever learners have', () => {
    fc.assert(
      fc.property(configuration, fc.array(fc.nat(9), { minLength: 7, maxLength: 7 }), (group, values) => {
        const reached = (voter: string): number => values['abcdefg'.indexOf(voter)] ?? 0;
        const value = quorumValue(group, reached);
        const holders = (least: number): number =>
          group.voters.filter((voter) => reached(voter) >= least).length;
        expect(2 * holders(value)).toBeGreaterThan(group.voters.length);
        expect(2 * holders(value + 1)).toBeLessThanOrEqual(group.voters.length);
      }),
    );
    expect(quorumValue({ voters: [], learners: ['a'] }, () => 7)).toBe(0);
  });
});
