/** Azure Batch's own JavaScript client, unchanged, against three agents: every operation of its version at least once. */
import type { BatchServiceClient, BatchServiceModels } from '@azure/batch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import { azureClient, expectError, whereOffered } from './azure/client.ts';
import { OPERATIONS, OperationRecorder, StatusRecorder } from './azure/operations.ts';

const STEP_MS_MAX = 30_000;
const POOL = 'azure';
const recorder = new OperationRecorder();
let mesh: LocalMesh;
let azure: BatchServiceClient;
/** Through another agent: what goes in by one comes out of the other. */
let other: BatchServiceClient;
let nodes: string[];

beforeAll(async () => {
  mesh = await LocalMesh.start(3, { apiPort: true });
  const [first, second] = mesh.agents;
  if (first === undefined || second === undefined) throw new Error('unreachable');
  recorder.start();
  [azure, other] = await Promise.all([azureClient(first), azureClient(second)]);
  await azure.pool.add({
    id: POOL,
    vmSize: 'shoal.1c1g',
    targetDedicatedNodes: 2,
    taskSlotsPerNode: 4,
    metadata: [{ name: 'purpose', value: 'test' }],
    virtualMachineConfiguration: {
      imageReference: { publisher: 'canonical', offer: '0001-com-ubuntu-server-jammy', sku: '22_04-lts' },
      nodeAgentSKUId: 'batch.node.ubuntu 22.04',
    },
  });
  await until('the pool has its nodes', STEP_MS_MAX, async () => {
    nodes = (
      await azure.computeNode.list(POOL, { computeNodeListOptions: { filter: "state eq 'idle'" } })
    ).map(({ id }) => id ?? '');
    const { allocationState } = await azure.pool.get(POOL);
    return nodes.length === 2 && allocationState === 'steady';
  });
});
afterAll(async () => {
  recorder.stop();
  await mesh?.stop();
});

async function addJob(id: string, more: Partial<BatchServiceModels.JobAddParameter> = {}): Promise<void> {
  await azure.job.add({ id, poolInfo: { poolId: POOL }, ...more });
}

async function completed(job: string, tasks: number): Promise<void> {
  await until(`${tasks} tasks of ${job} have ended`, STEP_MS_MAX, async () => {
    const { taskCounts } = await other.job.getTaskCounts(job);
    return taskCounts.completed >= tasks;
  });
}

async function textOf(answer: BatchServiceModels.FileGetFromTaskResponse): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer.readableStreamBody ?? []) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

function nodeName(): string {
  return nodes[0] ?? '';
}

describe('the account', () => {
  it('lists images, node counts and no applications', async () => {
    const images = await azure.account.listSupportedImages();
    expect(images[0]).toMatchObject({ nodeAgentSKUId: expect.stringMatching(/^batch\.node\./) });
    const counts = await other.account.listPoolNodeCounts({
      accountListPoolNodeCountsOptions: { filter: `poolId eq '${POOL}'` },
    });
    expect([...counts]).toMatchObject([{ poolId: POOL, dedicated: { total: 2 }, lowPriority: { total: 0 } }]);
    expect([...(await azure.application.list())]).toEqual([]);
    await expectError(azure.application.get('blender'), 404, 'ApplicationNotFound');
  });

  it('counts what pools and jobs have used', async () => {
    const hourAgo = new Date(Date.now() - 3_600_000);
    const usage = await azure.pool.listUsageMetrics({
      poolListUsageMetricsOptions: { startTime: hourAgo, endTime: new Date() },
    });
    expect(usage.find(({ poolId }) => poolId === POOL)?.totalCoreHours).toBeGreaterThan(0);
    expect((await azure.pool.getAllLifetimeStatistics()).usageStats?.dedicatedCoreTime).toMatch(/^P/);
    expect((await azure.job.getAllLifetimeStatistics()).numSucceededTasks).toBeGreaterThanOrEqual(0);
  });

  it('has no certificates', async () => {
    const certificate = { thumbprint: 'ab12', thumbprintAlgorithm: 'sha1', data: 'AA==' };
    for (const asked of [
      () => azure.certificate.add(certificate),
      () => azure.certificate.list(),
      () => azure.certificate.get('sha1', 'ab12'),
      () => azure.certificate.cancelDeletion('sha1', 'ab12'),
      () => azure.certificate.deleteMethod('sha1', 'ab12'),
    ])
      await expectError(asked(), 400, 'OperationNotSupported');
  });
});

