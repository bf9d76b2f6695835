/** Which address a node's machine has, for those who want to reach it by other means than the mesh. */
import type { Clock } from '../lib/clock.ts';
import { MACHINE_ADDRESSES_FRESH_MS } from '../lib/limits.ts';
import type { CallOptions, Control } from '../model/control.ts';
import { type MachineId, MESH_GROUP } from '../model/ids.ts';
import { hostOf } from '../model/machine.ts';

export type AddressOf = (machine: MachineId) => string | undefined;

/** Remembered for a while: lists of nodes are asked for often, and machines seldom move. */
export class MachineAddresses {
  readonly #control: Control;
  readonly #clock: Clock;
  #known: { readonly addresses: ReadonlyMap<MachineId, string>; readonly readAtMs: number } | undefined;

  constructor(control: Control, clock: Clock) {
    this.#control = control;
    this.#clock = clock;
  }

  async read(options: CallOptions): Promise<AddressOf> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#known === undefined || nowMs - this.#known.readAtMs > MACHINE_ADDRESSES_FRESH_MS) {
      const machines = await this.#control.query(MESH_GROUP, 'machine.list', {}, options);
      const addresses = new Map<MachineId, string>();
      for (const machine of machines) {
        const address = hostOf(machine.addresses)?.address;
        if (address !== undefined) addresses.set(machine.id, address);
      }
      this.#known = { addresses, readAtMs: nowMs };
    }
    const { addresses } = this.#known;
    return (machine) => addresses.get(machine);
  }
}
