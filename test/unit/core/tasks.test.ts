import { describe, expect, test } from 'vitest';
import type { TaskSpec } from '../../../src/model/task.ts';
import { aTask, Harness, withNodes } from './pool-harness.ts';

describe('adding tasks', () => {
  test('each task of an add stands or falls by itself', () => {
    const h = withNodes(1);
    const results = h.add('j', { id: 'a' }, { id: 'b', requiredSlots: 0 }, { id: 'A' }, { id: 'c' });
    expect(results.map(({ id, outcome }) => [id, outcome.ok ? 'accepted' : outcome.code])).toEqual([
      ['a', 'accepted'],
      ['b', 'InvalidRequestBody'],
      ['A', 'TaskExists'],
      ['c', 'accepted'],
    ]);
  });

  test('to a job that is not there is refused', () => {
    expect(withNodes(0).addOutcome('nobody', { id: 'a' })).toBe('JobNotFound');
  });

  test('ids keep their case and are found without it', async () => {
    const h = withNodes(0);
    h.add('j', { id: 'MixedCase' });
    expect((await h.getTask('J', 'mixedcase')).spec.id).toBe('MixedCase');
  });

  test('a task that needs more slots than any node of the pool can have is refused with the maximum', () => {
    const h = withNodes(1, 4);
    const [result] = h.add('j', { id: 'big', requiredSlots: 5 });
    expect(result?.outcome).toMatchObject({
      ok: false,
      code: 'TaskCanNeverRun',
      values: { Maximum: '4', PropertyValue: '5' },
    });
    expect(h.addOutcome('j', { id: 'fits', requiredSlots: 4 })).toBe('accepted');
  });

  test('where slots follow the cores, or the pool is not there, such a task waits', async () => {
    const h = new Harness();
    h.job('j');
    expect(h.addOutcome('j', { id: 'early', requiredSlots: 200 })).toBe('accepted');
    h.pool({ slotsFromCores: true }, [{ node: 'n1', slots: 2 }]);
    expect(h.addOutcome('j', { id: 'big', requiredSlots: 64 })).toBe('accepted');
    expect((await h.explain('j', 'big')).reasons.map(({ rule }) => rule)).toContain('requiredSlots');
  });

  test('the retry count is copied from the job when the task is added', async () => {
    const h = withNodes(0, 1, { constraints: { maxTaskRetryCount: 3 } });
    h.add('j', { id: 'a' }, { id: 'b', constraints: { maxTaskRetryCount: -1 } });
    h.ok({ kind: 'job.patch', job: 'j', patch: { constraints: { maxTaskRetryCount: 9 } } });
    h.restart();
    expect((await h.getTask('j', 'a')).spec.constraints).toEqual({ maxTaskRetryCount: 3 });
    expect((await h.getTask('j', 'b')).spec.constraints).toEqual({ maxTaskRetryCount: -1 });
  });

  test('dependencies need a job that uses them', () => {
    const h = withNodes(0);
    expect(h.addOutcome('j', { id: 'a', dependsOn: { taskIds: ['b'] } })).toBe(
      'TaskDependenciesNotSpecifiedOnJob',
    );
    expect(h.addOutcome('j', { id: 'a', dependsOn: { taskIds: [] } })).toBe('accepted');
  });

  test('a job action needs a job that performs them', () => {
    const exitConditions: TaskSpec['exitConditions'] = { default: { jobAction: 'none' } };
    expect(withNodes(0).addOutcome('j', { id: 'a', exitConditions })).toBe('InvalidPropertyValue');
    expect(
      withNodes(0, 1, { onTaskFailure: 'performexitoptionsjobaction' }).addOutcome('j', {
        id: 'a',
        exitConditions,
      }),
    ).toBe('accepted');
  });

  test('a number is never given twice, also after the newest task is deleted and the replica restarts', async () => {
    const h = withNodes(0);
    h.add('j', { id: 'a' }, { id: 'b' });
    h.ok({ kind: 'task.delete', job: 'j', task: 'b' });
    h.restart();
    h.add('j', { id: 'b' });
    expect((await h.getTask('j', 'b')).number).toBe(3);
  });
});

