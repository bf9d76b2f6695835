import { beforeEach, describe, expect, test } from 'vitest';
import { coreTimeMs } from '../../../src/api/usage.ts';
import { machineId } from '../../../src/model/ids.ts';
import { hostOf } from '../../../src/model/machine.ts';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
let node: string;
beforeEach(async () => {
  api = new ApiFixture();
  node = await api.withNode();
});

describe('statistics', () => {
  test('of a job and its tasks tell what the mesh counts', async () => {
    await api.withJob();
    await api.withTask('good');
    await api.withTask('bad');
    await api.withTask('waits');
    for (const [task, exitCode] of [
      ['good', 0],
      ['bad', 7],
    ] as const) {
      const epoch = await api.control.start('j', task, node);
      await api.control.finish('j', task, { node, epoch, exitCode });
    }
    const job = (await api.ask('GET', '/jobs/j?$expand=stats')).body;
    expect(job.stats).toMatchObject({
      url: job.url,
      startTime: job.executionInfo.startTime,
      numSucceededTasks: '1',
      numFailedTasks: '1',
    });
    expect((await api.ask('GET', '/jobs?$expand=stats')).body.value[0].stats.numFailedTasks).toBe('1');
    const tasks = (await api.ask('GET', '/jobs/j/tasks?$expand=stats')).body.value;
    expect(tasks[0].stats).toMatchObject({
      wallClockTime: expect.stringMatching(/^PT?/),
      waitTime: expect.stringMatching(/^PT?/),
    });
    expect(tasks[2]).not.toHaveProperty('stats');
    expect((await api.ask('GET', '/jobs/j/tasks/good?$expand=stats&$select=id,stats')).body).toMatchObject({
      id: 'good',
      stats: { lastUpdateTime: tasks[0].executionInfo.endTime },
    });
    expect((await api.ask('GET', '/jobs/j')).body).not.toHaveProperty('stats');
    expect((await api.ask('GET', '/lifetimejobstats')).body).toMatchObject({
      numSucceededTasks: '1',
      numFailedTasks: '1',
    });
  });

  test('of pools count the core time of their nodes', async () => {
    const one = (await api.ask('GET', '/pools/p?$expand=stats')).body.stats;
    expect(one.usageStats.dedicatedCoreTime).toMatch(/^P/);
    const all = (await api.ask('GET', '/pools?$expand=stats')).body.value;
    expect(all.every((pool: { stats?: object }) => pool.stats !== undefined)).toBe(true);
    expect((await api.ask('GET', '/lifetimepoolstats')).body.usageStats.dedicatedCoreTime).toMatch(/^P/);
    const since = '/poolusagemetrics?starttime=2026-11-01T00:00:00Z';
    expect((await api.ask('GET', since)).status).toBe(200);
    expect((await api.ask('GET', `${since}&endtime=2026-10-01T00:00:00Z`)).body).toMatchObject({
      code: 'InvalidQueryParameterValue',
    });
    expect((await api.ask('GET', '/poolusagemetrics?starttime=yesterday')).body).toMatchObject({
      code: 'InvalidQueryParameterValue',
    });
  });

  test('count cores for the part of the span in which the node was there', () => {
    const allotment = {
      node: 'n',
      pool: 'p',
      machine: machineId('peer', '00000001'),
      cores: 4,
      memoryBytes: 1,
      slots: 1,
      dedicated: true,
      labels: [],
      allottedAtMs: 1_000,
    };
    expect(coreTimeMs([allotment], { startMs: 0, endMs: 3_000 })).toBe(8_000);
    expect(coreTimeMs([allotment], { startMs: 2_000, endMs: 3_000 })).toBe(4_000);
    expect(coreTimeMs([allotment], { startMs: 0, endMs: 500 })).toBe(0);
  });
});