describe('a pool', () => {
  it('is told as it was added, under any case, by any agent', async () => {
    const pool = await other.pool.get(POOL.toUpperCase(), { poolGetOptions: { expand: 'stats' } });
    expect(pool).toMatchObject({
      id: POOL,
      state: 'active',
      vmSize: 'shoal.1c1g',
      currentDedicatedNodes: 2,
      taskSlotsPerNode: 4,
      metadata: [{ name: 'purpose', value: 'test' }],
      taskSchedulingPolicy: { nodeFillType: 'Spread' },
      stats: { usageStats: { dedicatedCoreTime: expect.stringMatching(/^P/) } },
    });
    expect(pool.creationTime).toBeInstanceOf(Date);
    expect((await other.pool.exists(POOL)).body).toBe(true);
    expect((await other.pool.exists('nothing')).body).toBe(false);
    await expectError(azure.pool.get('nothing'), 404, 'PoolNotFound');
    await expectError(azure.pool.add({ id: POOL, vmSize: 'machine' }), 409, 'PoolExists');
    await expectError(azure.pool.add({ id: 'a b', vmSize: 'machine' }), 400, 'InvalidPropertyValue');
  });

  it('is listed in pages that the link leads through', async () => {
    const first = await azure.pool.list({ poolListOptions: { maxResults: 1, select: 'id,state' } });
    expect(first).toHaveLength(1);
    expect(Object.keys(first[0] ?? {}).sort()).toEqual(['id', 'state']);
    const second = await azure.pool.listNext(first.odatanextLink ?? '');
    expect([...first, ...second].map(({ id }) => id)).toEqual([POOL, 'default']);
    expect(second.odatanextLink).toBeUndefined();
    const filter = { poolListOptions: { filter: "startswith(id, 'az') and state eq 'active'" } };
    expect((await azure.pool.list(filter)).map(({ id }) => id)).toEqual([POOL]);
    await expectError(
      azure.pool.list({ poolListOptions: { filter: 'colour eq 3' } }),
      400,
      'InvalidQueryParameterValue',
    );
  });

  it('changes only where its tag is still the one that was read', async () => {
    const { eTag = '' } = await azure.pool.get(POOL);
    await azure.pool.patch(
      POOL,
      { metadata: [{ name: 'a', value: '1' }] },
      { poolPatchOptions: { ifMatch: eTag } },
    );
    await expectError(
      azure.pool.patch(POOL, { metadata: [] }, { poolPatchOptions: { ifMatch: eTag } }),
      412,
      'ConditionNotMet',
    );
    const properties = { certificateReferences: [], applicationPackageReferences: [], metadata: [] };
    await azure.pool.updateProperties(POOL, properties);
    expect((await other.pool.get(POOL)).metadata ?? []).toEqual([]);
  });

  it('is resized, and told why it cannot be', async () => {
    await azure.pool.add({ id: 'small', vmSize: 'shoal.1c1g', targetDedicatedNodes: 0 });
    await until(
      'it is steady',
      STEP_MS_MAX,
      async () => (await azure.pool.get('small')).allocationState === 'steady',
    );
    await azure.pool.resize('small', { targetDedicatedNodes: 500, resizeTimeout: 'PT15M' });
    await expectError(azure.pool.resize('small', { targetDedicatedNodes: 1 }), 409, 'PoolBeingResized');
    await azure.pool.stopResize('small');
    await until(
      'it stands still',
      STEP_MS_MAX,
      async () => (await azure.pool.get('small')).allocationState === 'steady',
    );
    await azure.pool.deleteMethod('small');
    await until('it is gone', STEP_MS_MAX, async () => !(await azure.pool.exists('small')).body);
  });

  it('follows a formula', async () => {
    await azure.pool.add({ id: 'formula', vmSize: 'shoal.1c1g', targetDedicatedNodes: 0 });
    await until(
      'it is steady',
      STEP_MS_MAX,
      async () => (await azure.pool.get('formula')).allocationState === 'steady',
    );
    const autoScaleFormula = '$TargetDedicatedNodes = 0;';
    await whereOffered('Pool_EnableAutoScale', () =>
      azure.pool.enableAutoScale('formula', { autoScaleFormula }),
    );
    await whereOffered(
      'Pool_EvaluateAutoScale',
      () => azure.pool.evaluateAutoScale('formula', autoScaleFormula),
      async (answer) => {
        expect(await answer).toMatchObject({ results: expect.stringContaining('$TargetDedicatedNodes=0') });
      },
    );
    await whereOffered('Pool_DisableAutoScale', () => azure.pool.disableAutoScale('formula'));
    await azure.pool.deleteMethod('formula');
  });
});

