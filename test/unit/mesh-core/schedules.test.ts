import { describe, expect, test } from 'vitest';
import type { MeshCommand } from '../../../src/model/commands.ts';
import { type JobScheduleSpec, nextMoment, timetableOf } from '../../../src/model/schedule.ts';
import { fc } from '../../support/properties.ts';
import { idOf, MeshWorld } from './world.ts';

const MINUTE_MS = 60_000;

function add(schedule: JobScheduleSpec['schedule'], id = 'nightly'): MeshCommand {
  return {
    kind: 'schedule.add',
    spec: { id, schedule, jobSpecification: { poolInfo: { poolId: 'default' } } },
  };
}

const launch = (number: number): MeshCommand => ({ kind: 'schedule.launch', schedule: 'nightly', number });

function entity(world: MeshWorld) {
  return world.query('schedule.get', { schedule: 'nightly' });
}

describe('a schedule', () => {
  test('without a recurrence has one moment, which is now, and no more', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({}));
    expect(await entity(world)).toMatchObject({ state: 'active', jobs: 0, nextRunTimeMs: world.timeMs });
    world.ok(launch(1));
    const after = await entity(world);
    expect(after).toMatchObject({ jobs: 1, recentJob: 'nightly:job-1' });
    expect(after).not.toHaveProperty('nextRunTimeMs');
    expect(world.code(launch(2))).toBe('OperationInvalidForCurrentState');
  });

  test('takes each moment once, whoever asks twice', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({ recurrenceInterval: 'PT1M' }));
    const start = world.timeMs;
    world.ok(launch(1));
    expect(world.code(launch(1))).toBe('OperationInvalidForCurrentState');
    expect(world.code(launch(2)), 'not before its time').toBe('OperationInvalidForCurrentState');
    world.timeMs = start + MINUTE_MS;
    world.ok(launch(2));
    expect(await entity(world)).toMatchObject({ jobs: 2, nextRunTimeMs: start + 2 * MINUTE_MS });
  });

  test('makes one job for all the moments that passed while the one before was at work', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({ recurrenceInterval: 'PT1M' }));
    const start = world.timeMs;
    world.ok(launch(1));
    world.timeMs = start + 5.5 * MINUTE_MS;
    world.ok(launch(2));
    expect(await entity(world)).toMatchObject({ jobs: 2, nextRunTimeMs: start + 6 * MINUTE_MS });
  });

  test('loses a moment whose window closed, and keeps one whose window is open', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({ recurrenceInterval: 'PT10M', startWindow: 'PT1M' }));
    const start = world.timeMs;
    expect(world.machine.dueAtMs()).toBe(start + MINUTE_MS);
    world.timeMs = start + MINUTE_MS;
    world.ok({ kind: 'mesh.sweep' });
    expect(await entity(world)).toMatchObject({ jobs: 0, nextRunTimeMs: start + 10 * MINUTE_MS });

    world.ok(add({ recurrenceInterval: 'PT1M', startWindow: 'PT3M' }, 'wide'));
    const wide = world.timeMs;
    world.timeMs = wide + 3 * MINUTE_MS;
    world.ok({ kind: 'mesh.sweep' });
    expect(await world.query('schedule.get', { schedule: 'wide' })).toMatchObject({
      nextRunTimeMs: wide + MINUTE_MS,
    });
  });

  test('that is disabled takes no moment; enabled, it goes on with the next of its timetable', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({ recurrenceInterval: 'PT1M' }));
    const start = world.timeMs;
    world.ok({ kind: 'schedule.disable', schedule: 'NIGHTLY' });
    expect(world.code(launch(1))).toBe('OperationInvalidForCurrentState');
    world.timeMs = start + 2.5 * MINUTE_MS;
    world.ok({ kind: 'schedule.enable', schedule: 'nightly' });
    expect(await entity(world)).toMatchObject({ state: 'active', nextRunTimeMs: start + 3 * MINUTE_MS });
  });

  test('begins and ends when it says', async () => {
    const world = new MeshWorld().init('a');
    const from = world.timeMs + 10 * MINUTE_MS;
    const doNotRunUntil = new Date(from).toISOString();
    const doNotRunAfter = new Date(from + 2 * MINUTE_MS).toISOString();
    world.ok(add({ doNotRunUntil, doNotRunAfter, recurrenceInterval: 'PT1M' }));
    expect(await entity(world)).toMatchObject({ nextRunTimeMs: from });
    world.timeMs = from + MINUTE_MS;
    world.ok(launch(1));
    expect(await entity(world)).not.toHaveProperty('nextRunTimeMs');
    world.ok({ kind: 'schedule.ended', schedule: 'nightly', jobs: 1 });
    expect(await entity(world)).toMatchObject({ state: 'completed', endTimeMs: world.timeMs });
    expect(world.code({ kind: 'schedule.enable', schedule: 'nightly' })).toBe('JobScheduleCompleted');
  });

  test('that made another job since the coordinator looked is not ended', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({ recurrenceInterval: 'PT1M' }));
    world.ok(launch(1));
    world.ok({ kind: 'schedule.delete', schedule: 'nightly' });
    world.ok({ kind: 'schedule.ended', schedule: 'nightly', jobs: 0 });
    expect(await entity(world)).toMatchObject({ state: 'deleting' });
    world.ok({ kind: 'schedule.ended', schedule: 'nightly', jobs: 1 });
    await expect(entity(world)).rejects.toMatchObject({ code: 'JobScheduleNotFound' });
  });

  test('shares its id with no other schedule and no job', () => {
    const world = new MeshWorld().init('a');
    const voters = [idOf('a')];
    world.ok(add({}));
    expect(world.code(add({}, 'Nightly'))).toBe('JobScheduleExists');
    expect(world.code({ kind: 'job.reserve', job: 'NIGHTLY', pool: 'default', voters })).toBe(
      'JobScheduleWithSameIdExists',
    );
    world.ok({ kind: 'job.reserve', job: 'mine', pool: 'default', voters });
    expect(world.code(add({}, 'mine'))).toBe('JobWithSameIdExists');
  });

  test.each([
    [{ recurrenceInterval: 'PT59S' }, 'schedule/recurrenceInterval'],
    [{ startWindow: 'soon' }, 'schedule/startWindow'],
    [{ doNotRunUntil: 'next tuesday' }, 'schedule/doNotRunUntil'],
    [
      { doNotRunUntil: '2030-01-02T00:00:00Z', doNotRunAfter: '2030-01-01T00:00:00Z' },
      'schedule/doNotRunAfter',
    ],
  ])('that cannot be is refused by its property: %j', (schedule, property) => {
    const world = new MeshWorld().init('a');
    expect(world.run(add(schedule))).toMatchObject({ ok: false, values: { PropertyName: property } });
  });

  test('is the same after a restart', async () => {
    const world = new MeshWorld().init('a');
    world.ok(add({ recurrenceInterval: 'PT1M' }));
    world.ok(launch(1));
    expect(world.reload().schedules()).toEqual(world.machine.schedules());
  });
});

