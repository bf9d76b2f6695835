/** Job schedules and pools made for a job, on three agents, while their coordinators die. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { JobResource, JobScheduleResource } from '../../src/client/shapes.ts';

const STEP_MS_MAX = 30_000;
let mesh: LocalMesh;

beforeAll(async () => {
  mesh = await LocalMesh.start(3);
});
afterAll(() => mesh?.stop());

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function untilSchedule(id: string, state: JobScheduleResource['state']): Promise<JobScheduleResource> {
  let found: JobScheduleResource | undefined;
  await until(`the schedule ${id} is ${state}`, STEP_MS_MAX, async () => {
    found = await mesh.alive().client.schedules.get(id);
    return found.state === state;
  });
  if (found === undefined) throw new Error('unreachable');
  return found;
}

const jobsOf = (id: string): Promise<JobResource[]> => collect(mesh.alive().client.schedules.jobs(id));

it('a moment becomes one job, though the coordinator of the mesh dies as it comes', async () => {
  const leader = await mesh.leader('mesh');
  const other = mesh.agents.find((agent) => agent !== leader);
  if (other === undefined) throw new Error('there is one agent only');
  const ids = ['a', 'b', 'c', 'd'];
  for (const id of ids)
    await other.client.schedules.add({
      id,
      schedule: {},
      jobSpecification: { poolInfo: { poolId: 'default' }, onAllTasksComplete: 'terminatejob' },
    });
  // Some moments are taken by now, perhaps not all of their jobs are made.
  await mesh.kill(leader);
  for (const id of ids) {
    const { executionInfo } = await untilSchedule(id, 'completed');
    expect(executionInfo?.recentJob?.id).toBe(`${id}:job-1`);
    expect(await jobsOf(id)).toMatchObject([{ id: `${id}:job-1`, state: 'completed' }]);
  }
  await mesh.startAgent(leader);
  await mesh.settle();
});

it('a pool made for the jobs of a schedule is taken back when the schedule ends, and its jobs stay', async () => {
  const { client } = mesh.alive();
  await client.schedules.add({
    id: 'own-pool',
    schedule: {},
    jobSpecification: {
      poolInfo: {
        autoPoolSpecification: {
          autoPoolIdPrefix: 'own',
          poolLifetimeOption: 'jobschedule',
          pool: { vmSize: 'shoal.1c1g', targetDedicatedNodes: 1 },
        },
      },
    },
  });
  let job: JobResource | undefined;
  await until('its job is there', STEP_MS_MAX, async () => {
    [job] = await jobsOf('own-pool');
    return job !== undefined;
  });
  const pool = job?.executionInfo?.poolId ?? '';
  await client.tasks.addAll('own-pool:job-1', [{ id: 't', commandLine: '/bin/true' }]);
  await until('its task has run', STEP_MS_MAX, async () => {
    return (await client.tasks.get('own-pool:job-1', 't')).state === 'completed';
  });
  await client.schedules.change('own-pool', 'terminate');
  await untilSchedule('own-pool', 'completed');
  await until('the pool is gone', STEP_MS_MAX, async () => {
    return !(await collect(client.pools.list())).some(({ id }) => id === pool);
  });
  expect(await client.jobs.get('own-pool:job-1')).toMatchObject({
    state: 'completed',
    executionInfo: { terminateReason: 'TerminateJobSchedule' },
  });
  expect(await client.tasks.get('own-pool:job-1', 't')).toMatchObject({
    executionInfo: { result: 'success' },
  });
});

it('a schedule that is deleted takes its jobs along', async () => {
  const { client } = mesh.alive();
  await client.schedules.delete('own-pool');
  await until('it is gone', STEP_MS_MAX, async () => {
    return !(await collect(client.schedules.list())).some(({ id }) => id === 'own-pool');
  });
  await expect(client.jobs.get('own-pool:job-1')).rejects.toMatchObject({ code: 'JobNotFound' });
});
