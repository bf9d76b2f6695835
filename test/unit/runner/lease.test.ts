import { describe, expect, it } from 'vitest';
import { LeaseTable } from '../../../agent/runner/lease.ts';
import { fc } from '../../support/properties.ts';

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
