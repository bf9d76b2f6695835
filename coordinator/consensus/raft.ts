import { invariant } from '../../src/lib/assert.ts';
import { RAFT_SUSPECT_TICKS_MAX, RAFT_TERM_STEP_MAX, RAFT_YIELD_TICKS } from '../../src/lib/limits.ts';
import { changeConfiguration, encodeConfiguration, isMember, isSoleVoter, isVoter } from './configuration.ts';
import { Ballot } from './election.ts';
import type {
  ConfigurationChange,
  Entry,
  HardState,
  Message,
  ProposeResult,
  RaftNode,
  RaftOptions,
  RaftState,
  RaftStatus,
  ReadState,
  Ready,
  ReplicaId,
  SnapshotMeta,
} from './interface.ts';
import { heartbeatRounds, Leadership } from './leadership.ts';
import { RaftLog } from './log.ts';
import { Outbox } from './outbox.ts';
import { isPlausible } from './plausible.ts';

type MessageOf<K extends Message['kind']> = Extract<Message, { readonly kind: K }>;
type VoteResponse = MessageOf<'voteResponse' | 'preVoteResponse'>;
type VoteRequest = MessageOf<'voteRequest' | 'preVoteRequest'>;

type MessageBody = DistributiveOmit<Message, 'from' | 'to' | 'term'>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

type Office =
  | { readonly role: 'follower' }
  | { readonly role: 'preCandidate' | 'candidate'; readonly ballot: Ballot }
  | { readonly role: 'leader'; readonly leadership: Leadership };

const FOLLOWER: Office = { role: 'follower' };
const NO_DATA = new Uint8Array(0);

/**
 * One replica of one group. Single-threaded and synchronous: every method runs to its end, leaves messages in the
 * outbox and unwritten entries in the log, and `ready` hands both to the driver. Between `ready` and `advance` all
 * methods but `ready` may be called; what they cause is part of the next `Ready`.
 *
 * Throws only where the driver breaks the contract or the disk holds less than it promised, never for a message.
 */
export function createRaft(options: RaftOptions, state: RaftState): RaftNode {
  return new Raft(options, state);
}

class Raft implements RaftNode {
  readonly #options: RaftOptions;
  readonly #log: RaftLog;
  readonly #outbox: Outbox;
  #term: number;
  #votedFor: ReplicaId | null;
  /** The leader of this term as far as it was heard; what a voter's lease rests on. */
  #leader: ReplicaId | null = null;
  #office: Office = FOLLOWER;
  /** Ticks since the leader was heard, a vote was given, or an office was taken or lost. */
  #electionElapsedTicks = 0;
  #electionTimeoutTicks = 0;
  /** The leader said that nothing is under way, and so it was here: see `fallQuiet`. Never true of a leader. */
  #restsWithLeader = false;
  /** What a crash could not take back. */
  #durable: HardState;
  /** The `Ready` the driver is carrying out. */
  #underway: { readonly ready: Ready; readonly appliedTo: number } | undefined;
  #reads: ReadState[] = [];
  #readsLost: number[] = [];

