import { describe, expect, test } from 'vitest';
import {
  PLACEMENT_PASSED_OVER_MAX,
  PREFETCH_BACKLOG_MS,
  PREFETCH_PER_SLOT_MAX,
  PREFETCH_UNKNOWN_ROUNDS,
} from '../../../src/lib/limits.ts';
import { Prng } from '../../../src/lib/prng.ts';
import { fc } from '../../support/properties.ts';
import { Harness, withNodes } from '../core/pool-harness.ts';

function many(count: number, prefix = 't'): { id: string }[] {
  return Array.from({ length: count }, (_, n) => ({ id: `${prefix}${n}` }));
}

/** How many of the items went to each node. */
function byNode(items: readonly { readonly node: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { node } of items) counts[node] = (counts[node] ?? 0) + 1;
  return counts;
}

/** Ends what is assigned, or this share of each node's tasks of one job, each after `runMs`. */
function endAll(h: Harness, runMs: number, share = 1, ofJob?: number): void {
  for (const node of h.machine.nodeIds()) {
    const executions = [...h.machine.executions(node)].filter(
      ({ job }) => ofJob === undefined || job === ofJob,
    );
    const outcome = { kind: 'exited', exitCode: 0, startedAtMs: 0, endedAtMs: runMs, files: [] } as const;
    const ended = executions.slice(0, Math.ceil(executions.length * share));
    h.report(node, ...ended.map(({ job, task, epoch }) => ({ job, task, epoch, outcome })));
  }
}

describe('spread and pack', () => {
  const sizes = [
    { node: 'n1', slots: 2 },
    { node: 'n2', slots: 4 },
    { node: 'n3', slots: 4 },
  ];

  test('spread loads nodes alike, by the share of their slots', () => {
    const h = new Harness();
    h.pool({ taskSlotsPerNode: 4 }, sizes);
    h.job('j');
    h.add('j', ...many(5));
    expect(byNode(h.schedule())).toEqual({ n1: 1, n2: 2, n3: 2 });
  });

  test('pack fills one node after the other', () => {
    const h = new Harness();
    h.pool({ taskSlotsPerNode: 4, taskSchedulingPolicy: { nodeFillType: 'pack' } }, sizes);
    h.job('j');
    h.add('j', ...many(5));
    expect(byNode(h.schedule())).toEqual({ n1: 2, n2: 3 });
    h.add('j', ...many(1, 'u'));
    expect(byNode(h.schedule())).toEqual({ n2: 1 });
  });
});

describe('order', () => {
  test('is by priority, then by age of the job, then by number', () => {
    const h = withNodes(1);
    h.job('low', { priority: -1 });
    h.job('high', { priority: 1 });
    h.job('alike');
    for (const job of ['low', 'alike', 'j', 'high']) h.add(job, ...many(2));
    const order: string[] = [];
    for (let turn = 0; turn < 8; turn++) {
      const [item] = h.schedule(1);
      order.push(`${item?.job}/${item?.task}`);
      h.end('n1', item?.task ?? 0, {}, item?.job ?? 0);
    }
    expect(order).toEqual(['3/1', '3/2', '1/1', '1/2', '4/1', '4/2', '2/1', '2/2']);
  });

  test('follows a change of priority', () => {
    const h = withNodes(1);
    h.job('other');
    h.add('j', ...many(1));
    h.add('other', ...many(1));
    h.ok({ kind: 'job.patch', job: 'other', patch: { priority: 5 } });
    expect(h.place(1)).toMatchObject([{ job: 2 }]);
  });

  test('asked twice, it answers the same, and at most as many as asked for', () => {
    const h = withNodes(3, 4);
    h.add('j', ...many(50));
    expect(h.place(5)).toHaveLength(5);
    expect(h.place(7)).toEqual(h.place(7));
  });
});

describe('affinity', () => {
  test('to a node, in either spelling, or to where an earlier task ran, is followed where there is room', () => {
    const h = withNodes(4, 2);
    h.add('j', { id: 'first', affinityInfo: { affinityId: 'n3' } });
    expect(byNode(h.schedule())).toEqual({ n3: 1 });
    h.end('n3', 1);
    h.add(
      'j',
      { id: 'second', affinityInfo: { affinityId: 'First' } },
      { id: 'third', affinityInfo: { affinityId: 'TVM:n4' } },
    );
    expect(byNode(h.schedule())).toEqual({ n3: 1, n4: 1 });
  });

  test('is not waited for', () => {
    const h = withNodes(2);
    const affinityInfo = { affinityId: 'n2' };
    h.add(
      'j',
      { id: 'a', affinityInfo },
      { id: 'b', affinityInfo },
      { id: 'c', affinityInfo: { affinityId: 'nowhere' } },
    );
    expect(h.schedule()).toEqual([
      { job: 1, task: 1, node: 'n2' },
      { job: 1, task: 2, node: 'n1' },
    ]);
  });
});

