/**
 * Those who have shown no good credential, by address. Each may fail a few times at once and then a few times a second:
 * a failure beyond that is answered later, in its turn, and where too many wait for theirs, the connection is cut. The
 * signature is checked all the same: an honest client may share its address with a hostile one.
 */
import { isIPv6 } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import {
  STRANGER_ADDRESSES_KEPT,
  STRANGER_FAILURES_MAX,
  STRANGER_FAILURES_PER_SECOND,
  STRANGER_WAITING_MAX,
} from '../lib/limits.ts';

const PERIOD_MS = 1_000 / STRANGER_FAILURES_PER_SECOND;

export class Strangers {
  readonly #clock: Clock;
  /**
   * When the address has paid for all its failures, each with `PERIOD_MS` (the generic cell rate algorithm). The first
   * is the one that failed longest ago.
   */
  readonly #paidAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the next failure of the address would have to wait. */
  isHeldBack(address: string): boolean {
    return this.#waitMs(address) > 0;
  }

  /** One more failure. Returns after how long it may be answered, ms; undefined where too many wait. */
  failed(address: string): number | undefined {
    const waitMs = this.#waitMs(address);
    if (waitMs > STRANGER_WAITING_MAX * PERIOD_MS) return undefined;
    this.#pay(address, PERIOD_MS);
    return Math.max(0, waitMs);
  }

  /** What was counted as a failure was none. */
  forgive(address: string): void {
    if (this.#paidAtMs.has(address)) this.#pay(address, -PERIOD_MS);
  }

  #pay(address: string, ms: number): void {
    const paidAtMs = Math.max(this.#clock.monotonicMs(), this.#paidAtMs.get(address) ?? 0) + ms;
    this.#paidAtMs.delete(address);
    this.#paidAtMs.set(address, paidAtMs);
    if (this.#paidAtMs.size > STRANGER_ADDRESSES_KEPT) this.#forgetOne();
  }

  #waitMs(address: string): number {
    const owedMs = (this.#paidAtMs.get(address) ?? 0) - this.#clock.monotonicMs();
    return owedMs - (STRANGER_FAILURES_MAX - 1) * PERIOD_MS;
  }

  #forgetOne(): void {
    for (const address of this.#paidAtMs.keys()) {
      this.#paidAtMs.delete(address);
      return;
    }
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
