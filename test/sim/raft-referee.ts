import { isDeepStrictEqual } from 'node:util';
import type {
  Configuration,
  Entry,
  Message,
  RaftNode,
  RaftStatus,
  ReplicaId,
} from '../../coordinator/consensus/interface.ts';
import { configurationOf, type Disk, lastIndexOf, type Rows, termAt } from './raft-disk.ts';

/** What the referee may look at of one replica. */
interface Observed {
  readonly id: ReplicaId;
  readonly raft: RaftNode;
  /** What would be found if the machine lost its power now. */
  readonly synced: Disk;
}

/**
 * Watches a whole group from outside and throws at the first broken invariant of docs/reliability (R1 to R12). It
 * believes disks and messages, and the replicas only what they say of themselves in `status`.
 */
export class RaftReferee {
  readonly #leaders = new Map<number, ReplicaId>();
  /** `${voter} ${term}` -> who got the vote. */
  readonly #votes = new Map<string, ReplicaId>();
  /** `${index} ${term}` -> what the entry is, and the term before it. */
  readonly #entries = new Map<string, string>();
  /** Index -> term of what is committed, and the term of the leader who committed it. */
  readonly #committed = new Map<number, { readonly term: number; readonly by: number }>();
  /** Index -> hash of the rows that stand for the log up to it. */
  readonly #hashes = new Map<number, number>();
  readonly #seenCommit = new Map<RaftNode, number>();
  readonly #seenTerm = new Map<RaftNode, number>();
  readonly #seenVoters = new Map<
    RaftNode,
    { readonly term: number; readonly voters: readonly ReplicaId[] }
  >();
  #commitMax = 0;

  /** The greatest index known to be committed. */
  get commitMax(): number {
    return this.#commitMax;
  }

  committedTerm(index: number): number | undefined {
    return this.#committed.get(index)?.term;
  }

  /** A message is about to leave; nothing of what it rests on may be lost by a crash from here on. */
  leaves(message: Message, sender: Observed): void {
    const { term, votedFor } = sender.synced.hardState;
    if (message.term > term) this.#fail('R8', `${describe(message)} leaves before its term is durable`);
    if (message.kind === 'voteRequest') this.#vote(sender, message.term, sender.id);
    if (message.kind === 'voteResponse' && message.granted) this.#vote(sender, message.term, message.to);
    if (message.kind === 'voteRequest' && message.term === term && votedFor !== sender.id) {
      this.#fail('R7', `${describe(message)} leaves before the own vote is durable`);
    }
    if (message.kind === 'appendResponse' && !message.rejected && message.term === term) {
      if (lastIndexOf(sender.synced) < message.index) {
        this.#fail('R5', `${describe(message)} leaves before the entry is durable`);
      }
    }
  }

