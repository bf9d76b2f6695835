import type {
  Configuration,
  ConfigurationChange,
  Message,
  ProposeResult,
  RaftNode,
  RaftOptions,
  Ready,
  ReplicaId,
} from '../../coordinator/consensus/interface.ts';
import { createRaft } from '../../coordinator/consensus/raft.ts';
import { PairBeats } from '../../coordinator/driver/pair-beats.ts';
import { compacted, type Disk, emptyDisk, type Rows, raftState, written } from './raft-disk.ts';
import { describe, describeEntry, RaftReferee } from './raft-referee.ts';

export interface Envelope {
  readonly message: Message;
  /** Of a snapshot: the rows, once the sender's driver has streamed them. */
  readonly rows: Rows | undefined;
}

interface Machine {
  readonly id: ReplicaId;
  raft: RaftNode;
  beats: PairBeats;
  up: boolean;
  /** What the store reads now; what a power cut would surely leave; what it might leave, oldest first. */
  disk: Disk;
  synced: Disk;
  unsynced: Disk[];
  /** A `Ready` whose batch is on its way to disk. */
  underway: { readonly ready: Ready; readonly result: Disk } | undefined;
  readonly received: Map<number, Rows>;
  /** Read context -> least index it may be answered with. */
  readonly reads: Map<number, number>;
}

interface WorldOptions {
  /** The source of a machine's election timeouts. */
  readonly random: (id: ReplicaId) => RaftOptions['random'];
  readonly raft?: Partial<Omit<RaftOptions, 'id' | 'random'>>;
  readonly trace?: (line: string) => void;
}

const DEFAULTS = {
  heartbeatTicks: 3,
  electionTicks: 10,
  quietTicks: 10,
  appendBytesMax: 1024,
  inflightMax: 4,
  proposalsMax: 50,
  entryBytesMax: 256,
};

/**
 * Machines, their disks and the network between them, one event at a time. Nothing happens by itself: the caller
 * (a script or a seeded storm) picks the next event, the referee looks at the result.
 */
export class RaftWorld {
  readonly machines = new Map<ReplicaId, Machine>();
  readonly referee = new RaftReferee();
  /** Sent and neither delivered nor lost. */
  network: Envelope[] = [];
  /** Directed links that lose everything, as `from>to`. */
  readonly cut = new Set<string>();
  /** Machines whose disk `turnAll` and `settle` leave alone: the caller begins and finishes their writes. */
  readonly slowDisks = new Set<ReplicaId>();
  readonly #options: WorldOptions;
  #nextRead = 1;

  constructor(options: WorldOptions) {
    this.#options = options;
  }

