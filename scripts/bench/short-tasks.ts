/** 10,000 times /bin/true, against xargs on the same two cores. */
import { spawn } from 'node:child_process';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { addJob, finish, tasks } from './jobs.ts';
import { cpuOf } from './processes.ts';
import { type Rows, row } from './report.ts';

export async function shortTasks(mesh: LocalMesh, count: number): Promise<Rows> {
  const { client } = mesh.alive();
  const warmUp = await addJob(client);
  await client.tasks.addAll(warmUp, tasks(500, '/bin/true'));
  await finish(client, warmUp, 500, 60_000);

  const floorBefore = await xargsRate(count);
  const cpuBefore = await cpuOf(mesh);
  const entriesBefore = await committed(mesh);
  const startedAtMs = performance.now();
  const job = await addJob(client);
  await client.tasks.addAll(job, tasks(count, '/bin/true'));
  await finish(client, job, count, 300_000);
  const rate = (count / (performance.now() - startedAtMs)) * 1000;
  const cpuAfter = await cpuOf(mesh);
  const agentsMs = (cpuAfter.ownMs - cpuBefore.ownMs) / count;
  const tasksMs = (cpuAfter.endedMs - cpuBefore.endedMs) / count;
  const entries = ((await committed(mesh)) - entriesBefore) / count;
  const floor = (floorBefore + (await xargsRate(count))) / 2;
  return {
    'short tasks': row(
      rate,
      'tasks/s',
      floor,
      `${count} x /bin/true; floor: xargs -P2 -n1; ratio at least 0.2`,
    ),
    'short tasks, CPU': row(
      agentsMs,
      'ms/task',
      3,
      `all agents and runners, forking included; /bin/true itself takes ${tasksMs.toFixed(2)} ms more; floor: the bound of 3 ms`,
    ),
    'short tasks, log entries': row(
      entries,
      'entries/task',
      1,
      "of the pool's group, each one synced write on three machines; floor: one entry a task",
    ),
  };
}

/** Last committed index of the pool's group. */
async function committed(mesh: LocalMesh): Promise<number> {
  const status = await mesh.status(mesh.alive());
  return status?.groups.find(({ group }) => group === 'pool:default')?.commit ?? Number.NaN;
}

/** Runs of /bin/true by `xargs -P2 -n1`, per second. */
function xargsRate(count: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAtMs = performance.now();
    const child = spawn('xargs', ['-P2', '-n1', '/bin/true'], { stdio: ['pipe', 'ignore', 'ignore'] });
    child.once('error', reject);
    child.once('exit', () => resolve((count / (performance.now() - startedAtMs)) * 1000));
    child.stdin.end(Array.from({ length: count }, (_, number) => `${number}\n`).join(''));
  });
}
