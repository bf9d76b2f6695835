import type { Clock, Timer } from '../lib/clock.ts';
import {
  DIALS_AGAIN_MAX,
  DIALS_FIRST_MAX,
  LINK_STEADY_MS,
  REDIAL_MAX_MS,
  REDIAL_MIN_MS,
  REDIAL_SECOND_WAIT_MS,
} from '../lib/limits.ts';

export interface RedialInit {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly self: string;
  /** True while the peer is allowed, has an address and no link. */
  readonly isWanted: (peer: string) => boolean;
  /** Tries the peer's addresses once. Rejects where none led to a link. */
  readonly dial: (peer: string) => Promise<void>;
}

interface Attempt {
  failures: number;
  timer: Timer | undefined;
  /** Its time has come and it waits for a slot, or it is being dialled. */
  due: boolean;
  /** This side dialled the last link that came up, or is new to the peer: it need not wait for the other. */
  leads: boolean;
  linkedAtMs: number;
}

/** Dials at once, and peers whose turn it would be. */
interface Lane {
  slots: number;
  readonly waiting: string[];
}

/**
 * Keeps dialling every wanted peer, with exponential back-off and full jitter. libp2p's own reconnection is not used: with
 * its defaults it gives up after 16 ms (undefined options reach its retry timer as NaN), and it forgets the peer then.
 */
export class RedialLoop {
  readonly #init: RedialInit;
  readonly #attempts = new Map<string, Attempt>();
  readonly #lanes = {
    first: { slots: DIALS_FIRST_MAX, waiting: [] as string[] },
    again: { slots: DIALS_AGAIN_MAX, waiting: [] as string[] },
  };
  #stopped = false;

  constructor(init: RedialInit) {
    this.#init = init;
  }

  /** There is news of this peer: it became a member, has a new address or was seen. Starts the back-off afresh. */
  wake(peer: string): void {
    const attempt = this.#attemptOf(peer);
    attempt.failures = 0;
    this.#begin(peer, attempt);
  }

  /**
   * This machine has just started, so the peer may not know where it is, or that it is back: it need not be waited for.
   */
  lead(peer: string): void {
    this.#attemptOf(peer).leads = true;
    this.wake(peer);
  }

  /** The link came up. Remembers which side brings this pair together. */
  linked(peer: string, dialledHere: boolean): void {
    const attempt = this.#attemptOf(peer);
    attempt.leads = dialledHere;
    attempt.linkedAtMs = this.#init.clock.monotonicMs();
    attempt.timer?.cancel();
  }

  /** The link is lost. One that did not last counts as a failure: two machines with one key would flap at full speed. */
  lost(peer: string): void {
    const attempt = this.#attemptOf(peer);
    const steady = this.#init.clock.monotonicMs() - attempt.linkedAtMs >= LINK_STEADY_MS;
    attempt.failures = steady ? 0 : attempt.failures + 1;
    this.#begin(peer, attempt);
  }

  forget(peer: string): void {
    this.#attempts.get(peer)?.timer?.cancel();
    this.#attempts.delete(peer);
  }

  stop(): void {
    this.#stopped = true;
    for (const peer of [...this.#attempts.keys()]) this.forget(peer);
  }

  #begin(peer: string, attempt: Attempt): void {
    const second = this.#init.self > peer && !attempt.leads;
    this.#arm(peer, attempt, second ? REDIAL_SECOND_WAIT_MS : 0);
  }

  #arm(peer: string, attempt: Attempt, extraMs: number): void {
    attempt.timer?.cancel();
    if (this.#stopped || attempt.due || !this.#init.isWanted(peer)) return;
    const boundMs =
      attempt.failures === 0 ? 0 : Math.min(REDIAL_MAX_MS, REDIAL_MIN_MS * 2 ** (attempt.failures - 1));
    const delayMs = extraMs + boundMs * this.#init.random();
    attempt.timer = this.#init.clock.after(delayMs, () => this.#onDue(peer, attempt));
  }

  /**
   * A handshake costs some 15 ms of CPU on each side: a machine that meets fifty peers at once and dials them all would see
   * every one of them time out. Peers that failed before have slots of their own, so that dead ones hold up nobody.
   */
  #onDue(peer: string, attempt: Attempt): void {
    attempt.due = true;
    const lane = attempt.failures === 0 ? this.#lanes.first : this.#lanes.again;
    lane.waiting.push(peer);
    this.#fill(lane);
  }

  #fill(lane: Lane): void {
    while (lane.slots > 0) {
      const peer = lane.waiting.shift();
      if (peer === undefined) return;
      const attempt = this.#attempts.get(peer);
      if (attempt === undefined) continue;
      lane.slots -= 1;
      void this.#try(peer, attempt).finally(() => {
        lane.slots += 1;
        this.#fill(lane);
      });
    }
  }

  async #try(peer: string, attempt: Attempt): Promise<void> {
    try {
      if (this.#init.isWanted(peer)) await this.#init.dial(peer);
    } catch {
      attempt.failures += 1;
    }
    attempt.due = false;
    // Forgotten and perhaps woken anew meanwhile: then this attempt is no longer the peer's.
    if (this.#attempts.get(peer) === attempt) this.#arm(peer, attempt, 0);
  }

  #attemptOf(peer: string): Attempt {
    let attempt = this.#attempts.get(peer);
    if (attempt === undefined) {
      attempt = { failures: 0, timer: undefined, due: false, leads: false, linkedAtMs: 0 };
      this.#attempts.set(peer, attempt);
    }
    return attempt;
  }
}
