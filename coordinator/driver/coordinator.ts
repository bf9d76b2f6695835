/**
 * This machine's share in deciding: the replicas it holds, and for each group that it leads at the moment, the loops of
 * a leader. One object for the agent and for the simulator, which differ only in the transport, store and clock they give.
 */
import type { Clock } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Prng } from '../../src/lib/prng.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { type GroupId, idKey, type MachineId, MESH_GROUP, peerOfMachine } from '../../src/model/ids.ts';
import type { Allotment } from '../../src/model/machine.ts';
import type { Store } from '../../src/store/interface.ts';
import {
  Acknowledgement,
  HEARTBEAT_CHANNEL,
  HEARTBEAT_REQUEST,
  Heartbeat,
  REPORT_REQUEST,
  ReportBody,
  TAKEN_CHANNEL,
  Taken,
  upTopic,
} from '../../src/wire/protocol.ts';
import type { CoreEvent } from '../core/interface.ts';
import type { MeshMachine } from '../core/mesh/machine.ts';
import { chooseVoters } from '../membership/choose-voters.ts';
import type { Directory } from './authority.ts';
import type { AutoScaleView } from './autoscaler.ts';
import { Caretaker } from './caretaker.ts';
import { CensusTaker } from './census-taker.ts';
import type { FlightRecordBounds } from './flight-recorder.ts';
import { GroupHost, type LogKept } from './group-host.ts';
import { serveGroups } from './group-service.ts';
import { MeshLeader } from './mesh-leader.ts';
import { PoolLeader } from './pool-leader.ts';
import type { PoolView } from './pool-mirrorer.ts';
import { Presence } from './presence.ts';
import type { AppliedEntry, Replica } from './replica.ts';
import { type MemberAddresses, Roll } from './roll.ts';
import { Router } from './router.ts';
import { ScheduleKeeper } from './schedule-keeper.ts';
import { SpecCache } from './spec-cache.ts';
import { createStateMachine } from './state-machines.ts';

export interface CoordinatorOptions {
  readonly self: MachineId;
  /** With loopback: a coordinator speaks to its own machine as to any other. */
  readonly transport: Transport;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Prng;
  readonly log: Log;
  readonly newRequestId: () => string;
  /** CPU time of the process so far, ms: whoever asks is told what its question cost. By default nothing is. */
  readonly cpuUsedMs?: () => number;
  /** The mesh group moved on this machine: members, allotments, pools or groups may differ. */
  readonly onMeshChanged: (mesh: MeshMachine) => void;
  /** Where a peer is, as far as this machine knows. */
  readonly addressesOf: (peer: string) => readonly string[];
  /** Members, and where they are, by the word of one of them: `allowedPeers` may differ. */
  readonly onMembersTold: (members: readonly MemberAddresses[]) => void;
  /** Something happened in a group that this machine leads. */
  readonly onEvent: (group: GroupId, timeMs: number, event: CoreEvent) => void;
  readonly onFatal: (error: ShoalError) => void;
  /** See GroupHostOptions. */
  readonly logKept?: LogKept;
  /** See GroupHostOptions. */
  readonly flightRecord?: FlightRecordBounds;
}

/**
 * A replica that is no member any more is kept for so long. If it is made one again, an answer that it gave before and
 * that arrives only then must still be true: a leader that believes it has entries which are gone never sends them.
 */
