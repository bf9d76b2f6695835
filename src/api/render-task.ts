/** A task as Azure Batch's CloudTask. */
import { formatDuration, UNLIMITED_DURATION } from '../lib/durations.ts';
import { formatTimestamp, timestampOf } from '../lib/timestamps.ts';
import { withoutPasswords } from '../model/container.ts';
import type { SubtaskEntity, TaskEntity } from '../model/queries.ts';
import type { FailureInfo, TaskConstraints } from '../model/task.ts';
import { affinityIdOf, fileUrl, nodeUrl, taskUrl } from './entity-url.ts';

export const DEFAULT_RETENTION = 'P7D';
export const DEFAULT_USER = { autoUser: { scope: 'pool', elevationLevel: 'nonadmin' } };

export function renderTask(task: TaskEntity, baseUrl: string): Record<string, unknown> {
  const { spec } = task;
  return {
    id: spec.id,
    displayName: spec.displayName,
    url: taskUrl(baseUrl, task.job, spec.id),
    eTag: task.eTag,
    lastModified: formatTimestamp(task.lastModifiedMs),
    creationTime: formatTimestamp(task.creationTimeMs),
    state: task.state,
    stateTransitionTime: formatTimestamp(task.stateTransitionTimeMs),
    previousState: task.previousState,
    previousStateTransitionTime: timestampOf(task.previousStateTransitionTimeMs),
    commandLine: spec.commandLine,
    exitConditions: spec.exitConditions,
    resourceFiles: spec.resourceFiles,
    outputFiles: spec.outputFiles,
    environmentSettings: spec.environmentSettings,
    affinityInfo: spec.affinityInfo,
    constraints: renderConstraints(spec.constraints),
    requiredSlots: spec.requiredSlots ?? 1,
    userIdentity: spec.userIdentity ?? DEFAULT_USER,
    executionInfo: renderExecution(task),
    nodeInfo:
      task.node === undefined
        ? undefined
        : renderNodeInfo({ job: task.job, id: spec.id, pool: task.pool, node: task.node }, baseUrl),
    dependsOn: spec.dependsOn,
    applicationPackageReferences: spec.applicationPackageReferences,
    containerSettings: withoutPasswords(spec.containerSettings),
    authenticationTokenSettings: spec.authenticationTokenSettings,
    multiInstanceSettings: spec.multiInstanceSettings && {
      ...spec.multiInstanceSettings,
      numberOfInstances: spec.multiInstanceSettings.numberOfInstances ?? 1,
    },
    ...(spec.requiredLabels !== undefined && { requiredLabels: spec.requiredLabels }),
    ...(task.epoch !== undefined && { shoal: { epoch: task.epoch, machine: task.machine } }),
  };
}

export function renderConstraints(constraints: TaskConstraints | undefined): Record<string, unknown> {
  return {
    maxWallClockTime: constraints?.maxWallClockTime ?? UNLIMITED_DURATION,
    retentionTime: constraints?.retentionTime ?? DEFAULT_RETENTION,
    maxTaskRetryCount: constraints?.maxTaskRetryCount ?? 0,
  };
}

/** `TaskStatistics` of the last execution; undefined before the first. */
export function renderTaskStats(
  task: TaskEntity,
  baseUrl: string,
  nowMs: number,
): Record<string, unknown> | undefined {
  if (task.startTimeMs === undefined) return undefined;
  const endMs = task.endTimeMs ?? nowMs;
  return {
    url: taskUrl(baseUrl, task.job, task.spec.id),
    startTime: formatTimestamp(task.startTimeMs),
    lastUpdateTime: formatTimestamp(endMs),
    wallClockTime: formatDuration(Math.max(0, endMs - task.startTimeMs)),
    waitTime: formatDuration(Math.max(0, task.startTimeMs - task.creationTimeMs)),
  };
}

function renderExecution(task: TaskEntity): Record<string, unknown> {
  return {
    startTime: timestampOf(task.startTimeMs),
    endTime: timestampOf(task.endTimeMs),
    exitCode: task.exitCode,
    failureInfo: task.failure === undefined ? undefined : renderFailure(task.failure),
    retryCount: task.retryCount,
    lastRetryTime: timestampOf(task.lastRetryTimeMs),
    requeueCount: task.requeueCount,
    lastRequeueTime: timestampOf(task.lastRequeueTimeMs),
    result: task.result,
  };
}

/** The service writes the category with capitals. */
export function renderFailure(failure: FailureInfo): Record<string, unknown> {
  return { ...failure, category: failure.category === 'usererror' ? 'UserError' : 'ServerError' };
}

/** Relative to the node's root; a schedule's jobs lie below the schedule. */
export function taskDirectory(job: string, task: string): string {
  const [schedule, scheduled] = job.split(':');
  return scheduled === undefined
    ? `workitems/${job}/job-1/${task}`
    : `workitems/${schedule}/${scheduled}/${task}`;
}

/** Azure's SubtaskInformation. On its node a subtask has the directory that the task has on its own. */
export function renderSubtask(
  { id, pool, node, run, ...subtask }: SubtaskEntity,
  { job, task }: { readonly job: string; readonly task: string },
  baseUrl: string,
): Record<string, unknown> {
  return {
    id,
    nodeInfo: renderNodeInfo({ job, id: task, pool, node }, baseUrl),
    startTime: timestampOf(run.startTimeMs),
    endTime: timestampOf(run.endTimeMs),
    exitCode: run.exitCode,
    failureInfo: run.failure === undefined ? undefined : renderFailure(run.failure),
    state: subtask.state,
    stateTransitionTime: formatTimestamp(subtask.stateTransitionTimeMs),
    previousState: subtask.previousState,
    previousStateTransitionTime: timestampOf(subtask.previousStateTransitionTimeMs),
    result: run.result,
  };
}

interface TaskPlace {
  readonly job: string;
  readonly id: string;
  readonly pool: string;
  readonly node: string;
}

function renderNodeInfo({ job, id, pool, node }: TaskPlace, baseUrl: string): Record<string, unknown> {
  const directory = taskDirectory(job, id);
  const url = nodeUrl(baseUrl, pool, node);
  return {
    affinityId: affinityIdOf(node),
    nodeUrl: url,
    poolId: pool,
    nodeId: node,
    taskRootDirectory: directory,
    taskRootDirectoryUrl: fileUrl(url, directory),
  };
}
