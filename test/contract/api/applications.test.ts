import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});
afterEach(() => api.api.close());

const zip = (payload: string) => ({ payload, headers: { 'content-type': 'application/octet-stream' } });

async function put(path: string, payload = 'bytes'): Promise<void> {
  const answer = await api.ask('PUT', `/shoal/v1/applications/${path}`, zip(payload));
  expect(answer.status).toBe(201);
}

describe('applications', () => {
  test('are uploaded by our route and listed as Azure Batch lists them', async () => {
    await put('tool/1.0');
    await put('tool/1.1?default=true', 'other bytes');
    await put('Blender/4.2');
    await api.ask('PATCH', '/shoal/v1/applications/tool', { json: { displayName: 'A tool' } });
    const listed = await api.ask('GET', '/applications');
    expect(listed.status).toBe(200);
    expect(listed.body['odata.metadata']).toMatch(/\$metadata#applications$/);
    expect(listed.body.value).toEqual([
      { id: 'Blender', versions: ['4.2'] },
      { id: 'tool', displayName: 'A tool', versions: ['1.0', '1.1'] },
    ]);
    const one = await api.ask('GET', '/applications/TOOL');
    expect(one.body).toMatchObject({ id: 'tool', versions: ['1.0', '1.1'] });
    expect(one.body['odata.metadata']).toMatch(/\$metadata#applications\/@Element$/);
    expect((await api.ask('GET', '/applications/nope')).body.code).toBe('ApplicationNotFound');
  });

  test('are listed page by page', async () => {
    for (const id of ['c', 'a', 'B']) await put(`${id}/1`);
    const first = await api.ask('GET', '/applications?maxresults=2');
    expect(first.body.value.map((row: { id: string }) => row.id)).toEqual(['a', 'B']);
    const { pathname, search } = new URL(first.body['odata.nextLink']);
    const second = await api.ask('GET', `${pathname}${search}`);
    expect(second.body.value.map((row: { id: string }) => row.id)).toEqual(['c']);
    expect(second.body).not.toHaveProperty('odata.nextLink');
  });

  test('have versions that are chosen and deleted by our routes', async () => {
    await put('tool/1.0');
    await put('tool/2.0');
    const path = '/shoal/v1/applications/tool';
    expect((await api.ask('PATCH', path, { json: { defaultVersion: '2.0' } })).status).toBe(204);
    expect((await api.ask('PATCH', path, { json: { defaultVersion: '3' } })).body.code).toBe(
      'ApplicationNotFound',
    );
    expect((await api.ask('GET', path)).body).toMatchObject({
      id: 'tool',
      defaultVersion: '2.0',
      packages: [{ version: '1.0', sizeBytes: 5 }, { version: '2.0' }],
    });
    expect((await api.ask('DELETE', `${path}/1.0`)).status).toBe(204);
    expect((await api.ask('DELETE', `${path}/1.0`)).status).toBe(404);
    expect((await api.ask('GET', '/shoal/v1/applications')).body.items).toHaveLength(1);
    expect((await api.ask('DELETE', path)).status).toBe(204);
    expect((await api.ask('GET', path)).status).toBe(404);
  });

  test('have ids and versions that are checked before a byte is taken in', async () => {
    for (const path of ['a.b/1', 'tool/..%2f..', `tool/${'1'.repeat(65)}`, 'tool/%2e%2e%5c']) {
      const answer = await api.ask('PUT', `/shoal/v1/applications/${path}`, zip('x'));
      expect(answer.body.code).toBe('InvalidArgument');
    }
    const huge = { ...zip('x'), headers: { 'content-length': `${2 ** 40}` } };
    expect((await api.ask('PUT', '/shoal/v1/applications/tool/1', huge)).status).toBe(413);
  });
});

describe('references to packages', () => {
  const reference = [{ applicationId: 'tool', version: '1.0' }];

  test('of a pool are checked, told and changed', async () => {
    const spec = { id: 'p', vmSize: 'machine', applicationPackageReferences: reference };
    const refused = await api.ask('POST', '/pools', { json: spec });
    expect([refused.status, refused.body.code]).toEqual([409, 'InvalidApplicationPackageReferences']);
    expect(refused.body.values).toEqual([
      { key: 'ApplicationId', value: 'tool' },
      { key: 'Version', value: '1.0' },
    ]);
    await put('tool/1.0');
    expect((await api.ask('POST', '/pools', { json: spec })).status).toBe(201);
    expect((await api.ask('GET', '/pools/p')).body.applicationPackageReferences).toEqual(reference);
    expect((await api.ask('DELETE', '/shoal/v1/applications/tool')).status).toBe(409);
    const missing = { applicationPackageReferences: [{ applicationId: 'tool' }] };
    expect((await api.ask('PATCH', '/pools/p', { json: missing })).status).toBe(409);
    expect((await api.ask('POST', '/pools/p/updateproperties', { json: { metadata: [] } })).status).toBe(204);
    expect((await api.ask('GET', '/pools/p')).body.applicationPackageReferences).toEqual([]);
    expect((await api.ask('DELETE', '/shoal/v1/applications/tool')).status).toBe(204);
  });

  test('of a job manager are those of its task', async () => {
    await api.withNode();
    const manager = { id: 'm', commandLine: 'true', applicationPackageReferences: reference };
    await api.withJob({ jobManagerTask: manager });
    expect((await api.ask('GET', '/jobs/j/tasks/m')).body.applicationPackageReferences).toEqual(reference);
    expect((await api.ask('GET', '/jobs/j')).body.jobManagerTask).toMatchObject(manager);
  });

  test('of a task are told, and refused where no package can ever have such a name', async () => {
    await api.withNode();
    await api.withJob();
    await api.withTask('t', { applicationPackageReferences: reference });
    expect((await api.ask('GET', '/jobs/j/tasks/t')).body.applicationPackageReferences).toEqual(reference);
    const wrong = { id: 'u', commandLine: 'true', applicationPackageReferences: [{ applicationId: 'a/b' }] };
    expect((await api.ask('POST', '/jobs/j/tasks', { json: wrong })).body.code).toBe('InvalidPropertyValue');
    const eleven = { ...wrong, applicationPackageReferences: Array(11).fill(reference[0]) };
    expect((await api.ask('POST', '/jobs/j/tasks', { json: eleven })).status).toBe(400);
  });
});