describe('terminating a task', () => {
  test('that runs waits for its end; its slot is free only then', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' }, { id: 'b' });
    h.schedule(1);
    h.start('n1', 1);
    h.takeEffects();
    h.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    expect(h.takeEffects()).toEqual([{ kind: 'stop', node: 'n1', job: 1, task: 1, epoch: 4 }]);
    expect((await h.getTask('j', 'a')).state).toBe('running');
    expect([...h.machine.executions('n1')]).toMatchObject([{ task: 1, stop: true }]);
    expect(h.machine.hasStops('n1')).toBe(true);
    expect(h.schedule()).toEqual([]);
    h.end('n1', 1, { kind: 'killed' });
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'completed',
      result: 'failure',
      failure: { category: 'usererror', code: 'TaskEnded' },
    });
    expect(h.machine.hasStops('n1')).toBe(false);
    expect(h.schedule()).toMatchObject([{ task: 2 }]);
  });

  test('that had ended well before the stop reached it is a success', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    h.end('n1', 1, { exitCode: 0 });
    expect(await h.getTask('j', 'a')).toMatchObject({ state: 'completed', result: 'success', exitCode: 0 });
  });

  test('that has not started completes it at once, and changes its version', async () => {
    const h = withNodes(0);
    h.add('j', { id: 'a' });
    const { eTag } = await h.getTask('j', 'a');
    h.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    const task = await h.getTask('j', 'a');
    expect(task).toMatchObject({
      state: 'completed',
      previousState: 'active',
      failure: { code: 'TaskEnded' },
      endTimeMs: h.timeMs,
    });
    expect(task.eTag).not.toBe(eTag);
    expect(task).not.toHaveProperty('startTimeMs');
    expect(h.refusal({ kind: 'task.terminate', job: 'j', task: 'a' })).toBe('TaskCompleted');
  });

  test('twice changes nothing the second time, also after a restart', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    const { eTag } = await h.getTask('j', 'a');
    h.takeEffects();
    expect(h.do({ kind: 'task.terminate', job: 'j', task: 'a' })).toMatchObject({
      ok: true,
      value: { eTag },
    });
    expect(h.takeEffects()).toEqual([]);
    h.restart();
    expect((await h.getTask('j', 'a')).eTag).toBe(eTag);
  });

  test('is not undone by a lesser wish', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
    h.ok({ kind: 'node.lost', node: 'n1' });
    expect((await h.getTask('j', 'a')).state).toBe('completed');
  });
});

describe('deleting a task', () => {
  test('that does not run takes it and its rows away', async () => {
    const h = withNodes(0);
    h.add('j', { id: 'a' }, { id: 'b' });
    h.ok({ kind: 'task.delete', job: 'j', task: 'a' });
    await expect(h.getTask('j', 'a')).rejects.toMatchObject({ code: 'TaskNotFound' });
    expect([...h.store.rows.keys()].filter((key) => /^[tux]\//.test(key))).toEqual(['t/00000001/00000002']);
    expect((await h.getJob('j')).counts.active).toBe(1);
    expect(h.refusal({ kind: 'task.delete', job: 'j', task: 'a' })).toBe('TaskNotFound');
    h.restart();
    expect(await h.states('j')).toEqual({ b: 'active' });
  });

  test('that runs hides it at once and never brings it back; its slot is held until its end', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' }, { id: 'b' });
    h.schedule(1);
    h.start('n1', 1);
    h.takeEffects();
    h.ok({ kind: 'task.delete', job: 'j', task: 'a' });
    expect(h.takeEffects()).toMatchObject([{ kind: 'stop', task: 1 }]);
    await expect(h.getTask('j', 'a')).rejects.toMatchObject({ code: 'TaskNotFound' });
    expect(await h.states('j')).toEqual({ b: 'active' });
    expect((await h.getJob('j')).counts).toEqual({
      active: 1,
      running: 0,
      completed: 0,
      succeeded: 0,
      failed: 0,
    });
    expect(h.schedule()).toEqual([]);
    h.restart();
    expect(await h.states('j')).toEqual({ b: 'active' });
    expect(h.schedule()).toEqual([]);
    // Not TaskExists: clients take that for success.
    expect(h.addOutcome('j', { id: 'a' })).toBe('OperationInvalidForCurrentState');
    h.end('n1', 1, { exitCode: 0 });
    expect(await h.states('j')).toEqual({ b: 'active' });
    expect(h.addOutcome('j', { id: 'a' })).toBe('accepted');
    expect(h.schedule(1)).toMatchObject([{ task: 2 }]);
  });

  test('that runs on a node that is lost takes it away', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.ok({ kind: 'task.delete', job: 'j', task: 'a' });
    h.ok({ kind: 'node.lost', node: 'n1' });
    expect([...h.store.rows.keys()].filter((key) => /^[tux]\//.test(key))).toEqual([]);
    expect(h.machine.countOutstanding()).toBe(0);
  });

  test('the last task that was not complete ends a job that waited for it', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' }, { id: 'b' });
    h.schedule(1);
    h.end('n1', 1);
    h.ok({ kind: 'job.patch', job: 'j', patch: { onAllTasksComplete: 'terminatejob' } });
    h.ok({ kind: 'task.delete', job: 'j', task: 'b' });
    expect((await h.getJob('j')).state).toBe('completed');
  });
});

describe('reactivating a task', () => {
  test('runs a failed one again as if it never had', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a', constraints: { maxTaskRetryCount: 1 } });
    for (let run = 0; run < 2; run++) {
      h.schedule();
      h.end('n1', 1, { exitCode: 9 });
    }
    expect(await h.getTask('j', 'a')).toMatchObject({ state: 'completed', exitCode: 9, retryCount: 1 });
    const { eTag } = await h.getTask('j', 'a');
    h.ok({ kind: 'task.reactivate', job: 'j', task: 'a' });
    const task = await h.getTask('j', 'a');
    expect(task).toMatchObject({ state: 'active', previousState: 'completed', retryCount: 0, files: [] });
    for (const property of ['exitCode', 'failure', 'result', 'endTimeMs', 'lastRetryTimeMs'])
      expect(task).not.toHaveProperty(property);
    expect(task.eTag).not.toBe(eTag);
    const { epoch } = task;
    h.schedule();
    h.end('n1', 1);
    const done = await h.getTask('j', 'a');
    expect(done).toMatchObject({ state: 'completed', result: 'success' });
    expect(done.epoch).toBeGreaterThan(epoch ?? 0);
  });

  test('is refused unless it is completed, has failed, and its job goes on', () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' }, { id: 'b' });
    const reactivate = (task: string): string => h.refusal({ kind: 'task.reactivate', job: 'j', task });
    expect(reactivate('a')).toBe('TaskNotCompleted');
    h.schedule(1);
    h.end('n1', 1);
    expect(reactivate('a')).toBe('TaskSucceeded');
    h.ok({ kind: 'task.terminate', job: 'j', task: 'b' });
    h.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    expect(reactivate('b')).toBe('JobCompleted');
  });
});

