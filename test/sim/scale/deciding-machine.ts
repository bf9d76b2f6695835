/** A machine that votes: the whole real coordinator over a real store in memory, without tasks of its own. */
import { Coordinator } from '../../../coordinator/driver/coordinator.ts';
import type { ShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { withLoopback } from '../../../src/mesh/loopback.ts';
import type { MachineOffer } from '../../../src/model/commands.ts';
import { type MachineId, MESH_GROUP, machineId } from '../../../src/model/ids.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { MachineClock } from '../world/machine-clock.ts';
import { Scope, type VirtualTime } from '../world/virtual-time.ts';
import { countedStore } from './counted-store.ts';
import type { Ledger } from './meter.ts';
import type { Port, ScaleNetwork } from './scale-network.ts';

/** A synced write of a quick disk. */
const SYNC_MS = 2;
/** All voters' disks are in one process: what only explains the past is left out, and the log is kept short. */
const NO_RECORD = { recordBytes: 1, baseBytes: 0 } as const;
const LOG_KEPT = { entries: 2_000, bytes: 4 * 1024 * 1024 } as const;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export interface MachineOptions {
  readonly peer: string;
  readonly name: string;
  readonly number: number;
  readonly time: VirtualTime;
  readonly network: ScaleNetwork;
  readonly ledger: Ledger;
  readonly random: Prng;
}

export interface DecidingOptions extends MachineOptions {
  readonly onMeshChanged: () => void;
  readonly onFatal: (error: ShoalError) => void;
}

export class DecidingMachine {
  readonly id: MachineId;
  readonly coordinator: Coordinator;
  readonly ledger: Ledger;
  readonly port: Port;
  readonly scope: Scope;
  readonly #options: DecidingOptions;

  constructor(options: DecidingOptions) {
    this.#options = options;
    const { name, peer, number, time, network, ledger, random } = options;
    this.scope = new Scope(name, number);
    this.ledger = ledger;
    const disk = new MemoryDisk({ seed: number + 1, latency: (sync) => this.#writing(sync) });
    this.id = machineId(peer, disk.incarnation);
    this.port = network.open({ self: peer, scope: this.scope, ledger, hearsArrivals: true });
    const clock = clockOf(time, this.scope, random);
    let requests = 0;
    this.coordinator = new Coordinator({
      self: this.id,
      transport: withLoopback(this.port, clock),
      store: countedStore(openMemoryStore(disk), ledger),
      clock,
      random: random.fork(),
      log: SILENT,
      logKept: LOG_KEPT,
      flightRecord: NO_RECORD,
      newRequestId: () => `${name}-${requests++}`,
      onMeshChanged: options.onMeshChanged,
      addressesOf: () => [],
      onMembersTold: () => undefined,
      onEvent: () => undefined,
      onFatal: options.onFatal,
    });
  }

  #writing(sync: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#options.time.after(sync ? SYNC_MS : 0, this.scope, resolve);
    });
  }

  get offer(): MachineOffer {
    return offerOf(this.id, this.#options, []);
  }

  async found(): Promise<void> {
    const { coordinator } = this;
    await coordinator.host.bootstrap(MESH_GROUP, { voters: [this.id], learners: [] });
    await coordinator.start();
    const replica = await coordinator.host.open(MESH_GROUP);
    const settings = { meshId: 'simulated', accountName: 'shoal', accountKey: 'a2V5' };
    while (!replica.leadership.leading)
      await new Promise<void>((resolve) => {
        this.#options.time.after(SYNC_MS, this.scope, resolve);
      });
    const proposed = replica.propose(null, { kind: 'mesh.init', settings, machine: this.offer });
    coordinator.host.wake(replica);
    await proposed;
  }

  die(): void {
    this.scope.die();
    this.#options.network.close(this.port);
  }
}

export function clockOf(time: VirtualTime, scope: Scope, random: Prng): MachineClock {
  const drift = { rate: 1, wallSkewMs: 0, monotonicStartMs: 0, sleptMs: 0 };
  return new MachineClock(time, drift, scope, random.fork());
}

export function offerOf(
  id: MachineId,
  { peer, name }: { readonly peer: string; readonly name: string },
  labels: readonly string[],
): MachineOffer {
  return {
    id,
    peer,
    name,
    capacity: {
      cores: 64,
      memoryBytes: 256 * 1024 ** 3,
      diskBytes: 1024 ** 4,
      gpus: 0,
      labels: [...labels],
      isolation: 'namespace',
      operatingSystem: 'simulated',
    },
    addresses: ['/ip4/10.0.0.1/tcp/4001'],
    version: 'simulated',
  };
}
