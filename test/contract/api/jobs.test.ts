import { beforeEach, describe, expect, test } from 'vitest';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
let node: string;
beforeEach(async () => {
  api = new ApiFixture();
  node = await api.withNode();
});

const job = {
  id: 'Job-1',
  poolInfo: { poolId: 'p' },
  onAllTasksComplete: 'noAction',
  metadata: [{ name: 'a', value: 'b' }],
};

describe('a job', () => {
  test('is added, told, changed and found under any case', async () => {
    const added = await api.ask('POST', '/jobs', { json: job });
    expect([added.status, added.text]).toEqual([201, '']);
    expect(added.headers.location).toBe('http://localhost:8000/jobs/Job-1');
    const got = await api.ask('GET', '/jobs/job-1');
    expect(got.body).toMatchObject({
      'odata.metadata': 'http://localhost:8000/$metadata#jobs/@Element',
      id: 'Job-1',
      state: 'active',
      priority: 0,
      onAllTasksComplete: 'noaction',
      poolInfo: { poolId: 'p' },
      metadata: job.metadata,
      eTag: got.headers.etag,
    });
    const patched = await api.ask('PATCH', '/jobs/Job-1', {
      json: { priority: 7 },
      headers: { 'if-match': String(got.headers.etag) },
    });
    expect(patched.status).toBe(200);
    expect((await api.ask('GET', '/jobs/Job-1')).body).toMatchObject({ priority: 7, metadata: job.metadata });
    const stale = await api.ask('PATCH', '/jobs/Job-1', {
      json: { priority: 8 },
      headers: { 'if-match': String(got.headers.etag) },
    });
    expect([stale.status, stale.body.code]).toEqual([412, 'ConditionNotMet']);
    expect((await api.ask('PUT', '/jobs/Job-1', { json: { poolInfo: { poolId: 'p' } } })).status).toBe(200);
    expect((await api.ask('GET', '/jobs/Job-1')).body.priority).toBe(0);
    const known = await api.ask('GET', '/jobs/Job-1');
    expect(
      (await api.ask('GET', '/jobs/Job-1', { headers: { 'if-none-match': String(known.headers.etag) } }))
        .status,
    ).toBe(304);
  });

  test.each([
    [{ poolInfo: {} }, 'MissingRequiredProperty'],
    [{ poolInfo: { autoPoolSpecification: { poolLifetimeOption: 'job' } } }, 'MissingRequiredProperty'],
    [
      { jobManagerTask: { id: 'm', commandLine: 'x', containerSettings: { imageName: '-i' } } },
      'InvalidPropertyValue',
    ],
    [{ jobManagerTask: { id: 'm' } }, 'MissingRequiredProperty'],
    [{ jobReleaseTask: { commandLine: 'x' } }, 'InvalidPropertyValue'],
    [{ priority: 5000 }, 'InvalidPropertyValue'],
    [{ id: 's:job-1' }, 'InvalidPropertyValue'],
    [{ constraints: { maxWallClockTime: 'P99999Y' } }, 'InvalidPropertyValue'],
  ])('with %j answers %s and reserves nothing that matters', async (change, code) => {
    const answer = await api.ask('POST', '/jobs', { json: { ...job, ...change } });
    expect([answer.status, answer.body.code]).toEqual([400, code]);
    expect((await api.ask('GET', '/jobs/Job-1')).body.code).toBe('JobNotFound');
    expect((await api.ask('POST', '/jobs', { json: job })).status).toBe(201);
  });

  test('may wait for a pool that is not there', async () => {
    expect((await api.ask('POST', '/jobs', { json: { ...job, poolInfo: { poolId: 'later' } } })).status).toBe(
      201,
    );
    expect((await api.ask('GET', '/jobs/Job-1')).body).toMatchObject({
      state: 'active',
      executionInfo: { poolId: 'later' },
    });
  });

  test('is disabled, enabled, terminated and deleted', async () => {
    await api.ask('POST', '/jobs', { json: job });
    expect((await api.ask('POST', '/jobs/Job-1/disable', { json: { disableTasks: 'Requeue' } })).status).toBe(
      202,
    );
    expect((await api.ask('GET', '/jobs/Job-1')).body.state).toBe('disabled');
    expect((await api.ask('POST', '/jobs/Job-1/enable')).status).toBe(202);
    expect(
      (await api.ask('POST', '/jobs/Job-1/terminate', { json: { terminateReason: 'enough' } })).status,
    ).toBe(202);
    expect((await api.ask('GET', '/jobs/Job-1')).body).toMatchObject({
      state: 'completed',
      executionInfo: { terminateReason: 'enough' },
    });
    expect((await api.ask('POST', '/jobs/Job-1/disable', { json: { disableTasks: 'wait' } })).status).toBe(
      409,
    );
    expect((await api.ask('DELETE', '/jobs/Job-1')).status).toBe(202);
    api.control.sweep(poolGroup('p'));
    expect((await api.ask('GET', '/jobs/Job-1')).body.code).toBe('JobNotFound');
  });

  test('is terminated for a reason of Azure’s where none is given', async () => {
    await api.ask('POST', '/jobs', { json: job });
    await api.ask('POST', '/jobs/Job-1/terminate');
    expect((await api.ask('GET', '/jobs/Job-1')).body.executionInfo.terminateReason).toBe('UserTerminate');
  });

  test.each([
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['POST', '/enable'],
    ['GET', '/taskcounts'],
    ['GET', '/tasks'],
    ['POST', '/terminate'],
  ] as const)('that is not there answers JobNotFound to %s %s', async (method, path) => {
    const answer = await api.ask(method, `/jobs/nobody${path}`, method === 'PATCH' ? { json: {} } : {});
    expect([answer.status, answer.body.code]).toEqual([404, 'JobNotFound']);
  });

  test('has no preparation task to tell of', async () => {
    await api.ask('POST', '/jobs', { json: job });
    const answer = await api.ask('GET', '/jobs/Job-1/jobpreparationandreleasetaskstatus');
    expect([answer.status, answer.body.code]).toEqual([409, 'JobPreparationTaskOrReleaseTaskNotSpecified']);
  });
});

