/** What this mesh has beyond Azure Batch, on two agents. What outlives a machine is in failures.test.ts. */
import { request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import { TASKS_PER_ADD_EXTENDED_MAX, TASKS_PER_ADD_MAX } from '../../src/lib/limits.ts';
import type { MeshEvent } from '../../src/model/control.ts';
import type { TaskSpec } from '../../src/model/task.ts';

const STEP_MS_MAX = 60_000;
let mesh: LocalMesh;
let one: LocalAgent;
let other: LocalAgent;

beforeAll(async () => {
  mesh = await LocalMesh.start(2);
  const [first, second] = mesh.agents;
  if (first === undefined || second === undefined) throw new Error('there are two agents');
  [one, other] = [first, second];
});
afterAll(() => mesh?.stop());

interface AddAnswer {
  readonly code?: string;
  readonly value?: readonly { readonly status: string; readonly error?: { readonly code: string } }[];
}

/** One request as it stands, without the ways of our own client. */
function addCollection(
  job: string,
  tasks: readonly TaskSpec[],
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number | undefined; readonly body: AddAnswer }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath: join(one.data, 'api.sock'),
        method: 'POST',
        path: `/jobs/${job}/addtaskcollection?api-version=2022-10-01.16.0`,
        headers: { 'content-type': 'application/json', ...headers },
      },
      async (answer) => resolve({ status: answer.statusCode, body: (await json(answer)) as AddAnswer }),
    );
    sent.once('error', reject);
    sent.end(JSON.stringify({ value: tasks }));
  });
}

const EXTENDED = { 'shoal-tasks-per-add': 'extended' };

describe('dependents of a failed task', () => {
  it('are cancelled where it says so, theirs in turn, and the job comes to its end', async () => {
    await one.client.jobs.add({
      id: 'chain',
      poolInfo: { poolId: 'default' },
      usesTaskDependencies: true,
      onAllTasksComplete: 'noaction',
    });
    const exitConditions = { default: { dependencyAction: 'cancel' } } as const;
    await one.client.tasks.addAll('chain', [
      { id: 'first', commandLine: '/bin/false', exitConditions },
      { id: 'second', commandLine: '/bin/true', dependsOn: { taskIds: ['first'] } },
      { id: 'third', commandLine: '/bin/true', dependsOn: { taskIds: ['second'] } },
    ]);
    await one.client.jobs.patch('chain', { onAllTasksComplete: 'terminatejob' });
    await until('the job has ended', STEP_MS_MAX, async () => {
      return (await other.client.jobs.get('chain')).state === 'completed';
    });
    for (const id of ['second', 'third']) {
      const { state, executionInfo } = await other.client.tasks.get('chain', id);
      expect(state).toBe('completed');
      expect(executionInfo).toMatchObject({ result: 'failure', failureInfo: { code: 'DependencyFailed' } });
    }
  });
});

describe('a task that no node could ever run', () => {
  it('is refused when it is added, and those beside it are taken', async () => {
    await one.client.pools.add({ id: 'narrow', vmSize: 'shoal.1c1g', taskSlotsPerNode: 2 });
    await one.client.jobs.add({ id: 'impossible', poolInfo: { poolId: 'narrow' } });
    await until('the coordinator of the pool knows it', STEP_MS_MAX, async () => {
      const id = `probe-${Date.now()}`;
      const { body } = await addCollection('impossible', [{ id, commandLine: 'x', requiredSlots: 3 }]);
      return body.value?.[0]?.error?.code === 'TaskCanNeverRun';
    });
    const instances = { numberOfInstances: 2, coordinationCommandLine: '/bin/true' };
    const { status, body } = await addCollection('impossible', [
      { id: 'wide', commandLine: '/bin/true', requiredSlots: 3 },
      { id: 'fitting', commandLine: '/bin/true', requiredSlots: 2 },
      { id: 'many', commandLine: '/bin/true', multiInstanceSettings: instances },
    ]);
    expect(status).toBe(200);
    expect(body.value?.filter(({ status }) => status === 'success')).toHaveLength(1);
    expect(body.value?.flatMap(({ error }) => error?.code ?? [])).toEqual([
      'TaskCanNeverRun',
      'TaskCanNeverRun',
    ]);
  });
});

describe('one request', () => {
  const tasks = (count: number, name: string): TaskSpec[] =>
    Array.from({ length: count }, (_, index) => ({ id: `${name}-${index}`, commandLine: '/bin/true' }));

  it('adds more than a hundred tasks for a client that asks for it, and for no other', async () => {
    await one.client.jobs.add({ id: 'crowd', poolInfo: { poolId: 'narrow' } });
    const most = tasks(TASKS_PER_ADD_EXTENDED_MAX, 'a');
    expect((await addCollection('crowd', tasks(TASKS_PER_ADD_MAX + 1, 'b'))).body.code).toBe(
      'InvalidPropertyValue',
    );
    expect((await addCollection('crowd', [...most, ...tasks(1, 'b')], EXTENDED)).body.code).toBe(
      'InvalidPropertyValue',
    );
    const { status, body } = await addCollection('crowd', most, EXTENDED);
    expect([status, body.value?.length]).toEqual([200, TASKS_PER_ADD_EXTENDED_MAX]);
    expect((await other.client.jobs.taskCounts('crowd')).active).toBe(TASKS_PER_ADD_EXTENDED_MAX);
    // Of our own client, which asks for it by itself.
    expect(await other.client.tasks.addAll('crowd', tasks(500, 'c'))).toBe(500);
  });
});

describe('events', () => {
  it('of all machines are heard on any, as they happen', async () => {
    const heard: MeshEvent[] = [];
    const aborter = new AbortController();
    const listening = (async () => {
      for await (const event of other.client.mesh.events({ signal: aborter.signal })) heard.push(event);
    })().catch(() => undefined);
    try {
      // Until the stream is open, jobs come and go unheard.
      let jobs = 0;
      await until('the end of a task is heard', STEP_MS_MAX, async () => {
        jobs += 1;
        const id = `heard-${jobs}`;
        await one.client.jobs.add({ id, poolInfo: { poolId: 'default' } });
        await one.client.tasks.addAll(id, [{ id: 't', commandLine: '/bin/false' }]);
        await until('the task has ended', STEP_MS_MAX, async () => {
          return (await one.client.tasks.get(id, 't')).state === 'completed';
        });
        return heard.some(
          ({ kind, data }) => kind === 'task.failed' && String(data.job).startsWith('heard-'),
        );
      });
      expect(heard.map(({ kind }) => kind)).toContain('job.added');
    } finally {
      aborter.abort();
      await listening;
    }
  });
});
