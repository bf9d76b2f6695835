/** The state machines of Azure Batch, as tables: what is not listed is not a legal transition (invariant S16). */

export const TASK_STATES = ['active', 'preparing', 'running', 'completed'] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const JOB_STATES = [
  'active',
  'disabling',
  'disabled',
  'enabling',
  'terminating',
  'completed',
  'deleting',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export const JOB_SCHEDULE_STATES = ['active', 'completed', 'disabled', 'terminating', 'deleting'] as const;
export type JobScheduleState = (typeof JOB_SCHEDULE_STATES)[number];

export const NODE_STATES = [
  'creating',
  'starting',
  'waitingforstarttask',
  'starttaskfailed',
  'idle',
  'running',
  'rebooting',
  'reimaging',
  'leavingpool',
  'offline',
  'preempted',
  'unknown',
  'unusable',
] as const;
export type NodeState = (typeof NODE_STATES)[number];

export const POOL_STATES = ['active', 'deleting'] as const;
export type PoolState = (typeof POOL_STATES)[number];

export const ALLOCATION_STATES = ['steady', 'resizing', 'stopping'] as const;
export type AllocationState = (typeof ALLOCATION_STATES)[number];

export const TASK_TRANSITIONS: Readonly<Record<TaskState, readonly TaskState[]>> = {
  active: ['preparing', 'running', 'completed'],
  preparing: ['active', 'running', 'completed'],
  running: ['active', 'completed'],
  /** Only by reactivate. */
  completed: ['active'],
};

export const JOB_TRANSITIONS: Readonly<Record<JobState, readonly JobState[]>> = {
  active: ['disabling', 'terminating', 'completed', 'deleting'],
  disabling: ['disabled', 'terminating', 'deleting'],
  disabled: ['enabling', 'active', 'terminating', 'completed', 'deleting'],
  enabling: ['active', 'disabling', 'terminating', 'deleting'],
  terminating: ['completed', 'deleting'],
  completed: ['deleting'],
  deleting: [],
};
