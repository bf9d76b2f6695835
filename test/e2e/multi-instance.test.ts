/** Multi-instance tasks on three agents, each at a loopback address of its own: from the first command to the last process. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { processesBelow } from '../../scripts/local-mesh/census.ts';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { SubtaskResource, TaskResource } from '../../src/client/shapes.ts';
import { LEASE_MS } from '../../src/lib/limits.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import { shoal } from './shell.ts';

const STEP_MS_MAX = 60_000;
const ADDRESSES = ['127.0.0.11', '127.0.0.12', '127.0.0.13'];
const POOL = 'gangs';
let mesh: LocalMesh;
/** Where instances on all nodes write what they saw. */
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-multi-instance-'));
  await chmod(scratch, 0o777);
  mesh = await LocalMesh.start(3, { address: (agent) => ADDRESSES[agent] ?? '' });
  const { client } = mesh.alive();
  await client.pools.add({
    id: POOL,
    // A node on each machine.
    vmSize: 'machine',
    targetDedicatedNodes: 3,
    taskSlotsPerNode: 1,
    enableInterNodeCommunication: true,
  });
  await client.blobs.createContainer('inputs');
  await store('common.txt', 'for all');
  await store('own.txt', 'for the primary');
  await untilIdle(3);
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});
/** Whatever became of a task, nothing of it may be left on any machine. */
afterEach(async () => {
  await until('no process of a task is left', STEP_MS_MAX, async () => (await tasksLeft()).length === 0);
});

async function tasksLeft(): Promise<readonly string[]> {
  const processes = await processesBelow(mesh.directory);
  return processes.filter(({ role }) => role === 'task').map(({ words }) => words);
}

async function store(name: string, text: string): Promise<void> {
  const open = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  };
  await mesh.alive().client.blobs.put('inputs', name, { open });
}

async function untilIdle(nodes: number): Promise<void> {
  await until(`${nodes} nodes are idle`, STEP_MS_MAX, async () => {
    let idle = 0;
    for await (const { state } of mesh.alive().client.pools.nodes(POOL)) if (state === 'idle') idle += 1;
    return idle >= nodes;
  });
}

function shell(script: string): string {
  return `/bin/sh -c '${script}'`;
}

/** Each line under the name of the node that wrote it. */
function say(name: string, text: string): string {
  return `umask 0; echo "$AZ_BATCH_NODE_ID ${text}" >> ${join(scratch, name)}`;
}

