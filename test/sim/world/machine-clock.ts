/** The clocks of one machine, which run at their own rate from their own start. */
import type { Clock, Timer } from '../../../src/lib/clock.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { Scope, VirtualTime } from './virtual-time.ts';

const EPOCH_MS = Date.UTC(2030, 0, 1);
/** A timer is served this much too late at most: the loop was busy. */
const LATENESS_MS_MAX = 1;
const TURN_MS_MAX = 0.05;

/** What all processes of a machine have in common. */
export interface ClockDrift {
  /** Seconds of this machine in one true second. */
  readonly rate: number;
  /** Somebody may set the wall clock. */
  wallSkewMs: number;
  readonly monotonicStartMs: number;
  /** True milliseconds that the machine has slept: monotonic time stood still, boot time and the wall clock did not. */
  sleptMs: number;
}

export class MachineClock implements Clock {
  readonly #time: VirtualTime;
  readonly #drift: ClockDrift;
  readonly #scope: Scope;
  readonly #random: Prng;

  /** Timers belong to `scope`: they are lost with the process that set them. */
  constructor(time: VirtualTime, drift: ClockDrift, scope: Scope, random: Prng) {
    this.#time = time;
    this.#drift = drift;
    this.#scope = scope;
    this.#random = random;
  }

  wallMs(): number {
    return Math.floor(EPOCH_MS + this.#drift.wallSkewMs + this.#time.nowMs * this.#drift.rate);
  }

  monotonicMs(): number {
    const { monotonicStartMs, sleptMs, rate } = this.#drift;
    return monotonicStartMs + (this.#time.nowMs - sleptMs) * rate;
  }

  bootMs(): number {
    return this.#drift.monotonicStartMs + this.#time.nowMs * this.#drift.rate;
  }

  after(delayMs: number, fire: () => void): Timer {
    const lateMs = this.#random.next() * LATENESS_MS_MAX;
    return this.#time.after(Math.max(0, delayMs) / this.#drift.rate + lateMs, this.#scope, fire);
  }

  soon(fire: () => void): void {
    this.#time.after(this.#random.next() * TURN_MS_MAX, this.#scope, fire);
  }
}
