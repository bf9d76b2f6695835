/**
 * The agent: everything one machine does, put together. The only place beside the coordinator's driver that builds
 * concrete objects. Start and stop go in the order of dependence, and a stop after a failed start is clean.
 */

import { randomBytes, randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import type { MeshMachine } from '../../coordinator/core/mesh/machine.ts';
import { Coordinator } from '../../coordinator/driver/coordinator.ts';
import { type ApiServer, createApi } from '../../src/api/server.ts';
import { apiSecretOf, issueBearerToken, memberKey } from '../../src/lib/bearer-token.ts';
import { type Clock, systemClock, type Timer } from '../../src/lib/clock.ts';
import { processCpuMs } from '../../src/lib/cpu-meter.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { TASK_TOKEN_VALID_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { Prng } from '../../src/lib/prng.ts';
import { VERSION } from '../../src/lib/version.ts';
import { peerIdOf } from '../../src/mesh/identity.ts';
import type { Mesh, Transport } from '../../src/mesh/interface.ts';
import { withLoopback } from '../../src/mesh/loopback.ts';
import { createMesh } from '../../src/mesh/mesh.ts';
import type { CommandResult, MachineOffer } from '../../src/model/commands.ts';
import { type GroupId, type MachineId, MESH_GROUP, machineId, poolGroup } from '../../src/model/ids.ts';
import type { Allotment } from '../../src/model/machine.ts';
import { unwrap } from '../../src/model/outcome.ts';
import type { Store } from '../../src/store/interface.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import { JOIN_REQUEST, JoinAnswer, JoinBody } from '../../src/wire/protocol.ts';
import { ContainerTasks } from '../containers/container-tasks.ts';
import { localFileDisk } from '../files/file-disk.ts';
import type { FileService } from '../files/interface.ts';
import { createFileService } from '../files/service.ts';
import { Packages } from '../lifecycle/packages.ts';
import { Reach } from '../lifecycle/reach.ts';
import { Retention } from '../lifecycle/retention.ts';
import { TaskLifecycle } from '../lifecycle/task-lifecycle.ts';
import { NodeLogs } from '../logs/node-logs.ts';
import { createRunnerClient } from '../runner/client.ts';
import type { NodeSetup, RunnerClient } from '../runner/interface.ts';
import { openBootClock } from '../runner/machine-clocks.ts';
import { runnerLogPaths } from '../runner/start-runner.ts';
import { LoadMeter } from '../session/machine-load.ts';
import { Sessions } from '../session/sessions.ts';
import { listenOnTcp } from './api-listener.ts';
import { countBoots } from './boot.ts';
import { probeCapacity } from './capacity.ts';
import { type Config, loadConfig, saveConfig } from './config.ts';
import { AgentControl } from './control.ts';
import { EventHub } from './event-hub.ts';
import { KnownMembers } from './known-members.ts';
import { offerOf } from './machine-offer.ts';
import { nodeSetupOf, taskOwner } from './node-setup.ts';
import { createDirectories, type Paths } from './paths.ts';

export interface AgentOptions {
  readonly paths: Paths;
  /** The bundled runner's path. */
  readonly runnerScript: string;
  /** And that of the launcher that instances of a task start processes with. */
  readonly launcherScript: string;
  /** Path of the bundled program of the threads that hash and write chunks. */
  readonly diskThreadScript: string;
  readonly log: Log;
  /** This agent must end: its store failed, so that it does not know what is durable, or it is not the only one of its identity. */
  readonly onFatal: (error: ShoalError) => void;
}

export interface AgentAddresses {
  readonly mesh: readonly string[];
  readonly socket: string;
  /** `http://127.0.0.1:port`, where the API listens on TCP. */
  readonly url: string | undefined;
}

/** A group of one elects itself within an election timeout; its first machine looks this often. */
const FOUNDING_LOOK_MS = 20;
const API_SECRET_BYTES = 32;
/** A joiner has this long to take the answer, under an identity that is void already. */
const JOIN_ANSWER_MS = 5_000;
/** How often the machine says anew what it offers, if it changed. */
const OFFER_CHECK_MS = 10_000;
/** Changes of the mesh group that come closer to each other are one list of members on disk. */
const NOTE_MEMBERS_MS = 1_000;

/** What a start reads before anything is built. */
interface Loaded {
  readonly config: Config;
  readonly identity: Uint8Array;
  readonly store: Store;
  readonly boot: number;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #config: Config;
  readonly #clock: Clock = systemClock;
  readonly #knownMembers: KnownMembers;
  readonly #self: MachineId;
  readonly #incarnation: string;
  readonly #store: Store;
  readonly #mesh: Mesh;
  readonly #transport: Transport;
  readonly #coordinator: Coordinator;
  readonly #runner: RunnerClient;
  readonly #files: FileService;
  readonly #logs: NodeLogs;
  readonly #retention: Retention;
  readonly #packages: Packages;
  readonly #containers: ContainerTasks;
  readonly #load: LoadMeter;
  readonly #sessions: Sessions;
  readonly #events: EventHub;
  readonly #api: ApiServer;
  readonly #startedAtMs = Date.now();
  readonly #joining = new Set<string>();
  #offered = '';
  #offerTimer: NodeJS.Timeout | undefined;
  #noteTimer: Timer | undefined;
  #stopping: Promise<void> | undefined;

  /** Loads what the directory holds and starts. Throws NotInitialized, AgentRunning, InvalidArgument or CorruptStore. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { paths } = options;
    const config = await loadConfig(paths.config);
    await createDirectories(paths);
    const identity = await readFile(paths.identity);
    const store = await openLevelStore(paths.store).catch((error) => {
      throw withPlace(error, paths.store);
    });
    const agent = new Agent(options, { config, identity, store, boot: await countBoots(store) });
    try {
      await agent.#start();
      return agent;
    } catch (error) {
      await agent.stop('detach');
      throw withPlace(error, paths.store);
    }
  }

  private constructor(options: AgentOptions, { config, identity, store, boot }: Loaded) {
    const { paths, log, runnerScript, launcherScript } = options;
    const clock = this.#clock;
    this.#options = options;
    this.#config = config;
    this.#store = store;
    this.#incarnation = store.incarnation;
    this.#self = machineId(peerIdOf(identity), store.incarnation);
    const self = this.#self;
    const { meshId, listen, announce, mdns, name } = config;
    this.#mesh = createMesh({
      privateKey: identity,
      listen,
      announce,
      mdns,
      meshId,
      software: VERSION,
      mayBeShared: (peer) => !this.#isMember(peer),
      onIdentityInUse: options.onFatal,
      clock,
      log,
    });
    this.#knownMembers = new KnownMembers(paths.members);
    this.#transport = withLoopback(this.#mesh, clock);
    const bootMs = openBootClock();
    this.#runner = createRunnerClient({ directory: paths.runner, runnerScript, log, clock, bootMs });
    this.#events = new EventHub({
      machine: name,
      transport: this.#transport,
      clock,
      isMember: (peer) => this.#isMember(peer),
    });
    this.#coordinator = new Coordinator({
      self,
      transport: this.#transport,
      store,
      clock,
      random: new Prng(randomBytes(4).readUInt32LE()),
      log,
      newRequestId: randomUUID,
      cpuUsedMs: processCpuMs,
      onMeshChanged: (mesh) => this.#meshChanged(mesh),
      addressesOf: (peer) => this.#mesh.knownAddresses(peer),
      onMembersTold: (members) => this.#admit(members),
      onEvent: (group, timeMs, event) =>
        this.#events.emit({ ...event, timeMs, data: { group, ...event.data } }),
      onFatal: options.onFatal,
    });
    this.#retention = new Retention({ store, clock, log });
    this.#files = createFileService({
      self,
      disk: localFileDisk({
        directory: paths.chunks,
        diskThreadScript: options.diskThreadScript,
        clock,
      }),
      nodesDirectory: paths.nodes,
      transport: this.#transport,
      bulk: this.#mesh,
      coordinator: this.#coordinator,
      clock,
      log,
    });
    const reach = new Reach(this.#config.allowLocalUrls);
    this.#logs = new NodeLogs({
      self,
      transport: this.#transport,
      coordinator: this.#coordinator,
      files: this.#files,
      reach,
      directory: paths.logs,
      others: runnerLogPaths(paths.runner),
      log,
    });
    this.#packages = new Packages({
      nodesDirectory: paths.nodes,
      files: this.#files,
      coordinator: this.#coordinator,
      boot: `${boot}`,
      clock,
      log,
    });
    this.#load = new LoadMeter({ clock, directory: paths.root, proc: '/proc' });
    this.#containers = new ContainerTasks({
      directory: paths.containers,
      choice: config.containerEngine,
      virtualMachineConfigurationOf: (pool) =>
        this.#coordinator.mesh?.pool(pool)?.spec.virtualMachineConfiguration,
      log,
    });
    this.#sessions = new Sessions({
      self,
      transport: this.#transport,
      store,
      clock,
      bootMs,
      log,
      runner: this.#runner,
      lifecycle: new TaskLifecycle({
        nodesDirectory: paths.nodes,
        files: this.#files,
        reach,
        clock,
        log,
        ownerOf: taskOwner,
        retention: this.#retention,
        issueToken: (job) => this.#issueToken(job),
        memberKey: (purpose) => this.#memberKey(purpose),
        launcherScript,
        restartNode: (node, meanwhile) => this.#sessions.restartNode(node, meanwhile),
        packages: this.#packages,
        containers: this.#containers,
      }),
      callLeader: (pool, method, body) => this.#coordinator.router.request(poolGroup(pool), method, body),
      mayCoordinate: (pool, peer) => this.#coordinator.mayCoordinate(pool, peer),
      nodeSetup: (allotment) => this.#nodeSetup(allotment),
      load: () => this.#load.next(),
      faultOf: (node) => this.#packages.faultOf(node),
      life: randomUUID(),
      boot,
    });
    const control = new AgentControl({
      self,
      name,
      version: VERSION,
      meshId,
      startedAtMs: this.#startedAtMs,
      mesh: this.#mesh,
      coordinator: this.#coordinator,
      runner: this.#runner,
      files: this.#files,
      logs: this.#logs,
      events: this.#events,
      wallMs: () => clock.wallMs(),
      held: () => this.#sessions.held,
      apiUrl: () => this.#api.url(),
      chooseVoters: () => this.#coordinator.chooseVoters(),
    });
    this.#api = createApi({ control, log, clock });
  }

  async #start(): Promise<void> {
    const { paths, log } = this.#options;
    const members = [...this.#config.members, ...(await this.#knownMembers.load())];
    this.#mesh.setAllowed(new Set(members.map(({ peer }) => peer)));
    for (const { peer, addresses } of members) this.#mesh.learn(peer, addresses);
    // The runner begins beside the mesh. Both have come to an end, good or bad, before anything may be stopped again.
    const started = await Promise.allSettled([this.#mesh.start(), this.#sessions.start()]);
    for (const part of started) if (part.status === 'rejected') throw part.reason;
    this.#transport.onRequest(JOIN_REQUEST, (from, payload) => this.#onJoin(from, payload));
    this.#events.start();
    if (this.#config.founding !== undefined)
      await this.#coordinator.host.bootstrap(MESH_GROUP, { voters: [this.#self], learners: [] });
    await this.#coordinator.start();
    if (this.#config.founding !== undefined) await this.#found(this.#config.founding);
    await this.#files.start();
    this.#logs.start();
    this.#retention.start();
    await this.#listen();
    this.#offerTimer = setInterval(() => void this.#offer(), OFFER_CHECK_MS);
    void this.#offer();
    void this.#containers.engine().then(() => this.#offer());
    log.info({ id: this.#self, addresses: this.#mesh.addresses(), directory: paths.root }, 'the agent is up');
  }

  async #listen(): Promise<void> {
    const { apiSocket } = this.#options.paths;
    await rm(apiSocket, { force: true });
    await this.#api.listenUnix(apiSocket);
    await listenOnTcp({
      api: this.#api,
      config: this.#config,
      settings: () => this.#coordinator.mesh?.settings(),
      clock: this.#clock,
      log: this.#options.log,
    });
  }

  #issueToken(job: string): string | undefined {
    const settings = this.#coordinator.mesh?.settings();
    if (settings === undefined) return undefined;
    const expiresAtMs = this.#clock.wallMs() + TASK_TOKEN_VALID_MS;
    const token = { account: settings.accountName, scope: { kind: 'job', job } as const, expiresAtMs };
    return issueBearerToken(token, apiSecretOf(settings));
  }

  #memberKey(purpose: string): string | undefined {
    const settings = this.#coordinator.mesh?.settings();
    return settings && memberKey(purpose, apiSecretOf(settings));
  }

  get addresses(): AgentAddresses {
    return { mesh: this.#mesh.addresses(), socket: this.#options.paths.apiSocket, url: this.#api.url() };
  }

  /**
   * The store takes no more writes. What rests on it ends: deciding, and running tasks. The API and the links stay, so
   * that this machine still answers for the mesh, with what the other machines say. Only `stop` follows.
   */
  async standBy(): Promise<void> {
    this.#retention.stop();
    this.#sessions.stop();
    await this.#runner.detach();
    await this.#coordinator.retire();
  }

  /** `detach` leaves the runner and its tasks alive for the next life of this agent; `shutdown` ends them. */
  stop(how: 'detach' | 'shutdown'): Promise<void> {
    this.#stopping ??= this.#stop(how);
    return this.#stopping;
  }

  async #stop(how: 'detach' | 'shutdown'): Promise<void> {
    clearInterval(this.#offerTimer);
    this.#noteTimer?.cancel();
    const steps: [string, () => unknown][] = [
      ['api', () => this.#api.close()],
      ['sessions', () => this.#sessions.stop()],
      ['runner', () => (how === 'shutdown' ? this.#runner.shutdown() : this.#runner.detach())],
      ['retention', () => this.#retention.stop()],
      ['packages', () => this.#packages.stop()],
      ['containers', () => this.#containers.stop()],
      ['files', () => this.#files.stop()],
      ['events', () => this.#events.stop()],
      ['coordinator', () => this.#coordinator.stop()],
      ['mesh', () => this.#mesh.stop()],
      ['store', () => this.#store.close()],
    ];
    for (const [what, step] of steps) {
      const beganAtMs = this.#clock.monotonicMs();
      try {
        await step();
        this.#options.log.debug({ what, tookMs: this.#clock.monotonicMs() - beganAtMs }, 'a part stopped');
      } catch (error) {
        this.#options.log.warn({ what, error: asShoalError(error).message }, 'a part did not stop cleanly');
      }
    }
  }

  // --- The mesh's word ------------------------------------------------------------------------------------------------

  #isMember(peer: string): boolean {
    return peer === this.#transport.self || this.#coordinator.mesh?.machineByPeer(peer) !== undefined;
  }

  /** Called on every change of the mesh group's state as this machine has it. */
  #meshChanged(mesh: MeshMachine): void {
    // Before the first word of the group the addresses of the token are all there is.
    if (mesh.settings() === undefined) return;
    this.#admit(mesh.machines());
    this.#noteTimer ??= this.#clock.after(NOTE_MEMBERS_MS, () => void this.#noteMembers());
    const allotments = [...mesh.allotmentsOn(this.#self)];
    this.#sessions.setAllotments(allotments);
    this.#packages.setAllotments(allotments);
    this.#containers.setPools(new Set(allotments.map(({ pool }) => pool)));
    void this.#offer();
  }

  /** What was said last: most changes of the mesh are of other things, and these lists may be long. */
  #learned: unknown;
  #allowed: ReadonlySet<string> | undefined;

  #admit(members: readonly { readonly peer: string; readonly addresses: readonly string[] }[]): void {
    this.#allow();
    if (members === this.#learned) return;
    this.#learned = members;
    for (const { peer, addresses } of members)
      if (peer !== this.#transport.self) this.#mesh.learn(peer, addresses);
  }

  /** A used token's identity leaves the list at once; here it stays until its answer has been delivered. */
  #allow(): void {
    const allowed = this.#coordinator.allowedPeers();
    if (allowed === undefined || allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.#mesh.setAllowed(new Set([...allowed, ...this.#joining]));
  }

  #nodeSetup(allotment: Allotment): NodeSetup {
    return nodeSetupOf(allotment, {
      nodesDirectory: this.#options.paths.nodes,
      accountName: this.#coordinator.mesh?.settings()?.accountName ?? 'shoal',
      accountUrl: this.#api.url() ?? `unix:${this.#options.paths.apiSocket}`,
    });
  }

  async #noteMembers(): Promise<void> {
    this.#noteTimer = undefined;
    const others = this.#coordinator.mesh?.machines().filter(({ peer }) => peer !== this.#transport.self);
    if (others === undefined || others.length === 0) return;
    try {
      await this.#knownMembers.note(others);
    } catch (error) {
      this.#options.log.debug(
        { error: asShoalError(error).message },
        'the members could not be written down',
      );
    }
  }

  // --- This machine's word --------------------------------------------------------------------------------------------

  #offering = false;

  /** Tells the mesh what this machine offers, where that differs from what it knows. */
  async #offer(): Promise<void> {
    if (this.#offering || this.#stopping !== undefined) return;
    this.#offering = true;
    try {
      const offer = await this.#currentOffer();
      const text = JSON.stringify({
        ...offer,
        capacity: { ...offer.capacity, diskBytes: Math.round(offer.capacity.diskBytes / 2 ** 33) },
      });
      if (text === this.#offered) return;
      const result = await this.#coordinator.router.propose(MESH_GROUP, {
        kind: 'machine.update',
        machine: offer,
      });
      if (result.ok) this.#offered = text;
      else
        this.#options.log.warn(
          { code: result.code, message: result.message },
          'the mesh did not take the offer of this machine',
        );
    } catch (error) {
      this.#options.log.debug(
        { error: asShoalError(error).message },
        'the mesh could not be told what this machine offers; it is tried again',
      );
    } finally {
      this.#offering = false;
    }
  }

  async #currentOffer(): Promise<MachineOffer> {
    const peer = this.#transport.self;
    const record = this.#coordinator.mesh?.machineByPeer(peer);
    const engine = this.#containers.engineName(record?.capacity.containerEngine);
    const capacity = await probeCapacity(this.#config, this.#options.paths.root, this.#runner.tier, engine);
    // The name of record may have got a suffix when the machine joined.
    const name = record?.name ?? this.#config.name;
    const addresses = this.#config.announce.length > 0 ? this.#config.announce : this.#mesh.addresses();
    return offerOf({ peer, incarnation: this.#incarnation, name, capacity, addresses, version: VERSION });
  }

  /** The first start of the first machine: nobody can be served before the mesh has its settings. */
  async #found(founding: NonNullable<Config['founding']>): Promise<void> {
    const replica = await this.#coordinator.host.open(MESH_GROUP);
    while (this.#coordinator.mesh?.settings() === undefined) {
      if (!replica.leadership.leading) {
        await new Promise<void>((resolve) => this.#clock.after(FOUNDING_LOOK_MS, resolve));
        continue;
      }
      const settings = {
        meshId: this.#config.meshId,
        accountName: founding.accountName,
        accountKey: founding.accountKey,
        apiSecret: randomBytes(API_SECRET_BYTES).toString('base64'),
      };
      const proposed = replica.propose(null, {
        kind: 'mesh.init',
        settings,
        machine: await this.#currentOffer(),
      });
      this.#coordinator.host.wake(replica);
      unwrap((await proposed).outcome);
    }
    const { founding: _, ...config } = this.#config;
    await saveConfig(this.#options.paths.config, config);
  }

  /** A joiner, dialled in under its token's temporary identity, registers the machine it will come back as. */
  async #onJoin(from: string, payload: Uint8Array): Promise<Uint8Array> {
    const { machine } = JoinBody.decode(payload);
    this.#joining.add(from);
    this.#clock.after(JOIN_ANSWER_MS, () => {
      this.#joining.delete(from);
      this.#allowed = undefined;
      if (this.#stopping === undefined) this.#allow();
    });
    const proposed: CommandResult<'machine.join'> = await this.#coordinator.router.propose(MESH_GROUP, {
      kind: 'machine.join',
      tokenPeer: from,
      machine: machine as MachineOffer,
    });
    const joined = unwrap(proposed);
    const machines = await this.#coordinator.router.query(MESH_GROUP, 'machine.list', {});
    return JoinAnswer.encode({
      machine: joined.machine,
      settings: joined.settings,
      members: machines
        .filter(({ addresses, id }) => addresses.length > 0 && id !== joined.machine)
        .map(({ peer, addresses }) => ({ peer, addresses: [...addresses] })),
      name: machines.find(({ id }) => id === joined.machine)?.name ?? machine.name,
    });
  }

  /** Groups this machine takes part in; for tests and `doctor`. */
  groups(): readonly GroupId[] {
    return [...this.#coordinator.host.replicas.keys()];
  }
}

/** A damaged store is named by its directory, for that is what its owner has to lay hands on. */
function withPlace(error: unknown, directory: string): unknown {
  if (!(error instanceof ShoalError) || error.code !== 'CorruptStore' || error.message.includes(directory))
    return error;
  const message = `The store in ${directory} is damaged: ${error.message}`;
  return new ShoalError(error.code, message, { directory, ...error.values }, { cause: error });
}
