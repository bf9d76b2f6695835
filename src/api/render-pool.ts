/** A pool as Azure Batch's CloudPool. */
import { formatDuration } from '../lib/durations.ts';
import { formatTimestamp } from '../lib/timestamps.ts';
import type { AutoScaleRun } from '../model/autoscale.ts';
import { withoutPasswords } from '../model/container.ts';
import type { PoolEntity } from '../model/queries.ts';
import type { ApiVersion } from './api-version.ts';
import { poolUrl } from './entity-url.ts';
import { renderStartTask } from './render-node-task.ts';

/** Ours: `autoScaleOnChange`. */
function renderAutoScale({ autoScale, autoScaleRun }: PoolEntity): Record<string, unknown> {
  if (autoScale === undefined) return {};
  return {
    autoScaleFormula: autoScale.formula,
    autoScaleEvaluationInterval: formatDuration(autoScale.intervalMs),
    ...(autoScale.onChange && { autoScaleOnChange: true }),
    ...(autoScaleRun !== undefined && { autoScaleRun: renderRun(autoScaleRun) }),
  };
}

/** A run as Azure Batch's AutoScaleRun. */
export function renderRun({ timestampMs, results, error }: AutoScaleRun): Record<string, unknown> {
  return {
    timestamp: formatTimestamp(timestampMs),
    results,
    ...(error !== undefined && {
      error: {
        code: 'AutoScalingFormulaEvaluationError',
        message: 'The formula of automatic scaling could not be evaluated.',
        values: [{ name: 'Message', value: error }],
      },
    }),
  };
}

const DEFAULT_RESIZE_TIMEOUT = 'PT15M';

export function renderPool(pool: PoolEntity, baseUrl: string, version: ApiVersion): Record<string, unknown> {
  const { spec } = pool;
  const slots = spec.taskSlotsPerNode ?? 1;
  const { requiredLabels, everyMachine, slotsFromCores } = spec;
  return {
    id: spec.id,
    displayName: spec.displayName,
    url: poolUrl(baseUrl, spec.id),
    eTag: pool.eTag,
    lastModified: formatTimestamp(pool.lastModifiedMs),
    creationTime: formatTimestamp(pool.creationTimeMs),
    state: pool.state,
    stateTransitionTime: formatTimestamp(pool.stateTransitionTimeMs),
    allocationState: pool.allocationState,
    allocationStateTransitionTime: formatTimestamp(pool.allocationStateTransitionTimeMs),
    vmSize: spec.vmSize,
    virtualMachineConfiguration: withoutPasswords(spec.virtualMachineConfiguration),
    cloudServiceConfiguration: spec.cloudServiceConfiguration,
    networkConfiguration: spec.networkConfiguration,
    targetNodeCommunicationMode: spec.targetNodeCommunicationMode,
    resizeTimeout: spec.resizeTimeout ?? DEFAULT_RESIZE_TIMEOUT,
    ...(pool.resizeErrors.length > 0 && { resizeErrors: pool.resizeErrors }),
    currentDedicatedNodes: pool.currentDedicatedNodes,
    currentLowPriorityNodes: pool.currentLowPriorityNodes,
    targetDedicatedNodes: pool.targetDedicatedNodes,
    targetLowPriorityNodes: pool.targetLowPriorityNodes,
    enableAutoScale: pool.autoScale !== undefined,
    ...renderAutoScale(pool),
    enableInterNodeCommunication: spec.enableInterNodeCommunication ?? false,
    metadata: spec.metadata,
    startTask: spec.startTask === undefined ? undefined : renderStartTask(spec.startTask),
    applicationPackageReferences: spec.applicationPackageReferences,
    ...(version === 'flat' ? { maxTasksPerNode: slots } : { taskSlotsPerNode: slots }),
    // The service writes this one enum with a capital, and clients compare it.
    taskSchedulingPolicy: {
      nodeFillType: spec.taskSchedulingPolicy?.nodeFillType === 'pack' ? 'Pack' : 'Spread',
    },
    ...(requiredLabels !== undefined && { requiredLabels }),
    ...(everyMachine !== undefined && { everyMachine }),
    ...(slotsFromCores !== undefined && { slotsFromCores }),
  };
}
