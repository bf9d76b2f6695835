/**
 * Until when each node of a pool may still run what it was given, as the coordinator counts it: from the moment it heard
 * the node, which is later than the moment the node sent, so the coordinator's deadline is never before the node's own.
 * Pure: times are monotonic ms of this machine and come in as values. Not replicated: a new coordinator gives every
 * node one full lease before it calls it lost.
 */
import { KILL_GRACE_MS, LEASE_MARGIN, LEASE_MS } from '../../src/lib/limits.ts';

const TERM_MS = LEASE_MS * LEASE_MARGIN + KILL_GRACE_MS;

export class LeaseBook {
  readonly #deadlines = new Map<string, number>();

  /** The node is new, or was heard. */
  extend(node: string, nowMs: number): void {
    this.#deadlines.set(node, nowMs + TERM_MS);
  }

  /** Gives the node a lease only if it has none. */
  ensure(node: string, nowMs: number): void {
    if (!this.#deadlines.has(node)) this.extend(node, nowMs);
  }

  forget(node: string): void {
    this.#deadlines.delete(node);
  }

  isOver(node: string, nowMs: number): boolean {
    const deadline = this.#deadlines.get(node);
    return deadline !== undefined && nowMs >= deadline;
  }

  /** Is one over by then that holds now? */
  endWithin(periodMs: number, nowMs: number): boolean {
    for (const deadline of this.#deadlines.values())
      if (deadline > nowMs && deadline <= nowMs + periodMs) return true;
    return false;
  }

  /** This process itself stood still for so long: nobody could be heard, so nobody is late. */
  forgive(gapMs: number): void {
    for (const [node, deadline] of this.#deadlines) this.#deadlines.set(node, deadline + gapMs);
  }

  nodes(): Iterable<string> {
    return this.#deadlines.keys();
  }
}