describe('assigning ahead of free slots', () => {
  test('free slots anywhere come first', () => {
    const h = withNodes(4, 2);
    h.add('j', ...many(2));
    h.schedule();
    endAll(h, 1);
    h.add('j', ...many(8, 'u'));
    expect(byNode(h.schedule())).toEqual({ n1: 2, n2: 2, n3: 2, n4: 2 });
  });

  test('is not done for long tasks', () => {
    const h = withNodes(2);
    h.add('j', ...many(2));
    h.schedule();
    endAll(h, PREFETCH_BACKLOG_MS + 1);
    h.add('j', ...many(100, 'u'));
    expect(h.schedule()).toHaveLength(2);
  });

  test('is bounded by the time that the waiting tasks are expected to take', () => {
    const h = withNodes(1, 2);
    h.add('j', ...many(2));
    h.schedule();
    endAll(h, 50);
    h.add('j', ...many(1000, 'u'));
    expect(h.schedule()).toHaveLength(2 + (2 * PREFETCH_BACKLOG_MS) / 50);
    expect(h.schedule()).toEqual([]);
    h.end('n1', 3);
    expect(h.schedule().length).toBeGreaterThan(0);
  });

  test('is bounded by number for the shortest', () => {
    const h = withNodes(1, 2);
    h.add('j', ...many(2));
    h.schedule();
    endAll(h, 0);
    h.add('j', ...many(1000, 'u'));
    expect(h.schedule()).toHaveLength(2 * (1 + PREFETCH_PER_SLOT_MAX));
  });

  test('of unknown tasks is one for each slot where there is work for many rounds, else none', () => {
    const h = withNodes(3, 2);
    h.add('j', ...many(6 + PREFETCH_UNKNOWN_ROUNDS * 6 - 1));
    expect(h.schedule()).toHaveLength(6);
    h.add('j', ...many(1, 'u'));
    expect(byNode(h.schedule())).toEqual({ n1: 2, n2: 2, n3: 2 });
    expect(h.schedule()).toEqual([]);
  });

  test('is not done behind tasks of another job that are long, or of unknown length', () => {
    const h = withNodes(2);
    h.add('j', ...many(2));
    h.schedule();
    endAll(h, 1);
    h.job('long', { priority: 1 });
    h.add('long', { id: 'a', affinityInfo: { affinityId: 'n1' } });
    h.add('j', ...many(500, 'u'));
    // In the same round and in a later one.
    expect(byNode(h.schedule()).n1).toBe(1);
    expect(byNode(h.schedule()).n1).toBeUndefined();
    expect(byNode([...h.machine.executions('n2')].map(() => ({ node: 'n2' }))).n2).toBeGreaterThan(10);
  });
});

describe('big tasks', () => {
  test('are placed where they fit, also where a less loaded node is too small', () => {
    const h = new Harness();
    h.pool({ taskSlotsPerNode: 8 }, [
      { node: 'small', slots: 2 },
      { node: 'large', slots: 8 },
    ]);
    h.job('j');
    h.add('j', { id: 'one' }, { id: 'big', requiredSlots: 6 }, { id: 'two', requiredSlots: 2 });
    expect(h.schedule()).toEqual([
      { job: 1, task: 1, node: 'small' },
      { job: 1, task: 2, node: 'large' },
      { job: 1, task: 3, node: 'large' },
    ]);
  });

  test('that fit nowhere now do not hold up smaller ones of their job', () => {
    const h = withNodes(1, 4);
    h.add('j', { id: 'first' }, { id: 'big', requiredSlots: 4 }, { id: 'small' });
    expect(h.schedule().map(({ task }) => task)).toEqual([1, 3]);
  });

  test('get a node in the end, however many small ones come', () => {
    const random = new Prng(7);
    const h = withNodes(2, 4);
    h.job('stream', { priority: -1 });
    h.add('stream', ...many(8));
    h.schedule();
    h.add('j', { id: 'big', requiredSlots: 4 });
    let rounds = 0;
    for (; rounds < 500; rounds++) {
      h.add('stream', ...many(3, `r${rounds}-`));
      // Long tasks, of which one ends at a time: four free slots on one node never come by chance.
      const node = random.pick(['n1', 'n2']);
      const [some] = [...h.machine.executions(node)].sort(() => random.int(-1, 1));
      if (some !== undefined) h.end(node, some.task, { startedAtMs: 0, endedAtMs: 60_000 }, some.job);
      if (h.schedule().some(({ job }) => job === 1)) break;
    }
    expect(rounds).toBeGreaterThan(PLACEMENT_PASSED_OVER_MAX / 2);
    expect(rounds).toBeLessThan(100);
  });
});

