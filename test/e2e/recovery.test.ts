/** A mesh that lost the disks of its quorum, and the old majority that comes back all the same. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { TaskResource } from '../../src/client/shapes.ts';
import { RECOVERY_INDEX_STEP } from '../../src/lib/limits.ts';
import { shoal } from './shell.ts';

const STEP_MS_MAX = 30_000;
const GROUPS = ['mesh', 'pool:default'];
let mesh: LocalMesh;
let survivor: LocalAgent;
let lost: readonly LocalAgent[];

beforeAll(async () => {
  mesh = await LocalMesh.start(3);
  const [first, ...others] = mesh.agents;
  if (first === undefined) throw new Error('there are three agents');
  survivor = first;
  lost = others;
});
afterAll(() => mesh?.stop());

async function run(through: LocalAgent, job: string): Promise<TaskResource> {
  await through.client.jobs.add({ id: job, poolInfo: { poolId: 'default' } });
  await through.client.tasks.add(job, { id: 't', commandLine: '/bin/true' });
  return ended(through, job);
}

async function ended(through: LocalAgent, job: string): Promise<TaskResource> {
  await until(`the task of ${job} has ended`, STEP_MS_MAX, async () => {
    return (await through.client.tasks.get(job, 't')).state === 'completed';
  });
  return through.client.tasks.get(job, 't');
}

async function terms(agent: LocalAgent): Promise<ReadonlyMap<string, number>> {
  return new Map((await mesh.status(agent))?.groups.map(({ group, term }) => [group, term]));
}

it('a group with a quorum is not recovered', async () => {
  const asked = await shoal(['recover', 'mesh', '--confirm'], { data: survivor.data });
  expect(asked.code).not.toBe(0);
  expect(asked.stderr).toContain('still has a quorum');
});

it('recover names what may be lost, and only --confirm makes the survivor lead alone', async () => {
  await run(survivor, 'before');
  const ids = [];
  for (const agent of lost) ids.push((await mesh.status(agent))?.machine.id ?? '');
  await Promise.all(lost.map((agent) => mesh.killMachine(agent)));
  await until('the survivor has noticed', STEP_MS_MAX, async () => {
    const groups = (await mesh.status(survivor))?.groups ?? [];
    return groups.length > 0 && groups.every(({ leader }) => leader === undefined);
  });
  for (const group of GROUPS) {
    const named = await shoal(['recover', group], { data: survivor.data });
    expect(named).toMatchObject({ code: 0 });
    for (const id of ids) expect(named.stdout).toContain(id);
    expect(named.stdout).toMatch(/ends at entry \d+ \(\d+ known to be committed\)/);
    expect(named.stderr).toContain(`shoal recover ${group} --confirm`);
  }
  expect((await mesh.status(survivor))?.groups.map(({ leader }) => leader)).toEqual([undefined, undefined]);
  for (const group of GROUPS)
    expect(await shoal(['recover', group, '--confirm'], { data: survivor.data })).toMatchObject({ code: 0 });
  expect((await ended(survivor, 'before')).executionInfo).toMatchObject({ result: 'success' });
  expect((await run(survivor, 'after')).executionInfo).toMatchObject({ result: 'success' });
});

it('an index names an entry once: what follows is far behind all that the lost machines may have written', async () => {
  for (const { commit } of (await mesh.status(survivor))?.groups ?? [])
    expect(commit).toBeGreaterThan(RECOVERY_INDEX_STEP);
  await mesh.killMachine(survivor);
  await mesh.startAgent(survivor);
  expect((await ended(survivor, 'after')).executionInfo).toMatchObject({ result: 'success' });
  expect((await run(survivor, 'later')).executionInfo).toMatchObject({ result: 'success' });
});

it('an old majority that comes back gives up its copy, and serves the new one', async () => {
  await Promise.all(lost.map((agent) => mesh.startAgent(agent)));
  // It asks whom it takes for the leader, and waits until there is one: an answer from before the recovery has no such job.
  for (const agent of lost)
    expect((await agent.client.tasks.get('after', 't')).executionInfo).toMatchObject({ result: 'success' });
  await mesh.settle();
  const own = await terms(survivor);
  for (const agent of lost) {
    expect(await terms(agent)).toEqual(own);
    expect(await mesh.logOf(agent)).toContain('its copy from before that is given up');
  }
  expect((await run(lost[0] ?? survivor, 'together')).executionInfo).toMatchObject({ result: 'success' });
});