test('the group of a pool that is gone goes with its last job', () => {
  const world = new MeshWorld().init('a');
  const voters = [idOf('a')];
  world.ok({ kind: 'pool.add', spec: { id: 'p', vmSize: 'machine' }, voters });
  world.ok({ kind: 'job.reserve', job: 'j', pool: 'p', voters });
  world.ok({ kind: 'pool.delete', pool: 'p' });
  world.ok({ kind: 'pool.erase', pool: 'p' });
  expect(world.machine.group('pool:p')).toBeDefined();
  world.ok({ kind: 'job.release', job: 'j', pool: 'p' });
  expect(world.machine.group('pool:p')).toBeUndefined();
});

test('moments of a timetable lie on its grid, each after the one before, and none is left out', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e13 }),
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: -1_000, max: 1e9 }),
      (fromMs, minutes, later) => {
        const timetable = timetableOf({ recurrenceInterval: `PT${minutes}M` }, fromMs);
        const next = nextMoment(timetable, fromMs + later);
        expect(next).toBeGreaterThan(fromMs + later);
        expect(((next ?? 0) - fromMs) % (minutes * MINUTE_MS)).toBe(0);
        expect((next ?? 0) - (fromMs + Math.max(later, -1))).toBeLessThanOrEqual(minutes * MINUTE_MS);
      },
    ),
  );
});
