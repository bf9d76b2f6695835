import { RUNNER_SUSPEND_GAP_MS } from '../../src/lib/limits.ts';

/** The leases of the pools whose nodes are here, by deadline. All times are monotonic milliseconds. Pure. */
export class LeaseTable {
  readonly #deadlines = new Map<string, number>();

  /**
   * Prolongs or opens a lease. `fromMs` is when it was granted.
   *
   * @returns false if it had ended before that: what ran under it ran without one for a while, and must not
   * go on.
   */
  renew(lease: string, fromMs: number, deadlineMs: number): boolean {
    const formerMs = this.#deadlines.get(lease);
    this.#deadlines.set(lease, deadlineMs);
    return formerMs === undefined || fromMs < formerMs;
  }

  /** A lease that ends now has ended. */
  isLive(lease: string, nowMs: number): boolean {
    const deadlineMs = this.#deadlines.get(lease);
    return deadlineMs !== undefined && nowMs < deadlineMs;
  }

  /** Removes and names the leases whose time is over. */
  takeExpired(nowMs: number): string[] {
    const expired: string[] = [];
    for (const [lease, deadlineMs] of this.#deadlines) {
      if (deadlineMs <= nowMs) expired.push(lease);
    }
    for (const lease of expired) this.#deadlines.delete(lease);
    return expired;
  }

  /** Removes and names all leases. */
  takeAll(): string[] {
    const leases = [...this.#deadlines.keys()];
    this.#deadlines.clear();
    return leases;
  }

  /** When the next lease ends; undefined if there is none. */
  nextDeadlineMs(): number | undefined {
    let next: number | undefined;
    for (const deadlineMs of this.#deadlines.values()) {
      if (next === undefined || deadlineMs < next) next = deadlineMs;
    }
    return next;
  }
}

/**
 * Tells a suspend of the machine from the passing of time: boot time (CLOCK_BOOTTIME) goes on while the
 * machine sleeps, monotonic time does not, so only a suspend lets the first run ahead of the second. The
 * machine's leases were given away meanwhile, although by monotonic time they still hold. Pure.
 */
export class SuspendDetector {
  #aheadMs: number | undefined;

  /** True once for each suspend since the last call. */
  observe(monotonicMs: number, bootMs: number): boolean {
    const aheadMs = bootMs - monotonicMs;
    const suspended = this.#aheadMs !== undefined && aheadMs - this.#aheadMs > RUNNER_SUSPEND_GAP_MS;
    // The least distance seen is the base: a reading that was delayed between the two clocks must not hide a
    // suspend.
    if (suspended || this.#aheadMs === undefined || aheadMs < this.#aheadMs) this.#aheadMs = aheadMs;
    return suspended;
  }
}
