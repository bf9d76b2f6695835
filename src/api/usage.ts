/**
 * Core time of pools: what `GET /poolusagemetrics`, the lifetime statistics and `$expand=stats` tell. It is computed
 * when asked, from the nodes that pools have now; those that have left are not remembered.
 */
import { formatDuration } from '../lib/durations.ts';
import { formatTimestamp } from '../lib/timestamps.ts';
import { idKey, MESH_GROUP } from '../model/ids.ts';
import type { Allotment } from '../model/machine.ts';
import type { PoolEntity } from '../model/queries.ts';
import type { ApiContext } from './context.ts';
import { poolUrl } from './entity-url.ts';
import type { Call } from './route.ts';
import { expandsStats } from './select.ts';

/** Core time in a span of time, ms; empty where the span is. */
interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

export type StatsOfPool = (pool: PoolEntity) => Record<string, unknown>;

/** Core milliseconds of these nodes within the span. */
export function coreTimeMs(allotments: readonly Allotment[], { startMs, endMs }: Span): number {
  let total = 0;
  for (const { cores, allottedAtMs } of allotments)
    total += cores * Math.max(0, endMs - Math.max(startMs, allottedAtMs));
  return total;
}

/** The nodes of every pool, by the pool's key; of one pool where it is named. */
export async function allotmentsByPool(
  { control }: ApiContext,
  call: Call,
  pool?: string,
): Promise<ReadonlyMap<string, readonly Allotment[]>> {
  const request = pool === undefined ? {} : { pool };
  const allotments = await control.query(MESH_GROUP, 'allotment.list', request, call.options());
  const byPool = new Map<string, Allotment[]>();
  for (const allotment of allotments) {
    const key = idKey(allotment.pool);
    const known = byPool.get(key);
    if (known === undefined) byPool.set(key, [allotment]);
    else known.push(allotment);
  }
  return byPool;
}

/** `PoolStatistics`, with the members that the mesh counts. */
export function renderPoolStats(
  url: string,
  allotments: readonly Allotment[],
  span: Span,
): Record<string, unknown> {
  const times = { startTime: formatTimestamp(span.startMs), lastUpdateTime: formatTimestamp(span.endMs) };
  const dedicatedCoreTime = formatDuration(coreTimeMs(allotments, span));
  return { url, ...times, usageStats: { ...times, dedicatedCoreTime } };
}

/** What `stats` is for each pool of one request; undefined where the request does not expand it. */
export async function poolStats(
  context: ApiContext,
  call: Call,
  pool?: string,
): Promise<StatsOfPool | undefined> {
  if (!expandsStats(call.query)) return undefined;
  const byPool = await allotmentsByPool(context, call, pool);
  const endMs = context.clock.wallMs();
  return ({ spec, creationTimeMs }) =>
    renderPoolStats(poolUrl(call.baseUrl, spec.id), byPool.get(idKey(spec.id)) ?? [], {
      startMs: Math.min(creationTimeMs, endMs),
      endMs,
    });
}