async function said(name: string): Promise<string[]> {
  const text = await readFile(join(scratch, name), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

async function begin(
  job: string,
  instances: number,
  commands: { readonly coordination: string; readonly application: string },
  more: Partial<TaskSpec> = {},
): Promise<void> {
  const { client } = mesh.alive();
  await client.jobs.add({ id: job, poolInfo: { poolId: POOL } });
  await client.tasks.add(job, {
    id: 'mpi',
    commandLine: shell(commands.application),
    multiInstanceSettings: {
      numberOfInstances: instances,
      coordinationCommandLine: shell(commands.coordination),
      commonResourceFiles: [{ httpUrl: 'mesh://inputs/common.txt', filePath: 'common.txt' }],
    },
    ...more,
  });
}

function task(job: string): Promise<TaskResource> {
  return mesh.alive().client.tasks.get(job, 'mpi');
}

function subtasks(job: string): Promise<readonly SubtaskResource[]> {
  return mesh.alive().client.tasks.subtasks(job, 'mpi');
}

async function untilState(job: string, state: string): Promise<TaskResource> {
  await until(`the task of ${job} is ${state}`, STEP_MS_MAX, async () => (await task(job)).state === state);
  return task(job);
}

async function untilSaid(name: string, lines: number): Promise<void> {
  await until(`${lines} lines of ${name}`, STEP_MS_MAX, async () => (await said(name)).length >= lines);
}

/** Of a long application that is under way on two nodes, each of which has a process that its coordination left. */
async function underWay(job: string, more: Partial<TaskSpec> = {}): Promise<void> {
  const coordination = `setsid sleep 300 & ${say(job, 'coordinated')}`;
  await begin(job, 2, { coordination, application: `${say(`${job}-app`, 'runs')}; sleep 300` }, more);
  await untilSaid(`${job}-app`, 1);
  expect((await tasksLeft()).filter((words) => words === 'sleep 300').length).toBeGreaterThanOrEqual(2);
}

describe('a multi-instance task', () => {
  it('coordinates on every node, then runs on the first, which knows them all', async () => {
    const variables = ['MASTER_NODE', 'NODE_LIST', 'HOST_LIST', 'IS_CURRENT_NODE_MASTER', 'TASK_SHARED_DIR'];
    const shown = [...variables.map((name) => `$AZ_BATCH_${name}`), '$CCP_NODES'].join(' ');
    await begin(
      'whole',
      3,
      {
        coordination: `cat ../common.txt; ls "$AZ_BATCH_TASK_SHARED_DIR" >&2; echo made > made; ${say('coordination', shown)}`,
        application: `cat own.txt made ../common.txt; ${say('application', shown)}`,
      },
      { resourceFiles: [{ httpUrl: 'mesh://inputs/own.txt', filePath: 'own.txt' }] },
    );
    const done = await untilState('whole', 'completed');
    expect(done.executionInfo).toMatchObject({ exitCode: 0, result: 'success' });
    expect(done.multiInstanceSettings).toMatchObject({ numberOfInstances: 3 });
    const primary = done.nodeInfo?.nodeId ?? '';
    const lines = await said('coordination');
    expect(lines).toHaveLength(3);
    const own = lines.find((line) => line.startsWith(primary))?.split(' ') ?? [];
    const [, master = '', list = '', hosts = '', isMaster, shared = '', ...ccp] = own;
    expect(hosts.split(',').sort()).toEqual(ADDRESSES);
    expect(list).toBe(hosts.replaceAll(',', ';'));
    expect(master).toMatch(new RegExp(`^${hosts.split(',')[0]}:\\d+$`));
    expect(isMaster).toBe('true');
    expect(shared).toMatch(/workitems\/whole\/job-1\/mpi$/);
    expect(ccp).toEqual(['3', ...hosts.split(',').flatMap((host) => [host, ccp[2] ?? ''])]);
    expect(await said('application')).toEqual([own.join(' ')]);
    // The rest differ in who they are and where they are, and in nothing else.
    for (const line of lines.filter((one) => !one.startsWith(primary)))
      expect(line.split(' ').toSpliced(0, 1).toSpliced(4, 1)).toEqual(
        own.toSpliced(0, 1).toSpliced(4, 1).with(3, 'false'),
      );
    const logs = await mesh.alive().client.tasks.openFile('whole', 'mpi', 'stdout.txt');
    expect(await textOf(logs.body)).toBe('for the primarymade\nfor all');
  });

  it('has subtasks with an end, a place and logs of their own', async () => {
    const done = await untilState('whole', 'completed');
    await until('all have ended', STEP_MS_MAX, async () =>
      (await subtasks('whole')).every(({ state }) => state === 'completed'),
    );
    const found = await subtasks('whole');
    expect(found.map(({ id }) => id)).toEqual([1, 2]);
    for (const { exitCode, result, nodeInfo, startTime } of found) {
      expect({ exitCode, result }).toEqual({ exitCode: 0, result: 'success' });
      expect(startTime).toBeDefined();
      expect(nodeInfo?.nodeId).not.toBe(done.nodeInfo?.nodeId);
      expect(await logOn(nodeInfo?.nodeId, `${nodeInfo?.taskRootDirectory}/stdout.txt`)).toBe('for all');
    }
    const beside = 'workitems/whole/job-1/mpi/coordination/stdout.txt';
    expect(await logOn(done.nodeInfo?.nodeId, beside)).toBe('for all');
  });

  it('fails where the coordination command fails on one node, and never runs', async () => {
    await begin('split', 3, {
      coordination: 'test "$AZ_BATCH_IS_CURRENT_NODE_MASTER" = true || exit 9',
      application: say('never', 'ran'),
    });
    const done = await untilState('split', 'completed');
    expect(done.executionInfo).toMatchObject({
      exitCode: 9,
      result: 'failure',
      failureInfo: { code: 'FailureExitCode' },
    });
    expect((await subtasks('split')).some(({ exitCode }) => exitCode === 9)).toBe(true);
    expect(await said('never')).toEqual([]);
  });

  it('keeps what its coordination left running, and ends it with itself', async () => {
    await begin('daemons', 3, {
      coordination: `umask 0; setsid sh -c "while :; do echo x >> ${scratch}/$AZ_BATCH_NODE_ID; sleep 0.1; done" &`,
      // Each has written for a second after its command had ended.
      application: `until test "$(find ${scratch} -name "tvm-*" -size +20c | wc -l)" = 3; do sleep 0.1; done`,
    });
    const done = await untilState('daemons', 'completed');
    expect(done.executionInfo).toMatchObject({ exitCode: 0 });
  });
});

describe('the launcher', () => {
  it('starts processes on the other nodes, in the directories and with the rights of their instances', async () => {
    const { data } = mesh.alive();
    const list = '$(echo $AZ_BATCH_HOST_LIST | tr , " ")';
    const there = 'echo $AZ_BATCH_NODE_ID $(id -u); setsid sleep 300 >/dev/null 2>&1 & cat own 2>/dev/null';
    const script = `set -e; echo primary > own; for host in ${list}; do $SHOAL_LAUNCHER $host '${there}' || echo none; done`;
    await mesh.alive().client.jobs.add({ id: 'launched', poolInfo: { poolId: POOL } });
    const added = ['task', 'add', 'launched', '--id', 'mpi', '--instances', '3', '--shell', '--', script];
    expect(await shoal(added, { data })).toMatchObject({ code: 0 });
    expect((await untilState('launched', 'completed')).executionInfo).toMatchObject({ exitCode: 0 });
    const logs = await mesh.alive().client.tasks.openFile('launched', 'mpi', 'stdout.txt');
    const lines = (await textOf(logs.body)).trim().split('\n');
    const nodes = lines.filter((line) => line.startsWith('tvm-'));
    expect(new Set(nodes.map((line) => line.split(' ')[0])).size).toBe(3);
    expect(lines.filter((line) => line === 'primary')).toHaveLength(1);
    expect(lines.filter((line) => line === 'none')).toHaveLength(2);
    const { stdout } = await shoal(['task', 'show', 'launched', 'mpi'], { data });
    expect(stdout).toMatch(/instances +3/);
    expect(stdout).toMatch(/subtask 2 +(?:running|success), on tvm-/);
  });
});

describe('nothing of a multi-instance task is left', () => {
  it('where it is terminated', async () => {
    await underWay('terminated');
    await mesh.alive().client.tasks.terminate('terminated', 'mpi');
    expect((await untilState('terminated', 'completed')).executionInfo).toMatchObject({
      failureInfo: { code: 'TaskEnded' },
    });
    await untilIdle(3);
  });

  it('where it is deleted', async () => {
    await underWay('deleted');
    await mesh.alive().client.tasks.delete('deleted', 'mpi');
    await untilIdle(3);
  });

  it('where its time is over', async () => {
    await underWay('late', { constraints: { maxWallClockTime: 'PT12S' } });
    expect((await untilState('late', 'completed')).executionInfo).toMatchObject({ result: 'failure' });
    await untilIdle(3);
  });

  it('where its coordination command does not come to an end in time', async () => {
    const commands = { coordination: 'sleep 300', application: 'true' };
    await begin('stuck', 2, commands, { constraints: { maxWallClockTime: 'PT2S' } });
    expect((await untilState('stuck', 'completed')).executionInfo).toMatchObject({
      failureInfo: { code: 'TaskEnded' },
    });
    await untilIdle(3);
  });

  it('where its job is disabled; it runs again when that is enabled', async () => {
    await underWay('paused');
    const { client } = mesh.alive();
    await client.jobs.disable('paused', 'requeue');
    await until('the job is disabled', STEP_MS_MAX, async () => {
      return (await client.jobs.get('paused')).state === 'disabled';
    });
    await until('nothing of it runs', STEP_MS_MAX, async () => (await tasksLeft()).length === 0);
    await client.jobs.enable('paused');
    await untilSaid('paused-app', 2);
    expect((await task('paused')).executionInfo).toMatchObject({ requeueCount: 1, retryCount: 0 });
    await client.jobs.delete('paused');
  });

  it('where the machine of a subtask dies: it runs again as a whole, on other nodes, uncounted', async () => {
    await underWay('robbed');
    const before = await task('robbed');
    const [subtask] = await subtasks('robbed');
    const victim = await hostOf(subtask?.nodeInfo?.nodeId ?? '');
    await mesh.killMachine(victim);
    await untilSaid('robbed-app', 2);
    const after = await untilState('robbed', 'running');
    expect(after.shoal?.epoch).toBeGreaterThan(before.shoal?.epoch ?? Number.POSITIVE_INFINITY);
    expect(after.executionInfo).toMatchObject({ retryCount: 0, requeueCount: 0 });
    const nodes = [after, ...(await subtasks('robbed'))].map(({ nodeInfo }) => nodeInfo?.nodeId);
    expect(new Set(nodes).size).toBe(2);
    expect(nodes).not.toContain(subtask?.nodeInfo?.nodeId);
    await mesh.alive().client.tasks.terminate('robbed', 'mpi');
    await untilState('robbed', 'completed');
    await mesh.startAgent(victim);
    await untilIdle(3);
  });

  it('where the machine of its primary dies', async () => {
    await underWay('beheaded');
    const victim = await hostOf((await task('beheaded')).nodeInfo?.nodeId ?? '');
    await mesh.killMachine(victim);
    await untilSaid('beheaded-app', 2);
    await mesh.alive().client.jobs.terminate('beheaded', undefined);
    await until('the job has ended', STEP_MS_MAX, async () => {
      return (await mesh.alive().client.jobs.get('beheaded')).state === 'completed';
    });
    await mesh.startAgent(victim);
    await untilIdle(3);
  });

  it('where an agent is killed and comes back: then it goes on', async () => {
    await begin('patient', 2, {
      coordination: `setsid sleep 300 & ${say('patient', 'coordinated')}`,
      application: `${say('patient-app', 'runs')}; until test -e ${scratch}/released; do sleep 0.1; done`,
    });
    await untilSaid('patient-app', 1);
    const [subtask] = await subtasks('patient');
    const agent = await hostOf(subtask?.nodeInfo?.nodeId ?? '');
    const killedAtMs = performance.now();
    await mesh.kill(agent);
    await mesh.startAgent(agent);
    const downMs = performance.now() - killedAtMs;
    await writeFile(join(scratch, 'released'), '');
    expect((await untilState('patient', 'completed')).executionInfo).toMatchObject({ exitCode: 0 });
    // On a machine that is busy with other things it may be back only when its lease is over.
    if (downMs < LEASE_MS / 2) expect(await said('patient-app')).toHaveLength(1);
    await untilIdle(3);
  });
});

async function hostOf(node: string): Promise<LocalAgent> {
  for await (const one of mesh.alive().client.pools.nodes(POOL)) {
    if (one.id !== node) continue;
    for (const agent of mesh.agents)
      if ((await mesh.status(agent))?.machine.id === one.shoal?.machine) return agent;
  }
  throw new Error(`no agent hosts ${node}`);
}

async function logOn(node: string | undefined, path: string): Promise<string> {
  const machine = await hostOf(node ?? '');
  return readFile(join(machine.data, 'nodes', node ?? '', path), 'utf8');
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}
