/**
 * Executions and their outcomes in the machine's own rows, from dispatch until the coordinator has recorded the end: a
 * restarted agent goes on where the old one was killed. The rows are not synced: they must survive the process, and a
 * machine that lost power has lost the processes too, so its lease ends and the work runs elsewhere.
 */
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { OUTBOX_GATHER_MS } from '../../src/lib/limits.ts';
import { executionKey } from '../../src/model/execution.ts';
import type { TaskOutcome } from '../../src/model/task.ts';
import type { RowWrite, Store } from '../../src/store/interface.ts';
import { decode, encode } from '../../src/wire/codec.ts';
import type { Assigned } from '../lifecycle/interface.ts';

export interface StoredExecution {
  readonly assigned: Assigned;
  readonly outcome: TaskOutcome | undefined;
}

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

export class Outbox {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #pool: string;
  #pending: RowWrite[] = [];
  #waiting: Waiting[] = [];
  #isUrgent = false;
  #isWriting = false;
  #isClosed = false;
  #gathering: Timer | undefined;

  constructor(store: Store, clock: Clock, pool: string) {
    this.#store = store;
    this.#clock = clock;
    this.#pool = pool;
  }

  async load(): Promise<readonly StoredExecution[]> {
    const outcomes = new Map<string, TaskOutcome>();
    for await (const [key, value] of this.#store.scanLocal({ prefix: `o/${this.#pool}/` }))
      outcomes.set(key.slice(2), decode(value) as TaskOutcome);
    const found: StoredExecution[] = [];
    for await (const [key, value] of this.#store.scanLocal({ prefix: `e/${this.#pool}/` })) {
      found.push({ assigned: decode(value) as Assigned, outcome: outcomes.get(key.slice(2)) });
    }
    return found;
  }

  /** Resolves when the row is written; rejects where the store takes no writes any more (a full disk, say). */
  keepAssigned(assigned: Assigned): Promise<void> {
    const kept = this.#write({ kind: 'put', key: `e/${this.#rowOf(assigned)}`, value: encode(assigned) });
    this.#writeSoon();
    return kept;
  }

  /** As `keepAssigned`, but only the runner's memory waits for it: it shares a write with what comes soon. */
  keepOutcome(assigned: Assigned, outcome: TaskOutcome): Promise<void> {
    return this.#write({ kind: 'put', key: `o/${this.#rowOf(assigned)}`, value: encode(outcome) });
  }

  /** Rows that stay because the store fails cost the next life one more report, which changes nothing. */
  forget(assigned: Assigned): void {
    const row = this.#rowOf(assigned);
    for (const key of [`e/${row}`, `o/${row}`]) this.#write({ kind: 'delete', key }).catch(() => undefined);
  }

  #rowOf({ job, task, epoch }: Assigned): string {
    return `${this.#pool}/${executionKey({ job: job.number, task, epoch })}`;
  }

  /** Writes what waits; nothing is kept from now on. */
  close(): void {
    this.#isClosed = true;
    this.#writeSoon();
  }

  #write(row: RowWrite): Promise<void> {
    if (this.#isClosed) return Promise.reject(new ShoalError('ServerBusy', 'This agent is stopping.'));
    this.#pending.push(row);
    this.#gathering ??= this.#clock.after(OUTBOX_GATHER_MS, () => this.#writeSoon());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /** At once, or behind the write that is under way. */
  #writeSoon(): void {
    this.#isUrgent = true;
    void this.#drain();
  }

  /** All writes of one turn go into one batch; those that come while it is written share the next. */
  async #drain(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    await Promise.resolve();
    do await this.#writePending();
    while (this.#isUrgent);
    this.#isWriting = false;
  }

  async #writePending(): Promise<void> {
    const rows = this.#pending;
    const waiting = this.#waiting;
    this.#pending = [];
    this.#waiting = [];
    this.#isUrgent = false;
    this.#gathering?.cancel();
    this.#gathering = undefined;
    if (rows.length === 0) return;
    try {
      await this.#store.write({ groups: [], local: rows }, false);
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
