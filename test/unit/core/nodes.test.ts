import { describe, expect, test } from 'vitest';
import { PREFETCH_PER_SLOT_MAX } from '../../../src/lib/limits.ts';
import { aNode, Harness, POOL_ID, withNodes } from './pool-harness.ts';

/** One task running on n1, of two nodes. */
function running(): Harness {
  const h = withNodes(2);
  h.add('j', { id: 'a' });
  h.schedule();
  h.start('n1', 1);
  h.takeEffects();
  return h;
}

describe('the gate of assignments', () => {
  /** How many of these the gate takes. */
  const taken = (h: Harness, ...items: { job?: number; task?: number; node?: string }[]): number => {
    const outcome = h.do({
      kind: 'assign',
      items: items.map((item) => ({ job: 1, task: 1, node: 'n1', ...item })),
    });
    return outcome.ok ? outcome.value.assigned.length : -1;
  };

  test('leaves out what does not exist, is assigned already, or is not ready', () => {
    const h = withNodes(2, 2, { usesTaskDependencies: true });
    h.add('j', { id: 'a' }, { id: 'b', dependsOn: { taskIds: ['a'] } });
    expect(taken(h, { job: 9 }, { task: 9 }, { node: 'n9' }, { task: 2 }, { task: -1 }, { task: 0.5 })).toBe(
      0,
    );
    expect(taken(h, {}, {}, { node: 'n2' })).toBe(1);
    expect(h.machine.countOutstanding()).toBe(1);
  });

  test('answers with the log index as the epoch, and has each dispatched', () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    expect(h.do({ kind: 'assign', items: [{ job: 1, task: 1, node: 'n1' }] })).toEqual({
      ok: true,
      value: { epoch: h.index, assigned: [{ job: 1, task: 1, node: 'n1' }] },
    });
    expect(h.takeEffects()).toEqual([{ kind: 'dispatch', node: 'n1', job: 1, task: 1, epoch: h.index }]);
  });

  test('never gives one task two executions of one epoch', () => {
    const h = withNodes(2);
    h.add('j', { id: 'a' });
    const assign = {
      kind: 'assign',
      items: [
        { job: 1, task: 1, node: 'n1' },
        { job: 1, task: 1, node: 'n2' },
      ],
    } as const;
    const { results, effects } = h.apply(assign, { kind: 'node.lost', node: 'n1' }, assign);
    expect(results[2]).toMatchObject({ value: { assigned: [] } });
    expect(effects.filter(({ kind }) => kind === 'dispatch')).toHaveLength(1);
    expect(taken(h, { node: 'n2' })).toBe(1);
  });

  test('gives nothing to a node that is lost, disabled, leaving, or lacks what is asked', () => {
    const h = new Harness();
    h.pool({ taskSlotsPerNode: 8 }, [
      { node: 'lost' },
      { node: 'disabled' },
      { node: 'leaving', leaving: { option: 'taskcompletion', reason: 'resize' } },
      { node: 'small', labels: ['gpu', 'ssd'] },
      { node: 'bare', slots: 8 },
      { node: 'good', slots: 4, labels: ['gpu', 'ssd'] },
    ]);
    h.ok({ kind: 'node.lost', node: 'lost' });
    h.ok({ kind: 'node.scheduling', node: 'disabled', enabled: false, option: 'taskcompletion' });
    h.job('j');
    h.add('j', { id: 'a', requiredSlots: 3, requiredLabels: ['ssd', 'gpu', 'ssd'] });
    for (const node of ['lost', 'disabled', 'leaving', 'small', 'bare']) expect(taken(h, { node })).toBe(0);
    expect(h.place()).toEqual([{ job: 1, task: 1, node: 'good' }]);
    expect(taken(h, { node: 'good' })).toBe(1);
  });

  test('bounds what waits on a node', () => {
    const h = withNodes(1);
    const most = 1 + PREFETCH_PER_SLOT_MAX;
    h.add('j', ...Array.from({ length: most + 5 }, (_, n) => ({ id: `t${n}` })));
    expect(taken(h, ...Array.from({ length: most + 5 }, (_, n) => ({ task: n + 1 })))).toBe(most);
  });

  test('keeps to maxParallelTasks, waiting executions included', () => {
    const h = withNodes(3, 1, { maxParallelTasks: 2 });
    h.add('j', { id: 'a' }, { id: 'b' }, { id: 'c' });
    expect(taken(h, { task: 1 }, { task: 2, node: 'n2' }, { task: 3, node: 'n3' })).toBe(2);
    expect(h.place()).toEqual([]);
    h.end('n1', 1);
    expect(h.schedule()).toMatchObject([{ task: 3 }]);
    h.ok({ kind: 'job.patch', job: 'j', patch: { maxParallelTasks: -1 } });
  });

  test('asks the job at the time of the entry, not of the proposal', () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    const items = h.place();
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'wait' });
    expect(h.do({ kind: 'assign', items })).toMatchObject({ value: { assigned: [] } });
  });
});

