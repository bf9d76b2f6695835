/**
 * Why a task does not run: the reasons that hold whatever the node, and for each node the first rule it fails, with
 * what would change it. The rules are those of the assignment gate, in its order.
 */
import { CONTAINER_LABEL } from '../../src/model/container.ts';
import type { NodeFault } from '../../src/model/machine.ts';
import type { Explanation } from '../../src/model/queries.ts';
import type { JobState, TaskState } from '../../src/model/states.ts';

export interface ExplainedNode {
  readonly id: string;
  readonly slots: number;
  readonly assignedSlots: number;
  readonly labels: readonly string[];
  readonly lost: boolean;
  readonly enabled: boolean;
  /** Why it leaves the pool, if it does. */
  readonly leaving: string | undefined;
  readonly restart: 'reboot' | 'reimage' | undefined;
  /** Why its machine says that no task can run there. */
  readonly fault: NodeFault | undefined;
  /** How far its start task is, where others wait for it. */
  readonly start: 'none' | 'waiting' | 'failed' | 'succeeded';
  readonly dedicated: boolean;
  /** The job's preparation task failed on it for good. */
  readonly unprepared: boolean;
}

export interface ExplainedTask {
  readonly id: string;
  readonly state: TaskState;
  readonly requiredSlots: number;
  /** Nodes that it needs at once; 0 for a task of one node. */
  readonly instances: number;
  readonly requiredLabels: readonly string[];
  readonly needsDedicated: boolean;
  /** It has its place on `node`, which is being prepared for the job, or runs its coordination command. */
  readonly isHeld: boolean;
  /** Node of its live execution. */
  readonly node: string | undefined;
  readonly stopping: boolean;
  /** Dependencies that do not hold, as people read them; the first few of `waitingOn`. */
  readonly unsatisfied: readonly string[];
  readonly waitingOn: number;
}

export interface ExplainedJob {
  readonly id: string;
  readonly state: JobState;
  readonly live: number;
  /** Infinity: without limit. */
  readonly maxParallelTasks: number;
  /** Ready tasks that go before this one: of jobs of greater order, and of its own. */
  readonly readyBefore: number;
}

export interface ExplainedPool {
  readonly id: string;
  readonly exists: boolean;
  readonly deleting: boolean;
}

export interface ExplainInput {
  readonly task: ExplainedTask;
  readonly job: ExplainedJob;
  readonly pool: ExplainedPool;
  readonly nodes: readonly ExplainedNode[];
}

type Reason = Explanation['reasons'][number];
type NodeVerdict = Explanation['nodes'][number];

export function explainTask(input: ExplainInput): Explanation {
  const nodes = input.nodes.map((node) => verdictOf(node, input.task));
  return { state: input.task.state, reasons: [...reasonsOf(input, nodes)], nodes };
}

function* reasonsOf(
  { task, job, pool, nodes }: ExplainInput,
  verdicts: readonly NodeVerdict[],
): Iterable<Reason> {
  if (task.state === 'completed') {
    yield reason('completed', 'The task is completed.', 'Reactivate it if it failed and should run again.');
    return;
  }
  if (task.node !== undefined) {
    if (task.stopping)
      yield reason(
        'stopping',
        `The node ${task.node} was told to stop it; its end is not known yet.`,
        'It ends with the report of the node, or when the node is lost.',
      );
    else if (task.isHeld && task.instances > 0)
      yield reason(
        'coordinating',
        `It has its ${task.instances} nodes, and its coordination command has not succeeded on all of them yet.`,
        'It starts as soon as it has; see its subtasks.',
      );
    else if (task.isHeld)
      yield reason(
        'preparing',
        `The job preparation task runs on ${task.node} first.`,
        'It starts as soon as that has succeeded; see the job preparation status.',
      );
    else if (task.state === 'active' || task.state === 'preparing')
      yield reason(
        'waitingOnNode',
        `It is assigned to ${task.node} and waits there for a free slot.`,
        'Nothing: it starts as soon as a slot is free.',
      );
    return;
  }
  yield* jobReasons(job);
  if (task.waitingOn > 0) yield dependencyReason(task);
  yield* poolReasons(pool, nodes);
  yield* roomReasons(task, job, nodes, verdicts);
}

function* jobReasons(job: ExplainedJob): Iterable<Reason> {
  if (job.state === 'disabling' || job.state === 'disabled')
    yield reason('jobDisabled', `The job ${job.id} is ${job.state}.`, 'Enable the job.');
  else if (job.state !== 'active')
    yield reason(
      'jobEnded',
      `The job ${job.id} is ${job.state}; its active tasks never run.`,
      'Add the task to another job.',
    );
  if (job.live >= job.maxParallelTasks) {
    yield reason(
      'maxParallelTasks',
      `${job.live} tasks of the job run, and its maxParallelTasks is ${job.maxParallelTasks}.`,
      'Wait for one to end, or raise maxParallelTasks.',
    );
  }
}

