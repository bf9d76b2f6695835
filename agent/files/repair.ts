/**
 * Mends what has too few copies, on the machine that leads the mesh group: asks a machine that is up and has no copy to
 * fetch one, and names it as a holder when it has all of it. A few at a time; what fails is left alone for a while.
 */
import { setMaxListeners } from 'node:events';
import { every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { REPAIR_PERIOD_MS, REPAIR_RETRY_MS, REPAIRS_AT_ONCE } from '../../src/lib/limits.ts';
import { type MachineId, MESH_GROUP, peerOfMachine } from '../../src/model/ids.ts';
import type { Copies } from './copies.ts';
import type { Fetcher } from './fetcher.ts';
import type { HeldManifest, Surroundings } from './surroundings.ts';

/** Contents whose repair failed lately that a look passes over. */
const FAILURES_KEPT_MAX = 1_024;

export class Repair {
  readonly #surroundings: Surroundings;
  readonly #copies: Copies;
  readonly #fetcher: Fetcher;
  /** Manifest to when it may be tried again, monotonic ms. */
  readonly #failed = new Map<string, number>();
  #timer: Timer | undefined;
  readonly #mending = new Set<string>();
  #turn = 0;
  readonly #aborter = new AbortController();

  constructor(surroundings: Surroundings, copies: Copies, fetcher: Fetcher) {
    this.#surroundings = surroundings;
    this.#copies = copies;
    this.#fetcher = fetcher;
    // Every repair that is under way listens to it, and with the default bound Node would take that for a leak.
    setMaxListeners(2 * REPAIRS_AT_ONCE, this.#aborter.signal);
  }

  start(): void {
    this.#timer = every(this.#surroundings.clock, REPAIR_PERIOD_MS, () => this.look());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#aborter.abort(new ShoalError('ServerBusy', 'This agent stops.'));
  }

  /** One look, if this machine leads: begins as many repairs as there is room for, and waits for none. */
  look(): void {
    if (this.#aborter.signal.aborted || !this.#surroundings.coordinator.leads(MESH_GROUP)) return;
    for (const content of this.#due()) {
      this.#mending.add(content.manifest);
      void this.#mend(content).finally(() => this.#mending.delete(content.manifest));
    }
  }

  #due(): HeldManifest[] {
    const { coordinator, clock } = this.#surroundings;
    const nowMs = clock.monotonicMs();
    for (const [manifest, againMs] of this.#failed) {
      if (againMs <= nowMs || this.#failed.size > FAILURES_KEPT_MAX) this.#failed.delete(manifest);
    }
    const alive = (machine: MachineId): boolean => coordinator.presence.isAlive(machine);
    const passedOver = this.#failed.size + this.#mending.size;
    const found = coordinator.mesh?.underCopied(REPAIRS_AT_ONCE + passedOver, alive) ?? [];
    return found
      .filter(({ manifest }) => !this.#failed.has(manifest) && !this.#mending.has(manifest))
      .slice(0, Math.max(0, REPAIRS_AT_ONCE - this.#mending.size));
  }

  async #mend({ manifest, holders }: HeldManifest): Promise<void> {
    const { clock, coordinator, log, self } = this.#surroundings;
    const target = this.#target(manifest);
    if (target === undefined) return;
    const from = holders.map(peerOfMachine);
    try {
      if (target === self) await this.#fetcher.fetch(manifest, from, this.#aborter.signal);
      else await this.#copies.orderFetch(target, manifest, from, undefined, this.#aborter.signal);
      const changes = [{ manifest, add: [target], remove: [] }];
      await coordinator.router.propose(MESH_GROUP, { kind: 'blob.holders', changes });
      log.info({ manifest, target }, 'a lost copy was made anew');
    } catch (error) {
      this.#failed.set(manifest, clock.monotonicMs() + REPAIR_RETRY_MS);
      log.info({ manifest, target, error: asShoalError(error).message }, 'a copy could not be made anew');
    }
  }

  /** A machine that is up and not a holder, each time another. */
  #target(manifest: string): MachineId | undefined {
    const { coordinator } = this.#surroundings;
    const { mesh } = coordinator;
    const holders = new Set(mesh?.manifestHolders(manifest) ?? []);
    const free = (mesh?.machines() ?? []).filter(
      ({ id }) => !holders.has(id) && coordinator.presence.isAlive(id),
    );
    const enabled = free.filter(({ scheduling }) => scheduling === 'enabled');
    const machines = enabled.length > 0 ? enabled : free;
    this.#turn += 1;
    return machines[this.#turn % Math.max(1, machines.length)]?.id;
  }
}
