/** Whole entities of which a test says only what matters to it. */
import type { JobEntity, NodeEntity, PoolEntity, TaskEntity } from '../../../src/model/queries.ts';

export const NOW_MS = Date.parse('2026-11-21T04:26:00.123Z');

const stamp = { eTag: '0x1', lastModifiedMs: NOW_MS };
const counts = { active: 0, running: 0, completed: 0, succeeded: 0, failed: 0 };

export function aTask(parts: Partial<TaskEntity> = {}): TaskEntity {
  return {
    ...stamp,
    job: 'job-1',
    pool: 'pool-1',
    spec: { id: 'task-1', commandLine: '/bin/true' },
    number: 1,
    state: 'active',
    creationTimeMs: NOW_MS,
    stateTransitionTimeMs: NOW_MS,
    retryCount: 0,
    requeueCount: 0,
    files: [],
    ...parts,
  };
}

export function aJob(parts: Partial<JobEntity> = {}): JobEntity {
  return {
    ...stamp,
    spec: { id: 'job-1', poolInfo: { poolId: 'pool-1' } },
    state: 'active',
    creationTimeMs: NOW_MS,
    stateTransitionTimeMs: NOW_MS,
    startTimeMs: NOW_MS,
    number: 1,
    counts,
    slotCounts: counts,
    ...parts,
  };
}

export function aPool(parts: Partial<PoolEntity> = {}): PoolEntity {
  return {
    ...stamp,
    spec: { id: 'pool-1', vmSize: 'machine' },
    state: 'active',
    allocationState: 'steady',
    creationTimeMs: NOW_MS,
    stateTransitionTimeMs: NOW_MS,
    allocationStateTransitionTimeMs: NOW_MS,
    targetDedicatedNodes: 0,
    targetLowPriorityNodes: 0,
    currentDedicatedNodes: 0,
    currentLowPriorityNodes: 0,
    resizeErrors: [],
    ...parts,
  };
}

export function aNode(parts: Partial<NodeEntity> = {}): NodeEntity {
  return {
    id: 'node-1',
    pool: 'pool-1',
    machine: 'peer/0001',
    state: 'idle',
    schedulingState: 'enabled',
    stateTransitionTimeMs: NOW_MS,
    allocationTimeMs: NOW_MS,
    dedicated: true,
    cores: 4,
    memoryBytes: 8 * 1024 ** 3,
    slots: 4,
    labels: [],
    runningTasks: 0,
    runningSlots: 0,
    waitingTasks: 0,
    totalTasksRun: 0,
    totalTasksSucceeded: 0,
    ...parts,
  };
}
