/**
 * How far this machine's clock may carry a group's time. Time enters a group with its leader's commands and never goes
 * back, so one leader whose clock is in the future would end every retention and recurrence at once, for good. Each Raft
 * frame therefore says what its sender's clock shows, and a leader stamps no further ahead than a bound beyond the
 * median of the voters' clocks: with three voters, one wrong clock moves nothing. Pure: clocks come in as values.
 */
import { CLOCK_AHEAD_MS_MAX, CLOCK_READING_KEPT_MS } from '../../src/lib/limits.ts';

interface Reading {
  readonly wallMs: number;
  /** Own monotonic clock when it came. */
  readonly atMs: number;
}

export class PeerClocks {
  readonly #readings = new Map<string, Reading>();

  /** A frame of this peer says what its clock showed when it was sent. */
  note(peer: string, wallMs: number, monotonicMs: number): void {
    this.#readings.set(peer, { wallMs, atMs: monotonicMs });
  }

  forget(peer: string): void {
    this.#readings.delete(peer);
  }

  /**
   * This machine's wall clock, bounded by those of the peers among `others` that were heard of late. Of an even number of
   * clocks the lower middle counts: a bound that is too low makes the group's time late, one that is too high is for ever.
   */
  bounded(wallMs: number, monotonicMs: number, others: Iterable<string>): number {
    const clocks = [wallMs];
    for (const peer of others) {
      const reading = this.#readings.get(peer);
      if (reading === undefined || monotonicMs - reading.atMs > CLOCK_READING_KEPT_MS) continue;
      clocks.push(reading.wallMs + (monotonicMs - reading.atMs));
    }
    clocks.sort((a, b) => a - b);
    const median = clocks[(clocks.length - 1) >> 1] ?? wallMs;
    return Math.min(wallMs, Math.floor(median + CLOCK_AHEAD_MS_MAX));
  }
}
