import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/lib/clock.ts';
import {
  PEER_ADDRESSES_MAX,
  REDIAL_MAX_MS,
  REDIAL_MIN_MS,
  REDIAL_SECOND_WAIT_MS,
} from '../../../src/lib/limits.ts';
import { AddressBook } from '../../../src/mesh/addresses.ts';
import { RedialLoop } from '../../../src/mesh/redial.ts';

/** Timers fire when told to, one after the other; time is what they asked for. */
class StepClock implements Clock {
  nowMs = 0;
  #timers: { atMs: number; fire: () => void }[] = [];

  wallMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, fire: () => void) {
    const timer = { atMs: this.nowMs + delayMs, fire };
    this.#timers.push(timer);
    const cancel = (): void => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
    return { cancel };
  }

  soon(fire: () => void): void {
    this.after(0, fire);
  }

  /** Fires the next timer and lets promises settle. False where none is armed. */
  async step(): Promise<boolean> {
    this.#timers.sort((a, b) => a.atMs - b.atMs);
    const next = this.#timers.shift();
    if (next === undefined) return false;
    this.nowMs = next.atMs;
    next.fire();
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }
}

/** A loop whose every dial fails, with the latest times that jitter allows. */
function failingLoop(self: string) {
  const clock = new StepClock();
  const dialledMs: number[] = [];
  let wanted = true;
  const loop = new RedialLoop({
    clock,
    random: () => 1,
    self,
    isWanted: () => wanted,
    dial: async () => {
      dialledMs.push(clock.nowMs);
      throw new Error('nobody there');
    },
  });
  const want = (value: boolean): void => {
    wanted = value;
  };
  return { clock, dialledMs, loop, want };
}

describe('the redial loop', () => {
  test('waits up to twice as long after each failure, from 250 ms to 15 s', async () => {
    const { clock, dialledMs, loop } = failingLoop('a');
    loop.wake('b');
    for (let turn = 0; turn < 12; turn += 1) await clock.step();
    const gaps = dialledMs.slice(1).map((at, index) => at - (dialledMs[index] ?? 0));
    const doubled = gaps.map((_, index) => Math.min(REDIAL_MAX_MS, REDIAL_MIN_MS * 2 ** index));
    expect(dialledMs[0]).toBe(0);
    expect(gaps).toEqual(doubled);
  });

  test('news of the peer starts the back-off afresh', async () => {
    const { clock, dialledMs, loop } = failingLoop('a');
    loop.wake('b');
    for (let turn = 0; turn < 8; turn += 1) await clock.step();
    const beforeMs = clock.nowMs;
    loop.wake('b');
    await clock.step();
    expect(dialledMs.at(-1)).toBe(beforeMs);
  });

  test('the larger id waits for the smaller one, unless it made the last link', async () => {
    const { clock, dialledMs, loop } = failingLoop('z');
    loop.wake('b');
    await clock.step();
    expect(dialledMs).toEqual([REDIAL_SECOND_WAIT_MS]);
    loop.linked('b', true);
    clock.nowMs += 60_000;
    loop.lost('b');
    await clock.step();
    expect(dialledMs.at(-1)).toBe(clock.nowMs);
    expect(clock.nowMs).toBe(REDIAL_SECOND_WAIT_MS + 60_000);
  });

  test('a machine that has just started waits for nobody', async () => {
    const { clock, dialledMs, loop } = failingLoop('z');
    loop.lead('b');
    await clock.step();
    expect(dialledMs).toEqual([0]);
  });

  test('a link that falls at once counts as a failure', async () => {
    const { clock, dialledMs, loop } = failingLoop('a');
    for (let turn = 0; turn < 6; turn += 1) {
      loop.linked('b', true);
      loop.lost('b');
    }
    await clock.step();
    expect(dialledMs[0]).toBe(REDIAL_MIN_MS * 2 ** 5);
  });

  test('a peer that is not wanted, or forgotten, is not dialled', async () => {
    const { clock, dialledMs, loop, want } = failingLoop('a');
    loop.wake('b');
    want(false);
    while (await clock.step());
    want(true);
    loop.wake('b');
    loop.forget('b');
    while (await clock.step());
    loop.stop();
    loop.wake('b');
    while (await clock.step());
    expect(dialledMs).toEqual([]);
  });
});

describe('the address book', () => {
  const allowed = new Set(['peer']);
  const book = () => new AddressBook((peer) => allowed.has(peer));

  test('tries what is newest first, holds a bounded number, and says whether anything was new', () => {
    const addresses = book();
    const many = Array.from({ length: 40 }, (_, at) => `/ip4/10.0.0.${at}/tcp/4001`);
    expect(addresses.learn('peer', many)).toBe(true);
    expect(addresses.of('peer')).toHaveLength(PEER_ADDRESSES_MAX);
    expect(
      addresses.learn('peer', [
        '/ip4/10.9.9.9/tcp/1/p2p/12D3KooWSX7bBAjKrKdqi6Aa3N9EsYteAiHKjqDfQetiGPvT6Anh',
      ]),
    ).toBe(true);
    expect(addresses.of('peer')[0]).toBe('/ip4/10.9.9.9/tcp/1');
    expect(addresses.learn('peer', ['/ip4/10.9.9.9/tcp/1'])).toBe(false);
  });

  test('drops what is no TCP address', () => {
    const addresses = book();
    addresses.learn('peer', [
      '',
      'junk',
      '/ip4/1.2.3.4',
      '/ip4/1.2.3.4/udp/1/quic-v1',
      `/dns4/${'a'.repeat(300)}/tcp/1`,
      '/ip4/999.1.1.1/tcp/1',
    ]);
    expect(addresses.of('peer')).toEqual([]);
  });

  test("a peer's own word replaces what it said before, with the host it is seen at and without its loopback", () => {
    const addresses = book();
    addresses.announce('peer', ['/ip4/10.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/1'], '192.0.2.7');
    expect(addresses.of('peer')).toEqual(['/ip4/192.0.2.7/tcp/1', '/ip4/10.0.0.1/tcp/1']);
    addresses.announce('peer', ['/ip4/127.0.0.1/tcp/2'], '127.0.0.1');
    expect(addresses.of('peer')).toEqual(['/ip4/127.0.0.1/tcp/2']);
  });

  test('forgets the oldest of too many strangers, never a member', () => {
    const addresses = book();
    addresses.learn('peer', ['/ip4/10.0.0.1/tcp/1']);
    for (let at = 0; at < 1_100; at += 1) addresses.learn(`stranger ${at}`, ['/ip4/10.0.0.2/tcp/1']);
    expect(addresses.of('stranger 0')).toEqual([]);
    expect(addresses.of('stranger 1099')).toHaveLength(1);
    expect(addresses.of('peer')).toHaveLength(1);
  });
});
