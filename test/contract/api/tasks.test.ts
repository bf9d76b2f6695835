import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
let node: string;
beforeEach(async () => {
  api = new ApiFixture();
  node = await api.withNode();
  await api.withJob();
});

describe('a task', () => {
  test('is added, run and told', async () => {
    const added = await api.ask('POST', '/jobs/j/tasks', {
      json: { id: 'T-1', commandLine: '/bin/false', constraints: { maxTaskRetryCount: 0 } },
    });
    expect(added.status).toBe(201);
    expect(added.headers.location).toBe('http://localhost:8000/jobs/j/tasks/T-1');
    const epoch = await api.control.start('j', 'T-1', node);
    const running = await api.ask('GET', '/jobs/j/tasks/t-1');
    expect(running.body).toMatchObject({
      'odata.metadata': 'http://localhost:8000/$metadata#tasks/@Element',
      id: 'T-1',
      state: 'running',
      nodeInfo: { nodeId: node, poolId: 'p', taskRootDirectory: 'workitems/j/job-1/T-1' },
      shoal: { epoch },
    });
    expect(running.headers.etag).toBe(added.headers.etag);
    expect((await api.ask('GET', '/jobs/j/taskcounts')).body).toMatchObject({
      taskCounts: { active: 0, running: 1, completed: 0 },
    });
    await api.control.finish('j', 'T-1', { node, epoch, exitCode: 3 });
    expect((await api.ask('GET', '/jobs/j/tasks/T-1')).body).toMatchObject({
      state: 'completed',
      previousState: 'running',
      executionInfo: {
        exitCode: 3,
        result: 'failure',
        retryCount: 0,
        failureInfo: { category: 'UserError', code: 'FailureExitCode' },
      },
    });
    const flat = await api.ask('GET', '/jobs/j/taskcounts', { version: '2020-03-01.11.0' });
    expect(flat.body).toMatchObject({ active: 0, running: 0, completed: 1, succeeded: 0, failed: 1 });
    expect((await api.ask('POST', '/jobs/j/tasks/T-1/reactivate')).status).toBe(204);
    expect((await api.ask('GET', '/jobs/j/tasks/T-1')).body.executionInfo).toEqual({
      retryCount: 0,
      requeueCount: 0,
    });
    expect((await api.ask('POST', '/jobs/j/tasks/T-1/terminate')).status).toBe(204);
    expect((await api.ask('GET', '/jobs/j/tasks/T-1')).body).toMatchObject({
      state: 'completed',
      executionInfo: { failureInfo: { code: 'TaskEnded' } },
    });
    expect((await api.ask('DELETE', '/jobs/j/tasks/T-1')).status).toBe(200);
    expect((await api.ask('GET', '/jobs/j/tasks/T-1')).body.code).toBe('TaskNotFound');
  });

  test('takes new constraints, under a condition', async () => {
    await api.withTask('t');
    const got = await api.ask('GET', '/jobs/j/tasks/t');
    const eTag = String(got.headers.etag);
    const put = await api.ask('PUT', '/jobs/j/tasks/t', {
      json: { constraints: { maxTaskRetryCount: 3 } },
      headers: { 'if-match': eTag },
    });
    expect(put.status).toBe(200);
    expect((await api.ask('GET', '/jobs/j/tasks/t')).body.constraints).toMatchObject({
      maxTaskRetryCount: 3,
      retentionTime: 'P7D',
    });
    expect(
      (await api.ask('PUT', '/jobs/j/tasks/t', { json: {}, headers: { 'if-match': eTag } })).status,
    ).toBe(412);
    expect((await api.ask('PUT', '/jobs/j/tasks/t', { json: { commandLine: 'x' } })).body.code).toBe(
      'InvalidRequestBody',
    );
  });

  test.each(['', 'a b', '../x', 'x;id', '$(id)', 'x\ny', '\u202ex', 'x'.repeat(513)])(
    'of an image %j is refused by that name',
    async (imageName) => {
      const json = { id: 't', commandLine: 'x', containerSettings: { imageName } };
      const answer = await api.ask('POST', '/jobs/j/tasks', { json });
      expect(answer).toMatchObject({ status: 400, body: { code: 'InvalidPropertyValue' } });
    },
  );

  test.each([
    [{ commandLine: undefined }, 400, 'MissingRequiredProperty'],
    [{ commandLine: '' }, 400, 'InvalidPropertyValue'],
    [{ id: 'a b' }, 400, 'InvalidPropertyValue'],
    [{ requiredSlots: 5 }, 400, 'TaskCanNeverRun'],
    [{ dependsOn: { taskIds: ['x'] } }, 400, 'TaskDependenciesNotSpecifiedOnJob'],
    [{ containerSettings: { imageName: '--privileged' } }, 400, 'InvalidPropertyValue'],
    [
      { containerSettings: { imageName: 'x', registry: { username: 'a:b', password: 'c' } } },
      400,
      'InvalidPropertyValue',
    ],
    [
      { containerSettings: { imageName: 'x', containerRunOptions: '--privileged' } },
      400,
      'InvalidPropertyValue',
    ],
    [{ resourceFiles: [{ httpUrl: 'http://x', filePath: '../../etc/passwd' }] }, 400, 'InvalidPropertyValue'],
    [{ environmentSettings: [{ name: 'A=B', value: '' }] }, 400, 'InvalidPropertyValue'],
    [{ exitConditions: { default: { jobAction: 'explode' } } }, 400, 'InvalidPropertyValue'],
  ])('with %j answers %i %s', async (change, status, code) => {
    const answer = await api.ask('POST', '/jobs/j/tasks', {
      json: { id: 't', commandLine: '/bin/true', ...change },
    });
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test('in a container is shown without the password of its registry', async () => {
    const containerSettings = {
      imageName: 'registry.example/x:1',
      registry: { username: 'me', password: 'secret', registryServer: 'registry.example' },
      workingDirectory: 'containerImageDefault',
    };
    const json = { id: 'boxed', commandLine: 'true', containerSettings };
    expect((await api.ask('POST', '/jobs/j/tasks', { json })).status).toBe(201);
    const { body } = await api.ask('GET', '/jobs/j/tasks/boxed');
    expect(body.containerSettings).toEqual({
      imageName: 'registry.example/x:1',
      registry: { username: 'me', registryServer: 'registry.example' },
      workingDirectory: 'containerimagedefault',
    });
    const { body: explained } = await api.ask('GET', '/shoal/v1/jobs/j/tasks/boxed/explain');
    expect(explained.nodes).toMatchObject([{ verdict: 'refused', rule: 'containerEngine' }]);
  });

  test('has no subtasks', async () => {
    await api.withTask('t');
    expect((await api.ask('GET', '/jobs/j/tasks/t/subtasksinfo')).body.value).toEqual([]);
    expect((await api.ask('GET', '/jobs/j/tasks/nobody/subtasksinfo')).body.code).toBe('TaskNotFound');
  });

  test('says why it does not run', async () => {
    await api.ask('POST', `/pools/p/nodes/${node}/disablescheduling`);
    await api.withTask('t');
    const answer = await api.ask('GET', '/shoal/v1/jobs/j/tasks/t/explain');
    expect(answer.body).toMatchObject({
      state: 'active',
      nodes: [expect.objectContaining({ node, verdict: 'refused' })],
    });
  });
});

describe('a collection of tasks', () => {
  const tasks = (count: number, extra = {}) =>
    Array.from({ length: count }, (_, index) => ({ id: `t-${index}`, commandLine: '/bin/true', ...extra }));

  test('gives each task a result of its own', async () => {
    await api.withTask('t-1');
    const value = [
      ...tasks(3),
      { id: 'bad id', commandLine: 'x' },
      { id: 'worse', commandLine: 'x', colour: 1 },
    ];
    const answer = await api.ask('POST', '/jobs/j/addtaskcollection', { json: { value } });
    expect(answer.status).toBe(200);
    const results = new Map(answer.body.value.map((result: { taskId: string }) => [result.taskId, result]));
    expect(results.size).toBe(5);
    expect(results.get('t-0')).toMatchObject({
      status: 'success',
      location: 'http://localhost:8000/jobs/j/tasks/t-0',
      eTag: expect.any(String),
    });
    expect(results.get('t-1')).toMatchObject({
      status: 'clienterror',
      error: { code: 'TaskExists', message: { lang: 'en-US' } },
    });
    expect(results.get('bad id')).toMatchObject({
      status: 'clienterror',
      error: { code: 'InvalidPropertyValue' },
    });
    expect(results.get('worse')).toMatchObject({
      status: 'clienterror',
      error: {
        code: 'InvalidRequestBody',
        values: [{ key: 'PropertyName', value: 'colour' }, expect.anything()],
      },
    });
  });

  test('has at most 100, or more for who says so', async () => {
    const json = { value: tasks(101) };
    expect((await api.ask('POST', '/jobs/j/addtaskcollection', { json })).body.code).toBe(
      'InvalidPropertyValue',
    );
    const headers = { 'shoal-tasks-per-add': 'extended' };
    expect((await api.ask('POST', '/jobs/j/addtaskcollection', { json, headers })).body.value).toHaveLength(
      101,
    );
  });

  test.each([
    [{}, 'MissingRequiredProperty'],
    [{ value: [] }, 'InvalidPropertyValue'],
    [{ value: [5] }, 'MissingRequiredProperty'],
    [{ value: [{ id: 't', commandLine: 'x' }], more: 1 }, 'InvalidRequestBody'],
  ])('%j answers %s', async (json, code) => {
    expect((await api.ask('POST', '/jobs/j/addtaskcollection', { json })).body.code).toBe(code);
  });

  test('for a job that is not there is refused whole', async () => {
    for (const value of [tasks(2), [{ id: 'bad id', commandLine: 'x' }]]) {
      expect((await api.ask('POST', '/jobs/nobody/addtaskcollection', { json: { value } })).body.code).toBe(
        'JobNotFound',
      );
    }
  });

  test('is one command and one round', async () => {
    await api.ask('GET', '/jobs/j');
    api.control.calls.length = 0;
    await api.ask('POST', '/jobs/j/addtaskcollection', { json: { value: tasks(100) } });
    expect(api.control.calls).toEqual(['task.add']);
  });

  test('is listed in order, in pages, filtered', async () => {
    await api.ask('POST', '/jobs/j/addtaskcollection', { json: { value: tasks(25) } });
    const seen: string[] = [];
    let path: string | undefined = '/jobs/j/tasks?maxresults=10&$select=id';
    while (path !== undefined) {
      const page: Awaited<ReturnType<ApiFixture['ask']>> = await api.ask('GET', path);
      seen.push(...page.body.value.map((task: { id: string }) => task.id));
      path = page.body['odata.nextLink']?.slice('http://localhost:8000'.length);
    }
    expect(seen).toEqual(tasks(25).map((task) => task.id));
    const epoch = await api.control.start('j', 't-7', node);
    await api.control.finish('j', 't-7', { node, epoch, exitCode: 1 });
    const filter = encodeURIComponent("state eq 'completed' and executionInfo/exitCode ne 0");
    const failed = await api.ask('GET', `/jobs/j/tasks?$filter=${filter}`);
    expect(failed.body.value.map((task: { id: string }) => task.id)).toEqual(['t-7']);
  });
});

describe('files of a task', () => {
  beforeEach(async () => {
    await api.withTask('t');
    api.control.files.writeTaskFile('j', 't', 'stdout.txt', 'hello world');
    api.control.files.writeTaskFile('j', 't', 'wd/a b+c#é.txt', 'in wd');
    api.control.files.writeTaskFile('j', 't', 'wd/empty', '');
  });
  const files = '/jobs/j/tasks/t/files';

  test('are listed, flat or in depth, by prefix and in pages', async () => {
    const names = async (query: string): Promise<string[]> =>
      (await api.ask('GET', `${files}${query}`)).body.value.map((file: { name: string }) => file.name);
    expect(await names('')).toEqual(['stdout.txt', 'wd']);
    expect(await names('?recursive=True')).toEqual(['stdout.txt', 'wd', 'wd/a b+c#é.txt', 'wd/empty']);
    expect(await names("?recursive=true&$filter=startswith(name,'wd/a')")).toEqual(['wd/a b+c#é.txt']);
    const page = await api.ask('GET', `${files}?recursive=true&maxresults=3`);
    expect(page.body.value).toHaveLength(3);
    expect(page.body.value[0]).toMatchObject({
      isDirectory: false,
      properties: { contentLength: '11', contentType: 'text/plain' },
    });
    const rest = await api.ask('GET', page.body['odata.nextLink'].slice('http://localhost:8000'.length));
    expect(rest.body.value.map((file: { name: string }) => file.name)).toEqual(['wd/empty']);
  });

  test('are read whole or in part, and a part answers 200', async () => {
    const whole = await api.ask('GET', `${files}/stdout.txt`);
    expect([whole.status, whole.text]).toEqual([200, 'hello world']);
    expect(whole.headers).toMatchObject({
      'content-length': '11',
      'content-type': 'text/plain',
      'content-disposition': 'attachment',
      'ocp-batch-file-isdirectory': 'False',
      'ocp-batch-file-url': 'http://localhost:8000/jobs/j/tasks/t/files/stdout.txt',
      'ocp-batch-file-mode': '0o100644',
    });
    const part = await api.ask('GET', `${files}/stdout.txt`, { headers: { 'ocp-range': 'bytes=6-' } });
    expect([part.status, part.text, part.headers['content-length']]).toEqual([200, 'world', '5']);
    expect(
      (await api.ask('GET', `${files}/stdout.txt`, { headers: { 'ocp-range': 'bytes=11-' } })).status,
    ).toBe(416);
    expect((await api.ask('GET', `${files}/wd%2Fa%20b%2Bc%23%C3%A9.txt`)).text).toBe('in wd');
    expect((await api.ask('GET', `${files}/wd/a%20b%2Bc%23%C3%A9.txt`)).text).toBe('in wd');
    const blank = await api.ask('GET', `${files}/wd%2Fempty`);
    expect([blank.status, blank.text, blank.headers['content-length']]).toEqual([200, '', '0']);
    const since = { 'if-modified-since': String(whole.headers['last-modified']) };
    expect((await api.ask('GET', `${files}/stdout.txt`, { headers: since })).status).toBe(304);
  });

  test('tell their properties', async () => {
    const head = await api.ask('HEAD', `${files}/stdout.txt`);
    expect([head.status, head.text, head.headers['content-length']]).toEqual([200, '', '11']);
    expect((await api.ask('HEAD', `${files}/wd`)).headers['ocp-batch-file-isdirectory']).toBe('True');
    const missing = await api.ask('HEAD', `${files}/nothing`);
    expect([missing.status, missing.text]).toEqual([404, '']);
    expect((await api.ask('GET', `${files}/wd`)).body.code).toBe('FileNotFound');
  });

  test('are deleted', async () => {
    expect((await api.ask('DELETE', `${files}/stdout.txt?recursive=false`)).status).toBe(200);
    expect((await api.ask('GET', `${files}/stdout.txt`)).body.code).toBe('FileNotFound');
  });

  test.each(['..%2f..%2fetc%2fpasswd', '%2fetc%2fpasswd', 'a%00b', 'a%5c..%5cb', 'a%0ab', 'x%2f%2fy'])(
    'are not reached by %s',
    async (path) => {
      expect((await api.ask('GET', `${files}/${path}`)).body.code).toBe('FileNotFound');
    },
  );

  test('a file that grows while it is sent ends where its length said', async () => {
    const { files: source } = api.control;
    const stat = source.statTaskFile;
    source.statTaskFile = async (...args) => {
      const entry = await stat(...args);
      source.appendTaskFile('j', 't', 'stdout.txt', ' and more');
      return entry;
    };
    const answer = await api.ask('GET', `${files}/stdout.txt`);
    expect([answer.text, answer.headers['content-length']]).toEqual(['hello world', '11']);
  });

  test('of a node are the same, below its root', async () => {
    api.control.files.writeNodeFile('p', node, 'startup/wd/hello.txt', 'hi');
    expect((await api.ask('GET', `/pools/p/nodes/${node}/files/startup%2Fwd%2Fhello.txt`)).text).toBe('hi');
    expect(
      (await api.ask('HEAD', `/pools/p/nodes/${node}/files/startup`)).headers['ocp-batch-file-isdirectory'],
    ).toBe('True');
    const listed = await api.ask('GET', `/pools/p/nodes/${node}/files?recursive=true`);
    expect(listed.body.value.map((file: { name: string }) => file.name)).toEqual([
      'startup',
      'startup/wd',
      'startup/wd/hello.txt',
    ]);
    const startup = `/pools/p/nodes/${node}/files/startup`;
    expect((await api.ask('DELETE', startup)).body.code).toBe('OperationInvalidForCurrentState');
    expect((await api.ask('DELETE', `${startup}%2F..%2Fstartup?recursive=true`)).body.code).toBe(
      'FileNotFound',
    );
    expect((await api.ask('DELETE', `${startup}?recursive=true`)).status).toBe(200);
    expect((await api.ask('HEAD', startup)).status).toBe(404);
    expect((await api.ask('GET', `/pools/nobody/nodes/${node}/files`)).body.code).toBe('PoolNotFound');
  });
});

describe('a followed file', () => {
  const follow = '/shoal/v1/jobs/j/tasks/t/follow';

  test('comes as it grows and ends with the task', async () => {
    await api.withTask('t');
    const directory = await mkdtemp(join(tmpdir(), 'shoal-follow-'));
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    const heard = new Promise<string>((resolve, reject) => {
      const outgoing = httpRequest({ socketPath, path: `${follow}?file=stdout.txt` }, (response) =>
        resolve(text(response)),
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
    const epoch = await api.control.start('j', 't', node);
    const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));
    api.control.files.appendTaskFile('j', 't', 'stdout.txt', 'one ');
    await wait();
    api.control.files.appendTaskFile('j', 't', 'stdout.txt', 'two ');
    await wait();
    api.control.files.appendTaskFile('j', 't', 'stdout.txt', 'three');
    await api.control.finish('j', 't', { node, epoch, exitCode: 0 });
    expect(await heard).toBe('one two three');
    await api.api.close();
    await rm(directory, { recursive: true });
  });

  test('of a task that has ended is what there is', async () => {
    await api.withTask('t');
    const epoch = await api.control.start('j', 't', node);
    await api.control.finish('j', 't', { node, epoch, exitCode: 0 });
    expect((await api.ask('GET', follow)).body.code).toBe('FileNotFound');
    api.control.files.writeTaskFile('j', 't', 'stdout.txt', 'all of it');
    const answer = await api.ask('GET', follow);
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([
      200,
      'all of it',
      'text/plain',
    ]);
    expect((await api.ask('GET', `${follow}?file=../x`)).body.code).toBe('FileNotFound');
    expect((await api.ask('GET', '/shoal/v1/jobs/j/tasks/nobody/follow')).body.code).toBe('TaskNotFound');
  });
});
