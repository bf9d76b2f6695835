/** Pools, nodes, jobs, tasks and files through the command line, on three agents. */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesBelow } from '../../scripts/local-mesh/census.ts';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type {
  FileResource,
  JobResource,
  NodeResource,
  PoolResource,
  TaskResource,
} from '../../src/client/shapes.ts';
import type { LocalStatus } from '../../src/model/control.ts';
import { type Ran, shoal, shoalJson } from './shell.ts';

const SECRET = 'what-the-agent-was-started-with';
const STEP_MS_MAX = 20_000;
let mesh: LocalMesh;
/** Where tasks may write beside their own directories. */
let scratch: string;
/** Data directories of three agents: what goes in through one comes out of another. */
let first: string;
let second: string;
let third: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-work-'));
  await chmod(scratch, 0o777);
  process.env.SHOAL_TEST_SECRET = SECRET;
  mesh = await LocalMesh.start(3);
  [first = '', second = '', third = ''] = mesh.agents.map(({ data }) => data);
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});

async function job(id: string, ...flags: string[]): Promise<void> {
  expect(await shoal(['job', 'create', id, ...flags], { data: first })).toMatchObject({ code: 0 });
}

async function add(job: string, task: string, flags: readonly string[], command: string): Promise<void> {
  const words = ['task', 'add', job, '--id', task, ...flags, '--shell', '--', command];
  expect(await shoal(words, { data: first })).toMatchObject({ code: 0 });
}

function wait(job: string): Promise<Ran> {
  return shoal(['job', 'wait', job, '--timeout', '40s'], { data: second });
}

function task(job: string, id: string): Promise<TaskResource> {
  return shoalJson(['task', 'show', job, id], { data: third });
}

describe('every agent', () => {
  it('answers for the mesh, and finds nothing wrong with it', async () => {
    for (const data of [first, second, third]) {
      const status = await shoalJson<LocalStatus>(['status'], { data });
      expect(status.connectedPeers).toHaveLength(2);
      expect(status.groups.map(({ group }) => group).sort()).toEqual(['mesh', 'pool:default']);
      const doctor = await shoal(['doctor'], { data });
      expect(doctor.code, doctor.stdout).toBe(0);
    }
  });

  it('shows the pool with a node on each machine', async () => {
    const pools = await shoalJson<readonly PoolResource[]>(['pool', 'list'], { data: second });
    expect(pools).toMatchObject([{ id: 'default', state: 'active', currentLowPriorityNodes: 3 }]);
    const nodes = await shoalJson<readonly NodeResource[]>(['node', 'list'], { data: third });
    expect(new Set(nodes.map((node) => node.shoal?.machine)).size).toBe(3);
  });
});

describe('exit codes', () => {
  it('tell what is missing, there already, or not valid', async () => {
    await job('codes');
    const codes: [number, string[]][] = [
      [3, ['job', 'show', 'nothing']],
      [3, ['task', 'show', 'codes', 'nothing']],
      [3, ['pool', 'show', 'nothing']],
      [3, ['machine', 'drain', 'nothing']],
      [3, ['file', 'get', 'mesh://nothing/here', scratch]],
      [4, ['job', 'create', 'codes']],
      [2, ['job', 'create', 'not/valid']],
      [2, ['job', 'create', 'codes', '--retries', 'many']],
      [2, ['run', '--', 'echo', '{2}', ':::', 'a']],
      [7, ['job', 'wait', 'codes', '--timeout', '1s']],
    ];
    await add('codes', 'long', [], 'sleep 30');
    for (const [code, words] of codes)
      expect(await shoal(words, { data: second }), words.join(' ')).toMatchObject({ code });
    expect(await shoal(['job', 'delete', 'codes'], { data: first })).toMatchObject({ code: 0 });
  });
});