describe('a job', () => {
  it('is added, changed, disabled, enabled, terminated and deleted', async () => {
    await addJob('life', {
      priority: 5,
      onAllTasksComplete: 'noaction',
      metadata: [{ name: 'a', value: 'b' }],
    });
    await expectError(addJob('LIFE'), 409, 'JobExists');
    await azure.job.patch('life', { priority: 7 });
    expect(await other.job.get('life')).toMatchObject({ priority: 7, metadata: [{ name: 'a', value: 'b' }] });
    await azure.job.update('life', { poolInfo: { poolId: POOL } });
    const {
      priority,
      metadata,
      eTag = '',
    } = await other.job.get('life', { jobGetOptions: { expand: 'stats' } });
    expect([priority, metadata ?? []]).toEqual([0, []]);
    await expectError(
      azure.job.patch('life', { priority: 1 }, { jobPatchOptions: { ifNoneMatch: eTag } }),
      412,
      'ConditionNotMet',
    );
    await expectError(azure.job.patch('life', { priority: 5_000 }), 400, 'InvalidPropertyValue');
    await azure.job.disable('life', 'requeue');
    await until(
      'it is disabled',
      STEP_MS_MAX,
      async () => (await other.job.get('life')).state === 'disabled',
    );
    await azure.job.enable('life');
    await until('it is active', STEP_MS_MAX, async () => (await other.job.get('life')).state === 'active');
    await azure.job.terminate('life', { jobTerminateOptions: {}, terminateReason: 'enough' });
    await until('it has ended', STEP_MS_MAX, async () => (await other.job.get('life')).state === 'completed');
    expect((await other.job.get('life')).executionInfo?.terminateReason).toBe('enough');
    await azure.job.deleteMethod('life');
    await until('it is gone', STEP_MS_MAX, () => gone(other.job.get('life')));
    await expectError(azure.job.get('life'), 404, 'JobNotFound');
  });

  it('without a preparation task has no status of one', async () => {
    await addJob('plain');
    await expectError(
      azure.job.listPreparationAndReleaseTaskStatus('plain'),
      409,
      'JobPreparationTaskOrReleaseTaskNotSpecified',
    );
  });

  it('is found among others', async () => {
    await Promise.all(['list-a', 'list-b', 'list-c'].map((id) => addJob(id)));
    const options = { filter: "startswith(id, 'list-')", select: 'id', maxResults: 2 };
    const ids: (string | undefined)[] = [];
    let page = await other.job.list({ jobListOptions: options });
    for (;;) {
      ids.push(...page.map(({ id }) => id));
      if (page.odatanextLink === undefined) break;
      page = await other.job.listNext(page.odatanextLink);
    }
    expect(ids.sort()).toEqual(['list-a', 'list-b', 'list-c']);
  });

  it('comes from a schedule', async () => {
    const specification = { poolInfo: { poolId: POOL } };
    const schedule = { recurrenceInterval: 'PT1H' };
    await whereOffered('JobSchedule_Add', () =>
      azure.jobSchedule.add({ id: 'hourly', schedule, jobSpecification: specification }),
    );
    await whereOffered('JobSchedule_Exists', () => azure.jobSchedule.exists('hourly'));
    await whereOffered('JobSchedule_Get', () => azure.jobSchedule.get('hourly'));
    await whereOffered('JobSchedule_List', () => azure.jobSchedule.list());
    await whereOffered('JobSchedule_Patch', () => azure.jobSchedule.patch('hourly', { schedule }));
    await whereOffered('JobSchedule_Update', () =>
      azure.jobSchedule.update('hourly', { schedule, jobSpecification: specification }),
    );
    await whereOffered('Job_ListFromJobSchedule', () => azure.job.listFromJobSchedule('hourly'));
    await whereOffered('JobSchedule_Disable', () => azure.jobSchedule.disable('hourly'));
    await whereOffered('JobSchedule_Enable', () => azure.jobSchedule.enable('hourly'));
    await whereOffered('JobSchedule_Terminate', () => azure.jobSchedule.terminate('hourly'));
    await whereOffered('JobSchedule_Delete', () => azure.jobSchedule.deleteMethod('hourly'));
  });
});