const ORPHAN_KEPT_MS = 30_000;
const NO_ALLOTMENTS: readonly Allotment[] = [];
const NO_DIRECTORY: Directory = { group: () => undefined, allotment: () => undefined };

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #specs = new SpecCache();
  readonly #poolLeaders = new Map<GroupId, PoolLeader>();
  readonly #caretakers = new Map<GroupId, Caretaker>();
  readonly #listening = new Map<GroupId, () => void>();
  /** Monotonic ms since when the group's configuration leaves this machine out. */
  readonly #orphanedAtMs = new Map<GroupId, number>();
  readonly #roll: Roll;
  readonly #censusTaker: CensusTaker;
  #meshLeader: MeshLeader | undefined;
  #scheduleKeeper: ScheduleKeeper | undefined;
  #meshChangeDue = false;
  /** The groups that the store holds are open. */
  #hasOpened = false;
  #stopped = false;
  readonly host: GroupHost;
  readonly router: Router;
  readonly presence: Presence;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { self, transport, store, clock, random, log, flightRecord } = options;
    this.presence = new Presence({ self, transport, clock });
    this.#censusTaker = new CensusTaker(this.presence, clock);
    this.host = new GroupHost({
      self,
      transport,
      store,
      clock,
      random,
      log,
      createMachine: createStateMachine,
      mayHost: (group) => group === MESH_GROUP || this.mesh?.group(group) !== undefined,
      isMember: (peer) => this.#isMember(peer),
      onApplied: (replica, entries) => this.#onApplied(replica, entries),
      onLeadership: (replica) => this.#onLeadership(replica),
      onTurn: ({ group }) => this.#caretakers.get(group)?.onTurn(),
      onInstalled: (replica) => this.#onInstalled(replica),
      onSuperseded: ({ group }) => this.#endLead(group),
      onFatal: options.onFatal,
      ...(options.logKept === undefined ? {} : { logKept: options.logKept }),
      ...(flightRecord === undefined ? {} : { flightRecord }),
    });
    this.#roll = new Roll({
      host: this.host,
      transport,
      clock,
      log,
      requireMember: (peer) => this.requireMember(peer),
      addressesOf: options.addressesOf,
      onTold: options.onMembersTold,
    });
    this.router = new Router({
      self,
      host: this.host,
      transport,
      clock,
      peersToAsk: (group) => this.#peersToAsk(group),
      // One that has just joined knows of no group, not even of that which tells it.
      isKnown: (group) => this.mesh?.group(MESH_GROUP) === undefined || this.mesh.group(group) !== undefined,
      random: random.fork(),
      newRequestId: options.newRequestId,
    });
  }

  async start(): Promise<void> {
    const { transport, clock, cpuUsedMs } = this.#options;
    serveGroups({
      host: this.host,
      transport,
      clock,
      requireMember: (peer) => this.requireMember(peer),
      directory: () => this.mesh ?? NO_DIRECTORY,
      cpuUsedMs: cpuUsedMs ?? (() => 0),
    });
    transport.onRequest(REPORT_REQUEST, async (from, payload) => {
      const report = ReportBody.decode(payload);
      return this.#poolLeader(report.pool).onReport(from, report);
    });
    transport.onRequest(HEARTBEAT_REQUEST, async (from, payload) => {
      const heartbeat = Heartbeat.decode(payload);
      const answer = await this.#poolLeader(heartbeat.pool).acknowledge(from, heartbeat);
      if (answer === undefined)
        throw new ShoalError('NodeNotFound', 'This machine hosts no node of the pool.');
      return Acknowledgement.encode(answer);
    });
    transport.onMessage(HEARTBEAT_CHANNEL, (from, payload) => {
      this.#guarded(from, () => {
        const heartbeat = Heartbeat.decode(payload);
        const leader = this.#poolLeaders.get(`pool:${heartbeat.pool}`);
        if (leader?.onHeartbeat(from, heartbeat)) leader.acknowledgeSoon();
      });
    });
    transport.onMessage(TAKEN_CHANNEL, (from, payload) => {
      this.#guarded(from, () => {
        const { pool, batch } = Taken.decode(payload);
        this.#poolLeaders.get(`pool:${pool}`)?.onTaken(from, batch);
      });
    });
    this.presence.start(() => {
      this.#meshLeader?.wake();
      this.#wakeCaretakers();
    });
    this.#roll.start();
    await this.host.start();
    this.#hasOpened = true;
    if (this.mesh !== undefined) this.#hostGroups(this.mesh);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const replica of this.host.replicas.values()) this.#endLead(replica.group);
    for (const unsubscribe of this.#listening.values()) unsubscribe();
    this.presence.stop();
    this.#roll.stop();
    this.router.stop();
    await this.host.stop();
  }

  /**
   * The store takes no more writes: this machine leads nothing and holds no replica any more. Its router goes on, and
   * finds leaders elsewhere.
   */
  async retire(): Promise<void> {
    for (const replica of this.host.replicas.values()) this.#endLead(replica.group);
    this.presence.standBy();
    await this.host.retire();
  }

  /** This machine's own copy of the mesh group's state; it may be a moment behind. Undefined before the first word of the group. */
  get mesh(): MeshMachine | undefined {
    const replica = this.host.replica(MESH_GROUP);
    return replica === undefined ? undefined : (replica.machine as MeshMachine);
  }

  /** A machine that knows no voters yet (it just joined, or lost its disk) asks whom it is connected to. */
  #peersToAsk(group: GroupId): readonly string[] {
    const voters = this.mesh?.group(group)?.voters ?? [];
    return voters.length > 0 ? voters.map(peerOfMachine) : this.#options.transport.connected();
  }

  leads(group: GroupId): boolean {
    return this.host.replica(group)?.leadership.leading ?? false;
  }

  /** First voters for a new group, as this machine sees the mesh. Throws ServerBusy where it has not heard of the mesh yet. */
  chooseVoters(): readonly MachineId[] {
    const { mesh } = this;
    // Where this machine has not heard of the mesh: a group that is there needs none, and a new one says that it is too soon.
    return mesh === undefined ? [] : chooseVoters(this.#censusTaker.census(mesh).machines);
  }

  /** Machines of the mesh that this one has no link to. */
  silent(): readonly MachineId[] {
    const machines = this.mesh?.machines() ?? [];
    return machines.map(({ id }) => id).filter((id) => !this.presence.isAlive(id));
  }

  /** See `GroupHost.recover`. Refused while the group has a leader; without `confirmed` it only says what may be lost. */
  async recover(group: GroupId, confirmed: boolean): Promise<{ lastIndex: number; mayBeLost: string }> {
    const replica = this.host.replica(group);
    if (replica === undefined)
      throw new ShoalError(
        'GroupNotFound',
        `This machine holds no replica of ${group}: run this on one that votes in it.`,
      );
    const { leader, configuration, lastIndex, commit } = replica.raft.status();
    const reachable = configuration.voters.filter((voter) => this.presence.isAlive(voter));
    if (leader !== null || 2 * reachable.length > configuration.voters.length)
      throw new ShoalError('QuorumAlive');
    const gone = configuration.voters.filter((voter) => !reachable.includes(voter));
    const mayBeLost = `This copy ends at entry ${lastIndex} (${commit} known to be committed). What ${gone.join(', ')} accepted after that is lost.`;
    if (confirmed) {
      this.#endLead(group);
      await this.host.recover(group);
    }
    return { lastIndex, mayBeLost };
  }

  /** Throws NotAMember for a peer that is not a full member (a joiner under its token is none). */
  requireMember(peer: string): void {
    if (!this.#isMember(peer)) throw new ShoalError('NotAMember');
  }

  #isMember(peer: string): boolean {
    if (peer === peerOfMachine(this.#options.self)) return true;
    return this.#roll.newer()?.has(peer) ?? this.mesh?.machineByPeer(peer) !== undefined;
  }

  /** Whom the gater may let in, by the newest word this machine has; undefined before any. Open tokens are known to a copy of the state alone. */
  allowedPeers(): ReadonlySet<string> | undefined {
    const { mesh } = this;
    return this.#roll.newer() ?? (mesh?.settings() === undefined ? undefined : mesh.allowedPeers());
  }

  mayCoordinate(pool: string, peer: string): boolean {
    return this.mesh?.group(`pool:${pool}`)?.voters.some((voter) => peerOfMachine(voter) === peer) ?? false;
  }

  #poolLeader(pool: string): PoolLeader {
    const group: GroupId = `pool:${pool}`;
    const leader = this.#poolLeaders.get(group);
    if (leader !== undefined) return leader;
    const known = this.host.replica(group)?.leadership.leader;
    throw new ShoalError(
      'NotLeader',
      `This machine does not coordinate the pool ${pool}.`,
      typeof known === 'string' ? { leader: known } : {},
    );
  }

  // --- What the host says ---------------------------------------------------------------------------------------------

  #onApplied(replica: Replica, entries: readonly AppliedEntry[]): void {
    const { group } = replica;
    if (group === MESH_GROUP) this.#meshMoved();
    else for (const { applied } of entries) this.#specs.remember(group, applied.writes);
    if (replica.leadership.leading) {
      for (const { timeMs, applied } of entries)
        for (const event of applied.events) this.#options.onEvent(group, timeMs, event);
    }
    this.#poolLeaders.get(group)?.onApplied(entries);
  }

  #onInstalled(replica: Replica): void {
    if (replica.group === MESH_GROUP) this.#meshMoved();
    else this.#listen(replica.group);
  }

  /** All replicas of a pool's group hear its nodes' heartbeats, so that a new leader knows them at once. */
  #listen(group: GroupId): void {
    if (this.#listening.has(group)) return;
    const pool = group.slice('pool:'.length);
    this.#listening.set(
      group,
      this.#options.transport.subscribe(upTopic(pool), (from, payload) => {
        this.#guarded(from, () => {
          const leader = this.#poolLeaders.get(group);
          if (leader?.onHeartbeat(from, Heartbeat.decode(payload), 'gossip')) leader.acknowledgeSoon();
        });
      }),
    );
  }

  #guarded(from: string, handle: () => void): void {
    try {
      this.requireMember(from);
      handle();
    } catch (error) {
      this.#options.log.warn({ from, error: asShoalError(error).message }, 'a message was refused');
    }
  }

  #onLeadership(replica: Replica): void {
    const { leading, leader, term } = replica.leadership;
    const { group } = replica;
    if (leader !== null) this.router.notice(group, leader);
    this.#endLead(group);
    if (!leading || this.#stopped) return;
    this.#options.log.info({ group, term }, 'this machine leads the group');
    this.#options.onEvent(group, this.#options.clock.wallMs(), {
      kind: 'leader.elected',
      message: `now coordinates ${group}`,
      data: { group, term },
    });
    this.#beginLead(replica);
  }

  #beginLead(replica: Replica): void {
    const { group } = replica;
    const { self, transport, clock, log } = this.#options;
    const common = { replica, host: this.host, transport, clock, log, self };
    const caretaker = new Caretaker({
      ...common,
      presence: this.presence,
      router: this.router,
      mesh: () => this.mesh,
      census: (mesh) => this.#censusTaker.census(mesh),
    });
    this.#caretakers.set(group, caretaker);
    caretaker.start();
    if (group === MESH_GROUP) {
      this.#meshLeader = new MeshLeader({ ...common, presence: this.presence });
      this.#meshLeader.start();
      this.#scheduleKeeper = new ScheduleKeeper({
        mesh: () => replica.machine as MeshMachine,
        router: this.router,
        chooseVoters: () => this.chooseVoters(),
        groupMs: () => common.host.groupMs(replica),
        clock: common.clock,
        log: common.log,
      });
      this.#scheduleKeeper.start();
      return;
    }
    const poolLeader = new PoolLeader({
      ...common,
      specs: this.#specs,
      poolView: () => this.#poolView(group),
      addressesOf: (machine) => this.mesh?.machine(machine)?.addresses ?? [],
      isAllotted: (node) => {
        const allotment = this.mesh?.allotment(node);
        return allotment !== undefined && `pool:${idKey(allotment.pool)}` === group;
      },
      autoScaleView: () => this.#autoScaleView(group),
      proposeToMesh: (command) => this.router.propose(MESH_GROUP, command),
      random: this.#options.random,
    });
    this.#poolLeaders.set(group, poolLeader);
    void poolLeader.start();
  }

  #endLead(group: GroupId): void {
    this.#caretakers.get(group)?.stop();
    this.#caretakers.delete(group);
    this.#poolLeaders.get(group)?.stop();
    this.#poolLeaders.delete(group);
    if (group !== MESH_GROUP) return;
    this.#meshLeader?.stop();
    this.#meshLeader = undefined;
    this.#scheduleKeeper?.stop();
    this.#scheduleKeeper = undefined;
  }

  #poolView(group: GroupId): PoolView {
    const poolKey = group.slice('pool:'.length);
    const pool = this.mesh?.pool(poolKey);
    const mirror =
      pool === undefined
        ? { id: poolKey, exists: false, deleting: false, spec: undefined }
        : { id: pool.spec.id, exists: true, deleting: pool.state === 'deleting', spec: pool.spec };
    const allotments = this.mesh?.allotments(poolKey) ?? NO_ALLOTMENTS;
    return { meshIndex: this.host.replica(MESH_GROUP)?.appliedIndex ?? 0, pool: mirror, allotments };
  }

  #autoScaleView(group: GroupId): AutoScaleView | undefined {
    const { mesh } = this;
    const pool = mesh?.pool(group.slice('pool:'.length));
    if (mesh === undefined || pool?.autoScale === undefined || pool.state !== 'active') return undefined;
    return {
      pool: pool.spec.id,
      settings: pool.autoScale,
      run: pool.autoScaleRun,
      targetDedicatedNodes: pool.targetDedicatedNodes,
      targetLowPriorityNodes: pool.targetLowPriorityNodes,
      meshMs: mesh.timeMs(),
    };
  }

  // --- The mesh group moved -------------------------------------------------------------------------------------------

  /** Once a turn, whatever was applied in it. */
  #meshMoved(): void {
    if (this.#meshChangeDue) return;
    this.#meshChangeDue = true;
    this.#options.clock.soon(() => {
      this.#meshChangeDue = false;
      const mesh = this.mesh;
      if (mesh === undefined || this.#stopped) return;
      this.#options.onMeshChanged(mesh);
      this.#hostGroups(mesh);
      for (const leader of this.#poolLeaders.values()) leader.meshChanged();
      this.#meshLeader?.meshChanged();
      this.#wakeCaretakers();
    });
  }

  #wakeCaretakers(): void {
    for (const caretaker of this.#caretakers.values()) caretaker.wake();
  }

  #hostGroups(mesh: MeshMachine): void {
    const { self, log } = this.#options;
    // One that is still to be opened must not be founded anew beside its own log.
    if (!this.#hasOpened) return;
    for (const { group, founders, voters, generation } of mesh.groups()) {
      if (group === MESH_GROUP) continue;
      this.host.supersede(group, generation);
      if (this.host.replica(group) !== undefined) continue;
      // Founders start alike, from the same first configuration. Whoever came later is given a snapshot by the leader.
      if (!founders.includes(self) || !voters.includes(self)) continue;
      this.host.bootstrap(group, { voters: founders, learners: [] }, generation).catch((error: unknown) => {
        log.error({ group, error: asShoalError(error).message }, 'a group could not be started');
      });
    }
    for (const replica of this.host.replicas.values()) this.#forgetOrphan(mesh, replica);
  }

  /** A group that is gone goes at once; one that this machine has left, when it has stayed out of it for a while. */
  #forgetOrphan(mesh: MeshMachine, { group, raft }: Replica): void {
    if (group === MESH_GROUP || mesh.settings() === undefined) return;
    const record = mesh.group(group);
    if (record === undefined) {
      this.#forget(group);
      return;
    }
    const { self, clock } = this.#options;
    // By the end of the log, not by what is applied: the leader may count on an entry that makes this machine a member again.
    const { voters, learners } = raft.status().configuration;
    const isPart = voters.length === 0 || [...voters, ...learners, ...record.voters].includes(self);
    const sinceMs = isPart ? undefined : (this.#orphanedAtMs.get(group) ?? clock.monotonicMs());
    if (sinceMs === undefined) this.#orphanedAtMs.delete(group);
    else if (clock.monotonicMs() - sinceMs >= ORPHAN_KEPT_MS) this.#forget(group);
    else if (!this.#orphanedAtMs.has(group)) {
      this.#orphanedAtMs.set(group, sinceMs);
      clock.after(ORPHAN_KEPT_MS, () => this.#meshMoved());
    }
  }

  #forget(group: GroupId): void {
    this.#endLead(group);
    this.#orphanedAtMs.delete(group);
    this.#listening.get(group)?.();
    this.#listening.delete(group);
    this.host.drop(group).catch((error: unknown) => {
      this.#options.log.warn({ group, error: asShoalError(error).message }, 'a group could not be removed');
    });
  }
}
