import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { readApiVersion } from '../../../src/api/api-version.ts';
import { readRange } from '../../../src/api/byte-range.ts';
import { canonicalizer } from '../../../src/api/case.ts';
import { isNotModified, readCondition } from '../../../src/api/conditions.ts';
import { checkedPath } from '../../../src/api/files.ts';
import { checkHost } from '../../../src/api/host-guard.ts';
import { parseJson, readBody } from '../../../src/api/json-body.ts';
import { parseQuery } from '../../../src/api/query.ts';
import { bodyReader } from '../../../src/api/validate.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { JSON_DEPTH_MAX } from '../../../src/lib/limits.ts';
import { formatTimestamp, parseTimestamp } from '../../../src/lib/timestamps.ts';
import { JobSpec } from '../../../src/model/job.ts';
import { PoolResize } from '../../../src/model/pool.ts';
import { TaskSpec } from '../../../src/model/task.ts';
import { fc } from '../../support/properties.ts';

function errorOf(run: () => unknown): ShoalError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof ShoalError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was refused');
}

const bytes = (text: string): Buffer => Buffer.from(text);

describe('a JSON body', () => {
  test('comes back as it was written', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('__proto__') && !/\\ud[89a-f]/i.test(text));
        expect(parseJson(bytes(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  test.each([
    ['{"a":1e400}', /out of range/],
    ['{"a":-1e999}', /out of range/],
    ['{"__proto__":{"admin":true}}', /__proto__/],
    ['{"a":{"__proto__":1}}', /__proto__/],
    ['{"a":"\\ud800"}', /surrogate/],
    ['{"\\udc00x":1}', /surrogate/],
    ['{"a":1', /not valid/],
    ['{a:1}', /not valid/],
    ['NaN', /not valid/],
    [`${'['.repeat(JSON_DEPTH_MAX + 1)}${']'.repeat(JSON_DEPTH_MAX + 1)}`, /deep/],
    ['['.repeat(4_000_000), /deep/],
    [`"\\\\"${'['.repeat(JSON_DEPTH_MAX + 1)}`, /deep/],
    [`${'[{"a":'.repeat(100_000)}1${'}]'.repeat(100_000)}`, /deep|not valid/],
  ])('such as %.40s is refused', (text, reason) => {
    const error = errorOf(() => parseJson(bytes(text)));
    expect(error.code).toBe('InvalidRequestBody');
    expect(error.message).toMatch(reason);
  });

  test('must be UTF-8', () => {
    expect(errorOf(() => parseJson(Buffer.from([0x22, 0xff, 0x22]))).message).toMatch(/UTF-8/);
  });

  test('may be absent', () => {
    expect(parseJson(bytes(''))).toBeUndefined();
  });

  test('is read to its end and no further than its bound', async () => {
    const limits = { bytesMax: 10, timeoutMs: 5_000, clock: systemClock };
    expect((await readBody(Readable.from([bytes('01234'), bytes('56789')]), limits)).toString()).toBe(
      '0123456789',
    );
    await expect(readBody(Readable.from([bytes('01234'), bytes('567890')]), limits)).rejects.toMatchObject({
      code: 'RequestBodyTooLarge',
    });
  });

  test('that stalls or breaks off is given up', async () => {
    const slow = new PassThrough();
    await expect(readBody(slow, { bytesMax: 10, timeoutMs: 20, clock: systemClock })).rejects.toMatchObject({
      code: 'OperationTimedOut',
    });
    const broken = new PassThrough();
    const read = readBody(broken, { bytesMax: 10, timeoutMs: 5_000, clock: systemClock });
    broken.write('abc');
    broken.destroy();
    await expect(read).rejects.toMatchObject({ code: 'InvalidRequestBody' });
  });
});

describe('a body against its schema', () => {
  const readJob = bodyReader(JobSpec, ['jobManagerTask']);
  const readTask = bodyReader(TaskSpec);
  const job = { id: 'job-1', poolInfo: { poolId: 'p' } };

  test('may write enums as it likes and null for what is absent', () => {
    expect(
      readJob({
        ...job,
        onAllTasksComplete: 'terminateJob',
        displayName: null,
        constraints: { maxWallClockTime: null },
      }),
    ).toEqual({
      ...job,
      onAllTasksComplete: 'terminatejob',
      constraints: {},
    });
    const task = readTask({
      id: 't',
      commandLine: 'true',
      userIdentity: { autoUser: { scope: 'Pool', elevationLevel: 'nonAdmin' } },
      exitConditions: {
        exitCodes: [{ code: 1, exitOptions: { jobAction: 'Terminate', dependencyAction: 'BLOCK' } }],
      },
      outputFiles: [
        {
          filePattern: '*.TXT',
          destination: { container: { containerUrl: 'mesh://OUT' } },
          uploadOptions: { uploadCondition: 'TaskCompletion' },
        },
      ],
    });
    expect(task).toMatchObject({
      userIdentity: { autoUser: { scope: 'pool', elevationLevel: 'nonadmin' } },
      exitConditions: { exitCodes: [{ exitOptions: { jobAction: 'terminate', dependencyAction: 'block' } }] },
      outputFiles: [{ filePattern: '*.TXT', destination: { container: { containerUrl: 'mesh://OUT' } } }],
    });
    expect(bodyReader(PoolResize)({ nodeDeallocationOption: 'TaskCompletion' })).toEqual({
      nodeDeallocationOption: 'taskcompletion',
    });
  });

  test('keeps values that are no enums untouched', () => {
    const text = canonicalizer(TaskSpec)({
      id: 'A',
      commandLine: 'ECHO',
      environmentSettings: [{ name: 'N', value: 'V' }],
    });
    expect(text).toEqual({ id: 'A', commandLine: 'ECHO', environmentSettings: [{ name: 'N', value: 'V' }] });
  });

  test.each([
    [{ ...job, colour: 'red' }, 'InvalidRequestBody', { PropertyName: 'colour' }],
    [{ ...job, poolInfo: { poolId: 'p', x: 1 } }, 'InvalidRequestBody', { PropertyName: 'poolInfo/x' }],
    [{ id: 'job-1' }, 'MissingRequiredProperty', { PropertyName: 'poolInfo' }],
    [{ ...job, id: 'a b' }, 'InvalidPropertyValue', { PropertyName: 'id', PropertyValue: '"a b"' }],
    [{ ...job, id: '../x' }, 'InvalidPropertyValue', { PropertyName: 'id' }],
    [{ ...job, id: 5 }, 'InvalidPropertyValue', { PropertyName: 'id' }],
    [{ ...job, priority: '5' }, 'InvalidPropertyValue', { PropertyName: 'priority' }],
    [{ ...job, priority: 1001 }, 'InvalidPropertyValue', { PropertyName: 'priority' }],
    [{ ...job, maxParallelTasks: 0 }, 'InvalidPropertyValue', { PropertyName: 'maxParallelTasks' }],
    [
      { ...job, onTaskFailure: 'explode' },
      'InvalidPropertyValue',
      { PropertyName: 'onTaskFailure', Reason: 'must be one of noaction, performexitoptionsjobaction' },
    ],

    [[job], 'InvalidRequestBody', {}],
    ['text', 'InvalidRequestBody', {}],
    [undefined, 'InvalidRequestBody', {}],
  ])('%j answers %s', (body, code, values) => {
    const error = errorOf(() => readJob(body));
    expect(error.code).toBe(code);
    expect(error.values).toMatchObject(values);
  });

  test('may name what is not supported as long as it is empty', () => {
    for (const value of [null, false, [], ''])
      expect(readJob({ ...job, jobManagerTask: value })).toEqual(job);
  });
});

describe('a query', () => {
  test('is decoded once and has each name once', () => {
    const query = parseQuery('a=%2525&b=x+y&c&$filter=id%20eq%20%27a%27');
    expect([...query.entries()]).toEqual([
      ['a', '%25'],
      ['b', 'x y'],
      ['c', ''],
      ['$filter', "id eq 'a'"],
    ]);
    expect(errorOf(() => parseQuery('a=1&a=2')).code).toBe('InvalidQueryParameterValue');
    expect(errorOf(() => parseQuery('a=%E0%A4')).code).toBe('InvalidUri');
    expect(errorOf(() => query.requireKnown(['a', 'b', 'c'])).values).toEqual({
      QueryParameterName: '$filter',
    });
  });

  test.each([
    ['-5', 'InvalidQueryParameterValue'],
    ['0', 'InvalidQueryParameterValue'],
    ['1.5', 'InvalidQueryParameterValue'],
    ['ten', 'InvalidQueryParameterValue'],
    ['', 'InvalidQueryParameterValue'],
    ['1001', 'OutOfRangeQueryParameterValue'],
  ])('maxresults=%s answers %s', (text, code) => {
    expect(errorOf(() => parseQuery(`maxresults=${text}`).integer('maxresults', 1, 1000)).code).toBe(code);
  });

  test.each([
    [undefined, 'MissingRequiredQueryParameter'],
    ['', 'UnsupportedRequestVersion'],
    ['2019-08-01.10.0', 'UnsupportedRequestVersion'],
    ['latest', 'UnsupportedRequestVersion'],
  ])('api-version %s answers %s', (text, code) => {
    expect(errorOf(() => readApiVersion(text)).code).toBe(code);
  });

  test.each([
    ['2020-03-01.11.0', 'flat'],
    ['2022-10-01.16.0', 'slots'],
    ['2022-10-01', 'slots'],
    ['2024-07-01.20.0', 'later'],
    ['2025-06-01', 'later'],
  ])('api-version %s speaks of %s', (text, version) => {
    expect(readApiVersion(text)).toBe(version);
  });
});

describe('condition headers', () => {
  const stamp = { eTag: '0x8D', lastModifiedMs: Date.parse('2026-11-21T04:26:00.700Z') };
  const same = 'Sat, 21 Nov 2026 04:26:00 GMT';
  const before = 'Sat, 21 Nov 2026 04:25:59 GMT';

  test.each([
    [{}, false],
    [{ 'if-none-match': '0x8D' }, true],
    [{ 'if-none-match': '"0x8D"' }, true],
    [{ 'if-none-match': '*' }, true],
    [{ 'if-none-match': '0x8E' }, false],
    [{ 'if-modified-since': same }, true],
    [{ 'if-modified-since': before }, false],
    [{ 'if-match': '0x8D' }, false],
    [{ 'if-match': '*' }, false],
    [{ 'if-unmodified-since': same }, false],
  ])('%j: not modified is %s', (headers, expected) => {
    expect(isNotModified(headers, stamp)).toBe(expected);
  });

  test('a read of another version than wanted is refused', () => {
    expect(errorOf(() => isNotModified({ 'if-match': '0x8E' }, stamp)).code).toBe('ConditionNotMet');
    expect(errorOf(() => isNotModified({ 'if-unmodified-since': before }, stamp)).code).toBe(
      'ConditionNotMet',
    );
  });

  test('only one is taken, and dates must be dates', () => {
    const two = { 'if-match': '0x8D', 'if-unmodified-since': same };
    expect(errorOf(() => readCondition(two)).code).toBe('MultipleConditionHeadersNotSupported');
    expect(errorOf(() => readCondition({ 'if-modified-since': 'soon' })).code).toBe('InvalidHeaderValue');
    expect(readCondition({ 'if-match': 'W/"0x8D"' })).toEqual({ condition: { ifMatch: '0x8D' } });
  });
});

describe('a byte range', () => {
  test.each([
    [undefined, undefined],
    ['bytes=0-3', { start: 0, end: 3 }],
    ['bytes=2-', { start: 2, end: 9 }],
    ['bytes=5-100', { start: 5, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-100', { start: 0, end: 9 }],
  ])('%s of ten bytes', (header, range) => {
    expect(readRange(header, 10)).toEqual(range);
  });

  test.each([
    'bytes=10-',
    'bytes=5-4',
    'bytes=-',
    'bytes=-0',
    'bytes=a-b',
    'bytes=0-1,3-4',
    'lines=1-2',
    'bytes=--1',
  ])('%s is refused', (header) => {
    expect(errorOf(() => readRange(header, 10)).code).toBe('InvalidRange');
  });

  test('of an empty file is refused', () => {
    expect(errorOf(() => readRange('bytes=0-', 0)).code).toBe('InvalidRange');
  });
});

describe('a file path', () => {
  test.each(['stdout.txt', 'wd/a b+c#é.txt', '%2e%2e', 'a..b', '...'])('%s is one', (path) => {
    expect(checkedPath(path)).toBe(path);
  });

  test.each([
    '',
    '/etc/passwd',
    '..',
    'wd/../..',
    './a',
    'a//b',
    'a/',
    'a\u0000b',
    'a\nb',
    'a\\b',
    'x'.repeat(5_000),
    `${'a/'.repeat(80)}a`,
  ])('%j is none', (path) => {
    expect(errorOf(() => checkedPath(path)).code).toBe('FileNotFound');
  });
});

describe('the Host header', () => {
  const rule = { boundTo: '127.0.0.1', ownNames: ['shoal-1', 'batch.example'] };
  const check = (headers: { host?: string; origin?: string }, boundTo = rule.boundTo): boolean => {
    try {
      checkHost(headers, { ...rule, boundTo });
      return true;
    } catch {
      return false;
    }
  };

  test.each([
    'localhost',
    'LOCALHOST:80',
    '127.0.0.1:8000',
    '127.1.2.3',
    '[::1]:1',
    'shoal-1',
    'batch.example:443',
  ])('%s is ours', (host) => {
    expect(check({ host })).toBe(true);
  });

  test.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '192.168.1.4',
    '',
    'a b',
    'localhost:x',
    '[::1',
    'shoal-1/x',
  ])('%s is not', (host) => {
    expect(check({ host })).toBe(false);
  });

  test('off loopback an address will do, a foreign name will not', () => {
    expect(check({ host: '192.168.1.4:80' }, '0.0.0.0')).toBe(true);
    expect(check({ host: 'evil.example' }, '0.0.0.0')).toBe(false);
    expect(check({}, '0.0.0.0')).toBe(false);
  });

  test('a page of another origin is refused', () => {
    expect(check({ host: 'localhost:80', origin: 'http://localhost:80' })).toBe(true);
    expect(check({ host: 'localhost:80', origin: 'http://evil.example' })).toBe(false);
    expect(check({ host: 'localhost:80', origin: 'null' })).toBe(false);
  });
});

describe('timestamps', () => {
  test('are written with seven digits', () => {
    expect(formatTimestamp(Date.parse('2026-11-21T04:26:00.123Z'))).toBe('2026-11-21T04:26:00.1230000Z');
    // A year of more digits would keep a client from reading the whole list that it stands in.
    expect(formatTimestamp(8.64e15)).toBe('9999-12-31T23:59:59.9990000Z');
  });

  test('read back what was written', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(parseTimestamp(formatTimestamp(date.getTime()))).toBe(date.getTime());
        },
      ),
    );
  });

  test.each([
    '2026-02-29',
    '2026-13-01',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-1-1',
    '20260101',
    '2026-01-01 00:00:00',
    'now',
    '',
  ])('%s is no moment', (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });
});

test('brackets inside a text are no depth, whatever is escaped there', () => {
  for (const text of ['['.repeat(100), `\\"${'{'.repeat(100)}`, `\\\\`, `a"\\${'['.repeat(40)}\\`])
    expect(parseJson(Buffer.from(JSON.stringify({ [text]: [text] })))).toEqual({ [text]: [text] });
});
