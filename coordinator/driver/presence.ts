/** Which machines are there, as this machine's links tell, and since when one is not. */
import type { Clock } from '../../src/lib/clock.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';

export interface PresenceOptions {
  readonly self: MachineId;
  readonly transport: Transport;
  readonly clock: Clock;
}

export class Presence {
  readonly #options: PresenceOptions;
  /** Monotonic ms of the last change of each peer's link. */
  readonly #changedAtMs = new Map<string, number>();
  readonly #startedAtMs: number;
  #stop: () => void = () => undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.monotonicMs();
  }

  start(onChange: () => void): void {
    this.#stop = this.#options.transport.onPeer((peer) => {
      this.#changedAtMs.set(peer, this.#options.clock.monotonicMs());
      onChange();
    });
  }

  stop(): void {
    this.#stop();
  }

  isAlive(machine: MachineId): boolean {
    return machine === this.#options.self || this.#options.transport.isConnected(peerOfMachine(machine));
  }

  /** How long the machine has been in its present condition (there or not), as far as this machine saw. */
  sinceMs(machine: MachineId): number {
    const changed = this.#changedAtMs.get(peerOfMachine(machine)) ?? this.#startedAtMs;
    return this.#options.clock.monotonicMs() - changed;
  }
}
