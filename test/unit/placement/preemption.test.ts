import { describe, expect, test } from 'vitest';
import type { Preemption } from '../../../src/model/commands.ts';
import type { JobSpec } from '../../../src/model/job.ts';
import { Harness } from '../core/pool-harness.ts';

function many(count: number): { id: string }[] {
  return Array.from({ length: count }, (_, n) => ({ id: `t${n}` }));
}

/** Two nodes of `slots` each, all of them taken by job 1, `low`, whose tasks have started. */
function busy(slots: number, low: Partial<JobSpec> = {}, tasks = 2 * slots): Harness {
  const h = new Harness();
  h.pool({ taskSlotsPerNode: slots }, [
    { node: 'n1', slots },
    { node: 'n2', slots },
  ]);
  h.job('low', { allowTaskPreemption: true, ...low });
  h.add('low', ...many(tasks));
  for (const { node, task } of h.schedule().slice(0, 2 * slots)) {
    h.tick(1_000);
    h.start(node, task);
  }
  return h;
}

function victims(h: Harness): number[] {
  return h.machine.preemptions({ limit: 100 }).map(({ task }) => task);
}

function preempt(h: Harness): readonly Preemption[] {
  const items = h.machine.preemptions({ limit: 100 });
  expect(h.do({ kind: 'preempt', items })).toMatchObject({ value: { preempted: items } });
  return items;
}

/** The node says that what was stopped is killed. */
function kill(h: Harness): void {
  for (const node of h.machine.nodeIds())
    for (const { job, task, stop } of [...h.machine.executions(node)])
      if (stop) h.end(node, task, { kind: 'killed' }, job);
}

describe('room for a job of greater priority', () => {
  test('as many tasks are stopped as it needs, the latest started first', () => {
    const h = busy(2);
    h.job('high', { priority: 1 });
    h.add('high', ...many(3));
    expect(victims(h)).toEqual([4, 3, 2]);
  });

  test('what was stopped runs again later, outside its retries, and what it made room for runs first', async () => {
    const h = busy(1);
    h.job('high', { priority: 1 });
    h.add('high', { id: 'urgent' });
    const [victim] = preempt(h);
    expect(h.place()).toEqual([]);
    kill(h);
    expect(await h.getTask('low', 't1')).toMatchObject({ state: 'active', retryCount: 0, requeueCount: 0 });
    expect(h.schedule()).toEqual([{ job: 2, task: 1, node: 'n2' }]);
    h.end('n2', 1, {}, 2);
    expect(h.schedule()).toEqual([{ job: 1, task: victim?.task, node: 'n2' }]);
  });

  test('nothing more is stopped while enough is being stopped, nor while slots are free', () => {
    const h = busy(1);
    h.job('high', { priority: 1 });
    h.add('high', { id: 'urgent' });
    preempt(h);
    expect(victims(h)).toEqual([]);
    kill(h);
    expect(victims(h)).toEqual([]);
  });

  test.each([
    ['a job that does not allow it', { allowTaskPreemption: false }],
    ['a job of the same priority', { priority: 1 }],
    ['a job of a greater priority', { priority: 2 }],
  ])('%s keeps its places', (_, low) => {
    const h = busy(1, low);
    h.job('high', { priority: 1 });
    h.add('high', ...many(2));
    expect(victims(h)).toEqual([]);
  });

  test('of two jobs the one of the least priority gives way', () => {
    const h = busy(1, {}, 1);
    h.job('lower', { allowTaskPreemption: true, priority: -1 });
    h.add('lower', { id: 't' });
    h.schedule();
    h.job('high', { priority: 1 });
    h.add('high', { id: 'urgent' });
    expect(h.machine.preemptions({ limit: 100 })).toMatchObject([{ forJob: 3, job: 2, task: 1 }]);
  });

  test('what a job may run at once bounds what is stopped for it', () => {
    const h = busy(2);
    h.job('high', { priority: 1, maxParallelTasks: 1 });
    h.add('high', ...many(3));
    expect(victims(h)).toHaveLength(1);
  });

  test('tasks are stopped only where the waiting one could run', () => {
    const h = busy(1);
    h.job('high', { priority: 1 });
    h.add('high', { id: 'urgent', requiredLabels: ['gpu'] });
    expect(victims(h)).toEqual([]);
  });

  test('the slots that a big task waits for are given to no other meanwhile', () => {
    const h = busy(2, {}, 6);
    h.job('high', { priority: 1 });
    h.add('high', { id: 'big', requiredSlots: 2 });
    const [first, second] = preempt(h);
    const node = [...h.machine.executions('n1')].some(({ task }) => task === first?.task) ? 'n1' : 'n2';
    h.end(node, first?.task ?? 0, { kind: 'killed' });
    expect(h.place()).toEqual([]);
    expect(victims(h)).toEqual([]);
    h.end(node, second?.task ?? 0, { kind: 'killed' });
    expect(h.schedule()[0]).toEqual({ job: 2, task: 1, node });
  });
});

describe('the gate', () => {
  test('what changed since it was proposed is left out', () => {
    const h = busy(1);
    h.job('high', { priority: 1 });
    h.add('high', ...many(2));
    const items = h.machine.preemptions({ limit: 100 });
    const stale = items.map((item, n) => (n === 0 ? { ...item, epoch: item.epoch - 1 } : item));
    expect(h.do({ kind: 'preempt', items: stale })).toMatchObject({ value: { preempted: stale.slice(1) } });
    h.ok({ kind: 'job.patch', job: 'low', patch: { allowTaskPreemption: false } });
    expect(h.do({ kind: 'preempt', items })).toMatchObject({ value: { preempted: [] } });
    h.restart();
    expect(victims(h)).toEqual([]);
  });
});
