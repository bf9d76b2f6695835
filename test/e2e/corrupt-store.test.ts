/** The store of a voter is damaged: its agent says so and what to do, and that brings the machine back. */
import { readdir, readFile, rename, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import { shoal } from './shell.ts';

const STEP_MS_MAX = 60_000;
let mesh: LocalMesh;
let hurt: LocalAgent;
let other: LocalAgent;

beforeAll(async () => {
  mesh = await LocalMesh.start(3);
  hurt = await mesh.leader('pool:default');
  other = mesh.agents.find((agent) => agent !== hurt) ?? hurt;
});
afterAll(() => mesh?.stop());

async function runJob(job: string): Promise<void> {
  await other.client.jobs.add({ id: job, poolInfo: { poolId: 'default' } });
  await other.client.tasks.addAll(
    job,
    Array.from({ length: 20 }, (_, task) => ({ id: `t${task}`, commandLine: '/bin/true' })),
  );
  await until(`${job} has ended`, STEP_MS_MAX, async () => {
    return (await other.client.jobs.taskCounts(job)).succeeded === 20;
  });
}

it('the agent does not start on it, and names the store and the way out', async () => {
  await runJob('before');
  await until('the machine has noted the others', STEP_MS_MAX, async () => {
    const noted = await readFile(join(hurt.data, 'private/members.json'), 'utf8').catch(() => '[]');
    return (JSON.parse(noted) as unknown[]).length === mesh.agents.length - 1;
  });
  await mesh.killMachine(hurt);
  const level = join(hurt.data, 'private/store/level');
  for (const file of await readdir(level)) if (file.endsWith('.log')) await truncate(join(level, file), 0);
  const { code, stderr } = await shoal(['agent'], { data: hurt.data });
  expect(code).toBe(1);
  expect(stderr).toContain(join(hurt.data, 'private/store'));
  expect(stderr).toContain('hint: Move the directory private/store of the agent aside');
});

it('with the store moved aside it comes back under its name as a new machine, and votes again', async () => {
  const store = join(hurt.data, 'private/store');
  await rename(store, `${store}.damaged`);
  await mesh.startAgent(hurt);
  await mesh.settle();
  await runJob('after');
  const machines = await other.client.mesh.machines();
  expect(machines.map(({ name }) => name).sort()).toEqual(mesh.agents.map(({ name }) => name).sort());
  expect((await hurt.client.jobs.taskCounts('before')).succeeded).toBe(20);
});
