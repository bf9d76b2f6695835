/** Multi-instance tasks and their subtasks, as clients see them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

const SETTINGS = {
  numberOfInstances: 2,
  coordinationCommandLine: '/bin/coordinate',
  commonResourceFiles: [{ httpUrl: 'mesh://inputs/data', filePath: 'data' }],
};

let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});

async function poolOf(nodes: number, extra: object): Promise<readonly string[]> {
  const json = { id: 'p', vmSize: 'shoal.1c1g', targetDedicatedNodes: nodes, taskSlotsPerNode: 1, ...extra };
  expect((await api.ask('POST', '/pools', { json })).status).toBe(201);
  const names: string[] = [];
  for (let node = 0; node < nodes; node += 1) names.push(api.control.addNode('p', 1));
  await api.withJob();
  return names;
}

function add(settings: object, extra: object = {}) {
  const json = { id: 'mpi', commandLine: '/bin/apply', multiInstanceSettings: settings, ...extra };
  return api.ask('POST', '/jobs/j/tasks', { json });
}

describe('a multi-instance task', () => {
  test('is taken and shown as it was given, with its default', async () => {
    await poolOf(1, { enableInterNodeCommunication: true });
    const { numberOfInstances: _, ...settings } = SETTINGS;
    expect((await add(settings)).status).toBe(201);
    const { body } = await api.ask('GET', '/jobs/j/tasks/mpi');
    expect(body.multiInstanceSettings).toEqual({ ...settings, numberOfInstances: 1 });
  });

  test.each([
    [{ numberOfInstances: 0 }, {}, 'InvalidPropertyValue', 'multiInstanceSettings/numberOfInstances'],
    [{ numberOfInstances: 151 }, {}, 'InvalidPropertyValue', 'multiInstanceSettings/numberOfInstances'],
    [
      { coordinationCommandLine: undefined },
      {},
      'MissingRequiredProperty',
      'multiInstanceSettings/coordinationCommandLine',
    ],
    [
      { coordinationCommandLine: ' ' },
      {},
      'InvalidPropertyValue',
      'multiInstanceSettings/coordinationCommandLine',
    ],
    [
      { commonResourceFiles: [{ httpUrl: 'http://x/y', filePath: '../y' }] },
      {},
      'InvalidPropertyValue',
      'multiInstanceSettings/commonResourceFiles/0/filePath',
    ],
    [{}, { requiredSlots: 2 }, 'TaskCanNeverRun', 'requiredSlots'],
  ])('with %j and %j is refused: %s %s', async (change, extra, code, property) => {
    await poolOf(1, { enableInterNodeCommunication: true });
    const { status, body } = await add({ ...SETTINGS, ...change }, extra);
    expect([status, body.code]).toEqual([400, code]);
    expect(body.values).toContainEqual({ key: 'PropertyName', value: property });
  });

  test.each([{}, { enableInterNodeCommunication: true, taskSlotsPerNode: 2 }])(
    'is refused on a pool with %j, where it could never run',
    async (pool) => {
      await poolOf(1, pool);
      expect((await add(SETTINGS)).body.code).toBe('TaskCanNeverRun');
    },
  );

  test('lists its subtasks as Azure does, without the one beside the primary', async () => {
    const [first = '', second = ''] = await poolOf(2, { enableInterNodeCommunication: true });
    await add(SETTINGS);
    const path = '/jobs/j/tasks/mpi/subtasksinfo';
    expect((await api.ask('GET', path)).body.value).toEqual([]);
    await api.control.assign('j', 'mpi', first, [second]);
    expect((await api.ask('GET', '/jobs/j/tasks/mpi')).body.state).toBe('preparing');
    const { body } = await api.ask('GET', path);
    expect(body['odata.metadata']).toMatch(/#subtasks$/);
    expect(body.value).toEqual([
      {
        id: 1,
        state: 'preparing',
        stateTransitionTime: expect.stringMatching(/Z$/),
        nodeInfo: {
          affinityId: `TVM:${second}`,
          nodeUrl: expect.stringContaining(second),
          poolId: 'p',
          nodeId: second,
          taskRootDirectory: 'workitems/j/job-1/mpi',
          taskRootDirectoryUrl: expect.stringContaining(second),
        },
      },
    ]);
    const selected = await api.ask('GET', `${path}?$select=id,state`);
    expect(selected.body.value).toEqual([{ id: 1, state: 'preparing' }]);
  });
});
