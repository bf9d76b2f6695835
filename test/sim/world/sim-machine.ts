/**
 * One machine of a world: a disk, a clock, a runner, and one life of the agent after another. A life is put together as
 * agent/main does it, of the real coordinator, the real sessions and the real store; what it speaks to is simulated.
 */

import { createFileService, type LocalFileService } from '../../../agent/files/service.ts';
import type { Exit } from '../../../agent/runner/interface.ts';
import { Sessions } from '../../../agent/session/sessions.ts';
import type { CoreEvent } from '../../../coordinator/core/interface.ts';
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import { Coordinator } from '../../../coordinator/driver/coordinator.ts';
import type { FlightRecordBounds } from '../../../coordinator/driver/flight-recorder.ts';
import type { LogKept } from '../../../coordinator/driver/group-host.ts';
import { asShoalError, type ShoalError } from '../../../src/lib/errors.ts';
import { RUNNER_TICK_MS } from '../../../src/lib/limits.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { Transport } from '../../../src/mesh/interface.ts';
import { withLoopback } from '../../../src/mesh/loopback.ts';
import type { MachineOffer } from '../../../src/model/commands.ts';
import { type GroupId, type MachineId, MESH_GROUP, machineId, poolGroup } from '../../../src/model/ids.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import type { Store } from '../../../src/store/interface.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { type ClockDrift, MachineClock } from './machine-clock.ts';
import type { Endpoint, SimNetwork } from './network.ts';
import { SimFileDisk } from './sim-file-disk.ts';
import { type Inputs, SimLifecycle } from './sim-lifecycle.ts';
import { type ProcessWatcher, type SimProcess, SimRunner } from './sim-runner.ts';
import { SimRunnerClient } from './sim-runner-client.ts';
import type { Timeline } from './timeline.ts';
import { Scope, type VirtualTime } from './virtual-time.ts';

/** How long a write takes now, ms. */
export interface DiskPace {
  syncedMsMax: number;
  unsyncedMsMax: number;
}

export const QUICK_DISK: Readonly<DiskPace> = { syncedMsMax: 20, unsyncedMsMax: 2 };

/** How the file services of a world keep contents. */
export interface FilesOptions<Watcher extends FileWatcher = FileWatcher> {
  readonly chunkBytes: number;
  readonly collectPeriodMs: number;
  readonly watcher: Watcher;
}

export interface FileWatcher {
  stored(machine: SimMachine, hash: string, bytes: Uint8Array): void;
  /** Its agent has removed a chunk that nothing refers to. */
  collected(machine: SimMachine, hash: string): void;
  /** Its disk goes now, with all that is on it. */
  diskGoes(machine: SimMachine): void;
}

export interface SimMachineOptions {
  readonly name: string;
  readonly number: number;
  readonly cores: number;
  readonly labels: readonly string[];
  readonly time: VirtualTime;
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly random: Prng;
  readonly drift: ClockDrift;
  readonly logKept: LogKept;
  readonly flightRecord: FlightRecordBounds;
  readonly watcher: ProcessWatcher;
  /** Undefined in worlds without files. */
  readonly files: FilesOptions | undefined;
  readonly onEvent: (machine: SimMachine, group: GroupId, event: CoreEvent) => void;
  /** An agent ended itself for no fault of its disk, or threw where nobody catches. */
  readonly onFatal: (machine: SimMachine, error: Error) => void;
}

/** One life of an agent. */
export interface Life {
  readonly number: number;
  readonly machine: MachineId;
  readonly scope: Scope;
  readonly clock: MachineClock;
  readonly endpoint: Endpoint;
  readonly store: Store;
  readonly coordinator: Coordinator;
  readonly sessions: Sessions;
  readonly runnerClient: SimRunnerClient;
  readonly files: LocalFileService | undefined;
}

interface LiveRunner {
  readonly runner: SimRunner;
  readonly scope: Scope;
}

const FOUNDING_LOOK_MS = 20;
/** A runner looks at its clocks this often: a suspend is noticed so late. */
const RUNNER_LOOK_MS = RUNNER_TICK_MS;
/** From the end of one life to the next, where nothing is in its way. */
const REOPEN_MS = 50;
/** Until somebody has put a new disk in. */
const REPLACEMENT_MS = 400;
/** What bit rot may hit: log entries, state rows, heads of groups. */
const ROTTEN_PREFIXES = ['e/', 'r/', 'g/'] as const;

