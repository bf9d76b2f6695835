/** A task's maxWallClockTime. Pure: the simulated runner keeps it by the same rule. */
import { parseDuration } from '../../src/lib/durations.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import type { Launch } from './interface.ts';

/** Milliseconds; undefined where there is no limit. */
export function wallClockLimitMs(constraints: TaskSpec['constraints']): number | undefined {
  if (constraints?.maxWallClockTime === undefined) return undefined;
  const limitMs = parseDuration(constraints.maxWallClockTime);
  return limitMs === undefined || !Number.isFinite(limitMs) ? undefined : limitMs;
}

/** By the machine's monotonic clock: nobody's change of the time of day ends a task. */
export function hasRunTooLong({ wallClockMsMax }: Pick<Launch, 'wallClockMsMax'>, ranMs: number): boolean {
  return wallClockMsMax !== undefined && ranMs >= wallClockMsMax;
}
