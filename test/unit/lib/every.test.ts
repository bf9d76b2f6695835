import { describe, expect, test } from 'vitest';
import { type Clock, every } from '../../../src/lib/clock.ts';
import { Scope, VirtualTime } from '../../sim/world/virtual-time.ts';

/** A process that began at an odd moment, and how often it was woken. */
class Process {
  readonly #time = new VirtualTime();
  readonly #scope = new Scope('process');
  wakes = 0;
  /** The loop is busy for so long when the next timer is due. */
  lateMs = 0;

  readonly clock: Clock = {
    wallMs: () => this.nowMs,
    monotonicMs: () => this.nowMs,
    after: (delayMs, fire) =>
      this.#time.after(delayMs + this.lateMs, this.#scope, () => {
        this.wakes += 1;
        this.lateMs = 0;
        fire();
      }),
    soon: (fire) => void this.#time.after(0, this.#scope, fire),
  };

  get nowMs(): number {
    return 1_234 + this.#time.nowMs;
  }

  async pass(durationMs: number): Promise<void> {
    const untilMs = this.#time.nowMs + durationMs;
    this.#time.after(durationMs, this.#scope, () => undefined);
    await this.#time.run(
      () => this.#time.nowMs >= untilMs,
      () => undefined,
    );
  }
}

describe('every', () => {
  test('loops of one process wake it together, however they were started', async () => {
    const process = new Process();
    const turns = { second: 0, half: 0, two: 0 };
    every(process.clock, 1_000, () => turns.second++);
    await process.pass(130);
    every(process.clock, 500, () => turns.half++);
    await process.pass(70);
    every(process.clock, 2_000, () => turns.two++);
    await process.pass(19_800);
    expect(turns).toEqual({ second: 20, half: 40, two: 10 });
    expect(process.wakes).toBe(40);
  });

  test('turns that were missed are not made up for', async () => {
    const process = new Process();
    const turns: number[] = [];
    process.lateMs = 3_300;
    every(process.clock, 1_000, () => turns.push(process.nowMs));
    await process.pass(7_000);
    expect(turns[0]).toBeGreaterThan(5_000);
    expect(turns.slice(1).map(Math.round)).toEqual([6_000, 7_000, 8_000]);
  });

  test('a loop that was ended, be it by another in the same turn, runs no more', async () => {
    const process = new Process();
    let turns = 0;
    every(process.clock, 100, () => second.cancel());
    const second = every(process.clock, 100, () => turns++);
    await process.pass(1_000);
    expect(turns).toBe(0);
  });
});
