/** The disk of a machine was copied, and both start: two agents with one identity. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import { type Ran, shoal } from './shell.ts';

const STEP_MS_MAX = 90_000;
/** sysexits' EX_CONFIG. */
const IDENTITY_IN_USE = 78;
let mesh: LocalMesh;
let original: LocalAgent;
let other: LocalAgent;

beforeAll(async () => {
  mesh = await LocalMesh.start(3);
  // The others have greater ids than this one, and tell a second one why it is not let in.
  const machines = await Promise.all(
    mesh.agents.map(async (agent) => ({ agent, id: (await mesh.status(agent))?.machine.id ?? '' })),
  );
  const [first, second] = machines.sort((a, b) => (a.id < b.id ? -1 : 1));
  if (first === undefined || second === undefined) throw new Error('there are three agents');
  original = first.agent;
  other = second.agent;
});
afterAll(() => mesh?.stop());

async function runJob(job: string): Promise<void> {
  await other.client.jobs.add({ id: job, poolInfo: { poolId: 'default' } });
  await other.client.tasks.addAll(
    job,
    Array.from({ length: 30 }, (_, task) => ({ id: `t${task}`, commandLine: '/bin/true' })),
  );
  await until(`${job} has ended`, STEP_MS_MAX, async () => {
    return (await other.client.jobs.taskCounts(job)).succeeded === 30;
  });
}

/** A copy of the agent's whole directory, which listens elsewhere. */
async function copyOf(agent: LocalAgent): Promise<string> {
  const copy = `${agent.data}-copy`;
  await mesh.killMachine(agent);
  await cp(agent.data, copy, { recursive: true, filter: (source) => !source.endsWith('.sock') });
  const file = join(copy, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...config, listen: ['/ip4/127.0.0.1/tcp/0'], apiPort: null }));
  return copy;
}

it('the copy is not let in and says why; the original goes on, and nothing is lost', async () => {
  await runJob('before');
  const copy = await copyOf(original);
  await mesh.startAgent(original);
  await mesh.settle();
  const process = original.process;
  const ran: Promise<Ran> = shoal(['agent'], { data: copy });
  await runJob('meanwhile');
  expect(await ran).toMatchObject({ code: IDENTITY_IN_USE });
  expect((await ran).stderr).toContain('IdentityInUse');
  expect(original.process).toBe(process);
  expect(process?.exitCode).toBeNull();

  await runJob('after');
  for (const job of ['before', 'meanwhile', 'after'])
    expect(await original.client.jobs.taskCounts(job)).toMatchObject({ completed: 30, succeeded: 30 });
});
