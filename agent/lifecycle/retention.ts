/**
 * Directories of finished tasks and until when they are kept. The list is in the machine's own rows, ordered by time, so
 * that a restart forgets none and a look costs what is due, not what is kept.
 */
import { rm } from 'node:fs/promises';
import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { RETENTION_SWEEP_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { RowWrite, Store } from '../../src/store/interface.ts';
import { decode, encode } from '../../src/wire/codec.ts';

/** Directories removed in one look; the rest waits for the next. */
const REMOVALS_MAX = 1_000;

export interface RetentionOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

export class Retention {
  readonly #options: RetentionOptions;
  #pending: RowWrite[] = [];
  #timer: Timer | undefined;
  /** Directories that an execution uses now: an older one's retention does not end in them. */
  readonly #held = new Set<string>();
  #sequence = 0;
  #sweeping = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = every(this.#options.clock, RETENTION_SWEEP_MS, () => void this.sweep());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  hold(directory: string): void {
    this.#held.add(directory);
  }

  /** Rows of one turn are written together; one that a crash loses means a directory that stays. */
  add(directory: string, untilMs: number): void {
    this.#held.delete(directory);
    this.#sequence += 1;
    this.#pending.push({
      kind: 'put',
      key: `d/${timeKey(untilMs)}/${this.#sequence.toString(36)}`,
      value: encode(directory),
    });
    if (this.#pending.length > 1) return;
    this.#options.clock.soon(() => {
      const local = this.#pending;
      this.#pending = [];
      this.#options.store.write({ groups: [], local }, false).catch(() => undefined);
    });
  }

  /** Removes what is due. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const { store, clock, log } = this.#options;
    try {
      const due = timeKey(clock.wallMs());
      for await (const [key, value] of store.scanLocal({ prefix: 'd/', limit: REMOVALS_MAX })) {
        if (key.slice(2, 2 + due.length) > due) break;
        const directory = decode(value) as string;
        if (this.#held.has(directory)) continue;
        await rm(directory, { recursive: true, force: true });
        await store.write({ groups: [], local: [{ kind: 'delete', key }] }, false);
      }
    } catch (error) {
      log.warn(
        { error: asShoalError(error).message },
        'directories past their retention could not be removed',
      );
    } finally {
      this.#sweeping = false;
    }
  }
}

function timeKey(timeMs: number): string {
  return Math.min(Math.max(0, Math.floor(timeMs)), Number.MAX_SAFE_INTEGER)
    .toString(16)
    .padStart(14, '0');
}
