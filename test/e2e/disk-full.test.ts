/** The disk of the machine that leads is full: the mesh goes on, and so does its API; with room, so does the machine. Needs root, to mount small disks. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';

const STEP_MS_MAX = 30_000;
const DISK_MIB = 160;
const BLOCK_BYTES = 1024 * 1024;
let directory: string;
let mesh: LocalMesh;
const mounted: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-disk-'));
  await chmod(directory, 0o711);
  for (const name of ['machine-1', 'machine-2', 'machine-3']) {
    const disk = join(directory, name);
    await mkdir(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=711`, 'shoal-test', disk]);
    mounted.push(disk);
  }
  mesh = await LocalMesh.start(3, { directory });
});
afterAll(async () => {
  await mesh?.stop();
  // Lazily: the last process of a runner's namespace may be ending still.
  for (const disk of mounted) execFileSync('umount', ['--lazy', disk]);
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** Writes until nothing more goes in. */
async function fill(agent: LocalAgent): Promise<string> {
  const file = join(agent.data, 'ballast');
  for (let bytes = BLOCK_BYTES; bytes >= 1; bytes = Math.floor(bytes / 16)) {
    const block = Buffer.alloc(bytes);
    while (
      await writeFile(file, block, { flag: 'a' }).then(
        () => true,
        () => false,
      )
    );
  }
  return file;
}

async function runJob(through: LocalAgent, job: string, tasks: number): Promise<void> {
  await through.client.jobs.add({ id: job, poolInfo: { poolId: 'default' } });
  const specs = Array.from({ length: tasks }, (_, task) => ({ id: `t${task}`, commandLine: '/bin/true' }));
  await through.client.tasks.addAll(job, specs);
  await until(`${job} has ended`, STEP_MS_MAX, async () => {
    return (await through.client.jobs.taskCounts(job)).succeeded === tasks;
  });
}

describe('a leader whose disk is full', () => {
  it('is succeeded, still answers for the mesh, and comes back when there is room', async () => {
    const leader = await mesh.leader('pool:default');
    const other = mesh.agents.find((agent) => agent !== leader) ?? leader;
    await runJob(leader, 'before', 20);
    const ballast = await fill(leader);
    expect((await statfs(leader.data)).bavail).toBe(0);

    // Through both: whichever the leader was in the middle of, the others take over.
    await runJob(other, 'meanwhile', 20);
    expect(await mesh.leader('pool:default')).not.toBe(leader);
    expect((await mesh.status(leader))?.groups).toEqual([]);
    await runJob(leader, 'through-the-full-one', 20);
    for (const agent of mesh.agents)
      expect(await agent.client.jobs.taskCounts('before')).toMatchObject({ completed: 20, succeeded: 20 });

    await truncate(ballast, 0);
    await mesh.settle();
    expect((await mesh.status(leader))?.groups.map(({ group }) => group).sort()).toEqual([
      'mesh',
      'pool:default',
    ]);
    for (const job of ['before', 'meanwhile', 'through-the-full-one'])
      expect(await leader.client.jobs.taskCounts(job)).toMatchObject({ completed: 20, succeeded: 20 });
  });
});