describe('tasks', () => {
  it('run, and tell how they ended and what they wrote', async () => {
    await addJob('work');
    await azure.task.add('work', {
      id: 'good',
      commandLine: "/bin/sh -c 'echo out; echo err >&2; echo deep >deep.txt'",
    });
    await azure.task.add('work', { id: 'bad', commandLine: "/bin/sh -c 'exit 7'" });
    await expectError(azure.task.add('work', { id: 'good', commandLine: 'x' }), 409, 'TaskExists');
    await completed('work', 2);
    const good = await other.task.get('work', 'good', { taskGetOptions: { expand: 'stats' } });
    expect(good).toMatchObject({
      state: 'completed',
      executionInfo: { exitCode: 0, result: 'success' },
      nodeInfo: { poolId: POOL },
      stats: { waitTime: expect.stringMatching(/^P/) },
    });
    expect((await other.task.get('work', 'bad')).executionInfo?.failureInfo).toMatchObject({
      category: 'UserError',
      code: 'FailureExitCode',
    });
    expect((await other.task.listSubtasks('work', 'good')).value ?? []).toEqual([]);
    await azure.task.reactivate('work', 'bad');
    await completed('work', 2);
    await expectError(azure.task.reactivate('work', 'good'), 409, 'TaskSucceeded');
    await expectError(azure.task.terminate('work', 'good'), 409, 'TaskCompleted');
    await expectError(azure.task.get('work', 'nothing'), 404, 'TaskNotFound');
  });

  it('can be changed, terminated and deleted', async () => {
    await addJob('hand');
    await azure.task.add('hand', { id: 't', commandLine: 'sleep 60' });
    await azure.task.update('hand', 't', { constraints: { maxTaskRetryCount: 3 } });
    expect((await other.task.get('hand', 't')).constraints?.maxTaskRetryCount).toBe(3);
    await azure.task.terminate('hand', 't');
    await completed('hand', 1);
    expect((await other.task.get('hand', 't')).executionInfo?.failureInfo?.code).toBe('TaskEnded');
    await azure.task.deleteMethod('hand', 't');
    await expectError(other.task.get('hand', 't'), 404, 'TaskNotFound');
  });

  it('run as several instances, of which each but the first is a subtask', async () => {
    const pool = { id: 'gang', vmSize: 'shoal.1c1g', targetDedicatedNodes: 2 };
    await azure.pool.add({ ...pool, taskSlotsPerNode: 1, enableInterNodeCommunication: true });
    await addJob('mpi', { poolInfo: { poolId: 'gang' } });
    const settings = { numberOfInstances: 2, coordinationCommandLine: "/bin/sh -c 'echo ready'" };
    const task = { id: 't', commandLine: 'printenv CCP_NODES', multiInstanceSettings: settings };
    await azure.task.add('mpi', task);
    const alone = { ...task, id: 'u', multiInstanceSettings: { ...settings, numberOfInstances: 151 } };
    await expectError(azure.task.add('mpi', alone), 400, 'InvalidPropertyValue');
    await expectError(azure.task.add('mpi', { ...task, id: 'v', requiredSlots: 2 }), 400, 'TaskCanNeverRun');
    await completed('mpi', 1);
    expect(await other.task.get('mpi', 't')).toMatchObject({
      executionInfo: { exitCode: 0 },
      multiInstanceSettings: settings,
    });
    await until('its subtask has ended', STEP_MS_MAX, async () => {
      const { value = [] } = await other.task.listSubtasks('mpi', 't');
      return value.every(({ state }) => state === 'completed');
    });
    const [subtask, ...more] = (await other.task.listSubtasks('mpi', 't')).value ?? [];
    expect(more).toEqual([]);
    expect(subtask).toMatchObject({ id: 1, exitCode: 0, result: 'success', startTime: expect.any(Date) });
    const { nodeId = '', taskRootDirectory = '' } = subtask?.nodeInfo ?? {};
    const log = await other.file.getFromComputeNode('gang', nodeId, `${taskRootDirectory}/stdout.txt`);
    expect(await textOf(log)).toBe('ready\n');
    await azure.pool.deleteMethod('gang');
  });

  it('are added a hundred at a time, each with its own answer', async () => {
    await addJob('many');
    const tasks = Array.from({ length: 100 }, (_, number) => ({
      id: `t${number}`,
      commandLine: '/bin/true',
    }));
    const added = await azure.task.addCollection('many', tasks);
    expect(added.value?.map(({ status }) => status)).toEqual(tasks.map(() => 'success'));
    const again = await azure.task.addCollection('many', [
      { id: 't0', commandLine: '/bin/true' },
      { id: 'not/valid', commandLine: '/bin/true' },
      { id: 'new', commandLine: '/bin/true' },
    ]);
    const answers = Object.fromEntries((again.value ?? []).map((one) => [one.taskId, one]));
    expect(answers.t0).toMatchObject({ status: 'clienterror', error: { code: 'TaskExists' } });
    expect(answers['not/valid']).toMatchObject({
      status: 'clienterror',
      error: { code: 'InvalidPropertyValue' },
    });
    expect(answers.new).toMatchObject({ status: 'success' });
    await expectError(azure.task.addCollection('nothing', tasks), 404, 'JobNotFound');
  });

  it('are listed by filter, selection and page', async () => {
    await completed('many', 101);
    const options = {
      filter: "startswith(id, 't1') and executionInfo/exitCode eq 0",
      select: 'id,executionInfo/exitCode',
      maxResults: 4,
    };
    const found: BatchServiceModels.CloudTask[] = [];
    let page = await other.task.list('many', { taskListOptions: options });
    for (;;) {
      expect(page.length).toBeLessThanOrEqual(4);
      found.push(...page);
      if (page.odatanextLink === undefined) break;
      page = await other.task.listNext(page.odatanextLink);
    }
    expect(found).toHaveLength(11);
    expect(found.every((task) => task.executionInfo?.exitCode === 0 && task.commandLine === undefined)).toBe(
      true,
    );
    await expectError(
      azure.task.list('many', { taskListOptions: { filter: 'commandLine eq 1' } }),
      400,
      'InvalidQueryParameterValue',
    );
  });
});

