/** One world from its founding to its rest: join, load and faults, then calm, in which everything must end. */
import { type ReplayVerdict, replayGroup, replicatedGroups } from '../../../coordinator/driver/replay.ts';
import { Prng } from '../../../src/lib/prng.ts';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import { openMemoryStore } from '../../../src/store/memory-store.ts';
import { ClientModel, type Workload } from './client-model.ts';
import { drawFaults, type FaultKind, Faults } from './faults.ts';
import { SimNetwork } from './network.ts';
import { OperatorModel, SECOND_POOL } from './operator-model.ts';
import { Referee, Violation } from './referee.ts';
import { SimMachine } from './sim-machine.ts';
import { Timeline } from './timeline.ts';
import { Scope, VirtualTime } from './virtual-time.ts';

export interface RunResult {
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  /** Undefined where all held. */
  readonly failure: Error | undefined;
  readonly timeline: readonly string[];
  /** Equal for equal courses. */
  readonly digest: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly tasksAccepted: number;
  readonly processesStarted: number;
}

export interface RunOptions {
  readonly seed: number;
  /** In place of the seed's own draw. */
  readonly faults?: readonly FaultKind[];
  readonly load?: Partial<Pick<Workload, 'jobs' | 'tasksMax' | 'durationMsMax'>>;
  /** Whether somebody resizes pools and drains machines meanwhile. */
  readonly operator?: boolean;
  readonly onLine?: (line: string) => void;
}

const NAMES = ['ada', 'bob', 'cyd', 'dan', 'eve'];
/** Rates that differ by less than 10 % from the slowest to the fastest. */
const RATE = { low: 0.957, high: 1.043 } as const;
const JOIN_MS_MAX = 20_000;
const SETTLE_MS_MAX = 15_000;
const CHAOS_MS = { low: 4_000, high: 20_000 } as const;
/** Elections, leases, the longest attempts and the longest tasks fit into this, some of them one after another. */
const CALM_MS_MAX = 180_000;
const AUDIT_PERIOD_MS = 250;

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const simulation = new Simulation(options);
  let failure: Error | undefined;
  try {
    await simulation.run();
  } catch (thrown) {
    failure = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  return simulation.result(failure);
}

class Simulation {
  readonly #seed: number;
  readonly #random: Prng;
  readonly #time = new VirtualTime();
  readonly #timeline: Timeline;
  readonly #referee: Referee;
  readonly #network: SimNetwork;
  readonly #machines: SimMachine[] = [];
  readonly #byName = new Map<string, SimMachine>();
  readonly #client: ClientModel;
  readonly #kinds: readonly FaultKind[];
  readonly #world = new Scope('world');
  readonly #pools = ['default'];
  readonly #options: RunOptions;
  #fatal: Error | undefined;

