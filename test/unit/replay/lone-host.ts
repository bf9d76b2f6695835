/** One machine's group host in virtual time, alone in its groups: commands go through a real log, driver and store. */
import type { FlightRecordBounds } from '../../../coordinator/driver/flight-recorder.ts';
import { GroupHost, type LogKept } from '../../../coordinator/driver/group-host.ts';
import type { Replica } from '../../../coordinator/driver/replica.ts';
import { createStateMachine } from '../../../coordinator/driver/state-machines.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { Prng } from '../../../src/lib/prng.ts';
import type { Command, Outcome } from '../../../src/model/commands.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import type { Store } from '../../../src/store/interface.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';
import { MachineClock } from '../../sim/world/machine-clock.ts';
import { SimNetwork } from '../../sim/world/network.ts';
import { Scope, VirtualTime } from '../../sim/world/virtual-time.ts';

export interface LoneHostOptions {
  readonly logKept?: LogKept;
  readonly flightRecord?: FlightRecordBounds;
}

const SELF = 'lone/00000001';
const STEPS_MAX = 100_000;

export class LoneHost {
  readonly disk: MemoryDisk;
  readonly store: Store;
  readonly #time = new VirtualTime();
  readonly #host: GroupHost;
  #failure: Error | undefined;

  private constructor(disk: MemoryDisk, options: LoneHostOptions) {
    this.disk = disk;
    this.store = openMemoryStore(disk);
    const random = new Prng(1);
    const scope = new Scope('lone');
    const network = new SimNetwork(this.#time, random.fork(), () => undefined);
    const drift = { rate: 1, wallSkewMs: 1_700_000_000_000, monotonicStartMs: 0, sleptMs: 0 };
    this.#host = new GroupHost({
      self: SELF,
      transport: network.open({ self: 'lone', scope, address: '/sim/lone', knows: () => undefined }),
      store: this.store,
      clock: new MachineClock(this.#time, drift, scope, random.fork()),
      random,
      log: silentLog,
      createMachine: createStateMachine,
      mayHost: () => true,
      isMember: () => true,
      onTurn: () => undefined,
      onSuperseded: () => undefined,
      onApplied: () => undefined,
      onLeadership: () => undefined,
      onInstalled: () => undefined,
      onFatal: (error) => {
        this.#failure = error;
      },
      ...options,
    });
  }

  static async start(options: LoneHostOptions = {}, disk = new MemoryDisk()): Promise<LoneHost> {
    const lone = new LoneHost(disk, options);
    await lone.#run(lone.#host.start());
    return lone;
  }

  /** Founds the group with this machine as its one voter, and waits until it leads. */
  async found(group: GroupId): Promise<Replica> {
    const replica = await this.#run(this.#host.bootstrap(group, { voters: [SELF], learners: [] }));
    await this.#until(() => replica.leadership.leading);
    return replica;
  }

  async propose(
    replica: Replica,
    command: Command,
    requestId: string | null = null,
  ): Promise<{ outcome: Outcome<unknown>; index: number }> {
    const proposed = replica.propose(requestId, command);
    this.#host.wake(replica);
    return this.#run(proposed);
  }

  drop(group: GroupId): Promise<void> {
    return this.#run(this.#host.drop(group));
  }

  async wait(ms: number): Promise<void> {
    const endMs = this.#time.nowMs + ms;
    await this.#until(() => this.#time.nowMs >= endMs);
  }

  async stop(): Promise<void> {
    await this.#run(this.#host.stop());
    await this.store.close();
  }

  async #run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const marked = work.finally(() => {
      settled = true;
    });
    marked.catch(() => undefined);
    await this.#until(() => settled);
    return marked;
  }

  async #until(holds: () => boolean): Promise<void> {
    const last = this.#time.count + STEPS_MAX;
    const isOver = (): boolean => holds() || this.#time.count >= last;
    while (!(await this.#time.run(isOver, () => this.#check())))
      await new Promise((resolve) => setImmediate(resolve));
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
