/**
 * Same request id, same answer, one effect. The answers of the last `REQUEST_IDS_KEPT` requests are kept, refusals as
 * well: a client that lost the answer and asks again must not hear another one.
 */
import { detached } from '../../../src/lib/detached.ts';
import { REQUEST_IDS_KEPT } from '../../../src/lib/limits.ts';
import type { Outcome } from '../../../src/model/commands.ts';
import { requestRow } from './rows.ts';
import type { Turn } from './turn.ts';

interface RequestRow {
  readonly id: string;
  readonly sequence: number;
  readonly outcome: Outcome<unknown>;
}

export class Requests {
  /** In order of arrival, as Map keeps it. Sequence numbers have no gap: the oldest is `#next - #answers.size`. */
  readonly #answers = new Map<string, Outcome<unknown>>();
  readonly #kept: number;
  #next = 0;

  constructor(kept: number = REQUEST_IDS_KEPT) {
    this.#kept = kept;
  }

  /** Rows come in key order, which is the order of arrival. */
  load(row: RequestRow): void {
    this.#answers.set(detached(row.id), row.outcome);
    this.#next = row.sequence + 1;
  }

  answerOf(id: string): Outcome<unknown> | undefined {
    return this.#answers.get(id);
  }

  remember(turn: Turn, id: string, outcome: Outcome<unknown>): void {
    if (this.#answers.size >= this.#kept) {
      const oldest = this.#answers.keys().next().value;
      turn.delete(requestRow(this.#next - this.#answers.size));
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    const sequence = this.#next;
    this.#next += 1;
    this.#answers.set(detached(id), outcome);
    turn.put(requestRow(sequence), { id, sequence, outcome });
  }
}
