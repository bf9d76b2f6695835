import { expect, test } from 'vitest';
import { LargeBodies } from '../../../src/api/large-bodies.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { LARGE_BODIES_WAITING_MAX, LARGE_BODY_PAUSE_MS } from '../../../src/lib/limits.ts';

test('large bodies have their turns one after another, and only so many wait', async () => {
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => 1_000,
    after: (delayMs, run) => {
      waits.push(delayMs);
      run();
      return { cancel: () => undefined };
    },
  };
  const bodies = new LargeBodies(clock);
  for (let body = 0; body <= LARGE_BODIES_WAITING_MAX; body += 1) await bodies.turn();
  expect(waits).toEqual(
    Array.from({ length: LARGE_BODIES_WAITING_MAX }, (_, n) => (n + 1) * LARGE_BODY_PAUSE_MS),
  );
  await expect(bodies.turn()).rejects.toMatchObject({ code: 'TooManyRequests' });
});
