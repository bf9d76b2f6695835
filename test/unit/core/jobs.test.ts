import { describe, expect, test } from 'vitest';
import { Harness, POOL_ID, withNodes } from './pool-harness.ts';

/** A job whose tasks `running` runs on n1 and `waiting` is active. */
function busyJob(): Harness {
  const h = withNodes(1);
  h.add('j', { id: 'running' }, { id: 'waiting' });
  h.schedule(1);
  h.start('n1', 1);
  h.takeEffects();
  return h;
}

const stopOfFirst = { kind: 'stop', node: 'n1', job: 1, task: 1 };

describe('a new job', () => {
  test('has the properties it was given, and defaults', async () => {
    const h = withNodes(0, 1, { priority: 7, maxParallelTasks: 3, displayName: 'Mine' });
    const job = await h.getJob('J');
    expect(job).toMatchObject({
      state: 'active',
      number: 1,
      creationTimeMs: h.timeMs,
      startTimeMs: h.timeMs,
    });
    expect(job.spec).toEqual({
      id: 'j',
      poolInfo: { poolId: POOL_ID },
      displayName: 'Mine',
      priority: 7,
      maxParallelTasks: 3,
      onAllTasksComplete: 'noaction',
      constraints: {},
    });
  });

  test('may name a pool that does not exist yet', async () => {
    const h = new Harness();
    h.job('early');
    h.add('early', { id: 'a' });
    expect((await h.explain('early', 'a')).reasons.map(({ rule }) => rule)).toContain('poolMissing');
    h.pool({}, [{ node: 'n1' }]);
    expect(h.schedule()).toHaveLength(1);
  });

  test('is refused where its id is taken, whatever the case', () => {
    const h = withNodes(0);
    expect(h.refusal({ kind: 'job.add', spec: { id: 'J', poolInfo: { poolId: POOL_ID } } })).toBe(
      'JobExists',
    );
  });

  test('is refused in another pool than this one', () => {
    const h = new Harness();
    expect(h.refusal({ kind: 'job.add', spec: { id: 'j', poolInfo: { poolId: 'other' } } })).toBe(
      'InvalidPropertyValue',
    );
    expect(
      h.refusal({ kind: 'job.add', spec: { id: 'j', poolInfo: { poolId: POOL_ID.toUpperCase() } } }),
    ).toBe('accepted');
  });

  test('that is to end when all tasks are complete ends at once if it has none', async () => {
    const h = withNodes(0, 1, { onAllTasksComplete: 'terminatejob' });
    expect(await h.getJob('j')).toMatchObject({
      state: 'completed',
      terminateReason: 'AllTasksComplete',
      endTimeMs: h.timeMs,
    });
  });
});

