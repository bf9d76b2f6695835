import { describe, expect, test } from 'vitest';
import { exitActions, verdictOf } from '../../../coordinator/core/pool/outcome.ts';
import { Intent } from '../../../coordinator/core/pool/task-table.ts';
import type { ExitConditions } from '../../../src/model/task.ts';
import { anOutcome, type Harness, withNodes } from './pool-harness.ts';

function running(constraints = {}): Harness {
  const h = withNodes(2);
  h.add('j', { id: 'a', constraints });
  h.schedule();
  h.start('n1', 1);
  return h;
}

describe('a report', () => {
  test('makes an assigned task run, then complete', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'active',
      epoch: h.index,
      node: 'n1',
      machine: 'peer-n1/00000001',
    });
    expect(await h.getNode('n1')).toMatchObject({ state: 'idle', runningTasks: 0, waitingTasks: 1 });
    h.tick(10);
    h.start('n1', 1);
    const startedAtMs = h.timeMs;
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'running',
      startTimeMs: startedAtMs,
      stateTransitionTimeMs: startedAtMs,
    });
    expect(await h.getNode('n1')).toMatchObject({
      state: 'running',
      runningTasks: 1,
      runningSlots: 1,
      waitingTasks: 0,
    });
    h.tick(20);
    const files = [{ path: 'stdout.txt', sizeBytes: 2, inline: Uint8Array.of(104, 105) }];
    h.end('n1', 1, { files });
    h.restart();
    const task = await h.getTask('j', 'a');
    expect(task).toMatchObject({
      state: 'completed',
      previousState: 'running',
      previousStateTransitionTimeMs: startedAtMs,
      startTimeMs: startedAtMs,
      endTimeMs: h.timeMs,
      exitCode: 0,
      result: 'success',
    });
    expect(task.files.map(({ path, inline }) => [path, [...(inline ?? [])]])).toEqual([
      ['stdout.txt', [104, 105]],
    ]);
    expect(await h.getNode('n1')).toMatchObject({ state: 'idle', totalTasksRun: 1, totalTasksSucceeded: 1 });
  });

  test('of started and ended in one is one transition', async () => {
    const h = withNodes(1);
    h.add('j', { id: 'a' });
    h.schedule();
    h.end('n1', 1, { startedAtMs: 5 });
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'completed',
      previousState: 'active',
      startTimeMs: 5,
    });
  });

  test('is stale with any epoch, node, task or job but the present one, and changes nothing', async () => {
    const h = running();
    const { epoch } = h.execution('n1', 1);
    const before = await h.getTask('j', 'a');
    const outcome = anOutcome({ exitCode: 1 });
    const verdicts = [
      ...h.report(
        'n1',
        { job: 1, task: 1, epoch: epoch - 1, outcome },
        { job: 1, task: 1, epoch: epoch + 1, outcome },
      ),
      ...h.report(
        'n1',
        { job: 1, task: 2, epoch, outcome },
        { job: 2, task: 1, epoch, outcome },
        { job: 1, task: 2 ** 40, epoch, outcome },
      ),
      ...h.report('n2', { job: 1, task: 1, epoch, outcome }),
      ...h.report('stranger', { job: 1, task: 1, epoch, outcome }),
    ];
    expect(verdicts).toEqual(new Array(7).fill('stale'));
    expect(await h.getTask('j', 'a')).toEqual(before);
  });

  test('is recorded once: said again it is stale', async () => {
    const h = running();
    const item = { ...h.execution('n1', 1), outcome: anOutcome({ exitCode: 0 }) };
    expect(h.report('n1', item)).toEqual(['recorded']);
    expect(h.report('n1', { ...item, outcome: anOutcome({ exitCode: 1 }) })).toEqual(['stale']);
    expect(await h.getTask('j', 'a')).toMatchObject({ exitCode: 0, result: 'success' });
    expect((await h.getJob('j')).counts).toMatchObject({ completed: 1, succeeded: 1, failed: 0 });
  });

  test('of a node that was called lost meanwhile is stale, and the task runs again with a greater epoch', async () => {
    const h = running();
    const old = h.execution('n1', 1);
    h.ok({ kind: 'node.lost', node: 'n1' });
    expect(h.schedule()).toMatchObject([{ node: 'n2' }]);
    expect(h.report('n1', { ...old, outcome: anOutcome() })).toEqual(['stale']);
    expect(h.execution('n2', 1).epoch).toBeGreaterThan(old.epoch);
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'active',
      node: 'n2',
      retryCount: 0,
      requeueCount: 0,
    });
  });
});

