/** Start, job preparation and job release tasks, a job manager, and restarts, with real agents and processes. */
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { JobNodeResource, JobResource, NodeResource, TaskResource } from '../../src/client/shapes.ts';
import { shoal, shoalJson } from './shell.ts';

const STEP_MS_MAX = 30_000;
let mesh: LocalMesh;
/** Where tasks of all nodes write what they saw. */
let scratch: string;
let data: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-node-tasks-'));
  await chmod(scratch, 0o777);
  mesh = await LocalMesh.start(2);
  data = mesh.agents[0]?.data ?? '';
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});

async function run(...words: string[]): Promise<void> {
  const { code, stderr } = await shoal(words, { data });
  expect(code, stderr).toBe(0);
}

function nodes(): Promise<readonly NodeResource[]> {
  return shoalJson(['node', 'list', '--pool', 'prepared'], { data });
}

function untilNodes(what: string, holds: (nodes: readonly NodeResource[]) => boolean): Promise<void> {
  return until(what, STEP_MS_MAX, async () => holds(await nodes()));
}

function untilCompleted(job: string): Promise<void> {
  return until(`the job ${job} is completed`, STEP_MS_MAX, async () => {
    return (await shoalJson<JobResource>(['job', 'show', job], { data })).state === 'completed';
  });
}

/** Lines that were written under this name, in order. */
async function said(name: string): Promise<string[]> {
  const text = await readFile(join(scratch, name), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

function say(name: string, text: string): string {
  // Each node's tasks run as a user of their own, and all append to the same file.
  return `umask 0; echo "${text}" >> ${join(scratch, name)}`;
}

it('a node runs its start task first, and is out where that fails', async () => {
  const start = `/bin/sh -c '${say('start', '$AZ_BATCH_NODE_ID job=$AZ_BATCH_JOB_ID')}; echo tool > $AZ_BATCH_NODE_SHARED_DIR/tool; pwd; test ! -e ${scratch}/broken'`;
  await run(
    'pool',
    'create',
    'prepared',
    '--size',
    'shoal.1c1g',
    '--nodes',
    '2',
    '--slots',
    '2',
    '--start-task',
    start,
  );
  await untilNodes(
    'both nodes idle',
    (all) => all.length === 2 && all.every(({ state }) => state === 'idle'),
  );
  const ids = (await nodes()).map(({ id }) => id).sort();
  expect((await said('start')).sort()).toEqual(ids.map((id) => `${id} job=`));
  const [id = ''] = ids;
  const node = await shoalJson<NodeResource>(['node', 'show', 'prepared', id], { data });
  expect(node.startTaskInfo).toMatchObject({
    state: 'completed',
    result: 'success',
    exitCode: 0,
    retryCount: 0,
  });
});

it('a job prepares each node once before its tasks, and releases each of them once when it ends', async () => {
  const prepare = `/bin/sh -c '${say('prepare', '$AZ_BATCH_NODE_ID $AZ_BATCH_TASK_ID')}; sleep 0.5; echo data > input'`;
  const release = `/bin/sh -c '${say('release', '$AZ_BATCH_NODE_ID')}; cat $AZ_BATCH_JOB_PREP_WORKING_DIR/input; exit 3'`;
  await run('job', 'create', 'both', '--pool', 'prepared', '--prepare', prepare, '--release', release);
  const command = `cat $AZ_BATCH_JOB_PREP_WORKING_DIR/input $AZ_BATCH_NODE_SHARED_DIR/tool; ${say('task', '$AZ_BATCH_NODE_ID')}; sleep 0.2`;
  const tasks = Array.from({ length: 8 }, (_, n) => ({
    id: `t${n}`,
    commandLine: `/bin/sh -c '${command}'`,
  }));
  await mesh.agents[0]?.client.tasks.addAll('both', tasks);
  await run('job', 'wait', 'both', '--timeout', '40s');
  const ids = (await nodes()).map(({ id }) => id).sort();
  expect((await said('prepare')).sort()).toEqual(ids.map((id) => `${id} jobpreparation`));
  expect(await said('task')).toHaveLength(8);
  expect(await said('release')).toEqual([]);
  await run('job', 'terminate', 'both');
  await untilCompleted('both');
  expect((await said('release')).sort()).toEqual(ids);
  const status = await shoalJson<readonly JobNodeResource[]>(['job', 'nodes', 'both'], { data });
  expect(status).toHaveLength(2);
  for (const { jobPreparationTaskExecutionInfo, jobReleaseTaskExecutionInfo } of status) {
    expect(jobPreparationTaskExecutionInfo).toMatchObject({ state: 'completed', result: 'success' });
    expect(jobReleaseTaskExecutionInfo).toMatchObject({ state: 'completed', result: 'failure', exitCode: 3 });
  }
});

it('a reboot runs the start task again, and a reimage on an empty directory', async () => {
  const [first] = await nodes();
  const id = first?.id ?? '';
  const before = (await said('start')).filter((line) => line.startsWith(id)).length;
  await run('node', 'reboot', 'prepared', id);
  await until('the start task ran again', STEP_MS_MAX, async () => {
    return (await said('start')).filter((line) => line.startsWith(id)).length === before + 1;
  });
  await untilNodes('idle after the reboot', (all) => all.every(({ state }) => state === 'idle'));
  const files = ['node', 'show', 'prepared', id];
  expect(await shoalJson<NodeResource>(files, { data })).toMatchObject({
    startTaskInfo: { result: 'success' },
  });

  await writeFile(join(scratch, 'broken'), '');
  await run('node', 'reimage', 'prepared', id);
  await untilNodes('out after a failed start', (all) =>
    all.some((node) => node.id === id && node.state === 'starttaskfailed'),
  );
  const machine = mesh.agents.map((agent) => join(agent.data, 'nodes', id));
  const left = (await Promise.all(machine.map((path) => readdir(path).catch(() => [])))).flat().sort();
  expect(left).toEqual(['shared', 'startup']);
  await rm(join(scratch, 'broken'));
  await run('node', 'reboot', 'prepared', id);
  await untilNodes('idle again', (all) => all.every(({ state }) => state === 'idle'));
});

it('the end of a job manager is the end of its job', async () => {
  const spec = {
    id: 'managed',
    poolInfo: { poolId: 'prepared' },
    jobManagerTask: { id: 'boss', commandLine: '/bin/sh -c "sleep 1"' },
  };
  await mesh.agents[0]?.client.jobs.add(spec);
  await untilCompleted('managed');
  const job = await shoalJson<JobResource>(['job', 'show', 'managed'], { data });
  expect(job.executionInfo?.terminateReason).toBe('JMComplete');
  const boss = await shoalJson<TaskResource>(['task', 'show', 'managed', 'boss'], { data });
  expect(boss).toMatchObject({ state: 'completed', requiredSlots: 2 });
});
