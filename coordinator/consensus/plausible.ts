import { decodeConfiguration, isConfiguration } from './configuration.ts';
import type { Entry, Message, ReplicaId } from './interface.ts';

/** A term that still has a successor which a double holds exactly. */
function isTerm(term: number): boolean {
  return Number.isSafeInteger(term) && term >= 0 && term < Number.MAX_SAFE_INTEGER;
}

function isIndex(index: number): boolean {
  return Number.isSafeInteger(index) && index >= 0 && index < Number.MAX_SAFE_INTEGER;
}

/**
 * Whether a message could come from a correct peer, as far as it tells by itself. One that could not is dropped
 * without an answer: a peer's bug or a stray frame must not stop this replica. A message to another id is one for the
 * former owner of this machine's address, whose disk was wiped; to answer it would be to vote in its place.
 */
export function isPlausible(message: Message, self: ReplicaId): boolean {
  const { from, to, term } = message;
  if (to !== self || from === self || from === '' || !isTerm(term)) return false;
  switch (message.kind) {
    case 'preVoteRequest':
      return isPosition(message.lastIndex, message.lastTerm, term);
    case 'voteRequest':
      return term > 0 && isPosition(message.lastIndex, message.lastTerm, term);
    case 'append':
      return term > 0 && isIndex(message.commit) && areEntries(message);
    case 'snapshot': {
      const { index, term: lastTerm, configuration } = message.meta;
      return index > 0 && isPosition(index, lastTerm, term) && isConfiguration(configuration);
    }
    case 'heartbeat':
      return term > 0 && isIndex(message.commit) && isIndex(message.readContext);
    case 'heartbeatResponse':
      return isIndex(message.readContext);
    case 'appendResponse':
      return isIndex(message.index) && isIndex(message.hintIndex) && isTerm(message.hintTerm);
    case 'voteResponse':
    case 'preVoteResponse':
    case 'wake':
      return true;
    case 'timeoutNow':
      return term > 0;
  }
}

/** An entry's index and term, the latter no later than its carrier's. */
function isPosition(index: number, term: number, carrierTerm: number): boolean {
  return isIndex(index) && isTerm(term) && term <= carrierTerm;
}

/** Without a gap, terms rising up to the carrier's, configurations readable. */
function areEntries(message: Message & { readonly kind: 'append' }): boolean {
  if (!isPosition(message.previousIndex, message.previousTerm, message.term)) return false;
  let index = message.previousIndex;
  let term = message.previousTerm;
  for (const entry of message.entries) {
    index++;
    if (entry.index !== index || !(entry.term >= term && entry.term <= message.term)) return false;
    if (!isPosition(index, entry.term, message.term) || !isReadable(entry)) return false;
    term = entry.term;
  }
  return true;
}

function isReadable(entry: Entry): boolean {
  return entry.kind !== 'configuration' || decodeConfiguration(entry.data) !== undefined;
}
