/** Agents, runners and tasks that die, on three agents: what was accepted is done all the same, and once. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExecutionWitness } from '../../scripts/chaos/executions.ts';
import { judge } from '../../scripts/chaos/verdict.ts';
import { type MeshProcess, processesBelow } from '../../scripts/local-mesh/census.ts';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { TaskResource } from '../../src/client/shapes.ts';
import { LEASE_MS } from '../../src/lib/limits.ts';
import { shoal } from './shell.ts';

const STEP_MS_MAX = 30_000;
const TRIES_MAX = 3;
let mesh: LocalMesh;
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-failures-'));
  await chmod(scratch, 0o755);
  mesh = await LocalMesh.start(3);
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});

/** A job of tasks of which each writes down its executions. */
async function startJob(
  job: string,
  seconds: readonly number[],
  through = mesh.alive(),
): Promise<{ witness: ExecutionWitness; ids: readonly string[] }> {
  const ids = seconds.map((_, task) => `t${task}`);
  const witness = await ExecutionWitness.create(join(scratch, job), ids);
  await through.client.jobs.add({ id: job, poolInfo: { poolId: 'default' } });
  await through.client.tasks.addAll(
    job,
    seconds.map((length, task) => witness.task(`t${task}`, length)),
  );
  return { witness, ids };
}

async function finished(job: string, tasks: number): Promise<void> {
  await until(`the tasks of ${job} have ended`, STEP_MS_MAX, async () => {
    const { completed } = await mesh.alive().client.jobs.taskCounts(job);
    return completed >= tasks;
  });
}

async function runningTask(job: string): Promise<TaskResource> {
  let found: TaskResource | undefined;
  await until(`a task of ${job} runs`, STEP_MS_MAX, async () => {
    for await (const task of mesh.alive().client.tasks.list(job)) if (task.state === 'running') found = task;
    return found !== undefined;
  });
  if (found === undefined) throw new Error('unreachable');
  return found;
}

async function hostOf({ shoal: at }: TaskResource): Promise<LocalAgent> {
  for (const agent of mesh.agents) if ((await mesh.status(agent))?.machine.id === at?.machine) return agent;
  throw new Error(`no agent is the machine ${at?.machine}`);
}

async function processesOf(agent: LocalAgent, role: MeshProcess['role']): Promise<readonly MeshProcess[]> {
  return (await processesBelow(agent.data)).filter((one) => one.role === role);
}

/**
 * On a machine that is busy with other things the agent may be back only when its lease is over, and the task was killed
 * as it should: such a try says nothing.
 */
async function restartDuringTask(name: string, end: (agent: LocalAgent) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const job = `${name}-${attempt}`;
    const { witness, ids } = await startJob(job, [4]);
    const agent = await hostOf(await runningTask(job));
    const before = (await processesOf(agent, 'task')).find(({ words }) => words.includes('task.sh'));
    const endedAtMs = performance.now();
    await end(agent);
    expect((await processesOf(agent, 'task')).map(({ pid }) => pid)).toContain(before?.pid);
    await mesh.startAgent(agent);
    const downMs = performance.now() - endedAtMs;
    await finished(job, 1);
    const verdict = await judge(mesh.alive().client, job, ids, witness);
    await mesh.settle();
    if (verdict.executions > 1 && downMs > LEASE_MS / 2 && attempt < TRIES_MAX) continue;
    expect(verdict).toEqual({ violations: [], tasks: 1, executions: 1, rerun: 0 });
    return;
  }
}

describe('an agent', () => {
  it('that is killed and started again finds its task running, and its one execution counts', async () => {
    await restartDuringTask('reattached', (agent) => mesh.kill(agent));
  });

  it('that ends by SIGTERM leaves its tasks to its next life', async () => {
    await restartDuringTask('upgraded', async (agent) => {
      agent.process?.kill('SIGTERM');
      await until('it has ended', STEP_MS_MAX, () => agent.process === undefined);
    });
  });

  it('that coordinates can be killed in the middle of a job', async () => {
    const coordinator = await mesh.leader('pool:default');
    const other = mesh.agents.find((agent) => agent !== coordinator) ?? coordinator;
    const { witness, ids } = await startJob(
      'beheaded',
      Array.from({ length: 30 }, () => 0.3),
      other,
    );
    await runningTask('beheaded');
    await mesh.kill(coordinator);
    const [added] = [`t${ids.length}`];
    await other.client.tasks.add('beheaded', { id: added, commandLine: '/bin/true' });
    await finished('beheaded', ids.length + 1);
    expect(await mesh.leader('pool:default')).not.toBe(coordinator);
    await mesh.startAgent(coordinator);
    await other.client.tasks.delete('beheaded', added);
    expect(await judge(other.client, 'beheaded', ids, witness)).toMatchObject({ violations: [], tasks: 30 });
    await mesh.settle();
  });

  it('that hangs longer than its lease has its tasks killed by its runner, and run elsewhere', async () => {
    const { witness, ids } = await startJob('frozen', [5]);
    const before = await runningTask('frozen');
    const agent = await hostOf(before);
    const other = mesh.agents.find((one) => one !== agent) ?? agent;
    mesh.freeze(agent);
    try {
      await until('the task runs elsewhere', STEP_MS_MAX, async () => {
        const { state, shoal: at } = await other.client.tasks.get('frozen', 't0');
        return state === 'running' && at?.machine !== before.shoal?.machine;
      });
      expect(await processesOf(agent, 'task')).toEqual([]);
    } finally {
      mesh.thaw(agent);
    }
    await finished('frozen', 1);
    expect(await judge(other.client, 'frozen', ids, witness)).toMatchObject({
      violations: [],
      executions: 2,
    });
    const { executionInfo } = await other.client.tasks.get('frozen', 't0');
    expect(executionInfo).toMatchObject({ retryCount: 0, result: 'success' });
    await mesh.settle();
  });
});

