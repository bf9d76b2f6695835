/** Start, preparation and release tasks, the job manager, and restarts of nodes. */
import { describe, expect, test } from 'vitest';
import type { JobSpec } from '../../../src/model/job.ts';
import type { StartTask } from '../../../src/model/node-task.ts';
import { anOutcome, Harness, withNodes } from './pool-harness.ts';

const START: StartTask = { commandLine: '/bin/start' };
const PREPARED: Partial<JobSpec> = { jobPreparationTask: { commandLine: '/bin/prepare' } };
const RELEASED: Partial<JobSpec> = { ...PREPARED, jobReleaseTask: { commandLine: '/bin/release' } };

/** What the agent of a node was told to run and has not reported: `job/task`, without what it runs for users. */
function executions(harness: Harness, node: string): string[] {
  return [...harness.machine.executions(node)].map(({ job, task, epoch }) => `${job}/${task}@${epoch}`);
}

/** Ends the only execution that a node has. */
function endOnly(harness: Harness, node: string, exitCode = 0): void {
  const [only, more] = [...harness.machine.executions(node)];
  if (only === undefined || more !== undefined) throw new Error(`${node} has not one execution`);
  const { job, task, epoch } = only;
  const item = { job, task, epoch, outcome: anOutcome({ exitCode, endedAtMs: harness.timeMs }) };
  expect(harness.report(node, item)).toEqual(['recorded']);
}

async function nodeState(harness: Harness, node: string): Promise<string> {
  return (await harness.getNode(node)).state;
}

async function taskState(harness: Harness, task: string, job = 'j'): Promise<string> {
  return (await harness.getTask(job, task)).state;
}