  constructor(options: RunOptions) {
    const { seed, faults, onLine } = options;
    this.#options = options;
    this.#seed = seed;
    this.#random = new Prng(seed);
    this.#timeline = new Timeline(this.#time, onLine);
    this.#referee = new Referee(this.#timeline);
    this.#network = new SimNetwork(this.#time, this.#random.fork(), (who, what) =>
      this.#timeline.note(who, what),
    );
    const drawn = drawFaults(this.#random);
    this.#kinds = faults ?? drawn;
    this.#makeMachines();
    this.#client = new ClientModel(
      this.#time,
      this.#timeline,
      this.#random.fork(),
      this.#machines,
      this.#referee,
    );
  }

  #makeMachines(): void {
    const random = this.#random;
    const count = random.int(3, NAMES.length);
    // A short log makes those who were away take a snapshot.
    const entries = random.chance(0.5) ? random.int(5, 60) : 20_000;
    for (const name of NAMES.slice(0, count)) {
      const machine = new SimMachine({
        name,
        cores: random.int(2, 4),
        time: this.#time,
        timeline: this.#timeline,
        network: this.#network,
        random: random.fork(),
        drift: {
          rate: RATE.low + random.next() * (RATE.high - RATE.low),
          wallSkewMs: random.int(-60_000, 60_000),
          monotonicStartMs: random.int(0, 1_000_000),
        },
        logKept: { entries, bytes: 32 * 1024 * 1024 },
        // So small that a record begins anew several times.
        flightRecord: { recordBytes: entries * 100, baseBytes: 1024 * 1024 },
        watcher: this.#referee,
        onEvent: (at, group, event) => this.#referee.onEvent(at, group, event),
        onFatal: (at, error) => {
          this.#fatal ??= new Violation(`L3: the agent of ${at.name} ended: ${error.stack ?? error.message}`);
        },
      });
      this.#machines.push(machine);
      this.#byName.set(name, machine);
    }
  }

  result(failure: Error | undefined): RunResult {
    return {
      seed: this.#seed,
      faults: this.#kinds,
      failure,
      timeline: this.#timeline.lines,
      digest: this.#timeline.digest,
      virtualMs: this.#time.nowMs,
      events: this.#time.count,
      tasksAccepted: this.#client.tasksAccepted,
      processesStarted: this.#referee.processesStarted,
    };
  }

  async run(): Promise<void> {
    this.#audit();
    await this.#gather();
    const random = this.#random.fork();
    const chaosMs = random.int(CHAOS_MS.low, CHAOS_MS.high);
    const faults = new Faults(this.#time, this.#timeline, random.fork(), {
      network: this.#network,
      machines: this.#machines,
      kinds: this.#kinds,
    });
    this.#timeline.note('faults', `are ${this.#kinds.join(' ') || 'none'}, for ${chaosMs} ms`);
    const drawn = random.chance(0.5);
    const operator =
      (this.#options.operator ?? drawn)
        ? new OperatorModel(this.#time, random.fork(), this.#client, this.#machines)
        : undefined;
    if (operator !== undefined) {
      this.#client.nodesMayTerminate = true;
      await this.#awaiting(
        'the second pool',
        JOIN_MS_MAX,
        operator.addPool((pool) => this.#referee.startingPools.add(pool)),
      );
      operator.begin(this.#time.nowMs + chaosMs);
      this.#pools.push(SECOND_POOL);
    }
    faults.begin();
    this.#client.begin({
      pools: this.#pools,
      jobs: random.int(1, 4),
      tasksMax: random.pick([3, 12, 30]),
      durationMsMax: random.pick([100, 1_500, 6_000]),
      untilMs: this.#time.nowMs + chaosMs * 0.7,
      ...this.#options.load,
    });
    await this.#runFor(chaosMs);
    faults.end();
    await this.#until('every request is answered', CALM_MS_MAX, () => this.#client.isDone);
    if (operator !== undefined) await this.#awaiting('the last changes', CALM_MS_MAX, operator.end());
    await this.#rest();
  }

  // --- Running ----------------------------------------------------------------------------------------------------------

  async #step(): Promise<void> {
    const scope = await this.#time.step();
    if (scope === undefined) throw new Violation('the world stands still');
    this.#timeline.mix(scope.name);
    const machine = this.#byName.get(scope.name);
    if (machine !== undefined) this.#referee.inspect(machine);
    if (this.#fatal !== undefined) throw this.#fatal;
    if (this.#client.failure !== undefined) throw this.#client.failure;
  }

  async #runFor(ms: number): Promise<void> {
    const endMs = this.#time.nowMs + ms;
    while (this.#time.nowMs < endMs) await this.#step();
  }

  async #until(what: string, boundMs: number, holds: () => boolean): Promise<void> {
    const endMs = this.#time.nowMs + boundMs;
    while (!holds()) {
      if (this.#time.nowMs > endMs)
        throw new Violation(
          `L2: not within ${Math.round(boundMs)} ms: ${what}; ${this.#machines.map(heldBy).join(', ')}`,
        );
      await this.#step();
    }
  }

  /** Runs the world until the promise is settled. */
  async #awaiting<T>(what: string, boundMs: number, work: Promise<T>): Promise<T> {
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    finished.catch(() => undefined);
    await this.#until(what, boundMs, () => done);
    return finished;
  }

  #audit(): void {
    this.#time.after(AUDIT_PERIOD_MS, this.#world, () => {
      for (const machine of this.#machines) this.#referee.audit(machine);
      this.#audit();
    });
  }

  // --- The phases -------------------------------------------------------------------------------------------------------

  /** The first machine founds the mesh, the others join it one after another. */
  async #gather(): Promise<void> {
    const [first, ...others] = this.#machines;
    if (first === undefined) return;
    first.found();
    await this.#until(
      'the mesh is founded',
      JOIN_MS_MAX,
      () => first.life?.coordinator.mesh?.settings() !== undefined,
    );
    for (const machine of others)
      await this.#awaiting(`${machine.name} joins`, JOIN_MS_MAX, this.#join(first, machine));
    await this.#until('everybody has a node', SETTLE_MS_MAX, () => this.#isGathered());
  }

  /** As a member lets a joiner in: a token for it, then its registration under the token's identity. */
  async #join(member: SimMachine, joiner: SimMachine): Promise<void> {
    const { life } = member;
    if (life === undefined) throw new Violation(`${member.name} is down`);
    const { router } = life.coordinator;
    const tokenPeer = `token-${joiner.name}`;
    const token = await router.propose(MESH_GROUP, {
      kind: 'token.create',
      id: tokenPeer,
      peer: tokenPeer,
      expiresAtMs: life.clock.wallMs() + 3_600_000,
      uses: 1,
      createdBy: member.id,
    });
    if (!token.ok) throw new Violation(`no token: ${token.code} ${token.message}`);
    const joined = await router.propose(MESH_GROUP, {
      kind: 'machine.join',
      tokenPeer,
      machine: joiner.offer,
    });
    if (!joined.ok) throw new Violation(`not joined: ${joined.code} ${joined.message}`);
    const machines = await router.query(MESH_GROUP, 'machine.list', {});
    joiner.members = machines.map(({ peer }) => peer).filter((peer) => peer !== joiner.name);
    joiner.start();
  }

  #isGathered(): boolean {
    return this.#machines.every(({ life, id }) => {
      const mesh = life?.coordinator.mesh;
      return (
        mesh !== undefined &&
        mesh.machines().length === this.#machines.length &&
        [...mesh.allotmentsOn(id)].length > 0
      );
    });
  }

  async #rest(): Promise<void> {
    const endMs = this.#time.nowMs + CALM_MS_MAX;
    for (;;) {
      const { settled, unsettled } = await this.#awaiting('a review', CALM_MS_MAX, this.#client.review());
      if (settled) break;
      if (this.#time.nowMs > endMs)
        throw new Violation(`L2: not ended in time: ${unsettled.slice(0, 5).join('; ')}`);
      await this.#runFor(500);
    }
    await this.#until(
      'no process lives (L8)',
      endMs - this.#time.nowMs,
      () => this.#referee.processesAlive().length === 0,
    );
    await this.#until('agents hold nothing (L4)', endMs - this.#time.nowMs, () =>
      this.#machines.every(holdsNothing),
    );
    await this.#until('one leader, and all have caught up (L1, L7)', endMs - this.#time.nowMs, () =>
      this.#isAtRest(),
    );
    for (const machine of this.#machines) await this.#replay(machine);
  }

  /** What a machine has recorded leads to the state that it has, and breaks no promise on the way (R9, R12). */
  async #replay({ name, disk }: SimMachine): Promise<void> {
    const store = openMemoryStore(disk.copy());
    for (const group of await replicatedGroups(store)) {
      for await (const item of replayGroup(store, group)) {
        if (item.kind === 'verdict') this.#noteReplay(name, item);
      }
    }
    await store.close();
  }

  #noteReplay(name: string, { group, verdict, from, to, problems }: ReplayVerdict): void {
    this.#timeline.note(name, `replays ${group} from ${from} to ${to}: ${verdict}`);
    if (verdict === 'violated')
      throw new Violation(`the replay of ${group} at ${name}: ${problems.join('; ')}`);
  }

  /** A machine that left a group unheard may go on asking for votes that nobody gives; only members count. */
  #isAtRest(): boolean {
    return [MESH_GROUP, ...this.#pools.map(poolGroup)].every((group) => {
      const replicas = this.#machines.flatMap(({ id, life }) => {
        const replica = life?.coordinator.host.replica(group);
        return replica === undefined ? [] : [{ id, replica }];
      });
      const leaders = replicas.filter(({ replica }) => replica.leadership.leading);
      const leader = leaders[0]?.replica;
      if (leader === undefined || leaders.length > 1) return false;
      const { voters, learners } = leader.meta.configuration;
      return [...voters, ...learners].every((member) => {
        const replica = replicas.find(({ id }) => id === member)?.replica;
        return (
          replica?.leadership.term === leader.leadership.term && replica.appliedIndex === leader.appliedIndex
        );
      });
    });
  }
}

function holdsNothing({ life, runner }: SimMachine): boolean {
  return life?.sessions.held === 0 && (runner?.unacknowledged ?? 0) === 0;
}

function heldBy({ name, life, runner }: SimMachine): string {
  const replicas = [...(life?.coordinator.host.replicas.values() ?? [])].map(
    ({ group, leadership, appliedIndex }) =>
      `${group} ${leadership.leading ? 'led' : 'followed'} in term ${leadership.term} up to ${appliedIndex}`,
  );
  const held = `${life?.sessions.held} executions, its runner ${runner?.unacknowledged ?? 0} exits`;
  return `\n  ${name} holds ${held}; ${replicas.join(', ')}`;
}
