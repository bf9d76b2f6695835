/**
 * One machine of a world: a disk, a clock, a runner, and one life of the agent after another. A life is put together as
 * agent/main does it, of the real coordinator, the real sessions and the real store; what it speaks to is simulated.
 */

import type { Exit } from '../../../agent/runner/interface.ts';
import { Sessions } from '../../../agent/session/sessions.ts';
import type { CoreEvent } from '../../../coordinator/core/interface.ts';
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import { Coordinator } from '../../../coordinator/driver/coordinator.ts';
import type { FlightRecordBounds } from '../../../coordinator/driver/flight-recorder.ts';
import type { LogKept } from '../../../coordinator/driver/group-host.ts';
import { asShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { withLoopback } from '../../../src/mesh/loopback.ts';
import type { MachineOffer } from '../../../src/model/commands.ts';
import { type GroupId, type MachineId, MESH_GROUP, machineId, poolGroup } from '../../../src/model/ids.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import type { Store } from '../../../src/store/interface.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { type ClockDrift, MachineClock } from './machine-clock.ts';
import type { Endpoint, SimNetwork } from './network.ts';
import { SimLifecycle } from './sim-lifecycle.ts';
import { type ProcessWatcher, SimRunner } from './sim-runner.ts';
import { SimRunnerClient } from './sim-runner-client.ts';
import type { Timeline } from './timeline.ts';
import { Scope, type VirtualTime } from './virtual-time.ts';

/** How long a write takes now, ms. */
export interface DiskPace {
  syncedMsMax: number;
  unsyncedMsMax: number;
}

export const QUICK_DISK: Readonly<DiskPace> = { syncedMsMax: 3, unsyncedMsMax: 0.3 };

export interface SimMachineOptions {
  readonly name: string;
  readonly cores: number;
  readonly time: VirtualTime;
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly random: Prng;
  readonly drift: ClockDrift;
  readonly logKept: LogKept;
  readonly flightRecord: FlightRecordBounds;
  readonly watcher: ProcessWatcher;
  readonly onEvent: (machine: SimMachine, group: GroupId, event: CoreEvent) => void;
  /** An agent ended itself, or threw where nobody catches. */
  readonly onFatal: (machine: SimMachine, error: Error) => void;
}

/** One life of an agent. */
export interface Life {
  readonly number: number;
  readonly scope: Scope;
  readonly clock: MachineClock;
  readonly endpoint: Endpoint;
  readonly store: Store;
  readonly coordinator: Coordinator;
  readonly sessions: Sessions;
  readonly runnerClient: SimRunnerClient;
}

interface LiveRunner {
  readonly runner: SimRunner;
  readonly scope: Scope;
}

const FOUNDING_LOOK_MS = 20;

export class SimMachine {
  readonly name: string;
  readonly disk: MemoryDisk;
  readonly pace: DiskPace = { ...QUICK_DISK };
  readonly #options: SimMachineOptions;
  readonly #journal = new Map<string, Exit>();
  #runner: LiveRunner | undefined;
  #life: Life | undefined;
  #boots = 1;
  #lives = 0;
  /** As its configuration file says: whom to dial before the mesh group's first word. */
  members: readonly string[] = [];
  #founding = false;

  constructor(options: SimMachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.disk = new MemoryDisk({
      seed: options.random.int(1, 1_000_000),
      latency: (sync) => this.#writing(sync),
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
        labels: [],
        isolation: 'namespace',
        operatingSystem: 'simulated',
      },
      addresses: [`/sim/${this.name}`],
      version: 'simulated',
    };
  }

  #writing(sync: boolean): Promise<void> {
    const { random, time } = this.#options;
    const scope = this.#life?.scope;
    const maxMs = sync ? this.pace.syncedMsMax : this.pace.unsyncedMsMax;
    const delayMs = maxMs * (0.2 + 0.8 * random.next());
    return new Promise((resolve) => {
      if (scope !== undefined) time.after(delayMs, scope, resolve);
    });
  }

  // --- Lives --------------------------------------------------------------------------------------------------------

  /** The first machine of a mesh. */
  found(): void {
    this.#founding = true;
    this.start();
  }

  start(): void {
    if (this.#life !== undefined) return;
    const { time, random, drift, network, name } = { ...this.#options, name: this.name };
    const number = ++this.#lives;
    const scope = new Scope(name);
    const clock = new MachineClock(time, drift, scope, random.fork());
    const endpoint = network.open(name, scope);
    // Set before the store opens: its first writes belong to this life.
    const life = { number, scope, clock, endpoint } as Life;
    this.#life = life;
    const store = openMemoryStore(this.disk);
    Object.assign(life, this.#compose(life, store));
    this.#options.timeline.note(name, `starts (life ${number})`);
    this.#run(life).catch((error: unknown) => this.#options.onFatal(this, asShoalError(error)));
  }

  #compose(
    { number, clock, endpoint, scope }: Life,
    store: Store,
  ): Pick<Life, 'store' | 'coordinator' | 'sessions' | 'runnerClient'> {
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
      onMembersTold: () => this.#admit(),
      onEvent: (group, _timeMs, event) => this.#options.onEvent(this, group, event),
      onFatal: (error) => this.#options.onFatal(this, error),
    });
    const sessions = new Sessions({
      self,
      transport,
      store,
      clock,
      log,
      runner: runnerClient,
      lifecycle: new SimLifecycle(clock, random.fork()),
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
    });
    return { store, coordinator, sessions, runnerClient };
  }

  /** In the order of agent/main. */
  async #run(life: Life): Promise<void> {
    const { endpoint, sessions, coordinator } = life;
    endpoint.setAllowed(new Set(this.members));
    await sessions.start();
    if (this.#founding) await coordinator.host.bootstrap(MESH_GROUP, { voters: [this.id], learners: [] });
    await coordinator.start();
    if (this.#founding) await this.#found(life);
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
      const scope = new Scope(`${this.name}-run`);
      const clock = new MachineClock(time, drift, scope, random.fork());
      const runner = new SimRunner({
        machine: this.name,
        clock,
        random: random.fork(),
        watcher,
        journal: this.#journal,
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
    this.#boots += 1;
    const lost = this.disk.crash();
    if (lost > 0) this.#options.timeline.note(this.name, `lost ${lost} batches that were not synced`);
  }

  #endLife(how: string, hostLives: boolean): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.#options.timeline.note(this.name, how);
    life.scope.die();
    this.#options.network.processDied(life.endpoint, hostLives);
  }

  /** SIGSTOP of the agent; with `everything` the whole machine stands still, its processes too. */
  freeze(everything: boolean): void {
    const life = this.#life;
    if (life === undefined || !life.scope.isRunning) return;
    this.#options.timeline.note(this.name, everything ? 'stands still with all it runs' : 'is stopped');
    life.scope.freeze();
    this.#options.network.processFroze(life.endpoint);
    if (!everything || this.#runner === undefined) return;
    this.#runner.scope.freeze();
    for (const process of this.#runner.runner.processes) process.excused = true;
  }

  thaw(): void {
    const { time, timeline, network } = this.#options;
    if (this.#life?.scope.isFrozen !== true && this.#runner?.scope.isFrozen !== true) return;
    timeline.note(this.name, 'goes on');
    this.#runner?.scope.thaw(time);
    this.#life?.scope.thaw(time);
    network.nudge(this.name);
  }
}