describe('updating a task', () => {
  test('replaces its constraints, and what is left out returns to the default', async () => {
    const h = withNodes(0, 1, { constraints: { maxTaskRetryCount: 2 } });
    h.add('j', { id: 'a', constraints: { maxWallClockTime: 'PT1M', maxTaskRetryCount: 5 } });
    const { eTag } = await h.getTask('j', 'a');
    h.tick(7);
    h.ok({ kind: 'task.update', job: 'j', task: 'a', constraints: { retentionTime: 'P1D' } });
    for (const restart of [false, true]) {
      if (restart) h.restart();
      const task = await h.getTask('j', 'a');
      expect(task.spec.constraints).toEqual({ retentionTime: 'P1D', maxTaskRetryCount: 2 });
      expect(task.lastModifiedMs).toBe(h.timeMs);
      expect(task.eTag).not.toBe(eTag);
      expect(h.machine.updatedConstraints(1, 1)).toEqual({ retentionTime: 'P1D' });
      expect(
        await h.query('task.specs', {
          items: [
            { job: 1, task: 1 },
            { job: 1, task: 2 },
          ],
        }),
      ).toEqual([{ ...aTask({ id: 'a' }), constraints: { retentionTime: 'P1D' } }, undefined]);
    }
  });

  test('of one that is completed keeps what became of it', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.end('n1', 1, { exitCode: 4 });
    h.ok({ kind: 'task.update', job: 'j', task: 'a', constraints: { retentionTime: 'P1D' } });
    h.restart();
    expect(await h.getTask('j', 'a')).toMatchObject({
      exitCode: 4,
      spec: { constraints: { retentionTime: 'P1D' } },
    });
  });

  test('a bad duration or a lost race is refused and changes nothing', async () => {
    const h = withNodes(0);
    h.add('j', { id: 'a' });
    const update = { kind: 'task.update', job: 'j', task: 'a' } as const;
    expect(h.refusal({ ...update, constraints: { maxWallClockTime: 'P1Y' } })).toBe('InvalidPropertyValue');
    expect(h.refusal({ ...update, constraints: {}, condition: { ifMatch: '0xFFFF' } })).toBe(
      'ConditionNotMet',
    );
    expect((await h.getTask('j', 'a')).spec.constraints).toEqual({ maxTaskRetryCount: 0 });
  });
});