describe('a start task', () => {
  function joined(start: StartTask = START): Harness {
    const harness = new Harness();
    harness.pool({ startTask: start }, [{ node: 'n1' }]);
    harness.job('j');
    return harness;
  }

  test('begins when the node joins, and nothing is placed there before it succeeded', async () => {
    const harness = joined();
    expect(harness.takeEffects()).toMatchObject([{ kind: 'dispatch', node: 'n1', epoch: 1 }]);
    harness.add('j', { id: 'a' });
    expect(harness.schedule()).toEqual([]);
    expect(await nodeState(harness, 'n1')).toBe('waitingforstarttask');
    expect((await harness.explain('j', 'a')).nodes).toMatchObject([{ rule: 'startTask' }]);
    harness.restart();
    endOnly(harness, 'n1');
    expect(await nodeState(harness, 'n1')).toBe('idle');
    expect(harness.schedule()).toHaveLength(1);
    expect(await harness.getNode('n1')).toMatchObject({
      startTask: { commandLine: '/bin/start', waitForSuccess: true, maxTaskRetryCount: 0 },
      startTaskRun: { state: 'completed', result: 'success', exitCode: 0, retryCount: 0 },
      waitingTasks: 1,
      totalTasksRun: 0,
    });
  });

  test('that fails is run again as often as it says, each time with a greater epoch, then the node is out', async () => {
    const harness = joined({ ...START, maxTaskRetryCount: 2 });
    const epochs: string[] = [];
    for (let run = 0; run < 3; run++) {
      epochs.push(...executions(harness, 'n1'));
      endOnly(harness, 'n1', 1);
    }
    expect(new Set(epochs).size).toBe(3);
    expect(executions(harness, 'n1')).toEqual([]);
    expect(await harness.getNode('n1')).toMatchObject({
      state: 'starttaskfailed',
      startTaskRun: { result: 'failure', exitCode: 1, retryCount: 2, failure: { code: 'FailureExitCode' } },
    });
    harness.add('j', { id: 'a' });
    expect(harness.schedule()).toEqual([]);
    expect((await harness.explain('j', 'a')).nodes).toMatchObject([{ rule: 'startTaskFailed' }]);
  });

  test('that nobody waits for keeps no task from the node, even if it fails', async () => {
    const harness = joined({ ...START, waitForSuccess: false });
    harness.add('j', { id: 'a' });
    expect(harness.schedule()).toHaveLength(1);
    expect(await nodeState(harness, 'n1')).toBe('idle');
  });

  test('that was lost with its node begins again when the node is heard', async () => {
    const harness = joined();
    harness.ok({ kind: 'node.lost', node: 'n1' });
    expect(executions(harness, 'n1')).toEqual([]);
    harness.ok({ kind: 'node.heard', node: 'n1' });
    expect(executions(harness, 'n1')).toHaveLength(1);
  });

  test('that succeeded is not run again because the node was lost for a while', async () => {
    const harness = joined();
    endOnly(harness, 'n1');
    harness.ok({ kind: 'node.lost', node: 'n1' });
    harness.ok({ kind: 'node.heard', node: 'n1' });
    expect(executions(harness, 'n1')).toEqual([]);
    expect(await nodeState(harness, 'n1')).toBe('idle');
  });

  test('lost and wanted within one entry begins with the next, for an epoch is given once', () => {
    const harness = joined();
    harness.apply({ kind: 'node.lost', node: 'n1' }, { kind: 'node.heard', node: 'n1' });
    expect(executions(harness, 'n1')).toEqual(['1/1@3']);
    harness.apply(
      { kind: 'node.lost', node: 'n1' },
      { kind: 'node.heard', node: 'n1' },
      { kind: 'node.lost', node: 'n1' },
      { kind: 'node.heard', node: 'n1' },
    );
    expect(executions(harness, 'n1')).toEqual(['1/1@4']);
  });

  test('is neither listed nor found among jobs and tasks', async () => {
    const harness = joined();
    expect((await harness.query('job.list', { limit: 10 })).items.map(({ spec }) => spec.id)).toEqual(['j']);
    expect(harness.refusal({ kind: 'job.terminate', job: '$nodes', reason: '' })).toBe('JobNotFound');
    expect(harness.refusal({ kind: 'job.delete', job: '$nodes' })).toBe('JobNotFound');
  });

  test('of a pool that was changed since is for nodes that join later, or restart', async () => {
    const harness = joined();
    endOnly(harness, 'n1');
    harness.pool({ startTask: { commandLine: '/bin/other' } }, [{ node: 'n1' }, { node: 'n2' }]);
    expect(executions(harness, 'n1')).toEqual([]);
    expect((await harness.getNode('n1')).startTask?.commandLine).toBe('/bin/start');
    expect((await harness.getNode('n2')).startTask?.commandLine).toBe('/bin/other');
    harness.ok({ kind: 'node.restart', node: 'n1', how: 'reboot', option: 'requeue' });
    endOnly(harness, 'n1');
    expect((await harness.getNode('n1')).startTask?.commandLine).toBe('/bin/other');
  });

  test('goes with its node, and the pool can be erased', () => {
    const harness = new Harness();
    harness.pool({ startTask: START }, [{ node: 'n1' }]);
    harness.pool({ startTask: START }, [], { removed: ['n1'], deleting: true });
    expect(harness.machine.isErasable()).toBe(true);
    harness.restart();
    expect(harness.machine.isErasable()).toBe(true);
  });
});