function dependencyReason({ unsatisfied, waitingOn }: ExplainedTask): Reason {
  const more = waitingOn - unsatisfied.length;
  const list = `${unsatisfied.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  return reason(
    'dependencies',
    `It waits for ${list}.`,
    'It runs once each of them completed with success, or with an exit condition whose dependencyAction is satisfy.',
  );
}

function* poolReasons(pool: ExplainedPool, nodes: readonly ExplainedNode[]): Iterable<Reason> {
  if (!pool.exists)
    yield reason(
      'poolMissing',
      `The pool ${pool.id} does not exist.`,
      'Create the pool; the job waits for it.',
    );
  else if (pool.deleting)
    yield reason(
      'poolDeleting',
      `The pool ${pool.id} is being deleted.`,
      'Create the pool again when it is gone.',
    );
  else if (nodes.length === 0)
    yield reason(
      'noNodes',
      `The pool ${pool.id} has no nodes.`,
      'Resize the pool, or add machines to the mesh.',
    );
}

function* roomReasons(
  task: ExplainedTask,
  job: ExplainedJob,
  nodes: readonly ExplainedNode[],
  verdicts: readonly NodeVerdict[],
): Iterable<Reason> {
  const most = nodes.reduce((slots, node) => Math.max(slots, node.slots), 0);
  if (nodes.length > 0 && task.requiredSlots > most) {
    yield reason(
      'requiredSlots',
      `It needs ${task.requiredSlots} slots on one node, and no node has more than ${most}.`,
      'Use a pool whose nodes have more slots; this task can never run here.',
    );
  }
  if (task.instances > 0) yield* instanceReasons(task, nodes, verdicts);
  const busy = nodes.length > 0 && verdicts.every(({ verdict }) => verdict !== 'fits');
  if (busy && job.readyBefore > 0) {
    yield reason(
      'order',
      `${job.readyBefore} ready tasks of jobs of greater priority or age, or before it in its own job, go first.`,
      'Raise the priority of its job, or wait.',
    );
  }
}

function* instanceReasons(
  { instances }: ExplainedTask,
  nodes: readonly ExplainedNode[],
  verdicts: readonly NodeVerdict[],
): Iterable<Reason> {
  const idle = nodes.filter(
    ({ assignedSlots }, position) => assignedSlots === 0 && verdicts[position]?.verdict === 'fits',
  );
  if (idle.length >= instances) return;
  yield reason(
    'instances',
    `It runs on ${instances} idle nodes at once, and the pool has ${idle.length}.`,
    nodes.length < instances ? 'Resize the pool.' : 'Nothing: nodes that become idle are kept for it.',
  );
}

function verdictOf(node: ExplainedNode, task: ExplainedTask): NodeVerdict {
  if (node.id === task.node) return { node: node.id, verdict: 'running' };
  if (node.lost)
    return refusal(
      node,
      'nodeLost',
      'It has not been heard for a whole lease.',
      'Start its machine, or repair its connection.',
    );
  if (node.leaving !== undefined)
    return refusal(
      node,
      'nodeLeaving',
      `It leaves the pool (${node.leaving}).`,
      'Other nodes take its place as the pool is sized.',
    );
  if (node.restart !== undefined)
    return refusal(node, 'nodeRestarting', `It is to ${node.restart}.`, 'It takes tasks again after that.');
  if (node.fault !== undefined)
    return refusal(
      node,
      'nodeUnusable',
      `It is unusable (${node.fault.code}): ${node.fault.message}`,
      'Mend that; its machine tries again by itself.',
    );
  if (node.start === 'waiting')
    return refusal(node, 'startTask', 'Its start task has not succeeded yet.', 'Wait for it.');
  if (node.start === 'failed')
    return refusal(
      node,
      'startTaskFailed',
      'Its start task failed.',
      "See the node's startTaskInfo and startup/stderr.txt; mend the start task and reboot the node.",
    );
  if (!node.enabled)
    return refusal(node, 'nodeDisabled', 'Its scheduling is disabled.', 'Enable the scheduling of the node.');
  if (task.requiredLabels.includes(CONTAINER_LABEL) && !node.labels.includes(CONTAINER_LABEL))
    return refusal(
      node,
      'containerEngine',
      'The task runs in a container, and no container engine works on its machine.',
      'Install podman or docker there (`apt-get install podman`) and restart its agent.',
    );
  const missing = task.requiredLabels.filter((label) => !node.labels.includes(label));
  if (missing.length > 0)
    return refusal(
      node,
      'labels',
      `Its machine lacks ${missing.join(', ')}.`,
      'Give the machine these labels, or drop them from the task.',
    );
  if (task.needsDedicated && !node.dedicated)
    return refusal(
      node,
      'lowPriority',
      'It is a low-priority node, and the job manager is not allowed on one.',
      'Add dedicated nodes.',
    );
  if (node.unprepared)
    return refusal(
      node,
      'preparationFailed',
      'The job preparation task failed on it: it takes no task of the job.',
      'See the job preparation status; reboot the node to try again, or add nodes.',
    );
  if (task.requiredSlots > node.slots)
    return refusal(
      node,
      'slots',
      `The task needs ${task.requiredSlots} slots and the node has ${node.slots}.`,
      'Use a node with more slots.',
    );
  const free = Math.max(0, node.slots - node.assignedSlots);
  if (task.requiredSlots > free)
    return refusal(
      node,
      'busy',
      `The task needs ${task.requiredSlots} slots and ${free} of ${node.slots} are free.`,
      'Wait for tasks there to end, or add nodes.',
    );
  return { node: node.id, verdict: 'fits' };
}

function reason(rule: string, detail: string, remedy: string): Reason {
  return { rule, detail, remedy };
}

function refusal({ id }: ExplainedNode, rule: string, detail: string, remedy: string): NodeVerdict {
  return { node: id, verdict: 'refused', rule, detail, remedy };
}
