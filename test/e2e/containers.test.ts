/**
 * Tasks in containers, through real agents. Where scripts/containers/with-podman.sh runs this, the engine is podman; else
 * a stand-in with docker's command line, whose containers outlive whoever asked for them.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { TaskResource } from '../../src/client/shapes.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import { shoal } from './shell.ts';

const STEP_MS_MAX = 45_000;
const realImage = process.env.SHOAL_TEST_IMAGE;
const image = realImage ?? 'localhost/standin:1';
const before = { path: process.env.PATH, store: process.env.DOCKER_CERT_PATH };

let mesh: LocalMesh;
/** Has an engine; the other machine has none. */
let able: LocalAgent;
let unable: LocalAgent;
/** Of the stand-in. */
let store: string;

beforeAll(async () => {
  store = await mkdtemp(join(tmpdir(), 'shoal-engine-'));
  if (realImage === undefined) {
    const engine = join(dirname(fileURLToPath(import.meta.url)), 'engine');
    process.env.PATH = `${engine}${delimiter}${process.env.PATH}`;
    process.env.DOCKER_CERT_PATH = store;
  }
  const containerEngine = realImage === undefined ? 'docker' : 'podman';
  mesh = await LocalMesh.start(1, { config: { containerEngine } });
  able = mesh.alive();
  unable = await mesh.add({ containerEngine: 'none' });
  await mesh.settle();
  await able.client.jobs.add({ id: 'boxed', poolInfo: { poolId: 'default' } });
  await until('the machine says that it has an engine', STEP_MS_MAX, async () => {
    const machines = await able.client.mesh.machines();
    return machines.some(({ capacity }) => capacity.labels.includes('container'));
  });
});
afterAll(async () => {
  await mesh?.stop();
  process.env.PATH = before.path;
  if (before.store === undefined) delete process.env.DOCKER_CERT_PATH;
  else process.env.DOCKER_CERT_PATH = before.store;
  await rm(store, { recursive: true, force: true });
});

function task(id: string): Promise<TaskResource> {
  return able.client.tasks.get('boxed', id);
}

async function add(id: string, commandLine: string, more: Partial<TaskSpec> = {}): Promise<void> {
  const containerSettings = { imageName: image, ...more.containerSettings };
  await able.client.tasks.add('boxed', { id, commandLine, ...more, containerSettings });
}

async function ended(id: string): Promise<TaskResource> {
  await until(`the task ${id} is completed`, STEP_MS_MAX, async () => (await task(id)).state === 'completed');
  return task(id);
}

async function output(id: string): Promise<string> {
  const { code, stdout, stderr } = await shoal(['task', 'logs', 'boxed', id], { data: able.data });
  expect(code, stderr).toBe(0);
  return stdout;
}

/** Processes of the machine, whoever they belong to, that were started with this word. */
async function processesWith(word: string): Promise<number> {
  let count = 0;
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (words[0]?.endsWith('sleep') === true && words[1] === word) count += 1;
  }
  return count;
}

function untilRuns(word: string): Promise<void> {
  return until(`a container sleeps ${word} s`, STEP_MS_MAX, async () => (await processesWith(word)) > 0);
}

function untilGone(word: string): Promise<void> {
  return until(`no container sleeps ${word} s`, STEP_MS_MAX, async () => (await processesWith(word)) === 0);
}

it('a task in a container has its directory, its variables and its own exit code', async () => {
  const environmentSettings = [{ name: 'PLAIN', value: 'a b=c' }];
  const script =
    'pwd; echo "$PLAIN $AZ_BATCH_TASK_ID"; echo made > made.txt; cat $AZ_BATCH_NODE_ROOT_DIR/workitems/boxed/job-1/first/wd/made.txt; exit 7';
  await add('first', `/bin/sh -c '${script}'`, { environmentSettings });
  const { executionInfo, shoal } = await ended('first');
  expect(executionInfo).toMatchObject({ exitCode: 7, failureInfo: { code: 'FailureExitCode' } });
  const said = await output('first');
  expect(said).toContain('/boxed/job-1/first/wd\n');
  expect(said).toContain('a b=c first\nmade\n');
  const machines = await able.client.mesh.machines();
  expect(machines.find(({ id }) => id === shoal?.machine)?.capacity.containerEngine).toMatch(
    realImage === undefined ? /^docker / : /^podman /,
  );
});

