import { describe, expect, test } from 'vitest';
import type { TaskSpec } from '../../../src/model/task.ts';
import { Harness } from './pool-harness.ts';

const POOL = { taskSlotsPerNode: 1, enableInterNodeCommunication: true } as const;

function gang(id: string, numberOfInstances: number, more: Partial<TaskSpec> = {}) {
  return {
    id,
    multiInstanceSettings: { numberOfInstances, coordinationCommandLine: '/bin/coordinate' },
    ...more,
  };
}

function withGangNodes(count: number, job = {}): Harness {
  const h = new Harness();
  h.pool(
    POOL,
    Array.from({ length: count }, (_, n) => ({ node: `n${n + 1}` })),
  );
  h.job('j', job);
  return h;
}

/** Executions that the agent of the node is to run. */
function on(h: Harness, node: string): number[] {
  return [...h.machine.executions(node)].map(({ task }) => task);
}

/** Ends all that runs on these nodes, once. */
function endOn(h: Harness, nodes: readonly string[], exitCode = 0): void {
  for (const node of nodes) for (const task of on(h, node)) h.end(node, task, { exitCode });
}

/** The coordination commands on these nodes succeed. */
function coordinateOn(h: Harness, ...nodes: readonly string[]): void {
  for (const node of nodes)
    for (const task of on(h, node)) {
      const item = { ...h.execution(node, task), startedAtMs: h.timeMs, coordinated: true } as const;
      expect(h.report(node, item)).toEqual(['recorded']);
    }
}

/** What is to be stopped on these nodes is. */
function stopOn(h: Harness, ...nodes: readonly string[]): void {
  for (const node of nodes)
    for (const { task, stop } of [...h.machine.executions(node)])
      if (stop) h.end(node, task, { kind: 'killed' });
}

