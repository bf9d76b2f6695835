/** Time and timers as values, so that everything that waits can also run in virtual time. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. May jump: never compare it across machines or use it for leases. */
  wallMs(): number;
  /** Monotonic clock, milliseconds since an arbitrary start. Stands still while the machine is suspended. */
  monotonicMs(): number;
  /** Calls `fire` once after `delayMs`. */
  after(delayMs: number, fire: () => void): Timer;
  /** Calls `fire` in the next turn of the loop, after the IO that is ready now. */
  soon(fire: () => void): void;
}

export interface Timer {
  cancel(): void;
}

/** Lets the loop turn, in the midst of work that would hold it up. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve));
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fire) {
    const handle = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  soon: (fire) => {
    setImmediate(fire);
  },
};

/**
 * Repeats `run` every `periodMs` until cancelled: at whole multiples of the period on the monotonic clock, so that the
 * loops of one process wake it together. What wakes an idle process costs far more than what it then does. The first
 * turn comes after at most one period; turns that were missed (the process stood still) are not made up for.
 */
export function every(clock: Clock, periodMs: number, run: () => void): Timer {
  let wheel = wheels.get(clock);
  if (wheel === undefined) {
    wheel = new Wheel(clock);
    wheels.set(clock, wheel);
  }
  return wheel.add(periodMs, run);
}

const wheels = new WeakMap<Clock, Wheel>();

/** A turn that is due within this time is taken now: timers are served up to a millisecond early, and some late. */
const TOGETHER_MS = 5;

interface Loop {
  readonly periodMs: number;
  readonly run: () => void;
  dueAtMs: number;
}

/** All loops of one clock, behind one timer. */
class Wheel {
  readonly #clock: Clock;
  readonly #loops = new Set<Loop>();
  #armed: { readonly atMs: number; readonly timer: Timer } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(periodMs: number, run: () => void): Timer {
    const loop = { periodMs, run, dueAtMs: nextTurnMs(this.#clock.monotonicMs(), periodMs) };
    this.#loops.add(loop);
    this.#arm();
    return {
      cancel: () => {
        this.#loops.delete(loop);
        this.#arm();
      },
    };
  }

  #arm(): void {
    let atMs = Number.POSITIVE_INFINITY;
    for (const { dueAtMs } of this.#loops) atMs = Math.min(atMs, dueAtMs);
    if (this.#armed?.atMs === atMs) return;
    this.#armed?.timer.cancel();
    this.#armed = undefined;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(0, Math.ceil(atMs - this.#clock.monotonicMs()));
    this.#armed = { atMs, timer: this.#clock.after(waitMs, () => this.#turn(atMs)) };
  }

  #turn(atMs: number): void {
    this.#armed = undefined;
    const nowMs = Math.max(atMs, this.#clock.monotonicMs());
    try {
      for (const loop of [...this.#loops]) {
        // One of the others may have ended it.
        if (loop.dueAtMs > nowMs + TOGETHER_MS || !this.#loops.has(loop)) continue;
        loop.dueAtMs = nextTurnMs(nowMs, loop.periodMs);
        loop.run();
      }
    } finally {
      this.#arm();
    }
  }
}

function nextTurnMs(nowMs: number, periodMs: number): number {
  return (Math.floor((nowMs + TOGETHER_MS) / periodMs) + 1) * periodMs;
}