describe('what is installed on rented machines', () => {
  test.each([['/pools/p/nodes/NODE/extensions', 'extensions']])('is an empty list: %s', async (path, set) => {
    expect((await api.ask('GET', path.replace('NODE', node))).body).toEqual({
      'odata.metadata': `http://localhost:8000/$metadata#${set}`,
      value: [],
    });
  });

  test.each([
    ['/pools/p/nodes/NODE/extensions/x', 'NodeExtensionNotFound'],
    ['/pools/p/nodes/other/extensions', 'NodeNotFound'],
    ['/pools/other/nodes/NODE/extensions', 'PoolNotFound'],
  ])('is not found: %s', async (path, code) => {
    const { status, body } = await api.ask('GET', path.replace('NODE', node));
    expect([status, body.code]).toEqual([404, code]);
  });
});

describe('the machine of a node', () => {
  test('that has told no address cannot be logged in to', async () => {
    const { status, body } = await api.ask('GET', `/pools/p/nodes/${node}/remoteloginsettings`);
    expect([status, body.code]).toEqual([409, 'OperationNotValidOnNode']);
    expect((await api.ask('GET', `/pools/p/nodes/${node}`)).body).not.toHaveProperty('ipAddress');
  });

  test('is told by the address that leads off it, where there is one', () => {
    expect(hostOf(['/ip4/127.0.0.1/tcp/4001', '/ip4/10.1.2.3/tcp/4001'])?.address).toBe('10.1.2.3');
    expect(hostOf(['/ip6/::1/tcp/4001', '/ip6/fd00::1/tcp/4001'])?.address).toBe('fd00::1');
    expect(hostOf(['/ip4/127.0.0.1/tcp/4001'])?.address).toBe('127.0.0.1');
    expect(hostOf([])).toBeUndefined();
  });
});

test('what a mesh refuses for good says why', async () => {
  for (const [method, path] of [
    ['POST', `/pools/p/nodes/${node}/users`],
    ['GET', `/pools/p/nodes/${node}/rdp`],
    ['GET', '/certificates'],
  ] as const) {
    const { status, body } = await api.ask(method, path);
    expect([status, body.code]).toEqual([400, 'OperationNotSupported']);
    expect(body.message.value).toMatch(/is not supported: /);
  }
});

test('a job may be ended by force, as later versions write it', async () => {
  await api.withJob();
  const version = '2025-06-01';
  expect((await api.ask('POST', '/jobs/j/terminate?force=true', { version })).status).toBe(202);
  expect((await api.ask('DELETE', '/jobs/j?force=maybe', { version })).status).toBe(400);
  expect((await api.ask('DELETE', '/jobs/j?force=True', { version })).status).toBe(202);
});

test('a job schedule may be ended by force too', async () => {
  const version = '2025-06-01';
  const json = {
    id: 's',
    schedule: { recurrenceInterval: 'P1D', doNotRunUntil: '2030-01-01T00:00:00Z' },
    jobSpecification: { poolInfo: { poolId: 'default' } },
  };
  expect((await api.ask('POST', '/jobschedules', { json })).status).toBe(201);
  expect((await api.ask('DELETE', '/jobschedules/s?force=maybe', { version })).status).toBe(400);
  expect((await api.ask('POST', '/jobschedules/s/terminate?force=true', { version })).status).toBe(202);
  expect((await api.ask('DELETE', '/jobschedules/s?force=true', { version })).status).toBe(202);
});

test('a read of a later version may ask for what is not known here; a change may not, nor a read of the reference', async () => {
  const refused = { status: 400, body: { code: 'UnsupportedQueryParameter' } };
  expect((await api.ask('GET', '/pools?novel=1', { version: '2025-06-01' })).status).toBe(200);
  expect(await api.ask('GET', '/pools?novel=1')).toMatchObject(refused);
  expect(await api.ask('GET', '/pools?novel=1', { version: '2020-03-01.11.0' })).toMatchObject(refused);
  expect(await api.ask('DELETE', '/pools/default?novel=1', { version: '2025-06-01' })).toMatchObject(refused);
});
