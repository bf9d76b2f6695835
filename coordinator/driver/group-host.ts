/**
 * All Raft groups of this machine, run as one. Each turn takes every group that has work, lets its messages out, applies
 * what is committed, and makes everything of that turn durable in one batch: a hundred groups cost one fsync, and a
 * leader's own write runs beside its followers' (thesis 10.2.1). A turn never begins before the last one ended, so the
 * longer the disk takes, the more commands share the next write.
 *
 * A group that has nothing to do falls quiet and costs nothing, however many there are. In its place each pair of machines
 * that share quiet groups exchanges one beat for all of them, at the pace of heartbeats; it is an empty frame, sent by
 * this host and not by the link, because what must be shown to live is who would lead. Whoever hears no beat for the
 * shortest election timeout wakes the groups concerned with that much time on their clocks: from there everything takes
 * its course as if heartbeats had failed to come. Learners decide nothing and need no beats; a new leader finds them.
 */
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  RAFT_APPEND_BYTES_MAX,
  RAFT_BEAT_SPARED_TICKS,
  RAFT_BEAT_TICKS,
  RAFT_ELECTION_TICKS,
  RAFT_ENTRY_BYTES_MAX,
  RAFT_HEARTBEAT_TICKS,
  RAFT_INFLIGHT_MAX,
  RAFT_LOG_KEEP_BYTES,
  RAFT_LOG_KEEP_ENTRIES,
  RAFT_PROPOSALS_MAX,
  RAFT_QUIET_TICKS,
  RAFT_TICK_MS,
  RECOVERY_INDEX_STEP,
  RECOVERY_TERM_STEP,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Prng } from '../../src/lib/prng.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { type GroupId, type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import type { GroupWrite, RowWrite, Store, StoredGroup } from '../../src/store/interface.ts';
import { decode, encode } from '../../src/wire/codec.ts';
import { RAFT_CHANNEL, RaftFrame, SUPERSEDED_CHANNEL, Superseded } from '../../src/wire/protocol.ts';
import {
  type Configuration,
  createRaft,
  type Message,
  type RaftState,
  type Ready,
  type SnapshotMeta,
} from '../consensus/index.ts';
import type { StateMachine } from '../core/interface.ts';
import { EMPTY_RECORD, foundingRecord } from './flight-record.ts';
import { type FlightRecordBounds, FlightRecorder } from './flight-recorder.ts';
import { loadRows } from './load-rows.ts';
import { PairBeats } from './pair-beats.ts';
import { PeerClocks } from './peer-clocks.ts';
import { RaftOutbox, type WireMessage } from './raft-outbox.ts';
import { type AppliedEntry, metaAfter, Replica } from './replica.ts';
import { unpackEntries } from './shared-entries.ts';
import { SnapshotReceiver, SnapshotSender } from './snapshots.ts';
import { TurnWriter } from './turn-writer.ts';

/** Applied entries kept behind the applied index, for slow followers, before the log is cut. */
export interface LogKept {
  readonly entries: number;
  readonly bytes: number;
}

export interface GroupHostOptions {
  readonly self: MachineId;
  readonly transport: Transport;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Prng;
  readonly log: Log;
  /** The state machine of a group, empty. */
  readonly createMachine: (group: GroupId) => StateMachine<unknown>;
  /** Raft messages of a group this machine does not hold yet: may it start an empty replica of it? */
  readonly mayHost: (group: GroupId) => boolean;
  /** Is the peer a full member of the mesh (no joiner under its token)? */
  readonly isMember: (peer: string) => boolean;
  readonly onApplied: (replica: Replica, entries: readonly AppliedEntry[]) => void;
  readonly onLeadership: (replica: Replica) => void;
  /** A turn of this replica has ended: its configuration, or what its followers have, may have moved. */
  readonly onTurn: (replica: Replica) => void;
  /** A snapshot replaced the state machine of this replica. */
  readonly onInstalled: (replica: Replica) => void;
  /** The group was recovered elsewhere without this machine: this replica is of its life before that, and is given up. */
  readonly onSuperseded: (replica: Replica) => void;
  /** A write failed, so nobody knows what is durable: this host has stopped, and no promise may be made before the store was opened anew. */
  readonly onFatal: (error: ShoalError) => void;
  /** Default: RAFT_LOG_KEEP_ENTRIES and RAFT_LOG_KEEP_BYTES. */
  readonly logKept?: LogKept;
  /** Default: FLIGHT_RECORD_BYTES_MAX and FLIGHT_BASE_BYTES_MAX. */
  readonly flightRecord?: FlightRecordBounds;
}

