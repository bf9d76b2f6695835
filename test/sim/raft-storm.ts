import { isDeepStrictEqual } from 'node:util';
import type { ReplicaId } from '../../coordinator/consensus/interface.ts';
import { Prng } from '../../src/lib/prng.ts';
import { lastIndexOf } from './raft-disk.ts';
import { type Envelope, RaftWorld } from './raft-world.ts';

/** Swarm testing: each seed draws which faults its world knows, so that rare mixes get their turn. */
export interface StormFaults {
  readonly drop: number;
  readonly duplicate: number;
  readonly reorder: boolean;
  /** Share of the messages of which a copy arrives long after, maybe terms later. */
  readonly straggle: number;
  readonly partitions: boolean;
  readonly crashes: boolean;
  readonly pauses: boolean;
  readonly slowDisk: boolean;
  readonly membership: boolean;
  readonly transfers: boolean;
  readonly coups: boolean;
  readonly compaction: boolean;
  readonly falseAlarms: boolean;
  /** Spells without requests, long enough for the group to fall quiet. */
  readonly lulls: boolean;
}

interface StormReport {
  readonly committed: number;
  readonly term: number;
  readonly voters: number;
}

/** Each kind of event with how often it comes up, relative to the others. */
const WEIGHTS = {
  tick: 30,
  deliver: 90,
  straggler: 2,
  disk: 60,
  propose: 10,
  read: 8,
  change: 2,
  transfer: 0.5,
  coup: 0.8,
  compact: 1.5,
  crash: 0.8,
  restart: 2,
  partition: 0.7,
  isolate: 1,
  usurp: 0.5,
  heal: 0.8,
  pause: 0.5,
  resume: 1,
  falseAlarm: 0.7,
  lull: 1,
  doubt: 0.5,
} as const;

type Event = keyof typeof WEIGHTS;
const EVENTS = Object.keys(WEIGHTS) as Event[];
const WEIGHT_SUM = EVENTS.reduce((sum, event) => sum + WEIGHTS[event], 0);

const STEPS = 2_000;
const NETWORK_MAX = 300;
const MACHINES_MAX = 8;
const CALM_TICKS_MAX = 400;

/**
 * One seeded world: first anything goes and only safety is asked for; then the faults stop, and it must elect a
 * leader, commit, and bring every member level. Throws at the first violation. `faults` take the place of the seed's own.
 */
export function runStorm(seed: number, faults: Partial<StormFaults> = {}): StormReport {
  const storm = new Storm(seed, faults);
  storm.rage();
  storm.calm();
  storm.sleep();
  return storm.report();
}

class Storm {
  readonly #prng: Prng;
  readonly #faults: StormFaults;
  readonly #world: RaftWorld;
  readonly #paused = new Set<ReplicaId>();
  readonly #stragglers: Envelope[] = [];
  #machinesMade = 0;
  #commands = 0;
  /** Steps until there are proposals again. */
  #lull = 0;

