/** A few machines of one mesh in virtual time, each with a real coordinator and store: what decides, without what runs tasks. */
import { Coordinator } from '../../../coordinator/driver/coordinator.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { Prng } from '../../../src/lib/prng.ts';
import { withLoopback } from '../../../src/mesh/loopback.ts';
import type { MachineOffer, MeshCommand, Outcome } from '../../../src/model/commands.ts';
import { type GroupId, type MachineId, MESH_GROUP, machineId } from '../../../src/model/ids.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { MachineClock } from '../../sim/world/machine-clock.ts';
import { type Endpoint, SimNetwork } from '../../sim/world/network.ts';
import { Scope, VirtualTime } from '../../sim/world/virtual-time.ts';
import { offer } from '../mesh-core/world.ts';

export interface FewMachine {
  readonly id: MachineId;
  readonly coordinator: Coordinator;
  readonly endpoint: Endpoint;
  readonly disk: MemoryDisk;
  /** Its wall clock shows a time that is later by so much than it was at first. */
  setClock(byMs: number): void;
}

const STEPS_MAX = 400_000;
const WALL_SKEW_MS = 1_700_000_000_000;

export class FewMachines {
  readonly time = new VirtualTime();
  readonly network: SimNetwork;
  readonly machines = new Map<string, FewMachine>();
  /** Requests that were sent, by method. */
  readonly requests = new Map<string, number>();
  /** Requests that reach nobody. */
  loses: (method: string, payload: Uint8Array) => boolean = () => false;
  readonly #random: Prng;
  #requests = 0;

  private constructor(seed: number) {
    this.#random = new Prng(seed);
    this.network = new SimNetwork(this.time, this.#random.fork(), () => undefined);
  }

  /** A mesh of these machines, once each of them knows that it is a member. */
  static async found(seed: number, ...names: readonly string[]): Promise<FewMachines> {
    const world = new FewMachines(seed);
    const [first = 'ada', ...others] = names;
    await world.#found(first);
    for (const name of others) await world.join(name, first);
    for (const name of others)
      await world.until(`${name} knows the mesh`, () => world.#knows(world.machine(name)));
    return world;
  }

  machine(name: string): FewMachine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`there is no machine ${name}`);
    return machine;
  }

  idOf(name: string): MachineId {
    return this.machine(name).id;
  }