describe('a job id', () => {
  const inPool = (pool: string) => ({ ...job, poolInfo: { poolId: pool } });

  test('is unique over all pools', async () => {
    expect((await api.ask('POST', '/jobs', { json: inPool('p') })).status).toBe(201);
    expect((await api.ask('POST', '/jobs', { json: { ...inPool('p'), id: 'JOB-1' } })).body.code).toBe(
      'JobExists',
    );
    expect((await api.ask('POST', '/jobs', { json: inPool('other') })).body.code).toBe('JobExists');
    expect((await api.ask('GET', '/jobs/Job-1')).body.poolInfo.poolId).toBe('p');
  });

  test('is free again after the job was deleted, for any pool, and is found there', async () => {
    await api.ask('POST', '/jobs', { json: inPool('p') });
    await api.ask('GET', '/jobs/Job-1');
    await api.ask('DELETE', '/jobs/Job-1');
    api.control.sweep(poolGroup('p'));
    expect((await api.ask('POST', '/jobs', { json: inPool('other') })).status).toBe(201);
    expect((await api.ask('GET', '/jobs/Job-1')).body.poolInfo.poolId).toBe('other');
  });

  test('reserved by a client that died is taken over', async () => {
    const voters = await api.control.proposeVoters();
    await api.control.propose(MESH_GROUP, { kind: 'job.reserve', job: 'Job-1', pool: 'p', voters });
    expect((await api.ask('GET', '/jobs/Job-1')).body.code).toBe('JobNotFound');
    expect((await api.ask('POST', '/jobs', { json: inPool('other') })).status).toBe(201);
    expect((await api.ask('GET', '/jobs/Job-1')).body.poolInfo.poolId).toBe('other');
  });

  test('has one winner however two adds of it interleave', async () => {
    // Between any two steps of the first add, the second runs whole.
    for (let step = 0; step < 8; step += 1) {
      const fixture = new ApiFixture();
      await fixture.withNode();
      const control = fixture.control;
      const original = control.propose.bind(control);
      const originalQuery = control.query.bind(control);
      let steps = 0;
      let rival: Promise<{ status: number }> | undefined;
      const maybeRival = async (): Promise<void> => {
        if (rival === undefined && steps++ === step) {
          rival = fixture.ask('POST', '/jobs', { json: inPool('other') });
          await rival;
        }
      };
      control.propose = async (...args: Parameters<typeof original>) => {
        await maybeRival();
        return original(...args) as never;
      };
      control.query = async (...args: Parameters<typeof originalQuery>) => {
        await maybeRival();
        return originalQuery(...args) as never;
      };
      const first = await fixture.ask('POST', '/jobs', { json: inPool('p') });
      const second =
        rival === undefined ? await fixture.ask('POST', '/jobs', { json: inPool('other') }) : await rival;
      expect([first.status, second.status].sort()).toEqual([201, 409]);
      const found = await fixture.ask('GET', '/jobs/Job-1');
      expect(found.body.poolInfo.poolId).toBe(first.status === 201 ? 'p' : 'other');
      const active = (await fixture.ask('GET', '/jobs')).body.value.filter(
        (one: { state: string }) => one.state !== 'deleting',
      );
      expect(active).toHaveLength(1);
    }
  });

  test('repeated with the same request id answers 201 again', async () => {
    const headers = { 'shoal-request-id': '0b8f6c1e-0000-4000-8000-000000000000' };
    const first = await api.ask('POST', '/jobs', { json: job, headers });
    const second = await api.ask('POST', '/jobs', { json: job, headers });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.etag).toBe(first.headers.etag);
  });
});

