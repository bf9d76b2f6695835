/** A node as Azure Batch's ComputeNode; what only this mesh knows stands under `shoal`. */
import { formatTimestamp } from '../lib/timestamps.ts';
import type { NodeEntity } from '../model/queries.ts';
import { NODE_STATES, type NodeState } from '../model/states.ts';
import { affinityIdOf, nodeUrl } from './entity-url.ts';
import { renderRun, renderStartTask } from './render-node-task.ts';

/** What other records know of a node. */
export interface NodeSurroundings {
  readonly vmSize: string;
  readonly address: string | undefined;
}

export function renderNode(
  node: NodeEntity,
  { vmSize, address }: NodeSurroundings,
  baseUrl: string,
): Record<string, unknown> {
  return {
    id: node.id,
    url: nodeUrl(baseUrl, node.pool, node.id),
    state: node.state,
    schedulingState: node.schedulingState,
    stateTransitionTime: formatTimestamp(node.stateTransitionTimeMs),
    allocationTime: formatTimestamp(node.allocationTimeMs),
    lastBootTime: node.lastBootTimeMs === undefined ? undefined : formatTimestamp(node.lastBootTimeMs),
    ipAddress: address,
    affinityId: affinityIdOf(node.id),
    vmSize,
    totalTasksRun: node.totalTasksRun,
    totalTasksSucceeded: node.totalTasksSucceeded,
    runningTasksCount: node.runningTasks,
    runningTaskSlotsCount: node.runningSlots,
    isDedicated: node.dedicated,
    errors: node.fault && [{ ...node.fault, errorDetails: [] }],
    startTask: node.startTask && renderStartTask(node.startTask),
    startTaskInfo: node.startTaskRun && renderRun(node.startTaskRun),
    shoal: {
      machine: node.machine,
      cores: node.cores,
      memoryBytes: node.memoryBytes,
      slots: node.slots,
      labels: node.labels,
      waitingTasks: node.waitingTasks,
    },
  };
}

/** Azure writes the states of its counts in camel case and everywhere else in lower case. */
const COUNT_NAMES: Readonly<Record<NodeState, string>> = {
  creating: 'creating',
  starting: 'starting',
  waitingforstarttask: 'waitingForStartTask',
  starttaskfailed: 'startTaskFailed',
  idle: 'idle',
  running: 'running',
  rebooting: 'rebooting',
  reimaging: 'reimaging',
  leavingpool: 'leavingPool',
  offline: 'offline',
  preempted: 'preempted',
  unknown: 'unknown',
  unusable: 'unusable',
};

/** One row of `GET /nodecounts`. */
export function renderNodeCounts(pool: string, nodes: readonly NodeEntity[]): Record<string, unknown> {
  return {
    poolId: pool,
    dedicated: countStates(nodes.filter((node) => node.dedicated)),
    lowPriority: countStates(nodes.filter((node) => !node.dedicated)),
  };
}

function countStates(nodes: readonly NodeEntity[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const state of NODE_STATES) counts[COUNT_NAMES[state]] = 0;
  for (const node of nodes) counts[COUNT_NAMES[node.state]] = (counts[COUNT_NAMES[node.state]] ?? 0) + 1;
  return { ...counts, total: nodes.length };
}
