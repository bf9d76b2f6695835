import { describe, expect, test } from 'vitest';
import type { Assigned } from '../../../agent/lifecycle/interface.ts';
import { ExecutionTable } from '../../../agent/session/execution-table.ts';
import { SessionLease } from '../../../agent/session/session-lease.ts';
import { LEASE_MS } from '../../../src/lib/limits.ts';

describe("a session's lease", () => {
  test('counts from when the acknowledged heartbeat was sent, not from its answer', () => {
    const lease = new SessionLease();
    const sequence = lease.send(1_000);
    expect(lease.acknowledge(sequence, 1, 'leader', 1_900)).toBe(true);
    expect(lease.isHeld(1_000 + LEASE_MS - 1)).toBe(true);
    expect(lease.isHeld(1_000 + LEASE_MS)).toBe(false);
  });

  test('has lapsed only if it was held before', () => {
    const lease = new SessionLease();
    expect(lease.hasLapsed(50_000)).toBe(false);
    lease.acknowledge(lease.send(50_000), 1, 'leader', 50_010);
    expect(lease.hasLapsed(50_010)).toBe(false);
    expect(lease.hasLapsed(50_000 + LEASE_MS)).toBe(true);
  });

  test('an acknowledgement that comes too late holds nothing', () => {
    const lease = new SessionLease();
    lease.acknowledge(lease.send(0), 1, 'leader', LEASE_MS + 500);
    expect(lease.isHeld(LEASE_MS + 500)).toBe(false);
  });
});

describe('the table of executions', () => {
  test('after a lapse refuses what was assigned before the first word, unless it asked for it', () => {
    const table = new ExecutionTable();
    table.setFloor(10);
    expect(table.admit(assigned(11), false)).toBeDefined();
    table.setFloor(20);
    expect(table.admit(assigned(15), false)).toBeUndefined();
    expect(table.admit(assigned(15), true)).toBeDefined();
    expect(table.admit(assigned(21), false)).toBeDefined();
  });

  test('its floor never sinks', () => {
    const table = new ExecutionTable();
    table.setFloor(20);
    table.setFloor(10);
    expect(table.admit(assigned(15), false)).toBeUndefined();
  });
});

function assigned(epoch: number): Assigned {
  return {
    pool: 'p',
    node: 'n',
    job: { number: 1, id: 'j', priority: 0, environment: [], onNodeCutOff: 'stop' },
    task: 1,
    epoch,
    spec: { id: '1', commandLine: 'true' },
  };
}
