/** The tasks of nodes: a pool's start task, a job's preparation and release tasks, and how their runs went. */

import { formatTimestamp } from '../lib/timestamps.ts';
import { withoutPasswords } from '../model/container.ts';
import type { JobManagerTask } from '../model/job.ts';
import {
  type JobPreparationTask,
  type JobReleaseTask,
  PREPARATION_ID,
  RELEASE_ID,
  RELEASE_WALL_CLOCK_DEFAULT,
  type StartTask,
} from '../model/node-task.ts';
import type { JobNodeEntity, NodeTaskRun } from '../model/queries.ts';
import { fileUrl, nodeUrl } from './entity-url.ts';
import {
  DEFAULT_RETENTION,
  DEFAULT_USER,
  renderConstraints,
  renderFailure,
  taskDirectory,
} from './render-task.ts';

export function renderStartTask(start: StartTask): Record<string, unknown> {
  return {
    ...start,
    containerSettings: withoutPasswords(start.containerSettings),
    userIdentity: start.userIdentity ?? DEFAULT_USER,
    maxTaskRetryCount: start.maxTaskRetryCount ?? 0,
    waitForSuccess: start.waitForSuccess ?? true,
  };
}

export function renderManager(manager: JobManagerTask): Record<string, unknown> {
  return {
    ...manager,
    containerSettings: withoutPasswords(manager.containerSettings),
    constraints: renderConstraints(manager.constraints),
    requiredSlots: manager.requiredSlots ?? 1,
    userIdentity: manager.userIdentity ?? DEFAULT_USER,
    killJobOnCompletion: manager.killJobOnCompletion ?? true,
    runExclusive: manager.runExclusive ?? true,
    allowLowPriorityNode: manager.allowLowPriorityNode ?? true,
  };
}

export function renderPreparation(preparation: JobPreparationTask): Record<string, unknown> {
  return {
    ...preparation,
    containerSettings: withoutPasswords(preparation.containerSettings),
    id: preparation.id ?? PREPARATION_ID,
    constraints: renderConstraints(preparation.constraints),
    userIdentity: preparation.userIdentity ?? DEFAULT_USER,
    waitForSuccess: preparation.waitForSuccess ?? true,
    rerunOnNodeRebootAfterSuccess: preparation.rerunOnNodeRebootAfterSuccess ?? true,
  };
}

export function renderRelease(release: JobReleaseTask): Record<string, unknown> {
  return {
    ...release,
    containerSettings: withoutPasswords(release.containerSettings),
    id: release.id ?? RELEASE_ID,
    userIdentity: release.userIdentity ?? DEFAULT_USER,
    maxWallClockTime: release.maxWallClockTime ?? RELEASE_WALL_CLOCK_DEFAULT,
    retentionTime: release.retentionTime ?? DEFAULT_RETENTION,
  };
}

/** Azure's StartTaskInformation; the two execution infos of jobs have the same and more. */
export function renderRun(run: NodeTaskRun): Record<string, unknown> {
  return {
    state: run.state,
    startTime: run.startTimeMs === undefined ? undefined : formatTimestamp(run.startTimeMs),
    endTime: run.endTimeMs === undefined ? undefined : formatTimestamp(run.endTimeMs),
    exitCode: run.exitCode,
    failureInfo: run.failure === undefined ? undefined : renderFailure(run.failure),
    retryCount: run.retryCount,
    lastRetryTime: run.lastRetryTimeMs === undefined ? undefined : formatTimestamp(run.lastRetryTimeMs),
    result: run.result,
  };
}

/** One row of a job's preparation and release status. */
export function renderJobNode(job: string, row: JobNodeEntity, baseUrl: string): Record<string, unknown> {
  const url = nodeUrl(baseUrl, row.pool, row.node);
  const execution = (run: NodeTaskRun, id: string): Record<string, unknown> => {
    const directory = taskDirectory(job, id);
    return {
      ...renderRun(run),
      taskRootDirectory: directory,
      taskRootDirectoryUrl: fileUrl(url, directory),
    };
  };
  return {
    poolId: row.pool,
    nodeId: row.node,
    nodeUrl: url,
    jobPreparationTaskExecutionInfo: execution(row.preparation, row.preparationId),
    ...(row.release !== undefined && {
      jobReleaseTaskExecutionInfo: execution(row.release, row.releaseId ?? RELEASE_ID),
    }),
  };
}
