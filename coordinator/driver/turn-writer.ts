/**
 * What the turns of a host write. A promise rests on terms, votes and log entries: their write is synced, and waited for.
 * No promise rests on the rows of an applied entry, for the log has it: they wait for the next synced write, for whoever
 * wants to read them, or for some milliseconds. Each write costs a task about as much as a message does.
 */
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { ROWS_GATHER_MS, ROWS_WAITING_MAX } from '../../src/lib/limits.ts';
import type { GroupWrite, Store } from '../../src/store/interface.ts';
import type { Replica } from './replica.ts';

export interface TurnWriterOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly onFailed: (error: unknown) => void;
}

export class TurnWriter {
  readonly #options: TurnWriterOptions;
  #groups: GroupWrite[] = [];
  /** How far each replica is applied once all of it is written. */
  #applied: { readonly replica: Replica; readonly index: number }[] = [];
  #timer: Timer | undefined;
  /** What the store was given last; it keeps the order, so all before it is in the store by then too. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: TurnWriterOptions) {
    this.#options = options;
  }

  /** Resolves when what must be synced is; at once where nothing must. */
  write(groups: readonly GroupWrite[], mustSync: boolean, replicas: Iterable<Replica>): Promise<void> {
    for (const group of groups) this.#groups.push(group);
    for (const replica of replicas) this.#applied.push({ replica, index: replica.appliedIndex });
    if (mustSync) return this.#begin(true);
    if (this.#groups.length > ROWS_WAITING_MAX) void this.#begin(false);
    else this.#timer ??= this.#options.clock.after(ROWS_GATHER_MS, () => void this.#begin(false));
    return Promise.resolve();
  }

  /** Resolves when all that was handed over is in the store. Never rejects: a failure is told by `onFailed`. */
  flush(): Promise<void> {
    const written = this.#groups.length > 0 ? this.#begin(false) : this.#last;
    return written.catch(() => undefined);
  }

  #begin(sync: boolean): Promise<void> {
    const groups = this.#groups;
    const applied = this.#applied;
    this.#groups = [];
    this.#applied = [];
    this.#timer?.cancel();
    this.#timer = undefined;
    const written = this.#options.store.write({ groups }, sync).then(() => {
      for (const { replica, index } of applied) replica.noteWritten(index);
    });
    this.#last = written;
    written.catch(this.#options.onFailed);
    return written;
  }
}
