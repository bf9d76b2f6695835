/** Azure Batch's own JavaScript client: tasks added a hundred at a time, and a filtered page of a large job. */
import { BatchServiceClient, BatchSharedKeyCredentials } from '@azure/batch';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { tasks } from './jobs.ts';
import { median, type Rows, row } from './report.ts';

const POOL = 'azure-bench';
/** As many requests at once as Azure's .NET client sends by default. */
const ADDING = 4;
const COLLECTION = 100;

export async function azureClient(
  mesh: LocalMesh,
  { added, listed }: { readonly added: number; readonly listed: number },
): Promise<Rows> {
  const { client } = mesh.alive();
  const { accountName, accountKey, url } = await client.mesh.account();
  if (url === null) throw new Error('the mesh does not listen on TCP');
  const azure = new BatchServiceClient(new BatchSharedKeyCredentials(accountName, accountKey), url);
  // Without machines: what is measured is taking and listing, not running.
  await azure.pool.add({ id: POOL, vmSize: 'shoal.1c1g', targetDedicatedNodes: 0 });
  const job = `azure-${process.pid}`;
  await azure.job.add({ id: job, poolInfo: { poolId: POOL } });

  const startedAtMs = performance.now();
  await addAll(azure, job, added);
  const addedS = (performance.now() - startedAtMs) / 1000;

  for (let first = added; first < listed; first += 5_000) {
    const batch = [...tasks(listed, '/bin/true')].slice(first, Math.min(listed, first + 5_000));
    await client.tasks.addAll(job, batch);
  }
  const pageMs = await filteredPages(azure, job);

  await azure.job.deleteMethod(job);
  await azure.pool.deleteMethod(POOL);
  return {
    'azure client, tasks added': row(
      addedS,
      's',
      10,
      `${added} tasks through @azure/batch in collections of ${COLLECTION}; floor: the bound of 10 s`,
    ),
    'azure client, filtered page': row(
      median(pageMs),
      'ms/page',
      150,
      `1,000 of ${listed} tasks by state and id; floor: the bound of 150 ms`,
    ),
  };
}

async function addAll(azure: BatchServiceClient, job: string, count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, task) => ({ id: `t${task}`, commandLine: '/bin/true' }));
  let next = 0;
  const add = async (): Promise<void> => {
    while (next < all.length) {
      const batch = all.slice(next, next + COLLECTION);
      next += COLLECTION;
      const { value = [] } = await azure.task.addCollection(job, batch);
      const refused = value.find(({ status }) => status !== 'success');
      if (refused !== undefined) throw new Error(`a task was refused: ${refused.error?.code}`);
    }
  };
  await Promise.all(Array.from({ length: ADDING }, add));
}

/** How long each of up to twenty pages takes, ms. */
async function filteredPages(azure: BatchServiceClient, job: string): Promise<number[]> {
  const options = { filter: "state eq 'active' and startswith(id, 't')", select: 'id,state' };
  const pageMs: number[] = [];
  let link: string | undefined;
  do {
    const beganAtMs = performance.now();
    const page =
      link === undefined
        ? await azure.task.list(job, { taskListOptions: options })
        : await azure.task.listNext(link);
    pageMs.push(performance.now() - beganAtMs);
    link = page.odatanextLink;
  } while (link !== undefined && pageMs.length < 20);
  return pageMs;
}
