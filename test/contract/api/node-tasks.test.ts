/** Start, job preparation, release and manager tasks, and restarts of nodes, as clients see them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
let node: string;
beforeEach(async () => {
  api = new ApiFixture();
  node = await api.withNode();
});

const job = {
  id: 'j',
  poolInfo: { poolId: 'p' },
  jobManagerTask: { id: 'boss', commandLine: '/bin/manage', killJobOnCompletion: false, runExclusive: false },
  jobPreparationTask: { commandLine: '/bin/prepare', userIdentity: { autoUser: { scope: 'Pool' } } },
  jobReleaseTask: { id: 'tidy', commandLine: '/bin/release' },
};

describe('a job with all three', () => {
  test('shows them with their defaults, and its manager among its tasks', async () => {
    expect((await api.ask('POST', '/jobs', { json: job })).status).toBe(201);
    expect((await api.ask('GET', '/jobs/j')).body).toMatchObject({
      jobManagerTask: {
        id: 'boss',
        killJobOnCompletion: false,
        runExclusive: false,
        allowLowPriorityNode: true,
        requiredSlots: 1,
      },
      jobPreparationTask: {
        id: 'jobpreparation',
        commandLine: '/bin/prepare',
        constraints: { maxTaskRetryCount: 0, retentionTime: 'P7D' },
        userIdentity: { autoUser: { scope: 'pool' } },
        waitForSuccess: true,
        rerunOnNodeRebootAfterSuccess: true,
      },
      jobReleaseTask: { id: 'tidy', maxWallClockTime: 'PT15M', retentionTime: 'P7D' },
    });
    const tasks = await api.ask('GET', '/jobs/j/tasks');
    expect(tasks.body.value.map(({ id }: { id: string }) => id)).toEqual(['boss']);
  });

  test('tells what each node did for it', async () => {
    await api.ask('POST', '/jobs', { json: job });
    await api.control.assign('j', 'boss', node);
    expect((await api.ask('GET', '/jobs/j/tasks/boss')).body.state).toBe('preparing');
    const path = '/jobs/j/jobpreparationandreleasetaskstatus';
    expect((await api.ask('GET', path)).body.value).toMatchObject([
      { poolId: 'p', nodeId: node, jobPreparationTaskExecutionInfo: { state: 'running', retryCount: 0 } },
    ]);
    api.control.endAll('p', node, 0);
    api.control.endAll('p', node, 0);
    expect((await api.ask('GET', '/jobs/j/tasks/boss')).body.state).toBe('completed');
    await api.ask('POST', '/jobs/j/terminate');
    expect((await api.ask('GET', '/jobs/j')).body.state).toBe('terminating');
    api.control.endAll('p', node, 3);
    expect((await api.ask('GET', '/jobs/j')).body.state).toBe('completed');
    const { body } = await api.ask('GET', path);
    expect(body.value).toMatchObject([
      {
        jobPreparationTaskExecutionInfo: {
          state: 'completed',
          result: 'success',
          exitCode: 0,
          taskRootDirectory: 'workitems/j/job-1/jobpreparation',
        },
        jobReleaseTaskExecutionInfo: {
          state: 'completed',
          result: 'failure',
          exitCode: 3,
          failureInfo: { category: 'UserError', code: 'FailureExitCode' },
          taskRootDirectory: 'workitems/j/job-1/tidy',
        },
      },
    ]);
    const filter = encodeURIComponent("jobReleaseTaskExecutionInfo/exitCode eq 0 and nodeId ne 'x'");
    expect((await api.ask('GET', `${path}?$filter=${filter}`)).body.value).toEqual([]);
    const selected = await api.ask('GET', `${path}?$select=nodeId&maxresults=1`);
    expect(selected.body.value).toEqual([{ nodeId: node }]);
    expect((await api.ask('GET', `${path}?$filter=colour%20eq%201`)).body.code).toBe(
      'InvalidQueryParameterValue',
    );
  });

  test('refuses tasks of their ids', async () => {
    await api.ask('POST', '/jobs', { json: job });
    for (const [id, code] of [
      ['jobpreparation', 'TaskIdSameAsJobPreparationTask'],
      ['TIDY', 'TaskIdSameAsJobReleaseTask'],
    ]) {
      const answer = await api.ask('POST', '/jobs/j/tasks', { json: { id, commandLine: 'x' } });
      expect([answer.status, answer.body.code]).toEqual([409, code]);
    }
  });
});

test('a job without a preparation task has no such status', async () => {
  await api.ask('POST', '/jobs', { json: { id: 'plain', poolInfo: { poolId: 'p' } } });
  const answer = await api.ask('GET', '/jobs/plain/jobpreparationandreleasetaskstatus');
  expect([answer.status, answer.body.code]).toEqual([409, 'JobPreparationTaskOrReleaseTaskNotSpecified']);
});

describe('a start task', () => {
  const startTask = { commandLine: '/bin/start', maxTaskRetryCount: 1 };

  test('is shown with its pool and its nodes, and decides what state they are in', async () => {
    const pool = { id: 's', vmSize: 'shoal.1c1g', targetDedicatedNodes: 3, startTask };
    expect((await api.ask('POST', '/pools', { json: pool })).status).toBe(201);
    expect((await api.ask('GET', '/pools/s')).body.startTask).toMatchObject({
      ...startTask,
      waitForSuccess: true,
    });
    const own = api.control.addNode('s');
    const show = async () => (await api.ask('GET', `/pools/s/nodes/${own}`)).body;
    expect(await show()).toMatchObject({
      state: 'waitingforstarttask',
      startTask,
      startTaskInfo: { state: 'running', retryCount: 0 },
    });
    api.control.endAll('s', own, 4);
    api.control.endAll('s', own, 4);
    expect(await show()).toMatchObject({
      state: 'starttaskfailed',
      startTaskInfo: {
        state: 'completed',
        result: 'failure',
        exitCode: 4,
        retryCount: 1,
        failureInfo: { code: 'FailureExitCode' },
      },
    });
    const filter = encodeURIComponent("startTaskInfo/exitCode eq 4 and startTaskInfo/result eq 'failure'");
    expect((await api.ask('GET', `/pools/s/nodes?$filter=${filter}`)).body.value).toHaveLength(1);
  });

  test('is changed by a patch, and taken away where all properties are replaced', async () => {
    expect((await api.ask('PATCH', '/pools/p', { json: { startTask } })).status).toBe(200);
    expect((await api.ask('GET', '/pools/p')).body.startTask.commandLine).toBe('/bin/start');
    expect((await api.ask('PATCH', '/pools/p', { json: { metadata: [] } })).status).toBe(200);
    expect((await api.ask('GET', '/pools/p')).body.startTask.commandLine).toBe('/bin/start');
    expect((await api.ask('GET', `/pools/p/nodes/${node}`)).body.startTask).toBeUndefined();
    const replaced = { metadata: [], applicationPackageReferences: [], certificateReferences: [] };
    expect((await api.ask('POST', '/pools/p/updateproperties', { json: replaced })).status).toBe(204);
    expect((await api.ask('GET', '/pools/p')).body.startTask).toBeUndefined();
    const bad = await api.ask('PATCH', '/pools/p', { json: { startTask: { commandLine: ' ' } } });
    expect([bad.status, bad.body.code]).toEqual([400, 'InvalidPropertyValue']);
    expect(bad.body.values[0]).toEqual({ key: 'PropertyName', value: 'startTask/commandLine' });
  });
});

describe('a restart', () => {
  test.each(['reboot', 'reimage'])(
    'by %s is taken once, and the node is back when its agent says so',
    async (how) => {
      const path = `/pools/p/nodes/${node}`;
      const option =
        how === 'reboot' ? { nodeRebootOption: 'taskCompletion' } : { nodeReimageOption: 'retainedData' };
      expect((await api.ask('POST', `${path}/${how}`, { json: option })).status).toBe(202);
      expect((await api.ask('GET', path)).body.state).toBe(how === 'reboot' ? 'rebooting' : 'reimaging');
      const again = await api.ask('POST', `${path}/${how}`);
      expect([again.status, again.body.code]).toEqual([409, 'OperationInvalidForCurrentState']);
      api.control.endAll('p', node, 0);
      expect((await api.ask('GET', path)).body.state).toBe('idle');
    },
  );

  test('of a node that is not there is refused', async () => {
    const answer = await api.ask('POST', '/pools/p/nodes/none/reboot');
    expect([answer.status, answer.body.code]).toEqual([404, 'NodeNotFound']);
  });
});