describe('the loss of a node', () => {
  test('requeues all that it had, and it is given nothing until it is heard', async () => {
    const h = running();
    h.add('j', { id: 'b' });
    h.ok({ kind: 'assign', items: [{ job: 1, task: 2, node: 'n1' }] });
    h.ok({ kind: 'node.lost', node: 'n1' });
    expect(await h.getNode('n1')).toMatchObject({ state: 'unknown', runningTasks: 0, waitingTasks: 0 });
    expect(h.machine.digest('n1')).toBe(0);
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'active',
      previousState: 'running',
      requeueCount: 0,
      retryCount: 0,
    });
    expect(h.schedule(9)).toEqual([{ job: 1, task: 1, node: 'n2' }]);
    h.tick(3);
    h.ok({ kind: 'node.heard', node: 'n1' });
    expect(await h.getNode('n1')).toMatchObject({ state: 'idle', stateTransitionTimeMs: h.timeMs });
    expect(h.schedule()).toEqual([{ job: 1, task: 2, node: 'n1' }]);
  });

  test('is refused for a node that is not there', () => {
    expect(withNodes(0).refusal({ kind: 'node.lost', node: 'x' })).toBe('NodeNotFound');
  });
});

describe('a fault that a machine tells of its node', () => {
  const fault = { code: 'ApplicationPackageError', message: 'The package x could not be had.' };

  test('keeps new tasks from it and lets go on what runs, until the machine takes it back', async () => {
    const h = running();
    h.ok({ kind: 'node.heard', node: 'n1', fault });
    expect(h.takeEffects()).toEqual([]);
    expect(await h.getNode('n1')).toMatchObject({ state: 'unusable', fault, runningTasks: 1 });
    h.end('n1', 1, { kind: 'exited', exitCode: 0 });
    const [task] = h.schedule();
    expect(task?.node).not.toBe('n1');
    const { stateTransitionTimeMs } = await h.getNode('n1');
    h.tick(1);
    h.ok({ kind: 'node.heard', node: 'n1', fault });
    expect(await h.getNode('n1')).toMatchObject({ stateTransitionTimeMs });
    h.ok({ kind: 'node.heard', node: 'n1' });
    expect(await h.getNode('n1')).toMatchObject({ state: 'unusable' });
    h.ok({ kind: 'node.heard', node: 'n1', fault: null });
    const healthy = await h.getNode('n1');
    expect(healthy).toMatchObject({ state: 'idle' });
    expect(healthy).not.toHaveProperty('fault');
  });
});

describe('disabling a node', () => {
  test('with requeue stops what it runs; it is offline when that has ended', async () => {
    const h = running();
    h.ok({ kind: 'node.scheduling', node: 'n1', enabled: false, option: 'requeue' });
    expect(h.takeEffects()).toMatchObject([{ kind: 'stop', node: 'n1', task: 1 }]);
    expect(await h.getNode('n1')).toMatchObject({ state: 'running', schedulingState: 'disabled' });
    h.end('n1', 1, { kind: 'killed' });
    expect(await h.getNode('n1')).toMatchObject({ state: 'offline' });
    const task = await h.getTask('j', 'a');
    expect(task.requeueCount).toBe(1);
    expect(task).not.toHaveProperty('startTimeMs');
    expect(h.schedule()).toEqual([{ job: 1, task: 1, node: 'n2' }]);
  });

  test('with taskcompletion lets it end', async () => {
    const h = running();
    h.ok({ kind: 'node.scheduling', node: 'n1', enabled: false, option: 'taskcompletion' });
    expect(h.takeEffects()).toEqual([]);
    h.end('n1', 1);
    expect((await h.getTask('j', 'a')).result).toBe('success');
  });

  test('twice is refused', () => {
    const h = running();
    expect(h.refusal({ kind: 'node.scheduling', node: 'n1', enabled: true, option: 'requeue' })).toBe(
      'NodeAlreadyInTargetSchedulingState',
    );
  });
});

