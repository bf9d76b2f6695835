import { LEARNER_APPENDS_PER_TICK, LEARNER_HEARTBEATS_PER_ROUND } from '../../src/lib/limits.ts';
import { isMember, isVoter, quorumSize, quorumValue } from './configuration.ts';
import type { Entry, Message, Progress, RaftOptions, ReadState, ReplicaId } from './interface.ts';
import { entryBytes, type RaftLog } from './log.ts';
import type { Outbox } from './outbox.ts';
import { PeerProgress } from './progress.ts';
import { ReadRounds } from './reads.ts';

const NO_ENTRIES: readonly Entry[] = [];

interface Transfer {
  readonly to: ReplicaId;
  elapsedTicks: number;
  told: boolean;
}

type Refusal = 'transferring' | 'busy';

/** Rounds of heartbeats in which each of so many learners gets one. */
export function heartbeatRounds(learners: number): number {
  return Math.max(1, Math.ceil(learners / LEARNER_HEARTBEATS_PER_ROUND));
}

/**
 * All that exists only while this replica leads, in one term: who has what of the log, reads under way, a transfer.
 * It is made on election and dropped on stepping down, so nothing of it can leak into another term.
 *
 * Appends are not sent as proposals and answers come in but once a turn, by `flush`: what gathered since the last
 * turn leaves as one message per follower (group commit).
 */
export class Leadership {
  readonly #options: RaftOptions;
  readonly #term: number;
  readonly #log: RaftLog;
  readonly #outbox: Outbox;
  readonly #progress = new Map<ReplicaId, PeerProgress>();
  /** Members to whom something may be due, voters and learners: the others need not be looked at. */
  readonly #votersDue = new Set<ReplicaId>();
  readonly #learnersDue = new Set<ReplicaId>();
  /** Learners that may be sent something before the next tick. */
  #learnerAppendsLeft = LEARNER_APPENDS_PER_TICK;
  #heartbeatRound = 0;
  #learners: ReadonlySet<ReplicaId> = new Set();
  /** All that are sent to and are no learners: those whose removal is not committed yet among them. */
  #voters: readonly ReplicaId[] = [];
  readonly #reads = new ReadRounds();
  #transfer: Transfer | undefined;
  #heartbeatElapsedTicks = 0;
  #quorumElapsedTicks = 0;
  /** Ticks since the last proposal or transfer, or since it was woken. */
  #idleTicks = 0;
  #quiet = false;
  #uncommittedBytes: number;

  constructor(options: RaftOptions, term: number, log: RaftLog, outbox: Outbox) {
    this.#options = options;
    this.#term = term;
    this.#log = log;
    this.#outbox = outbox;
    this.#uncommittedBytes = log.bytesBetween(log.commit, log.lastIndex);
    this.#followConfiguration(log.lastIndex + 1);
  }

  // --- The log ----------------------------------------------------------------------------------------------------

