import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});

const spec = {
  id: 'Pool-1',
  vmSize: 'standard_d2s_v3',
  targetDedicatedNodes: 2,
  taskSlotsPerNode: 2,
  virtualMachineConfiguration: {
    imageReference: { publisher: 'canonical' },
    nodeAgentSKUId: 'batch.node.ubuntu',
  },
};

describe('a pool', () => {
  test('is added, told and found under any case', async () => {
    const added = await api.ask('POST', '/pools', { json: spec });
    expect(added.status).toBe(201);
    expect(added.text).toBe('');
    expect(added.headers).toMatchObject({
      etag: expect.stringMatching(/^0x[0-9A-F]+$/),
      'last-modified': expect.stringMatching(/ GMT$/),
      location: 'http://localhost:8000/pools/Pool-1',
      dataserviceid: 'http://localhost:8000/pools/Pool-1',
    });
    const got = await api.ask('GET', '/pools/pool-1');
    expect(got.status).toBe(200);
    expect(got.headers['content-type']).toBe('application/json;odata=minimalmetadata');
    expect(got.headers.etag).toBe(added.headers.etag);
    expect(got.body).toMatchObject({
      'odata.metadata': 'http://localhost:8000/$metadata#pools/@Element',
      id: 'Pool-1',
      url: 'http://localhost:8000/pools/Pool-1',
      eTag: added.headers.etag,
      state: 'active',
      allocationState: 'resizing',
      vmSize: 'standard_d2s_v3',
      targetDedicatedNodes: 2,
      currentDedicatedNodes: 0,
      taskSlotsPerNode: 2,
      virtualMachineConfiguration: spec.virtualMachineConfiguration,
    });
  });

  test('exists or not', async () => {
    await api.ask('POST', '/pools', { json: spec });
    expect((await api.ask('HEAD', '/pools/Pool-1')).status).toBe(200);
    const missing = await api.ask('HEAD', '/pools/other');
    expect([missing.status, missing.text]).toEqual([404, '']);
    expect((await api.ask('GET', '/pools/other')).body).toMatchObject({ code: 'PoolNotFound' });
    expect((await api.ask('POST', '/pools', { json: { ...spec, id: 'POOL-1' } })).body).toMatchObject({
      code: 'PoolExists',
    });
  });

  test('of the oldest version counts tasks, not slots', async () => {
    const version = '2020-03-01.11.0';
    const old = { id: 'old', vmSize: 'machine', maxTasksPerNode: 3 };
    expect((await api.ask('POST', '/pools', { json: old, version })).status).toBe(201);
    expect((await api.ask('GET', '/pools/old', { version })).body).toMatchObject({ maxTasksPerNode: 3 });
    expect((await api.ask('GET', '/pools/old')).body).toMatchObject({ taskSlotsPerNode: 3 });
    const both = await api.ask('POST', '/pools', { json: { ...old, id: 'new' } });
    expect(both.body).toMatchObject({
      code: 'InvalidRequestBody',
      values: [{ key: 'PropertyName', value: 'maxTasksPerNode' }, expect.anything()],
    });
  });

  test.each([
    [{ startTask: {} }, 'MissingRequiredProperty', 'startTask/commandLine'],
    [
      { startTask: { commandLine: 'x', containerSettings: {} } },
      'MissingRequiredProperty',
      'startTask/containerSettings/imageName',
    ],
    [{ colour: 'red' }, 'InvalidRequestBody', 'colour'],
    [{ targetDedicatedNodes: -1 }, 'InvalidPropertyValue', 'targetDedicatedNodes'],
    [{ id: 'a/b' }, 'InvalidPropertyValue', 'id'],
    [{ vmSize: undefined }, 'MissingRequiredProperty', 'vmSize'],
  ])('with %j answers %s', async (change, code, name) => {
    const answer = await api.ask('POST', '/pools', { json: { ...spec, ...change } });
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe(code);
    expect(answer.body.values[0]).toEqual({ key: 'PropertyName', value: name });
  });

  test('is patched under a condition and answers 304 to who has it', async () => {
    const added = await api.ask('POST', '/pools', { json: spec });
    const eTag = String(added.headers.etag);
    const metadata = [{ name: 'a', value: 'b' }];
    const refused = await api.ask('PATCH', '/pools/Pool-1', {
      json: { metadata },
      headers: { 'if-match': '0x0' },
    });
    expect([refused.status, refused.body.code]).toEqual([412, 'ConditionNotMet']);
    const patched = await api.ask('PATCH', '/pools/Pool-1', {
      json: { metadata },
      headers: { 'if-match': eTag },
    });
    expect(patched.status).toBe(200);
    expect(patched.headers.etag).not.toBe(eTag);
    const known = await api.ask('GET', '/pools/Pool-1', {
      headers: { 'if-none-match': String(patched.headers.etag) },
    });
    expect([known.status, known.text]).toEqual([304, '']);
    expect((await api.ask('GET', '/pools/Pool-1', { headers: { 'if-match': eTag } })).status).toBe(412);
    expect((await api.ask('GET', '/pools/Pool-1')).body.metadata).toEqual(metadata);
    const cleared = await api.ask('POST', '/pools/Pool-1/updateproperties', {
      json: { certificateReferences: [], applicationPackageReferences: [], metadata: [] },
    });
    expect(cleared.status).toBe(204);
    expect((await api.ask('GET', '/pools/Pool-1')).body.metadata).toEqual([]);
    const two = await api.ask('GET', '/pools/Pool-1', { headers: { 'if-match': '*', 'if-none-match': '*' } });
    expect(two.body.code).toBe('MultipleConditionHeadersNotSupported');
  });

  test('is resized, stopped and emptied', async () => {
    await api.ask('POST', '/pools', { json: { ...spec, targetDedicatedNodes: 1 } });
    const node = api.control.addNode('Pool-1');
    expect((await api.ask('GET', '/pools/Pool-1')).body).toMatchObject({
      allocationState: 'steady',
      currentDedicatedNodes: 1,
    });
    const resize = { targetDedicatedNodes: 3, nodeDeallocationOption: 'TaskCompletion' };
    expect((await api.ask('POST', '/pools/Pool-1/resize', { json: resize })).status).toBe(202);
    expect((await api.ask('POST', '/pools/Pool-1/resize', { json: resize })).body.code).toBe(
      'PoolBeingResized',
    );
    expect((await api.ask('POST', '/pools/Pool-1/removenodes', { json: { nodeList: [node] } })).status).toBe(
      409,
    );
    expect((await api.ask('POST', '/pools/Pool-1/stopresize')).status).toBe(202);
    expect((await api.ask('POST', '/pools/Pool-1/removenodes', { json: { nodeList: [] } })).body.code).toBe(
      'InvalidPropertyValue',
    );
  });

  test('lets named nodes go', async () => {
    await api.ask('POST', '/pools', { json: { ...spec, targetDedicatedNodes: 1 } });
    const node = api.control.addNode('Pool-1');
    const removed = await api.ask('POST', '/pools/Pool-1/removenodes', { json: { nodeList: [node] } });
    expect([removed.status, removed.text]).toEqual([202, '']);
    expect((await api.ask('GET', '/pools/Pool-1')).body).toMatchObject({ targetDedicatedNodes: 0 });
  });

  test('is deleted', async () => {
    await api.ask('POST', '/pools', { json: spec });
    expect((await api.ask('DELETE', '/pools/Pool-1')).status).toBe(202);
    expect((await api.ask('GET', '/pools/Pool-1')).body).toMatchObject({ state: 'deleting' });
    expect((await api.ask('POST', '/pools', { json: spec })).body.code).toBe('PoolBeingDeleted');
  });
});