describe('the list of jobs', () => {
  test('goes through all pools, in pages that neither skip nor repeat', async () => {
    const wanted: string[] = [];
    for (const pool of ['p', 'b', 'empty', 'a']) {
      if (pool === 'empty') {
        await api.ask('POST', '/pools', { json: { id: pool, vmSize: 'machine' } });
        continue;
      }
      for (let index = 0; index < 3; index += 1) {
        const id = `${pool}-${index}`;
        wanted.push(id);
        await api.ask('POST', '/jobs', { json: { id, poolInfo: { poolId: pool } } });
      }
    }
    for (const size of [1, 2, 3, 4, 100]) {
      const seen: string[] = [];
      let path: string | undefined = `/jobs?maxresults=${size}`;
      while (path !== undefined) {
        const page: Awaited<ReturnType<ApiFixture['ask']>> = await api.ask('GET', path);
        expect(page.body.value.length).toBeLessThanOrEqual(size);
        seen.push(...page.body.value.map((one: { id: string }) => one.id));
        path = page.body['odata.nextLink']?.slice('http://localhost:8000'.length);
      }
      expect(seen.sort()).toEqual(wanted.sort());
    }
    const filter = encodeURIComponent("executionInfo/poolId eq 'B' or id eq 'p-1'");
    const filtered = await api.ask('GET', `/jobs?$filter=${filter}&$select=id`);
    expect(filtered.body.value.map((one: object) => Object.keys(one))).toEqual([
      ['id'],
      ['id'],
      ['id'],
      ['id'],
    ]);
  });
});

describe('the counts of nodes', () => {
  test('come for each pool, ten to a page', async () => {
    for (let index = 0; index < 11; index += 1)
      await api.ask('POST', '/pools', { json: { id: `q-${index}`, vmSize: 'machine' } });
    const first = await api.ask('GET', '/nodecounts');
    expect(first.body.value).toHaveLength(10);
    expect(first.body['odata.nextLink']).toBeDefined();
    expect((await api.ask('GET', '/nodecounts?maxresults=11')).body.code).toBe(
      'OutOfRangeQueryParameterValue',
    );
    const one = await api.ask('GET', "/nodecounts?$filter=poolId%20eq%20'P'");
    expect(one.body.value).toEqual([
      {
        poolId: 'p',
        dedicated: expect.objectContaining({ total: 1, idle: 1, running: 0, waitingForStartTask: 0 }),
        lowPriority: expect.objectContaining({ total: 0 }),
      },
    ]);
  });
});

describe('a node', () => {
  test('is listed, told, and takes no tasks where it is told so', async () => {
    const listed = await api.ask('GET', '/pools/P/nodes?$select=id,state');
    expect(listed.body.value).toEqual([{ id: node, state: 'idle' }]);
    expect((await api.ask('GET', `/pools/p/nodes/${node}`)).body).toMatchObject({
      id: node,
      affinityId: `TVM:${node}`,
      vmSize: 'machine',
      schedulingState: 'enabled',
      url: `http://localhost:8000/pools/p/nodes/${node}`,
      shoal: { slots: 4 },
    });
    expect(
      (
        await api.ask('POST', `/pools/p/nodes/${node}/disablescheduling`, {
          json: { nodeDisableSchedulingOption: 'TaskCompletion' },
        })
      ).status,
    ).toBe(200);
    expect((await api.ask('GET', `/pools/p/nodes/${node}`)).body.schedulingState).toBe('disabled');
    expect((await api.ask('POST', `/pools/p/nodes/${node}/disablescheduling`)).body.code).toBe(
      'NodeAlreadyInTargetSchedulingState',
    );
    expect((await api.ask('POST', `/pools/p/nodes/${node}/enablescheduling`)).status).toBe(200);
    expect((await api.ask('GET', "/pools/p/nodes?$filter=state%20eq%20'offline'")).body.value).toEqual([]);
  });

  test('of a pool, or by a name, that is not there', async () => {
    expect((await api.ask('GET', '/pools/nobody/nodes')).body.code).toBe('PoolNotFound');
    expect((await api.ask('GET', '/pools/p/nodes/nobody')).body.code).toBe('NodeNotFound');
    expect((await api.ask('POST', '/pools/p/nodes/nobody/enablescheduling')).body.code).toBe('NodeNotFound');
  });
});
