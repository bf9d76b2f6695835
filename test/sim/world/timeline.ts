/** What happened in a world, readable; and a number that differs wherever two courses differ. */
import { crc32 } from 'node:zlib';
import type { Log } from '../../../src/lib/log.ts';
import type { Scope, VirtualTime } from './virtual-time.ts';

export interface TimelineOptions {
  /** Default true. Without lines a world is quicker, and its digest covers the order and the moments of its events alone. */
  readonly keep?: boolean;
  readonly onLine?: (line: string) => void;
}

export class Timeline {
  readonly #time: VirtualTime;
  readonly #lines: string[] = [];
  readonly #keep: boolean;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #moment = new Float64Array(1);
  readonly #halves = new Int32Array(this.#moment.buffer);
  #events = 0;
  #words = 0;

  constructor(time: VirtualTime, { keep = true, onLine }: TimelineOptions = {}) {
    this.#time = time;
    this.#keep = keep || onLine !== undefined;
    this.#onLine = onLine;
  }

  /** `what` as a function where it takes work to say. */
  note(who: string, what: string | (() => string)): void {
    if (!this.#keep) return;
    const words = typeof what === 'string' ? what : what();
    const line = `${(this.#time.nowMs / 1000).toFixed(4).padStart(9)} ${who.padEnd(7)} ${words}`;
    this.#lines.push(line);
    this.#words = crc32(line, this.#words);
    this.#onLine?.(line);
  }

  /** An event of this scope ran: too frequent to be read, and counts towards the digest only. */
  mix(scope: Scope): void {
    this.#moment[0] = this.#time.nowMs;
    let mixed = this.#events ^ scope.number;
    mixed = Math.imul(mixed ^ (this.#halves[0] ?? 0), 0x01000193);
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ (this.#halves[1] ?? 0), 0x01000193);
    this.#events = mixed ^ (mixed >>> 13);
  }

  get nowMs(): number {
    return this.#time.nowMs;
  }

  get digest(): number {
    return (this.#events ^ this.#words) >>> 0;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** What an agent logs, in its place among the rest. */
  logOf(who: string): Log {
    const write = (values: object, message: string): void =>
      this.note(who, () => `${message} ${JSON.stringify(values)}`);
    return { debug() {}, info: write, warn: write, error: write };
  }
}