  constructor(options: RaftOptions, state: RaftState) {
    invariant(options.id !== '', 'a replica has an id');
    invariant(options.heartbeatTicks >= 1, 'heartbeats are at least a tick apart');
    invariant(options.electionTicks > options.heartbeatTicks, 'an election timeout outlasts a heartbeat');
    invariant(options.inflightMax >= 1 && options.proposalsMax >= 1, 'windows let something through');
    this.#options = options;
    this.#log = new RaftLog(state);
    this.#term = state.hardState.term;
    this.#votedFor = state.hardState.votedFor;
    invariant(this.#term >= this.#log.lastTerm, 'the stored term covers the stored log');
    this.#durable = { term: this.#term, votedFor: this.#votedFor, commit: this.#log.commit };
    this.#outbox = new Outbox(this.#term);
    this.#resetElectionTimer();
  }

  // --- Time -------------------------------------------------------------------------------------------------------

  tick(): void {
    const office = this.#office;
    if (office.role === 'leader') {
      if (!office.leadership.tick()) this.#becomeFollower(this.#term, null);
      return;
    }
    if (this.#restsWithLeader) return;
    if (++this.#electionElapsedTicks < this.#electionTimeoutTicks) return;
    if (this.#mayCampaign) {
      this.#startPreVote();
    } else {
      // A learner, or one that was removed: never campaigns, but should not name a dead leader for ever.
      this.#leader = null;
      this.#resetElectionTimer();
      this.#askForLeader();
    }
  }

  /** A learner that opens its disk anew is missed by nobody where the group is quiet. A voter asks by its pre-vote. */
  #askForLeader(): void {
    const { configuration } = this.#log;
    if (!isMember(configuration, this.#options.id)) return;
    for (const voter of configuration.voters)
      if (voter !== this.#options.id) this.#send(voter, { kind: 'wake' });
  }

  // --- Quietness --------------------------------------------------------------------------------------------------
  //
  // Nothing that decides rests on it. A quiet replica answers, votes and refuses like any other; it only takes the
  // driver's word that its leader's machine is there for the heartbeats it would hear otherwise. A replica that rests
  // with a leader who leads no more is waked by the first message of whoever wants to lead, counts an election timeout,
  // and grants what it refused. A quiet leader confirms each read by a round of heartbeats, as always.

  get quiet(): boolean {
    const office = this.#office;
    return office.role === 'leader' ? !office.leadership.needsTicks : this.#restsWithLeader;
  }

  fallQuiet(isLinked: (id: ReplicaId) => boolean): void {
    if (this.#office.role === 'leader') this.#office.leadership.fallQuiet(isLinked);
  }

  wake(silentTicks: number): void {
    const office = this.#office;
    if (office.role === 'leader') office.leadership.wake();
    else if (this.#restsWithLeader) this.#wakeAsFollower(silentTicks, true);
  }

  /** `tellLeader`: it is perhaps quiet too, and would be taken for dead. */
  #wakeAsFollower(silentTicks: number, tellLeader: boolean): void {
    this.#restsWithLeader = false;
    this.#electionElapsedTicks = silentTicks;
    if (tellLeader && this.#leader !== null) this.#send(this.#leader, { kind: 'wake' });
  }

  /** All but the talk of a quiet leader with its members means that there is something to do. */
  #noticeActivity(message: Message): void {
    // One that was removed and does not know it would keep the group awake.
    if (message.kind === 'wake' && !isMember(this.#log.configuration, message.from)) return;
    const office = this.#office;
    const ofTerm = message.term === this.#term;
    if (office.role === 'leader') {
      const rests =
        message.kind === 'heartbeatResponse' && ofTerm && office.leadership.restsWith(message.from);
      if (!rests) office.leadership.wake();
    } else if (this.#restsWithLeader) {
      const ofLeader = ofTerm && message.from === this.#leader;
      const rests = message.kind === 'heartbeat' && message.quiet && ofLeader;
      if (!rests) this.#wakeAsFollower(0, !ofLeader);
    }
  }

  get #isVoter(): boolean {
    return isVoter(this.#log.configuration, this.#options.id);
  }

  /**
   * Learners and the removed never campaign, but a voter that is being removed may until that is committed, without a
   * vote of its own (thesis 4.2.2): the leader of a group of two that removed itself and crashed may be the only one
   * with the entry, and then the other one, whose log is shorter, can never win.
   */
  get #mayCampaign(): boolean {
    return this.#isVoter || isVoter(this.#log.committedConfiguration, this.#options.id);
  }

  /** A learner among many is not in every round of heartbeats. */
  get #patience(): number {
    return this.#mayCampaign ? 1 : heartbeatRounds(this.#log.configuration.learners.length);
  }

  /**
   * Nobody can outvote a sole voter, so it has nothing to wait for. Once it campaigns it gives its disk the usual time:
   * its vote counts when it is durable, and a new campaign in each tick of a slow write would void it again.
   */
  #resetElectionTimer(): void {
    const { id, electionTicks, random } = this.#options;
    const idle = this.#office.role === 'follower' && this.#leader === null;
    const alone = idle && isSoleVoter(this.#log.configuration, id);
    this.#electionElapsedTicks = 0;
    this.#electionTimeoutTicks = alone ? 1 : this.#patience * random(electionTicks, 2 * electionTicks);
  }

  // --- Offices ----------------------------------------------------------------------------------------------------

  /** The timer goes on when a mere follower learns of a term: a hopeless candidate must not hold up a good one. */
  #becomeFollower(term: number, leader: ReplicaId | null): void {
    const office = this.#office;
    if (office.role === 'leader') this.#readsLost.push(...office.leadership.abandonReads());
    this.#office = FOLLOWER;
    this.#restsWithLeader = false;
    this.#leader = leader;
    if (term > this.#term) {
      this.#term = term;
      this.#votedFor = null;
    }
    if (leader !== null || office.role !== 'follower') this.#resetElectionTimer();
  }

  /**
   * Thesis 9.6: asks whether an election could be won before it costs anybody a term. Neither term nor vote change,
   * so nothing has to be durable and a pre-vote may be granted to many.
   */
  #startPreVote(): void {
    const ballot = new Ballot();
    this.#office = { role: 'preCandidate', ballot };
    this.#leader = null;
    this.#resetElectionTimer();
    ballot.record(this.#options.id, true);
    this.#askForVotes('preVoteRequest', false);
    this.#decide();
  }

  /** The own vote is not recorded here: it counts like any other once it is durable, which `advance` learns. */
  #startElection(transfer: boolean): void {
    this.#office = { role: 'candidate', ballot: new Ballot() };
    this.#term++;
    this.#votedFor = this.#options.id;
    this.#leader = null;
    this.#resetElectionTimer();
    this.#askForVotes('voteRequest', transfer);
  }

  #askForVotes(kind: 'preVoteRequest' | 'voteRequest', transfer: boolean): void {
    const { lastIndex, lastTerm, configuration } = this.#log;
    for (const to of configuration.voters) {
      if (to !== this.#options.id) this.#send(to, { kind, lastIndex, lastTerm, transfer });
    }
  }

  #decide(): void {
    const office = this.#office;
    if (office.role !== 'preCandidate' && office.role !== 'candidate') return;
    // Nobody can have been asked yet; an answer all the same must not make a leader of a term that a crash takes back.
    if (office.role === 'candidate' && this.#durable.term < this.#term) return;
    const outcome = office.ballot.outcome(this.#log.configuration);
    if (outcome === 'lost') this.#becomeFollower(this.#term, null);
    if (outcome !== 'won') return;
    if (office.role === 'preCandidate') this.#startElection(false);
    else this.#becomeLeader();
  }

  #becomeLeader(): void {
    const leadership = new Leadership(this.#options, this.#term, this.#log, this.#outbox);
    this.#office = { role: 'leader', leadership };
    this.#leader = this.#options.id;
    // Entries of earlier terms commit only beneath one of this term (thesis 3.6.2), so there must be one.
    leadership.append('noop', NO_DATA);
  }

  // --- Messages in ------------------------------------------------------------------------------------------------

  step(message: Message): void {
    if (!isPlausible(message, this.#options.id)) return;
    // Adopted, a term near the end of the numbers would leave no term for any further election.
    if (message.term > this.#term + RAFT_TERM_STEP_MAX) return;
    this.#noticeActivity(message);
    switch (message.kind) {
      case 'voteRequest':
        this.#onVoteRequest(message);
        return;
      case 'preVoteRequest':
        this.#onPreVoteRequest(message);
        return;
      case 'voteResponse':
      case 'preVoteResponse':
        if (this.#admitsResponse(message)) this.#onVote(message);
        return;
      case 'append':
        if (this.#followsSender(message)) this.#onAppend(message);
        return;
      case 'heartbeat':
        if (this.#followsSender(message)) this.#onHeartbeat(message);
        return;
      case 'snapshot':
        if (this.#followsSender(message)) this.#onSnapshot(message.meta, message.from);
        return;
      case 'appendResponse':
      case 'heartbeatResponse':
        if (this.#admitsResponse(message)) this.#onFollowerResponse(message);
        return;
      case 'timeoutNow':
        this.#onTimeoutNow(message);
        return;
      case 'wake':
        return;
    }
  }

  /**
   * Whether this replica hears a leader, and so lets nobody disturb it (thesis 4.2.3 and 6.2). A leader hears itself:
   * it steps down when it loses its quorum, which it knows better than one who asks for a vote.
   */
  get #hearsLeader(): boolean {
    if (this.#office.role === 'leader') return true;
    return this.#leader !== null && this.#electionElapsedTicks < this.#options.electionTicks;
  }

  /**
   * The candidate need not be in this replica's configuration nor this replica in its own: both may lag behind the
   * entry that says so, and the log comparison alone keeps the vote safe (thesis 4.1).
   */
  #onVoteRequest(message: VoteRequest): void {
    const { from, term } = message;
    // A transfer is the leader's own wish; of one who was removed meanwhile it is not.
    const wished = message.transfer && isVoter(this.#log.configuration, from);
    if (term >= this.#term && this.#hearsLeader && !wished) return;
    if (term > this.#term) this.#becomeFollower(term, null);
    const free = this.#votedFor === from || (this.#votedFor === null && this.#leader === null);
    const granted = term === this.#term && free && this.#log.isUpToDate(message.lastIndex, message.lastTerm);
    if (granted) {
      // Also ends an own pre-vote, which would only compete with the candidate just chosen.
      this.#becomeFollower(term, null);
      this.#votedFor = from;
      this.#resetElectionTimer();
    }
    this.#send(from, { kind: 'voteResponse', granted });
  }

  /**
   * The request carries the sender's present term and asks about the next one, because no message may carry a term
   * that is not durable. A refusal carries ours: it tells a sender that fell behind the term it must reach, without
   * which a stranded replica with a high term and a short log would block every election.
   */
  #onPreVoteRequest(message: VoteRequest): void {
    const behind = message.term < this.#term;
    if (!behind && this.#hearsLeader) return;
    const granted =
      !behind && this.#log.isUpToDate(message.lastIndex, message.lastTerm) && !this.#goesFirst(message);
    this.#send(message.from, { kind: 'preVoteResponse', granted });
  }

  /**
   * Two replicas with equal logs that suspect the leader in the same moment would grant each other a pre-vote and
   * then split the election, which costs a whole timeout. The lesser id goes first, for a few ticks only: should it
   * not get through (a one-way partition), the other one's next try is granted.
   */
  #goesFirst(rival: VoteRequest): boolean {
    return (
      this.#office.role === 'preCandidate' &&
      this.#electionElapsedTicks < RAFT_YIELD_TICKS &&
      this.#options.id < rival.from &&
      rival.lastIndex === this.#log.lastIndex &&
      rival.lastTerm === this.#log.lastTerm
    );
  }

  /** Only members are asked anything, so an answer from elsewhere, even of a higher term, is noise of the removed. */
  #admitsResponse(message: Message): boolean {
    const office = this.#office;
    const known =
      office.role === 'leader'
        ? office.leadership.sendsTo(message.from)
        : isMember(this.#log.configuration, message.from);
    if (!known) return false;
    if (message.term <= this.#term) return true;
    this.#becomeFollower(message.term, null);
    return false;
  }

  /** A pre-vote may come from a replica that has not reached this term yet; a late one at worst starts an election. */
  #onVote(message: VoteResponse): void {
    const office = this.#office;
    const awaited = message.kind === 'voteResponse' ? 'candidate' : 'preCandidate';
    if (office.role !== awaited) return;
    if (message.kind === 'voteResponse' && message.term < this.#term) return;
    office.ballot.record(message.from, message.granted);
    if (message.kind === 'voteResponse' && !message.granted) this.#retrySoon();
    this.#decide();
  }

  /** A refused vote means a contested election among the living: no reason to wait as if for somebody dead. */
  #retrySoon(): void {
    const soon = this.#electionElapsedTicks + this.#options.random(2, this.#options.electionTicks);
    this.#electionTimeoutTicks = Math.min(this.#electionTimeoutTicks, soon);
  }

  /** Whether the sender leads the present term, which may start with this message. */
  #followsSender(message: MessageOf<'append' | 'heartbeat' | 'snapshot'>): boolean {
    const { from, term } = message;
    if (term < this.#term) {
      // The sender was deposed, or this replica was cut off and got a term of its own: the answer makes the sender
      // step down, so that an election can reach a term in which both take part.
      this.#send(from, { kind: 'heartbeatResponse', readContext: 0 });
      return false;
    }
    // A term has one leader; a second one is somebody's mistake and must not be obeyed.
    if (term === this.#term && this.#leader !== null && this.#leader !== from) return false;
    if (term > this.#term || this.#leader !== from) this.#becomeFollower(term, from);
    this.#electionElapsedTicks = 0;
    return true;
  }

  #onAppend(message: MessageOf<'append'>): void {
    const { from, previousIndex, previousTerm, entries, notice } = message;
    const log = this.#log;
    if (!log.holds(previousIndex, previousTerm)) {
      // What is committed here is in every later leader's log (thesis 3.6.3), so a true one can disagree only above.
      if (previousIndex <= log.commit) return;
      const guess = Math.max(log.commit, log.lastIndexWithTermAtMost(previousIndex, previousTerm));
      this.#send(from, {
        kind: 'appendResponse',
        index: previousIndex,
        rejected: true,
        hintIndex: guess,
        hintTerm: log.term(guess) ?? 0,
      });
      return;
    }
    if (log.contradictsCommitted(entries)) return;
    log.merge(entries);
    // Entries beyond this message's last may still be another leader's, so its commit index does not cover them.
    const matched = Math.max(previousIndex + entries.length, log.commit);
    log.commitTo(Math.min(message.commit, matched));
    if (notice !== true) this.#acknowledge(from, matched);
  }

  #acknowledge(leader: ReplicaId, index: number): void {
    this.#send(leader, { kind: 'appendResponse', index, rejected: false, hintIndex: 0, hintTerm: 0 });
  }

  #onHeartbeat(message: MessageOf<'heartbeat'>): void {
    // The leader names no index beyond what this replica acknowledged; more than it has would mean a lost disk.
    if (message.commit <= this.#log.lastIndex) this.#log.commitTo(message.commit);
    // A member that has more, or less, than the leader believes must go on counting.
    this.#restsWithLeader = message.quiet && message.commit === this.#log.lastIndex;
    this.#send(message.from, { kind: 'heartbeatResponse', readContext: message.readContext });
  }

  /**
   * A snapshot is of use only ahead of what is committed here. A stale or second one, and one whose last entry is in
   * the log already, is answered by what matches, and the streamed rows are not needed.
   */
  #onSnapshot(meta: SnapshotMeta, leader: ReplicaId): void {
    const log = this.#log;
    if (meta.index > log.commit) {
      if (log.matches(meta.index, meta.term)) log.commitTo(meta.index);
      else log.restore(meta);
    }
    this.#acknowledge(leader, log.commit);
  }

  #onFollowerResponse(message: MessageOf<'appendResponse' | 'heartbeatResponse'>): void {
    const office = this.#office;
    if (office.role !== 'leader' || message.term < this.#term) return;
    if (message.kind === 'heartbeatResponse') {
      office.leadership.onHeartbeatResponse(message);
      return;
    }
    office.leadership.onAppendResponse(message);
    this.#advanceCommit(office.leadership);
  }

  /** The leader chose this replica as its successor and lets it skip the pre-vote, which its lease would refuse. */
  #onTimeoutNow(message: MessageOf<'timeoutNow'>): void {
    const current = message.term === this.#term && message.from === this.#leader;
    if (current && this.#mayCampaign) this.#startElection(true);
  }

  #advanceCommit(leadership: Leadership): void {
    if (!leadership.advanceCommit()) return;
    const { configurationIndex, commit } = this.#log;
    if (this.#isVoter || configurationIndex > commit) return;
    // Thesis 4.2.2: a leader that removes itself leads, without counting itself, until that is committed.
    leadership.handOver();
    this.#becomeFollower(this.#term, null);
  }

  #send(to: ReplicaId, body: MessageBody): void {
    this.#outbox.send({ ...body, from: this.#options.id, to, term: this.#term });
  }

  // --- Requests ---------------------------------------------------------------------------------------------------

  propose(data: Uint8Array): ProposeResult {
    const office = this.#office;
    if (office.role !== 'leader') return this.#refuse('notLeader');
    if (data.byteLength > this.#options.entryBytesMax) return this.#refuse('tooLarge');
    const refusal = office.leadership.refusal(data.byteLength);
    if (refusal !== undefined) return this.#refuse(refusal);
    const { index, term } = office.leadership.append('command', data);
    return { ok: true, index, term };
  }

  /** Not held back by `proposalsMax`: there is never more than one, and it may be what unblocks the group. */
  proposeChange(change: ConfigurationChange): ProposeResult {
    const office = this.#office;
    if (office.role !== 'leader') return this.#refuse('notLeader');
    if (office.leadership.transferring) return this.#refuse('transferring');
    if (!office.leadership.changeAllowed) return this.#refuse('changePending');
    const changed = changeConfiguration(this.#log.configuration, change);
    if (changed === undefined) return this.#refuse('refused');
    const { index, term } = office.leadership.append('configuration', encodeConfiguration(changed));
    return { ok: true, index, term };
  }

  #refuse(reason: (ProposeResult & { readonly ok: false })['reason']): ProposeResult {
    return { ok: false, reason, leader: this.#leader };
  }

  readIndex(
    context: number,
  ): { readonly ok: true } | { readonly ok: false; readonly leader: ReplicaId | null } {
    const office = this.#office;
    const taken = office.role === 'leader' && office.leadership.requestRead(context);
    return taken ? { ok: true } : { ok: false, leader: this.#leader };
  }

  transferLeadership(to: ReplicaId): void {
    if (this.#office.role === 'leader') this.#office.leadership.transfer(to);
  }

  /**
   * A killed process closes its connections, so its followers learn within milliseconds what the election timeout
   * would take a second to show. Forgetting the lease early cannot do harm: the lease only spares the group needless
   * elections and no decision rests on it. If the leader lives, the others still hear it and refuse the pre-vote,
   * which changed nobody's term; if they do not, an election is due, and the log comparison guards it as ever.
   * The random wait keeps all followers from asking in the same tick.
   */
  reportUnreachable(peer: ReplicaId): void {
    const office = this.#office;
    if (office.role === 'leader') {
      office.leadership.wake();
      office.leadership.onUnreachable(peer);
    }
    if (office.role !== 'follower' || this.#leader !== peer) return;
    this.#restsWithLeader = false;
    this.#leader = null;
    const soon = this.#electionElapsedTicks + this.#options.random(1, RAFT_SUSPECT_TICKS_MAX);
    this.#electionTimeoutTicks = Math.min(this.#electionTimeoutTicks, soon);
  }

  reportSnapshot(peer: ReplicaId, delivered: boolean): void {
    if (this.#office.role === 'leader') this.#office.leadership.onSnapshotEnded(peer, delivered);
  }

  // --- The driver's turn ------------------------------------------------------------------------------------------

  hasReady(): boolean {
    if (this.#underway !== undefined) return false;
    this.#flush();
    return (
      !this.#outbox.empty ||
      this.#log.hasUnstable ||
      this.#log.hasUnapplied ||
      this.#hardStateChanged ||
      this.#reads.length > 0 ||
      this.#readsLost.length > 0
    );
  }

  #flush(): void {
    if (this.#office.role === 'leader') this.#office.leadership.flush(this.#reads);
  }

  get #voteChanged(): boolean {
    return this.#term !== this.#durable.term || this.#votedFor !== this.#durable.votedFor;
  }

  get #hardStateChanged(): boolean {
    return this.#voteChanged || this.#log.commit !== this.#durable.commit;
  }

  ready(): Ready {
    invariant(this.#underway === undefined, 'a Ready is carried out before the next one is taken');
    this.#flush();
    const log = this.#log;
    const committed = log.unapplied(this.#options.appendBytesMax);
    const { entries, truncateFrom, snapshot } = log.takeUnstable();
    const ready: Ready = {
      hardState: this.#hardStateChanged
        ? { term: this.#term, votedFor: this.#votedFor, commit: log.commit }
        : undefined,
      entries,
      truncateFrom,
      snapshot,
      ...this.#outbox.take(),
      committed,
      reads: this.#reads,
      readsLost: this.#readsLost,
      // The commit index alone is not worth a sync: a restart learns it again from the leader.
      mustSync:
        this.#voteChanged || entries.length > 0 || truncateFrom !== undefined || snapshot !== undefined,
    };
    this.#reads = [];
    this.#readsLost = [];
    this.#underway = { ready, appliedTo: committed.at(-1)?.index ?? snapshot?.index ?? 0 };
    return ready;
  }

  advance(ready: Ready): void {
    const underway = this.#underway;
    invariant(underway?.ready === ready, 'the Ready that was taken last is the one carried out');
    this.#underway = undefined;
    this.#durable = ready.hardState ?? this.#durable;
    this.#outbox.durableTerm = this.#durable.term;
    this.#log.written();
    this.#log.appliedTo(underway.appliedTo);
    this.#countOwnDisk();
  }

  /** This replica's own vote, and its own copy of an entry, count from here on. */
  #countOwnDisk(): void {
    const office = this.#office;
    const { id } = this.#options;
    if (office.role === 'leader') this.#advanceCommit(office.leadership);
    if (office.role !== 'candidate') return;
    if (this.#durable.term !== this.#term || this.#durable.votedFor !== id) return;
    office.ballot.record(id, true);
    this.#decide();
  }

  entriesThrough(index: number): readonly Entry[] {
    return this.#log.slice(this.#log.firstIndex, Number.POSITIVE_INFINITY, index);
  }

  compact(index: number): SnapshotMeta {
    return this.#log.compact(index);
  }

  metaAt(index: number): SnapshotMeta {
    return this.#log.metaAt(index);
  }

  get role(): RaftStatus['role'] {
    return this.#office.role;
  }

  get term(): number {
    return this.#term;
  }

  get leader(): ReplicaId | null {
    return this.#leader;
  }

  get firstIndex(): number {
    return this.#log.firstIndex;
  }

  status(): RaftStatus {
    const office = this.#office;
    const { commit, applied, lastIndex, firstIndex, configuration } = this.#log;
    return {
      id: this.#options.id,
      role: office.role,
      term: this.#term,
      leader: this.#leader,
      commit,
      applied,
      lastIndex,
      firstIndex,
      configuration,
      // Made when asked for: most ask for the role, each turn, and members may be many.
      progress: () => (office.role === 'leader' ? office.leadership.progress() : new Map()),
    };
  }
}
