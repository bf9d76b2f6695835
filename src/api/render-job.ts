/** A job as Azure Batch's CloudJob, and its task counts. */
import { UNLIMITED_DURATION } from '../lib/durations.ts';
import { formatTimestamp, timestampOf } from '../lib/timestamps.ts';
import { withoutPasswords } from '../model/container.ts';
import type { TaskCounts } from '../model/job.ts';
import type { JobEntity } from '../model/queries.ts';
import type { ApiVersion } from './api-version.ts';
import { jobUrl } from './entity-url.ts';
import { renderManager, renderPreparation, renderRelease } from './render-node-task.ts';

export function renderJob(job: JobEntity, baseUrl: string): Record<string, unknown> {
  const { spec } = job;
  return {
    id: spec.id,
    displayName: spec.displayName,
    usesTaskDependencies: spec.usesTaskDependencies ?? false,
    url: jobUrl(baseUrl, spec.id),
    eTag: job.eTag,
    lastModified: formatTimestamp(job.lastModifiedMs),
    creationTime: formatTimestamp(job.creationTimeMs),
    state: job.state,
    stateTransitionTime: formatTimestamp(job.stateTransitionTimeMs),
    previousState: job.previousState,
    previousStateTransitionTime: timestampOf(job.previousStateTransitionTimeMs),
    priority: spec.priority ?? 0,
    maxParallelTasks: spec.maxParallelTasks ?? -1,
    allowTaskPreemption: spec.allowTaskPreemption ?? false,
    constraints: {
      maxWallClockTime: spec.constraints?.maxWallClockTime ?? UNLIMITED_DURATION,
      maxTaskRetryCount: spec.constraints?.maxTaskRetryCount ?? 0,
    },
    commonEnvironmentSettings: spec.commonEnvironmentSettings,
    poolInfo: withoutPasswords(renderPoolInfo(spec.poolInfo)),
    jobManagerTask: spec.jobManagerTask && renderManager(spec.jobManagerTask),
    jobPreparationTask: spec.jobPreparationTask && renderPreparation(spec.jobPreparationTask),
    jobReleaseTask: spec.jobReleaseTask && renderRelease(spec.jobReleaseTask),
    networkConfiguration: spec.networkConfiguration,
    onAllTasksComplete: spec.onAllTasksComplete ?? 'noaction',
    onTaskFailure: spec.onTaskFailure ?? 'noaction',
    metadata: spec.metadata,
    executionInfo: {
      startTime: formatTimestamp(job.startTimeMs),
      endTime: timestampOf(job.endTimeMs),
      poolId: spec.poolInfo.poolId,
      terminateReason: job.terminateReason,
    },
    ...(spec.onNodeCutOff !== undefined && { onNodeCutOff: spec.onNodeCutOff }),
  };
}

/** The pool that was made for the job is told by its execution. */
function renderPoolInfo(poolInfo: JobEntity['spec']['poolInfo']): JobEntity['spec']['poolInfo'] {
  if (poolInfo.autoPoolSpecification === undefined) return poolInfo;
  const { poolId: _, ...rest } = poolInfo;
  return rest;
}

/** `JobStatistics`, with the members that the mesh counts. */
export function renderJobStats(job: JobEntity, baseUrl: string, nowMs: number): Record<string, unknown> {
  return {
    url: jobUrl(baseUrl, job.spec.id),
    startTime: formatTimestamp(job.startTimeMs),
    lastUpdateTime: formatTimestamp(job.endTimeMs ?? nowMs),
    numSucceededTasks: String(job.counts.succeeded),
    numFailedTasks: String(job.counts.failed),
  };
}

/** The oldest version has no slots and does not nest. */
export function renderTaskCounts(
  counts: { readonly tasks: TaskCounts; readonly slots: TaskCounts },
  version: ApiVersion,
): Record<string, unknown> {
  return version === 'flat'
    ? { ...counts.tasks }
    : { taskCounts: counts.tasks, taskSlotCounts: counts.slots };
}
