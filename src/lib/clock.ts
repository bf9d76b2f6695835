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

/** Repeats `run` every `periodMs` until cancelled; the next turn is armed only after the last one returned. */
export function every(clock: Clock, periodMs: number, run: () => void): Timer {
  let timer: Timer;
  let cancelled = false;
  const arm = (): void => {
    timer = clock.after(periodMs, () => {
      run();
      if (!cancelled) arm();
    });
  };
  arm();
  return {
    cancel: () => {
      cancelled = true;
      timer.cancel();
    },
  };
}
