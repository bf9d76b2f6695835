/**
 * What the leader of a pool's group does beside Raft, and stops doing the moment it leads no more: mirrors the pool's
 * nodes from the mesh group, assigns ready tasks, brings assignments to agents, hears heartbeats, takes reports, and
 * calls nodes lost. Everything it knows beyond the replicated state (leases, batches under way) may be lost with it:
 * a new leader gives every node one full lease and derives the rest.
 */

import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { Flow } from '../../src/lib/flow.ts';
import {
  ACKNOWLEDGE_DELAY_MS,
  ACKNOWLEDGED_PER_PUBLISH_MAX,
  ASSIGN_ITEMS_MAX,
  PREEMPTED_PER_ROUND_MAX,
  RECONCILE_QUIET_MS,
  SWEEP_ITEMS_MAX,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Prng } from '../../src/lib/prng.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import type {
  Assignment,
  CommandResult,
  MeshCommand,
  Outcome,
  PoolCommand,
} from '../../src/model/commands.ts';
import type { ExecutionId } from '../../src/model/execution.ts';
import { type GroupId, type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import { type Allotment, hostOf, type NodeFault } from '../../src/model/machine.ts';
import type { InstanceHost, StoredTaskSpec } from '../../src/model/node-task.ts';
import { unwrap } from '../../src/model/outcome.ts';
import { decode, encode } from '../../src/wire/codec.ts';
import {
  ACKNOWLEDGEMENT_CHANNEL,
  type Acknowledgement,
  Acknowledgement as AcknowledgementCodec,
  type DispatchItem,
  type DispatchJob,
  DownMessage,
  downTopic,
  type Heartbeat,
  RECONCILE_REQUEST,
  Reconcile,
  ReconcileAnswer,
  ReportAnswer,
  type ReportBody,
  STOP_REQUEST,
  Stop,
} from '../../src/wire/protocol.ts';
import type { PoolEffect } from '../core/interface.ts';
import type { PoolMachine } from '../core/pool/machine.ts';
import { type AutoScaleView, Autoscaler } from './autoscaler.ts';
import { Dispatcher } from './dispatcher.ts';
import type { GroupHost } from './group-host.ts';
import { LeaseBook } from './lease-book.ts';
import { PoolMirrorer, type PoolView } from './pool-mirrorer.ts';
import { type AppliedEntry, type Replica, replicaRows } from './replica.ts';
import type { SpecCache } from './spec-cache.ts';

export interface PoolLeaderOptions {
  readonly replica: Replica;
  readonly host: GroupHost;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly self: MachineId;
  readonly specs: SpecCache;
  readonly poolView: () => PoolView;
  /** Multiaddrs of a machine; none where it is not known here. */
  readonly addressesOf: (machine: MachineId) => readonly string[];
  /** Whether the mesh group, as this machine has it, allots the node to this pool. */
  readonly isAllotted: (node: string) => boolean;
  /** Undefined where the pool is not sized by a formula. */
  readonly autoScaleView: () => AutoScaleView | undefined;
  readonly proposeToMesh: (command: MeshCommand) => Promise<Outcome<unknown>>;
  readonly random: Prng;
}

interface NodeExecution extends ExecutionId {
  readonly node: string;
}

/** Of an instance whose node is gone. */
const NOWHERE: InstanceHost = { address: '0.0.0.0', port: 0, cores: 0 };

interface Heard {
  readonly life: string;
  readonly sequence: number;
  readonly way: 'link' | 'gossip';
}

/** How often the leader looks what is due, and how often in a pool with work or shortly before something is due. */
const CHECK_PERIOD_MS = 1_000;
const CHECK_CLOSE_PERIOD_MS = 200;
/** A check that is this much later than it should be means that this process stood still. */
const STALL_MS = 800;

export class PoolLeader {
  readonly #options: PoolLeaderOptions;
  readonly #leases = new LeaseBook();
  readonly #dispatcher: Dispatcher;
  readonly #autoscaler: Autoscaler;
  readonly #mirror: PoolMirrorer;
  /** Highest heartbeat of each machine, to be acknowledged. */
  readonly #heard = new Map<MachineId, Heard>();
  /** Machines that this leader has acknowledged before. */
  readonly #answered = new Set<MachineId>();
  readonly #lastTrafficMs = new Map<string, number>();
  readonly #reconciling = new Set<string>();
  /** Nodes whose `node.lost` is proposed and not yet applied, and the same of `node.heard`. */
  readonly #losing = new Set<string>();
  readonly #returning = new Set<string>();
  readonly #released = new Set<string>();
  /** The mesh group did not take that nodes are empty, or that the pool is: it is told again at the next look. */
  #releaseDue = false;
  #timers: Timer[] = [];
  #acknowledging = false;
  #started = false;
  #stopped = false;
  #assigning = false;
  #preempting = false;
  readonly #assigned = new Flow();
  #sweeping = false;
  #lastCheckMs = 0;
  #checkDueMs = 0;
  #closeCheck: Timer | undefined;

  constructor(options: PoolLeaderOptions) {
    this.#options = options;
    const { host, replica, transport, clock, log, random, autoScaleView, proposeToMesh } = options;
    const nodes = (): number => options.poolView().allotments.length;
    this.#dispatcher = new Dispatcher({ pool: this.#pool, nodes, transport, clock, log });
    this.#autoscaler = new Autoscaler({
      machine: this.#machine,
      groupMs: () => host.groupMs(replica),
      clock,
      log,
      random,
      view: autoScaleView,
      proposeToMesh,
    });
    this.#mirror = new PoolMirrorer({
      machine: this.#machine,
      view: options.poolView,
      attempt: (command, after) => this.#attempt(command, after),
      onMirrored: (told, removed) => this.#mirrored(told, removed),
    });
  }

  get #groupMs(): number {
    return this.#options.host.groupMs(this.#options.replica);
  }

  get #machine(): PoolMachine {
    return this.#options.replica.machine as PoolMachine;
  }

  get #pool(): string {
    return poolKeyOf(this.#options.replica.group);
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** Begins once a quorum has confirmed the lead and everything older is applied. */
  async start(): Promise<void> {
    try {
      await this.#confirmed();
    } catch {
      return; // Led no longer than an instant.
    }
    if (this.#stopped) return;
    this.#started = true;
    this.#lastCheckMs = this.#nowMs;
    this.#checkDueMs = this.#nowMs + CHECK_PERIOD_MS;
    for (const node of this.#machine.nodeIds()) this.#leases.ensure(node, this.#nowMs);
    this.#timers.push(every(this.#options.clock, CHECK_PERIOD_MS, () => this.#check()));
    this.meshChanged();
    this.#resumeStops();
    this.#releaseEmptyNodes();
    this.#assign();
  }

  stop(): void {
    this.#stopped = true;
    this.#mirror.stop();
    for (const timer of this.#timers.splice(0)) timer.cancel();
    this.#closeCheck?.cancel();
    this.#dispatcher.stop();
    this.#autoscaler.stop();
    // Whoever leads next begins without, and so does this machine when it leads again.
    this.#machine.loads.forget();
  }

  // --- The replicated state moved -----------------------------------------------------------------------------------

  onApplied(entries: readonly AppliedEntry[]): void {
    if (!this.#started || this.#stopped) return;
    const dispatches: Extract<PoolEffect, { kind: 'dispatch' }>[] = [];
    const stops: Extract<PoolEffect, { kind: 'stop' }>[] = [];
    for (const { applied } of entries) {
      for (const effect of applied.effects as readonly PoolEffect[]) {
        if (effect.kind === 'dispatch') dispatches.push(effect);
        else if (effect.kind === 'stop') stops.push(effect);
        else if (effect.kind === 'nodeEmpty') this.#release(effect.node);
        else if (effect.kind === 'jobGone') this.#releaseJob(effect.job);
        else this.#erase();
      }
    }
    if (dispatches.length > 0) void this.#dispatch(dispatches);
    if (stops.length > 0) this.#stop(stops);
    this.#assign();
    this.#autoscaler.poolMoved();
    this.#checkSoon();
  }

  #propose<C extends PoolCommand>(command: C): Promise<CommandResult<C['kind']>> {
    const { replica, host } = this.#options;
    const proposed = replica.propose(null, command);
    host.wake(replica);
    return proposed.then(({ outcome }) => outcome as CommandResult<C['kind']>);
  }

  /** A proposal of our own loops: it fails only with the lead, and then the next leader does the same. */
  #attempt(command: PoolCommand, after: (isTaken: boolean) => void): void {
    const taken = (): void => after(true);
    this.#propose(command).then(taken, (error: unknown) => {
      after(false);
      this.#options.log.debug(
        { group: this.#options.replica.group, command: command.kind, error: asShoalError(error).message },
        'a proposal of the coordinator was not taken',
      );
    });
  }

  // --- Assigning ----------------------------------------------------------------------------------------------------

  /** One assign command at a time: the next is placed on a state that knows the last. */
  #assign(): void {
    if (this.#assigning || this.#stopped) return;
    const waitMs = this.#assigned.waitMs(this.#nowMs);
    if (waitMs > 0) {
      this.#assigning = true;
      this.#options.clock.after(waitMs, () => {
        this.#assigning = false;
        this.#assign();
      });
      return;
    }
    const items: readonly Assignment[] = this.#machine.place({ limit: ASSIGN_ITEMS_MAX });
    if (items.length === 0) return;
    this.#assigning = true;
    this.#attempt({ kind: 'assign', items }, () => {
      this.#assigning = false;
      this.#assigned.sent(items.length, this.#nowMs);
      if (!this.#stopped) this.#assign();
    });
  }

  /** With each check, and after all that has a place was assigned: what is free does before anything is stopped. */
  #preempt(): void {
    if (this.#preempting || this.#assigning) return;
    const items = this.#machine.preemptions({ limit: PREEMPTED_PER_ROUND_MAX });
    if (items.length === 0) return;
    this.#preempting = true;
    this.#attempt({ kind: 'preempt', items }, () => {
      this.#preempting = false;
    });
  }

  async #dispatch(effects: readonly Extract<PoolEffect, { kind: 'dispatch' }>[]): Promise<void> {
    const { specs, replica, host } = this.#options;
    const found = await specs.load(replicaRows(replica, host.store), replica.group, effects);
    if (this.#stopped) return;
    const jobs = new Map<number, DispatchJob>();
    const items = new Map<MachineId, DispatchItem[]>();
    effects.forEach(({ node, job, task, epoch }, position) => {
      const stored = found[position];
      const info = this.#machine.node(node);
      const spec = stored && this.#toDispatch({ node, job, task, epoch }, stored);
      // One without is not forgotten: the node is compared with its next heartbeat.
      if (spec === undefined || info === undefined) return;
      this.#lastTrafficMs.set(node, this.#nowMs);
      if (!jobs.has(job)) {
        const described = this.#machine.dispatchJob(job);
        if (described === undefined) return;
        jobs.set(job, described);
      }
      const list = items.get(info.machine);
      const item = { node, job, task, epoch, spec };
      if (list === undefined) items.set(info.machine, [item]);
      else list.push(item);
    });
    this.#dispatcher.dispatch(replica.leadership.term, items, jobs);
  }

  /**
   * A task's constraints may have been changed since it was added, and one of several instances must know where the
   * others are; the row of its specification is never written again. Undefined where a machine is not known here yet. One
   * that is to be stopped goes even so, for a node may be gone by now: its agent must have it to say that it has ended.
   */
  #toDispatch(execution: NodeExecution, stored: Uint8Array): Uint8Array | undefined {
    const { job, task } = execution;
    const constraints = this.#machine.updatedConstraints(job, task);
    const gang = this.#machine.gangOf(job, task);
    if (constraints === undefined && gang === undefined) return stored;
    const hosts = gang?.nodes.map((node) => this.#hostOf(node));
    if (hosts?.includes(undefined) === true && !this.#isStopping(execution)) return undefined;
    return encode({
      ...(decode(stored) as StoredTaskSpec),
      ...(constraints === undefined ? {} : { constraints }),
      ...(gang === undefined ? {} : { gang, hosts: hosts?.map((host) => host ?? NOWHERE) }),
    });
  }

  #isStopping({ node, job, task, epoch }: NodeExecution): boolean {
    for (const execution of this.#machine.executions(node))
      if (execution.job === job && execution.task === task && execution.epoch === epoch)
        return execution.stop;
    return false;
  }

  #hostOf(node: string): InstanceHost | undefined {
    const info = this.#machine.node(node);
    const host = info && hostOf(this.#options.addressesOf(info.machine));
    return info && host && { ...host, cores: info.cores };
  }

  onTaken(from: string, batch: number): void {
    this.#dispatcher.taken(from, batch);
  }

  // --- Stopping -----------------------------------------------------------------------------------------------------

  #stop(stopped: readonly NodeExecution[]): void {
    const byNode = new Map<string, ExecutionId[]>();
    for (const { node, job, task, epoch } of stopped) {
      const list = byNode.get(node) ?? [];
      list.push({ job, task, epoch });
      byNode.set(node, list);
    }
    for (const [node, executions] of byNode) {
      const info = this.#machine.node(node);
      if (info === undefined) continue;
      const body = Stop.encode({ pool: this.#pool, node, executions });
      // Lost on the way, it is said again with the node's next heartbeat: see #resumeStops.
      this.#options.transport.request(peerOfMachine(info.machine), STOP_REQUEST, body).catch(() => undefined);
    }
  }

  #resumeStops(onlyNode?: string): void {
    const stopped: NodeExecution[] = [];
    for (const node of onlyNode === undefined ? this.#machine.nodeIds() : [onlyNode]) {
      if (!this.#machine.hasStops(node)) continue;
      for (const { job, task, epoch, stop } of this.#machine.executions(node))
        if (stop) stopped.push({ node, job, task, epoch });
    }
    if (stopped.length > 0) this.#stop(stopped);
  }

  // --- Hearing ------------------------------------------------------------------------------------------------------

  /** Takes a heartbeat. False if it may not be acknowledged; else `acknowledgeSoon` and `acknowledge` do so. */
  onHeartbeat(from: string, heartbeat: Heartbeat, way: 'link' | 'gossip' = 'link'): boolean {
    const { machine, life, sequence, nodes, load } = heartbeat;
    if (!this.#started || this.#stopped || peerOfMachine(machine) !== from) return false;
    const hosted = nodes.filter(({ node }) => this.#machine.node(node)?.machine === machine);
    if (hosted.length === 0 || this.#isWithheld(machine, hosted)) return false;
    if (this.#noteBoots({ from, heartbeat, way }, hosted)) return false;
    for (const { node, digest, fault } of hosted) this.#hearNode(node, digest, fault);
    this.#heard.set(machine, { life, sequence, way });
    if (load !== undefined) this.#machine.loads.note(machine, load, this.#groupMs);
    return true;
  }

  /**
   * A machine that was booted anew gets no lease before the log says so: what that entry ends, and what was assigned
   * before it, is then older than the first acknowledgement, and its agent takes none of it up. True where one waits;
   * the same heartbeat is heard again as soon as that is done.
   */
  #noteBoots(
    { from, heartbeat, way }: { from: string; heartbeat: Heartbeat; way: 'link' | 'gossip' },
    hosted: Heartbeat['nodes'],
  ): boolean {
    const { boot } = heartbeat;
    if (boot === undefined) return false;
    const bootOf = (node: string): number => this.#machine.node(node)?.boot ?? -1;
    // A late copy, from before the machine was booted.
    if (hosted.some(({ node }) => bootOf(node) > boot)) return true;
    const isKnown = (node: string): boolean => bootOf(node) === boot;
    const unknown = hosted.filter(({ node }) => !isKnown(node));
    for (const { node } of unknown)
      this.#return(node, { boot }, () => {
        if (this.#stopped || !isKnown(node)) return;
        if (this.onHeartbeat(from, heartbeat, way)) this.acknowledgeSoon();
      });
    return unknown.length > 0;
  }

  #return(node: string, said: { boot?: number; fault?: NodeFault | null }, after?: () => void): void {
    if (this.#returning.has(node)) return;
    this.#returning.add(node);
    this.#attempt({ kind: 'node.heard', node, ...said }, () => {
      this.#returning.delete(node);
      after?.();
    });
  }

  /**
   * One lease covers all nodes that a machine hosts of the pool, so none may be prolonged while one of them must end: a
   * node that the mesh group took back, or one whose loss is on its way into the log and will requeue what it runs.
   */
  #isWithheld(machine: MachineId, hosted: Heartbeat['nodes']): boolean {
    if (this.#machine.nodesOf(machine).some((node) => this.#losing.has(node))) return true;
    return hosted.some(({ node }) => !this.#options.isAllotted(node));
  }

  #hearNode(node: string, digest: number, fault: NodeFault | undefined): void {
    this.#leases.extend(node, this.#nowMs);
    const known = this.#machine.node(node);
    const isNews = known?.fault?.code !== fault?.code || known?.fault?.message !== fault?.message;
    if (known?.state === 'unknown' || isNews) this.#return(node, isNews ? { fault: fault ?? null } : {});
    if (this.#machine.hasStops(node)) this.#resumeStops(node);
    if (this.#machine.digest(node) === digest) return;
    const quietMs = this.#nowMs - (this.#lastTrafficMs.get(node) ?? 0);
    if (quietMs >= RECONCILE_QUIET_MS) void this.#reconcile(node);
  }

  /** Heartbeats of a while are acknowledged under one proof of the lead. */
  acknowledgeSoon(): void {
    if (this.#acknowledging || this.#stopped) return;
    this.#acknowledging = true;
    this.#options.clock.after(ACKNOWLEDGE_DELAY_MS, () => {
      this.#acknowledging = false;
      if (this.#stopped || this.#heard.size === 0) return;
      const heard = [...this.#heard];
      this.#heard.clear();
      this.#confirmed().then(
        () => {
          if (!this.#stopped) this.#sendAcknowledgements(heard);
        },
        () => undefined, // Deposed: the next coordinator acknowledges.
      );
    });
  }

  /**
   * To each machine its own, over its link: in a publish all of them would read what is meant for one, so that each
   * second of a pool would cost the square of its machines. Who had to ask by gossip is answered by gossip too, for its
   * link may be what fails; but not the first time, when it only does not know yet who leads.
   */
  #sendAcknowledgements(heard: readonly (readonly [MachineId, Heard])[]): void {
    const { transport } = this.#options;
    const doubtful: (readonly [MachineId, Heard])[] = [];
    for (const one of heard) {
      const [machine, { way }] = one;
      const bytes = AcknowledgementCodec.encode(this.#acknowledgement([one]));
      const isSent = transport.send(peerOfMachine(machine), ACKNOWLEDGEMENT_CHANNEL, bytes);
      if (!isSent || (way === 'gossip' && this.#answered.has(machine))) doubtful.push(one);
      this.#answered.add(machine);
    }
    for (let from = 0; from < doubtful.length; from += ACKNOWLEDGED_PER_PUBLISH_MAX) {
      const some = doubtful.slice(from, from + ACKNOWLEDGED_PER_PUBLISH_MAX);
      const acknowledgement = AcknowledgementCodec.encode(this.#acknowledgement(some));
      transport.publish(
        downTopic(this.#pool),
        DownMessage.encode({ pool: this.#pool, acknowledgement, dispatches: [] }),
      );
    }
  }

  /** The acknowledgement of one heartbeat that came by stream; undefined where there is none to give. */
  async acknowledge(from: string, heartbeat: Heartbeat): Promise<Acknowledgement | undefined> {
    if (!this.onHeartbeat(from, heartbeat)) return undefined;
    await this.#confirmed();
    const { machine, life, sequence } = heartbeat;
    return this.#acknowledgement([[machine, { life, sequence }]]);
  }

  /**
   * Resolves once a quorum has said that this machine still leads. A coordinator that is cut off notices only after an
   * election timeout; what it heard meanwhile must prolong no lease, for its successor counts from its own election.
   */
  #confirmed(): Promise<void> {
    const { replica, host } = this.#options;
    const confirmed = replica.confirmRead();
    host.wake(replica);
    return confirmed;
  }

  #acknowledgement(
    heard: Iterable<readonly [MachineId, { life: string; sequence: number }]>,
  ): Acknowledgement {
    const { replica, self } = this.#options;
    return {
      pool: this.#pool,
      term: replica.leadership.term,
      leader: self,
      index: replica.appliedIndex,
      heard: [...heard].map(([machine, { life, sequence }]) => ({ machine, life, sequence })),
    };
  }

  // --- Comparing ----------------------------------------------------------------------------------------------------

  /** Sends the node all that it should run; what it never got is dispatched again. */
  async #reconcile(node: string): Promise<void> {
    const info = this.#machine.node(node);
    if (info === undefined || this.#reconciling.has(node)) return;
    this.#reconciling.add(node);
    const { replica, transport } = this.#options;
    const executions = [...this.#machine.executions(node)].map(({ job, task, epoch }) => ({
      job,
      task,
      epoch,
    }));
    const body = Reconcile.encode({
      pool: this.#pool,
      node,
      term: replica.leadership.term,
      index: replica.appliedIndex,
      executions,
    });
    try {
      const { missing } = ReconcileAnswer.decode(
        await transport.request(peerOfMachine(info.machine), RECONCILE_REQUEST, body),
      );
      const still = new Set(
        [...this.#machine.executions(node)].map(({ job, task, epoch }) => `${job}/${task}/${epoch}`),
      );
      const again = missing.filter(({ job, task, epoch }) => still.has(`${job}/${task}/${epoch}`));
      if (again.length > 0 && !this.#stopped)
        await this.#dispatch(again.map((execution) => ({ kind: 'dispatch', node, ...execution })));
    } catch (error) {
      this.#options.log.debug(
        { node, error: asShoalError(error).message },
        'a node could not be compared; the next heartbeat tries again',
      );
    } finally {
      this.#reconciling.delete(node);
    }
  }

  // --- Reports ------------------------------------------------------------------------------------------------------

  /** Records what an agent says became of its executions. Resolves when that is committed. */
  async onReport(from: string, report: ReturnType<typeof ReportBody.decode>): Promise<Uint8Array> {
    const info = this.#machine.node(report.node);
    if (info !== undefined && peerOfMachine(info.machine) !== from)
      throw new ShoalError('NotAMember', `The node ${report.node} is not on this machine.`);
    this.#lastTrafficMs.set(report.node, this.#nowMs);
    const { replica, host } = this.#options;
    const proposed = replica.propose(null, {
      kind: 'report',
      node: report.node,
      items: report.items as never,
    });
    host.wake(replica);
    const { outcome, index } = await proposed;
    const verdicts = unwrap(outcome) as readonly ('recorded' | 'stale')[];
    return ReportAnswer.encode({
      index,
      verdicts: [...verdicts],
    });
  }

  // --- Time ---------------------------------------------------------------------------------------------------------

  #check(): void {
    const nowMs = this.#nowMs;
    // While this process stood still nobody could be heard: what is in the sockets is read before anybody is judged.
    if (nowMs - this.#checkDueMs > STALL_MS) this.#leases.forgive(nowMs - this.#lastCheckMs);
    this.#lastCheckMs = nowMs;
    this.#checkDueMs = nowMs + CHECK_PERIOD_MS;
    for (const node of this.#leases.nodes()) if (this.#leases.isOver(node, nowMs)) this.#lose(node);
    const sweepInMs = (this.#machine.dueAtMs() ?? Number.POSITIVE_INFINITY) - this.#groupMs;
    if (sweepInMs <= 0 && !this.#sweeping) {
      this.#sweeping = true;
      this.#attempt({ kind: 'sweep', limit: SWEEP_ITEMS_MAX }, () => {
        this.#sweeping = false;
      });
    }
    this.#preempt();
    if (this.#mirror.isDue) this.meshChanged();
    if (this.#releaseDue) this.#releaseEmptyNodes();
    const hasWork = this.#machine.countOutstanding() > 0 || this.#mirror.isDue;
    if (hasWork || sweepInMs <= CHECK_PERIOD_MS || this.#leases.endWithin(CHECK_PERIOD_MS, nowMs))
      this.#checkSoon();
  }

  #checkSoon(): void {
    if (this.#closeCheck !== undefined || this.#stopped) return;
    this.#checkDueMs = Math.min(this.#checkDueMs, this.#nowMs + CHECK_CLOSE_PERIOD_MS);
    this.#closeCheck = this.#options.clock.after(CHECK_CLOSE_PERIOD_MS, () => {
      this.#closeCheck = undefined;
      this.#check();
    });
  }

  #lose(node: string): void {
    const info = this.#machine.node(node);
    if (info === undefined) {
      this.#leases.forget(node);
      return;
    }
    if (info.state === 'unknown' || this.#losing.has(node)) return;
    this.#losing.add(node);
    this.#options.log.warn(
      { node, machine: info.machine },
      'the lease of a node is over: its tasks run elsewhere',
    );
    this.#attempt({ kind: 'node.lost', node }, () => {
      this.#losing.delete(node);
      this.#mirror.isDue = true;
    });
  }

  // --- The mesh group's view ------------------------------------------------------------------------------------------

  meshChanged(): void {
    if (!this.#started || this.#stopped) return;
    this.#autoscaler.wake();
    this.#mirror.update();
  }

  #mirrored(told: readonly Allotment[], removed: readonly string[]): void {
    for (const { node } of told) this.#leases.ensure(node, this.#nowMs);
    for (const node of removed) this.#leases.forget(node);
    this.#releaseEmptyNodes();
  }

  #releaseEmptyNodes(): void {
    this.#releaseDue = false;
    for (const node of this.#machine.nodeIds()) if (this.#machine.isReleasable(node)) this.#release(node);
    if (this.#machine.isErasable()) this.#erase();
  }

  #release(node: string): void {
    if (this.#released.has(node)) return;
    this.#released.add(node);
    this.#options.proposeToMesh({ kind: 'node.released', nodes: [node] }).catch(() => {
      this.#released.delete(node);
      this.#releaseDue = true;
    });
  }

  #releaseJob(job: string): void {
    const { pool } = this.#options.poolView();
    this.#options.proposeToMesh({ kind: 'job.release', job, pool: pool.id }).catch(() => undefined);
  }

  #erase(): void {
    const { pool } = this.#options.poolView();
    if (pool.exists && pool.deleting)
      this.#options.proposeToMesh({ kind: 'pool.erase', pool: pool.id }).catch(() => {
        this.#releaseDue = true;
      });
  }
}

function poolKeyOf(group: GroupId): string {
  return group.slice('pool:'.length);
}