describe('files', () => {
  // The client reads no body of an answer that it would have streamed: errors of files have a status and no code.
  it('of a task are listed, read whole and in part, and deleted', async () => {
    const listed = await other.file.listFromTask('work', 'good', { recursive: true });
    expect(listed.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['stdout.txt', 'stderr.txt', 'wd/deep.txt']),
    );
    expect(await textOf(await other.file.getFromTask('work', 'good', 'stdout.txt'))).toBe('out\n');
    const part = await other.file.getFromTask('work', 'good', 'stdout.txt', {
      fileGetFromTaskOptions: { ocpRange: 'bytes=1-2' },
    });
    expect(part._response.status).toBe(200);
    expect(await textOf(part)).toBe('ut');
    const properties = await other.file.getPropertiesFromTask('work', 'good', 'wd/deep.txt');
    expect(properties).toMatchObject({ contentLength: 5, ocpBatchFileIsdirectory: 'False' });
    await expect(
      other.file.getFromTask('work', 'good', 'stdout.txt', {
        fileGetFromTaskOptions: { ocpRange: 'bytes=900-' },
      }),
    ).rejects.toMatchObject({ statusCode: 416 });
    await azure.file.deleteFromTask('work', 'good', 'wd/deep.txt');
    await expect(other.file.getFromTask('work', 'good', 'wd/deep.txt')).rejects.toMatchObject({
      statusCode: 404,
    });
    await expect(other.file.getFromTask('work', 'good', '../../secret')).rejects.toMatchObject({
      statusCode: 404,
    });
  });

  it('of a node too', async () => {
    const { nodeInfo } = await other.task.get('work', 'good');
    const node = nodeInfo?.nodeId ?? '';
    const path = `${nodeInfo?.taskRootDirectory}/stdout.txt`;
    const listed = await other.file.listFromComputeNode(POOL, node, { recursive: true });
    expect(listed.map(({ name }) => name)).toContain(path);
    expect(await textOf(await other.file.getFromComputeNode(POOL, node, path))).toBe('out\n');
    expect((await other.file.getPropertiesFromComputeNode(POOL, node, path)).contentLength).toBe(4);
    await whereOffered('File_DeleteFromComputeNode', () =>
      azure.file.deleteFromComputeNode(POOL, node, path),
    );
  });
});

