/** A job of a million tasks: how long a filtered page of it takes wherever it begins, and what a task takes of a coordinator's memory. */
import type { ShoalClient } from '../../src/client/client.ts';
import { LIST_SCAN_ROWS_MAX } from '../../src/lib/limits.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { walk } from './jobs.ts';
import { residentMiB } from './processes.ts';
import { median, type Rows, row } from './report.ts';

const POOL = 'million-bench';
const PAGE = 1_000;
const BOUND_MS = 150;
/** One task in so many has an id of its own kind. */
const RARE = 1_000;
/** Tasks that are completed, without having run, and how many are being terminated at once. */
const COMPLETED = 10_000;
const TERMINATING = 32;
/** Pages from which a figure is the median. */
const PAGES = 20;

export async function millionTasks(mesh: LocalMesh, count: number): Promise<Rows> {
  const { client } = mesh.alive();
  const job = `million-${process.pid}`;
  // Without machines: what is measured is taking and listing, not running.
  await client.pools.add({ id: POOL, vmSize: 'shoal.1c1g', targetDedicatedNodes: 0 });
  await client.jobs.add({ id: job, poolInfo: { poolId: POOL } });
  const coordinator = await mesh.leader(`pool:${POOL}`);
  const emptyMiB = residentMiB(coordinator);
  const beganAtMs = performance.now();
  await client.tasks.addAll(job, someRare(count));
  const addedS = (performance.now() - beganAtMs) / 1000;
  const bytesPerTask = ((residentMiB(coordinator) - emptyMiB) * 1024 ** 2) / count;

  const all = await walk(client, job, { filter: "state eq 'active'", pageSize: PAGE });
  if (all.items !== count) throw new Error(`listed ${all.items} of ${count} tasks`);
  const rare = await walk(client, job, { filter: "startswith(id, 'rare')", pageSize: PAGE });
  if (rare.items !== Math.ceil(count / RARE)) throw new Error(`found ${rare.items} rare tasks`);

  await terminateSome(client, job, Math.min(count, COMPLETED));
  // Of completed tasks only their rows know how they ended: a page looks at fewer of them.
  const failed = { filter: 'executionInfo/exitCode eq 7', pageSize: PAGE };
  const read = await walk(client, job, failed, COMPLETED / LIST_SCAN_ROWS_MAX);
  await client.jobs.delete(job);
  await client.pools.delete(POOL);

  const middle = all.pageMs.length >> 1;
  const page = (ms: readonly number[], note: string) =>
    row(median(ms), 'ms/page', BOUND_MS, `${note} (worst ${Math.max(...ms).toFixed(0)}); floor: the bound`);
  return {
    'a million tasks, submitted': row(
      addedS,
      's',
      count / 5_000,
      `${count} tasks; floor: the bound of 20 s for 100,000`,
    ),
    'a million tasks, first pages': page(all.pageMs.slice(0, PAGES), '1,000 by state'),
    'a million tasks, middle pages': page(all.pageMs.slice(middle, middle + PAGES), '1,000 by state'),
    'a million tasks, last pages': page(all.pageMs.slice(-PAGES), '1,000 by state'),
    'a million tasks, rare ones': page(
      rare.pageMs,
      `by id, one in ${RARE} matches: ${rare.items} of them on ${rare.pageMs.length} pages`,
    ),
    'a million tasks, by exit code': page(
      read.pageMs,
      `what only rows know, of completed tasks: ${LIST_SCAN_ROWS_MAX} looked at, none matches`,
    ),
    'a million tasks, memory': row(
      bytesPerTask,
      'B/task',
      400,
      "the coordinator's resident memory, what its log and its database keep in memory included",
    ),
  };
}

function* someRare(count: number): Generator<TaskSpec> {
  for (let task = 0; task < count; task += 1)
    yield { id: `${task % RARE === 0 ? 'rare' : 'task'}-${task}`, commandLine: '/bin/true' };
}

async function terminateSome(client: ShoalClient, job: string, count: number): Promise<void> {
  const specs = someRare(count);
  const terminateEach = async (): Promise<void> => {
    for (const { id } of specs) await client.tasks.terminate(job, id);
  };
  await Promise.all(Array.from({ length: TERMINATING }, terminateEach));
}