  /** Appends an entry of this term; it is sent with the next `flush` and counts for this replica once durable. */
  append(kind: Entry['kind'], data: Uint8Array): Entry {
    // The entry itself tells the members.
    this.#endQuiet();
    const entry: Entry = { index: this.#log.lastIndex + 1, term: this.#term, kind, data };
    this.#log.append(entry);
    this.#makeDue(this.#votersDue);
    this.#uncommittedBytes += entryBytes(entry);
    if (kind === 'configuration') this.#followConfiguration(entry.index);
    return entry;
  }

  get transferring(): boolean {
    return this.#transfer !== undefined;
  }

  /** Why a command cannot be taken now, if so. */
  refusal(bytes: number): Refusal | undefined {
    if (this.#transfer !== undefined) return 'transferring';
    const { proposalsMax, inflightMax, appendBytesMax } = this.#options;
    const waiting = this.#log.lastIndex - this.#log.commit;
    if (waiting >= proposalsMax) return 'busy';
    // More bytes than a follower's window holds would only wait in memory. One entry is always let in.
    if (waiting > 0 && this.#uncommittedBytes + bytes > inflightMax * appendBytesMax) return 'busy';
    return undefined;
  }

  /**
   * A change must wait for the one before it, whoever proposed that, and for an entry of this term: otherwise two
   * leaders could each commit a change of theirs by majorities that do not meet (Ongaro's correction of 2015 to
   * thesis 4.1).
   */
  get changeAllowed(): boolean {
    return this.#log.configurationIndex <= this.#log.commit && this.#committedInTerm;
  }

  /** Thesis 3.6.2: an entry of an earlier term commits only below one of this term, never by counting its copies. */
  get #committedInTerm(): boolean {
    return this.#log.matches(this.#log.commit, this.#term);
  }

  /** Commits what a majority holds durably. True if the commit index moved. */
  advanceCommit(): boolean {
    const index = quorumValue(this.#log.configuration, this.#matchOf);
    const before = this.#log.commit;
    if (index <= before || !this.#log.matches(index, this.#term)) return false;
    this.#log.commitTo(index);
    this.#makeDue(this.#votersDue);
    this.#makeDue(this.#learnersDue);
    this.#uncommittedBytes -= this.#log.bytesBetween(before, index);
    const { configurationIndex } = this.#log;
    if (configurationIndex > before && configurationIndex <= index) this.#dropRemoved();
    return true;
  }

  #makeDue(due: Set<ReplicaId>): void {
    for (const id of due === this.#learnersDue ? this.#learners : this.#voters) due.add(id);
  }

  #isDue(id: ReplicaId): void {
    (this.#learners.has(id) ? this.#learnersDue : this.#votersDue).add(id);
  }

  /** This replica's own copy counts from when it is on disk, like everybody's. */
  readonly #matchOf = (voter: ReplicaId): number =>
    voter === this.#options.id ? this.#log.stable : (this.#progress.get(voter)?.match ?? 0);

  readonly #readRoundOf = (voter: ReplicaId): number =>
    voter === this.#options.id ? Number.POSITIVE_INFINITY : (this.#progress.get(voter)?.readRound ?? 0);

  /** Starts to send to members that came, from entry `next` on; who was removed is kept until that is committed. */
  #followConfiguration(next: number): void {
    const { voters, learners } = this.#log.configuration;
    for (const id of [...voters, ...learners]) {
      if (id === this.#options.id || this.#progress.has(id)) continue;
      this.#progress.set(id, new PeerProgress(next, this.#options.inflightMax));
    }
    this.#learners = new Set(learners);
    this.#voters = [...this.#progress.keys()].filter((id) => !this.#learners.has(id));
    for (const id of this.#voters) {
      // Who was a learner until now.
      this.#learnersDue.delete(id);
      this.#votersDue.add(id);
    }
    if (this.#transfer !== undefined && !isVoter(this.#log.configuration, this.#transfer.to)) {
      this.#transfer = undefined;
    }
  }

  /** A committed removal is told to the removed, if it can be reached, so that it ceases to campaign. */
  #dropRemoved(): void {
    const { voters, learners } = this.#log.configuration;
    const members = new Set([...voters, ...learners]);
    for (const [id, progress] of this.#progress) {
      if (members.has(id)) continue;
      if (progress.state === 'replicate') this.#sendAppend(id, progress);
      this.#progress.delete(id);
      this.#learnersDue.delete(id);
      this.#votersDue.delete(id);
    }
    this.#voters = this.#voters.filter((id) => members.has(id));
  }

  /** Members, and those whose removal is not committed yet. */
  sendsTo(id: ReplicaId): boolean {
    return this.#progress.has(id);
  }

  // --- Time -------------------------------------------------------------------------------------------------------

  /** False if no quorum was heard for one election timeout: the office must be laid down (thesis 6.2). */
  tick(): boolean {
    const { heartbeatTicks, electionTicks } = this.#options;
    this.#learnerAppendsLeft = LEARNER_APPENDS_PER_TICK;
    if (this.#quiet) {
      this.#tickQuiet();
      return true;
    }
    this.#idleTicks++;
    if (this.#transfer !== undefined && ++this.#transfer.elapsedTicks >= electionTicks) {
      this.#transfer = undefined;
    }
    if (++this.#heartbeatElapsedTicks >= heartbeatTicks) this.#broadcastHeartbeat();
    if (++this.#quorumElapsedTicks < electionTicks) return true;
    this.#quorumElapsedTicks = 0;
    return this.#heardQuorum();
  }

  #heardQuorum(): boolean {
    const heard = this.#isQuorum((id) => this.#progress.get(id)?.active === true);
    for (const progress of this.#progress.values()) progress.active = false;
    return heard;
  }

  /** Whether the voters for which `holds` is true make a majority together with this replica. */
  #isQuorum(holds: (voter: ReplicaId) => boolean): boolean {
    const { configuration } = this.#log;
    const count = configuration.voters.filter((id) => id === this.#options.id || holds(id)).length;
    return count >= quorumSize(configuration);
  }

  /**
   * To all voters, and of many learners to a part in each round: they decide nothing, and wait as much longer before they
   * take the leader for dead.
   */
  #broadcastHeartbeat(): void {
    this.#heartbeatElapsedTicks = 0;
    const rounds = heartbeatRounds(this.#learners.size);
    const round = this.#heartbeatRound++ % rounds;
    let position = 0;
    for (const [to, progress] of this.#progress) {
      if (this.#learners.has(to) && position++ % rounds !== round) continue;
      this.#sendHeartbeat(to, progress);
    }
  }

  #sendHeartbeat(to: ReplicaId, progress: PeerProgress): void {
    this.#send({
      kind: 'heartbeat',
      ...this.#envelope(to),
      // Beyond its match the member may hold entries of another leader, which this index must not commit.
      commit: Math.min(progress.match, this.#log.commit),
      readContext: this.#reads.latest,
      quiet: this.#quiet && this.#isLevel(progress),
    });
  }

  // --- Quietness --------------------------------------------------------------------------------------------------

  get quiet(): boolean {
    return this.#quiet;
  }

  /** Reads are confirmed without waking anybody; only while one waits does time count. */
  get needsTicks(): boolean {
    return !this.#quiet || this.#reads.pending > 0;
  }

  /** A member has all there is, and this replica knows it. */
  #isLevel(progress: PeerProgress): boolean {
    return progress.state === 'replicate' && progress.match === this.#log.lastIndex;
  }

  /** The member's answer to a quiet heartbeat needs nothing to follow. */
  restsWith(id: ReplicaId): boolean {
    const progress = this.#progress.get(id);
    return progress !== undefined && this.#isLevel(progress);
  }

  fallQuiet(isLinked: (id: ReplicaId) => boolean): void {
    if (this.#quiet || !this.#mayRest(isLinked)) return;
    this.#quiet = true;
    this.#heartbeatElapsedTicks = 0;
    for (const [to, progress] of this.#progress) this.#sendHeartbeat(to, progress);
  }

  #mayRest(isLinked: (id: ReplicaId) => boolean): boolean {
    if (this.#idleTicks < this.#options.quietTicks) return false;
    if (this.#transfer !== undefined || this.#reads.pending > 0) return false;
    const { commit, stable, lastIndex } = this.#log;
    if (commit !== lastIndex || stable !== lastIndex || !this.#committedInTerm) return false;
    for (const [id, progress] of this.#progress) {
      // What a learner is known to have it has, however long ago it was heard.
      const isHeard = progress.active || this.#learners.has(id);
      if (!(isHeard && this.#isLevel(progress)) && isLinked(id)) return false;
    }
    return this.#isQuorum(isLinked);
  }

  /** A read that the first round of heartbeats did not confirm: something got lost, or somebody is. */
  #tickQuiet(): void {
    if (this.#reads.pending === 0) this.#heartbeatElapsedTicks = 0;
    else if (++this.#heartbeatElapsedTicks >= this.#options.heartbeatTicks) this.wake();
  }

  /** The members are told at once. Who has to be heard for the quorum has one election timeout from now. */
  wake(): void {
    if (!this.#quiet) return;
    this.#endQuiet();
    this.#broadcastHeartbeat();
  }

  #endQuiet(): void {
    this.#idleTicks = 0;
    if (!this.#quiet) return;
    this.#quiet = false;
    this.#quorumElapsedTicks = 0;
    for (const progress of this.#progress.values()) progress.active = false;
  }

  // --- Messages in ------------------------------------------------------------------------------------------------

  onAppendResponse(message: Message & { readonly kind: 'appendResponse' }): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    progress.active = true;
    this.#isDue(message.from);
    if (message.rejected) {
      progress.rejected(
        message.index,
        this.#log.lastIndexWithTermAtMost(message.hintIndex, message.hintTerm),
      );
    } else if (message.index <= this.#log.lastIndex) {
      progress.accepted(message.index, this.#log.firstIndex);
    }
  }

  onHeartbeatResponse(message: Message & { readonly kind: 'heartbeatResponse' }): void {
    const progress = this.#progress.get(message.from);
    if (progress === undefined) return;
    progress.alive(this.#endFor(message.from));
    this.#isDue(message.from);
    // A round that was never opened cannot have been answered.
    if (message.readContext <= this.#reads.latest) {
      progress.readRound = Math.max(progress.readRound, message.readContext);
    }
  }

  /** The connection dropped and appends in flight with it: look for the end of the member's log anew. */
  onUnreachable(peer: ReplicaId): void {
    const progress = this.#progress.get(peer);
    if (progress?.state === 'replicate') progress.becomeProbe();
    if (progress !== undefined) this.#isDue(peer);
  }

  onSnapshotEnded(peer: ReplicaId, delivered: boolean): void {
    const progress = this.#progress.get(peer);
    if (progress === undefined) return;
    progress.snapshotEnded(delivered);
    this.#isDue(peer);
  }

  // --- Reads ------------------------------------------------------------------------------------------------------

  /** False if too many reads wait already. */
  requestRead(context: number): boolean {
    if (this.#reads.pending >= this.#options.proposalsMax) return false;
    this.#reads.request(context);
    return true;
  }

  abandonReads(): readonly number[] {
    return this.#reads.abandon();
  }

  // --- Transfer of leadership (thesis 3.10) -----------------------------------------------------------------------

  transfer(to: ReplicaId): void {
    if (to === this.#options.id || to === this.#transfer?.to) return;
    if (!isVoter(this.#log.configuration, to)) return;
    this.wake();
    this.#transfer = { to, elapsedTicks: 0, told: false };
  }

  /** The target has the whole log, and no proposal can lengthen it: it may campaign without waiting. */
  #pursueTransfer(): void {
    const transfer = this.#transfer;
    if (transfer === undefined || transfer.told) return;
    if (this.#progress.get(transfer.to)?.match !== this.#log.lastIndex) return;
    transfer.told = true;
    this.#send({ kind: 'timeoutNow', ...this.#envelope(transfer.to) });
  }

  /**
   * Before a leader leaves that removed itself: tells what is committed and names the voter with the longest log, so
   * that the group need not wait for an election timeout.
   */
  handOver(): void {
    for (const [to, progress] of this.#progress) this.#replicate(to, progress);
    let heir: ReplicaId | undefined;
    for (const voter of this.#log.configuration.voters) {
      if (heir === undefined || this.#matchOf(voter) > this.#matchOf(heir)) heir = voter;
    }
    if (heir !== undefined) this.#send({ kind: 'timeoutNow', ...this.#envelope(heir) });
  }

  // --- Messages out -----------------------------------------------------------------------------------------------

  /** Sends what is due since the last turn; reads that a quorum has confirmed are added to `answers`. */
  flush(answers: ReadState[]): void {
    // Without an entry of its term committed, a leader does not know how far the last one's commits reached.
    if (this.#reads.hasWaiting && this.#committedInTerm) {
      this.#reads.openRound(this.#log.commit);
      this.#askVoters();
    }
    if (this.#reads.pending > 0) {
      this.#reads.confirm(quorumValue(this.#log.configuration, this.#readRoundOf), answers);
    }
    this.#replicateDue();
    this.#pursueTransfer();
  }

  /** Who else leads could only be elected by voters: nobody else need be asked before a read is answered. */
  #askVoters(): void {
    for (const voter of this.#log.configuration.voters) {
      const progress = this.#progress.get(voter);
      if (progress !== undefined) this.#sendHeartbeat(voter, progress);
    }
  }

  #replicateDue(): void {
    for (const to of this.#votersDue) {
      const progress = this.#progress.get(to);
      if (progress !== undefined) this.#replicate(to, progress);
    }
    this.#votersDue.clear();
    if (this.#learnersDue.size > 0) this.#replicateToLearners();
  }

  /**
   * Of many learners some have to wait for the next tick, and then get all that has gathered: so however many follow, and
   * however much is decided, they cost their leader no more than so many messages a second.
   */
  #replicateToLearners(): void {
    for (const to of this.#learnersDue) {
      if (this.#learnerAppendsLeft <= 0) return;
      const progress = this.#progress.get(to);
      if (progress !== undefined) this.#learnerAppendsLeft -= this.#replicate(to, progress);
      this.#learnersDue.delete(to);
    }
  }

  /** A learner is given what is committed, with the word that it is: it can do nothing with an entry before that. */
  #endFor(id: ReplicaId): number {
    return this.#learners.has(id) ? this.#log.commit : this.#log.lastIndex;
  }

  /** Returns how many messages it sent. */
  #replicate(to: ReplicaId, progress: PeerProgress): number {
    for (let sent = 0; ; sent++) {
      const behind = progress.next <= this.#endFor(to);
      const untold = progress.state === 'replicate' && progress.commitSent < this.#log.commit;
      if (!progress.poked && (progress.blocked || !(behind || untold))) return sent;
      this.#sendAppend(to, progress);
    }
  }

  #sendAppend(to: ReplicaId, progress: PeerProgress): void {
    if (progress.state === 'snapshot') return;
    const previousIndex = progress.next - 1;
    const previousTerm = this.#log.term(previousIndex);
    if (previousTerm === undefined) {
      this.#sendSnapshot(to, progress);
      return;
    }
    const entries = progress.blocked
      ? NO_ENTRIES
      : this.#log.slice(progress.next, this.#options.appendBytesMax, this.#endFor(to));
    const { commit } = this.#log;
    // Entries that are on their way are answered each for themselves.
    const isNotice = progress.state === 'replicate' && entries.length === 0 && !progress.poked;
    this.#send({
      kind: 'append',
      ...this.#envelope(to),
      previousIndex,
      previousTerm,
      entries,
      commit,
      ...(isNotice ? { notice: true } : {}),
    });
    progress.commitSent = commit;
    progress.sent(previousIndex + entries.length, entries.length === 0);
  }

  /** The log the member needs is forgotten. What is applied here is the least the driver can stream. */
  #sendSnapshot(to: ReplicaId, progress: PeerProgress): void {
    const meta = this.#log.metaAt(this.#log.applied);
    progress.becomeSnapshot(meta.index);
    this.#send({ kind: 'snapshot', ...this.#envelope(to), meta });
  }

  #envelope(to: ReplicaId): { from: ReplicaId; to: ReplicaId; term: number } {
    return { from: this.#options.id, to, term: this.#term };
  }

  #send(message: Message): void {
    this.#outbox.send(message);
  }

  // --- Status -----------------------------------------------------------------------------------------------------

  progress(): ReadonlyMap<ReplicaId, Progress> {
    const { id } = this.#options;
    const { configuration, stable, lastIndex } = this.#log;
    const all = new Map<ReplicaId, Progress>();
    if (isMember(configuration, id)) {
      all.set(id, { match: stable, next: lastIndex + 1, state: 'replicate', active: true });
    }
    for (const [peer, { match, next, state, active }] of this.#progress) {
      all.set(peer, { match, next, state, active });
    }
    return all;
  }
}
