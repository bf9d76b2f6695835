import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { answerableError, errorBody } from '../../../src/api/errors.ts';
import { exactLength } from '../../../src/api/exact-length.ts';
import { readLimit, readSkipToken, writeSkipToken } from '../../../src/api/paging.ts';
import { parseQuery } from '../../../src/api/query.ts';
import { fileHeaders, renderFile } from '../../../src/api/render-file.ts';
import { renderJob, renderTaskCounts } from '../../../src/api/render-job.ts';
import { renderNode, renderNodeCounts } from '../../../src/api/render-node.ts';
import { renderPool } from '../../../src/api/render-pool.ts';
import { renderTask } from '../../../src/api/render-task.ts';
import { selector } from '../../../src/api/select.ts';
import { ERRORS, type ErrorCode, ShoalError } from '../../../src/lib/errors.ts';
import { aJob, aNode, aPool, aTask, NOW_MS } from './entities.ts';

const BASE = 'http://localhost:8000';
/** What a client gets: undefined members are gone. */
const sent = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const context = { baseUrl: BASE, requestId: '7f3f…', timeMs: NOW_MS };

describe('an entity as Azure Batch writes it', () => {
  test('a new task: defaults told, nothing that did not happen', () => {
    expect(sent(renderTask(aTask(), BASE))).toEqual({
      id: 'task-1',
      url: `${BASE}/jobs/job-1/tasks/task-1`,
      eTag: '0x1',
      lastModified: '2026-11-21T04:26:00.1230000Z',
      creationTime: '2026-11-21T04:26:00.1230000Z',
      state: 'active',
      stateTransitionTime: '2026-11-21T04:26:00.1230000Z',
      commandLine: '/bin/true',
      constraints: {
        maxWallClockTime: 'P10675199DT2H48M5.4775807S',
        retentionTime: 'P7D',
        maxTaskRetryCount: 0,
      },
      requiredSlots: 1,
      userIdentity: { autoUser: { scope: 'pool', elevationLevel: 'nonadmin' } },
      executionInfo: { retryCount: 0, requeueCount: 0 },
    });
  });

  test('a task that failed: where it ran and why it failed', () => {
    const failure = {
      category: 'usererror',
      code: 'FailureExitCode',
      message: 'The task exited with an exit code representing a failure',
      details: [{ name: 'Message', value: 'Exit code 3' }],
    } as const;
    const task = aTask({
      state: 'completed',
      previousState: 'running',
      node: 'node-1',
      machine: 'peer/0001',
      epoch: 42,
      exitCode: 3,
      result: 'failure',
      failure,
      startTimeMs: NOW_MS,
      endTimeMs: NOW_MS + 1_500,
    });
    expect(sent(renderTask(task, BASE))).toMatchObject({
      previousState: 'running',
      executionInfo: {
        startTime: '2026-11-21T04:26:00.1230000Z',
        endTime: '2026-11-21T04:26:01.6230000Z',
        exitCode: 3,
        result: 'failure',
        failureInfo: {
          category: 'UserError',
          code: 'FailureExitCode',
          details: [{ name: 'Message', value: 'Exit code 3' }],
        },
      },
      nodeInfo: {
        affinityId: 'TVM:node-1',
        nodeUrl: `${BASE}/pools/pool-1/nodes/node-1`,
        poolId: 'pool-1',
        nodeId: 'node-1',
        taskRootDirectory: 'workitems/job-1/job-1/task-1',
      },
      shoal: { epoch: 42, machine: 'peer/0001' },
    });
  });

  test('a job', () => {
    expect(
      sent(renderJob(aJob({ spec: { id: 's1:job-1', poolInfo: { poolId: 'pool-1' } } }), BASE)),
    ).toMatchObject({
      url: `${BASE}/jobs/s1%3Ajob-1`,
      priority: 0,
      maxParallelTasks: -1,
      onAllTasksComplete: 'noaction',
      onTaskFailure: 'noaction',
      usesTaskDependencies: false,
      constraints: { maxWallClockTime: 'P10675199DT2H48M5.4775807S', maxTaskRetryCount: 0 },
      executionInfo: { startTime: '2026-11-21T04:26:00.1230000Z', poolId: 'pool-1' },
    });
  });

  test('counts: nested, and flat for the oldest version', () => {
    const tasks = { active: 1, running: 2, completed: 7, succeeded: 4, failed: 3 };
    const slots = { active: 2, running: 4, completed: 14, succeeded: 8, failed: 6 };
    expect(renderTaskCounts({ tasks, slots }, 'slots')).toEqual({ taskCounts: tasks, taskSlotCounts: slots });
    expect(renderTaskCounts({ tasks, slots }, 'flat')).toEqual(tasks);
  });

  test('a pool: slots under the name of the version', () => {
    const pool = aPool({
      spec: {
        id: 'p',
        vmSize: 'standard_d2s_v3',
        taskSlotsPerNode: 4,
        taskSchedulingPolicy: { nodeFillType: 'pack' },
      },
    });
    expect(sent(renderPool(pool, BASE, 'slots'))).toMatchObject({
      taskSlotsPerNode: 4,
      taskSchedulingPolicy: { nodeFillType: 'Pack' },
      enableAutoScale: false,
      resizeTimeout: 'PT15M',
    });
    expect(sent(renderPool(pool, BASE, 'flat'))).toMatchObject({ maxTasksPerNode: 4 });
    expect(renderPool(pool, BASE, 'flat')).not.toHaveProperty('taskSlotsPerNode');
  });

  test('a node, and the counts of nodes', () => {
    expect(
      sent(
        renderNode(
          aNode({ state: 'running', runningTasks: 2 }),
          { vmSize: 'machine', address: '10.0.0.1' },
          BASE,
        ),
      ),
    ).toMatchObject({
      url: `${BASE}/pools/pool-1/nodes/node-1`,
      affinityId: 'TVM:node-1',
      ipAddress: '10.0.0.1',
      runningTasksCount: 2,
      isDedicated: true,
      vmSize: 'machine',
    });
    const counts = renderNodeCounts('p', [
      aNode(),
      aNode({ state: 'startTaskFailed'.toLowerCase() as 'starttaskfailed' }),
      aNode({ dedicated: false }),
    ]);
    expect(counts).toMatchObject({
      poolId: 'p',
      dedicated: { idle: 1, startTaskFailed: 1, running: 0, total: 2 },
      lowPriority: { idle: 1, total: 1 },
    });
  });

  test('a file: lengths as text, paths escaped whole, no type that runs', () => {
    const entry = {
      path: 'wd/a b.html',
      directory: false,
      sizeBytes: 13,
      modifiedAtMs: NOW_MS,
      mode: 0o100644,
    };
    const url = `${BASE}/jobs/j/tasks/t`;
    expect(sent(renderFile(entry, url))).toEqual({
      name: 'wd/a b.html',
      url: `${url}/files/wd%2Fa%20b.html`,
      isDirectory: false,
      properties: {
        creationTime: '2026-11-21T04:26:00.1230000Z',
        lastModified: '2026-11-21T04:26:00.1230000Z',
        contentLength: '13',
        contentType: 'text/plain',
        fileMode: '0o100644',
      },
    });
    expect(fileHeaders({ ...entry, directory: true }, url)).toMatchObject({
      'ocp-batch-file-isdirectory': 'True',
      'ocp-batch-file-url': `${url}/files/wd%2Fa%20b.html`,
      'content-disposition': 'attachment',
    });
  });
});

