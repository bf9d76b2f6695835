/** All pool sessions of this machine: made and ended as the mesh group allots nodes, fed by runner and network. */
import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { HEARTBEAT_INTERVAL_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { idKey, type MachineId } from '../../src/model/ids.ts';
import type { Allotment, NodeFault } from '../../src/model/machine.ts';
import type { MachineLoad } from '../../src/model/machine-load.ts';
import type { Store } from '../../src/store/interface.ts';
import { encode } from '../../src/wire/codec.ts';
import {
  ACKNOWLEDGEMENT_CHANNEL,
  Acknowledgement,
  DISPATCH_REQUEST,
  Dispatch,
  DownMessage,
  downTopic,
  RECONCILE_REQUEST,
  Reconcile,
  ReconcileAnswer,
  STOP_REQUEST,
  Stop,
} from '../../src/wire/protocol.ts';
import type { Lifecycle } from '../lifecycle/interface.ts';
import type { Exit, NodeSetup, RunnerClient, RunnerState, Running } from '../runner/interface.ts';
import { PoolSession } from './pool-session.ts';

export interface SessionsOptions {
  readonly self: MachineId;
  readonly transport: Transport;
  readonly store: Store;
  readonly clock: Clock;
  /** CLOCK_BOOTTIME in milliseconds: what leases count by. */
  readonly bootMs: () => number;
  readonly log: Log;
  readonly runner: RunnerClient;
  readonly lifecycle: Lifecycle;
  readonly callLeader: (pool: string, method: string, body: Uint8Array) => Promise<Uint8Array>;
  /** May this peer coordinate the pool? It must vote in its group. */
  readonly mayCoordinate: (pool: string, peer: string) => boolean;
  readonly nodeSetup: (allotment: Allotment) => NodeSetup;
  readonly life: string;
  /** How busy this machine is, where that is to be told now. */
  readonly load: () => MachineLoad | undefined;
  /** Why no task can run on a node, where that is so. */
  readonly faultOf: (node: string) => NodeFault | undefined;
  /** Number of the machine's present boot. */
  readonly boot: number;
}

interface Hosted {
  readonly session: PoolSession;
  readonly unsubscribe: () => void;
  readonly ready: Promise<void>;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #pools = new Map<string, Hosted>();
  readonly #setups = new Map<string, { readonly setup: NodeSetup; readonly text: string }>();
  /** What the runner had when this life began, and the ends it told since of pools whose session was not there yet. */
  #runnerState: RunnerState = { waiting: [], running: [], exits: [] };
  #knowsAllotments = false;
  #timer: Timer | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { runner, transport, clock } = this.#options;
    this.#runnerState = await runner.attach({
      onStarted: (running) => this.#onStarted(running),
      onExit: (exit) => this.#onExit(exit),
      onLost: () => this.#onLost(),
    });
    transport.onRequest(DISPATCH_REQUEST, async (from, payload) => {
      this.#onDispatch(from, payload);
      return encode(null);
    });
    transport.onMessage(ACKNOWLEDGEMENT_CHANNEL, (from, payload) =>
      this.#guarded(from, () => {
        const acknowledgement = Acknowledgement.decode(payload);
        this.#coordinated(acknowledgement.pool, from)?.onAcknowledgement(acknowledgement);
      }),
    );
    transport.onRequest(STOP_REQUEST, async (from, payload) => {
      const stop = Stop.decode(payload);
      this.#coordinated(stop.pool, from)?.onStop(stop);
      return encode(null);
    });
    transport.onRequest(RECONCILE_REQUEST, async (from, payload) => {
      const list = Reconcile.decode(payload);
      return ReconcileAnswer.encode({ missing: this.#coordinated(list.pool, from)?.onReconcile(list) ?? [] });
    });
    this.#timer = every(clock, HEARTBEAT_INTERVAL_MS, () => {
      const load = this.#options.load();
      for (const { session } of this.#pools.values()) session.heartbeat(load);
    });
  }

  stop(): void {
    this.#timer?.cancel();
    for (const { session, unsubscribe } of this.#pools.values()) {
      unsubscribe();
      session.close();
    }
    this.#pools.clear();
  }

  /** Executions that this machine holds, of all pools. */
  get held(): number {
    let sum = 0;
    for (const { session } of this.#pools.values()) sum += session.running;
    return sum;
  }

  /** The mesh group's word on which nodes this machine hosts. */
  setAllotments(allotments: readonly Allotment[]): void {
    this.#knowsAllotments = true;
    const nodesByPool = new Map<string, Set<string>>();
    const present = new Set<string>();
    for (const allotment of allotments) {
      const pool = idKey(allotment.pool);
      nodesByPool.set(pool, (nodesByPool.get(pool) ?? new Set()).add(allotment.node));
      present.add(allotment.node);
      this.#configure(allotment);
    }
    this.#acknowledgeStrangers(nodesByPool);
    for (const node of [...this.#setups.keys()]) {
      if (present.has(node)) continue;
      this.#setups.delete(node);
      this.#options.runner.removeNode(node);
    }
    for (const [pool, nodes] of nodesByPool)
      void this.#host(pool).ready.then(() => this.#pools.get(pool)?.session.setNodes(nodes));
    for (const [pool, hosted] of [...this.#pools]) {
      if (nodesByPool.has(pool)) continue;
      hosted.session.setNodes(new Set());
      hosted.session.close();
      hosted.unsubscribe();
      this.#pools.delete(pool);
    }
  }

  /** Ends of pools that this machine hosted when its last life ended, and hosts no more: no session asks for them. */
  #acknowledgeStrangers(hosted: ReadonlyMap<string, unknown>): void {
    const isStrange = ({ key }: Exit): boolean => !hosted.has(key.pool) && !this.#pools.has(key.pool);
    const { exits } = this.#runnerState;
    const strange = exits.filter(isStrange);
    if (strange.length === 0) return;
    this.#runnerState = { ...this.#runnerState, exits: exits.filter((exit) => !isStrange(exit)) };
    this.#options.runner.acknowledge(strange.map(({ key }) => key));
  }

  #configure(allotment: Allotment): void {
    const setup = this.#options.nodeSetup(allotment);
    const text = JSON.stringify(setup);
    if (this.#setups.get(allotment.node)?.text === text) return;
    this.#setups.set(allotment.node, { setup, text });
    this.#options.runner.configureNode(setup);
  }

  /** Kills what is left on the node in the runner, whoever started it; `meanwhile` runs while nothing can start there. */
  async restartNode(node: string, meanwhile: () => Promise<void>): Promise<void> {
    const { runner } = this.#options;
    runner.removeNode(node);
    try {
      await meanwhile();
    } finally {
      const present = this.#setups.get(node);
      if (present !== undefined) runner.configureNode(present.setup);
    }
  }

  #host(pool: string): Hosted {
    const present = this.#pools.get(pool);
    if (present !== undefined) return present;
    const { callLeader, transport, ...common } = this.#options;
    const session = new PoolSession({
      ...common,
      transport,
      pool,
      callLeader: (method, body) => callLeader(pool, method, body),
    });
    const hosted = {
      session,
      unsubscribe: transport.subscribe(downTopic(pool), (from, payload) => this.#onDown(pool, from, payload)),
      ready: session.resume(this.#runnerState),
    };
    this.#pools.set(pool, hosted);
    return hosted;
  }

  #coordinated(pool: string, from: string): PoolSession | undefined {
    if (!this.#options.mayCoordinate(pool, from)) {
      this.#options.log.warn(
        { pool, from },
        'a peer that does not vote in the pool spoke as its coordinator',
      );
      return undefined;
    }
    return this.#pools.get(pool)?.session;
  }

  #onDown(pool: string, from: string, payload: Uint8Array): void {
    this.#guarded(from, () => {
      const { acknowledgement, dispatches } = DownMessage.decode(payload);
      const session = this.#coordinated(pool, from);
      if (acknowledgement !== null) session?.onAcknowledgement(Acknowledgement.decode(acknowledgement));
      for (const { machine, body } of dispatches)
        if (machine === this.#options.self) this.#onDispatch(from, body);
    });
  }

  #guarded(from: string, handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#options.log.warn({ from, error: asShoalError(error).message }, 'a message was refused');
    }
  }

  #onDispatch(from: string, body: Uint8Array): void {
    const dispatch = Dispatch.decode(body);
    this.#coordinated(dispatch.pool, from)?.onDispatch(from, dispatch);
  }

  #onStarted(running: Running): void {
    this.#pools.get(running.key.pool)?.session.onStarted(running.key, running.startedAtMs);
  }

  #onExit(exit: Exit): void {
    const hosted = this.#pools.get(exit.key.pool);
    // A session that does not know yet what it holds would take it for nothing of its own.
    if (hosted !== undefined) void hosted.ready.then(() => hosted.session.onExit(exit));
    else if (this.#knowsAllotments) this.#options.runner.acknowledge([exit.key]);
    else this.#runnerState = { ...this.#runnerState, exits: [...this.#runnerState.exits, exit] };
  }

  #onLost(): void {
    this.#runnerState = { ...this.#runnerState, waiting: [], running: [] };
    for (const { session, ready } of this.#pools.values()) void ready.then(() => session.onRunnerLost());
  }
}