describe('a job preparation task', () => {
  test('runs once on a node, before the first task there, which is preparing and holds its slot', async () => {
    const harness = withNodes(1, 2, PREPARED);
    harness.add('j', { id: 'a' }, { id: 'b' });
    harness.schedule();
    expect(executions(harness, 'n1')).toHaveLength(1);
    expect(await harness.states('j')).toEqual({ a: 'preparing', b: 'preparing' });
    expect((await harness.explain('j', 'a')).reasons).toMatchObject([{ rule: 'preparing' }]);
    harness.restart();
    harness.takeEffects();
    endOnly(harness, 'n1');
    const dispatched = harness.takeEffects().filter(({ kind }) => kind === 'dispatch');
    expect(dispatched).toMatchObject([
      { task: 1, epoch: harness.index },
      { task: 2, epoch: harness.index },
    ]);
    harness.restart();
    harness.start('n1', 1);
    harness.end('n1', 1);
    harness.end('n1', 2);
    harness.add('j', { id: 'c' });
    harness.schedule();
    expect(await taskState(harness, 'c')).toBe('active');
    harness.end('n1', 4);
    expect(await harness.getJob('j')).toMatchObject({ counts: { completed: 3, succeeded: 3 } });
    expect((await harness.listTasks('j')).items.map(({ spec }) => spec.id)).toEqual(['a', 'b', 'c']);
    expect(await harness.getNode('n1')).toMatchObject({ totalTasksRun: 3 });
  });

  test('that failed for good sends the waiting task back, and the node takes no task of the job again', async () => {
    const harness = withNodes(2, 1, {
      jobPreparationTask: { commandLine: '/bin/prepare', constraints: { maxTaskRetryCount: 1 } },
    });
    harness.add('j', { id: 'a' });
    const [first] = harness.schedule();
    const bad = first?.node ?? '';
    endOnly(harness, bad, 1);
    expect(await taskState(harness, 'a')).toBe('preparing');
    endOnly(harness, bad, 1);
    expect(await harness.getTask('j', 'a')).toMatchObject({
      state: 'active',
      retryCount: 0,
      requeueCount: 0,
    });
    const refused = (await harness.explain('j', 'a')).nodes.find(({ node }) => node === bad);
    expect(refused).toMatchObject({ verdict: 'refused', rule: 'preparationFailed' });
    harness.restart();
    const [second] = harness.schedule();
    expect(second?.node).not.toBe(bad);
    harness.job('other');
    harness.add('other', { id: 'x' });
    expect(harness.schedule()).toMatchObject([{ node: bad }]);
  });

  test('that nobody waits for runs beside the tasks', async () => {
    const harness = withNodes(1, 2, {
      jobPreparationTask: { commandLine: '/bin/prepare', waitForSuccess: false },
    });
    harness.add('j', { id: 'a' });
    harness.schedule();
    expect(await taskState(harness, 'a')).toBe('active');
    expect(executions(harness, 'n1')).toHaveLength(2);
  });

  test('whose node is lost gives its waiting tasks back, and runs again when a task comes there anew', async () => {
    const harness = withNodes(1, 1, PREPARED);
    harness.add('j', { id: 'a' });
    harness.schedule();
    harness.ok({ kind: 'node.lost', node: 'n1' });
    expect(await taskState(harness, 'a')).toBe('active');
    harness.ok({ kind: 'node.heard', node: 'n1' });
    harness.schedule();
    expect(await taskState(harness, 'a')).toBe('preparing');
    expect(executions(harness, 'n1')).toHaveLength(1);
  });

  test('a task that waits for it can be stopped, deleted or requeued at once: nothing of it runs', async () => {
    const harness = withNodes(1, 3, PREPARED);
    harness.add('j', { id: 'a' }, { id: 'b' }, { id: 'c' });
    harness.schedule();
    harness.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    harness.ok({ kind: 'task.delete', job: 'j', task: 'b' });
    expect(await harness.states('j')).toEqual({ a: 'completed', c: 'preparing' });
    harness.ok({ kind: 'node.scheduling', node: 'n1', enabled: false, option: 'requeue' });
    expect(await harness.states('j')).toEqual({ a: 'completed', c: 'active' });
  });

  test('is run again after a reboot unless its job says not to; after a reimage in any case', async () => {
    for (const [reruns, how, runs] of [
      [true, 'reboot', 1],
      [false, 'reboot', 0],
      [false, 'reimage', 1],
    ] as const) {
      const harness = withNodes(1, 1, {
        jobPreparationTask: { commandLine: '/bin/prepare', rerunOnNodeRebootAfterSuccess: reruns },
      });
      harness.add('j', { id: 'a' });
      harness.schedule();
      endOnly(harness, 'n1');
      endOnly(harness, 'n1');
      harness.ok({ kind: 'node.restart', node: 'n1', how, option: 'requeue' });
      endOnly(harness, 'n1');
      expect(executions(harness, 'n1')).toHaveLength(runs);
    }
  });

  test('has an id that no task of the job may have', () => {
    const harness = withNodes(1, 1, RELEASED);
    expect(harness.addOutcome('j', { id: 'JobPreparation' })).toBe('TaskIdSameAsJobPreparationTask');
    expect(harness.addOutcome('j', { id: 'jobrelease' })).toBe('TaskIdSameAsJobReleaseTask');
  });

  test('does not count against maxParallelTasks, and a disabled job begins none', async () => {
    const harness = withNodes(2, 1, { ...PREPARED, maxParallelTasks: 1 });
    harness.add('j', { id: 'a' }, { id: 'b' });
    const [placed] = harness.schedule();
    harness.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
    expect((await harness.getJob('j')).state).toBe('disabling');
    endOnly(harness, placed?.node ?? '', 137);
    expect((await harness.getJob('j')).state).toBe('disabled');
    harness.ok({ kind: 'job.enable', job: 'j' });
    expect(harness.schedule()).toHaveLength(1);
  });
});

