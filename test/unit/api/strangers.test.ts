import { expect, test } from 'vitest';
import { addressKey, Strangers } from '../../../src/api/strangers.ts';
import {
  STRANGER_CONNECTIONS_PER_SECOND,
  STRANGER_FAILURES_MAX,
  STRANGER_FAILURES_PER_SECOND,
  STRANGER_WAITING_MAX,
} from '../../../src/lib/limits.ts';
import { Steps } from './steps.ts';

const PERIOD_MS = 1_000 / STRANGER_FAILURES_PER_SECOND;

test('an address may fail a few times at once; then its failures wait in a row, and only so many', async () => {
  const clock = new Steps();
  const strangers = new Strangers(clock);
  const fail = (count: number): (number | undefined)[] =>
    Array.from({ length: count }, () => strangers.failed('10.0.0.1'));
  expect(fail(STRANGER_FAILURES_MAX)).toEqual(Array(STRANGER_FAILURES_MAX).fill(0));
  expect(fail(3)).toEqual([PERIOD_MS, 2 * PERIOD_MS, 3 * PERIOD_MS]);
  fail(STRANGER_WAITING_MAX - 3);
  expect(strangers.failed('10.0.0.1')).toBeUndefined();
  await clock.pass(PERIOD_MS);
  expect(strangers.failed('10.0.0.1')).toBe(STRANGER_WAITING_MAX * PERIOD_MS);
  await clock.pass((STRANGER_WAITING_MAX + STRANGER_FAILURES_MAX) * PERIOD_MS);
  expect(fail(STRANGER_FAILURES_MAX)).toEqual(Array(STRANGER_FAILURES_MAX).fill(0));
});

test('new connections of an address that failed too often are listened to one after another', async () => {
  const clock = new Steps();
  const strangers = new Strangers(clock);
  const arrive = (address: string): (number | undefined)[] =>
    Array.from({ length: 3 }, () => strangers.arrived(address));
  expect(arrive('10.0.0.1')).toEqual([0, 0, 0]);
  for (let count = 0; count < STRANGER_FAILURES_MAX; count += 1) strangers.failed('10.0.0.1');
  const periodMs = 1_000 / STRANGER_CONNECTIONS_PER_SECOND;
  expect(arrive('10.0.0.1')).toEqual([0, periodMs, 2 * periodMs]);
  expect(arrive('10.0.0.2')).toEqual([0, 0, 0]);
  await clock.pass(STRANGER_FAILURES_MAX * PERIOD_MS);
  expect(arrive('10.0.0.1')).toEqual([0, 0, 0]);
});

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['::1', '::1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::5', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  [undefined, 'local'],
])('the address %s counts as %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});
