/**
 * Which machines are there, as this machine's links tell, and since when one is not. One that stands by has a link and
 * is not there: it says so to whom it is linked to, and what it says holds until that link ends.
 */
import type { Clock } from '../../src/lib/clock.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import { STANDING_BY_CHANNEL, StandingBy } from '../../src/wire/protocol.ts';

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
  readonly #standingBy = new Set<string>();
  #changes = 0;
  #standsBy = false;
  #stop: () => void = () => undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.monotonicMs();
  }

  start(onChange: () => void): void {
    const { transport, clock } = this.#options;
    const changed = (peer: string): void => {
      this.#changedAtMs.set(peer, clock.monotonicMs());
      this.#changes += 1;
      onChange();
    };
    transport.onMessage(STANDING_BY_CHANNEL, (from) => {
      if (this.#standingBy.has(from)) return;
      this.#standingBy.add(from);
      changed(from);
    });
    this.#stop = transport.onPeer((peer, up) => {
      this.#standingBy.delete(peer);
      if (up && this.#standsBy) this.#tell(peer);
      changed(peer);
    });
  }

  /** From here on this machine tells all others not to count on it. */
  standBy(): void {
    this.#standsBy = true;
    const { transport } = this.#options;
    for (const peer of transport.connected()) if (peer !== transport.self) this.#tell(peer);
  }

  #tell(peer: string): void {
    this.#options.transport.send(peer, STANDING_BY_CHANNEL, StandingBy.encode({}));
  }

  stop(): void {
    this.#stop();
  }

  isAlive(machine: MachineId): boolean {
    if (machine === this.#options.self) return true;
    const peer = peerOfMachine(machine);
    return this.#options.transport.isConnected(peer) && !this.#standingBy.has(peer);
  }

  /** How often a machine came or went so far. */
  get changes(): number {
    return this.#changes;
  }

  /** How long the machine has been in its present condition (there or not), as far as this machine saw. */
  sinceMs(machine: MachineId): number {
    const changed = this.#changedAtMs.get(peerOfMachine(machine)) ?? this.#startedAtMs;
    return this.#options.clock.monotonicMs() - changed;
  }
}
