/** Routes of statistics, over all pools and all jobs there are. */
import { ShoalError } from '../lib/errors.ts';
import { formatTimestamp, parseTimestamp } from '../lib/timestamps.ts';
import { idKey, MESH_GROUP } from '../model/ids.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata } from './entity-url.ts';
import { type JobListPosition, listJobs } from './job-list.ts';
import { matcherOf } from './list-query.ts';
import { listAnswer, pageByKey, readPageWish } from './paging.ts';
import { invalidQuery, type Query } from './query.ts';
import { type Answer, type Call, json, type Route } from './route.ts';
import { allotmentsByPool, coreTimeMs, renderPoolStats } from './usage.ts';

const MS_PER_HOUR = 3_600_000;
/** Azure Batch's own interval where the request names no time. */
const USAGE_INTERVAL_MS = 30 * 60_000;
const JOBS_PER_PAGE = 1_000;

export function statisticsRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/poolusagemetrics',
      name: 'Pool_ListUsageMetrics',
      query: ['starttime', 'endtime', '$filter', 'maxresults', '$skiptoken'],
      handle: (call) => listUsage(context, call),
    },
    {
      method: 'GET',
      path: '/lifetimepoolstats',
      name: 'Pool_GetAllLifetimeStatistics',
      handle: (call) => allPools(context, call),
    },
    {
      method: 'GET',
      path: '/lifetimejobstats',
      name: 'Job_GetAllLifetimeStatistics',
      handle: (call) => allJobs(context, call),
    },
  ];
}

/** One row for each pool that had nodes in the span: the mesh does not cut it into intervals. */
async function listUsage(context: ApiContext, call: Call): Promise<Answer> {
  const nowMs = context.clock.wallMs();
  const endMs = Math.min(nowMs, timeOf(call.query, 'endtime') ?? nowMs);
  const startMs = timeOf(call.query, 'starttime') ?? endMs - USAGE_INTERVAL_MS;
  if (startMs > endMs)
    throw invalidQuery('starttime', call.query.get('starttime') ?? '', 'it lies behind the end');
  const matches = matcherOf(call, 'nodeCounts');
  const wish = readPageWish(call.query);
  const [pools, byPool] = await Promise.all([
    context.control.query(MESH_GROUP, 'pool.list', {}, call.options()),
    allotmentsByPool(context, call),
  ]);
  const rows = pools
    .map(({ spec }) => ({ ...spec, key: idKey(spec.id) }))
    .filter(({ id }) => matches({ pool: id }))
    .map((pool) => ({ ...pool, coreMs: coreTimeMs(byPool.get(pool.key) ?? [], { startMs, endMs }) }))
    .filter(({ coreMs }) => coreMs > 0);
  const { items, next } = pageByKey(rows, wish, ({ key }) => key);
  const value = items.map(({ id, vmSize, coreMs }) => ({
    poolId: id,
    startTime: formatTimestamp(startMs),
    endTime: formatTimestamp(endMs),
    vmSize,
    totalCoreHours: coreMs / MS_PER_HOUR,
  }));
  return listAnswer(call, 'poolusagemetrics', value, next);
}

async function allPools(context: ApiContext, call: Call): Promise<Answer> {
  const byPool = await allotmentsByPool(context, call);
  const allotments = [...byPool.values()].flat();
  const endMs = context.clock.wallMs();
  const startMs = Math.min(endMs, ...allotments.map(({ allottedAtMs }) => allottedAtMs));
  const stats = renderPoolStats(`${call.baseUrl}/lifetimepoolstats`, allotments, { startMs, endMs });
  return json({ 'odata.metadata': elementMetadata(call.baseUrl, 'poolstats'), ...stats });
}

/** Goes through all jobs there are; ends with OperationTimedOut where the request's time is too short for that. */
async function allJobs(context: ApiContext, call: Call): Promise<Answer> {
  const endMs = context.clock.wallMs();
  const sum = { startMs: endMs, succeeded: 0, failed: 0 };
  let from: JobListPosition | undefined;
  do {
    call.signal.throwIfAborted();
    if ((call.options().timeoutMs ?? 0) <= 1) throw new ShoalError('OperationTimedOut');
    const page = await listJobs(context.control, { from, limit: JOBS_PER_PAGE }, () => call.options());
    for (const { creationTimeMs, counts } of page.jobs) {
      sum.startMs = Math.min(sum.startMs, creationTimeMs);
      sum.succeeded += counts.succeeded;
      sum.failed += counts.failed;
    }
    from = page.next;
  } while (from !== undefined);
  return json({
    'odata.metadata': elementMetadata(call.baseUrl, 'jobstats'),
    url: `${call.baseUrl}/lifetimejobstats`,
    startTime: formatTimestamp(sum.startMs),
    lastUpdateTime: formatTimestamp(endMs),
    numSucceededTasks: String(sum.succeeded),
    numFailedTasks: String(sum.failed),
  });
}

function timeOf(query: Query, name: string): number | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  const timeMs = parseTimestamp(text);
  if (timeMs === undefined)
    throw invalidQuery(name, text, 'a moment such as 2026-01-31T12:00:00Z is expected');
  return timeMs;
}