export class SimMachine {
  readonly name: string;
  readonly disk: MemoryDisk;
  readonly pace: DiskPace = { ...QUICK_DISK };
  /** Of its file services; undefined in worlds without files. */
  readonly fileDisk: SimFileDisk | undefined;
  /** What tasks found in their directories when they were launched, by the names of their executions. */
  readonly #inputs = new Map<string, Inputs>();
  /** Subtasks whose coordination command has succeeded, by the names of their executions. */
  readonly #coordinated = new Set<string>();
  readonly #options: SimMachineOptions;
  readonly #journal = new Map<string, Exit>();
  #runner: LiveRunner | undefined;
  #life: Life | undefined;
  #boots = 1;
  #lives = 0;
  /** Whom to dial, and where, before the mesh group's first word: what it noted beside its store. A new disk gets it by hand. */
  members: ReadonlyMap<string, string> = new Map();
  #founding = false;
  #hasJoined = false;
  #moves = 0;
  #asleepSinceMs: number | undefined;
  #isRotten = false;
  readonly #hands = new Scope('hands');

  constructor(options: SimMachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.disk = new MemoryDisk({
      seed: options.random.int(1, 1_000_000),
      latency: (sync) => this.#writing(sync),
    });
    this.fileDisk = options.files && this.#newFileDisk(options.files.watcher);
  }