  #vote(voter: Observed, term: number, candidate: ReplicaId): void {
    const key = `${voter.id} ${term}`;
    const before = this.#votes.get(key) ?? candidate;
    if (before !== candidate) this.#fail('R7', `${voter.id} voted for ${before} and ${candidate} in ${term}`);
    const { hardState } = voter.synced;
    if (hardState.term === term && hardState.votedFor !== candidate) {
      this.#fail('R7', `${voter.id}'s vote for ${candidate} in ${term} leaves before it is durable`);
    }
    this.#votes.set(key, candidate);
  }

  /** A batch went to disk. */
  wrote(id: ReplicaId, before: Disk, after: Disk): void {
    const [old, now] = [before.hardState, after.hardState];
    if (now.term < old.term || now.commit < old.commit || after.rows.applied < before.rows.applied) {
      this.#fail('R6', `${id} went back from ${JSON.stringify(old)} to ${JSON.stringify(now)}`);
    }
    if (now.term === old.term && old.votedFor !== null && now.votedFor !== old.votedFor) {
      this.#fail('R7', `${id} changed its vote in term ${now.term}`);
    }
    let previous = after.start.term;
    for (const entry of after.entries) {
      const seen = before.entries[entry.index - before.start.index - 1] === entry;
      if (!seen) this.#logMatching(id, entry, previous);
      previous = entry.term;
    }
    this.#rows(id, before.rows, after.rows);
  }

  #logMatching(id: ReplicaId, entry: Entry, previousTerm: number): void {
    const key = `${entry.index} ${entry.term}`;
    const known = this.#entries.get(key);
    const now = `${previousTerm} ${entry.kind} ${Buffer.from(entry.data).toString('hex')}`;
    if (known === undefined) this.#entries.set(key, now);
    else if (known !== now) this.#fail('R3', `entry ${key} of ${id} is not that of others`);
  }

  #rows(id: ReplicaId, before: Rows, after: Rows): void {
    const known = this.#hashes.get(after.applied) ?? after.hash;
    if (known !== after.hash) this.#fail('R9', `${id} differs from others at index ${after.applied}`);
    this.#hashes.set(after.applied, known);
    // A joiner knows of no configuration before the first one in its log.
    if (after.applied !== before.applied + 1 || before.configuration.voters.length === 0) return;
    const [old, now] = [before.configuration.voters, after.configuration.voters];
    const changed = [...old, ...now].filter((voter) => old.includes(voter) !== now.includes(voter));
    if (changed.length > 1) this.#fail('R10', `voters ${old.join()} became ${now.join()} at once`);
  }

  /** Where memory and disk hold the same log, the configuration in force is that of its last configuration entry. */
  configured({ id, raft }: Observed, disk: Disk): void {
    const { lastIndex, configuration } = raft.status();
    if (lastIndex !== lastIndexOf(disk) || raft.metaAt(lastIndex).term !== termAt(disk, lastIndex)) return;
    if (!isDeepStrictEqual(configuration, configurationOf(disk))) {
      this.#fail('R10', `${id} goes by ${JSON.stringify(configuration)}, which is not in its log`);
    }
  }

  /** After each step of a replica. `diskOf`: what a machine would find after a power cut. */
  inspect(node: Observed, diskOf: (id: ReplicaId) => Disk | undefined): void {
    const status = node.raft.status();
    const seen = this.#seenTerm.get(node.raft) ?? 0;
    if (status.term < seen) this.#fail('R6', `${node.id} went back from term ${seen} to ${status.term}`);
    this.#seenTerm.set(node.raft, status.term);
    if (status.applied > status.commit || status.commit > status.lastIndex) {
      this.#fail(
        'R5',
        `${node.id} applied ${status.applied}, committed ${status.commit} of ${status.lastIndex}`,
      );
    }
    if (status.role === 'leader') {
      this.#leader(node, status.term, status.configuration);
      this.#changes(node, status);
    }
    const commitBefore = this.#seenCommit.get(node.raft) ?? 0;
    if (status.commit < commitBefore) this.#fail('R6', `${node.id}'s commit index went back`);
    if (status.commit === commitBefore) return;
    this.#seenCommit.set(node.raft, status.commit);
    if (status.commit > this.#commitMax) this.#commitMoves(node, status.commit, status.configuration, diskOf);
    for (let index = Math.max(commitBefore + 1, status.firstIndex); index <= status.commit; index++) {
      const term = node.raft.metaAt(index).term;
      if (this.#committed.get(index)?.term !== term)
        this.#fail('R2', `${node.id} committed another entry ${index}`);
    }
  }

  #leader(node: Observed, term: number, configuration: Configuration): void {
    const known = this.#leaders.get(term);
    if (known !== undefined) {
      if (known !== node.id) this.#fail('R1', `${known} and ${node.id} lead in term ${term}`);
      return;
    }
    this.#leaders.set(term, node.id);
    if (node.synced.hardState.term === term && node.synced.hardState.votedFor === node.id) {
      this.#vote(node, term, node.id);
    }
    const votes = configuration.voters.filter((id) => this.#votes.get(`${id} ${term}`) === node.id).length;
    if (2 * votes <= configuration.voters.length) {
      this.#fail(
        'R11',
        `${node.id} leads in term ${term} by ${votes} of ${configuration.voters.length} votes`,
      );
    }
    const { firstIndex, lastIndex } = node.raft.status();
    for (const [index, committed] of this.#committed) {
      // Late votes may still make a leader of a term that others have left behind; of that one nothing is asked.
      if (index < firstIndex - 1 || committed.by >= term) continue;
      if (index > lastIndex || node.raft.metaAt(index).term !== committed.term) {
        this.#fail('R4', `${node.id} leads in term ${term} without the committed entry ${index}`);
      }
    }
  }

  /** A leader changes the voters only after a commit of its own term, and one change at a time. */
  #changes(node: Observed, { term, commit, configuration: { voters } }: RaftStatus): void {
    const seen = this.#seenVoters.get(node.raft);
    this.#seenVoters.set(node.raft, { term, voters });
    if (seen === undefined || seen.term !== term || isDeepStrictEqual(seen.voters, voters)) return;
    const committed = node.raft.metaAt(commit);
    if (committed.term !== term || !isDeepStrictEqual(committed.configuration.voters, seen.voters)) {
      this.#fail('R10', `${node.id} changes the voters before the last change or its own no-op is committed`);
    }
  }

  #commitMoves(
    node: Observed,
    commit: number,
    { voters }: Configuration,
    diskOf: (id: ReplicaId) => Disk | undefined,
  ): void {
    const { term } = node.raft.metaAt(commit);
    if (term !== node.raft.status().term) {
      this.#fail('R4', `${node.id} commits entry ${commit} of the earlier term ${term} by counting copies`);
    }
    const holders = voters.filter((id) => {
      const disk = diskOf(id);
      return disk !== undefined && (termAt(disk, commit) === term || disk.start.index > commit);
    });
    if (2 * holders.length <= voters.length) {
      this.#fail('R5', `${node.id} commits ${commit}, which only ${holders.join()} of ${voters.join()} hold`);
    }
    const { firstIndex } = node.raft.status();
    for (let index = Math.max(this.#commitMax + 1, firstIndex - 1); index <= commit; index++) {
      this.#committed.set(index, { term: node.raft.metaAt(index).term, by: term });
    }
    this.#commitMax = commit;
  }

  #fail(rule: string, what: string): never {
    throw new Error(`${rule}: ${what}`);
  }
}