describe('$select', () => {
  const entity = {
    'odata.metadata': 'm',
    id: 'a',
    state: 'active',
    executionInfo: { exitCode: 1, result: 'failure' },
  };
  const select = (names: string): unknown => selector(parseQuery(`$select=${names}`))(entity);

  test('keeps what is named, in depth', () => {
    expect(select('id,%20executionInfo/exitCode')).toEqual({
      'odata.metadata': 'm',
      id: 'a',
      executionInfo: { exitCode: 1 },
    });
    expect(select('executionInfo/exitCode,executionInfo')).toEqual({
      'odata.metadata': 'm',
      executionInfo: entity.executionInfo,
    });
    expect(select('nothing,constructor,toString')).toEqual({ 'odata.metadata': 'm' });
    expect(select('')).toBe(entity);
  });

  test.each(['$select=id,,state', '$select=id;drop', `$select=${'a,'.repeat(200)}a`, '$expand=everything'])(
    '%.30s is refused',
    (query) => {
      expect(() => selector(parseQuery(query))).toThrow(ShoalError);
    },
  );

  test('stats may be expanded', () => {
    expect(selector(parseQuery('$expand=stats'))(entity)).toBe(entity);
  });
});

describe('paging', () => {
  test('a token comes back as it went out', () => {
    const token = writeSkipToken(['pool:p', 17]);
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(readSkipToken(parseQuery(`$skiptoken=${token}`), 'string', 'number')).toEqual(['pool:p', 17]);
    expect(readSkipToken(parseQuery(''), 'number')).toBeUndefined();
    expect(readLimit(parseQuery(''))).toBe(1000);
  });

  test.each([
    'x',
    '',
    writeSkipToken(['a']),
    writeSkipToken([1, 2]),
    writeSkipToken([1.5]),
    'A'.repeat(20_000),
  ])('%.20s is no token of numbers', (token) => {
    expect(() => readSkipToken(parseQuery(`$skiptoken=${token}`), 'number')).toThrow(ShoalError);
  });
});