describe('a task that waits for a free slot', () => {
  /** A stream of short tasks in job `j`, which keep every node assigned ahead. */
  function streaming(): { h: Harness; turn: () => readonly { job: number; task: number }[] } {
    const h = withNodes(2, 2);
    h.add('j', ...many(4));
    h.schedule();
    endAll(h, 5);
    let round = 0;
    const turn = () => {
      round += 1;
      h.add('j', ...many(100, `s${round}-`));
      const placed = h.schedule();
      // Half of what is assigned ends, so that no node is idle.
      endAll(h, 5, 0.5, 1);
      return placed;
    };
    turn();
    return { h, turn };
  }

  test('of a job that goes first is not held up by short tasks that are assigned ahead', () => {
    const { h, turn } = streaming();
    h.job('first', { priority: 1 });
    h.add('first', { id: 'a' });
    const rounds = Array.from({ length: 20 }, turn).findIndex((placed) =>
      placed.some(({ job }) => job === 2),
    );
    expect(rounds).toBeGreaterThanOrEqual(0);
  });

  test('and is big gets a node in spite of them, though it goes last', () => {
    const { h, turn } = streaming();
    h.job('first', { priority: 1 });
    h.add('first', { id: 'big', requiredSlots: 2 });
    const rounds = Array.from({ length: 40 }, turn).findIndex((placed) =>
      placed.some(({ job }) => job === 2),
    );
    expect(rounds).toBeGreaterThanOrEqual(0);
  });

  test('keeps short tasks off the nodes that it could use, and off no other', () => {
    const h = new Harness();
    h.pool({}, [{ node: 'gpu', labels: ['gpu'] }, { node: 'plain' }]);
    h.job('j');
    h.add('j', ...many(2));
    h.schedule();
    endAll(h, 5);
    h.add('j', ...many(2, 'u'));
    h.schedule();
    h.job('first', { priority: 1 });
    h.add('first', { id: 'a', requiredLabels: ['gpu'] });
    h.add('j', ...many(100, 'v'));
    h.schedule();
    expect([...h.machine.executions('gpu')]).toHaveLength(1);
    expect([...h.machine.executions('plain')].length).toBeGreaterThan(10);
    endAll(h, 5);
    expect(h.schedule()).toContainEqual({ job: 2, task: 1, node: 'gpu' });
  });
});

describe('for any pool', () => {
  const arbitrary = fc.record({
    nodes: fc.array(fc.record({ slots: fc.integer({ min: 1, max: 8 }), gpu: fc.boolean() }), {
      minLength: 1,
      maxLength: 6,
    }),
    tasks: fc.array(
      fc.record({
        slots: fc.integer({ min: 1, max: 8 }),
        gpu: fc.boolean(),
        job: fc.integer({ min: 0, max: 2 }),
        affinity: fc.integer({ min: 0, max: 9 }),
      }),
      { maxLength: 40 },
    ),
    priorities: fc.tuple(
      fc.integer({ min: -2, max: 2 }),
      fc.integer({ min: -2, max: 2 }),
      fc.integer({ min: -2, max: 2 }),
    ),
    parallel: fc.constantFrom(-1, 1, 3),
    pack: fc.boolean(),
  });

  test('what is placed passes the gate, and nothing that fits a free slot is left out', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ nodes, tasks, priorities, parallel, pack }) => {
        const h = new Harness();
        h.pool(
          { taskSlotsPerNode: 8, taskSchedulingPolicy: { nodeFillType: pack ? 'pack' : 'spread' } },
          nodes.map(({ slots, gpu }, position) => ({
            node: `n${position}`,
            slots,
            labels: gpu ? ['gpu'] : [],
          })),
        );
        for (const [position, priority] of priorities.entries())
          h.job(`j${position}`, { priority, maxParallelTasks: parallel });
        tasks.forEach(({ slots, gpu, job, affinity }, position) => {
          h.add(`j${job}`, {
            id: `t${position}`,
            requiredSlots: slots,
            requiredLabels: gpu ? ['gpu'] : [],
            affinityInfo: { affinityId: `n${affinity}` },
          });
        });
        // `schedule` insists that the gate takes all of it.
        h.schedule();
        expect(h.place()).toEqual([]);
        for (const [position, { job }] of tasks.entries()) {
          const { reasons, nodes: verdicts } = await h.explain(`j${job}`, `t${position}`);
          const fits = verdicts.some(({ verdict }) => verdict === 'fits');
          if (fits) expect(reasons.map(({ rule }) => rule)).not.toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });
});

test('placing a few tasks costs the same however many are ready', () => {
  const h = withNodes(10);
  const costOf = (): number => {
    const begin = process.cpuUsage();
    for (let n = 0; n < 300; n++) h.place(10);
    const { user, system } = process.cpuUsage(begin);
    return user + system;
  };
  h.add('j', ...many(100));
  costOf();
  const few = costOf();
  const tasks = Array.from({ length: 60_000 }, (_, n) => ({ id: `u${n}`, commandLine: 'x' }));
  h.index += 1;
  h.machine.apply(h.index, {
    timeMs: h.timeMs,
    commands: [{ requestId: null, command: { kind: 'task.add', job: 'j', tasks } }],
  });
  // 600 times as many tasks; a scan would cost 100 times as much.
  expect(costOf()).toBeLessThan(10 * few + 20_000);
});
