/** The list of all jobs: every pool's group has its own, so the pages go through one pool after another. */
import { ShoalError } from '../lib/errors.ts';
import { JOB_LIST_POOLS_MAX } from '../lib/limits.ts';
import type { CallOptions, Control } from '../model/control.ts';
import { type GroupId, MESH_GROUP } from '../model/ids.ts';
import type { JobEntity } from '../model/queries.ts';

/** Group, and the number after which to go on in it; 0 before its first job. */
export type JobListPosition = readonly [group: string, after: number];

export interface JobListPage {
  readonly jobs: readonly JobEntity[];
  readonly next: JobListPosition | undefined;
}

/**
 * Up to `limit` jobs from `from` on. A page may hold fewer, even none, and still have a next one: it ends after
 * `JOB_LIST_POOLS_MAX` pools, so that a request over thousands of empty pools cannot take longer than clients wait.
 */
export async function listJobs(
  control: Pick<Control, 'query'>,
  request: { readonly from: JobListPosition | undefined; readonly limit: number; readonly filter?: string },
  options: () => CallOptions,
): Promise<JobListPage> {
  const groups = await poolGroups(control, options());
  let position = request.from ?? (['', 0] as const);
  const jobs: JobEntity[] = [];
  for (let asked = 0; asked < JOB_LIST_POOLS_MAX; asked += 1) {
    const group = groups.find((candidate) => candidate >= position[0]);
    if (group === undefined) return { jobs, next: undefined };
    const after = group === position[0] && position[1] > 0 ? { after: position[1] } : {};
    const filter = request.filter === undefined ? {} : { filter: request.filter };
    const page = await jobsOf(
      control,
      group,
      { limit: request.limit - jobs.length, ...after, ...filter },
      options(),
    );
    jobs.push(...page.items);
    position = page.next === undefined ? [successorOf(group), 0] : [group, page.next];
    if (jobs.length >= request.limit) break;
  }
  const more = groups.some((group) => group >= position[0]);
  return { jobs, next: more ? position : undefined };
}

async function poolGroups(
  control: Pick<Control, 'query'>,
  options: CallOptions,
): Promise<readonly GroupId[]> {
  const records = await control.query(MESH_GROUP, 'group.list', {}, options);
  return records
    .map((record) => record.group)
    .filter((group) => group !== MESH_GROUP)
    .sort();
}

/** The least text that sorts behind `group`. */
function successorOf(group: string): string {
  return `${group}\u0000`;
}

/** A page of one pool's jobs; none of a pool that was deleted meanwhile. */
async function jobsOf(
  control: Pick<Control, 'query'>,
  group: GroupId,
  page: { readonly limit: number; readonly after?: number; readonly filter?: string },
  options: CallOptions,
): Promise<{ readonly items: readonly JobEntity[]; readonly next?: number }> {
  try {
    return await control.query(group, 'job.list', page, options);
  } catch (thrown) {
    if (thrown instanceof ShoalError && thrown.code === 'GroupNotFound') return { items: [] };
    throw thrown;
  }
}
