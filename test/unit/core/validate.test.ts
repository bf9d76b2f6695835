import { describe, expect, test } from 'vitest';
import type { TaskSpec } from '../../../src/model/task.ts';
import { integerOfId, validateJob, validatePool, validateTask } from '../../../src/model/validate.ts';
import { aTask } from './pool-harness.ts';

/** The property that is wrong, or undefined. */
function fault(spec: Partial<TaskSpec>): string | undefined {
  return validateTask(aTask({ id: '17', ...spec }))?.values.PropertyName;
}

describe('a task', () => {
  test('that is well is not refused', () => {
    expect(
      validateTask(
        aTask({
          id: 'a-Z_0',
          constraints: { maxWallClockTime: 'PT1H', retentionTime: 'P7D', maxTaskRetryCount: -1 },
          dependsOn: { taskIds: ['b'], taskIdRanges: [{ start: 0, end: 5 }] },
          exitConditions: {
            exitCodes: [{ code: 1, exitOptions: {} }],
            exitCodeRanges: [{ start: -5, end: 5, exitOptions: {} }],
          },
          resourceFiles: [
            { httpUrl: 'https://example.com/a?b=c', filePath: 'in/a.txt' },
            { httpUrl: 'mesh://inputs/part/1.txt', filePath: '1.txt' },
            { storageContainerUrl: 'mesh://inputs', blobPrefix: 'part/' },
            { autoStorageContainerName: 'inputs', filePath: 'data/' },
          ],
          outputFiles: [
            {
              filePattern: '../*.txt',
              destination: { container: { containerUrl: 'mesh://out', path: 'a/b' } },
              uploadOptions: { uploadCondition: 'taskcompletion' },
            },
          ],
          environmentSettings: [{ name: 'A' }, { name: 'B', value: 'é' }],
        }),
      ),
    ).toBeUndefined();
  });

  test.each<[string, Partial<TaskSpec>]>([
    ['id', { id: 'a b' }],
    ['id', { id: '' }],
    ['commandLine', { commandLine: '  ' }],
    ['commandLine', { commandLine: 'a\0b' }],
    ['commandLine', { commandLine: 'é'.repeat(70_000) }],
    ['constraints/maxWallClockTime', { constraints: { maxWallClockTime: 'P1Y' } }],
    ['constraints/maxWallClockTime', { constraints: { maxWallClockTime: 'PT0S' } }],
    ['constraints/retentionTime', { constraints: { retentionTime: '-P1D' } }],
    ['constraints/maxTaskRetryCount', { constraints: { maxTaskRetryCount: -2 } }],
    ['requiredSlots', { requiredSlots: 0 }],
    ['requiredSlots', { requiredSlots: 1.5 }],
    ['environmentSettings/0/name', { environmentSettings: [{ name: 'A=B', value: '' }] }],
    ['environmentSettings/1/value', { environmentSettings: [{ name: 'A' }, { name: 'B', value: '\0' }] }],
    ['environmentSettings', { environmentSettings: [{ name: 'A', value: 'é'.repeat(40_000) }] }],
    ['dependsOn/taskIds/1', { dependsOn: { taskIds: ['b', '17'] } }],
    ['dependsOn/taskIds/0', { dependsOn: { taskIds: ['../x'] } }],
    ['dependsOn/taskIds', { dependsOn: { taskIds: new Array(1001).fill('x'.repeat(64)) } }],
    ['dependsOn/taskIdRanges', { dependsOn: { taskIdRanges: new Array(1001).fill({ start: 0, end: 1 }) } }],
    ['dependsOn/taskIdRanges/0', { dependsOn: { taskIdRanges: [{ start: 5, end: 4 }] } }],
    ['dependsOn/taskIdRanges/0', { dependsOn: { taskIdRanges: [{ start: 10, end: 20 }] } }],
    ['dependsOn/taskIdRanges/0', { dependsOn: { taskIdRanges: [{ start: -1, end: 4 }] } }],
    [
      'exitConditions/exitCodeRanges/0',
      { exitConditions: { exitCodeRanges: [{ start: 2, end: 1, exitOptions: {} }] } },
    ],
    [
      'exitConditions/exitCodes/1',
      {
        exitConditions: {
          exitCodes: [
            { code: 2, exitOptions: {} },
            { code: 2, exitOptions: {} },
          ],
        },
      },
    ],
  ])('is refused for its %s', (property, spec) => {
    expect(fault(spec)).toBe(property);
  });

  test.each([
    '..',
    'a/../b',
    '/etc/passwd',
    'a\\b',
    'a\nb',
    'a\0b',
    'a//b',
    'x'.repeat(256),
    'é'.repeat(130),
    `${'d/'.repeat(70)}f`,
  ])('cannot put a resource file at %j', (filePath) => {
    expect(fault({ resourceFiles: [{ httpUrl: 'http://a/b', filePath }] })).toBe('resourceFiles/0/filePath');
  });

  test('names exactly one source for each resource file, and one that can be fetched', () => {
    expect(fault({ resourceFiles: [{ filePath: 'a' }] })).toBe('resourceFiles/0');
    expect(
      fault({ resourceFiles: [{ httpUrl: 'http://a/b', autoStorageContainerName: 'abc', filePath: 'a' }] }),
    ).toBe('resourceFiles/0');
    expect(fault({ resourceFiles: [{ httpUrl: 'http://a/b' }] })).toBe('resourceFiles/0/filePath');
    for (const httpUrl of [
      'file:///etc/passwd',
      'ftp://a/b',
      'http://',
      'http://a b',
      'mesh://inputs',
      'mesh://inputs/../x',
      'javascript:0',
    ]) {
      expect(fault({ resourceFiles: [{ httpUrl, filePath: 'a' }] })).toBe('resourceFiles/0/httpUrl');
    }
    expect(fault({ resourceFiles: [{ storageContainerUrl: 'mesh://a/b/c' }] })).toBe(
      'resourceFiles/0/storageContainerUrl',
    );
    expect(fault({ resourceFiles: [{ autoStorageContainerName: 'A!' }] })).toBe(
      'resourceFiles/0/autoStorageContainerName',
    );
    expect(fault({ resourceFiles: [{ httpUrl: 'http://a/b', filePath: 'a', blobPrefix: 'x' }] })).toBe(
      'resourceFiles/0/blobPrefix',
    );
  });

  test('names where its outputs go', () => {
    const output = (containerUrl: string, path?: string): NonNullable<TaskSpec['outputFiles']> => [
      {
        filePattern: '*',
        destination: { container: { containerUrl, ...(path === undefined ? {} : { path }) } },
        uploadOptions: { uploadCondition: 'tasksuccess' },
      },
    ];
    expect(fault({ outputFiles: output('file:///x') })).toBe(
      'outputFiles/0/destination/container/containerUrl',
    );
    expect(fault({ outputFiles: output('mesh://out', '../x') })).toBe(
      'outputFiles/0/destination/container/path',
    );
  });
});

