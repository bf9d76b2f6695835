/** From the POST of one task to its recorded end, on an idle mesh, above a bare spawn. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { addJob, finish, tasks } from './jobs.ts';
import { median, type Rows, row } from './report.ts';

export async function oneTask(mesh: LocalMesh, rounds: number): Promise<Rows> {
  const { client } = mesh.alive();
  const job = await addJob(client);
  const warmUp = await addJob(client);
  await client.tasks.addAll(warmUp, tasks(300, '/bin/true'));
  await finish(client, warmUp, 300, 60_000);
  const recordedMs: number[] = [];
  const seenMs: number[] = [];
  const spawnMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await sleep(50);
    spawnMs.push(await bareSpawnMs());
    const sentAtMs = Date.now();
    const startedAtMs = performance.now();
    await client.tasks.add(job, { id: `t${round}`, commandLine: '/bin/true' });
    let task = await client.tasks.get(job, `t${round}`);
    while (task.state !== 'completed') {
      await sleep(2);
      task = await client.tasks.get(job, `t${round}`);
    }
    seenMs.push(performance.now() - startedAtMs);
    recordedMs.push(Date.parse(task.stateTransitionTime ?? '') - sentAtMs);
  }
  const spawned = median(spawnMs);
  const note = `median of ${rounds}; a spawn takes ${spawned.toFixed(1)} ms, a client that polls sees the end ${(median(seenMs) - spawned).toFixed(1)} ms above it; floor: the bound of 15 ms`;
  return { 'one task, above a spawn': row(median(recordedMs) - spawned, 'ms', 15, note) };
}

function bareSpawnMs(): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAtMs = performance.now();
    const child = spawn('/bin/true', [], { stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', () => resolve(performance.now() - startedAtMs));
  });
}