describe('a node', () => {
  it('tells its state, its work and its address', async () => {
    const listed = await azure.computeNode.list(POOL, {
      computeNodeListOptions: { select: 'id,state,ipAddress' },
    });
    expect(listed.map(({ ipAddress }) => ipAddress)).toEqual(['127.0.0.1', '127.0.0.1']);
    const node = await other.computeNode.get(POOL, nodeName());
    expect(node).toMatchObject({
      affinityId: `TVM:${nodeName()}`,
      schedulingState: 'enabled',
      isDedicated: true,
    });
    await expectError(azure.computeNode.get(POOL, 'nothing'), 404, 'NodeNotFound');
    const login = await azure.computeNode.getRemoteLoginSettings(POOL, nodeName());
    expect(login).toMatchObject({ remoteLoginIPAddress: '127.0.0.1', remoteLoginPort: 22 });
    expect([...(await azure.computeNodeExtension.list(POOL, nodeName()))]).toEqual([]);
    await expectError(azure.computeNodeExtension.get(POOL, nodeName(), 'x'), 404, 'NodeExtensionNotFound');
  });

  it('takes no tasks while its scheduling is disabled', async () => {
    await azure.computeNode.disableScheduling(POOL, nodeName(), {
      nodeDisableSchedulingOption: 'taskcompletion',
    });
    expect((await other.computeNode.get(POOL, nodeName())).schedulingState).toBe('disabled');
    await azure.computeNode.enableScheduling(POOL, nodeName());
    expect((await other.computeNode.get(POOL, nodeName())).schedulingState).toBe('enabled');
  });

  it('sends what its agent has logged to a container', async () => {
    await mesh.alive().client.blobs.createContainer('agent-logs');
    const upload = { containerUrl: 'mesh://agent-logs', startTime: new Date(0) };
    const sent = await azure.computeNode.uploadBatchServiceLogs(POOL, nodeName(), upload);
    const names: string[] = [];
    for await (const { name } of mesh.alive().client.blobs.list('agent-logs')) names.push(name);
    expect(names).toContain(`${sent.virtualDirectoryName}/agent.log`);
    expect(names).toHaveLength(sent.numberOfFilesUploaded);
    await expectError(azure.computeNode.uploadBatchServiceLogs(POOL, 'nothing', upload), 404, 'NodeNotFound');
  });

  it('is nobody else to log in to', async () => {
    const user = { name: 'me', password: 'secret' };
    for (const asked of [
      () => azure.computeNode.addUser(POOL, nodeName(), user),
      () => azure.computeNode.updateUser(POOL, nodeName(), 'me', { password: 'other' }),
      () => azure.computeNode.deleteUser(POOL, nodeName(), 'me'),
    ])
      await expectError(asked(), 400, 'OperationNotSupported');
    await expect(azure.computeNode.getRemoteDesktop(POOL, nodeName())).rejects.toMatchObject({
      statusCode: 400,
    });
  });
});