describe('ids as integers', () => {
  test('leading zeros do not count, and other ids are none', () => {
    expect(['4', '04', '004'].map(integerOfId)).toEqual([4, 4, 4]);
    expect(integerOfId(`${'0'.repeat(50)}2147483647`)).toBe(2_147_483_647);
    expect(['2147483648', '99999999999', 'x1', '1x', '-1', '1.5', ''].map(integerOfId)).toEqual(
      new Array(7).fill(undefined),
    );
  });
});

describe('a job and a pool', () => {
  const job = { id: 'j', poolInfo: { poolId: 'p' } };

  test('that are well are not refused', () => {
    expect(
      validateJob({
        ...job,
        priority: -1000,
        maxParallelTasks: -1,
        constraints: { maxWallClockTime: 'P1D' },
      }),
    ).toBeUndefined();
    expect(
      validatePool({ id: 'p', vmSize: 'machine', taskSlotsPerNode: 4, resizeTimeout: 'PT15M' }),
    ).toBeUndefined();
  });

  test('are refused with the code and the property', () => {
    expect(validateJob({ ...job, poolInfo: {} })).toMatchObject({
      code: 'MissingRequiredProperty',
      values: { PropertyName: 'poolInfo/poolId' },
    });
    expect(validateJob({ ...job, priority: 1001 })).toMatchObject({ values: { PropertyName: 'priority' } });
    expect(validateJob({ ...job, maxParallelTasks: 0 })).toMatchObject({
      values: { PropertyName: 'maxParallelTasks' },
    });
    expect(validateJob({ ...job, constraints: { maxWallClockTime: 'soon' } })).toMatchObject({
      values: { PropertyName: 'constraints/maxWallClockTime' },
    });
    expect(validateJob({ ...job, commonEnvironmentSettings: [{ name: '' }] })).toMatchObject({
      values: { PropertyName: 'commonEnvironmentSettings/0/name' },
    });
    expect(
      validatePool({ id: 'p', vmSize: 'machine', taskSlotsPerNode: 2, slotsFromCores: true }),
    ).toMatchObject({ values: { PropertyName: 'taskSlotsPerNode' } });
    expect(validatePool({ id: 'p', vmSize: 'machine', resizeTimeout: 'P1Y' })).toMatchObject({
      values: { PropertyName: 'resizeTimeout' },
    });
    expect(validatePool({ id: 'p/q', vmSize: 'machine' })).toMatchObject({ values: { PropertyName: 'id' } });
  });
});
