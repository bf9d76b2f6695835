/** S20: a list that is read page by page while it changes, at one machine after another, neither skips nor repeats. */
import { asShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { poolGroup } from '../../../src/model/ids.ts';
import type { Page, TaskEntity } from '../../../src/model/queries.ts';
import type { Habit } from './habits.ts';
import type { JobClients, KnownJob } from './job-clients.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';

const LISTS = 6;
const PAGE_TASKS_MAX = 25;
const PAUSE_MS_MAX = 150;

export interface ListWorld {
  readonly requests: Requests;
  readonly random: Prng;
  readonly habits: ReadonlySet<Habit>;
  readonly jobs: JobClients;
  readonly referee: Referee;
}

export function beginLists({ requests, random, habits, jobs, referee }: ListWorld, untilMs: number): void {
  if (!habits.has('lists')) return;
  for (let list = 0; list < LISTS; list++) {
    const { nowMs } = requests;
    const own = random.fork();
    requests.at(nowMs + own.next() * (untilMs - nowMs), async () => {
      const known = jobs.jobs.filter(({ accepted }) => accepted);
      if (known.length > 0) await readList(own.pick(known), own, requests, referee);
    });
  }
}

async function readList(job: KnownJob, random: Prng, requests: Requests, referee: Referee): Promise<void> {
  const mustShow = [...job.tasks].filter(([, task]) => task.accepted).map(([id]) => id);
  const seen = new Set<string>();
  for (let after: number | undefined; ; ) {
    const page = await pageOf(job, after, random.int(1, PAGE_TASKS_MAX), requests);
    if (page === undefined) return;
    for (const { spec } of page.items) {
      if (seen.has(spec.id)) referee.fail('S20', `a list of ${job.id} shows ${spec.id} twice`);
      seen.add(spec.id);
    }
    if (page.next === undefined) break;
    if (page.next <= (after ?? -1)) referee.fail('S20', `a list of ${job.id} goes back to ${page.next}`);
    after = page.next;
    await requests.pause(random.int(0, PAUSE_MS_MAX));
  }
  for (const id of mustShow)
    if (!seen.has(id) && job.tasks.get(id)?.deleted === 'no' && job.deleted === 'no')
      referee.fail('S20', `a list of ${job.id} skips ${id}`);
}

/** Undefined where the job is gone. */
async function pageOf(
  { pool, id }: KnownJob,
  after: number | undefined,
  limit: number,
  requests: Requests,
): Promise<Page<TaskEntity> | undefined> {
  try {
    const from = after === undefined ? {} : { after };
    return await requests.query(poolGroup(pool), 'task.list', { job: id, limit, ...from });
  } catch (error) {
    if (asShoalError(error).code === 'JobNotFound') return undefined;
    throw error;
  }
}