describe('an error', () => {
  test('has Azure Batch’s shape, and our hint', () => {
    const error = new ShoalError('TaskDependenciesNotSpecifiedOnJob', undefined, {
      PropertyName: 'dependsOn',
    });
    expect(errorBody(error, context)).toEqual({
      'odata.metadata': `${BASE}/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element`,
      code: 'TaskDependenciesNotSpecifiedOnJob',
      message: {
        lang: 'en-US',
        value: `${ERRORS.TaskDependenciesNotSpecifiedOnJob.message}\nRequestId:7f3f…\nTime:2026-11-21T04:26:00.1230000Z`,
      },
      values: [{ key: 'PropertyName', value: 'dependsOn' }],
      hint: ERRORS.TaskDependenciesNotSpecifiedOnJob.hint,
    });
  });

  test('of ours inside tells nothing', () => {
    const error = answerableError(new TypeError('secret path /var/lib/shoal'));
    expect(error.code).toBe('InternalError');
    expect(JSON.stringify(errorBody(error, context))).not.toContain('secret');
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  test.each([
    [new ShoalError('TooLarge'), 'RequestBodyTooLarge'],
    [
      Object.assign(new Error(), { code: 'FST_ERR_CTP_BODY_TOO_LARGE', statusCode: 413 }),
      'RequestBodyTooLarge',
    ],
    [Object.assign(new Error(), { code: 'FST_ERR_BAD_URL', statusCode: 400 }), 'InvalidUri'],
    [
      Object.assign(new Error(), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', statusCode: 415 }),
      'InvalidHeaderValue',
    ],
    [new DOMException('x', 'AbortError'), 'OperationTimedOut'],
    [new DOMException('x', 'TimeoutError'), 'OperationTimedOut'],
  ] satisfies [Error, ErrorCode][])('%s is told as %s', (thrown, code) => {
    expect(answerableError(thrown).code).toBe(code);
  });
});

describe('a body of a promised length', () => {
  test('ends there, however much there is', async () => {
    expect(await text(exactLength(Readable.from([Buffer.from('hello '), Buffer.from('world')]), 8))).toBe(
      'hello wo',
    );
    expect(await text(exactLength(Readable.from([Buffer.from('x')]), 0))).toBe('');
  });

  test('fails where there is less', async () => {
    await expect(text(exactLength(Readable.from([Buffer.from('abc')]), 4))).rejects.toThrow(/1 bytes early/);
  });

  test('lets go of its source', async () => {
    const source = Readable.from([Buffer.from('abc'), Buffer.from('def')]);
    await text(exactLength(source, 2));
    expect(source.destroyed).toBe(true);
    const unread = new Readable({ read() {} });
    const limited = exactLength(unread, 5);
    limited.destroy();
    await new Promise((resolve) => limited.once('close', resolve));
    expect(unread.destroyed).toBe(true);
  });
});
