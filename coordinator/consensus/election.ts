import { quorumSize } from './configuration.ts';
import type { Configuration, ReplicaId } from './interface.ts';

type ElectionOutcome = 'won' | 'lost' | 'open';

/** The answers to one call for votes. */
export class Ballot {
  readonly #votes = new Map<ReplicaId, boolean>();

  /** The first answer of a voter stands; a duplicate changes nothing. */
  record(voter: ReplicaId, granted: boolean): void {
    if (!this.#votes.has(voter)) this.#votes.set(voter, granted);
  }

  /**
   * Counted over the voters of the candidate's own configuration, never over who answered: a learner that was
   * promoted and does not know it yet votes like all others, one that was not promoted does not count.
   */
  outcome(configuration: Configuration): ElectionOutcome {
    let granted = 0;
    let refused = 0;
    for (const voter of configuration.voters) {
      const vote = this.#votes.get(voter);
      if (vote === true) granted++;
      else if (vote === false) refused++;
    }
    const quorum = quorumSize(configuration);
    if (granted >= quorum) return 'won';
    return refused > configuration.voters.length - quorum ? 'lost' : 'open';
  }
}
