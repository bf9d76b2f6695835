import { describe, expect, test } from 'vitest';
import { findAnomaly, type Operation, type Specification } from './world/linearizability.ts';

type Call = { readonly write: number } | 'read';

const register: Specification<number, Call, number> = {
  initial: 0,
  step: (state, call, answer) => {
    if (call !== 'read') return [call.write];
    return answer === undefined || answer === state ? [state] : [];
  },
  nameOf: String,
};

function operation(
  call: Call,
  calledAt: number,
  answeredAt: number,
  answer?: number,
): Operation<Call, number> {
  return { call, calledAt, answeredAt, answer };
}

describe('a history of a register', () => {
  test('is linearizable where operations follow each other', () => {
    expect(
      findAnomaly(register, [operation({ write: 1 }, 0, 1, 1), operation('read', 2, 3, 1)]),
    ).toBeUndefined();
  });

  test('is not where a read misses a write that was answered before', () => {
    expect(findAnomaly(register, [operation({ write: 1 }, 0, 1, 1), operation('read', 2, 3, 0)])).toEqual([
      0,
    ]);
  });

  test('may give either value while the write is on its way', () => {
    for (const seen of [0, 1])
      expect(
        findAnomaly(register, [operation({ write: 1 }, 0, 5, 1), operation('read', 2, 3, seen)]),
      ).toBeUndefined();
  });

  test('may not go back from the new value to the old one', () => {
    const history = [
      operation({ write: 1 }, 0, 9, 1),
      operation('read', 1, 2, 1),
      operation('read', 3, 4, 0),
    ];
    expect(findAnomaly(register, history)).toBeDefined();
  });

  test('may show a write that was never answered late, or never', () => {
    const unanswered = operation({ write: 1 }, 0, Number.POSITIVE_INFINITY);
    expect(findAnomaly(register, [unanswered, operation('read', 5, 6, 0)])).toBeUndefined();
    expect(
      findAnomaly(register, [unanswered, operation('read', 5, 6, 0), operation('read', 7, 8, 1)]),
    ).toBeUndefined();
    expect(
      findAnomaly(register, [unanswered, operation('read', 5, 6, 1), operation('read', 7, 8, 0)]),
    ).toBeDefined();
  });

  test('of many operations, each overlapping with its neighbours, is decided', () => {
    const history = Array.from({ length: 40 }, (_, number) =>
      operation({ write: number }, number * 2, number * 2 + 5, number),
    );
    expect(findAnomaly(register, [...history, operation('read', 90, 91, 39)])).toBeUndefined();
    expect(findAnomaly(register, [...history, operation('read', 90, 91, 7)])).toBeDefined();
  });
});
