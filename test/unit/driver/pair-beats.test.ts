import { describe, expect, test } from 'vitest';
import { PairBeats } from '../../../coordinator/driver/pair-beats.ts';
import { RAFT_BEAT_TICKS, RAFT_ELECTION_TICKS } from '../../../src/lib/limits.ts';

const B_AND_C = new Set(['b', 'c']);

/** Ticks until somebody is missed. */
function ticksUntilLost(beats: PairBeats, partners: ReadonlySet<string>): number {
  for (let ticks = RAFT_BEAT_TICKS; ; ticks += RAFT_BEAT_TICKS)
    if (beats.tick(RAFT_BEAT_TICKS, partners).size > 0) return ticks;
}

describe('beats between machines', () => {
  test('a machine that is heard is never missed, a silent one after an election timeout', () => {
    const beats = new PairBeats();
    expect(beats.tick(1, B_AND_C).size).toBe(0);
    for (let ticks = 1; ticks < RAFT_ELECTION_TICKS; ticks++) {
      beats.heard('b');
      expect(beats.tick(1, B_AND_C).size).toBe(0);
    }
    beats.heard('b');
    expect(beats.tick(1, B_AND_C)).toEqual(new Map([['c', RAFT_ELECTION_TICKS]]));
  });

  test('the silence of a machine begins when it becomes a partner', () => {
    const beats = new PairBeats();
    const alone = ticksUntilLost(beats, B_AND_C);
    beats.tick(1, new Set());
    expect(ticksUntilLost(beats, B_AND_C)).toBe(alone);
  });
});
