/** From the POST of one task to its recorded end, on an idle mesh, above a bare spawn. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { addJob } from './jobs.ts';
import { median, type Rows, row } from './report.ts';

export async function oneTask(mesh: LocalMesh, rounds: number): Promise<Rows> {
  const { client } = mesh.alive();
  const job = await addJob(client);
  const tookMs: number[] = [];
  const spawnMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await sleep(50);
    spawnMs.push(await bareSpawnMs());
    const startedAtMs = performance.now();
    await client.tasks.add(job, { id: `t${round}`, commandLine: '/bin/true' });
    while ((await client.tasks.get(job, `t${round}`)).state !== 'completed') await sleep(1);
    tookMs.push(performance.now() - startedAtMs);
  }
  const above = median(tookMs) - median(spawnMs);
  return {
    'one task, above a spawn': row(
      above,
      'ms',
      15,
      `median of ${rounds}; a spawn takes ${median(spawnMs).toFixed(1)} ms; floor: the bound of 15 ms`,
    ),
  };
}

function bareSpawnMs(): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAtMs = performance.now();
    const child = spawn('/bin/true', [], { stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', () => resolve(performance.now() - startedAtMs));
  });
}