  async #found(name: string): Promise<void> {
    const { coordinator, id } = this.#compose(name, []);
    await this.run(coordinator.host.bootstrap(MESH_GROUP, { voters: [id], learners: [] }));
    await this.run(coordinator.start());
    const replica = coordinator.host.replica(MESH_GROUP);
    if (replica === undefined) throw new Error('the founder holds the mesh group');
    await this.until('the founder leads', () => replica.leadership.leading);
    const settings = { meshId: 'few', accountName: 'shoal', accountKey: 'a2V5' };
    await this.propose(name, { kind: 'mesh.init', settings, machine: this.#offer(name) });
  }

  /** Registers a machine and starts it; it knows the members that `knows` names. */
  async join(name: string, through: string, knows = [...this.machines.keys()]): Promise<void> {
    const { coordinator } = this.#compose(name, knows);
    const token = `token-${name}`;
    const expiresAtMs = Number.MAX_SAFE_INTEGER;
    const createdBy = this.idOf(through);
    await this.propose(through, {
      kind: 'token.create',
      id: token,
      peer: token,
      expiresAtMs,
      uses: 1,
      createdBy,
    });
    await this.propose(through, { kind: 'machine.join', tokenPeer: token, machine: this.#offer(name) });
    await this.run(coordinator.start());
  }

  #offer(name: string): MachineOffer {
    return offer(name, { peer: name, id: this.idOf(name), addresses: [`/sim/${name}`] });
  }

  /** The machine's agent starts again, from what is on its disk, perhaps under another address. */
  async restart(name: string, address = name): Promise<void> {
    const { disk, endpoint } = this.machine(name);
    disk.crash();
    await this.run(this.#compose(name, [...endpoint.allowed], { disk, address }).coordinator.start());
  }

  #compose(
    name: string,
    knows: readonly string[],
    { disk = new MemoryDisk(), address = name } = {},
  ): FewMachine {
    const scope = new Scope(name);
    const endpoint = this.network.open({ self: name, scope, address, knows: (peer) => peer });
    const drift = { rate: 1, wallSkewMs: WALL_SKEW_MS, monotonicStartMs: 0, sleptMs: 0 };
    const clock = new MachineClock(this.time, drift, scope, this.#random.fork());
    const self = machineId(name, disk.incarnation);
    const request = endpoint.request.bind(endpoint);
    endpoint.request = async (peer, method, payload, ...rest) => {
      this.requests.set(method, (this.requests.get(method) ?? 0) + 1);
      if (this.loses(method, payload)) throw new ShoalError('PeerUnreachable');
      return request(peer, method, payload, ...rest);
    };
    endpoint.setAllowed(new Set(knows));
    const admit = (): void => {
      const allowed = coordinator.allowedPeers();
      if (allowed !== undefined) endpoint.setAllowed(new Set([...allowed].filter((peer) => peer !== name)));
    };
    const coordinator: Coordinator = new Coordinator({
      self,
      transport: withLoopback(endpoint, clock),
      store: openMemoryStore(disk),
      clock,
      random: this.#random.fork(),
      log: silentLog,
      newRequestId: () => `${name}-${this.#requests++}`,
      onMeshChanged: () => admit(),
      addressesOf: (peer) => endpoint.addressesOf(peer),
      onMembersTold: (members) => {
        admit();
        for (const { peer, addresses } of members) endpoint.learn(peer, addresses);
      },
      onEvent: () => undefined,
      onFatal: (error) => {
        throw error;
      },
    });
    const setClock = (byMs: number): void => {
      drift.wallSkewMs = WALL_SKEW_MS + byMs;
    };
    const machine = { id: self, coordinator, endpoint, disk, setClock };
    this.machines.set(name, machine);
    return machine;
  }

  #knows({ coordinator, id }: FewMachine): boolean {
    return coordinator.mesh?.machine(id) !== undefined;
  }

  /** It answers nothing from here on; where only the agent dies, its host resets the connections. */
  kill(name: string, what: 'machine' | 'agent' = 'machine'): void {
    const { endpoint } = this.machine(name);
    endpoint.scope.die();
    this.network.processDied(endpoint, what === 'agent');
  }

  // --- Asking ---------------------------------------------------------------------------------------------------------

  propose(through: string, command: MeshCommand): Promise<Outcome<unknown>> {
    return this.run(this.machine(through).coordinator.router.propose(MESH_GROUP, command));
  }

  /** Whether the group answers a linearizable read within the time that a request is given. */
  answers(through: string, group: GroupId): Promise<boolean> {
    const { router } = this.machine(through).coordinator;
    const asked =
      group === MESH_GROUP
        ? router.query(group, 'group.list', {})
        : router.query(group, 'job.list', { limit: 1 });
    return this.run(
      asked.then(
        () => true,
        () => false,
      ),
    );
  }

  /** The voters by the last configuration in the log of whoever leads the group, as this machine has it. */
  votersIn(name: string, group: GroupId): readonly MachineId[] {
    return this.machine(name).coordinator.host.replica(group)?.raft.status().configuration.voters ?? [];
  }

  // --- Time -----------------------------------------------------------------------------------------------------------

  async until(what: string, holds: () => boolean, withinMs = 300_000): Promise<void> {
    const endMs = this.time.nowMs + withinMs;
    await this.#pass(() => holds() || this.time.nowMs > endMs);
    if (!holds()) throw new Error(`not within ${withinMs} ms: ${what}`);
  }

  async wait(ms: number): Promise<void> {
    const endMs = this.time.nowMs + ms;
    await this.#pass(() => this.time.nowMs >= endMs);
  }

  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const marked = work.finally(() => {
      settled = true;
    });
    marked.catch(() => undefined);
    const last = this.time.count + STEPS_MAX;
    await this.#pass(() => settled || this.time.count > last);
    // What waits for nothing but promises takes no event.
    if (!settled) await new Promise((resolve) => setImmediate(resolve));
    if (!settled) throw new Error('the work does not end');
    return marked;
  }

  #pass(isOver: () => boolean): Promise<boolean> {
    return this.time.run(isOver, () => undefined);
  }
}