describe('a job release task', () => {
  /** A job whose tasks ran on the first two of three nodes. */
  function ran(job: Partial<JobSpec> = RELEASED): Harness {
    const harness = withNodes(2, 1, job);
    harness.add('j', { id: 'a' }, { id: 'b' });
    harness.schedule();
    for (const node of ['n1', 'n2']) {
      endOnly(harness, node);
      endOnly(harness, node);
    }
    harness.pool({ taskSlotsPerNode: 1 }, [{ node: 'n1' }, { node: 'n2' }, { node: 'n3' }]);
    return harness;
  }

  test('runs on each node that ran the preparation, and the job completes after the last, whatever their exit', async () => {
    const harness = ran();
    harness.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    expect(['n1', 'n2', 'n3'].map((node) => executions(harness, node).length)).toEqual([1, 1, 0]);
    endOnly(harness, 'n1', 9);
    harness.restart();
    expect((await harness.getJob('j')).state).toBe('terminating');
    endOnly(harness, 'n2');
    expect(await harness.getJob('j')).toMatchObject({ state: 'completed', terminateReason: 'UserTerminate' });
    const { items } = await harness.query('job.nodes', { job: 'j', limit: 10 });
    expect(items).toMatchObject([
      { node: 'n1', preparation: { result: 'success' }, release: { state: 'completed', result: 'failure' } },
      { node: 'n2', preparation: { result: 'success' }, release: { state: 'completed', result: 'success' } },
    ]);
    harness.ok({ kind: 'job.delete', job: 'j' });
    harness.sweep();
    expect(harness.refusal({ kind: 'job.delete', job: 'j' })).toBe('JobNotFound');
    harness.restart();
  });

  test('runs before a deleted job is gone', async () => {
    const harness = ran();
    harness.ok({ kind: 'job.delete', job: 'j' });
    harness.sweep();
    expect((await harness.getJob('j')).state).toBe('deleting');
    endOnly(harness, 'n1');
    endOnly(harness, 'n2');
    harness.sweep();
    expect(harness.refusal({ kind: 'job.delete', job: 'j' })).toBe('JobNotFound');
  });

  test('is not waited for where its node is lost or gone', async () => {
    const harness = ran();
    harness.ok({ kind: 'node.lost', node: 'n1' });
    harness.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    expect(executions(harness, 'n1')).toEqual([]);
    harness.pool({}, [{ node: 'n1' }, { node: 'n3' }], { removed: ['n2'] });
    expect((await harness.getJob('j')).state).toBe('completed');
  });

  test('comes only when the last task of the job has ended', async () => {
    const harness = ran();
    harness.add('j', { id: 'long' });
    const [placed] = harness.schedule();
    const node = placed?.node ?? '';
    // The third node is prepared first; the task there is what is stopped.
    if (node === 'n3') endOnly(harness, 'n3');
    harness.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    expect(executions(harness, 'n1').length + executions(harness, 'n2').length).toBe(node === 'n3' ? 0 : 1);
    endOnly(harness, node, 137);
    expect(executions(harness, 'n1')).toHaveLength(1);
    expect(executions(harness, 'n2')).toHaveLength(1);
  });

  test('needs a job preparation task', () => {
    const harness = withNodes(1);
    const spec = { id: 'x', poolInfo: { poolId: 'Fleet' }, jobReleaseTask: { commandLine: '/bin/release' } };
    expect(harness.refusal({ kind: 'job.add', spec })).toBe('InvalidPropertyValue');
    const long = { commandLine: '/bin/release', maxWallClockTime: 'PT16M' };
    expect(harness.refusal({ kind: 'job.add', spec: { ...spec, ...PREPARED, jobReleaseTask: long } })).toBe(
      'InvalidPropertyValue',
    );
  });

  test('the status of a job without either is refused', async () => {
    const harness = withNodes(1);
    await expect(harness.query('job.nodes', { job: 'j', limit: 10 })).rejects.toMatchObject({
      code: 'JobPreparationTaskOrReleaseTaskNotSpecified',
    });
  });

  test('the status has pages and filters', async () => {
    const harness = ran();
    const first = await harness.query('job.nodes', { job: 'j', limit: 1 });
    const second = await harness.query('job.nodes', { job: 'j', limit: 1, after: first.next ?? -1 });
    expect([...first.items, ...second.items].map(({ node }) => node)).toEqual(['n1', 'n2']);
    expect(second.next).toBeUndefined();
    const filter = "nodeId eq 'n2' and jobPreparationTaskExecutionInfo/result eq 'Success'";
    expect(await harness.query('job.nodes', { job: 'j', limit: 9, filter })).toMatchObject({
      items: [{ node: 'n2' }],
    });
  });
});

