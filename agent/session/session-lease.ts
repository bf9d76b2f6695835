/**
 * Until when this machine may run what a pool's coordinator gave it. A lease counts from the moment the acknowledged
 * heartbeat was SENT: counted from the acknowledgement's arrival it could outlive the coordinator's own deadline by the
 * whole time the messages took. Pure: ms of boot time come in as values; monotonic time stands still while the machine
 * sleeps, and the coordinator's does not.
 */
import { keepRecent } from '../../src/lib/keep-recent.ts';
import { LEASE_MS } from '../../src/lib/limits.ts';

/** Heartbeats whose acknowledgement may still come. */
const SENT_KEPT = 64;

export class SessionLease {
  readonly #sentAtMs = new Map<number, number>();
  #nextSequence = 1;
  #untilMs = 0;
  #term = 0;
  #leader: string | undefined;
  #acknowledgedAtMs = Number.NEGATIVE_INFINITY;

  /** Number of the heartbeat that is sent now. */
  send(nowMs: number): number {
    const sequence = this.#nextSequence++;
    keepRecent(this.#sentAtMs, [sequence, nowMs], SENT_KEPT);
    return sequence;
  }

  /** Returns true if the lease grew. A coordinator of an older term is not listened to. */
  acknowledge(sequence: number, term: number, leader: string, nowMs: number): boolean {
    if (!this.noteTerm(term)) return false;
    this.#leader = leader;
    const sentAtMs = this.#sentAtMs.get(sequence);
    if (sentAtMs === undefined) return false;
    this.#acknowledgedAtMs = nowMs;
    if (sentAtMs + LEASE_MS <= this.#untilMs) return false;
    this.#untilMs = sentAtMs + LEASE_MS;
    return true;
  }

  isHeld(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  /** It was held in this life and is over: what it covered may have been given to others. */
  hasLapsed(nowMs: number): boolean {
    return this.#untilMs > 0 && nowMs >= this.#untilMs;
  }

  /** False for a term older than one already seen: its coordinator was deposed. */
  noteTerm(term: number): boolean {
    if (term < this.#term) return false;
    this.#term = term;
    return true;
  }

  remainingMs(nowMs: number): number {
    return Math.max(0, this.#untilMs - nowMs);
  }

  /** Since when no heartbeat was acknowledged. */
  silentMs(nowMs: number): number {
    return nowMs - this.#acknowledgedAtMs;
  }

  get leader(): string | undefined {
    return this.#leader;
  }
}
