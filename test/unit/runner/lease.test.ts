import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseTable, SuspendDetector } from '../../../agent/runner/lease.ts';

describe('a lease', () => {
  it('lives until its deadline and not at it', () => {
    const leases = new LeaseTable();
    leases.renew('a', 0, 100);
    expect(leases.isLive('a', 99.9)).toBe(true);
    expect(leases.isLive('a', 100)).toBe(false);
    expect(leases.isLive('never given', 0)).toBe(false);
  });

  it('that is renewed too late is told apart from one that never ended', () => {
    const leases = new LeaseTable();
    expect(leases.renew('a', 0, 100)).toBe(true);
    expect(leases.renew('a', 99, 200)).toBe(true);
    expect(leases.renew('a', 200, 300)).toBe(false);
    expect(leases.isLive('a', 250)).toBe(true);
  });

  it('expires once', () => {
    const leases = new LeaseTable();
    leases.renew('a', 0, 100);
    leases.renew('b', 0, 200);
    expect(leases.takeExpired(150)).toEqual(['a']);
    expect(leases.takeExpired(150)).toEqual([]);
    expect(leases.nextDeadlineMs()).toBe(200);
  });

  it('ends at the deadline that was set last', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(1000))),
        fc.nat(1000),
        (sets, nowMs) => {
          const leases = new LeaseTable();
          const last = new Map<string, number>();
          for (const [lease, deadlineMs] of sets) {
            leases.renew(lease, 0, deadlineMs);
            last.set(lease, deadlineMs);
          }
          const ended = [...last].filter(([, deadlineMs]) => deadlineMs <= nowMs).map(([lease]) => lease);
          expect(leases.nextDeadlineMs()).toBe(last.size === 0 ? undefined : Math.min(...last.values()));
          expect(leases.takeExpired(nowMs).sort()).toEqual(ended.sort());
        },
      ),
    );
  });
});

describe('a suspend', () => {
  it('shows as boot time that ran ahead, once', () => {
    const detector = new SuspendDetector();
    expect(detector.observe(0, 5_000)).toBe(false);
    expect(detector.observe(1_000, 6_010)).toBe(false);
    expect(detector.observe(1_200, 3_606_200)).toBe(true);
    expect(detector.observe(1_400, 3_606_400)).toBe(false);
  });

  it('is not seen in any amount of time that merely passes, however late the readings', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1_000_000), fc.nat(400))), (steps) => {
        const detector = new SuspendDetector();
        let nowMs = 0;
        for (const [stepMs, delayMs] of steps) {
          nowMs += stepMs;
          expect(detector.observe(nowMs, nowMs + delayMs + 77)).toBe(false);
        }
      }),
    );
  });
});
