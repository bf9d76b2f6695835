/**
 * How far apart messages of one kind are. After a pause the next goes at once. Where work flows, which is when the last
 * one held many items, the next waits for more of them: those at work have more ahead, and each message costs the same
 * synced writes whatever it holds.
 */
import { FLOW_GATHER_MS, FLOW_ITEMS_MIN, GATHER_MS } from './limits.ts';

export class Flow {
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #sentItems = 0;

  /** After how many milliseconds the next message is due; 0 where it is. */
  waitMs(nowMs: number): number {
    const gatherMs = this.#sentItems < FLOW_ITEMS_MIN ? GATHER_MS : FLOW_GATHER_MS;
    return Math.max(0, this.#sentAtMs + gatherMs - nowMs);
  }

  sent(items: number, nowMs: number): void {
    this.#sentItems = items;
    this.#sentAtMs = nowMs;
  }
}
