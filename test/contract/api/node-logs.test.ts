import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
let node: string;
beforeEach(async () => {
  api = new ApiFixture();
  node = await api.withNode();
});

const containerUrl = 'https://store.blob.core.windows.net/logs?sv=2022-11-02&sig=secret';
const startTime = '2026-11-21T04:00:00Z';

function upload(json: object, pool = 'p', name = node) {
  return api.ask('POST', `/pools/${pool}/nodes/${name}/uploadbatchservicelogs`, { json });
}

describe('logs of a node', () => {
  test('are asked for by container and time range, and the answer says where they are', async () => {
    const answer = await upload({ containerUrl, startTime, endTime: '2026-11-21T05:00:00Z' });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        'odata.metadata': expect.stringContaining('uploadbatchservicelogs'),
        virtualDirectoryName: `p/${node}/upload-1`,
        numberOfFilesUploaded: 2,
      },
    });
    await upload({ containerUrl: 'mesh://logs', startTime });
    expect(api.control.uploads).toEqual([
      {
        pool: 'p',
        node,
        containerUrl,
        startMs: Date.parse(startTime),
        endMs: Date.parse(startTime) + 3_600_000,
      },
      { pool: 'p', node, containerUrl: 'mesh://logs', startMs: Date.parse(startTime) },
    ]);
  });

  test.each([
    ['no container', { startTime }, 'MissingRequiredProperty'],
    ['no start', { containerUrl }, 'MissingRequiredProperty'],
    ['a file for a container', { containerUrl: 'file:///etc', startTime }, 'InvalidPropertyValue'],
    ['a blob for a container', { containerUrl: 'mesh://logs/blob', startTime }, 'InvalidPropertyValue'],
    ['a line break in the URL', { containerUrl: `${containerUrl}\nx`, startTime }, 'InvalidPropertyValue'],
    [
      'a long URL',
      { containerUrl: `${containerUrl}${'x'.repeat(5_000)}`, startTime },
      'InvalidPropertyValue',
    ],
    ['no moment', { containerUrl, startTime: 'yesterday' }, 'InvalidPropertyValue'],
    ['an end before the start', { containerUrl, startTime, endTime: '2026-11-20' }, 'InvalidPropertyValue'],
    ['an unknown property', { containerUrl, startTime, force: true }, 'InvalidRequestBody'],
  ])('with %s are refused', async (_, json, code) => {
    const answer = await upload(json);
    expect(answer).toMatchObject({ status: 400, body: { code } });
    expect(answer.text, 'no signature in an error').not.toContain('secret');
    expect(api.control.uploads).toEqual([]);
  });

  test('of a pool that does not exist are refused', async () => {
    expect((await upload({ containerUrl, startTime }, 'nothing')).body.code).toBe('PoolNotFound');
  });
});
