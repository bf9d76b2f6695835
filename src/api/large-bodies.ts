/**
 * Bodies above what Azure Batch itself takes are read one at a time, with a pause in between: each costs tens of
 * milliseconds in which nobody else is served, whether it is refused at its end or not.
 */
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import { LARGE_BODIES_WAITING_MAX, LARGE_BODY_PAUSE_MS } from '../lib/limits.ts';

export class LargeBodies {
  readonly #clock: Clock;
  #freeAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the next one may be read; rejects with `TooManyRequests` where too many wait. */
  async turn(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(nowMs, this.#freeAtMs);
    if (startMs - nowMs > LARGE_BODIES_WAITING_MAX * LARGE_BODY_PAUSE_MS)
      throw new ShoalError('TooManyRequests', 'Too many large bodies wait to be read.');
    this.#freeAtMs = startMs + LARGE_BODY_PAUSE_MS;
    if (startMs === nowMs) return;
    await new Promise<void>((resolve) => {
      this.#clock.after(startMs - nowMs, resolve);
    });
  }
}