describe('a task that fails', () => {
  test('is retried as often as it may, and no more', async () => {
    const h = running({ maxTaskRetryCount: 2 });
    for (let run = 0; run < 3; run++) {
      h.tick(1);
      h.end('n1', 1, { exitCode: 7 });
      if (run === 2) break;
      expect(await h.getTask('j', 'a')).toMatchObject({
        state: 'active',
        retryCount: run + 1,
        lastRetryTimeMs: h.timeMs,
      });
      expect(await h.getTask('j', 'a')).not.toHaveProperty('exitCode');
      h.restart();
      h.schedule();
    }
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'completed',
      result: 'failure',
      exitCode: 7,
      retryCount: 2,
      failure: { category: 'usererror', code: 'FailureExitCode' },
    });
  });

  test('without limit is retried without end', async () => {
    const h = running({ maxTaskRetryCount: -1 });
    for (let run = 0; run < 10; run++) {
      h.end('n1', 1, { exitCode: 1 });
      h.schedule();
    }
    expect(await h.getTask('j', 'a')).toMatchObject({ state: 'active', retryCount: 10 });
  });

  test('at its wall clock is retried like a nonzero exit', async () => {
    const h = running({ maxTaskRetryCount: 1 });
    h.end('n1', 1, { kind: 'wallClock', exitCode: 137 });
    expect(await h.getTask('j', 'a')).toMatchObject({ state: 'active', retryCount: 1 });
    h.schedule();
    h.end('n1', 1, { kind: 'wallClock', exitCode: 137 });
    expect(await h.getTask('j', 'a')).toMatchObject({
      state: 'completed',
      exitCode: 137,
      failure: { code: 'TaskEnded' },
    });
  });

  test.each(['preProcessingError', 'fileUploadError'] as const)('by a %s is not retried', async (kind) => {
    const h = running({ maxTaskRetryCount: 5 });
    const failure = { category: 'usererror', code: 'BlobNotFound', message: 'gone', details: [] } as const;
    h.end('n1', 1, { kind, failure, exitCode: 3 });
    expect(await h.getTask('j', 'a')).toMatchObject({ state: 'completed', retryCount: 0, failure });
  });

  test.each(['lost', 'killed'] as const)(
    'because it was %s runs again outside its retry count',
    async (kind) => {
      const h = running({ maxTaskRetryCount: 0 });
      h.end('n1', 1, { kind });
      expect(await h.getTask('j', 'a')).toMatchObject({ state: 'active', retryCount: 0, requeueCount: 0 });
      expect(await h.getNode('n1')).toMatchObject({ totalTasksRun: 0 });
    },
  );
});

describe('the end of an execution that was to be stopped', () => {
  const end = (intent: number, kind: 'exited' | 'killed', exitCode?: number) =>
    verdictOf({
      intent,
      outcome: anOutcome({ kind, ...(exitCode === undefined ? {} : { exitCode }) }),
      retryCount: 0,
      maxRetryCount: 5,
    });

  test('is a success where it had ended well by itself, unless the task was deleted', () => {
    for (const intent of [Intent.recover, Intent.requeue, Intent.terminate]) {
      expect(end(intent, 'exited', 0)).toEqual({ kind: 'complete', succeeded: true, byUser: false });
    }
    expect(end(Intent.delete, 'exited', 0)).toEqual({ kind: 'remove' });
  });

  test.each([
    ['killed', undefined],
    ['exited', 5],
  ] as const)(
    'else is what was wished, also where it failed by itself: that is no retry (%s)',
    (kind, exitCode) => {
      expect(end(Intent.recover, kind, exitCode)).toEqual({ kind: 'requeue', counted: false });
      expect(end(Intent.requeue, kind, exitCode)).toEqual({ kind: 'requeue', counted: true });
      expect(end(Intent.terminate, kind, exitCode)).toEqual({
        kind: 'complete',
        succeeded: false,
        byUser: true,
      });
    },
  );
});