describe('a multi-instance task', () => {
  test('begins on all of its nodes or on none', () => {
    const h = withGangNodes(3);
    h.add('j', { id: 'single' });
    h.schedule();
    h.add('j', gang('wide', 3), gang('pair', 2));
    expect(h.schedule()).toEqual([{ job: 1, task: 3, node: 'n2', others: ['n3'] }]);
    expect(h.place()).toEqual([]);
  });

  test('runs once the coordination command succeeded on every node; what that left running stays until it ends', async () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2), { id: 'next' });
    h.schedule();
    expect([on(h, 'n1'), on(h, 'n2')]).toEqual([[3], [4]]);
    coordinateOn(h, 'n2');
    expect([on(h, 'n1'), on(h, 'n2')]).toEqual([[3], [4]]);
    expect(h.place()).toEqual([]);
    h.restart();
    coordinateOn(h, 'n1');
    expect([on(h, 'n1'), on(h, 'n2')]).toEqual([[1, 3], [4]]);
    h.restart();
    h.start('n1', 1);
    h.end('n1', 1);
    expect(await h.states('j')).toEqual({ mpi: 'completed', next: 'active' });
    expect(h.place()).toEqual([]);
    stopOn(h, 'n1', 'n2');
    expect(h.schedule()).toEqual([{ job: 1, task: 2, node: 'n1' }]);
  });

  test('tells its agents who its nodes are, by instance', () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2), { id: 'alone' });
    h.schedule();
    const nodes = ['n1', 'n2'];
    expect([1, 3, 4].map((task) => h.machine.gangOf(1, task))).toMatchObject([
      { instance: 0, nodes },
      { instance: 0, nodes },
      { instance: 1, nodes },
    ]);
    expect(h.machine.gangOf(1, 2)).toBeUndefined();
  });

  test('shows its subtasks, but for the one beside itself', async () => {
    const h = withGangNodes(3);
    h.add('j', gang('mpi', 3), { id: 'alone' });
    const subtasks = () => h.query('task.subtasks', { job: 'j', task: 'mpi' });
    expect(await subtasks()).toEqual([]);
    h.schedule();
    expect(await subtasks()).toMatchObject([
      { id: 1, node: 'n2', state: 'preparing' },
      { id: 2, node: 'n3', state: 'preparing' },
    ]);
    coordinateOn(h, 'n1', 'n2', 'n3');
    expect(await subtasks()).toMatchObject([{ state: 'running', previousState: 'preparing' }, { id: 2 }]);
    h.end('n1', 1);
    stopOn(h, 'n1', 'n2');
    h.ok({ kind: 'node.lost', node: 'n3' });
    expect(await subtasks()).toMatchObject([
      { state: 'completed', run: { exitCode: 0, result: 'success' } },
      { state: 'completed', run: { result: 'success' } },
    ]);
    expect(await h.query('task.subtasks', { job: 'j', task: 'alone' })).toEqual([]);
  });

  test('fails as a whole where one coordination command fails, and is retried as a whole', async () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2, { constraints: { maxTaskRetryCount: 1 } }));
    h.schedule();
    endOn(h, ['n2'], 7);
    expect(await h.getTask('j', 'mpi')).toMatchObject({ state: 'active', retryCount: 1 });
    // The other is being stopped, and its node is not given away before it is.
    expect(h.place()).toEqual([]);
    endOn(h, ['n1'], 137);
    h.schedule();
    endOn(h, ['n1'], 7);
    endOn(h, ['n2'], 137);
    expect(await h.getTask('j', 'mpi')).toMatchObject({ state: 'completed', exitCode: 7, result: 'failure' });
    const subtasks = await h.query('task.subtasks', { job: 'j', task: 'mpi' });
    expect(subtasks).toMatchObject([{ state: 'completed', run: { exitCode: 137, result: 'failure' } }]);
  });

  test('fails where what a coordination command left running used too much', async () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2, { constraints: { maxTaskRetryCount: 1 } }));
    for (const state of ['active', 'completed']) {
      h.schedule();
      coordinateOn(h, 'n1', 'n2');
      h.start('n1', 1);
      endOn(h, ['n2'], 137);
      expect([...h.machine.executions('n1')]).toMatchObject([{ task: 1, stop: true }, { stop: false }]);
      h.restart();
      h.end('n1', 1, { kind: 'killed' });
      stopOn(h, 'n1');
      expect(await h.getTask('j', 'mpi')).toMatchObject({ state, retryCount: 1 });
    }
    expect(await h.getTask('j', 'mpi')).toMatchObject({ failure: { code: 'SubtaskFailed' } });
  });

  test('that is ended by a user while it fails is not retried', async () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2, { constraints: { maxTaskRetryCount: -1 } }));
    h.schedule();
    coordinateOn(h, 'n1', 'n2');
    endOn(h, ['n2'], 137);
    h.ok({ kind: 'task.terminate', job: 'j', task: 'mpi' });
    h.end('n1', 1, { kind: 'killed' });
    expect(await h.getTask('j', 'mpi')).toMatchObject({ state: 'completed', failure: { code: 'TaskEnded' } });
  });

  test('whose node is lost runs again on others, uncounted', async () => {
    const h = withGangNodes(3);
    h.add('j', gang('mpi', 2));
    h.schedule();
    coordinateOn(h, 'n1', 'n2');
    h.start('n1', 1);
    h.ok({ kind: 'node.lost', node: 'n2' });
    expect([...h.machine.executions('n1')]).toMatchObject([{ task: 1, stop: true }, { stop: false }]);
    h.end('n1', 1, { kind: 'killed' });
    expect(await h.getTask('j', 'mpi')).toMatchObject({ state: 'active', retryCount: 0, requeueCount: 0 });
    // Nothing of the last run may be left anywhere.
    expect(h.place()).toEqual([]);
    stopOn(h, 'n1');
    expect(h.schedule()).toEqual([{ job: 1, task: 1, node: 'n1', others: ['n3'] }]);
  });

  test('that is deleted leaves nothing behind', async () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2));
    h.schedule();
    coordinateOn(h, 'n2');
    h.ok({ kind: 'task.delete', job: 'j', task: 'mpi' });
    stopOn(h, 'n1', 'n2');
    expect(await h.listTasks('j')).toMatchObject({ items: [] });
    expect([...h.store.rows.keys()].filter((key) => /^[tqux]\/00000001\/0000000[23]/.test(key))).toEqual([]);
    h.add('j', { id: 'next' });
    expect(h.schedule()).toHaveLength(1);
  });

  test('whose job ends holds it up until its nodes are free', async () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2));
    h.schedule();
    h.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    expect((await h.getJob('j')).state).toBe('terminating');
    endOn(h, ['n1', 'n2'], 137);
    expect((await h.getJob('j')).state).toBe('completed');
  });

  test('waits for the preparation of its job on every node', () => {
    const h = withGangNodes(2, { jobPreparationTask: { commandLine: '/bin/prepare' } });
    h.add('j', gang('mpi', 2));
    h.schedule();
    endOn(h, ['n1']);
    expect([on(h, 'n1'), on(h, 'n2')]).toEqual([[4], [3]]);
    coordinateOn(h, 'n1');
    endOn(h, ['n2']);
    coordinateOn(h, 'n2');
    expect([on(h, 'n1'), on(h, 'n2')]).toEqual([[1, 4], [5]]);
  });

  test('is refused where it could never run', () => {
    const h = withGangNodes(2);
    h.pool({ taskSlotsPerNode: 1 }, [{ node: 'n1' }, { node: 'n2' }]);
    expect(h.addOutcome('j', gang('alone', 2))).toBe('TaskCanNeverRun');
    h.pool({ ...POOL, taskSlotsPerNode: 2 }, [{ node: 'n1' }, { node: 'n2' }]);
    expect(h.addOutcome('j', gang('alone', 2))).toBe('TaskCanNeverRun');
  });

  test('does not starve behind small tasks', () => {
    const h = withGangNodes(2);
    h.add('j', gang('mpi', 2));
    h.job('small', { priority: 1 });
    h.add('small', ...Array.from({ length: 4 }, (_, n) => ({ id: `s${n}` })));
    h.schedule();
    h.ok({ kind: 'job.patch', job: 'small', patch: { priority: -1 } });
    for (let round = 0; round < 60; round++) {
      h.add('small', { id: `t${round}` });
      const node = round % 2 === 0 ? 'n1' : 'n2';
      for (const { job, task } of [...h.machine.executions(node)]) if (job === 2) h.end(node, task, {}, 2);
      if (h.schedule().some(({ others }) => others !== undefined)) return;
    }
    throw new Error('it never ran');
  });
});

describe('the gate', () => {
  test('takes no gang that is short of a node, has one twice, or shares one', () => {
    const h = withGangNodes(3);
    h.add('j', gang('mpi', 2), { id: 'single' });
    h.ok({ kind: 'assign', items: [{ job: 1, task: 2, node: 'n3' }] });
    for (const others of [undefined, [], ['n1'], ['n3'], ['n9'], ['n2', 'n3']]) {
      const item = { job: 1, task: 1, node: 'n1', ...(others === undefined ? {} : { others }) };
      expect(h.do({ kind: 'assign', items: [item] })).toMatchObject({ value: { assigned: [] } });
    }
  });
});
