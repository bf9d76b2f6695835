/** The state's own clock, and the numbers that are given out once and never again. */
import { COUNTERS_ROW } from './rows.ts';
import type { Turn } from './turn.ts';

interface CountersRow {
  /** Greatest leader's wall clock so far; time never goes back. */
  readonly timeMs: number;
  /** The number that was given out last. */
  readonly machine: number;
  readonly node: number;
  readonly container: number;
  readonly longName: number;
}

export class Counters {
  #row: CountersRow = { timeMs: 0, machine: 0, node: 0, container: 0, longName: 0 };

  load(row: CountersRow): void {
    this.#row = row;
  }

  get timeMs(): number {
    return this.#row.timeMs;
  }

  /** The least number that no node had yet. */
  get nextNode(): number {
    return this.#row.node + 1;
  }

  advanceTime(turn: Turn): void {
    if (turn.timeMs > this.#row.timeMs) this.#set(turn, { ...this.#row, timeMs: turn.timeMs });
  }

  take(turn: Turn, counter: 'machine' | 'container' | 'longName'): number {
    const taken = this.#row[counter] + 1;
    this.#set(turn, { ...this.#row, [counter]: taken });
    return taken;
  }

  /** The packer names nodes by numbers from `nextNode` on: this one is used up now. */
  useNode(turn: Turn, number: number): void {
    this.#set(turn, { ...this.#row, node: Math.max(this.#row.node, number) });
  }

  #set(turn: Turn, row: CountersRow): void {
    this.#row = row;
    turn.put(COUNTERS_ROW, row);
  }
}
