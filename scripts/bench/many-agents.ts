/** Thirty agents as processes on this machine form one mesh and run a job. */
import { LocalMesh, until } from '../local-mesh/local-mesh.ts';
import { addJob, finish, tasks } from './jobs.ts';
import { type Rows, row } from './report.ts';

export async function manyAgents(count: number, directory: string): Promise<Rows> {
  const startedAtMs = performance.now();
  const mesh = await LocalMesh.start(count, { directory });
  try {
    const upS = (performance.now() - startedAtMs) / 1000;
    const { client } = mesh.alive();
    const job = await addJob(client);
    const beganAtMs = performance.now();
    await client.tasks.addAll(job, tasks(1_000, '/bin/true'));
    await finish(client, job, 1_000, 120_000);
    const ran = new Set<string>();
    for await (const task of client.tasks.list(job))
      if (task.nodeInfo?.nodeId !== undefined) ran.add(task.nodeInfo.nodeId);
    await until(
      'every agent is a member',
      10_000,
      async () => (await client.mesh.machines()).filter(({ alive }) => alive).length === count,
    );
    const jobS = (performance.now() - beganAtMs) / 1000;
    return {
      [`${count} agents, up`]: row(
        upS,
        's',
        count,
        `joined one after another; then 1,000 tasks in ${jobS.toFixed(1)} s on ${ran.size} nodes; floor: 1 s an agent`,
      ),
    };
  } finally {
    await mesh.stop();
  }
}
