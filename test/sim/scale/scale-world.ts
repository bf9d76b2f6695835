/**
 * One world of a size: a mesh, its pools, tasks in them, and the death of a coordinator; and what each phase cost. The
 * same code as in the small worlds, without faults and referees, so that a large one fits into one process and minutes.
 */
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import type { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import type { Replica } from '../../../coordinator/driver/replica.ts';
import { Prng } from '../../../src/lib/prng.ts';
import type { Command, CommandResult } from '../../../src/model/commands.ts';
import { type GroupId, MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { ProcessWatcher, SimProcess } from '../world/sim-runner.ts';
import { commandLineOf, SOUND } from '../world/task-script.ts';
import { VirtualTime } from '../world/virtual-time.ts';
import { DecidingMachine } from './deciding-machine.ts';
import { CpuMeter, cpuMs, type Ledger, type Traffic, totalOf } from './meter.ts';
import { ScaleNetwork } from './scale-network.ts';
import { WORKER_LABEL, WorkingMachine } from './working-machine.ts';

export interface ScaleSize {
  /** That run tasks. */
  readonly machines: number;
  readonly pools: number;
  /** Of all pools together. */
  readonly tasks: number;
}

/** Of one phase, summed over some machines. */
export interface Cost {
  readonly cpuMs: number;
  readonly sent: Traffic;
  readonly received: Traffic;
  readonly byKind: Readonly<Record<string, Traffic>>;
}

export interface ScaleResult {
  readonly size: ScaleSize;
  /** Of those who decide while nothing runs, for each second. */
  readonly idle: { readonly seconds: number; readonly deciding: Cost; readonly working: Cost };
  /** One change of the mesh group's state. */
  readonly meshEntry: { readonly entries: number; readonly deciding: Cost; readonly working: Cost };
  readonly run: {
    readonly virtualMs: number;
    readonly deciding: Cost;
    readonly working: Cost;
    /** Of each replica of a pool. */
    readonly entries: number;
    readonly logBytes: number;
    readonly rows: number;
    readonly rowBytes: number;
    readonly syncedWrites: number;
  };
  /** Virtual, from the death of a pool's coordinator to the start of a task that its successor assigned. */
  readonly failoverMs: number | undefined;
  readonly heapBytes: number;
  readonly cpuSeconds: number;
  readonly events: number;
}

/** Voters of the mesh group, of pools' groups, and one more, whom clients speak to. */
const DECIDING = 7;
const VOTERS_A_POOL = 3;
const SLOTS = 4;
const TASK_MS = 100;
const TASKS_A_REQUEST = 100;
/** Requests of one client at a time. */
const ADDS_AT_ONCE = 4;
const IDLE_MS = 5_000;
const MESH_ENTRIES = 10;
const COMMANDS_AT_ONCE = 500;
const BASE58 = [...'123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'];
const BOUND_MS = 3_600_000;
const LOOK_MS = 10;
/** For what all machines must have; a look is at all of them. */
const SPREAD_LOOK_MS = 2_000;

type Say = (line: string) => void;

export async function runScale(size: ScaleSize, say: Say = () => undefined): Promise<ScaleResult> {
  return new ScaleWorld(size, say).run();
}

class ScaleWorld implements ProcessWatcher {
  readonly #size: ScaleSize;
  readonly #say: Say;
  readonly #time = new VirtualTime();
  readonly #random = new Prng(1);
  readonly #meter = new CpuMeter();
  readonly #network = new ScaleNetwork(this.#time);
  readonly #deciding: DecidingMachine[] = [];
  readonly #working: WorkingMachine[] = [];
  #ended = 0;
  #fatal: Error | undefined;
  #meshMoved = false;
  #watch: ((process: SimProcess) => void) | undefined;

  constructor(size: ScaleSize, say: Say) {
    this.#size = size;
    this.#say = say;
  }

  async run(): Promise<ScaleResult> {
    const beganAtMs = cpuMs();
    await this.#phase('the mesh is founded', () => this.#found());
    await this.#phase('machines join', () => this.#enrol());
    await this.#phase('pools are made', () => this.#addPools());
    await this.#phase('all have heard of it', () => this.#spread());
    this.#meter.clear();
    await this.#phase('nothing to do', () => this.#runFor(IDLE_MS));
    const idle = { seconds: IDLE_MS / 1_000, ...this.#costs() };
    this.#meter.clear();
    await this.#phase('changes of the mesh', () => this.#changeMesh());
    const meshEntry = { entries: MESH_ENTRIES, ...this.#costs() };
    const run = await this.#runTasks(this.#size.tasks);
    const heapBytes = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    const failoverMs = await this.#failOver();
    return {
      size: this.#size,
      idle,
      meshEntry,
      run,
      failoverMs,
      heapBytes,
      cpuSeconds: (cpuMs() - beganAtMs) / 1_000,
      events: this.#time.count,
    };
  }

  // --- The course ---------------------------------------------------------------------------------------------------

  async #phase<T>(what: string, work: () => Promise<T>): Promise<T> {
    const [cpuAtMs, virtualAtMs, events] = [cpuMs(), this.#time.nowMs, this.#time.count];
    const result = await work();
    const cpu = ((cpuMs() - cpuAtMs) / 1_000).toFixed(1);
    const virtual = ((this.#time.nowMs - virtualAtMs) / 1_000).toFixed(1);
    this.#say(`  ${what}: ${virtual} s, ${this.#time.count - events} events, ${cpu} s of CPU`);
    return result;
  }

  async #turn(isOver: () => boolean): Promise<void> {
    const goesOn = await this.#time.run(
      () => {
        if (isOver()) return true;
        this.#meter.begin();
        return false;
      },
      ({ number }) => {
        this.#meter.end(number);
        if (this.#fatal !== undefined) throw this.#fatal;
        if (this.#meshMoved) this.#tellWorking();
      },
    );
    if (!goesOn) throw new Error('the world stands still');
  }

  async #runFor(ms: number): Promise<void> {
    const endMs = this.#time.nowMs + ms;
    await this.#turn(() => this.#time.nowMs >= endMs);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const endMs = this.#time.nowMs + BOUND_MS;
    let lookMs = 0;
    await this.#turn(() => {
      if (this.#time.nowMs < lookMs) return false;
      lookMs = this.#time.nowMs + LOOK_MS;
      if (this.#time.nowMs > endMs) throw new Error(`it never came true that ${what}`);
      return holds();
    });
  }

  async #awaiting<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const finished = work.finally(() => {
      isDone = true;
    });
    finished.catch(() => undefined);
    await this.#turn(() => isDone);
    return finished;
  }

  // --- Machines -----------------------------------------------------------------------------------------------------

  /** As long as a real one, and as hard to deflate. */
  #peerId(): string {
    return `12D3KooW${Array.from({ length: 44 }, () => this.#random.pick(BASE58)).join('')}`;
  }

  #options(kind: string, number: number) {
    const scopeNumber = number + 1;
    return {
      name: `${kind}${number}`,
      peer: this.#peerId(),
      number: scopeNumber,
      time: this.#time,
      network: this.#network,
      ledger: this.#meter.of(scopeNumber),
      random: this.#random.fork(),
    };
  }

  async #found(): Promise<void> {
    for (let number = 0; number < DECIDING; number++)
      this.#deciding.push(
        new DecidingMachine({
          ...this.#options('a', number),
          onMeshChanged: () => {
            if (number === DECIDING - 1) this.#meshMoved = true;
          },
          onFatal: (error) => {
            this.#fatal ??= error;
          },
        }),
      );
    const [first, ...others] = this.#deciding;
    if (first === undefined) return;
    await this.#awaiting(first.found());
    await this.#command(MESH_GROUP, tokenOf('first', others.length));
    await this.#commands(
      MESH_GROUP,
      others.map(({ offer }) => ({ kind: 'machine.join', tokenPeer: 'first', machine: offer }) as const),
    );
    await this.#awaiting(Promise.all(others.map(({ coordinator }) => coordinator.start())));
    await this.#until(
      'five vote in the mesh group',
      () => this.#meshLeader().meta.configuration.voters.length === 5,
    );
  }

  #meshLeader(): Replica {
    const leading = this.#deciding.find(
      ({ scope, coordinator }) => !scope.isDead && coordinator.leads(MESH_GROUP),
    );
    const replica = (leading ?? this.#deciding[0])?.coordinator.host.replica(MESH_GROUP);
    if (replica === undefined) throw new Error('nobody holds the mesh group');
    return replica;
  }

  /** The machine that decides nothing, and whose copy of the mesh all working ones read. */
  get #gateway(): DecidingMachine {
    const last = this.#deciding.at(-1);
    if (last === undefined) throw new Error('there are no machines yet');
    return last;
  }

  async #enrol(): Promise<void> {
    const { machines } = this.#size;
    const mesh = (): MeshMachine => this.#gateway.coordinator.mesh as MeshMachine;
    for (let number = 0; number < machines; number++)
      this.#working.push(
        new WorkingMachine({
          ...this.#options('w', DECIDING + number),
          mesh,
          watcher: this,
          onFatal: (error) => {
            this.#fatal ??= error;
          },
        }),
      );
    await this.#awaiting(Promise.all(this.#working.map(({ sessions }) => sessions.start())));
    for (let from = 0; from < machines; from += COMMANDS_AT_ONCE) {
      const some = this.#working.slice(from, from + COMMANDS_AT_ONCE);
      await this.#command(MESH_GROUP, tokenOf(`some-${from}`, some.length));
      await this.#commands(
        MESH_GROUP,
        some.map(
          ({ offer }) => ({ kind: 'machine.join', tokenPeer: `some-${from}`, machine: offer }) as const,
        ),
      );
    }
    const members = DECIDING + machines;
    await this.#until('all follow the mesh group', () => {
      const { voters, learners } = this.#meshLeader().meta.configuration;
      return voters.length + learners.length === members;
    });
  }

  /** What each working machine does for itself when its copy of the mesh moved. */
  #tellWorking(): void {
    this.#meshMoved = false;
    for (const machine of this.#working) machine.meshChanged();
  }

  // --- Clients ------------------------------------------------------------------------------------------------------

  #propose<C extends Command>(group: GroupId, command: C): Promise<CommandResult<C['kind']>> {
    const machine = group === MESH_GROUP ? this.#machineLeading(MESH_GROUP) : this.#gateway;
    return machine.coordinator.router.propose(group, command);
  }

  #machineLeading(group: GroupId): DecidingMachine {
    return (
      this.#deciding.find(({ scope, coordinator }) => !scope.isDead && coordinator.leads(group)) ??
      this.#gateway
    );
  }

  async #command<C extends Command>(group: GroupId, command: C): Promise<CommandResult<C['kind']>> {
    const outcome = await this.#awaiting(this.#propose(group, command));
    if (!outcome.ok) throw new Error(`${command.kind} was refused: ${outcome.code} ${outcome.message}`);
    return outcome;
  }

  async #commands<C extends Command>(group: GroupId, commands: readonly C[]): Promise<void> {
    const outcomes = await this.#awaiting(
      Promise.all(commands.map((command) => this.#propose(group, command))),
    );
    for (const outcome of outcomes)
      if (!outcome.ok) throw new Error(`refused: ${outcome.code} ${outcome.message}`);
  }

  async #addPools(): Promise<void> {
    const { machines, pools } = this.#size;
    const nodes = Math.max(1, Math.floor(machines / pools));
    const voting = this.#deciding.slice(0, -1);
    for (let number = 0; number < pools; number++) {
      const voters = Array.from(
        { length: VOTERS_A_POOL },
        (_, turn) => voting[(number + turn) % voting.length],
      );
      await this.#command(MESH_GROUP, {
        kind: 'pool.add',
        spec: {
          id: `p${number}`,
          vmSize: 'shoal.1c1g',
          taskSlotsPerNode: SLOTS,
          targetDedicatedNodes: nodes,
          requiredLabels: [WORKER_LABEL],
        },
        voters: voters.flatMap((machine) => machine?.id ?? []),
      });
    }
    await this.#until('all nodes are heard', () =>
      this.#pools().every((pool) => this.#idleNodes(pool) === nodes),
    );
    for (const pool of this.#pools()) {
      await this.#command(MESH_GROUP, { kind: 'job.reserve', job: `job-${pool}`, pool, voters: [] });
      await this.#command(poolGroup(pool), {
        kind: 'job.add',
        spec: { id: `job-${pool}`, poolInfo: { poolId: pool } },
      });
    }
  }

  #pools(): readonly string[] {
    return Array.from({ length: this.#size.pools }, (_, number) => `p${number}`);
  }

  #replica(pool: string): Replica | undefined {
    return this.#machineLeading(poolGroup(pool)).coordinator.host.replica(poolGroup(pool));
  }

  #idleNodes(pool: string): number {
    const machine = this.#replica(pool)?.machine as PoolMachine | undefined;
    if (machine === undefined) return 0;
    let idle = 0;
    for (const node of machine.nodeIds()) if (machine.node(node)?.state === 'idle') idle += 1;
    return idle;
  }

  /** Of ten thousand learners the leader serves a part in each tick: what was done to the mesh is on its way for a while. */
  async #spread(): Promise<void> {
    const isBehind = (): boolean => {
      const { raft } = this.#meshLeader();
      const { commit, progress } = raft.status();
      return [...progress().values()].some(({ match }) => match < commit);
    };
    do await this.#runFor(SPREAD_LOOK_MS);
    while (isBehind());
  }

  /** Somebody drains a machine and takes it back. */
  async #changeMesh(): Promise<void> {
    const { id } = this.#gateway;
    for (let number = 0; number < MESH_ENTRIES; number++) {
      await this.#command(MESH_GROUP, { kind: 'machine.drain', machine: id, draining: number % 2 === 0 });
      await this.#runFor(200);
    }
    // Until everybody has been told and the group rests.
    await this.#runFor(3_000);
  }

  // --- Tasks --------------------------------------------------------------------------------------------------------

  async #addTasks(pool: string, from: number, count: number): Promise<void> {
    let next = from;
    const client = async (): Promise<void> => {
      while (next < from + count) {
        const first = next;
        next = Math.min(from + count, first + TASKS_A_REQUEST);
        const tasks = Array.from({ length: next - first }, (_, at) => ({
          id: `task-${first + at}`,
          commandLine: commandLineOf({ ...SOUND, durationMs: TASK_MS }),
        }));
        const outcome = await this.#propose(poolGroup(pool), { kind: 'task.add', job: `job-${pool}`, tasks });
        if (!outcome.ok) throw new Error(`tasks were refused: ${outcome.code}`);
      }
    };
    await Promise.all(Array.from({ length: ADDS_AT_ONCE }, client));
  }

  async #runTasks(count: number): Promise<ScaleResult['run']> {
    const pools = this.#pools();
    const each = Math.ceil(count / pools.length);
    this.#meter.clear();
    this.#ended = 0;
    const beganAtMs = this.#time.nowMs;
    await this.#phase(`${count} tasks`, async () => {
      const added = Promise.all(pools.map((pool) => this.#addTasks(pool, 0, each)));
      added.catch((error: unknown) => {
        this.#fatal ??= error instanceof Error ? error : new Error(String(error));
      });
      await this.#until('all tasks have run', () => this.#ended >= each * pools.length);
    });
    const virtualMs = this.#time.nowMs - beganAtMs;
    await this.#runFor(500);
    const replicas = pools.length * VOTERS_A_POOL;
    const sum = (of: (ledger: Ledger) => number): number =>
      this.#deciding.reduce((total, { ledger }) => total + of(ledger), 0) / (replicas / pools.length);
    return {
      virtualMs,
      ...this.#costs(),
      entries: sum(({ entries }) => entries),
      logBytes: sum(({ logBytes }) => logBytes),
      rows: sum(({ rows }) => rows),
      rowBytes: sum(({ rowBytes }) => rowBytes),
      syncedWrites: sum(({ syncedWrites }) => syncedWrites),
    };
  }

  /** The coordinator of the first pool dies in the middle of its work. */
  async #failOver(): Promise<number | undefined> {
    const pool = 'p0';
    const nodes = Math.max(1, Math.floor(this.#size.machines / this.#size.pools));
    const leader = this.#machineLeading(poolGroup(pool));
    const work = this.#addTasks(pool, this.#size.tasks, Math.min(20_000, Math.max(400, nodes * SLOTS * 100)));
    work.catch((error: unknown) => {
      this.#fatal ??= error instanceof Error ? error : new Error(String(error));
    });
    await this.#runFor(500);
    const lastIndex = leader.coordinator.host.replica(poolGroup(pool))?.raft.status().lastIndex ?? 0;
    const diedAtMs = this.#time.nowMs;
    leader.die();
    let startedAtMs: number | undefined;
    this.#watch = ({ key }) => {
      if (key.pool === pool && key.epoch > lastIndex) startedAtMs ??= this.#time.nowMs;
    };
    await this.#phase('a coordinator dies', () =>
      this.#until(
        'a task starts again',
        () => startedAtMs !== undefined || this.#time.nowMs > diedAtMs + 30_000,
      ),
    );
    return startedAtMs === undefined ? undefined : startedAtMs - diedAtMs;
  }

  started(process: SimProcess): void {
    this.#watch?.(process);
  }

  ended(): void {
    this.#ended += 1;
  }

  powerLost(): void {}

  // --- Costs --------------------------------------------------------------------------------------------------------

  #costs(): { readonly deciding: Cost; readonly working: Cost } {
    const { share } = this.#meter;
    return {
      deciding: costOf(
        this.#deciding.map(({ ledger }) => ledger),
        share,
      ),
      working: costOf(
        this.#working.map(({ ledger }) => ledger),
        share,
      ),
    };
  }
}

function tokenOf(peer: string, uses: number): Extract<Command, { kind: 'token.create' }> {
  return {
    kind: 'token.create',
    id: peer,
    peer,
    expiresAtMs: Date.UTC(2031, 0, 1),
    uses,
    createdBy: 'nobody',
  };
}

function costOf(ledgers: readonly Ledger[], share: number): Cost {
  const cost = { cpuMs: 0, sent: { messages: 0, bytes: 0 }, received: { messages: 0, bytes: 0 } };
  const byKind: Record<string, Traffic> = {};
  const add = (to: Traffic, { messages, bytes }: Traffic): void => {
    to.messages += messages;
    to.bytes += bytes;
  };
  for (const ledger of ledgers) {
    cost.cpuMs += ledger.eventsMs * share;
    add(cost.sent, totalOf(ledger.sent));
    add(cost.received, totalOf(ledger.received));
    for (const [way, side] of [
      ['out', ledger.sent],
      ['in', ledger.received],
    ] as const)
      for (const [kind, traffic] of side) {
        const key = `${kind} ${way}`;
        byKind[key] ??= { messages: 0, bytes: 0 };
        add(byKind[key], traffic);
      }
  }
  return { ...cost, byKind };
}
