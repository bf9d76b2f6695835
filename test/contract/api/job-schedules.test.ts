import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});

const schedule = {
  id: 'Nightly',
  displayName: 'every night',
  schedule: { recurrenceInterval: 'P1D', startWindow: 'PT1H', doNotRunUntil: '2030-01-01T00:00:00Z' },
  jobSpecification: { priority: 5, onAllTasksComplete: 'terminateJob', poolInfo: { poolId: 'default' } },
  metadata: [{ name: 'a', value: 'b' }],
};

describe('a job schedule', () => {
  test('is added, told, found under any case, and listed', async () => {
    const added = await api.ask('POST', '/jobschedules', { json: schedule });
    expect([added.status, added.text]).toEqual([201, '']);
    expect(added.headers.location).toBe('http://localhost:8000/jobschedules/Nightly');
    const got = await api.ask('GET', '/jobschedules/nightly');
    expect(got.body).toMatchObject({
      'odata.metadata': 'http://localhost:8000/$metadata#jobschedules/@Element',
      id: 'Nightly',
      url: 'http://localhost:8000/jobschedules/Nightly',
      eTag: got.headers.etag,
      state: 'active',
      schedule: {
        recurrenceInterval: 'P1D',
        startWindow: 'PT1H',
        doNotRunUntil: '2030-01-01T00:00:00.0000000Z',
      },
      jobSpecification: { priority: 5, onAllTasksComplete: 'terminatejob' },
      executionInfo: { nextRunTime: '2030-01-01T00:00:00.0000000Z' },
    });
    expect((await api.ask('HEAD', '/jobschedules/NIGHTLY')).status).toBe(200);
    expect((await api.ask('HEAD', '/jobschedules/weekly')).status).toBe(404);
    const filter = encodeURIComponent(
      "state eq 'active' and schedule/doNotRunUntil gt DateTime'2029-01-01T00:00:00Z'",
    );
    const list = await api.ask('GET', `/jobschedules?$filter=${filter}&$select=id,state`);
    expect(list.body.value).toEqual([{ id: 'Nightly', state: 'active' }]);
  });

  test('keeps what a PATCH does not name, and loses what a PUT does not', async () => {
    await api.ask('POST', '/jobschedules', { json: schedule });
    const { headers } = await api.ask('GET', '/jobschedules/nightly');
    const ifMatch = { 'if-match': String(headers.etag) };
    const metadata = [{ name: 'c', value: 'd' }];
    expect(
      (await api.ask('PATCH', '/jobschedules/nightly', { json: { metadata }, headers: ifMatch })).status,
    ).toBe(200);
    expect(
      (await api.ask('PATCH', '/jobschedules/nightly', { json: { metadata }, headers: ifMatch })).body.code,
    ).toBe('ConditionNotMet');
    expect((await api.ask('GET', '/jobschedules/nightly')).body).toMatchObject({
      metadata,
      schedule: { recurrenceInterval: 'P1D' },
    });
    const { jobSpecification } = schedule;
    expect((await api.ask('PUT', '/jobschedules/nightly', { json: { jobSpecification } })).status).toBe(200);
    const after = (await api.ask('GET', '/jobschedules/nightly')).body;
    expect(after.metadata).toBeUndefined();
    expect(after.schedule).toEqual({});
    expect(after.displayName).toBe('every night');
  });

  test('goes through its states with the statuses of the service', async () => {
    await api.ask('POST', '/jobschedules', { json: schedule });
    const statuses: number[] = [];
    for (const what of ['disable', 'enable', 'terminate'])
      statuses.push((await api.ask('POST', `/jobschedules/nightly/${what}`)).status);
    expect(statuses).toEqual([204, 204, 202]);
    expect((await api.ask('GET', '/jobschedules/nightly')).body).toMatchObject({
      state: 'terminating',
      previousState: 'active',
    });
    expect((await api.ask('POST', '/jobschedules/nightly/enable')).body.code).toBe(
      'JobScheduleBeingTerminated',
    );
    expect((await api.ask('DELETE', '/jobschedules/nightly')).status).toBe(202);
  });

  test.each([
    ['a recurrence of millennia', { recurrenceInterval: 'P10000000D' }],
    ['a recurrence without end', { recurrenceInterval: 'P10675199DT2H48M5.4775807S' }],
    [
      'a first moment in the last year',
      { doNotRunUntil: '9999-12-31T23:59:59Z', recurrenceInterval: 'PT1M' },
    ],
    [
      'a first moment before there was one',
      { doNotRunUntil: '0001-01-01T00:00:00Z', recurrenceInterval: 'PT1M' },
    ],
    ['a window of millennia', { startWindow: 'P10000000D', recurrenceInterval: 'P9000000D' }],
  ])('may have %s, and is told in a form that any client reads', async (_, far) => {
    expect((await api.ask('POST', '/jobschedules', { json: { ...schedule, schedule: far } })).status).toBe(
      201,
    );
    const listed = await api.ask('GET', '/jobschedules');
    expect(listed.status).toBe(200);
    const { nextRunTime } = listed.body.value[0].executionInfo;
    if (nextRunTime !== undefined) expect(nextRunTime).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test.each([
    ...['PT1S', 'PT59.999S', 'PT0S', '-PT5M', 'P1Y', 'PT', '', 'P99999999999D', 'PT1e9S'].map((text) => [
      'recurrenceInterval',
      text,
    ]),
    ...['2026-02-30', '99999-01-01T00:00:00Z', '2026-01-01T25:00:00Z', 'now+1234567'].map((text) => [
      'doNotRunUntil',
      text,
    ]),
  ])('whose %s is %j is refused by that property', async (name = '', text = '') => {
    const answer = await api.ask('POST', '/jobschedules', {
      json: { ...schedule, schedule: { [name]: text } },
    });
    expect(answer).toMatchObject({ status: 400, body: { code: 'InvalidPropertyValue' } });
    expect(answer.body.values).toContainEqual({ key: 'PropertyName', value: `schedule/${name}` });
  });

  test.each([
    [{ ...schedule, id: 'a b' }, 'InvalidPropertyValue', 'id'],
    [{ ...schedule, jobSpecification: {} }, 'MissingRequiredProperty', 'jobSpecification/poolInfo'],
    [
      { ...schedule, jobSpecification: { poolInfo: {} } },
      'MissingRequiredProperty',
      'jobSpecification/poolInfo/poolId',
    ],
    [
      { ...schedule, jobSpecification: { poolInfo: { poolId: 'p' }, priority: 5_000 } },
      'InvalidPropertyValue',
      'jobSpecification/priority',
    ],
    [{ ...schedule, surprise: 1 }, 'InvalidRequestBody', 'surprise'],
  ])('that cannot be is refused by its property', async (body, code, property) => {
    const answer = await api.ask('POST', '/jobschedules', { json: body });
    expect([answer.status, answer.body.code]).toEqual([400, code]);
    expect(answer.body.values).toContainEqual({ key: 'PropertyName', value: property });
  });
});

describe('a pool made for a job', () => {
  const autoPoolSpecification = {
    autoPoolIdPrefix: 'render',
    poolLifetimeOption: 'job',
    pool: { vmSize: 'machine', targetDedicatedNodes: 1 },
  };

  test('is there with the job, whose execution names it', async () => {
    const json = { id: 'own', poolInfo: { autoPoolSpecification } };
    expect((await api.ask('POST', '/jobs', { json })).status).toBe(201);
    const { body } = await api.ask('GET', '/jobs/own');
    expect(body.poolInfo).toEqual({ autoPoolSpecification });
    expect(body.executionInfo.poolId).toMatch(/^render_[0-9a-f]{32}$/);
    expect((await api.ask('GET', `/pools/${body.executionInfo.poolId}`)).body).toMatchObject({
      vmSize: 'machine',
      targetDedicatedNodes: 1,
    });
  });

  test('is one pool, however often the request is sent', async () => {
    const json = { id: 'own', poolInfo: { autoPoolSpecification } };
    const headers = { 'shoal-request-id': 'the-same-request' };
    expect((await api.ask('POST', '/jobs', { json, headers })).status).toBe(201);
    expect((await api.ask('POST', '/jobs', { json, headers })).status).toBe(201);
    expect((await api.ask('GET', '/pools')).body.value).toHaveLength(2);
  });

  test('and a pool that is there exclude each other', async () => {
    for (const poolInfo of [{ autoPoolSpecification, poolId: 'default' }, {}])
      expect((await api.ask('POST', '/jobs', { json: { id: 'own', poolInfo } })).status).toBe(400);
  });
});