describe('shoal run', () => {
  it('prints in the order of the items, whatever ends first', async () => {
    const words = ['run', '--shell', '--', 'sleep 0.{}; echo {}', ':::', '4', '3', '2', '1'];
    expect(await shoal(words, { data: second })).toEqual({ code: 0, stdout: '4\n3\n2\n1\n', stderr: '' });
  });

  it('ends with the worst exit code, and says which task had it', async () => {
    const words = ['run', '--shell', '--', 'echo {} >&2; exit {}', ':::', '0', '3', '7', '5'];
    const { code, stdout, stderr } = await shoal(words, { data: second });
    expect(code, stderr).toBe(7);
    expect(stdout).toBe('');
    expect(stderr).toContain('0003: 7\n');
    expect(stderr).toContain('3 of 4 tasks failed; the worst exit code is 7 (task 0003)');
  });

  it('takes items from a pipe, and from several lists', async () => {
    const piped = await shoal(['run', '--', 'echo', 'hi'], { data: third, input: 'a b\nc\n' });
    expect(piped).toEqual({ code: 0, stdout: 'hi a b\nhi c\n', stderr: '' });
    const lists = await shoal(['run', '--', 'echo', '{2}{1}', ':::', 'a', 'b', ':::', '1', '2'], {
      data: third,
    });
    expect(lists.stdout).toBe('1a\n2a\n1b\n2b\n');
  });

  it('carries files there and back', async () => {
    const directory = join(scratch, 'there');
    await mkdir(directory);
    for (const name of ['x', 'y']) await writeFile(join(directory, `${name}.txt`), `${name}\n`.repeat(1000));
    const words = ['run', '--input', '{}', '--output', '{.}.sum', '--out', 'back', '--flat', '--shell'];
    const ran = await shoal([...words, '--', 'wc -l <{} >{.}.sum', ':::', 'x.txt', 'y.txt'], {
      data: second,
      directory,
    });
    expect(ran).toMatchObject({ code: 0 });
    for (const name of ['x', 'y'])
      expect((await readFile(join(directory, 'back', `${name}.sum`), 'utf8')).trim()).toBe('1000');
  });
});

describe('a task', () => {
  it('that exits with other than 0 runs again as often as it may', async () => {
    await job('retries', '--retries', '2');
    const marker = join(scratch, 'tried');
    await add('retries', 'second-try', [], `test -e ${marker} && exit 0; echo 1 >${marker}; exit 9`);
    await add('retries', 'never', [], 'exit 6');
    expect((await wait('retries')).code).toBe(6);
    const succeeded = await task('retries', 'second-try');
    expect(succeeded.executionInfo).toMatchObject({ result: 'success', exitCode: 0, retryCount: 1 });
    const failed = await task('retries', 'never');
    expect(failed.executionInfo).toMatchObject({ result: 'failure', exitCode: 6, retryCount: 2 });
  });

  it('is killed at the end of its wall clock time, with all its processes', async () => {
    await job('clock');
    await add('clock', 'endless', ['--timeout', '1s'], 'sleep 31.41 & sleep 31.41');
    expect((await wait('clock')).code).not.toBe(0);
    const { executionInfo } = await task('clock', 'endless');
    expect(executionInfo?.result).toBe('failure');
    const ranMs = Date.parse(executionInfo?.endTime ?? '') - Date.parse(executionInfo?.startTime ?? '');
    expect(ranMs).toBeGreaterThan(900);
    expect(ranMs).toBeLessThan(10_000);
  });

  it('starts when those it depends on have succeeded, and not before', async () => {
    await job('order', '--dependencies');
    await add('order', 'last', ['--depends-on', 'first', '--depends-on', 'other'], 'echo last');
    await add('order', 'other', [], 'sleep 0.3');
    await add('order', 'first', [], 'sleep 0.5');
    expect(await wait('order')).toMatchObject({ code: 0 });
    const [one, other, last] = await Promise.all(['first', 'other', 'last'].map((id) => task('order', id)));
    for (const before of [one, other])
      expect(Date.parse(last?.executionInfo?.startTime ?? '')).toBeGreaterThanOrEqual(
        Date.parse(before?.executionInfo?.endTime ?? ''),
      );
  });

  it('is told apart from the agent: none of its secrets, its files only where it must share its user', async () => {
    await job('secrets');
    const isRoot = process.getuid?.() === 0;
    await add('secrets', 'environment', [], 'env; cat /proc/1/environ; exit 0');
    await add(
      'secrets',
      'files',
      [],
      `cat ${first}/private/identity.key ${second}/config.json ${third}/api.sock`,
    );
    await wait('secrets');
    const { stdout } = await shoal(['task', 'logs', 'secrets', 'environment'], { data: first });
    expect(stdout).toContain('AZ_BATCH_TASK_ID=environment');
    expect(stdout).not.toContain(SECRET);
    expect(stdout).not.toMatch(/KEY|SECRET|TOKEN/);
    const files = await shoal(['task', 'logs', 'secrets', 'files'], { data: first });
    if (isRoot) expect(files.stdout).toBe('');
    expect((await task('secrets', 'files')).executionInfo?.exitCode).toBe(1);
  });

  it('that waits for what no machine has says why', async () => {
    await job('picky');
    const words = ['task', 'add', 'picky', '--id', 'gpu', '--label', 'gold', '--', 'true'];
    const added = await shoal(words, { data: first });
    const explained = await shoal(['task', 'explain', 'picky', 'gpu'], { data: second });
    expect(`${added.stderr}${explained.stdout}`).toContain('gold');
    expect(await shoal(['job', 'delete', 'picky'], { data: first })).toMatchObject({ code: 0 });
  });
});

