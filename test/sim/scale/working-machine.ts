/**
 * A machine that runs tasks: the real sessions, outbox and router, a runner without processes, and a learner of the mesh
 * group that reads what the group said in another machine's copy (see mesh-follower.ts).
 */
import { Sessions } from '../../../agent/session/sessions.ts';
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import { GroupHost } from '../../../coordinator/driver/group-host.ts';
import { Router } from '../../../coordinator/driver/router.ts';
import { createStateMachine } from '../../../coordinator/driver/state-machines.ts';
import type { ShoalError } from '../../../src/lib/errors.ts';
import { withLoopback } from '../../../src/mesh/loopback.ts';
import type { MachineOffer } from '../../../src/model/commands.ts';
import { type MachineId, machineId, peerOfMachine, poolGroup } from '../../../src/model/ids.ts';
import { openMemoryStore } from '../../../src/store/memory-store.ts';
import { SimLifecycle } from '../world/sim-lifecycle.ts';
import { type ProcessWatcher, SimRunner } from '../world/sim-runner.ts';
import { SimRunnerClient } from '../world/sim-runner-client.ts';
import { Scope } from '../world/virtual-time.ts';
import { clockOf, type MachineOptions, offerOf } from './deciding-machine.ts';
import { MeshFollower } from './mesh-follower.ts';
import type { Ledger } from './meter.ts';

export const WORKER_LABEL = 'worker';
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export interface WorkingOptions extends MachineOptions {
  /** A copy of the mesh group's state that somebody keeps. */
  readonly mesh: () => MeshMachine;
  readonly watcher: ProcessWatcher;
  readonly onFatal: (error: ShoalError) => void;
}

export class WorkingMachine {
  readonly id: MachineId;
  readonly offer: MachineOffer;
  readonly ledger: Ledger;
  readonly sessions: Sessions;
  #allotments: unknown;
  readonly #mesh: () => MeshMachine;

  constructor(options: WorkingOptions) {
    const { peer, name, number, time, network, ledger, random, mesh, watcher } = options;
    const scope = new Scope(name, number);
    const clock = clockOf(time, scope, random);
    const store = openMemoryStore();
    this.id = machineId(peer, store.incarnation);
    this.offer = offerOf(this.id, options, [WORKER_LABEL]);
    this.ledger = ledger;
    this.#mesh = mesh;
    const port = network.open({ self: peer, scope, ledger, hearsArrivals: false });
    const transport = withLoopback(port, clock);
    new MeshFollower(this.id, transport);
    const host = new GroupHost({
      self: this.id,
      transport,
      store,
      clock,
      random: random.fork(),
      log: SILENT,
      createMachine: createStateMachine,
      mayHost: () => false,
      isMember: () => true,
      onApplied: () => undefined,
      onLeadership: () => undefined,
      onTurn: () => undefined,
      onInstalled: () => undefined,
      onSuperseded: () => undefined,
      onFatal: options.onFatal,
    });
    let requests = 0;
    const router = new Router({
      self: this.id,
      host,
      transport,
      clock,
      peersToAsk: (group) => (mesh().group(group)?.voters ?? []).map(peerOfMachine),
      isKnown: () => true,
      random: random.fork(),
      newRequestId: () => `${name}-${requests++}`,
    });
    const runner = new SimRunner({
      machine: name,
      clock,
      random: random.fork(),
      watcher,
      journal: new Map(),
    });
    this.sessions = new Sessions({
      self: this.id,
      transport,
      store,
      clock,
      log: SILENT,
      runner: new SimRunnerClient({
        time,
        scope,
        clock,
        random: random.fork(),
        runner: () => ({ runner, scope }),
      }),
      lifecycle: new SimLifecycle(clock, random.fork()),
      callLeader: (pool, method, body) => router.request(poolGroup(pool), method, body),
      mayCoordinate: (pool, from) =>
        mesh()
          .group(poolGroup(pool))
          ?.voters.some((voter) => peerOfMachine(voter) === from) ?? false,
      nodeSetup: ({ node, slots }) => ({
        node,
        slots,
        environment: {},
        uid: undefined,
        gid: undefined,
        rootDirectory: '/simulated',
        memoryBytesMax: undefined,
      }),
      // As long as the real one's.
      life: name.padEnd(36, '-'),
      boot: 1,
      load: () => undefined,
      faultOf: () => undefined,
      bootMs: () => clock.bootMs(),
    });
  }

  /** The mesh group moved. */
  meshChanged(): void {
    const allotments = [...this.#mesh().allotmentsOn(this.id)];
    const text = JSON.stringify(allotments);
    if (text === this.#allotments) return;
    this.#allotments = text;
    this.sessions.setAllotments(allotments);
  }
}
