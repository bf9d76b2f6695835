/** A job of 100,000 tasks: accepted, listed page by page, and the coordinator's memory meanwhile. */
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { tasks, walk } from './jobs.ts';
import { residentMiB } from './processes.ts';
import { median, type Rows, row } from './report.ts';

export async function largeJob(mesh: LocalMesh, count: number): Promise<Rows> {
  const { client } = mesh.alive();
  const id = `large-${process.pid}`;
  // A pool without machines: what is measured is taking and listing, not running.
  await client.pools.add({ id: 'empty', vmSize: 'shoal.1c1g', targetDedicatedNodes: 0 });
  await client.jobs.add({ id, poolInfo: { poolId: 'empty' } });
  const coordinator = await mesh.leader('pool:empty');
  const startedAtMs = performance.now();
  await client.tasks.addAll(id, tasks(count, '/bin/true'));
  const addedS = (performance.now() - startedAtMs) / 1000;
  const { pageMs, items } = await walk(client, id, { pageSize: 1_000 });
  if (items !== count) throw new Error(`listed ${items} of ${count} tasks`);
  const memory = residentMiB(coordinator);
  await client.jobs.delete(id);
  const tenth = Math.max(1, Math.floor(pageMs.length / 10));
  return {
    'large job, submitted': row(addedS, 's', 20, `${count} tasks through the API; floor: the bound of 20 s`),
    'large job, last pages': row(
      median(pageMs.slice(-tenth)),
      'ms/page',
      median(pageMs.slice(0, tenth)),
      'pages of 1,000; floor: the first pages',
    ),
    'large job, memory': row(
      memory,
      'MiB',
      400,
      "the coordinator's resident memory, heap and all; floor: the bound for its heap",
    ),
  };
}
