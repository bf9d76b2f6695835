/** What happened in a world, readable; and a number that differs wherever two courses differ. */
import { crc32 } from 'node:zlib';
import type { Log } from '../../../src/lib/log.ts';
import type { VirtualTime } from './virtual-time.ts';

export class Timeline {
  readonly #time: VirtualTime;
  readonly #lines: string[] = [];
  #digest = 0;
  readonly #onLine: ((line: string) => void) | undefined;

  constructor(time: VirtualTime, onLine?: (line: string) => void) {
    this.#time = time;
    this.#onLine = onLine;
  }

  note(who: string, what: string): void {
    const line = `${(this.#time.nowMs / 1000).toFixed(4).padStart(9)} ${who.padEnd(7)} ${what}`;
    this.#lines.push(line);
    this.#digest = crc32(line, this.#digest);
    this.#onLine?.(line);
  }

  /** Counts towards the digest only: too frequent to be read. */
  mix(what: string): void {
    this.#digest = crc32(`${this.#time.nowMs} ${what}`, this.#digest);
  }

  get digest(): number {
    return this.#digest;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  last(count: number): string {
    return this.#lines.slice(-count).join('\n');
  }

  /** What an agent logs, in its place among the rest. */
  logOf(who: string): Log {
    const write = (values: object, message: string): void =>
      this.note(who, `${message} ${JSON.stringify(values)}`);
    return { debug() {}, info: write, warn: write, error: write };
  }
}
