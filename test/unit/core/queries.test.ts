import { describe, expect, test } from 'vitest';
import { LIST_SCAN_HOT_MAX } from '../../../src/lib/limits.ts';
import type { Page, TaskEntity } from '../../../src/model/queries.ts';
import { type Harness, withNodes } from './pool-harness.ts';

async function allPages(
  h: Harness,
  limit: number,
  filter?: string,
): Promise<{ ids: string[]; pages: number }> {
  const ids: string[] = [];
  let pages = 0;
  let after: number | undefined = 0;
  while (after !== undefined) {
    const page: Page<TaskEntity> = await h.listTasks('j', {
      limit,
      after,
      ...(filter === undefined ? {} : { filter }),
    });
    ids.push(...page.items.map(({ spec }) => spec.id));
    expect(page.items.length).toBeLessThanOrEqual(limit);
    after = page.next;
    pages += 1;
  }
  return { ids, pages };
}

/** Tasks 0 to 9: even ones ended (0, 4, 8 well, 2 and 6 with code 3), odd ones are active. */
function mixed(): Harness {
  const h = withNodes(1, 4);
  h.add('j', ...Array.from({ length: 10 }, (_, n) => ({ id: `t${n}` })));
  for (const task of [1, 3, 5, 7, 9]) {
    h.ok({ kind: 'assign', items: [{ job: 1, task, node: 'n1' }] });
    h.end('n1', task, { exitCode: task % 4 === 1 ? 0 : 3, startedAtMs: 50 });
  }
  return h;
}

describe('a list of tasks', () => {
  test('comes in pages that neither skip nor repeat', async () => {
    const h = mixed();
    const expected = Array.from({ length: 10 }, (_, n) => `t${n}`);
    for (const limit of [1, 3, 10, 1000]) expect((await allPages(h, limit)).ids).toEqual(expected);
  });

  test('tells how a task ended that ends while its rows are read', async () => {
    const h = withNodes(1, 4);
    h.add('j', { id: 't0' });
    h.ok({ kind: 'assign', items: [{ job: 1, task: 1, node: 'n1' }] });
    const page = h.listTasks('j', { limit: 10 });
    h.end('n1', 1, { exitCode: 7, startedAtMs: 50 });
    expect((await page).items).toMatchObject([{ state: 'completed', exitCode: 7 }]);
  });

  test('goes on where it was whatever is deleted or added between two pages', async () => {
    const h = mixed();
    const first = await h.listTasks('j', { limit: 4 });
    h.ok({ kind: 'task.delete', job: 'j', task: 't3' });
    h.ok({ kind: 'task.delete', job: 'j', task: 't5' });
    h.restart();
    h.add('j', { id: 't3' });
    const second = await h.listTasks('j', { limit: 100, after: first.next ?? 0 });
    expect(second.items.map(({ spec }) => spec.id)).toEqual(['t4', 't6', 't7', 't8', 't9', 't3']);
    expect(second).not.toHaveProperty('next');
  });

  test.each([
    ["state eq 'completed'", ['t0', 't2', 't4', 't6', 't8']],
    ["state ne 'completed' and startswith(id, 'T1')", ['t1']],
    ["executionInfo/result eq 'failure'", ['t2', 't6']],
    ['executionInfo/exitCode eq 3', ['t2', 't6']],
    ["executionInfo/exitCode eq 0 or id eq 't9'", ['t0', 't4', 't8', 't9']],
    ["executionInfo/startTime lt DateTime'2000-01-01T00:00:00Z'", ['t0', 't2', 't4', 't6', 't8']],
    ["nodeInfo/nodeId eq 'n1'", ['t0', 't2', 't4', 't6', 't8']],
    ["creationTime gt DateTime'2000-01-01T00:00:00Z'", []],
  ])('takes the filter %s', async (filter, expected) => {
    const h = mixed();
    for (const limit of [2, 1000]) expect((await allPages(h, limit, filter)).ids).toEqual(expected);
  });

  test('a bad filter is refused', async () => {
    await expect(mixed().listTasks('j', { filter: 'colour eq 1' })).rejects.toMatchObject({
      code: 'InvalidQueryParameterValue',
    });
  });

  test('a page with a filter ends after so many tasks were looked at, be it empty', async () => {
    const h = withNodes(0);
    const count = LIST_SCAN_HOT_MAX + 10;
    const commands = [];
    for (let first = 0; first < count; first += 5_000) {
      const tasks = Array.from({ length: Math.min(5_000, count - first) }, (_, n) => ({
        id: `t${first + n}`,
        commandLine: 'x',
      }));
      commands.push({ requestId: null, command: { kind: 'task.add', job: 'j', tasks } as const });
    }
    h.index += 1;
    h.store.write(h.machine.apply(h.index, { timeMs: h.timeMs, commands }).writes);
    const page = await h.listTasks('j', { filter: "state eq 'running'" });
    expect(page).toEqual({ items: [], next: LIST_SCAN_HOT_MAX });
    expect(await h.listTasks('j', { filter: "state eq 'running'", after: LIST_SCAN_HOT_MAX })).toEqual({
      items: [],
    });
    expect((await allPages(h, 1000, `id eq 't${count - 1}'`)).ids).toEqual([`t${count - 1}`]);
  });
});

