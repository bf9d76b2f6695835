/**
 * The leases of the pools whose nodes are here, by deadline. All times are milliseconds of boot time, which goes on while
 * the machine is suspended. Pure.
 */
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

  /** When the next lease ends; undefined if there is none. */
  nextDeadlineMs(): number | undefined {
    let next: number | undefined;
    for (const deadlineMs of this.#deadlines.values()) {
      if (next === undefined || deadlineMs < next) next = deadlineMs;
    }
    return next;
  }
}
