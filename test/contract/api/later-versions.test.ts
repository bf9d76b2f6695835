/** Versions of Azure Batch's API after the reference: what is known of them, and what becomes of the rest. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Answer, ApiFixture } from './api-fixture.ts';

const LATER = '2025-06-01';
let api: ApiFixture;
beforeEach(async () => {
  api = new ApiFixture();
});

describe('members of a body that are not known here', () => {
  const job = {
    id: 'j',
    poolInfo: { poolId: 'default', novel: true },
    constraints: { maxWallClockTime: 'PT1H', novel: { deep: [1] } },
    jobManagerTask: {
      id: 'm',
      commandLine: 'x',
      resourceFiles: [{ autoStorageContainerName: 'inputs', novel: 1 }],
    },
    novel: 'thing',
  };
  const known = {
    poolInfo: { poolId: 'default' },
    constraints: { maxWallClockTime: 'PT1H' },
    jobManagerTask: { id: 'm', commandLine: 'x' },
  };

  test('are left out of a later version, however deep they lie', async () => {
    expect((await api.ask('POST', '/jobs', { json: job, version: LATER })).status).toBe(201);
    const { body } = await api.ask('GET', '/jobs/j', { version: LATER });
    expect(body).toMatchObject(known);
    expect(JSON.stringify(body)).not.toContain('novel');
    const patched = await api.ask('PATCH', '/jobs/j', { json: { priority: 7, novel: 1 }, version: LATER });
    expect(patched.status).toBe(200);
    expect((await api.ask('GET', '/jobs/j')).body.priority).toBe(7);
  });

  test('are left out of the tasks of a collection too', async () => {
    await api.ask('POST', '/jobs', { json: { id: 'j', poolInfo: { poolId: 'default' } } });
    const task = { id: 't', commandLine: 'x', novel: 1 };
    const ask = (version: string): Promise<Answer> =>
      api.ask('POST', '/jobs/j/addtaskcollection', { json: { value: [task], novel: 1 }, version });
    expect((await ask(LATER)).body.value).toMatchObject([{ status: 'success', taskId: 't' }]);
    expect((await ask('2022-10-01.16.0')).body.code).toBe('InvalidRequestBody');
  });

  test.each(['2022-10-01.16.0', '2020-03-01.11.0'])('are refused by name of %s', async (version) => {
    const answer = await api.ask('POST', '/jobs', { json: job, version });
    expect(answer).toMatchObject({ status: 400, body: { code: 'InvalidRequestBody' } });
    expect(answer.body.values[0].value).toMatch(/novel$/);
  });

  test('are refused all the same where the rest would mean something else without them', async () => {
    await api.ask('POST', '/jobs', { json: { id: 'j', poolInfo: { poolId: 'default' } } });
    const mounts = { containerHostBatchBindMounts: [{ source: 'Shared', isReadOnly: true }] };
    const task = { id: 't', commandLine: 'x', containerSettings: { imageName: 'busybox', ...mounts } };
    const answer = await api.ask('POST', '/jobs/j/tasks', { json: task, version: LATER });
    expect(answer).toMatchObject({ status: 400, body: { code: 'InvalidRequestBody' } });
    expect(answer.body.values[0].value).toBe('containerSettings/containerHostBatchBindMounts');
  });

  test('and values that are wrong are refused of every version', async () => {
    const json = { id: 'j', poolInfo: { poolId: 'default' }, onAllTasksComplete: 'sing', novel: 1 };
    const answer = await api.ask('POST', '/jobs', { json, version: LATER });
    expect(answer).toMatchObject({ status: 400, body: { code: 'InvalidPropertyValue' } });
  });
});

describe('a pool', () => {
  const empty = { id: 'p', vmSize: 'shoal.1c1g', slotsFromCores: true };
  const change = {
    vmSize: 'shoal.2c4g',
    taskSlotsPerNode: 4,
    taskSchedulingPolicy: { nodeFillType: 'Pack', jobDefaultOrder: 'creationtime' },
    enableInterNodeCommunication: true,
    virtualMachineConfiguration: { nodeAgentSKUId: 'batch.node.debian 12' },
  };
  const patch = (json: object, version = LATER): Promise<Answer> =>
    api.ask('PATCH', '/pools/p', { json, version });

  test('that is empty can be made over', async () => {
    await api.ask('POST', '/pools', { json: empty });
    expect((await patch(change)).status).toBe(200);
    const { body } = await api.ask('GET', '/pools/p');
    expect(body).toMatchObject({
      vmSize: 'shoal.2c4g',
      taskSlotsPerNode: 4,
      taskSchedulingPolicy: { nodeFillType: 'Pack' },
      enableInterNodeCommunication: true,
      virtualMachineConfiguration: change.virtualMachineConfiguration,
    });
    expect(body).not.toHaveProperty('slotsFromCores');
    expect((await patch({ vmSize: 'standard_unheard_of' })).body.code).toBe('InvalidPropertyValue');
    expect((await patch({ taskSlotsPerNode: 0 })).body.code).toBe('InvalidPropertyValue');
  });

  test.each(Object.entries(change))(
    'that has nodes, or is to get some, keeps its %s',
    async (name, value) => {
      await api.ask('POST', '/pools', { json: { ...empty, targetDedicatedNodes: 1 } });
      const refused = { status: 409, body: { code: 'OperationInvalidForCurrentState' } };
      expect(await patch({ [name]: value })).toMatchObject(refused);
      const node = api.control.addNode('p');
      expect(await patch({ [name]: value })).toMatchObject(refused);
      await api.ask('POST', '/pools/p/removenodes', { json: { nodeList: [node] } });
      // It leaves, but it is there.
      const answer = await patch({ [name]: value });
      expect(answer).toMatchObject(refused);
      expect(answer.body.message.value).toContain(`${name} changes only while it is empty`);
    },
  );

  test('with a node on every machine is never empty', async () => {
    const answer = await api.ask('PATCH', '/pools/default', { json: { vmSize: 'machine' }, version: LATER });
    expect(answer.status).toBe(409);
  });

  test('may change at any time what no node was made by', async () => {
    await api.ask('POST', '/pools', { json: { ...empty, targetDedicatedNodes: 1 } });
    api.control.addNode('p');
    const free = {
      displayName: 'Pool',
      networkConfiguration: { subnetId: 's' },
      targetNodeCommunicationMode: 'simplified',
      metadata: [{ name: 'a', value: 'b' }],
    };
    expect(
      (await patch({ ...free, resourceTags: { a: 'b' }, upgradePolicy: { mode: 'manual' } })).status,
    ).toBe(200);
    expect((await api.ask('GET', '/pools/p')).body).toMatchObject(free);
  });

  test('gets neither users nor mounts by a patch', async () => {
    await api.ask('POST', '/pools', { json: empty });
    for (const name of ['userAccounts', 'mountConfiguration']) {
      expect((await patch({ [name]: [{ a: 1 }] })).body.code).toBe('UnsupportedProperty');
      expect((await patch({ [name]: [] })).status).toBe(200);
    }
  });

  test('is not made over by the reference version, which knows no such patch', async () => {
    await api.ask('POST', '/pools', { json: empty });
    expect((await patch({ vmSize: 'machine' }, '2022-10-01.16.0')).body.code).toBe('InvalidRequestBody');
    expect((await patch({ targetNodeCommunicationMode: 'classic' }, '2022-10-01.16.0')).status).toBe(200);
  });
});