  #trace(line: () => string): void {
    this.#options.trace?.(line());
  }

  get up(): Machine[] {
    return [...this.machines.values()].filter((machine) => machine.up);
  }

  machine(id: ReplicaId): Machine {
    const machine = this.machines.get(id);
    if (machine === undefined) throw new Error(`no machine ${id}`);
    return machine;
  }

  /** A new machine with an empty disk. One that joins later starts from an empty configuration. */
  add(id: ReplicaId, configuration: Configuration = { voters: [], learners: [] }): void {
    const disk = emptyDisk(configuration);
    this.machines.set(id, {
      id,
      raft: this.#boot(id, disk),
      beats: new PairBeats(),
      up: true,
      disk,
      synced: disk,
      unsynced: [],
      underway: undefined,
      received: new Map(),
      reads: new Map(),
    });
  }

  #boot(id: ReplicaId, disk: Disk): RaftNode {
    return createRaft(
      { ...DEFAULTS, ...this.#options.raft, id, random: this.#options.random(id) },
      raftState(disk),
    );
  }

  // --- What a replica is asked to do ------------------------------------------------------------------------------

  tick(id: ReplicaId): void {
    this.#touch(id, (raft) => raft.tick());
  }

  /** As the driver does it: a quiet replica has no ticks, but a machine that its peace rests on must be heard. */
  driverTick(id: ReplicaId): void {
    const { raft, beats } = this.machine(id);
    if (!raft.quiet) {
      this.tick(id);
      this.fallQuiet(id);
    }
    const partners = this.#restsWith(id);
    for (const peer of partners) if (this.#linked(id, peer)) this.machine(peer).beats.heard(id);
    for (const silentTicks of beats.tick(1, partners).values()) this.wake(id, silentTicks);
  }

  #restsWith(id: ReplicaId): ReadonlySet<ReplicaId> {
    const { raft } = this.machine(id);
    const { role, leader, configuration } = raft.status();
    if (!raft.quiet || !configuration.voters.includes(id)) return new Set();
    const company = role === 'leader' ? configuration.voters : [leader ?? id];
    return new Set(company.filter((other) => other !== id));
  }

  /** One way. */
  #linked(from: ReplicaId, to: ReplicaId): boolean {
    return this.machines.get(to)?.up === true && !this.cut.has(`${from}>${to}`);
  }

  fallQuiet(id: ReplicaId): void {
    const isLinked = (peer: ReplicaId): boolean => this.#linked(id, peer) && this.#linked(peer, id);
    this.#touch(id, (raft) => raft.fallQuiet(isLinked));
  }

  wake(id: ReplicaId, silentTicks: number): void {
    this.#touch(id, (raft) => raft.wake(silentTicks));
  }

  propose(id: ReplicaId, command: string): ProposeResult {
    return this.#touch(id, (raft) => raft.propose(new TextEncoder().encode(command)));
  }

  proposeChange(id: ReplicaId, change: ConfigurationChange): ProposeResult {
    return this.#touch(id, (raft) => raft.proposeChange(change));
  }

  /** The context, or undefined where the replica refused. */
  read(id: ReplicaId): number | undefined {
    const context = this.#nextRead++;
    const result = this.#touch(id, (raft) => raft.readIndex(context));
    if (!result.ok) return undefined;
    this.machine(id).reads.set(context, this.referee.commitMax);
    return context;
  }

  transfer(id: ReplicaId, to: ReplicaId): void {
    this.#touch(id, (raft) => raft.transferLeadership(to));
  }

  unreachable(id: ReplicaId, peer: ReplicaId): void {
    this.#touch(id, (raft) => raft.reportUnreachable(peer));
  }

  compact(id: ReplicaId, index: number): void {
    const machine = this.machine(id);
    const start = machine.raft.compact(index);
    // While a batch is under way the store would cut the log after it; here it is simply done later.
    if (machine.underway === undefined) this.#write(machine, compacted(machine.disk, start), false);
  }

  #touch<T>(id: ReplicaId, act: (raft: RaftNode) => T): T {
    const machine = this.machine(id);
    if (!machine.up) throw new Error(`machine ${id} is down`);
    const before = machine.raft.status();
    const wasQuiet = machine.raft.quiet;
    const result = act(machine.raft);
    const after = machine.raft.status();
    if (before.role !== after.role) this.#trace(() => `${id} is ${after.role} in term ${after.term}`);
    else if (before.term !== after.term) this.#trace(() => `${id} reaches term ${after.term}`);
    if (wasQuiet !== machine.raft.quiet) this.#trace(() => `${id} ${wasQuiet ? 'wakes' : 'is quiet'}`);
    if (before.commit !== after.commit) this.#trace(() => `${id} commits ${after.commit}`);
    this.referee.inspect(machine, this.#syncedDisk);
    return result;
  }

  readonly #syncedDisk = (id: ReplicaId): Disk | undefined => this.machines.get(id)?.synced;

  // --- The driver's turn ------------------------------------------------------------------------------------------

  hasWork(id: ReplicaId): boolean {
    const machine = this.machine(id);
    return machine.up && (machine.underway !== undefined || machine.raft.hasReady());
  }

  /** Takes a `Ready` and sends what may leave at once. */
  begin(id: ReplicaId): void {
    const machine = this.machine(id);
    if (!machine.up || machine.underway !== undefined || !machine.raft.hasReady()) return;
    const ready = machine.raft.ready();
    const rows = ready.snapshot === undefined ? undefined : machine.received.get(ready.snapshot.index);
    machine.underway = { ready, result: written(machine.disk, ready, rows) };
    this.#send(machine, ready.messages);
  }

  /** The batch of the `Ready` under way reaches the disk; the rest of the turn follows. */
  finish(id: ReplicaId): void {
    const machine = this.machine(id);
    const { underway } = machine;
    if (!machine.up || underway === undefined) return;
    const { ready, result } = underway;
    machine.underway = undefined;
    this.#traceWrite(id, ready);
    this.#write(machine, result, ready.mustSync);
    this.#send(machine, ready.messagesAfterPersist);
    for (const { context, index } of ready.reads) this.#answerRead(machine, context, index);
    for (const context of ready.readsLost) this.#answerRead(machine, context, undefined);
    this.#touch(id, (raft) => raft.advance(ready));
    this.referee.configured(machine, machine.disk);
  }

  #traceWrite(id: ReplicaId, { hardState, truncateFrom, snapshot, entries, mustSync }: Ready): void {
    const parts: string[] = [];
    if (snapshot !== undefined) parts.push(`snapshot ${snapshot.index}/${snapshot.term}`);
    if (truncateFrom !== undefined) parts.push(`cuts from ${truncateFrom}`);
    if (entries.length > 0) parts.push(`entries ${entries.map(describeEntry).join(' ')}`);
    if (hardState !== undefined && mustSync) {
      parts.push(`term ${hardState.term} vote ${hardState.votedFor ?? 'none'}`);
    }
    if (parts.length > 0) this.#trace(() => `${id} writes ${parts.join(', ')}`);
  }

  #write(machine: Machine, disk: Disk, sync: boolean): void {
    this.referee.wrote(machine.id, machine.disk, disk);
    machine.disk = disk;
    machine.unsynced.push(disk);
    if (!sync) return;
    machine.synced = disk;
    machine.unsynced = [];
  }

  #answerRead(machine: Machine, context: number, index: number | undefined): void {
    const least = machine.reads.get(context);
    if (least === undefined) throw new Error(`read ${context} is answered twice or was never asked`);
    machine.reads.delete(context);
    this.#trace(
      () =>
        `${machine.id} ${index === undefined ? `loses read ${context}` : `may serve read ${context} at ${index}`}`,
    );
    if (index !== undefined && index < least) {
      throw new Error(
        `reads: read ${context} at ${index} misses what was committed when it was asked (${least})`,
      );
    }
  }

  #send(machine: Machine, messages: readonly Message[]): void {
    for (const message of messages) {
      this.referee.leaves(message, machine);
      this.network.push({ message, rows: undefined });
    }
  }

  // --- Network ----------------------------------------------------------------------------------------------------

  blocked({ message }: Envelope): boolean {
    return this.cut.has(`${message.from}>${message.to}`);
  }

  /** Takes the envelope at `position` out of the network. */
  take(position: number): Envelope {
    const [envelope] = this.network.splice(position, 1);
    if (envelope === undefined) throw new Error(`nothing at ${position}`);
    return envelope;
  }

  /** `late`: the message was past a cut link before that was cut. */
  deliver(envelope: Envelope, late = false): void {
    const { message, rows } = envelope;
    const receiver = this.machines.get(message.to);
    if (receiver?.up !== true || (this.blocked(envelope) && !late)) {
      this.lose(envelope);
      return;
    }
    if (message.kind === 'snapshot') {
      if (rows === undefined) {
        this.#stream(message);
        return;
      }
      receiver.received.set(message.meta.index, rows);
    }
    this.#trace(() => describe(message));
    this.#touch(message.to, (raft) => raft.step(message));
    if (message.kind === 'snapshot') this.#report(message, true);
  }

  /** A message from nowhere, past the network and its cuts; `at` another machine than the one it names, maybe. */
  inject(message: Message, at: ReplicaId = message.to): void {
    this.#trace(() => `${at === message.to ? '' : `at ${at}: `}${describe(message)}`);
    this.#touch(at, (raft) => raft.step(message));
  }

  lose({ message }: Envelope): void {
    this.#trace(() => `lost: ${describe(message)}`);
    if (message.kind === 'snapshot') this.#report(message, false);
  }

  /** The sender's driver streams the rows it has by now, which stand for a later index than the message may say. */
  #stream(message: Message & { readonly kind: 'snapshot' }): void {
    const sender = this.machine(message.from);
    if (!sender.up) return;
    const rows = sender.disk.rows;
    this.network.push({ message: { ...message, meta: sender.raft.metaAt(rows.applied) }, rows });
  }

  #report(message: Message, delivered: boolean): void {
    if (this.machine(message.from).up) {
      this.#touch(message.from, (raft) => raft.reportSnapshot(message.to, delivered));
    }
  }

  // --- Crashes ----------------------------------------------------------------------------------------------------

  /**
   * Power cut. Of what was not synced, `survives` batches are on disk after all; the batch under way counts as the
   * last of them. Batches are whole and in order, as level's log keeps them.
   */
  crash(id: ReplicaId, survives = 0): void {
    const machine = this.machine(id);
    if (!machine.up) return;
    const possible = [...machine.unsynced];
    if (machine.underway !== undefined) possible.push(machine.underway.result);
    const left = possible[Math.min(survives, possible.length) - 1] ?? machine.synced;
    machine.up = false;
    machine.disk = left;
    machine.synced = left;
    machine.unsynced = [];
    machine.underway = undefined;
    machine.received.clear();
    machine.reads.clear();
    this.#trace(() => `${id} crashes`);
  }

  /** How many batches a power cut now could either keep or lose. */
  atRisk(id: ReplicaId): number {
    const machine = this.machine(id);
    return machine.unsynced.length + (machine.underway === undefined ? 0 : 1);
  }

  restart(id: ReplicaId): void {
    const machine = this.machine(id);
    if (machine.up) return;
    machine.raft = this.#boot(id, machine.disk);
    machine.beats = new PairBeats();
    machine.up = true;
    const { term, commit, applied } = machine.raft.status();
    const { hardState, rows } = machine.disk;
    if (term !== hardState.term || commit < hardState.commit || applied !== rows.applied) {
      throw new Error(`R6: ${id} starts at term ${term}, commit ${commit}, applied ${applied}`);
    }
    this.#trace(() => `${id} starts with term ${term}, last ${machine.raft.status().lastIndex}`);
  }

  // --- Calm -------------------------------------------------------------------------------------------------------

  /** Finishes all disk writes and delivers all messages in order until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      this.turnAll();
      if (this.network.length === 0) return;
      this.deliver(this.take(0));
    }
    throw new Error('the network does not come to rest');
  }

  /** Lets every driver carry out what it has, without delivering anything. */
  turnAll(): void {
    for (const { id } of this.up) {
      while (!this.slowDisks.has(id) && this.hasWork(id)) {
        this.begin(id);
        this.finish(id);
      }
    }
  }

  leader(): Machine | undefined {
    let found: Machine | undefined;
    for (const machine of this.up) {
      const { role, term } = machine.raft.status();
      if (role === 'leader' && term > (found?.raft.status().term ?? 0)) found = machine;
    }
    return found;
  }
}