describe('the list of pools', () => {
  test('comes in pages that neither skip nor repeat, filtered and cut to what is selected', async () => {
    for (const id of ['c', 'A', 'b', 'x-1', 'x-2'])
      await api.ask('POST', '/pools', { json: { id, vmSize: 'machine' } });
    const seen: string[] = [];
    let path = '/pools?maxresults=2&$select=id,state';
    for (;;) {
      const page = await api.ask('GET', path);
      expect(page.status).toBe(200);
      expect(page.body['odata.metadata']).toBe('http://localhost:8000/$metadata#pools');
      for (const pool of page.body.value) {
        expect(Object.keys(pool).sort()).toEqual(['id', 'state']);
        seen.push(pool.id);
      }
      const link: string | undefined = page.body['odata.nextLink'];
      if (link === undefined) break;
      expect(link).toMatch(/^http:\/\/localhost:8000\/pools\?.*api-version=2022-10-01\.16\.0/);
      path = link.slice('http://localhost:8000'.length);
    }
    expect(seen).toEqual(['A', 'b', 'c', 'default', 'x-1', 'x-2']);
    const filter = encodeURIComponent("startswith(id,'X') and state eq 'Active'");
    const filtered = await api.ask('GET', `/pools?$filter=${filter}`);
    expect(filtered.body.value.map((pool: { id: string }) => pool.id)).toEqual(['x-1', 'x-2']);
  });

  test.each([
    ['maxresults=-5', 'InvalidQueryParameterValue'],
    ['maxresults=1001', 'OutOfRangeQueryParameterValue'],
    ['$filter=color%20eq%201', 'InvalidQueryParameterValue'],
    ['$select=,', 'InvalidQueryParameterValue'],
    ['$expand=all', 'InvalidQueryParameterValue'],
    ['$skiptoken=zzz', 'InvalidQueryParameterValue'],
    ['force=true', 'UnsupportedQueryParameter'],
    ['$filter=a&$filter=b', 'InvalidQueryParameterValue'],
    ['timeout=-1', 'InvalidQueryParameterValue'],
  ])('with %s answers %s', async (query, code) => {
    const answer = await api.ask('GET', `/pools?${query}`);
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe(code);
  });

  test('tells which value was wrong', async () => {
    expect((await api.ask('GET', '/pools?maxresults=-5')).body.values).toEqual([
      { key: 'QueryParameterName', value: 'maxresults' },
      { key: 'QueryParameterValue', value: '-5' },
      { key: 'Reason', value: 'a whole number from 1 to 1000 is expected' },
    ]);
  });
});

describe('the images', () => {
  test('are what the machines run', async () => {
    const answer = await api.ask('GET', "/supportedimages?$filter=osType%20eq%20'linux'");
    expect(answer.body.value).toEqual([
      expect.objectContaining({
        nodeAgentSKUId: 'batch.node.debian-gnu-linux-12',
        osType: 'linux',
        verificationType: 'verified',
      }),
    ]);
    expect((await api.ask('GET', "/supportedimages?$filter=osType%20eq%20'windows'")).body.value).toEqual([]);
  });
});
