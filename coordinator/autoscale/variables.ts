/** The names that a formula finds there: what it reads, what it sets, and constants. */
import type { NodeDeallocationOption } from '../../src/model/pool.ts';

/**
 * What is counted of a pool, in the order in which samples hold it. New ones go to the end: a stored sample is a list.
 * Those from `activeTaskSlots` on are not Azure Batch's; they know about tasks that take several slots of a node.
 */
export const METRICS = [
  'activeTasks',
  'runningTasks',
  'succeededTasks',
  'failedTasks',
  'currentDedicatedNodes',
  'currentLowPriorityNodes',
  'preemptedNodes',
  'usableNodes',
  'taskSlotsPerNode',
  'activeTaskSlots',
  'runningTaskSlots',
  'nodesForPendingTasks',
] as const;
export type Metric = (typeof METRICS)[number];

/** A count for each metric, in the order of `METRICS`. */
export type Sample = readonly number[];

/** Sampled variables, and the metrics whose sum each is. None: of the machines' load, which `loads.ts` has. */
const SAMPLED: Readonly<Record<string, readonly Metric[]>> = {
  $ActiveTasks: ['activeTasks'],
  $RunningTasks: ['runningTasks'],
  $PendingTasks: ['activeTasks', 'runningTasks'],
  $SucceededTasks: ['succeededTasks'],
  $FailedTasks: ['failedTasks'],
  $CurrentDedicatedNodes: ['currentDedicatedNodes'],
  $CurrentLowPriorityNodes: ['currentLowPriorityNodes'],
  $PreemptedNodeCount: ['preemptedNodes'],
  $UsableNodeCount: ['usableNodes'],
  $SampleNodeCount: ['usableNodes'],
  $TaskSlotsPerNode: ['taskSlotsPerNode'],
  $ActiveTaskSlots: ['activeTaskSlots'],
  $RunningTaskSlots: ['runningTaskSlots'],
  $PendingTaskSlots: ['activeTaskSlots', 'runningTaskSlots'],
  $NodesForPendingTasks: ['nodesForPendingTasks'],
  $CPUPercent: [],
  $WallClockSeconds: [],
  $MemoryBytes: [],
  $DiskBytes: [],
  $DiskReadBytes: [],
  $DiskWriteBytes: [],
  $DiskReadOps: [],
  $DiskWriteOps: [],
  $NetworkInBytes: [],
  $NetworkOutBytes: [],
};

/** The names of all sampled variables, those without samples among them. */
export const SAMPLED_VARIABLES: readonly string[] = Object.keys(SAMPLED);

/** The metrics of a sampled variable; undefined where the name is none. */
export function metricsOf(name: string): readonly Metric[] | undefined {
  return Object.hasOwn(SAMPLED, name) ? SAMPLED[name] : undefined;
}

export const TARGET_DEDICATED = '$TargetDedicatedNodes';
export const TARGET_LOW_PRIORITY = '$TargetLowPriorityNodes';
export const DEALLOCATION_OPTION = '$NodeDeallocationOption';

/** Older names of the targets. Where a formula sets both, the full name counts. */
export const ALIASES: Readonly<Record<string, string>> = {
  $TargetDedicated: TARGET_DEDICATED,
  $TargetLowPriority: TARGET_LOW_PRIORITY,
};

export const WRITABLE: ReadonlySet<string> = new Set([
  TARGET_DEDICATED,
  TARGET_LOW_PRIORITY,
  DEALLOCATION_OPTION,
  ...Object.keys(ALIASES),
]);

/** Lengths in milliseconds. A year has 365 days. */
const INTERVALS: Readonly<Record<string, number>> = {
  TimeInterval_Zero: 0,
  TimeInterval_100ns: 0.0001,
  TimeInterval_Microsecond: 0.001,
  TimeInterval_Millisecond: 1,
  TimeInterval_Second: 1_000,
  TimeInterval_Minute: 60_000,
  TimeInterval_Hour: 3_600_000,
  TimeInterval_Day: 86_400_000,
  TimeInterval_Week: 604_800_000,
  TimeInterval_Year: 365 * 86_400_000,
};

export function intervalOf(name: string): number | undefined {
  return Object.hasOwn(INTERVALS, name) ? INTERVALS[name] : undefined;
}

const OPTIONS: readonly NodeDeallocationOption[] = ['requeue', 'terminate', 'taskcompletion', 'retaineddata'];

/** A value of `$NodeDeallocationOption` by its name; case does not matter. */
export function deallocationOptionOf(text: string): NodeDeallocationOption | undefined {
  return OPTIONS.find((option) => option === text.toLowerCase());
}

/** Names that a formula may read without having set them. */
export function isPredefined(name: string): boolean {
  return (
    metricsOf(name) !== undefined ||
    WRITABLE.has(name) ||
    intervalOf(name) !== undefined ||
    deallocationOptionOf(name) !== undefined
  );
}