describe('changing a job', () => {
  test('a PATCH keeps what it does not name, a PUT does not', async () => {
    const h = withNodes(0, 1, { priority: 5, maxParallelTasks: 2, metadata: [{ name: 'a', value: '1' }] });
    h.ok({ kind: 'job.patch', job: 'j', patch: { priority: 6 } });
    expect((await h.getJob('j')).spec).toMatchObject({
      priority: 6,
      maxParallelTasks: 2,
      metadata: [{ name: 'a', value: '1' }],
    });
    h.ok({ kind: 'job.update', job: 'j', update: { poolInfo: { poolId: POOL_ID }, priority: 6 } });
    expect((await h.getJob('j')).spec).toMatchObject({ priority: 6, maxParallelTasks: -1, metadata: [] });
    h.restart();
    expect((await h.getJob('j')).spec).toMatchObject({ priority: 6, maxParallelTasks: -1, metadata: [] });
  });

  test('terminatejob is one-way', () => {
    const h = busyJob();
    h.ok({ kind: 'job.patch', job: 'j', patch: { onAllTasksComplete: 'terminatejob' } });
    expect(h.refusal({ kind: 'job.patch', job: 'j', patch: { onAllTasksComplete: 'noaction' } })).toBe(
      'InvalidPropertyValue',
    );
    // A PUT that leaves it out asks for the default.
    expect(h.refusal({ kind: 'job.update', job: 'j', update: { poolInfo: { poolId: POOL_ID } } })).toBe(
      'InvalidPropertyValue',
    );
    expect(
      h.refusal({
        kind: 'job.update',
        job: 'j',
        update: { poolInfo: { poolId: POOL_ID }, onAllTasksComplete: 'terminatejob' },
      }),
    ).toBe('accepted');
  });

  test('terminatejob set when all tasks are complete ends the job', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.end('n1', 1);
    h.ok({ kind: 'job.patch', job: 'j', patch: { onAllTasksComplete: 'terminatejob' } });
    expect(await h.getJob('j')).toMatchObject({ state: 'completed', terminateReason: 'AllTasksComplete' });
  });

  test('is refused where the condition does not hold', async () => {
    const h = withNodes(0);
    const { eTag, lastModifiedMs } = await h.getJob('j');
    const patch = { kind: 'job.patch', job: 'j', patch: { priority: 1 } } as const;
    expect(h.refusal({ ...patch, condition: { ifMatch: '0xDEAD' } })).toBe('ConditionNotMet');
    expect(h.refusal({ ...patch, condition: { ifNoneMatch: eTag } })).toBe('ConditionNotMet');
    expect(h.refusal({ ...patch, condition: { ifModifiedSinceMs: lastModifiedMs } })).toBe('ConditionNotMet');
    expect(h.refusal({ ...patch, condition: { ifUnmodifiedSinceMs: lastModifiedMs - 2000 } })).toBe(
      'ConditionNotMet',
    );
    expect(
      h.refusal({
        ...patch,
        condition: { ifMatch: eTag.toLowerCase(), ifUnmodifiedSinceMs: lastModifiedMs },
      }),
    ).toBe('accepted');
    // The first of two that read the same version wins.
    expect(h.refusal({ ...patch, condition: { ifMatch: eTag } })).toBe('ConditionNotMet');
    expect(h.refusal({ ...patch, condition: { ifMatch: '*' } })).toBe('accepted');
  });

  test('the version changes with the job, not with what its tasks do', async () => {
    const h = withNodes(1);
    const { eTag } = await h.getJob('j');
    h.add('j', { id: 'a' });
    h.schedule();
    h.end('n1', 1);
    expect((await h.getJob('j')).eTag).toBe(eTag);
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'wait' });
    expect((await h.getJob('j')).eTag).not.toBe(eTag);
  });
});

describe('disabling a job', () => {
  test('with requeue stops what runs; it is disabled once that is known to have ended', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
    expect(h.takeEffects()).toMatchObject([stopOfFirst]);
    expect((await h.getJob('j')).state).toBe('disabling');
    expect((await h.getTask('j', 'running')).state).toBe('running');
    h.end('n1', 1, { kind: 'killed' });
    expect((await h.getJob('j')).state).toBe('disabled');
    expect(await h.getTask('j', 'running')).toMatchObject({
      state: 'active',
      requeueCount: 1,
      lastRequeueTimeMs: h.timeMs,
      retryCount: 0,
    });
    expect(h.schedule()).toEqual([]);
    h.ok({ kind: 'job.enable', job: 'j' });
    // What was requeued goes first: it is the oldest.
    expect(h.schedule(1)).toMatchObject([{ task: 1 }]);
  });

  test('with terminate completes what runs as ended by the user', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'terminate' });
    h.end('n1', 1, { kind: 'killed', exitCode: 137 });
    expect(await h.getTask('j', 'running')).toMatchObject({
      state: 'completed',
      result: 'failure',
      exitCode: 137,
      failure: { code: 'TaskEnded' },
    });
    expect((await h.getJob('j')).state).toBe('disabled');
  });

  test('with wait lets it end', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'wait' });
    expect(h.takeEffects()).toEqual([]);
    h.end('n1', 1);
    expect(await h.getTask('j', 'running')).toMatchObject({ state: 'completed', result: 'success' });
    expect((await h.getJob('j')).state).toBe('disabled');
  });

  test('can be made harder while it waits', () => {
    const h = busyJob();
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'wait' });
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
    expect(h.takeEffects()).toMatchObject([stopOfFirst]);
  });

  test('of an idle job is done at once, and tasks can still be added', async () => {
    const h = withNodes(1);
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
    expect(await h.getJob('j')).toMatchObject({ state: 'disabled', previousState: 'disabling' });
    expect(h.addOutcome('j', { id: 'a' })).toBe('accepted');
    expect(h.schedule()).toEqual([]);
    expect((await h.explain('j', 'a')).reasons[0]?.rule).toBe('jobDisabled');
  });

  test('only a disabled job can be enabled', () => {
    const h = busyJob();
    expect(h.refusal({ kind: 'job.enable', job: 'j' })).toBe('OperationInvalidForCurrentState');
    h.ok({ kind: 'job.disable', job: 'j', disableTasks: 'requeue' });
    expect(h.refusal({ kind: 'job.enable', job: 'j' })).toBe('OperationInvalidForCurrentState');
  });
});

