import { invariant } from '../../src/lib/assert.ts';
import type { Message } from './interface.ts';

/**
 * Sorts messages by what they rest on. A promise (a vote, an acknowledgement of entries, a candidacy, which is a vote
 * for oneself) waits for the batch that makes it durable. All else says no more than "my term is n", and waits only
 * where n itself is not durable yet: no message ever carries a term that a crash could take back.
 */
export class Outbox {
  #now: Message[] = [];
  #afterPersist: Message[] = [];
  /** The term that would survive a crash. */
  durableTerm: number;

  constructor(durableTerm: number) {
    this.durableTerm = durableTerm;
  }

  get empty(): boolean {
    return this.#now.length === 0 && this.#afterPersist.length === 0;
  }

  send(message: Message): void {
    switch (message.kind) {
      case 'append':
      case 'heartbeat':
      case 'snapshot':
      case 'timeoutNow':
        // A leader won its office after its own vote, and with it its term, was durable.
        invariant(message.term <= this.durableTerm, 'a leader speaks for a durable term');
        this.#now.push(message);
        return;
      case 'preVoteRequest':
      case 'preVoteResponse':
      case 'heartbeatResponse':
      case 'wake':
        (message.term <= this.durableTerm ? this.#now : this.#afterPersist).push(message);
        return;
      case 'voteRequest':
      case 'voteResponse':
      case 'appendResponse':
        this.#afterPersist.push(message);
        return;
    }
  }

  take(): { readonly messages: readonly Message[]; readonly messagesAfterPersist: readonly Message[] } {
    const taken = { messages: this.#now, messagesAfterPersist: this.#afterPersist };
    this.#now = [];
    this.#afterPersist = [];
    return taken;
  }
}