  constructor(seed: number, faults: Partial<StormFaults>) {
    const prng = new Prng(seed);
    this.#prng = prng;
    this.#faults = { ...drawFaults(prng.fork()), ...faults };
    const timeouts = prng.fork();
    this.#world = new RaftWorld({
      random: () => (low, high) => timeouts.int(low, high),
      raft: {
        heartbeatTicks: prng.int(1, 2),
        electionTicks: prng.int(3, 8),
        quietTicks: prng.int(1, 4),
        inflightMax: prng.int(1, 4),
        appendBytesMax: prng.pick([1, 128, 1024]),
        proposalsMax: 30,
      },
    });
    const voters = Array.from({ length: prng.pick([1, 2, 3, 3, 3, 3, 4, 5, 5]) }, () => this.#nextId());
    const learners = prng.chance(0.3) ? [this.#nextId()] : [];
    for (const id of [...voters, ...learners]) this.#world.add(id, { voters, learners });
  }

  #nextId(): ReplicaId {
    this.#machinesMade++;
    return `m${this.#machinesMade}`;
  }

  // --- Storm ------------------------------------------------------------------------------------------------------

  rage(): void {
    for (let step = 0; step < STEPS; step++) {
      this.#lull = Math.max(0, this.#lull - 1);
      this.#happen(this.#draw());
    }
  }

  #draw(): Event {
    let rest = this.#prng.next() * WEIGHT_SUM;
    for (const event of EVENTS) {
      rest -= WEIGHTS[event];
      if (rest < 0) return event;
    }
    return 'tick';
  }

  #happen(event: Event): void {
    const faults = this.#faults;
    switch (event) {
      case 'tick':
        this.#atAwake((id) => this.#world.driverTick(id));
        break;
      case 'deliver':
        this.#deliver();
        break;
      case 'straggler':
        this.#deliverStraggler();
        break;
      case 'disk':
        this.#atAwake((id) => this.#disk(id));
        break;
      case 'propose':
        if (this.#lull === 0) this.#atLeader((id) => this.#propose(id));
        break;
      case 'read':
        this.#atLeader((id) => this.#world.read(id));
        break;
      case 'change':
        if (faults.membership) this.#atLeader((id) => this.#change(id));
        break;
      case 'transfer':
        if (faults.transfers) this.#atLeader((id) => this.#transfer(id));
        break;
      case 'coup':
        if (faults.coups) this.#atAwake((id) => this.#coup(id));
        break;
      case 'isolate':
        if (faults.partitions) this.#atLeader((id) => this.#isolate(id));
        break;
      case 'usurp':
        if (faults.partitions && faults.coups) this.#atLeader((id) => this.#usurp(id));
        break;
      case 'compact':
        if (faults.compaction) this.#atAwake((id) => this.#compact(id));
        break;
      case 'crash':
        if (faults.crashes) this.#atEither((id) => this.#crash(id));
        break;
      case 'restart':
        this.#restart();
        break;
      case 'partition':
        if (faults.partitions) this.#partition();
        break;
      case 'heal':
        this.#world.cut.clear();
        break;
      case 'pause':
        if (faults.pauses) this.#atAwake((id) => this.#paused.add(id));
        break;
      case 'resume':
        this.#paused.clear();
        break;
      case 'falseAlarm':
        if (faults.falseAlarms) this.#atAwake((id) => this.#falseAlarm(id));
        break;
      case 'lull':
        if (faults.lulls) this.#lull = this.#prng.int(20, 200);
        break;
      case 'doubt':
        if (faults.falseAlarms) this.#atAwake((id) => this.#world.wake(id, this.#prng.int(0, 20)));
        break;
    }
  }

  #atAwake(act: (id: ReplicaId) => void): void {
    const awake = this.#world.up.filter(({ id }) => !this.#paused.has(id));
    if (awake.length > 0) act(this.#prng.pick(awake).id);
  }

  #atEither(act: (id: ReplicaId) => void): void {
    if (this.#prng.chance(0.5)) this.#atLeader(act);
    else this.#atAwake(act);
  }

  /** At any that believes to lead: a deposed leader that does not know it yet is the interesting one. */
  #atLeader(act: (id: ReplicaId) => void): void {
    const leaders = this.#world.up.filter(
      ({ id, raft }) => !this.#paused.has(id) && raft.status().role === 'leader',
    );
    if (leaders.length > 0) act(this.#prng.pick(leaders).id);
  }

  #deliver(): void {
    const { network } = this.#world;
    if (network.length === 0) return;
    const position = this.#faults.reorder ? this.#prng.int(0, network.length - 1) : 0;
    const envelope = this.#world.take(position);
    if (this.#prng.chance(this.#faults.drop) || network.length > NETWORK_MAX) {
      this.#world.lose(envelope);
      return;
    }
    if (this.#paused.has(envelope.message.to) && network.length < NETWORK_MAX / 2) {
      network.push(envelope);
      return;
    }
    if (this.#prng.chance(this.#faults.duplicate)) network.push(envelope);
    if (this.#prng.chance(this.#straggleOf(envelope))) this.#stragglers.push(envelope);
    this.#world.deliver(envelope);
  }

  /** Snapshots are rare, and a late one is the dangerous one. */
  #straggleOf({ message }: Envelope): number {
    const { straggle } = this.#faults;
    return straggle > 0 && message.kind === 'snapshot' ? 0.6 : straggle;
  }

  #deliverStraggler(): void {
    if (this.#stragglers.length === 0) return;
    const position = this.#prng.int(0, this.#stragglers.length - 1);
    for (const envelope of this.#stragglers.splice(position, 1)) {
      if (!this.#paused.has(envelope.message.to)) this.#world.deliver(envelope, true);
    }
  }

  #disk(id: ReplicaId): void {
    const slow = this.#faults.slowDisk;
    if (slow && this.#prng.chance(0.5)) this.#world.finish(id);
    else this.#world.begin(id);
    if (!slow) this.#world.finish(id);
  }

  #propose(id: ReplicaId): void {
    this.#commands++;
    this.#world.propose(id, `command ${this.#commands}`);
  }

  #change(leader: ReplicaId): void {
    const { voters, learners } = this.#world.machine(leader).raft.status().configuration;
    const kind = this.#prng.pick(['addLearner', 'promote', 'remove'] as const);
    if (kind === 'addLearner') {
      if (this.#world.machines.size >= MACHINES_MAX) return;
      const id = this.#nextId();
      this.#world.add(id);
      this.#world.proposeChange(leader, { kind, id });
      return;
    }
    const pool = kind === 'promote' ? learners : [...voters, ...learners];
    if (pool.length > 0) this.#world.proposeChange(leader, { kind, id: this.#prng.pick(pool) });
  }

  #transfer(leader: ReplicaId): void {
    const { voters } = this.#world.machine(leader).raft.status().configuration;
    if (voters.length > 0) this.#world.transfer(leader, this.#prng.pick(voters));
  }

  /**
   * A replica is told to campaign at once, past pre-vote and leases: as if a `timeoutNow` had come late. These two
   * only keep the peace; safety may not need them.
   */
  #coup(id: ReplicaId): void {
    const { term, leader } = this.#world.machine(id).raft.status();
    if (leader === null || leader === id) return;
    this.#world.inject({ kind: 'timeoutNow', from: leader, to: id, term });
  }

  #compact(id: ReplicaId): void {
    const { firstIndex, applied } = this.#world.machine(id).raft.status();
    if (applied >= firstIndex) this.#world.compact(id, this.#prng.int(firstIndex, applied));
  }

  #crash(id: ReplicaId): void {
    this.#world.crash(id, this.#prng.int(0, this.#world.atRisk(id)));
  }

  #restart(): void {
    const down = [...this.#world.machines.values()].filter(({ up }) => !up);
    if (down.length > 0) this.#world.restart(this.#prng.pick(down).id);
  }

  /** Full or one-way, around a random set of machines. */
  #partition(): void {
    const oneWay = this.#prng.chance(0.4);
    const side = new Map([...this.#world.machines.keys()].map((id) => [id, this.#prng.chance(0.5)]));
    for (const [from, left] of side) {
      for (const [to, leftToo] of side) {
        if (left !== leftToo && !(oneWay && left)) this.#world.cut.add(`${from}>${to}`);
      }
    }
  }

  /** A leader cut off, but for one follower perhaps, goes on appending what the others will contradict. */
  #isolate(leader: ReplicaId): void {
    const inwardsToo = this.#prng.chance(0.6);
    const spared = this.#prng.chance(0.5) ? this.#prng.pick([...this.#world.machines.keys()]) : undefined;
    for (const other of this.#world.machines.keys()) {
      if (other === leader || other === spared) continue;
      this.#world.cut.add(`${leader}>${other}`);
      if (inwardsToo) this.#world.cut.add(`${other}>${leader}`);
    }
  }

  /**
   * The others choose a successor before the leader that is cut off can notice: what it answers now may be stale. All
   * that was under way is lost, or the election would wait behind it for longer than the leader waits for its quorum.
   */
  #usurp(leader: ReplicaId): void {
    const world = this.#world;
    const { voters } = world.machine(leader).raft.status().configuration;
    const heirs = world.up.filter(({ id }) => id !== leader && voters.includes(id) && !this.#paused.has(id));
    if (heirs.length === 0) return;
    while (world.network.length > 0) world.lose(world.take(0));
    world.cut.clear();
    for (const other of world.machines.keys()) {
      world.cut.add(`${leader}>${other}`);
      world.cut.add(`${other}>${leader}`);
    }
    this.#coup(this.#prng.pick(heirs).id);
  }

  #falseAlarm(id: ReplicaId): void {
    const others = [...this.#world.machines.keys()].filter((other) => other !== id);
    if (others.length > 0) this.#world.unreachable(id, this.#prng.pick(others));
  }

  // --- Calm -------------------------------------------------------------------------------------------------------

  calm(): void {
    const world = this.#world;
    world.cut.clear();
    this.#paused.clear();
    for (const { id } of world.machines.values()) world.restart(id);
    let last = { index: 0, term: 0 };
    for (let tick = 0; tick < CALM_TICKS_MAX; tick++) {
      world.settle();
      const leader = world.leader();
      // A leader that is about to be deposed may take the command and lose it: then its successor is asked.
      if (leader !== undefined && leader.raft.status().term > last.term) {
        const result = world.propose(leader.id, 'the last command');
        if (result.ok) last = result;
      }
      const committed = last.term > 0 && world.referee.committedTerm(last.index) === last.term;
      if (committed && this.#level()) return;
      for (const { id } of world.up) world.driverTick(id);
    }
    throw new Error(`L1: no progress in ${CALM_TICKS_MAX} calm ticks:\n${this.#picture()}`);
  }

  /** Every member holds, has applied and agrees on everything, and no read waits. */
  #level(): boolean {
    const leader = this.#world.leader();
    if (leader === undefined) return false;
    const { configuration, commit, lastIndex } = leader.raft.status();
    return [...configuration.voters, ...configuration.learners].every((id) => {
      const { disk, reads, raft } = this.#world.machine(id);
      return (
        configuration.voters.includes(leader.id) &&
        isDeepStrictEqual(raft.status().configuration, configuration) &&
        commit === lastIndex &&
        lastIndexOf(disk) === commit &&
        disk.rows.applied === commit &&
        disk.rows.hash === leader.disk.rows.hash &&
        reads.size === 0
      );
    });
  }

  /** A group without work falls quiet, and its members find out by themselves that their leader is gone. */
  sleep(): void {
    const world = this.#world;
    this.#untilQuiet();
    const leader = world.leader();
    const voters = leader?.raft.status().configuration.voters.length ?? 0;
    if (leader === undefined || voters < 3) return;
    world.crash(leader.id);
    for (let tick = 0; world.leader() === undefined; tick++) {
      if (tick === CALM_TICKS_MAX) throw new Error(`nobody misses the leader:\n${this.#picture()}`);
      this.#calmTick();
    }
    this.calm();
    this.#untilQuiet();
  }

  #untilQuiet(): void {
    const isQuiet = (): boolean => {
      const configuration = this.#world.leader()?.raft.status().configuration;
      const members = [...(configuration?.voters ?? []), ...(configuration?.learners ?? [])];
      return members.length > 0 && members.every((id) => this.#world.machine(id).raft.quiet);
    };
    for (let tick = 0; !isQuiet(); tick++) {
      if (tick === CALM_TICKS_MAX) throw new Error(`the group does not fall quiet:\n${this.#picture()}`);
      this.#calmTick();
    }
  }

  #calmTick(): void {
    for (const { id } of this.#world.up) this.#world.driverTick(id);
    this.#world.settle();
  }

  report(): StormReport {
    const status = this.#world.leader()?.raft.status();
    return {
      committed: this.#world.referee.commitMax,
      term: status?.term ?? 0,
      voters: status?.configuration.voters.length ?? 0,
    };
  }

  #picture(): string {
    const lines = [...this.#world.machines.values()].map(({ id, raft, reads }) => {
      const { role, term, leader, commit, applied, lastIndex, configuration } = raft.status();
      const log = `commit ${commit} applied ${applied} last ${lastIndex}`;
      const members = `[${configuration.voters}|${configuration.learners}]`;
      return `${id} ${raft.quiet ? 'quiet ' : ''}${role} ${term} of ${leader} ${log} ${members} reads ${reads.size}`;
    });
    return lines.join('\n');
  }
}

function drawFaults(prng: Prng): StormFaults {
  return {
    drop: prng.chance(0.5) ? prng.next() * 0.3 : 0,
    duplicate: prng.chance(0.5) ? prng.next() * 0.3 : 0,
    reorder: prng.chance(0.5),
    straggle: prng.chance(0.5) ? prng.next() * 0.2 : 0,
    partitions: prng.chance(0.5),
    crashes: prng.chance(0.6),
    pauses: prng.chance(0.4),
    slowDisk: prng.chance(0.6),
    membership: prng.chance(0.5),
    transfers: prng.chance(0.4),
    coups: prng.chance(0.5),
    compaction: prng.chance(0.5),
    falseAlarms: prng.chance(0.5),
    lulls: prng.chance(0.6),
  };
}