  #newFileDisk(watcher: FileWatcher): SimFileDisk {
    const { time, random } = this.#options;
    const own = random.fork();
    return new SimFileDisk({
      time,
      random: own,
      isFull: () => this.disk.full,
      writeMs: (sync) => own.next() * (sync ? this.pace.syncedMsMax : this.pace.unsyncedMsMax),
      onStored: (hash, bytes) => watcher.stored(this, hash, bytes),
      onRemoved: (hash) => watcher.collected(this, hash),
    });
  }

  get id(): MachineId {
    return machineId(this.name, this.disk.incarnation);
  }

  get life(): Life | undefined {
    return this.#life;
  }

  get isUp(): boolean {
    return this.#life?.scope.isRunning === true;
  }

  /** It is a member of the mesh, or was one: only then something can befall it. */
  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  /** Of its agent; its runner has the next one. */
  get scopeNumber(): number {
    return 2 * this.#options.number + 2;
  }

  get address(): string {
    return `/dns4/${this.name}-${this.#moves}/tcp/1`;
  }

  /** A record of its disk is damaged, and its agent has not come upon it. */
  get isRotten(): boolean {
    return this.#isRotten;
  }

  get runner(): SimRunner | undefined {
    return this.#runner?.runner;
  }

  get offer(): MachineOffer {
    return {
      id: this.id,
      peer: this.name,
      name: this.name,
      capacity: {
        cores: this.#options.cores,
        memoryBytes: 8 * 1024 ** 3,
        diskBytes: 64 * 1024 ** 3,
        gpus: 0,
        labels: this.#options.labels,
        isolation: 'namespace',
        operatingSystem: 'simulated',
      },
      addresses: [this.address],
      version: 'simulated',
    };
  }

  #writing(sync: boolean): Promise<void> {
    const { random, time } = this.#options;
    const scope = this.#life?.scope;
    const maxMs = sync ? this.pace.syncedMsMax : this.pace.unsyncedMsMax;
    const delayMs = maxMs * (0.2 + 0.8 * random.next());
    return new Promise((resolve) => {
      if (scope !== undefined) time.after(delayMs, scope, resolve as () => void);
    });
  }

  // --- Lives --------------------------------------------------------------------------------------------------------

  /** The first machine of a mesh. */
  found(): void {
    this.#founding = true;
    this.start();
  }

  start(): void {
    if (this.#life !== undefined || this.disk.full) return;
    this.#hasJoined = true;
    const { time, random, drift, network, name } = this.#options;
    const number = ++this.#lives;
    const scope = new Scope(name, this.scopeNumber);
    const clock = new MachineClock(time, drift, scope, random.fork());
    const endpoint = network.open({
      self: name,
      scope,
      address: this.address,
      knows: (peer) => life.coordinator?.mesh?.machineByPeer(peer)?.addresses[0] ?? this.members.get(peer),
    });
    // Set before the store opens: its first writes belong to this life.
    const life = { number, machine: this.id, scope, clock, endpoint } as Life;
    this.#life = life;
    this.#options.timeline.note(name, `starts (life ${number})`);
    try {
      Object.assign(life, this.#compose(life, openMemoryStore(this.disk)));
    } catch (error) {
      this.#ended(life, asShoalError(error));
      return;
    }
    this.#run(life).catch((error: unknown) => this.#ended(life, asShoalError(error)));
  }

  /** The agent can go on no more. Where that is its disk's fault, it comes back with room, or with a new disk. */
  #ended(life: Life, error: ShoalError): void {
    if (life !== this.#life) return;
    if (error.code === 'DiskFull') {
      this.#endLife('has no room and ends', true);
      this.disk.kill();
      // There may be room again since the write that failed.
      this.#options.time.after(REOPEN_MS, this.#hands, () => this.start());
    } else if (error.code === 'CorruptStore' && this.#isRotten) {
      this.#isRotten = false;
      this.#options.timeline.note(this.name, `finds its store damaged: ${error.message}`);
      this.wipeDisk();
      this.#options.time.after(REPLACEMENT_MS, this.#hands, () => this.start());
    } else {
      this.#options.onFatal(this, error);
    }
  }

  #compose(
    life: Life,
    store: Store,
  ): Pick<Life, 'store' | 'coordinator' | 'sessions' | 'runnerClient' | 'files'> {
    const { number, clock, endpoint, scope } = life;
    const { time, random, timeline, logKept, flightRecord } = this.#options;
    const log = timeline.logOf(this.name);
    const transport = withLoopback(endpoint, clock);
    const self = this.id;
    let requests = 0;
    const runnerClient = new SimRunnerClient({
      time,
      scope,
      clock,
      random: random.fork(),
      runner: () => this.#liveRunner(),
    });
    const coordinator = new Coordinator({
      self,
      transport,
      store,
      clock,
      random: random.fork(),
      log,
      logKept,
      flightRecord,
      newRequestId: () => `${this.name}-${number}-${requests++}`,
      onMeshChanged: (mesh) => this.#meshChanged(mesh),
      addressesOf: (peer) => endpoint.addressesOf(peer),
      onMembersTold: (members) => {
        this.#admit();
        for (const { peer, addresses } of members) endpoint.learn(peer, addresses);
      },
      onEvent: (group, _timeMs, event) => this.#options.onEvent(this, group, event),
      onFatal: (error) => this.#ended(life, error),
    });
    const files = this.#files({ life, coordinator, transport });
    const sessions = new Sessions({
      self,
      transport,
      store,
      clock,
      bootMs: () => clock.bootMs(),
      log,
      runner: runnerClient,
      lifecycle: new SimLifecycle(clock, random.fork(), {
        coordinated: this.#coordinated,
        ...(files === undefined ? {} : { files: { service: files, inputs: this.#inputs } }),
      }),
      callLeader: (pool, method, body) => coordinator.router.request(poolGroup(pool), method, body),
      mayCoordinate: (pool, peer) => coordinator.mayCoordinate(pool, peer),
      nodeSetup: ({ node, slots }) => ({
        node,
        slots,
        environment: {},
        uid: undefined,
        gid: undefined,
        rootDirectory: '/simulated',
        memoryBytesMax: undefined,
      }),
      life: `${this.name}-${number}`,
      boot: this.#boots,
      load: () => undefined,
      faultOf: () => undefined,
    });
    return { store, coordinator, sessions, runnerClient, files };
  }

  #files({
    life: { clock, endpoint, scope },
    coordinator,
    transport,
  }: {
    readonly life: Life;
    readonly coordinator: Coordinator;
    readonly transport: Transport;
  }): LocalFileService | undefined {
    const { files, timeline } = this.#options;
    if (files === undefined || this.fileDisk === undefined) return undefined;
    const { chunkBytes, collectPeriodMs } = files;
    return createFileService({
      self: this.id,
      disk: this.fileDisk.attach(scope),
      // No world reads files of nodes.
      nodesDirectory: '/simulated',
      transport,
      bulk: endpoint,
      coordinator,
      clock,
      log: timeline.logOf(this.name),
      chunkBytes,
      collectPeriodMs,
    });
  }

  /** In the order of agent/main. */
  async #run(life: Life): Promise<void> {
    const { endpoint, sessions, coordinator, files } = life;
    endpoint.setAllowed(new Set(this.members.keys()));
    await sessions.start();
    if (this.#founding) await coordinator.host.bootstrap(MESH_GROUP, { voters: [this.id], learners: [] });
    await coordinator.start();
    if (this.#founding) await this.#found(life);
    await files?.start();
    await coordinator.router.propose(MESH_GROUP, { kind: 'machine.update', machine: this.offer }).catch(
      () => undefined, // As the agent does: nobody fails for it.
    );
  }

  async #found({ coordinator, clock }: Life): Promise<void> {
    const replica = await coordinator.host.open(MESH_GROUP);
    while (coordinator.mesh?.settings() === undefined) {
      if (!replica.leadership.leading) {
        await new Promise<void>((resolve) => clock.after(FOUNDING_LOOK_MS, resolve));
        continue;
      }
      const settings = { meshId: 'simulated', accountName: 'shoal', accountKey: 'a2V5' };
      const proposed = replica.propose(null, { kind: 'mesh.init', settings, machine: this.offer });
      coordinator.host.wake(replica);
      await proposed;
    }
    this.#founding = false;
  }

  #meshChanged(mesh: MeshMachine): void {
    const life = this.#life;
    if (life === undefined || mesh.settings() === undefined) return;
    this.#admit();
    const others = mesh.machines().filter(({ peer }) => peer !== this.name);
    this.members = new Map(others.map(({ peer, addresses }) => [peer, addresses[0] ?? '']));
    life.sessions.setAllotments([...mesh.allotmentsOn(this.id)] as Allotment[]);
  }

  #admit(): void {
    const allowed = this.#life?.coordinator.allowedPeers();
    if (allowed !== undefined)
      this.#life?.endpoint.setAllowed(new Set([...allowed].filter((peer) => peer !== this.name)));
  }

  #liveRunner(): LiveRunner {
    if (this.#runner === undefined) {
      const { time, drift, random, watcher, timeline } = this.#options;
      const scope = new Scope(`${this.name}-run`, this.scopeNumber + 1);
      const clock = new MachineClock(time, drift, scope, random.fork());
      const runner = new SimRunner({
        machine: this.name,
        clock,
        random: random.fork(),
        watcher,
        journal: this.#journal,
        inputs: this.#inputs,
        coordinated: this.#coordinated,
      });
      this.#runner = { runner, scope };
      timeline.note(scope.name, 'starts');
    }
    return this.#runner;
  }

  // --- Deaths -------------------------------------------------------------------------------------------------------

  /** The agent alone dies; what it wrote is in the page cache, and its runner goes on. */
  killAgent(): void {
    this.#endLife('is killed', true);
    this.disk.kill();
  }

  killRunner(): void {
    if (this.#runner === undefined) return;
    this.#options.timeline.note(`${this.name}-run`, 'is killed');
    this.#runner.scope.die();
    this.#runner.runner.die();
    this.#runner = undefined;
    this.#life?.runnerClient.onRunnerDied();
  }

  /** Everything stops at once, and some of what was not synced is gone. */
  losePower(): void {
    this.#endLife('loses power', false);
    this.killRunner();
    this.#journal.clear();
    this.#options.watcher.powerLost(this.name);
    this.#inputs.clear();
    this.#coordinated.clear();
    this.#boots += 1;
    const lost = this.disk.crash();
    if (lost > 0) this.#options.timeline.note(this.name, `lost ${lost} batches that were not synced`);
    const unnamed = this.fileDisk?.crash() ?? 0;
    if (unnamed > 0) this.#options.timeline.note(this.name, `lost ${unnamed} chunks that were not synced`);
  }

  #endLife(how: string, hostLives: boolean): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#wake();
    this.#life = undefined;
    this.#options.timeline.note(this.name, how);
    life.scope.die();
    this.#options.network.processDied(life.endpoint, hostLives);
  }

  /** Somebody put a new disk in: the machine comes back as another one. */
  wipeDisk(): void {
    this.#options.files?.watcher.diskGoes(this);
    this.losePower();
    this.disk.wipe();
    this.fileDisk?.wipe();
    this.#isRotten = false;
    this.#options.timeline.note(this.name, `has an empty disk, and is ${this.id} now`);
  }

  /** One bit of what is on the disk changes while the agent is down. `where` in [0, 1). */
  rot(where: number): void {
    this.killAgent();
    const prefix = ROTTEN_PREFIXES[Math.floor(where * ROTTEN_PREFIXES.length)] ?? 'e/';
    const key = this.disk.rot(prefix);
    this.#isRotten = key !== undefined;
    this.#options.timeline.note(this.name, `has a damaged record ${key}`);
  }

  fillDisk(): void {
    this.disk.full = true;
    this.#options.timeline.note(this.name, 'has a full disk');
  }

  freeDisk(): void {
    if (!this.disk.full) return;
    this.disk.full = false;
    this.#options.timeline.note(this.name, 'has room again');
    this.start();
  }

  setClock(byMs: number): void {
    this.#options.drift.wallSkewMs += Math.round(byMs);
    this.#options.timeline.note(this.name, `has its wall clock set by ${Math.round(byMs)} ms`);
  }

  /** The agent is started again elsewhere. */
  move(): void {
    this.killAgent();
    this.#moves += 1;
    this.#options.timeline.note(this.name, `moves to ${this.address}`);
  }

  // --- Standing still -------------------------------------------------------------------------------------------------

  /** SIGSTOP of the agent, of the whole machine with its processes, or the machine's sleep. */
  freeze(how: 'stopAgent' | 'stopMachine' | 'suspend'): void {
    const life = this.#life;
    if (life === undefined || !life.scope.isRunning) return;
    this.#options.timeline.note(this.name, FREEZES[how]);
    life.scope.freeze();
    this.#options.network.processFroze(life.endpoint);
    if (how === 'suspend') this.#asleepSinceMs = this.#options.time.nowMs;
    if (how === 'stopAgent' || this.#runner === undefined) return;
    this.#runner.scope.freeze();
    const stillSinceMs = this.#options.time.nowMs;
    for (const process of this.#runner.runner.processes)
      Object.assign(process, { excused: true, wokeAtMs: undefined, stillSinceMs });
  }

  thaw(): void {
    const { time, timeline, network } = this.#options;
    this.#wake();
    if (this.#life?.scope.isFrozen !== true && this.#runner?.scope.isFrozen !== true) return;
    timeline.note(this.name, 'goes on');
    if (this.#runner?.scope.isFrozen)
      for (const process of this.#runner.runner.processes) goOn(process, time.nowMs);
    this.#runner?.scope.thaw(time);
    this.#life?.scope.thaw(time);
    if (this.#life !== undefined) network.nudge(this.#life.endpoint);
  }

  /** All that waits on the monotonic clock has slept as long as the machine. */
  #wake(): void {
    if (this.#asleepSinceMs === undefined) return;
    const { time, drift, random } = this.#options;
    const sleptMs = time.nowMs - this.#asleepSinceMs;
    this.#asleepSinceMs = undefined;
    drift.sleptMs += sleptMs;
    if (this.#life !== undefined) this.#life.scope.sleptMs += sleptMs;
    const live = this.#runner;
    if (live === undefined) return;
    live.scope.sleptMs += sleptMs;
    time.after(random.next() * RUNNER_LOOK_MS, live.scope, () => live.runner.expireLeases());
  }
}

function goOn(process: SimProcess, nowMs: number): void {
  process.wokeAtMs = nowMs;
  process.stoodStillMs += nowMs - (process.stillSinceMs ?? nowMs);
  process.stillSinceMs = undefined;
}

const FREEZES = {
  stopAgent: 'is stopped',
  stopMachine: 'stands still with all it runs',
  suspend: 'falls asleep',
} as const;
