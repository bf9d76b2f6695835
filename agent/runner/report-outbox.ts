import { RUNNER_EXITS_PER_FRAME_MAX, RUNNER_STARTED_DELAY_MS } from '../../src/lib/limits.ts';
import { executionName } from './execution-key.ts';
import type { ExecutionKey, Exit, Running } from './interface.ts';
import type { Journal } from './journal.ts';
import { encodePayload, type Report } from './protocol.ts';

/** Takes an encoded message to the agent that is attached now, if one is. */
export type Send = (payload: Buffer) => void;

/**
 * What the agent must hear. An exit is in the journal before it leaves, and is kept until it is acknowledged.
 * Starts are told once, to whom it may concern: who attaches later gets them with the state.
 */
export class ReportOutbox {
  readonly #journal: Journal;
  readonly #unacknowledged = new Map<string, Exit>();
  #started: Running[] = [];
  #ended: Exit[] = [];
  #startedTimer: NodeJS.Timeout | undefined;
  send: Send | undefined;

  constructor(journal: Journal, unacknowledged: readonly Exit[]) {
    this.#journal = journal;
    for (const exit of unacknowledged) this.#unacknowledged.set(executionName(exit.key), exit);
  }

  /** Exits not acknowledged, those included that `flush` has not sent yet. */
  get size(): number {
    return this.#unacknowledged.size;
  }

  exits(): Exit[] {
    return [...this.#unacknowledged.values()];
  }

  get(name: string): Exit | undefined {
    return this.#unacknowledged.get(name);
  }

  started(running: Running): void {
    if (this.send === undefined) return;
    this.#started.push(running);
    this.#startedTimer ??= setTimeout(() => this.flush(), RUNNER_STARTED_DELAY_MS);
  }

  ended(exit: Exit): void {
    this.#unacknowledged.set(executionName(exit.key), exit);
    this.#ended.push(exit);
  }

  /** Tells an exit again that was told before. */
  repeat(exit: Exit): void {
    this.#send({ type: 'report', started: [], exits: [exit] });
  }

  flush(): void {
    clearTimeout(this.#startedTimer);
    this.#startedTimer = undefined;
    let started = this.#started;
    const ended = this.#ended;
    this.#started = [];
    this.#ended = [];
    for (let start = 0; start < ended.length; start += RUNNER_EXITS_PER_FRAME_MAX) {
      const exits = ended.slice(start, start + RUNNER_EXITS_PER_FRAME_MAX);
      const payload = encodePayload({ type: 'report', started, exits } satisfies Report);
      this.#journal.reported(payload);
      this.send?.(payload);
      started = [];
    }
    if (started.length > 0) this.#send({ type: 'report', started, exits: [] });
  }

  acknowledge(keys: readonly ExecutionKey[]): void {
    const known = keys.filter((key) => this.#unacknowledged.delete(executionName(key)));
    if (known.length > 0) this.#journal.acknowledged(known);
    this.#journal.compact(this.#unacknowledged);
  }

  #send(report: Report): void {
    this.send?.(encodePayload(report));
  }
}
