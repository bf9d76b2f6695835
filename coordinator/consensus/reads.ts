import type { ReadState } from './interface.ts';

interface Round {
  readonly number: number;
  readonly index: number;
  readonly contexts: readonly number[];
}

/**
 * ReadIndex (thesis 6.4). Reads that came in since the last turn share a round; the round's number travels in the
 * heartbeats sent after it was opened. A member that answers number n was still in the leader's term after every
 * round up to n began, so an answer confirms all of these at once.
 */
export class ReadRounds {
  #waiting: number[] = [];
  #open: Round[] = [];
  #latest = 0;
  #pending = 0;

  /** Number of the newest round; 0 before the first. */
  get latest(): number {
    return this.#latest;
  }

  /** Contexts without an answer. */
  get pending(): number {
    return this.#pending;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  request(context: number): void {
    this.#waiting.push(context);
    this.#pending++;
  }

  /** Gives all that wait the commit index as their read index and a new round to be confirmed. */
  openRound(commit: number): void {
    this.#latest++;
    this.#open.push({ number: this.#latest, index: commit, contexts: this.#waiting });
    this.#waiting = [];
  }

  /** A quorum answered round `number` or a later one. */
  confirm(number: number, answers: ReadState[]): void {
    let confirmed = 0;
    for (const round of this.#open) {
      if (round.number > number) break;
      confirmed++;
      this.#pending -= round.contexts.length;
      for (const context of round.contexts) answers.push({ context, index: round.index });
    }
    if (confirmed > 0) this.#open = this.#open.slice(confirmed);
  }

  /** The leader lost its office: every context that has no answer yet. */
  abandon(): readonly number[] {
    return [...this.#open.flatMap((round) => round.contexts), ...this.#waiting];
  }
}
