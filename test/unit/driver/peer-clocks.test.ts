import { describe, expect, test } from 'vitest';
import { PeerClocks } from '../../../coordinator/driver/peer-clocks.ts';
import { CLOCK_AHEAD_MS_MAX, CLOCK_READING_KEPT_MS } from '../../../src/lib/limits.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

function clocks(...aheadMs: readonly number[]): { clocks: PeerClocks; peers: readonly string[] } {
  const known = new PeerClocks();
  const peers = aheadMs.map((_, number) => `peer-${number}`);
  aheadMs.forEach((ahead, number) => {
    known.note(`peer-${number}`, NOW_MS + ahead, 0);
  });
  return { clocks: known, peers };
}

describe("the time that a leader's commands carry", () => {
  test('is its own clock, where that is near the others or behind them', () => {
    const near = clocks(-2_000, 3_000);
    expect(near.clocks.bounded(NOW_MS, 0, near.peers)).toBe(NOW_MS);
    const behind = clocks(DAY_MS, DAY_MS);
    expect(behind.clocks.bounded(NOW_MS, 0, behind.peers)).toBe(NOW_MS);
  });

  test('goes no further than a bound beyond the other two voters, were its clock a year ahead', () => {
    const { clocks: known, peers } = clocks(0, 500);
    expect(known.bounded(NOW_MS + 365 * DAY_MS, 0, peers)).toBe(NOW_MS + 500 + CLOCK_AHEAD_MS_MAX);
  });

  test('is not moved by one voter whose clock is wrong either way', () => {
    for (const wrong of [-365 * DAY_MS, 365 * DAY_MS]) {
      const { clocks: known, peers } = clocks(0, wrong);
      expect(known.bounded(NOW_MS, 0, peers)).toBe(NOW_MS);
    }
  });

  test('follows the clocks of the others between their messages', () => {
    const { clocks: known, peers } = clocks(0, 0);
    expect(known.bounded(NOW_MS + DAY_MS, 5_000, peers)).toBe(NOW_MS + 5_000 + CLOCK_AHEAD_MS_MAX);
  });

  test('is its own where nobody was heard for long', () => {
    const { clocks: known, peers } = clocks(0, 0);
    const laterMs = CLOCK_READING_KEPT_MS + 1;
    expect(known.bounded(NOW_MS + DAY_MS, laterMs, peers)).toBe(NOW_MS + DAY_MS);
    known.note('peer-0', NOW_MS, laterMs);
    expect(known.bounded(NOW_MS + DAY_MS, laterMs, peers)).toBe(NOW_MS + CLOCK_AHEAD_MS_MAX);
    known.forget('peer-0');
    expect(known.bounded(NOW_MS + DAY_MS, laterMs, peers)).toBe(NOW_MS + DAY_MS);
  });
});