describe('a job manager', () => {
  const manager = { id: 'boss', commandLine: '/bin/manage', constraints: { maxTaskRetryCount: 1 } };

  test('is the first task of its job, and its end is the end of the job', async () => {
    const harness = withNodes(1, 4, { jobManagerTask: manager });
    harness.add('j', { id: 'a' });
    expect(harness.place(1)).toMatchObject([{ task: 1 }]);
    harness.schedule(1);
    expect((await harness.getTask('j', 'boss')).spec.requiredSlots).toBe(4);
    harness.ok({ kind: 'node.lost', node: 'n1' });
    expect((await harness.getJob('j')).state).toBe('active');
    harness.ok({ kind: 'node.heard', node: 'n1' });
    harness.schedule(1);
    harness.end('n1', 1, { exitCode: 1 });
    expect((await harness.getJob('j')).state).toBe('active');
    harness.schedule(1);
    harness.end('n1', 1);
    expect(await harness.getJob('j')).toMatchObject({ state: 'completed', terminateReason: 'JMComplete' });
    expect(await taskState(harness, 'a')).toBe('active');
  });

  test('may leave the job alone, share its node, and keep off low-priority nodes', async () => {
    const harness = new Harness();
    harness.pool({ taskSlotsPerNode: 2 }, [
      { node: 'n1', slots: 2, dedicated: false },
      { node: 'n2', slots: 2, dedicated: true },
    ]);
    harness.job('j', {
      jobManagerTask: {
        ...manager,
        killJobOnCompletion: false,
        runExclusive: false,
        allowLowPriorityNode: false,
      },
    });
    expect(harness.schedule()).toMatchObject([{ node: 'n2' }]);
    harness.restart();
    harness.end('n2', 1);
    expect((await harness.getJob('j')).state).toBe('active');
    harness.ok({ kind: 'node.scheduling', node: 'n2', enabled: false, option: 'requeue' });
    harness.ok({ kind: 'task.delete', job: 'j', task: 'boss' });
    harness.add('j', { id: 'boss' });
    expect(harness.schedule()).toMatchObject([{ node: 'n1' }]);
  });

  test('is there when an empty job would end', async () => {
    const harness = withNodes(1, 1, { jobManagerTask: manager, onAllTasksComplete: 'terminatejob' });
    expect((await harness.getJob('j')).state).toBe('active');
  });
});