describe('terminating a job', () => {
  test('ends what runs; what is active stays so and never runs', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.terminate', job: 'j', reason: 'enough' });
    expect(h.takeEffects()).toMatchObject([stopOfFirst]);
    expect((await h.getJob('j')).state).toBe('terminating');
    expect(h.refusal({ kind: 'job.terminate', job: 'j', reason: 'x' })).toBe('JobBeingTerminated');
    expect(h.addOutcome('j', { id: 'late' })).toBe('JobBeingTerminated');
    h.tick(5);
    h.end('n1', 1, { kind: 'killed' });
    expect(await h.getJob('j')).toMatchObject({
      state: 'completed',
      terminateReason: 'enough',
      endTimeMs: h.timeMs,
    });
    expect(await h.states('j')).toEqual({ running: 'completed', waiting: 'active' });
    expect(h.schedule()).toEqual([]);
    expect((await h.explain('j', 'waiting')).reasons[0]?.rule).toBe('jobEnded');
    expect(h.addOutcome('j', { id: 'late' })).toBe('JobCompleted');
    expect(h.refusal({ kind: 'job.terminate', job: 'j', reason: 'x' })).toBe('JobCompleted');
    expect(h.refusal({ kind: 'job.disable', job: 'j', disableTasks: 'wait' })).toBe('JobCompleted');
  });

  test('without a reason was by the user', async () => {
    const h = withNodes(0);
    h.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    expect((await h.getJob('j')).terminateReason).toBe('UserTerminate');
  });

  test('is done when the node that ran its task is lost', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.terminate', job: 'j', reason: '' });
    h.ok({ kind: 'node.lost', node: 'n1' });
    expect((await h.getJob('j')).state).toBe('completed');
    expect(await h.getTask('j', 'running')).toMatchObject({
      state: 'completed',
      failure: { code: 'TaskEnded' },
    });
  });

  test('a job whose last task ends ends itself if it is told to', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.patch', job: 'j', patch: { onAllTasksComplete: 'terminatejob' } });
    h.end('n1', 1);
    h.schedule();
    expect((await h.getJob('j')).state).toBe('active');
    h.end('n1', 2, { exitCode: 3 });
    expect(await h.getJob('j')).toMatchObject({ state: 'completed', terminateReason: 'AllTasksComplete' });
  });

  test('maxWallClockTime ends the job, counted from its creation', async () => {
    const h = withNodes(1, 1, { constraints: { maxWallClockTime: 'PT1M' } });
    h.add('j', { id: 'a' });
    h.schedule();
    const dueAtMs = h.timeMs + 60_000;
    expect(h.machine.dueAtMs()).toBe(dueAtMs);
    h.tick(59_999);
    h.ok({ kind: 'sweep', limit: 100 });
    expect((await h.getJob('j')).state).toBe('active');
    h.restart();
    expect(h.machine.dueAtMs()).toBe(dueAtMs);
    h.tick(1);
    h.sweep();
    h.end('n1', 1, { kind: 'killed' });
    expect(await h.getJob('j')).toMatchObject({
      state: 'completed',
      terminateReason: 'MaxWallClockTimeExpiry',
    });
    expect(h.machine.dueAtMs()).toBeUndefined();
  });

  test('a later maxWallClockTime takes the place of the first', () => {
    const h = withNodes(0, 1, { constraints: { maxWallClockTime: 'PT1M' } });
    h.ok({ kind: 'job.patch', job: 'j', patch: { constraints: { maxWallClockTime: 'PT2M' } } });
    expect(h.machine.dueAtMs()).toBe(h.timeMs + 120_000);
    h.ok({ kind: 'job.patch', job: 'j', patch: { constraints: {} } });
    expect(h.machine.dueAtMs()).toBeUndefined();
  });
});