describe('while the coordinator dies', () => {
  it('the client waits, sees no error of the server, and loses no task', async () => {
    await addJob('storm');
    const leader = await mesh.leader(`pool:${POOL}`);
    const survivors = mesh.agents.filter((agent) => agent !== leader);
    const clients = await Promise.all(survivors.map(azureClient));
    const recording = new StatusRecorder();
    recording.start();
    const ids: string[] = [];
    const adding = clients.map(async (client, number) => {
      for (let round = 0; round < 10; round += 1) {
        const batch = Array.from({ length: 20 }, (_, index) => `c${number}-${round}-${index}`);
        const { value } = await client.task.addCollection(
          'storm',
          batch.map((id) => ({ id, commandLine: '/bin/true' })),
        );
        for (const { taskId, status } of value ?? []) {
          expect(status).toBe('success');
          ids.push(taskId);
        }
        await client.job.get('storm');
        await client.task.list('storm', { taskListOptions: { maxResults: 10 } });
        if (number === 0 && round === 1) await mesh.kill(leader);
      }
    });
    await Promise.all(adding);
    recording.stop();
    expect(recording.statuses.filter((status) => status >= 500)).toEqual([]);
    expect(ids).toHaveLength(400);
    await mesh.startAgent(leader);
    const [client] = clients;
    if (client === undefined) throw new Error('unreachable');
    await until('all that was accepted is done', STEP_MS_MAX, async () => {
      const { taskCounts } = await client.job.getTaskCounts('storm');
      return taskCounts.succeeded === 400;
    });
  });
});

describe('at the end', () => {
  it('a node leaves, reboots or is made anew', async () => {
    [azure] = await Promise.all([azureClient(mesh.alive())]);
    await whereOffered('ComputeNode_Reboot', () => azure.computeNode.reboot(POOL, nodeName()));
    await whereOffered('ComputeNode_Reimage', () => azure.computeNode.reimage(POOL, nodes[1] ?? ''));
    await until(
      'the pool is steady',
      STEP_MS_MAX,
      async () => (await azure.pool.get(POOL)).allocationState === 'steady',
    );
    await azure.pool.removeNodes(POOL, { nodeList: [nodeName()], nodeDeallocationOption: 'requeue' });
    await until('the node is gone', STEP_MS_MAX, () => gone(azure.computeNode.get(POOL, nodeName())));
  });

  it('every operation of the version was asked for', () => {
    expect(OPERATIONS).toHaveLength(78);
    expect(OPERATIONS.map(([name]) => name).filter((name) => !recorder.seen.has(name))).toEqual([]);
  });
});

async function gone(asked: Promise<unknown>): Promise<boolean> {
  try {
    await asked;
    return false;
  } catch (error) {
    if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return true;
    throw error;
  }
}
