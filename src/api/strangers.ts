/**
 * Those who have shown no good credential, by address. Each may fail a few times at once and then a few times a second:
 * a failure beyond that is answered later, in its turn, and where too many wait for theirs, the connection is cut. The
 * signature is checked all the same: an honest client may share its address with a hostile one. So that it gets to show
 * its own, new connections of such an address are listened to many times as often as failures are answered.
 */

import { isIPv6 } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { keepRecent } from '../lib/keep-recent.ts';
import {
  API_CONNECTIONS_PER_ADDRESS_MAX,
  STRANGER_ADDRESSES_KEPT,
  STRANGER_CONNECTIONS_PER_SECOND,
  STRANGER_FAILURES_MAX,
  STRANGER_FAILURES_PER_SECOND,
  STRANGER_WAITING_MAX,
} from '../lib/limits.ts';

export class Strangers {
  readonly #failures: Turns;
  readonly #connections: Turns;

  constructor(clock: Clock) {
    this.#failures = new Turns(clock, {
      atOnce: STRANGER_FAILURES_MAX,
      perSecond: STRANGER_FAILURES_PER_SECOND,
      waitingMax: STRANGER_WAITING_MAX,
    });
    this.#connections = new Turns(clock, {
      atOnce: 1,
      perSecond: STRANGER_CONNECTIONS_PER_SECOND,
      waitingMax: API_CONNECTIONS_PER_ADDRESS_MAX,
    });
  }

  /** One more connection. Returns after how long it may be listened to, ms; undefined where too many wait. */
  arrived(address: string): number | undefined {
    return this.#failures.waitMs(address) > 0 ? this.#connections.take(address) : 0;
  }

  /** One more failure. Returns after how long it may be answered, ms; undefined where too many wait. */
  failed(address: string): number | undefined {
    return this.#failures.take(address);
  }
}

interface Allowance {
  readonly atOnce: number;
  readonly perSecond: number;
  readonly waitingMax: number;
}

/** Of each address so many at once, then so many a second, one after another (the generic cell rate algorithm). */
class Turns {
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  readonly #periodMs: number;
  /** When the address has paid for all its turns, each with a period. The first is the one that took its last longest ago. */
  readonly #paidAtMs = new Map<string, number>();

  constructor(clock: Clock, allowance: Allowance) {
    this.#clock = clock;
    this.#allowance = allowance;
    this.#periodMs = 1_000 / allowance.perSecond;
  }

  /** After how long the next turn would be; not above 0 where that is now. */
  waitMs(address: string): number {
    const owedMs = (this.#paidAtMs.get(address) ?? 0) - this.#clock.monotonicMs();
    return owedMs - (this.#allowance.atOnce - 1) * this.#periodMs;
  }

  /** Takes the next turn. Returns after how long it is, ms; undefined where too many wait. */
  take(address: string): number | undefined {
    const waitMs = this.waitMs(address);
    if (waitMs > this.#allowance.waitingMax * this.#periodMs) return undefined;
    const paidAtMs = Math.max(this.#clock.monotonicMs(), this.#paidAtMs.get(address) ?? 0) + this.#periodMs;
    keepRecent(this.#paidAtMs, [address, paidAtMs], STRANGER_ADDRESSES_KEPT);
    return Math.max(0, waitMs);
  }
}

/** What one client can be told apart by: the address, of IPv6 the network, in which a machine takes as many as it likes. */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return 'local';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address) || address === '::1') return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return `${[...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 4).join(':')}::/64`;
}