describe('deleting a job', () => {
  test('stops what runs, then takes all rows with it', async () => {
    const h = busyJob();
    h.ok({ kind: 'job.patch', job: 'j', patch: { metadata: [{ name: 'a', value: 'b' }] } });
    h.ok({ kind: 'job.delete', job: 'j' });
    expect(h.takeEffects()).toMatchObject([stopOfFirst]);
    expect((await h.getJob('j')).state).toBe('deleting');
    expect(h.machine.dueAtMs()).toBeUndefined();
    for (const command of [
      { kind: 'job.delete', job: 'j' },
      { kind: 'job.patch', job: 'j', patch: {} },
      { kind: 'task.add', job: 'j', tasks: [] },
      { kind: 'task.terminate', job: 'j', task: 'running' },
      { kind: 'job.add', spec: { id: 'j', poolInfo: { poolId: POOL_ID } } },
    ] as const) {
      expect(h.refusal(command)).toBe('JobBeingDeleted');
    }
    h.end('n1', 1, { kind: 'killed' });
    h.sweep();
    await expect(h.getJob('j')).rejects.toMatchObject({ code: 'JobNotFound' });
    expect([...h.store.rows.keys()].filter((key) => /^[jklqstux]\//.test(key))).toEqual([]);
  });

  test('a new job of the same id has another number, also after a restart', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.ok({ kind: 'job.delete', job: 'j' });
    h.sweep();
    h.restart();
    h.job('j');
    expect((await h.getJob('j')).number).toBe(2);
    await expect(h.getTask('j', 'a')).rejects.toMatchObject({ code: 'TaskNotFound' });
  });

  test('of many tasks goes in slices, and a restart in between goes on', async () => {
    const h = withNodes(0);
    for (let first = 0; first < 10_000; first += 5_000) {
      h.ok({
        kind: 'task.add',
        job: 'j',
        tasks: Array.from({ length: 5_000 }, (_, n) => ({ id: `t${first + n}`, commandLine: 'x' })),
      });
    }
    h.ok({ kind: 'job.delete', job: 'j' });
    const rowsLeft = (): number => [...h.store.rows.keys()].filter((key) => key.startsWith('t/')).length;
    expect(rowsLeft()).toBe(10_000);
    h.ok({ kind: 'sweep', limit: 100 });
    expect(rowsLeft()).toBe(10_000 - 4_095);
    expect((await h.listTasks('j')).items).toEqual([]);
    h.restart();
    h.ok({ kind: 'sweep', limit: 100 });
    expect(rowsLeft()).toBe(10_000 - 8_191);
    h.sweep(100);
    expect(rowsLeft()).toBe(0);
    await expect(h.getJob('j')).rejects.toMatchObject({ code: 'JobNotFound' });
  });
});