/** One line for a message, for traces and complaints. */
export function describe(message: Message): string {
  const head = `${message.from}->${message.to} ${message.kind} term ${message.term}`;
  switch (message.kind) {
    case 'voteRequest':
    case 'preVoteRequest':
      return `${head} last ${message.lastIndex}/${message.lastTerm}${message.transfer ? ' transfer' : ''}`;
    case 'voteResponse':
    case 'preVoteResponse':
      return `${head} ${message.granted ? 'granted' : 'refused'}`;
    case 'append': {
      const entries = message.entries.map((entry) => ` ${describeEntry(entry)}`).join('');
      const { previousIndex, previousTerm, commit } = message;
      return `${head} after ${previousIndex}/${previousTerm}:${entries || ' nothing'}, commit ${commit}`;
    }
    case 'appendResponse':
      return message.rejected
        ? `${head} rejected ${message.index}, hint ${message.hintIndex}/${message.hintTerm}`
        : `${head} matches ${message.index}`;
    case 'heartbeat':
      return `${head} commit ${message.commit}${message.readContext > 0 ? ` read ${message.readContext}` : ''}${message.quiet ? ' quiet' : ''}`;
    case 'heartbeatResponse':
      return `${head}${message.readContext > 0 ? ` read ${message.readContext}` : ''}`;
    case 'snapshot': {
      const { voters, learners } = message.meta.configuration;
      return `${head} at ${message.meta.index}/${message.meta.term} [${voters.join()}|${learners.join()}]`;
    }
    case 'timeoutNow':
    case 'wake':
      return head;
  }
}

export function describeEntry(entry: Entry): string {
  return `${entry.index}/${entry.term}${entry.kind === 'command' ? '' : `(${entry.kind})`}`;
}