describe('exit conditions', () => {
  const conditions: ExitConditions = {
    exitCodes: [{ code: 4, exitOptions: { jobAction: 'none', dependencyAction: 'satisfy' } }],
    exitCodeRanges: [{ start: 3, end: 9, exitOptions: { jobAction: 'disable' } }],
    preProcessingError: { dependencyAction: 'cancel' },
    fileUploadError: { jobAction: 'none' },
    default: { jobAction: 'none', dependencyAction: 'satisfy' },
  };

  test('a listed code beats a range, and a code beats an upload error', () => {
    expect(exitActions(conditions, { kind: 'exited', exitCode: 4 }, false)).toEqual({
      jobAction: 'none',
      dependencyAction: 'satisfy',
    });
    expect(exitActions(conditions, { kind: 'exited', exitCode: 5 }, false)).toEqual({
      jobAction: 'disable',
      dependencyAction: 'block',
    });
    expect(exitActions(conditions, { kind: 'fileUploadError', exitCode: 4 }, false)).toEqual({
      jobAction: 'none',
      dependencyAction: 'satisfy',
    });
    expect(exitActions(conditions, { kind: 'fileUploadError', exitCode: 0 }, false)).toEqual({
      jobAction: 'none',
      dependencyAction: 'block',
    });
  });

  test('the default is for failures that nothing else names, never for exit code 0', () => {
    expect(
      exitActions({ default: { dependencyAction: 'block' } }, { kind: 'exited', exitCode: 0 }, false),
    ).toEqual({ jobAction: 'none', dependencyAction: 'satisfy' });
    expect(exitActions(conditions, { kind: 'exited', exitCode: 77 }, false)).toEqual({
      jobAction: 'none',
      dependencyAction: 'satisfy',
    });
    expect(
      exitActions(
        { exitCodes: [{ code: 0, exitOptions: { dependencyAction: 'block' } }] },
        { kind: 'exited', exitCode: 0 },
        false,
      ).dependencyAction,
    ).toBe('block');
  });

  test('what is left out is terminate and block for a failure', () => {
    expect(exitActions(undefined, { kind: 'exited', exitCode: 1 }, false)).toEqual({
      jobAction: 'terminate',
      dependencyAction: 'block',
    });
    expect(exitActions(conditions, { kind: 'preProcessingError' }, false)).toEqual({
      jobAction: 'terminate',
      dependencyAction: 'cancel',
    });
  });

  test('a failure ends a job that performs job actions, whatever else runs', async () => {
    const h = withNodes(2, 1, { onTaskFailure: 'performexitoptionsjobaction' });
    h.add('j', { id: 'a' }, { id: 'b' });
    h.schedule();
    h.takeEffects();
    h.end('n1', 1, { exitCode: 1 });
    expect(h.takeEffects()).toMatchObject([{ kind: 'stop', node: 'n2', task: 2 }]);
    h.end('n2', 2, { kind: 'killed' });
    expect(await h.getJob('j')).toMatchObject({ state: 'completed', terminateReason: 'TaskFailed' });
  });

  test('a job action can disable the job: what else runs is requeued', async () => {
    const h = withNodes(2, 1, { onTaskFailure: 'performexitoptionsjobaction' });
    h.add('j', { id: 'a', exitConditions: { default: { jobAction: 'disable' } } }, { id: 'b' });
    h.schedule();
    h.end('n1', 1, { exitCode: 1 });
    h.end('n2', 2, { kind: 'killed' });
    expect((await h.getJob('j')).state).toBe('disabled');
    expect(await h.states('j')).toEqual({ a: 'completed', b: 'active' });
  });

  test('a retry takes no job action, and a job that performs none takes none', async () => {
    const h = withNodes(1, 1, { onTaskFailure: 'performexitoptionsjobaction' });
    h.add('j', { id: 'a', constraints: { maxTaskRetryCount: 1 } });
    h.schedule();
    h.end('n1', 1, { exitCode: 1 });
    expect((await h.getJob('j')).state).toBe('active');
    const other = withNodes(1);
    other.add('j', { id: 'a' });
    other.schedule();
    other.end('n1', 1, { exitCode: 1 });
    expect((await other.getJob('j')).state).toBe('active');
  });

  test('a task that a user ends takes no job action', async () => {
    const h = withNodes(1, 1, { onTaskFailure: 'performexitoptionsjobaction' });
    h.add('j', { id: 'a' }, { id: 'b' });
    h.ok({ kind: 'task.terminate', job: 'j', task: 'a' });
    expect((await h.getJob('j')).state).toBe('active');
  });
});
