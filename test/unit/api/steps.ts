/** A clock that goes on only when it is told to. */
import type { Clock } from '../../../src/lib/clock.ts';

export class Steps implements Clock {
  nowMs = 0;
  #timers: { readonly atMs: number; readonly fire: () => void }[] = [];

  wallMs = (): number => this.nowMs;
  monotonicMs = (): number => this.nowMs;

  after(delayMs: number, fire: () => void): { cancel: () => void } {
    const timer = { atMs: this.nowMs + delayMs, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  }

  soon(fire: () => void): void {
    this.after(0, fire);
  }

  /** Time passes; what is due on the way runs at its moment, and what follows from it by promises. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const [next] = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.fire();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }
}