describe('other queries', () => {
  test('jobs are listed by number, with their counts', async () => {
    const h = mixed();
    h.job('second', { priority: 3 });
    const page = await h.query('job.list', { limit: 1 });
    expect(page.items).toMatchObject([
      { spec: { id: 'j' }, counts: { active: 5, running: 0, completed: 5, succeeded: 3, failed: 2 } },
    ]);
    expect(await h.query('job.list', { limit: 5, after: page.next ?? 0 })).toMatchObject({
      items: [{ spec: { id: 'second', priority: 3 } }],
    });
    expect((await h.query('job.list', { limit: 5, filter: "id eq 'SECOND'" })).items).toHaveLength(1);
  });

  test('counts are given in tasks and in slots', async () => {
    const h = withNodes(1, 4);
    h.add('j', { id: 'a', requiredSlots: 3 }, { id: 'b' });
    h.schedule();
    h.start('n1', 1);
    const { counts, slotCounts } = await h.getJob('j');
    expect(counts).toMatchObject({ active: 1, running: 1 });
    expect(slotCounts).toMatchObject({ active: 1, running: 3 });
  });

  test('nodes are listed in the order in which they came, also after a restart', async () => {
    const h = withNodes(3);
    h.pool({}, [{ node: 'a-late' }]);
    h.restart();
    const first = await h.query('node.list', { limit: 2 });
    const second = await h.query('node.list', { limit: 2, after: first.next ?? 0 });
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(['n1', 'n2', 'n3', 'a-late']);
    expect(second).not.toHaveProperty('next');
    expect((await h.query('node.list', { limit: 9, filter: "state eq 'offline'" })).items).toEqual([]);
  });

  test('what is not there is NotFound, and no query is InvalidArgument', async () => {
    const h = withNodes(0);
    await expect(h.getJob('x')).rejects.toMatchObject({ code: 'JobNotFound' });
    await expect(h.getTask('j', 'x')).rejects.toMatchObject({ code: 'TaskNotFound' });
    await expect(h.getNode('x')).rejects.toMatchObject({ code: 'NodeNotFound' });
    await expect(h.explain('j', 'x')).rejects.toMatchObject({ code: 'TaskNotFound' });
    await expect(h.machine.query('toString', {}, h.store)).rejects.toMatchObject({ code: 'InvalidArgument' });
  });
});

describe('an explanation', () => {
  test('names for each node the first rule that it fails, and what to do', async () => {
    const h = withNodes(1, 2);
    h.pool({ taskSlotsPerNode: 2 }, [
      { node: 'gpu', slots: 2, labels: ['gpu'] },
      { node: 'off', slots: 2, labels: ['gpu'] },
      { node: 'gone', slots: 2, labels: ['gpu'] },
    ]);
    h.ok({ kind: 'node.scheduling', node: 'off', enabled: false, option: 'requeue' });
    h.ok({ kind: 'node.lost', node: 'gone' });
    h.add(
      'j',
      { id: 'first', requiredLabels: ['gpu'] },
      { id: 'a', requiredSlots: 2, requiredLabels: ['gpu'] },
    );
    h.schedule(1);
    const { state, nodes } = await h.explain('j', 'a');
    expect(state).toBe('active');
    expect(nodes.map(({ node, verdict, rule }) => [node, verdict, rule])).toEqual([
      ['gone', 'refused', 'nodeLost'],
      ['gpu', 'refused', 'busy'],
      ['n1', 'refused', 'labels'],
      ['off', 'refused', 'nodeDisabled'],
    ]);
    for (const { remedy } of nodes) expect(remedy).toMatch(/\w/);
    expect((await h.explain('j', 'first')).nodes).toContainEqual({ node: 'gpu', verdict: 'running' });
  });

  test('says that a task waits for its turn, on its node, or for its end', async () => {
    const h = withNodes(1);
    h.job('urgent', { priority: 10 });
    h.add('j', { id: 'a' });
    h.add('urgent', { id: 'u1' }, { id: 'u2' });
    h.schedule(1);
    expect((await h.explain('j', 'a')).reasons).toMatchObject([
      { rule: 'order', detail: expect.stringMatching(/^1 ready task/) },
    ]);
    expect((await h.explain('urgent', 'u1')).reasons).toMatchObject([{ rule: 'waitingOnNode' }]);
    h.ok({ kind: 'task.terminate', job: 'urgent', task: 'u1' });
    expect((await h.explain('urgent', 'u1')).reasons).toMatchObject([{ rule: 'stopping' }]);
  });

  test('says that a job is at its maxParallelTasks', async () => {
    const h = withNodes(2, 1, { maxParallelTasks: 1 });
    h.add('j', { id: 'a' }, { id: 'b' });
    h.schedule();
    const { reasons, nodes } = await h.explain('j', 'b');
    expect(reasons.map(({ rule }) => rule)).toEqual(['maxParallelTasks']);
    expect(nodes.find(({ node }) => node === 'n2')?.verdict).toBe('fits');
  });
});
