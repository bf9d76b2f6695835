/** Running tasks give way to those of a job of higher priority, on real agents, where their job allows it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { JobResource, TaskResource } from '../../src/client/shapes.ts';
import { shoal, shoalJson } from './shell.ts';

const STEP_MS_MAX = 40_000;
let mesh: LocalMesh;
let data: string;

beforeAll(async () => {
  mesh = await LocalMesh.start(1);
  data = mesh.alive().data;
  await run('pool', 'create', 'narrow', '--size', 'shoal.1c1g', '--nodes', '1', '--slots', '1');
});
afterAll(() => mesh?.stop());

async function run(...words: string[]): Promise<void> {
  const { code, stderr } = await shoal(words, { data });
  expect(code, stderr).toBe(0);
}

function task(job: string, id: string): Promise<TaskResource> {
  return shoalJson(['task', 'show', job, id], { data });
}

function untilTask(job: string, id: string, state: string): Promise<void> {
  return until(`${job}/${id} is ${state}`, STEP_MS_MAX, async () => (await task(job, id)).state === state);
}

async function begin(job: string, flags: readonly string[], command: string): Promise<void> {
  await run('job', 'create', job, '--pool', 'narrow', ...flags);
  await run('task', 'add', job, '--id', 'one', '--shell', '--', command);
}

it('a running task of a preemptible job is put back for one of higher priority, and runs again uncounted', async () => {
  await begin('low', ['--priority', '-10', '--preemptible'], 'sleep 300');
  await untilTask('low', 'one', 'running');
  const first = await task('low', 'one');
  await begin('high', [], 'sleep 300');
  await untilTask('high', 'one', 'running');
  expect(await task('low', 'one')).toMatchObject({ state: 'active', executionInfo: { retryCount: 0 } });
  await run('task', 'terminate', 'high', 'one');
  await untilTask('low', 'one', 'running');
  expect((await task('low', 'one')).shoal?.epoch).toBeGreaterThan(first.shoal?.epoch ?? 0);
  await run('job', 'delete', 'high');
});

it('a job that allows it stays where it is beside its equals, and one that does not beside its betters', async () => {
  const { epoch } = (await task('low', 'one')).shoal ?? {};
  await begin('equal', ['--priority', '-10'], 'true');
  await run('job', 'terminate', 'low');
  await untilTask('equal', 'one', 'completed');
  expect((await task('low', 'one')).shoal?.epoch).toBe(epoch);
  await begin('firm', ['--priority', '-10'], 'sleep 5');
  await untilTask('firm', 'one', 'running');
  await begin('better', ['--priority', '10'], 'true');
  await untilTask('better', 'one', 'completed');
  const firm = await task('firm', 'one');
  expect(firm).toMatchObject({ state: 'completed', executionInfo: { exitCode: 0, requeueCount: 0 } });
});

it('`shoal run` makes such jobs too', async () => {
  const words = [
    'run',
    '--pool',
    'narrow',
    '--name',
    'asked',
    '--priority',
    '5',
    '--preemptible',
    '--',
    'true',
  ];
  await run(...words);
  const job = await shoalJson<JobResource>(['job', 'show', 'asked'], { data });
  expect(job).toMatchObject({ priority: 5, allowTaskPreemption: true });
});