describe('a job that says `onNodeCutOff: keep`', () => {
  it('lets its task go on where it is cut off; it is run elsewhere too, and one outcome is recorded', async () => {
    const diary = join(scratch, 'kept');
    await writeFile(diary, '');
    await chmod(diary, 0o666);
    const said = async (): Promise<string[]> => (await readFile(diary, 'utf8')).trim().split('\n');
    const { client } = mesh.alive();
    await client.jobs.add({ id: 'kept', poolInfo: { poolId: 'default' }, onNodeCutOff: 'keep' });
    const released = join(scratch, 'released');
    const script = `echo start >>${diary}; until [ -e ${released} ]; do sleep 0.1; done; echo end >>${diary}`;
    await client.tasks.add('kept', { id: 't0', commandLine: `/bin/sh -c '${script}'` });
    const before = await runningTask('kept');
    const agent = await hostOf(before);
    const other = mesh.agents.find((one) => one !== agent) ?? agent;
    mesh.freeze(agent);
    try {
      await until('it runs elsewhere as well', STEP_MS_MAX, async () => (await said()).length === 2);
      expect(await processesOf(agent, 'task')).not.toEqual([]);
      await writeFile(released, '');
      await until('both have come to their end', STEP_MS_MAX, async () => (await said()).length === 4);
    } finally {
      mesh.thaw(agent);
    }
    await until('the task has ended', STEP_MS_MAX, async () => {
      return (await other.client.tasks.get('kept', 't0')).state === 'completed';
    });
    await mesh.settle();
    const { executionInfo, shoal: at } = await other.client.tasks.get('kept', 't0');
    expect(executionInfo).toMatchObject({ retryCount: 0, result: 'success', exitCode: 0 });
    expect(at?.machine).not.toBe(before.shoal?.machine);
    expect(at?.epoch).toBeGreaterThan(before.shoal?.epoch ?? Number.POSITIVE_INFINITY);
    expect(await other.client.jobs.taskCounts('kept')).toMatchObject({ completed: 1, succeeded: 1 });
    expect(await said()).toEqual(['start', 'start', 'end', 'end']);
  });
});

describe('a runner', () => {
  it('that is killed takes its tasks with it; they run again, and no retry of theirs is spent', async () => {
    const { witness, ids } = await startJob('unseated', [2]);
    const before = await runningTask('unseated');
    const agent = await hostOf(before);
    const runner = (await mesh.status(agent))?.runner.pid;
    process.kill(runner ?? 0, 'SIGKILL');
    await finished('unseated', 1);
    const verdict = await judge(mesh.alive().client, 'unseated', ids, witness);
    expect(verdict).toMatchObject({ violations: [], executions: 2 });
    const { executionInfo } = await mesh.alive().client.tasks.get('unseated', 't0');
    expect(executionInfo).toMatchObject({ retryCount: 0, result: 'success' });
  });
});

describe('a machine', () => {
  it('that is gone does not take along what its tasks printed and stored', async () => {
    const [first] = mesh.agents;
    if (first === undefined) throw new Error('there are three agents');
    const words = ['run', '--name', 'legacy', '--output', '*.txt', '--shell', '--'];
    const ran = await shoal([...words, 'echo printed; echo stored >kept.txt'], { data: first.data });
    expect(ran).toMatchObject({ code: 0, stdout: 'printed\n' });
    const agent = await hostOf(await first.client.tasks.get('legacy', '0001'));
    await mesh.killMachine(agent);
    const other = mesh.agents.find((one) => one !== agent) ?? agent;
    await until('the others have noticed', STEP_MS_MAX, async () => {
      const machines = await other.client.mesh.machines();
      return machines.some(({ alive }) => !alive);
    });
    expect(await shoal(['task', 'logs', 'legacy', '0001'], { data: other.data })).toEqual({
      code: 0,
      stdout: 'printed\n',
      stderr: '',
    });
    const stored = await shoal(['file', 'get', 'mesh://legacy-out/0001/kept.txt', '-'], { data: other.data });
    expect(stored).toMatchObject({ code: 0, stdout: 'stored\n' });
    await mesh.startAgent(agent);
    await mesh.settle();
  });
});

describe('all machines at once', () => {
  it('can lose their power in the middle of a job', async () => {
    const { witness, ids } = await startJob(
      'blackout',
      Array.from({ length: 40 }, () => 0.4),
    );
    await runningTask('blackout');
    await Promise.all(mesh.agents.map((agent) => mesh.killMachine(agent)));
    expect(await processesBelow(mesh.directory)).toEqual([]);
    await Promise.all(mesh.agents.map((agent) => mesh.startAgent(agent)));
    await finished('blackout', ids.length);
    const verdict = await judge(mesh.alive().client, 'blackout', ids, witness);
    expect(verdict).toMatchObject({ violations: [], tasks: 40 });
    await mesh.settle();
  });
});

describe('Ctrl-C', () => {
  it('at an agent ends its runner and its tasks too, and the task runs elsewhere', async () => {
    const { witness, ids } = await startJob('interrupted', [3]);
    const agent = await hostOf(await runningTask('interrupted'));
    const { process: child } = agent;
    const code = new Promise((resolve) => child?.once('exit', resolve));
    child?.kill('SIGINT');
    expect(await code).toBe(0);
    expect(await processesBelow(agent.data)).toEqual([]);
    await finished('interrupted', 1);
    const verdict = await judge(mesh.alive().client, 'interrupted', ids, witness);
    expect(verdict).toMatchObject({ violations: [], executions: 2 });
  });
});