describe('a node that leaves', () => {
  const leave = (
    h: Harness,
    option: 'requeue' | 'terminate' | 'taskcompletion' | 'retaineddata',
    reason: 'resize' | 'preempted' = 'resize',
  ): void => h.pool({ taskSlotsPerNode: 1 }, [{ node: 'n1', leaving: { option, reason } }, { node: 'n2' }]);

  test.each([
    ['requeue', 'resize', { state: 'active', requeueCount: 1 }],
    ['requeue', 'preempted', { state: 'active', requeueCount: 0 }],
    ['terminate', 'resize', { state: 'completed', result: 'failure' }],
  ] as const)(
    'with %s (%s) stops what runs and is released when that has ended',
    async (option, reason, expected) => {
      const h = running();
      leave(h, option, reason);
      expect(h.takeEffects()).toMatchObject([{ kind: 'stop', node: 'n1', task: 1 }]);
      expect((await h.getNode('n1')).state).toBe(reason === 'preempted' ? 'preempted' : 'leavingpool');
      expect(h.machine.isReleasable('n1')).toBe(false);
      h.end('n1', 1, { kind: 'killed' });
      expect(h.takeEffects()).toEqual([{ kind: 'nodeEmpty', node: 'n1' }]);
      expect(h.machine.isReleasable('n1')).toBe(true);
      expect(await h.getTask('j', 'a')).toMatchObject(expected);
      h.pool({ taskSlotsPerNode: 1 }, [{ node: 'n2' }], { removed: ['n1'] });
      await expect(h.getNode('n1')).rejects.toMatchObject({ code: 'NodeNotFound' });
    },
  );

  test.each(['taskcompletion', 'retaineddata'] as const)(
    'with %s lets what runs end and takes nothing new',
    async (option) => {
      const h = running();
      leave(h, option);
      h.add('j', { id: 'b' }, { id: 'c' });
      expect(h.takeEffects()).toEqual([]);
      expect(h.schedule().map(({ node }) => node)).toEqual(['n2']);
      h.end('n1', 1);
      expect(h.takeEffects()).toMatchObject([{ kind: 'dispatch' }, { kind: 'nodeEmpty', node: 'n1' }]);
    },
  );

  test('that is empty, or is lost, is released at once', () => {
    const h = running();
    h.pool({}, [{ node: 'n2', leaving: { option: 'taskcompletion', reason: 'drain' } }, { node: 'n1' }]);
    expect(h.takeEffects()).toEqual([{ kind: 'nodeEmpty', node: 'n2' }]);
    leave(h, 'taskcompletion');
    h.ok({ kind: 'node.lost', node: 'n1' });
    expect(h.takeEffects()).toMatchObject([{ kind: 'nodeEmpty', node: 'n1' }]);
  });
});

describe('the mirror of the pool', () => {
  test('a removed node gives its executions back', async () => {
    const h = running();
    h.pool({}, [], { removed: ['n1'] });
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'active',
      node: 'n1',
      machine: 'peer-n1/00000001',
    });
    h.restart();
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'active',
      node: 'n1',
      machine: 'peer-n1/00000001',
    });
    expect(h.schedule()).toMatchObject([{ node: 'n2' }]);
  });

  test('an id on another machine is another node', async () => {
    const h = running();
    const old = h.execution('n1', 1);
    h.pool({}, [{ node: 'n1', machine: 'peer-n1/00000002' }]);
    expect([...h.machine.executions('n1')]).toEqual([]);
    expect(h.report('n1', { ...old, startedAtMs: 1 })).toEqual(['stale']);
    expect(h.machine.nodesOf('peer-n1/00000002')).toEqual(['n1']);
    expect(h.machine.nodesOf('peer-n1/00000001')).toEqual([]);
    expect((await h.getNode('n1')).totalTasksRun).toBe(0);
  });

  test('an older view of the mesh group changes nothing', async () => {
    const h = running();
    const spec = { id: POOL_ID, vmSize: 'machine' };
    h.ok({
      kind: 'mirror',
      meshIndex: 0,
      pool: { id: POOL_ID, exists: false, deleting: true, spec },
      nodes: [aNode({ node: 'n3' })],
      removed: ['n1'],
    });
    expect([...h.machine.nodeIds()]).toEqual(['n1', 'n2']);
  });

  test('a deleting pool is erasable once it holds no node; its jobs stay and wait for a pool of its name', () => {
    const h = withNodes(1);
    h.pool({}, [{ node: 'n1', leaving: { option: 'requeue', reason: 'poolDeleted' } }], { deleting: true });
    expect(h.machine.isErasable()).toBe(false);
    h.pool({}, [], { deleting: true, removed: ['n1'] });
    expect(h.takeEffects()).toEqual([{ kind: 'nodeEmpty', node: 'n1' }, { kind: 'erasable' }]);
    expect(h.machine.isErasable()).toBe(true);
    h.ok({ kind: 'job.delete', job: 'j' });
    h.sweep();
    expect(h.takeEffects()).toContainEqual({ kind: 'jobGone', job: 'j' });
  });

  test('the digest of a node is that of its executions', async () => {
    const { addDigest, executionDigest } = await import('../../../src/model/execution.ts');
    const h = withNodes(1, 4);
    h.add('j', { id: 'a' }, { id: 'b' }, { id: 'c' });
    h.schedule();
    const sum = [...h.machine.executions('n1')].map(executionDigest).reduce(addDigest, 0);
    expect(h.machine.digest('n1')).toBe(sum);
    h.restart();
    expect(h.machine.digest('n1')).toBe(sum);
    expect(h.machine.node('n1')).toMatchObject({ slots: 4, leaving: undefined });
    expect([...h.machine.executions('n1')]).toHaveLength(3);
  });
});
