import { beforeAll, describe, expect, test } from 'vitest';
import { fc } from '../../support/properties.ts';
import { type Answer, ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = new ApiFixture();
  await api.withNode();
  await api.withJob({ usesTaskDependencies: true });
  await api.withTask('t');
});

/** Refused with a code or accepted; never a fault of ours. */
function isCoded(answer: Answer): boolean {
  if (answer.status < 400) return true;
  return answer.status < 500 && typeof answer.body?.code === 'string' && answer.body.message.value.length > 0;
}

const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    '..',
    '\u0000',
    '\n',
    '$(reboot)',
    '<script>',
    '-1',
    'P99999Y',
    '-PT1M',
    'PT',
    'mesh://',
    'file:///etc/passwd',
    -1,
    0,
    1.5,
    2 ** 53,
    1e308,
    [],
    {},
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.integer(),
  fc.jsonValue({ maxDepth: 3 }),
);

const task = { id: 't', commandLine: '/bin/true' };
const targets: readonly (readonly [string, string, object, readonly string[]])[] = [
  [
    'POST',
    '/jobs/j/tasks',
    task,
    [
      'id',
      'commandLine',
      'constraints',
      'dependsOn',
      'exitConditions',
      'resourceFiles',
      'outputFiles',
      'environmentSettings',
      'requiredSlots',
      'affinityInfo',
      'userIdentity',
      'requiredLabels',
      'x',
    ],
  ],
  [
    'POST',
    '/jobs',
    { id: 'n', poolInfo: { poolId: 'p' } },
    [
      'id',
      'poolInfo',
      'constraints',
      'metadata',
      'priority',
      'maxParallelTasks',
      'onTaskFailure',
      'commonEnvironmentSettings',
      'networkConfiguration',
      'jobManagerTask',
    ],
  ],
  [
    'POST',
    '/pools',
    { id: 'n', vmSize: 'machine' },
    [
      'id',
      'vmSize',
      'resizeTimeout',
      'taskSchedulingPolicy',
      'virtualMachineConfiguration',
      'metadata',
      'targetDedicatedNodes',
      'requiredLabels',
      'startTask',
    ],
  ],
  [
    'PATCH',
    '/jobs/j',
    {},
    ['priority', 'constraints', 'metadata', 'poolInfo', 'maxParallelTasks', 'onAllTasksComplete'],
  ],
  ['PUT', '/jobs/j/tasks/t', {}, ['constraints']],
  ['POST', '/pools/p/resize', {}, ['targetDedicatedNodes', 'resizeTimeout', 'nodeDeallocationOption']],
  ['POST', '/pools/p/removenodes', {}, ['nodeList', 'nodeDeallocationOption']],
  ['POST', '/shoal/v1/tokens', {}, ['validMs', 'uses']],
  ['POST', '/shoal/v1/recover', {}, ['group', 'confirmed']],
];

describe('whatever is sent', () => {
  test('as a body is answered with a code, and is no fault inside', async () => {
    const request = fc
      .constantFrom(...targets)
      .chain(([method, path, base, names]) =>
        fc.tuple(
          fc.constant([method, path, base] as const),
          fc.dictionary(fc.constantFrom(...names), nasty, { maxKeys: 3 }),
        ),
      );
    await fc.assert(
      fc.asyncProperty(request, async ([[method, path, base], change]) => {
        const answer = await api.ask(method as 'POST', path, { json: { ...base, ...change } });
        return isCoded(answer);
      }),
      { numRuns: 400 },
    );
    expect(api.logged).toEqual([]);
  });

  test('as an id, a path or a query is answered with a code', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('..', '%2e', 'j', 't', 'p', 'a/b', '\u0000', '💥'),
    );
    const place = fc.constantFrom<(id: string) => string>(
      (id) => `/jobs/${id}`,
      (id) => `/jobs/j/tasks/${id}`,
      (id) => `/jobs/j/tasks/${id}/files/stdout.txt`,
      (id) => `/jobs/j/tasks/t/files/${id}`,
      (id) => `/pools/${id}/nodes`,
      (id) => `/pools/p/nodes/${id}`,
      (id) => `/pools/p/nodes/${id}/files/${id}`,
      (id) => `/jobs?$filter=${id}`,
      (id) => `/jobs/j/tasks?$filter=${id}&$select=${id}`,
      (id) => `/jobs/j/tasks?$skiptoken=${id}`,
      (id) => `/shoal/v1/containers/${id}/blobs/${id}`,
      (id) => `/shoal/v1/containers/data/blobs?prefix=${id}&after=${id}`,
      (id) => `/shoal/v1/jobs/j/tasks/t/follow?file=${id}`.replace('follow?file=', 'explain?x='),
      (id) => `/${id}`,
    );
    await fc.assert(
      fc.asyncProperty(
        place,
        piece,
        fc.constantFrom('GET', 'HEAD', 'DELETE', 'POST', 'OPTIONS'),
        async (at, id, method) => {
          const answer = await api.ask(method as 'GET', at(encodeURIComponent(id)));
          return isCoded(answer) || method === 'HEAD';
        },
      ),
      { numRuns: 500 },
    );
    expect(api.logged).toEqual([]);
  });

  test('as a condition or range header is answered with a code', async () => {
    const names = fc.constantFrom(
      'if-match',
      'if-none-match',
      'if-modified-since',
      'if-unmodified-since',
      'ocp-range',
      'range',
      'shoal-request-id',
      'ocp-date',
      'content-type',
    );
    const value = fc.oneof(
      fc.constantFrom(
        '*',
        '"0x1"',
        '0x1',
        'bytes=0-',
        'bytes=-',
        'Sat, 21 Nov 2026 04:26:00 GMT',
        '-1',
        'NaN',
      ),
      fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
    );
    const path = fc.constantFrom(
      '/jobs/j',
      '/pools/p',
      '/jobs/j/tasks/t',
      '/jobs/j/tasks/t/files/stdout.txt',
    );
    await fc.assert(
      fc.asyncProperty(
        path,
        fc.dictionary(names, value, { maxKeys: 2 }),
        fc.constantFrom('GET', 'PATCH', 'DELETE'),
        async (at, headers, method) => {
          if (method === 'DELETE' && !at.includes('files')) return true;
          return isCoded(
            await api.ask(method as 'GET', at, { headers, ...(method === 'PATCH' && { json: {} }) }),
          );
        },
      ),
      { numRuns: 200 },
    );
    expect(api.logged).toEqual([]);
  });
});