interface TurnPart {
  readonly replica: Replica;
  readonly ready: Ready;
  readonly applied: readonly AppliedEntry[];
}

export class GroupHost {
  readonly #options: GroupHostOptions;
  readonly #replicas = new Map<GroupId, Replica>();
  readonly #opening = new Map<GroupId, Promise<Replica>>();
  /** Groups whose removal is under way: one of the same name is made when that is done. */
  readonly #leaving = new Map<GroupId, Promise<void>>();
  readonly #dirty = new Set<Replica>();
  readonly #outbox: RaftOutbox;
  readonly #recorder: FlightRecorder;
  readonly #clocks = new PeerClocks();
  readonly #snapshotsSent: SnapshotSender;
  readonly #snapshotsReceived: SnapshotReceiver;
  readonly #snapshotsDue: { replica: Replica; to: MachineId }[] = [];
  readonly #writer: TurnWriter;
  readonly #beats = new PairBeats();
  #ticking: Timer | undefined;
  /** Ticks that the timer under way counts for, and those since the last beat. */
  #tickStride = 1;
  #tickArmedAtMs = 0;
  #beatElapsedTicks = 0;
  #turning = false;
  #scheduled = false;
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(options: GroupHostOptions) {
    this.#options = options;
    this.#outbox = new RaftOutbox(options.transport, options.clock);
    const { store, clock, log, flightRecord } = options;
    // Also where no turn would notice: of a snapshot that comes in, of what an agent keeps of its tasks.
    void store.failed.then((error) => this.#fail(error));
    this.#writer = new TurnWriter({ store, clock, onFailed: (error) => this.#fail(error) });
    this.#recorder = new FlightRecorder({
      store,
      clock,
      log,
      isPresent: (replica) => !this.#stopped && this.#replicas.get(replica.group) === replica,
      ...(flightRecord === undefined ? {} : { bounds: flightRecord }),
    });
    this.#snapshotsSent = new SnapshotSender(options);
    this.#snapshotsReceived = new SnapshotReceiver(
      options,
      (group, generation) => this.#replicaFor(group, generation),
      (replica) => this.wake(replica),
    );
  }

  async start(): Promise<void> {
    const { transport } = this.#options;
    for (const group of await this.#options.store.groups()) {
      if (!isRowsGroup(group)) await this.open(group as GroupId);
    }
    transport.onMessage(RAFT_CHANNEL, (from, payload) => this.#receive(from, payload));
    transport.onMessage(SUPERSEDED_CHANNEL, (from, payload) => {
      const { group, generation } = Superseded.decode(payload);
      if (this.#options.isMember(from)) this.supersede(group as GroupId, generation);
    });
    transport.onPeer((peer, up) => {
      if (up) this.#peerCame(peer);
      else this.#peerLost(peer);
    });
    this.#snapshotsReceived.start();
    this.#armTick(1);
  }

  /** Lets the running turn end, then stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ticking?.cancel();
    await this.#quiet();
    for (const replica of this.#replicas.values()) {
      replica.close();
      await this.#recorder.settled(replica);
    }
  }

  /** The store takes no more writes: nothing is promised from here on, and this machine holds no replica any more. */
  async retire(): Promise<void> {
    await this.stop();
    this.#replicas.clear();
    this.#dirty.clear();
  }

  get store(): Store {
    return this.#options.store;
  }

  get replicas(): ReadonlyMap<GroupId, Replica> {
    return this.#replicas;
  }

  replica(group: GroupId): Replica | undefined {
    return this.#replicas.get(group);
  }

  /**
   * Starts a new group with these first voters, on each of them alike; does nothing where this machine holds it already.
   * The founders' log begins after index 1, so that whoever starts empty, at 0, is behind it and is sent a snapshot,
   * which carries the configuration.
   */
  bootstrap(group: GroupId, configuration: Configuration, generation = 0): Promise<Replica> {
    const present = this.#replicas.get(group);
    if (present !== undefined) return Promise.resolve(present);
    let opening = this.#opening.get(group);
    if (opening === undefined) {
      opening = this.#gone(group)
        .then(() => this.#found(group, configuration, generation))
        .finally(() => this.#opening.delete(group));
      this.#opening.set(group, opening);
    }
    return opening;
  }

  async #found(group: GroupId, configuration: Configuration, generation: number): Promise<Replica> {
    const first = configuration.voters.length > 0 ? 1 : 0;
    const start: SnapshotMeta = { index: first, term: first, configuration };
    const hardState = { term: first, votedFor: null, commit: first };
    const rows: RowWrite[] = [{ kind: 'put', key: 'generation', value: encode(generation) }];
    if (first > 0) rows.push(foundingRecord(start));
    const founding = { group, hardState, start, rows, applied: { index: first, stateHash: 0 } };
    await this.#options.store.write({ groups: [founding] }, true);
    return this.#load(group);
  }

  /** Loads a group from the store. */
  open(group: GroupId): Promise<Replica> {
    const present = this.#replicas.get(group);
    if (present !== undefined) return Promise.resolve(present);
    let opening = this.#opening.get(group);
    if (opening === undefined) {
      opening = this.#gone(group)
        .then(() => this.#load(group))
        .finally(() => this.#opening.delete(group));
      this.#opening.set(group, opening);
    }
    return opening;
  }

  async #load(group: GroupId): Promise<Replica> {
    const { replica } = await this.#read(group);
    await this.#recorder.open(replica);
    if (this.#stopped) return replica;
    const { voters } = replica.meta.configuration;
    // Nobody can outvote a sole voter: it leads from its first tick, and need not wait for that.
    if (voters.length === 1 && voters[0] === this.#options.self) replica.raft.tick();
    this.#replicas.set(group, replica);
    this.#options.onInstalled(replica);
    this.#recorder.copyIfDue(replica);
    this.wake(replica);
    return replica;
  }

  async #read(group: GroupId): Promise<{ replica: Replica; stored: StoredGroup }> {
    const { store, self, random } = this.#options;
    const stored = await store.loadGroup(group);
    if (stored === undefined)
      throw new ShoalError('GroupNotFound', `This machine holds no replica of ${group}.`);
    const pointer = await store.getRow(group, 'rows');
    const rowsGroup = pointer === undefined ? firstRowsGroup(group) : (decode(pointer) as string);
    const generation = await this.#generationOf(group);
    const machine = this.#options.createMachine(group);
    await loadRows(machine, store, rowsGroup);
    const state: RaftState = {
      hardState: stored.hardState,
      snapshot: stored.start,
      entries: stored.entries,
      applied: stored.applied.index,
    };
    const raft = createRaft(
      {
        id: self,
        heartbeatTicks: RAFT_HEARTBEAT_TICKS,
        electionTicks: RAFT_ELECTION_TICKS,
        quietTicks: RAFT_QUIET_TICKS,
        random: (low, high) => random.int(low, high),
        appendBytesMax: RAFT_APPEND_BYTES_MAX,
        inflightMax: RAFT_INFLIGHT_MAX,
        proposalsMax: RAFT_PROPOSALS_MAX,
        entryBytesMax: RAFT_ENTRY_BYTES_MAX,
      },
      state,
    );
    const replica = new Replica({
      group,
      generation,
      raft,
      machine,
      rowsGroup,
      applied: stored.applied,
      meta: metaAt(state, stored.applied.index),
      flush: () => void this.#writer.flush(),
    });
    return { replica, stored };
  }

  async #generationOf(group: GroupId): Promise<number> {
    const stored = await this.#options.store.getRow(group, 'generation');
    return stored === undefined ? 0 : (decode(stored) as number);
  }

  /** Forgets a group that this machine no longer takes part in. */
  async drop(group: GroupId): Promise<void> {
    const replica = this.#replicas.get(group);
    if (replica === undefined) return this.#gone(group);
    this.#replicas.delete(group);
    this.#dirty.delete(replica);
    replica.close();
    const leaving = this.#remove(replica).finally(() => this.#leaving.delete(group));
    this.#leaving.set(group, leaving);
    await leaving;
  }

  async #remove(replica: Replica): Promise<void> {
    await this.#quiet();
    await this.#recorder.drop(replica);
    await this.#options.store.dropGroup(replica.rowsGroup);
    await this.#options.store.dropGroup(replica.group);
  }

  #gone(group: GroupId): Promise<void> {
    return this.#leaving.get(group)?.catch(() => undefined) ?? Promise.resolve();
  }

  /**
   * Gives up a replica of an older generation than this one. Its voters may be a majority of their own configuration and
   * would elect a leader who serves what was, so the news is told to each of them that still speaks.
   */
  supersede(group: GroupId, generation: number): void {
    const replica = this.#replicas.get(group);
    if (replica === undefined || replica.generation >= generation) return;
    const { log, onSuperseded } = this.#options;
    log.warn(
      { group, generation, ownGeneration: replica.generation, lastIndex: replica.raft.status().lastIndex },
      'the group was recovered without this machine: its copy from before that is given up',
    );
    onSuperseded(replica);
    this.drop(group).catch((error: unknown) =>
      log.error({ group, error: asShoalError(error).message }, 'a group could not be removed'),
    );
  }

  /**
   * Makes a group whose quorum is gone for good live again from this machine's copy alone, under a generation that the
   * old voters do not know. Entries that were on the others only are lost; entries that were here only are kept and
   * applied, as if they were committed. The log begins anew far behind them, in a configuration of this one voter, and
   * so does its term: agents listen to the greatest term they know, and an index names an execution (its epoch), so
   * neither may come a second time with another meaning. One batch says it all: what is interrupted did not happen.
   */
  async recover(group: GroupId): Promise<void> {
    const { store, self } = this.#options;
    const held = this.#replicas.get(group);
    if (held === undefined)
      throw new ShoalError('GroupNotFound', `This machine holds no replica of ${group}.`);
    this.#replicas.delete(group);
    this.#dirty.delete(held);
    held.close();
    await this.#quiet();
    await this.#recorder.settled(held);
    const { replica, stored } = await this.#read(group);
    const { rows, stateHash } = replica.applyUncommitted(stored.entries);
    const index = replica.appliedIndex + RECOVERY_INDEX_STEP;
    const term = stored.hardState.term + RECOVERY_TERM_STEP;
    const log: GroupWrite = {
      group,
      start: { index, term, configuration: { voters: [self], learners: [] } },
      hardState: { term, votedFor: self, commit: index },
      applied: { index, stateHash },
      rows: [
        { kind: 'put', key: 'generation', value: encode(replica.generation + 1) },
        // What was recorded does not lead up to where the log begins.
        EMPTY_RECORD,
      ],
    };
    await store.write({ groups: [{ group: replica.rowsGroup, rows }, log] }, true);
    await this.open(group);
  }

  /** Resolves when no turn is under way and nothing of an earlier one is to be written any more. */
  async #quiet(): Promise<void> {
    if (this.#turning) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#writer.flush();
  }

  // --- Input ------------------------------------------------------------------------------------------------------

  /** This machine's wall clock, as far as it may carry the time of this group: see peer-clocks.ts. */
  wallMs({ meta }: Replica): number {
    const { clock, self } = this.#options;
    const { voters, learners } = meta.configuration;
    const members = voters.length > 1 ? voters : [...voters, ...learners];
    const others = members.filter((id) => id !== self).map(peerOfMachine);
    return this.#clocks.bounded(clock.wallMs(), clock.monotonicMs(), others);
  }

  /** The group's own time, also where this machine's wall clock is behind that of an earlier leader. */
  groupMs(replica: Replica): number {
    return Math.max(this.wallMs(replica), replica.slewedMs(this.#options.clock.monotonicMs()));
  }

  /** The replica has something to do: it takes part in the next turn. */
  wake(replica: Replica): void {
    this.#dirty.add(replica);
    if (this.#scheduled || this.#turning || this.#stopped) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => {
      this.#scheduled = false;
      void this.#turns();
    });
  }

  /** Where every group is quiet, all there is to do is beats: one turn of the timer counts for the ticks between them. */
  #armTick(stride: number, delayMs = stride * RAFT_TICK_MS): void {
    this.#tickStride = stride;
    this.#tickArmedAtMs = this.#options.clock.monotonicMs();
    this.#ticking = this.#options.clock.after(delayMs, () => {
      // A host that may promise nothing more must not seem to be at work.
      if (this.#stopped) return;
      this.#tick(stride);
      if (this.#beatElapsedTicks >= RAFT_BEAT_TICKS) this.#beat();
      this.#armNextTick();
    });
  }

  #armNextTick(): void {
    const quiet = [...this.#replicas.values()].every(({ raft }) => raft.quiet);
    this.#armTick(quiet ? RAFT_BEAT_TICKS - this.#beatElapsedTicks : 1);
  }

  /**
   * Where this machine would beat soon anyway it does so now, as an answer. So all machines that rest with each other
   * come to beat at one moment, whoever is first, and each is woken once for its own beats and those of the others.
   */
  #answerBeat(): void {
    if (this.#tickStride === 1 || this.#stopped) return;
    const sinceMs = this.#options.clock.monotonicMs() - this.#tickArmedAtMs;
    const ticks = Math.min(this.#tickStride, Math.round(sinceMs / RAFT_TICK_MS));
    if (2 * (this.#beatElapsedTicks + ticks) < RAFT_BEAT_TICKS) return;
    this.#ticking?.cancel();
    this.#tick(ticks);
    this.#beat();
    this.#armNextTick();
  }

  /** A group was woken: its next tick comes when it would have come anyway, and not with the beats. */
  #hastenTick(): void {
    if (this.#tickStride === 1 || this.#stopped) return;
    this.#ticking?.cancel();
    const sinceMs = this.#options.clock.monotonicMs() - this.#tickArmedAtMs;
    // The beats must not fall behind, however often this happens.
    this.#beatElapsedTicks += Math.min(this.#tickStride - 1, Math.floor(sinceMs / RAFT_TICK_MS));
    this.#armTick(1, RAFT_TICK_MS - (sinceMs % RAFT_TICK_MS));
  }

  #tick(ticks: number): void {
    const { transport } = this.#options;
    for (const replica of this.#replicas.values()) {
      if (replica.raft.quiet) continue;
      replica.raft.tick();
      replica.raft.fallQuiet((id) => transport.isConnected(peerOfMachine(id)));
      if (replica.hasWork()) this.wake(replica);
      else this.#noticeLeadership(replica);
    }
    this.#beatElapsedTicks += ticks;
  }

  /** One beat to each machine that a quiet group rests with, and the groups woken that rest with a silent one. */
  #beat(): void {
    const { transport } = this.#options;
    const partners = new Map<string, Replica[]>();
    for (const replica of this.#replicas.values()) {
      for (const id of this.#restsWith(replica)) {
        const peer = peerOfMachine(id);
        if (!transport.isConnected(peer)) continue;
        const shared = partners.get(peer);
        if (shared === undefined) partners.set(peer, [replica]);
        else shared.push(replica);
      }
    }
    const lost = this.#beats.tick(this.#beatElapsedTicks, new Set(partners.keys()));
    this.#beatElapsedTicks = 0;
    for (const peer of partners.keys())
      if (this.#outbox.quietMs(peer) > RAFT_BEAT_SPARED_TICKS * RAFT_TICK_MS) this.#outbox.beat(peer);
    for (const [peer, silentTicks] of lost) {
      for (const replica of partners.get(peer) ?? []) {
        replica.raft.wake(silentTicks);
        this.wake(replica);
      }
    }
  }

  /** Whose machines must be heard while this replica is quiet: the leader hears the other voters, a voter the leader. */
  #restsWith({ raft, meta, leadership }: Replica): readonly string[] {
    const { self } = this.#options;
    const { voters } = meta.configuration;
    if (!raft.quiet || !voters.includes(self)) return [];
    const company = leadership.leading ? voters : [leadership.leader ?? self];
    return company.filter((id) => id !== self);
  }

  /** A member that a quiet leader did not wait for may have missed something. */
  #peerCame(peer: string): void {
    for (const replica of this.#replicas.values()) {
      if (!replica.leadership.leading || replica.membersOf(peer).length === 0) continue;
      replica.raft.wake(0);
      this.wake(replica);
    }
  }

  #peerLost(peer: string): void {
    this.#clocks.forget(peer);
    this.#outbox.forget(peer);
    for (const replica of this.#replicas.values()) {
      for (const id of replica.membersOf(peer)) replica.raft.reportUnreachable(id);
      this.wake(replica);
    }
  }

  #receive(from: string, payload: Uint8Array): void {
    if (this.#stopped) return;
    let frame: ReturnType<typeof RaftFrame.decode>;
    try {
      frame = RaftFrame.decode(payload);
    } catch (error) {
      this.#options.log.warn({ from, error: asShoalError(error).message }, 'a raft frame was refused');
      return;
    }
    this.#beats.heard(from);
    this.#clocks.note(from, frame.wallMs, this.#options.clock.monotonicMs());
    if (frame.messages.length === 0) this.#answerBeat();
    for (const { group, generation, message } of frame.messages) {
      // The sender named in a message must be the peer that the connection was proved to belong to.
      if (peerOfMachine(message.from) !== from || message.to !== this.#options.self) continue;
      const unpacked = this.#unpack(from, message);
      if (unpacked !== undefined) this.#stepOrOpen(group as GroupId, generation, unpacked, from);
    }
  }

  #unpack(from: string, message: WireMessage): Message | undefined {
    if (message.kind !== 'append' || message.packed === undefined) return message as Message;
    const { packed, ...append } = message;
    try {
      return { ...append, entries: unpackEntries(packed) };
    } catch (error) {
      this.#options.log.warn({ from, error: asShoalError(error).message }, 'packed entries were refused');
      return undefined;
    }
  }

  #stepOrOpen(group: GroupId, generation: number, message: Message, from: string): void {
    const replica = this.#replicas.get(group);
    if (replica?.generation === generation) {
      this.#step(replica, message);
      return;
    }
    if (replica !== undefined && replica.generation > generation) {
      // After a recovery the group has a new generation; an old majority that comes back is told, and not listened to.
      this.#options.transport.send(
        from,
        SUPERSEDED_CHANNEL,
        Superseded.encode({ group, generation: replica.generation }),
      );
      return;
    }
    if (replica !== undefined) {
      if (!this.#options.isMember(from)) return;
      this.supersede(group, generation);
    }
    if (!this.#options.mayHost(group)) return;
    void this.#replicaFor(group, generation).then(
      (opened) => {
        if (opened.generation !== generation) return;
        opened.raft.step(message);
        this.wake(opened);
      },
      (error: unknown) =>
        this.#options.log.warn(
          { group, error: asShoalError(error).message },
          'a replica could not be opened',
        ),
    );
  }

  /** Many messages only confirm what is known. */
  #step(replica: Replica, message: Message): void {
    replica.raft.step(message);
    if (this.#turning || replica.hasWork()) {
      this.wake(replica);
      return;
    }
    this.#noticeLeadership(replica);
    this.#options.onTurn(replica);
    if (!replica.raft.quiet) this.#hastenTick();
  }

  /** An empty replica that belongs to nobody's configuration until the leader's log or snapshot says so. */
  async #replicaFor(group: GroupId, generation: number): Promise<Replica> {
    const present = this.#replicas.get(group) ?? (await this.#opening.get(group));
    if (present !== undefined) return present;
    if (!this.#options.mayHost(group)) throw new ShoalError('GroupNotFound');
    return this.bootstrap(group, { voters: [], learners: [] }, generation);
  }

  // --- Turns ------------------------------------------------------------------------------------------------------

  async #turns(): Promise<void> {
    if (this.#turning) return;
    this.#turning = true;
    try {
      while (this.#dirty.size > 0 && !this.#stopped) await this.#turn();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#turning = false;
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  async #turn(): Promise<void> {
    const parts: TurnPart[] = [];
    const groups: GroupWrite[] = [];
    let mustSync = false;
    const replicas = [...this.#dirty];
    this.#dirty.clear();
    for (const replica of replicas) {
      replica.submit(() => this.groupMs(replica));
      if (!replica.raft.hasReady()) {
        replica.refuseStaged();
        this.#noticeLeadership(replica);
        this.#options.onTurn(replica);
        continue;
      }
      const ready = replica.raft.ready();
      this.#send(replica, ready.messages);
      const { write, applied } = replica.apply(ready);
      if (ready.snapshot !== undefined) this.#options.onInstalled(replica);
      groups.push(...write);
      mustSync ||= ready.mustSync;
      parts.push({ replica, ready, applied });
    }
    this.#outbox.flush();
    // The answers of what is committed need not wait for this machine's own disk: a majority has it.
    for (const { replica, applied } of parts)
      if (applied.length > 0) this.#options.onApplied(replica, applied);
    if (groups.length > 0) {
      const touched = parts.map(({ replica }) => replica);
      await this.#writer.write(groups, mustSync, touched);
    }
    for (const { replica, ready } of parts) {
      this.#send(replica, ready.messagesAfterPersist);
      replica.finish(ready);
      if (ready.snapshot !== undefined) this.#recorder.reset(replica);
      this.#noticeLeadership(replica);
      this.#options.onTurn(replica);
      this.#compact(replica);
      if (replica.isWritten) this.#recorder.copyIfDue(replica);
      if (replica.hasWork()) this.#dirty.add(replica);
    }
    this.#outbox.flush();
    if (replicas.some(({ raft }) => !raft.quiet)) this.#hastenTick();
    // Their rows are to be those of the applied index: the next turn, which may apply more, comes after this.
    if (this.#snapshotsDue.length > 0) await this.#writer.flush();
    for (const { replica, to } of this.#snapshotsDue.splice(0))
      this.#snapshotsSent.send(replica, to, (delivered) => this.#snapshotDone(replica, to, delivered));
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#options.onFatal(asShoalError(error));
  }

  #send(replica: Replica, messages: readonly Message[]): void {
    for (const message of messages) {
      // Rows as of the applied index are read once this turn's batch is in the store, before the next turn applies more.
      if (message.kind === 'snapshot') this.#snapshotsDue.push({ replica, to: message.to });
      else this.#outbox.add(replica.group, replica.generation, message);
    }
  }

  #snapshotDone(replica: Replica, to: MachineId, delivered: boolean): void {
    replica.raft.reportSnapshot(to, delivered);
    this.wake(replica);
  }

  #noticeLeadership(replica: Replica): void {
    if (replica.noticeLeadership()) this.#options.onLeadership(replica);
  }

  #compact(replica: Replica): void {
    const { logKept = { entries: RAFT_LOG_KEEP_ENTRIES, bytes: RAFT_LOG_KEEP_BYTES } } = this.#options;
    const held = replica.appliedIndex - replica.raft.firstIndex;
    if (held < logKept.entries && replica.logBytes < logKept.bytes) return;
    const index = replica.appliedIndex - Math.min(held >> 1, logKept.entries >> 1);
    const entries = replica.raft.entriesThrough(index);
    const start = replica.raft.compact(index);
    replica.noticeCompaction();
    // The log is not cut where a crash would still need it.
    void this.#writer.flush();
    this.#recorder.cut(replica, start, entries);
  }
}

function firstRowsGroup(group: GroupId): string {
  return `${group}~0`;
}

function isRowsGroup(group: string): boolean {
  return group.includes('~');
}

/** Term and configuration as of an applied index, from what is stored. */
function metaAt(state: RaftState, applied: number): SnapshotMeta {
  let meta: SnapshotMeta = state.snapshot;
  for (const entry of state.entries) {
    if (entry.index > applied) break;
    meta = metaAfter(meta, entry);
  }
  return meta;
}
