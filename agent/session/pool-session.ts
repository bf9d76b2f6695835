/**
 * This machine's side of one pool: takes assignments, runs them through the lifecycle and the runner, says what became
 * of them until that is acknowledged, and keeps the lease. What the coordinator says is believed only from one whose
 * term is not older than any seen; what it lists is compared with what is here, and the difference is mended.
 */
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { Flow } from '../../src/lib/flow.ts';
import {
  HEARTBEAT_DOUBT_MS,
  HEARTBEAT_INTERVAL_MS,
  REPORT_ITEMS_MAX,
  REPORT_RETRY_MS,
  STARTED_REPORT_DELAY_MS,
  STOP_GRACE_MS,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import type { ReportItem } from '../../src/model/commands.ts';
import type { ExecutionId } from '../../src/model/execution.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import type { NodeFault } from '../../src/model/machine.ts';
import type { MachineLoad } from '../../src/model/machine-load.ts';
import type { StoredTaskSpec } from '../../src/model/node-task.ts';
import type { TaskOutcome } from '../../src/model/task.ts';
import type { Store } from '../../src/store/interface.ts';
import { decode } from '../../src/wire/codec.ts';
import {
  Acknowledgement,
  type Dispatch,
  HEARTBEAT_CHANNEL,
  HEARTBEAT_REQUEST,
  Heartbeat,
  REPORT_REQUEST,
  type Reconcile,
  ReportAnswer,
  ReportBody,
  type Stop,
  TAKEN_CHANNEL,
  Taken,
  upTopic,
} from '../../src/wire/protocol.ts';
import type { Lifecycle } from '../lifecycle/interface.ts';
import { KEPT_LEASE_MS, keptLease } from '../lifecycle/kept-lease.ts';
import type { ExecutionKey, Exit, RunnerClient, RunnerState } from '../runner/interface.ts';
import { type Execution, ExecutionTable } from './execution-table.ts';
import { Outbox } from './outbox.ts';
import { SessionLease } from './session-lease.ts';

export interface PoolSessionOptions {
  /** Lower-case id. */
  readonly pool: string;
  readonly self: MachineId;
  readonly transport: Transport;
  readonly store: Store;
  readonly clock: Clock;
  /** CLOCK_BOOTTIME in milliseconds: what leases count by. */
  readonly bootMs: () => number;
  readonly log: Log;
  readonly runner: RunnerClient;
  readonly lifecycle: Lifecycle;
  /** A request to whoever leads the pool's group. */
  readonly callLeader: (method: string, body: Uint8Array) => Promise<Uint8Array>;
  /** Names this agent's life. */
  readonly life: string;
  /** Why no task can run on a node, where that is so. */
  readonly faultOf: (node: string) => NodeFault | undefined;
  /** Number of the machine's present boot. */
  readonly boot: number;
}

export class PoolSession {
  readonly #options: PoolSessionOptions;
  readonly #table = new ExecutionTable();
  readonly #lease = new SessionLease();
  readonly #outbox: Outbox;
  #nodes: ReadonlySet<string> = new Set();
  readonly #toReport = new Set<Execution>();
  #reporting = false;
  #reportTimer: Timer | undefined;
  readonly #reported = new Flow();
  /** Log index of the last acknowledged report: lists made before it may still hold what it ended. */
  #reportedIndex = 0;
  /** Until the first acknowledgement of this life nothing is known of what an earlier life ended. */
  #knowsFloor = false;
  #closed = false;

  constructor(options: PoolSessionOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.store, options.clock, options.pool);
  }

  get running(): number {
    return this.#table.size;
  }

  /**
   * Goes on with what an earlier life of this agent left: ended, or still in the runner. What neither knows has died with
   * an earlier runner, or was never launched. It is not launched here: an epoch is the number of one execution, so the
   * coordinator has to give it another.
   */
  async resume(runner: RunnerState): Promise<void> {
    const ours = ({ pool }: ExecutionKey): boolean => pool === this.#options.pool;
    const held = [...runner.waiting, ...runner.running.map(({ key }) => key)].filter(ours);
    const known = new Set(held.map(nameOf));
    const exits = new Map(
      runner.exits.filter(({ key }) => ours(key)).map((exit) => [nameOf(exit.key), exit]),
    );
    for (const { assigned, outcome } of await this.#outbox.load()) {
      const execution = this.#table.admit(assigned, true);
      if (execution === undefined) continue;
      const exit = exits.get(execution.key);
      if (outcome !== undefined) this.#settle(execution, outcome);
      else if (exit !== undefined) void this.#finish(execution, exit);
      else if (known.has(execution.key)) {
        execution.phase = 'launched';
        void this.#awaitCoordination(execution);
      } else
        this.#giveUp(
          execution,
          lostOutcome(this.#options.clock.wallMs(), 'The agent died before the task had ended.'),
        );
    }
    // Dropped by the earlier life, which died before it could say so to the runner: somebody else may run them by now.
    for (const key of held) if (this.#table.get(key) === undefined) this.#options.runner.kill(key, 0);
    for (const { key } of runner.exits)
      if (ours(key) && this.#table.get(key) === undefined) this.#options.runner.acknowledge([key]);
    for (const { key, startedAtMs } of runner.running) {
      const execution = ours(key) ? this.#table.get(key) : undefined;
      if (execution !== undefined) this.#noteStart(execution, startedAtMs);
    }
  }

  /** The nodes of the pool that this machine hosts now. What ran on one that is gone is dropped: its slots are not this pool's any more. */
  setNodes(nodes: ReadonlySet<string>): void {
    const isSame = isSameSet(nodes, this.#nodes);
    this.#nodes = nodes;
    for (const execution of [...this.#table.values()])
      if (!nodes.has(execution.assigned.node)) this.#drop(execution);
    // The mesh's word comes with whatever changes there. A node that waits for its first lease must not wait for the beat.
    if (!isSame || !this.#lease.isHeld(this.#options.bootMs())) this.heartbeat();
  }

  close(): void {
    this.#closed = true;
    this.#reportTimer?.cancel();
    for (const execution of this.#table.values()) execution.abort.abort();
    this.#outbox.close();
  }

  // --- Heartbeats and lease -----------------------------------------------------------------------------------------

  /**
   * Says what the nodes run: over the link to the coordinator that acknowledged the last heartbeat, as a publish costs each
   * voter a signature and its way there. Where none is known or it has not answered, by gossip, which needs neither; and
   * by a request too where that brings no answer.
   */
  heartbeat(load?: MachineLoad): void {
    if (this.#nodes.size === 0 || this.#closed) return;
    const { pool, self, life, boot, bootMs, transport, callLeader, faultOf } = this.#options;
    const nowMs = bootMs();
    const sequence = this.#lease.send(nowMs);
    const nodes = [...this.#nodes].map((node) => {
      const fault = faultOf(node);
      return { node, ...this.#table.summary(node), ...(fault === undefined ? {} : { fault }) };
    });
    const said = { pool, machine: self, life, sequence, boot, nodes };
    const body = Heartbeat.encode(
      load === undefined ? said : { ...said, load: { ...load, values: [...load.values] } },
    );
    const silentMs = this.#lease.silentMs(nowMs);
    const { leader } = this.#lease;
    const isTold =
      leader !== undefined &&
      silentMs < HEARTBEAT_DOUBT_MS &&
      transport.send(peerOfMachine(leader), HEARTBEAT_CHANNEL, body);
    if (!isTold) transport.publish(upTopic(pool), body);
    if (silentMs < 2 * HEARTBEAT_INTERVAL_MS) return;
    callLeader(HEARTBEAT_REQUEST, body).then(
      (answer) => this.onAcknowledgement(Acknowledgement.decode(answer)),
      () => undefined, // The next heartbeat tries again; the lease tells when to stop.
    );
  }

  onAcknowledgement({ term, leader, index, heard }: Acknowledgement): void {
    const { self, life, bootMs, runner, pool } = this.#options;
    const own = heard.find((one) => one.machine === self && one.life === life);
    if (own === undefined) return;
    const nowMs = bootMs();
    const lapsed = this.#lease.hasLapsed(nowMs);
    if (!this.#lease.acknowledge(own.sequence, term, leader, nowMs)) return;
    if (lapsed) this.#endLapsed();
    if (lapsed || !this.#knowsFloor) {
      this.#knowsFloor = true;
      this.#table.setFloor(index);
    }
    runner.setLease(pool, this.#lease.remainingMs(nowMs));
    runner.setLease(keptLease(pool), KEPT_LEASE_MS);
  }

  /**
   * The runner ended what ran and what waited there when the lease did. What was on its way to the runner meanwhile must
   * not begin under the new lease: its task may run elsewhere by now. So it is ended before the runner hears of that lease.
   */
  #endLapsed(): void {
    for (const execution of [...this.#table.values()]) {
      if (execution.phase === 'launched') {
        if (execution.assigned.job.onNodeCutOff === 'stop')
          this.#options.runner.kill(this.#keyOf(execution), 0);
      } else if (execution.phase === 'preparing') {
        execution.abort.abort();
        this.#giveUpLapsed(execution);
      }
    }
  }

  #giveUpLapsed(execution: Execution): void {
    const message = 'The lease of the node ended before the task began.';
    this.#giveUp(execution, lostOutcome(this.#options.clock.wallMs(), message));
  }

  // --- Assignments --------------------------------------------------------------------------------------------------

  /** `asked`: it came by stream after this machine named it as missing. Says that the batch was taken. */
  onDispatch(from: string, dispatch: ReturnType<typeof Dispatch.decode>): void {
    if (this.#closed || !this.#lease.noteTerm(dispatch.term)) return;
    // Late by who knows how much: its tasks may run elsewhere by now. What is still wanted comes again after the comparison.
    if (!this.#lease.isHeld(this.#options.bootMs())) return;
    const jobs = new Map(dispatch.jobs.map((job) => [job.number, job]));
    for (const { node, job, task, epoch, spec } of dispatch.items) {
      const described = jobs.get(job);
      if (described === undefined || !this.#nodes.has(node)) continue;
      const asked = this.#askedFor.delete(`${job}/${task}/${epoch}`);
      const execution = this.#table.admit(
        { pool: this.#options.pool, node, job: described, task, epoch, spec: decode(spec) as StoredTaskSpec },
        asked,
      );
      if (execution === undefined) continue;
      void this.#begin(execution, this.#outbox.keepAssigned(execution.assigned));
    }
    this.#options.transport.send(
      from,
      TAKEN_CHANNEL,
      Taken.encode({ pool: this.#options.pool, batch: dispatch.batch }),
    );
  }

  /** Executions that this machine told the coordinator it never got. */
  readonly #askedFor = new Set<string>();

  /**
   * `kept`: its row is written. The runner must have nothing that a next life of this agent would not know of; where the
   * row cannot be written (a full disk) the task is given back.
   */
  async #begin(execution: Execution, kept: Promise<void>): Promise<void> {
    const { lifecycle, runner } = this.#options;
    kept.catch(() => undefined); // It may fail while the inputs are still on their way; then it is looked at below.
    try {
      const prepared = await lifecycle.prepare(execution.assigned, execution.abort.signal);
      await kept;
      if (this.#closed || execution.phase !== 'preparing' || !this.#holds(execution)) return;
      if (execution.stopping) return this.#giveUp(execution, stoppedOutcome(this.#options.clock.wallMs()));
      if (!prepared.ok) return this.#giveUp(execution, prepared.outcome);
      if (!this.#lease.isHeld(this.#options.bootMs())) return this.#giveUpLapsed(execution);
      execution.phase = 'launched';
      runner.launch([prepared.launch]);
      void this.#awaitCoordination(execution);
    } catch (error) {
      if (this.#closed || execution.phase !== 'preparing' || !this.#holds(execution)) return;
      if (execution.stopping) this.#giveUp(execution, stoppedOutcome(this.#options.clock.wallMs()));
      else this.#giveUp(execution, lostOutcome(this.#options.clock.wallMs(), asShoalError(error).message));
    }
  }

  onStop({ node, executions }: ReturnType<typeof Stop.decode>): void {
    for (const id of executions) {
      const execution = this.#table.get(id);
      if (execution !== undefined && execution.assigned.node === node) this.#stop(execution);
    }
  }

  #stop(execution: Execution): void {
    if (execution.stopping) return;
    execution.stopping = true;
    if (execution.phase === 'preparing') execution.abort.abort();
    else if (execution.phase === 'launched') this.#options.runner.kill(this.#keyOf(execution), STOP_GRACE_MS);
  }

  // --- Comparing ----------------------------------------------------------------------------------------------------

  /** Drops what the coordinator does not list, and names what it lists and this machine never got. */
  onReconcile({ node, term, index, executions }: ReturnType<typeof Reconcile.decode>): ExecutionId[] {
    // A list made before our last report was recorded may still hold what that report ended.
    if (this.#closed || !this.#lease.noteTerm(term) || index < this.#reportedIndex || !this.#nodes.has(node))
      return [];
    const listed = new Set(executions.map(({ job, task, epoch }) => `${job}/${task}/${epoch}`));
    for (const execution of [...this.#table.values()]) {
      if (execution.assigned.node !== node || execution.assigned.epoch > index || listed.has(execution.key))
        continue;
      this.#drop(execution);
    }
    const missing = executions.filter((id) => this.#table.get(id) === undefined && !this.#table.hasEnded(id));
    this.#askedFor.clear();
    for (const { job, task, epoch } of missing) this.#askedFor.add(`${job}/${task}/${epoch}`);
    return missing;
  }

  /** The coordinator knows nothing of it (any more): kill, forget, and let what it wrote go. */
  #drop(execution: Execution): void {
    execution.abort.abort();
    this.#toReport.delete(execution);
    this.#table.end(execution);
    this.#outbox.forget(execution.assigned);
    if (execution.phase === 'launched') this.#options.runner.kill(this.#keyOf(execution), 0);
    void this.#options.lifecycle.discard(execution.assigned);
  }

  // --- What the runner says -------------------------------------------------------------------------------------------

  onStarted(key: ExecutionKey, startedAtMs: number): void {
    const execution = this.#table.get(key);
    if (execution !== undefined) this.#noteStart(execution, startedAtMs);
  }

  /** A start is told only if the execution is still running a little later: short ones are one message, not two. */
  #noteStart(execution: Execution, startedAtMs: number): void {
    execution.startedAtMs = startedAtMs;
    this.#options.clock.after(STARTED_REPORT_DELAY_MS, () => {
      if (
        this.#closed ||
        execution.phase !== 'launched' ||
        execution.startReported ||
        !this.#holds(execution)
      )
        return;
      this.#toReport.add(execution);
      void this.#report();
    });
  }

  /** Told at once: all of its task waits for it. */
  async #awaitCoordination(execution: Execution): Promise<void> {
    const { assigned, abort } = execution;
    if (assigned.spec.role !== 'subtask') return;
    const coordinated = await this.#options.lifecycle.coordinated(assigned, abort.signal);
    if (!coordinated || this.#closed || execution.phase !== 'launched' || !this.#holds(execution)) return;
    execution.coordinated = true;
    this.#toReport.add(execution);
    void this.#report();
  }

  onExit(exit: Exit): void {
    const execution = this.#table.get(exit.key);
    if (execution === undefined || execution.phase === 'finishing' || execution.phase === 'reporting') {
      this.#options.runner.acknowledge([exit.key]);
      return;
    }
    void this.#finish(execution, exit);
  }

  /** The runner died, and everything it ran with it. */
  onRunnerLost(): void {
    for (const execution of this.#table.values()) {
      if (execution.phase === 'launched')
        this.#giveUp(
          execution,
          lostOutcome(this.#options.clock.wallMs(), 'The task runner of the machine died.'),
        );
    }
  }

  async #finish(execution: Execution, exit: Exit): Promise<void> {
    stopWaiting(execution);
    execution.phase = 'finishing';
    execution.startedAtMs ??= exit.startedAtMs;
    const outcome = await this.#options.lifecycle.finish(execution.assigned, exit);
    // Dropped meanwhile, perhaps with the whole session: nobody asks for this exit any more.
    if (!this.#holds(execution)) this.#options.runner.acknowledge([exit.key]);
    else if (!this.#closed) this.#settle(execution, outcome);
  }

  // --- Reports --------------------------------------------------------------------------------------------------------

  /** It ends without having come to its end in the runner; what is left in its directory is kept as long as any task's. */
  #giveUp(execution: Execution, outcome: TaskOutcome): void {
    void this.#options.lifecycle.discard(execution.assigned);
    this.#settle(execution, outcome);
  }

  #settle(execution: Execution, outcome: TaskOutcome): void {
    stopWaiting(execution);
    execution.phase = 'reporting';
    execution.outcome = outcome;
    const key = this.#keyOf(execution);
    // The runner may forget the exit once the outbox has it, and not before: the next life asks for it then.
    this.#outbox.keepOutcome(execution.assigned, outcome).then(
      () => this.#options.runner.acknowledge([key]),
      () => undefined,
    );
    this.#toReport.add(execution);
    void this.#report();
  }

  /** One report at a time for each pool; whatever ends meanwhile goes into the next. */
  async #report(): Promise<void> {
    if (this.#reporting || this.#closed) return;
    this.#reporting = true;
    while (this.#toReport.size > 0 && !this.#closed) {
      await this.#gather();
      const node = firstOf(this.#toReport)?.assigned.node ?? '';
      const batch = [...this.#toReport]
        .filter((execution) => execution.assigned.node === node)
        .slice(0, REPORT_ITEMS_MAX);
      if (!(await this.#send(node, batch))) break;
    }
    this.#reporting = false;
  }

  /** Everything that ends in one turn of the loop shares a message; where ends follow each other closely, all of some milliseconds do. */
  #gather(): Promise<void> {
    const { clock } = this.#options;
    const waitMs = this.#reported.waitMs(clock.monotonicMs());
    return new Promise((resolve) => {
      if (waitMs > 0) clock.after(waitMs, resolve);
      else clock.soon(resolve);
    });
  }

  async #send(node: string, batch: readonly Execution[]): Promise<boolean> {
    const sent = batch.map((execution) => ({ execution, item: reportOf(execution) }));
    try {
      const body = ReportBody.encode({
        pool: this.#options.pool,
        node,
        items: sent.map(({ item }) => item) as never,
      });
      const { index, verdicts } = ReportAnswer.decode(await this.#options.callLeader(REPORT_REQUEST, body));
      this.#reportedIndex = Math.max(this.#reportedIndex, index);
      this.#reported.sent(sent.length, this.#options.clock.monotonicMs());
      for (const [position, { execution, item }] of sent.entries()) {
        this.#acknowledged(execution, item, verdicts[position] ?? 'stale');
      }
      return true;
    } catch (error) {
      this.#options.log.debug(
        { pool: this.#options.pool, error: asShoalError(error).message },
        'a report was not taken; it is sent again',
      );
      this.#reportTimer?.cancel();
      this.#reportTimer = this.#options.clock.after(REPORT_RETRY_MS, () => void this.#report());
      return false;
    }
  }

  #acknowledged(execution: Execution, item: ReportItem, verdict: 'recorded' | 'stale'): void {
    if (verdict === 'stale') {
      this.#drop(execution);
      return;
    }
    execution.startReported = true;
    if (item.outcome === undefined) {
      // So much is known; what came meanwhile is still to be told.
      const isAll = execution.outcome === undefined && execution.coordinated === (item.coordinated ?? false);
      if (isAll) this.#toReport.delete(execution);
      return;
    }
    this.#toReport.delete(execution);
    this.#table.end(execution);
    this.#outbox.forget(execution.assigned);
  }

  #holds(execution: Execution): boolean {
    return this.#table.get(idOf(execution)) === execution;
  }

  #keyOf(execution: Execution): ExecutionKey {
    return { pool: this.#options.pool, ...idOf(execution) };
  }
}

/**
 * It comes to its end: nothing is to be prepared for it any more, and nobody asks whether its coordination succeeded. What
 * was launched and is no subtask has neither under way, and to abort for nobody costs a task microseconds.
 */
function stopWaiting({ phase, assigned, abort }: Execution): void {
  if (phase === 'preparing' || assigned.spec.role === 'subtask') abort.abort();
}

function idOf({ assigned }: Execution): ExecutionId {
  return { job: assigned.job.number, task: assigned.task, epoch: assigned.epoch };
}

function nameOf({ job, task, epoch }: ExecutionId): string {
  return `${job}/${task}/${epoch}`;
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const item of a) if (!b.has(item)) return false;
  return true;
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}

function reportOf(execution: Execution): ReportItem {
  const { startedAtMs, coordinated, outcome } = execution;
  return {
    ...idOf(execution),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(coordinated ? { coordinated } : {}),
    ...(outcome === undefined ? {} : { outcome }),
  };
}

function stoppedOutcome(nowMs: number): TaskOutcome {
  return { kind: 'killed', endedAtMs: nowMs, files: [] };
}

function lostOutcome(nowMs: number, message: string): TaskOutcome {
  return {
    kind: 'lost',
    endedAtMs: nowMs,
    files: [],
    failure: { category: 'servererror', code: 'NodeLost', message, details: [] },
  };
}
