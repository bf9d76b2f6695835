/**
 * Answers to the last requests, so that one which is sent again (its coordinator died, its answer was lost) has one
 * effect and the same answer. Oldest first out, by number and by bytes; both are the same on every replica.
 */
import { REQUEST_ANSWERS_BYTES_MAX, REQUEST_IDS_KEPT } from '../../../src/lib/limits.ts';
import type { EntityStamp, Outcome, PoolCommand, TaskAddResult } from '../../../src/model/commands.ts';
import { pack, requestRowKey, unpack } from './rows.ts';

interface Kept {
  readonly id: string;
  readonly answer: Uint8Array;
}

export interface RequestWrites {
  putBytes(key: string, value: Uint8Array): void;
  delete(key: string): void;
}

export class RequestLog {
  readonly #sequences = new Map<string, number>();
  readonly #kept = new Map<number, Kept>();
  #first = 1;
  #bytes = 0;
  nextSequence = 1;

  get size(): number {
    return this.#kept.size;
  }

  /** The answer that this request id was given; undefined where it is new or forgotten. */
  find(id: string, command: PoolCommand): Outcome<unknown> | undefined {
    const sequence = this.#sequences.get(id);
    const kept = sequence === undefined ? undefined : this.#kept.get(sequence);
    return kept === undefined ? undefined : decodeAnswer(unpack(kept.answer), command);
  }

  remember(id: string, command: PoolCommand, outcome: Outcome<unknown>, writes: RequestWrites): void {
    const sequence = this.nextSequence++;
    const answer = pack(encodeAnswer(outcome, command));
    writes.putBytes(requestRowKey(sequence), pack([id, answer]));
    this.#keep(sequence, id, answer);
    while (this.#kept.size > REQUEST_IDS_KEPT || this.#bytes > REQUEST_ANSWERS_BYTES_MAX) {
      writes.delete(requestRowKey(this.#first));
      this.#dropFirst();
    }
  }

  load(sequence: number, row: Uint8Array): void {
    const [id, answer] = unpack(row) as [string, Uint8Array];
    if (this.#kept.size === 0) this.#first = sequence;
    this.#keep(sequence, id, answer);
  }

  #keep(sequence: number, id: string, answer: Uint8Array): void {
    // A copy: msgpackr hands out views of a pool that would stay alive with them.
    const kept = { id, answer: new Uint8Array(answer) };
    this.#kept.set(sequence, kept);
    this.#sequences.set(id, sequence);
    this.#bytes += kept.answer.length;
  }

  #dropFirst(): void {
    const oldest = this.#kept.get(this.#first);
    if (oldest !== undefined) {
      this.#kept.delete(this.#first);
      this.#bytes -= oldest.answer.length;
      if (this.#sequences.get(oldest.id) === this.#first) this.#sequences.delete(oldest.id);
    }
    this.#first += 1;
  }
}

/**
 * An add of thousands of tasks answers each; most answers are equal. Kept are the different ones and, where there is
 * more than one, which task got which. The ids are in the command, which comes with every repetition.
 */
type EncodedAdd = readonly [answers: readonly Outcome<EntityStamp>[], which: readonly number[] | number];

function encodeAnswer(outcome: Outcome<unknown>, command: PoolCommand): unknown {
  if (!outcome.ok || command.kind !== 'task.add') return outcome;
  const results = outcome.value as readonly TaskAddResult[];
  const answers: Outcome<EntityStamp>[] = [];
  const known = new Map<unknown, number>();
  const which = results.map((result) => {
    const key = result.outcome.ok ? result.outcome : JSON.stringify(result.outcome);
    let index = known.get(key);
    if (index === undefined) {
      index = answers.push(result.outcome) - 1;
      known.set(key, index);
    }
    return index;
  });
  const encoded: EncodedAdd = [answers, answers.length > 1 ? which : which.length];
  return { ok: true, value: encoded };
}

function decodeAnswer(answer: unknown, command: PoolCommand): Outcome<unknown> {
  const outcome = answer as Outcome<unknown>;
  if (!outcome.ok || command.kind !== 'task.add') return outcome;
  const [answers, which] = outcome.value as EncodedAdd;
  const indexes = typeof which === 'number' ? new Array<number>(which).fill(0) : which;
  const results = indexes.flatMap((index, position): TaskAddResult[] => {
    const one = answers[index];
    return one === undefined ? [] : [{ id: command.tasks[position]?.id ?? '', outcome: one }];
  });
  return { ok: true, value: results };
}