describe('a restart of a node', () => {
  test('waits until the node is empty, as the option says, and then runs the start task again', async () => {
    const harness = new Harness();
    harness.pool({ startTask: START }, [{ node: 'n1' }]);
    harness.job('j');
    endOnly(harness, 'n1');
    harness.add('j', { id: 'a' });
    harness.schedule();
    harness.start('n1', 1, 2);
    harness.ok({ kind: 'node.restart', node: 'n1', how: 'reimage', option: 'taskcompletion' });
    expect(await nodeState(harness, 'n1')).toBe('reimaging');
    expect(executions(harness, 'n1')).toHaveLength(1);
    expect(harness.refusal({ kind: 'node.restart', node: 'n1', how: 'reboot', option: 'requeue' })).toBe(
      'OperationInvalidForCurrentState',
    );
    harness.add('j', { id: 'b' });
    expect(harness.schedule()).toEqual([]);
    harness.restart();
    harness.end('n1', 1, {}, 2);
    expect(executions(harness, 'n1')).toHaveLength(1);
    endOnly(harness, 'n1');
    expect(await nodeState(harness, 'n1')).toBe('waitingforstarttask');
    endOnly(harness, 'n1');
    expect(harness.schedule()).toHaveLength(1);
  });

  test('requeues what runs where it says so', async () => {
    const harness = withNodes(1);
    harness.add('j', { id: 'a' });
    harness.schedule();
    harness.ok({ kind: 'node.restart', node: 'n1', how: 'reboot', option: 'requeue' });
    harness.end('n1', 1, { kind: 'killed' });
    expect(await harness.getTask('j', 'a')).toMatchObject({ state: 'active', requeueCount: 1 });
    expect(await nodeState(harness, 'n1')).toBe('rebooting');
    endOnly(harness, 'n1');
    expect(await nodeState(harness, 'n1')).toBe('idle');
  });

  test('a machine that was booted anew runs nothing of before, and its start task again', async () => {
    const harness = new Harness();
    harness.pool({ startTask: START }, [{ node: 'n1' }]);
    harness.job('j');
    harness.ok({ kind: 'node.heard', node: 'n1', boot: 1 });
    endOnly(harness, 'n1');
    harness.add('j', { id: 'a' });
    harness.schedule();
    harness.start('n1', 1, 2);
    harness.ok({ kind: 'node.heard', node: 'n1', boot: 1 });
    expect(await taskState(harness, 'a')).toBe('running');
    harness.ok({ kind: 'node.heard', node: 'n1', boot: 2 });
    expect(await harness.getTask('j', 'a')).toMatchObject({ state: 'active', requeueCount: 0 });
    expect(await harness.getNode('n1')).toMatchObject({
      state: 'waitingforstarttask',
      lastBootTimeMs: harness.timeMs,
    });
    harness.restart();
    endOnly(harness, 'n1');
    expect(harness.schedule()).toHaveLength(1);
    // A copy of an old heartbeat.
    harness.ok({ kind: 'node.heard', node: 'n1', boot: 1 });
    expect(executions(harness, 'n1')).toHaveLength(1);
  });
});
