/** Jobs of the benchmarks, through the client as any user would send them. */
import type { ShoalClient } from '../../src/client/client.ts';
import type { ListOptions } from '../../src/client/paging.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import { until } from '../local-mesh/local-mesh.ts';

let jobs = 0;

export async function addJob(client: ShoalClient): Promise<string> {
  jobs += 1;
  const id = `bench-${process.pid}-${jobs}`;
  await client.jobs.add({ id, poolInfo: { poolId: 'default' } });
  return id;
}

export function* tasks(count: number, commandLine: string): Generator<TaskSpec> {
  for (let task = 0; task < count; task += 1) yield { id: `t${task}`, commandLine };
}

/** Each look costs the agents about as much as a task. */
const POLL_MS = 200;

export async function finish(
  client: ShoalClient,
  job: string,
  count: number,
  withinMs: number,
): Promise<void> {
  await until(
    `${count} tasks of ${job} have ended`,
    withinMs,
    async () => {
      const counts = await client.jobs.taskCounts(job);
      if (counts.failed > 0) throw new Error(`${counts.failed} tasks failed`);
      return counts.completed >= count;
    },
    POLL_MS,
  );
}

/** Lists a job's tasks page by page, `pagesMax` at most; how long each page took, and how many tasks they had together. */
export async function walk(
  client: ShoalClient,
  job: string,
  options: ListOptions,
  pagesMax = Number.POSITIVE_INFINITY,
): Promise<{ readonly pageMs: readonly number[]; readonly items: number }> {
  const pageMs: number[] = [];
  let items = 0;
  let token: string | undefined;
  do {
    const beganAtMs = performance.now();
    const page = await client.tasks.page(job, options, token);
    pageMs.push(performance.now() - beganAtMs);
    items += page.items.length;
    token = page.next;
  } while (token !== undefined && pageMs.length < pagesMax);
  return { pageMs, items };
}