describe('a job', () => {
  it('that is disabled starts nothing, and goes on when it is enabled', async () => {
    await job('held');
    expect(await shoal(['job', 'disable', 'held'], { data: first })).toMatchObject({ code: 0 });
    await add('held', 't', [], 'echo done');
    const explained = await shoal(['task', 'explain', 'held', 't'], { data: second });
    expect(explained.stdout).toContain('disabled');
    expect((await task('held', 't')).state).toBe('active');
    expect(await shoal(['job', 'enable', 'held'], { data: third })).toMatchObject({ code: 0 });
    expect(await wait('held')).toMatchObject({ code: 0 });
  });

  it('that is terminated kills what runs', async () => {
    await job('cut');
    await add('cut', 'long', [], 'sleep 61.62');
    await until('it runs', STEP_MS_MAX, async () => (await task('cut', 'long')).state === 'running');
    expect(await shoal(['job', 'terminate', 'cut', '--reason', 'enough'], { data: second })).toMatchObject({
      code: 0,
    });
    expect((await wait('cut')).code).not.toBe(0);
    expect((await task('cut', 'long')).executionInfo?.result).toBe('failure');
    const left = await processesBelow(mesh.directory);
    expect(left.filter(({ words }) => words.includes('61.62'))).toEqual([]);
  });

  it('is listed by its state', async () => {
    const completed = await shoalJson<readonly JobResource[]>(['job', 'list', '--state', 'completed'], {
      data: first,
    });
    expect(completed.every(({ state }) => state === 'completed')).toBe(true);
    expect(completed.length).toBeGreaterThan(0);
  });
});

describe('files', () => {
  it('put through one agent come out of another, whole', async () => {
    const bytes = randomBytes(5 * 1024 * 1024 + 17);
    const source = join(scratch, 'large.bin');
    await writeFile(source, bytes);
    expect(await shoal(['file', 'put', source, 'mesh://models/v1/large.bin'], { data: first })).toMatchObject(
      {
        code: 0,
      },
    );
    const copy = join(scratch, 'copy.bin');
    expect(await shoal(['file', 'get', 'mesh://models/v1/large.bin', copy], { data: third })).toMatchObject({
      code: 0,
    });
    const sha = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex');
    expect(sha(await readFile(copy))).toBe(sha(bytes));
    const listed = await shoal(['file', 'ls', 'mesh://models/v1/'], { data: second });
    expect(listed.stdout).toContain('large.bin');
    expect(await shoal(['file', 'rm', 'mesh://models/v1/large.bin'], { data: second })).toMatchObject({
      code: 0,
    });
    expect(await shoal(['file', 'get', 'mesh://models/v1/large.bin', copy], { data: first })).toMatchObject({
      code: 3,
    });
  });

  it('of a task are read from whichever machine has them', async () => {
    await job('papers');
    await add('papers', 't', [], 'echo out; echo err >&2; mkdir sub; echo deep >sub/file.txt');
    expect(await wait('papers')).toMatchObject({ code: 0 });
    for (const data of [first, second, third]) {
      expect((await shoal(['task', 'logs', 'papers', 't'], { data })).stdout).toBe('out\n');
      expect((await shoal(['task', 'logs', '--stderr', 'papers', 't'], { data })).stdout).toBe('err\n');
      const deep = await shoal(['task', 'files', 'papers', 't', 'wd/sub/file.txt'], { data });
      expect(deep).toMatchObject({ code: 0, stdout: 'deep\n' });
    }
    const files = await shoalJson<readonly FileResource[]>(['task', 'files', '-r', 'papers', 't'], {
      data: second,
    });
    expect(files.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['stdout.txt', 'stderr.txt', 'wd/sub/file.txt']),
    );
  });
});