it('tasks in containers stay away from machines without an engine, which say so', async () => {
  const explained = await able.client.tasks.explain('boxed', 'first');
  expect(explained.nodes.map(({ rule }) => rule)).toContain('containerEngine');
  for (let number = 0; number < 6; number += 1) await add(`many-${number}`, '/bin/sh -c true');
  const machines = new Set<string | undefined>();
  for (let number = 0; number < 6; number += 1) machines.add((await ended(`many-${number}`)).shoal?.machine);
  expect(machines.size).toBe(1);
  expect(unable.process).toBeDefined();
});

it('an image that cannot be had is the task’s failure', async () => {
  await add('imageless', '/bin/true', { containerSettings: { imageName: '127.0.0.1:1/none/such:1' } });
  const { executionInfo } = await ended('imageless');
  expect(executionInfo?.exitCode).toBeUndefined();
  expect(executionInfo?.failureInfo).toMatchObject({
    category: 'UserError',
    code: 'ContainerImagePullFailed',
    message: expect.stringContaining('127.0.0.1:1/none/such:1'),
  });
});

it('a task may not reach beyond its container by options', async () => {
  for (const containerRunOptions of [
    '--privileged',
    '-v /:/host',
    '--pid=host',
    '--user 0',
    '--net=container:x',
  ]) {
    const adding = add('reaching', '/bin/true', {
      containerSettings: { imageName: image, containerRunOptions },
    });
    await expect(adding).rejects.toMatchObject({ code: 'InvalidPropertyValue' });
  }
});

it('a container ends with its wall-clock time', async () => {
  await add('long', '/bin/sleep 81231', { constraints: { maxWallClockTime: 'PT3S' } });
  await untilRuns('81231');
  const { executionInfo } = await ended('long');
  expect(executionInfo?.failureInfo?.code).toBe('TaskEnded');
  expect(await processesWith('81231')).toBe(0);
});

it('a container is gone when its task was terminated', async () => {
  await add('stopped', '/bin/sleep 81232');
  await untilRuns('81232');
  await able.client.tasks.terminate('boxed', 'stopped');
  await ended('stopped');
  expect(await processesWith('81232')).toBe(0);
});

it('a container ends with its lease, though its agent hangs', async () => {
  await add('leased', '/bin/sleep 81233', { constraints: { maxTaskRetryCount: 0 } });
  await untilRuns('81233');
  mesh.freeze(able);
  await untilGone('81233');
  mesh.thaw(able);
  await until('it runs again', STEP_MS_MAX, async () => (await processesWith('81233')) > 0);
  await able.client.tasks.terminate('boxed', 'leased');
  await untilGone('81233');
});

it('what a killed runner left is removed before its successor runs anything', async () => {
  await add('left', '/bin/sleep 81234');
  await untilRuns('81234');
  const status = await mesh.status(able);
  const { epoch } = (await task('left')).shoal ?? {};
  process.kill(status?.runner.pid ?? 0, 'SIGKILL');
  await until('it runs again', STEP_MS_MAX, async () => {
    const { shoal, state } = await task('left');
    return state === 'running' && shoal?.epoch !== epoch;
  });
  await untilRuns('81234');
  expect(await processesWith('81234')).toBe(1);
  await able.client.tasks.terminate('boxed', 'left');
  await untilGone('81234');
});

it('no record of a container is left behind', async () => {
  await until('all records are gone', STEP_MS_MAX, async () => {
    const records = await readdir(join(able.data, 'private', 'runner', 'containers'));
    return records.length === 0;
  });
});
