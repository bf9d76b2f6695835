import { describe, expect, test } from 'vitest';
import {
  type ExplainedJob,
  type ExplainedNode,
  type ExplainedPool,
  type ExplainedTask,
  explainTask,
} from '../../../coordinator/placement/explain.ts';

const task: ExplainedTask = {
  id: 'a',
  state: 'active',
  requiredSlots: 1,
  instances: 0,
  requiredLabels: [],
  needsDedicated: false,
  isHeld: false,
  node: undefined,
  stopping: false,
  unsatisfied: [],
  waitingOn: 0,
};
const job: ExplainedJob = {
  id: 'j',
  state: 'active',
  live: 0,
  maxParallelTasks: Number.POSITIVE_INFINITY,
  readyBefore: 0,
};
const pool: ExplainedPool = { id: 'p', exists: true, deleting: false };
const node: ExplainedNode = {
  id: 'n',
  slots: 2,
  assignedSlots: 0,
  labels: [],
  lost: false,
  enabled: true,
  leaving: undefined,
  restart: undefined,
  fault: undefined,
  start: 'none',
  dedicated: true,
  unprepared: false,
};

function rules(change: {
  task?: Partial<ExplainedTask>;
  job?: Partial<ExplainedJob>;
  pool?: Partial<ExplainedPool>;
  nodes?: readonly ExplainedNode[];
}): string[] {
  const { reasons } = explainTask({
    task: { ...task, ...change.task },
    job: { ...job, ...change.job },
    pool: { ...pool, ...change.pool },
    nodes: change.nodes ?? [node],
  });
  for (const { detail, remedy } of reasons) expect(detail.length * remedy.length).toBeGreaterThan(0);
  return reasons.map(({ rule }) => rule);
}

describe('the reasons of a task', () => {
  test('of several instances are the nodes it lacks, and then its coordination', () => {
    const idle = { ...node, slots: 1 };
    const nodes = [idle, { ...idle, id: 'm', assignedSlots: 1 }];
    expect(rules({ task: { instances: 2 }, nodes })).toEqual(['instances']);
    expect(rules({ task: { instances: 1 }, nodes })).toEqual([]);
    expect(rules({ task: { instances: 2, state: 'preparing', node: 'n', isHeld: true }, nodes })).toEqual([
      'coordinating',
    ]);
  });

  test('that nothing keeps from running are none', () => {
    expect(rules({})).toEqual([]);
  });

  test.each([
    ['completed', { task: { state: 'completed' } }],
    ['stopping', { task: { node: 'n', stopping: true } }],
    ['waitingOnNode', { task: { node: 'n' } }],
    ['jobDisabled', { job: { state: 'disabling' } }],
    ['jobEnded', { job: { state: 'terminating' } }],
    ['maxParallelTasks', { job: { live: 3, maxParallelTasks: 3 } }],
    ['dependencies', { task: { waitingOn: 12, unsatisfied: ['task b (running)'] } }],
    ['poolMissing', { pool: { exists: false }, nodes: [] }],
    ['poolDeleting', { pool: { deleting: true }, nodes: [] }],
    ['noNodes', { nodes: [] }],
    ['requiredSlots', { task: { requiredSlots: 3 } }],
    ['order', { job: { readyBefore: 4 }, nodes: [{ ...node, assignedSlots: 2 }] }],
  ] as const)('tell of %s', (rule, change) => {
    expect(rules(change)).toEqual([rule]);
  });

  test('of a running task are none', () => {
    expect(rules({ task: { state: 'running', node: 'n' } })).toEqual([]);
  });

  test('come together where several hold', () => {
    expect(
      rules({
        job: { state: 'disabled' },
        task: { waitingOn: 1, unsatisfied: ['task b (not added)'] },
        nodes: [],
      }),
    ).toEqual(['jobDisabled', 'dependencies', 'noNodes']);
  });

  test('count the dependencies that they do not name', () => {
    const { reasons } = explainTask({
      task: { ...task, waitingOn: 5, unsatisfied: ['task b (running)', 'task c (active)'] },
      job,
      pool,
      nodes: [node],
    });
    expect(reasons[0]?.detail).toBe('It waits for task b (running), task c (active) and 3 more.');
  });
});

describe('the verdict on a node', () => {
  const verdict = (change: Partial<ExplainedNode>, of: Partial<ExplainedTask> = {}) =>
    explainTask({ task: { ...task, ...of }, job, pool, nodes: [{ ...node, ...change }] }).nodes[0];

  test.each([
    ['nodeLost', { lost: true, enabled: false }, {}],
    ['nodeLeaving', { leaving: 'resize', enabled: false }, {}],
    ['nodeDisabled', { enabled: false }, { requiredLabels: ['gpu'] }],
    ['labels', { labels: ['ssd'] }, { requiredLabels: ['gpu', 'ssd'], requiredSlots: 9 }],
    ['slots', {}, { requiredSlots: 3 }],
    ['busy', { assignedSlots: 9 }, {}],
  ] as const)('is %s where that is the first rule that fails', (rule, change, of) => {
    expect(verdict(change, { ...of })).toMatchObject({ node: 'n', verdict: 'refused', rule });
  });

  test('names the labels that are missing', () => {
    expect(verdict({ labels: ['ssd'] }, { requiredLabels: ['gpu', 'ssd', 'fpga'] })?.detail).toBe(
      'Its machine lacks gpu, fpga.',
    );
  });

  test('is that it fits, or that the task is there', () => {
    expect(verdict({ assignedSlots: 1 })).toEqual({ node: 'n', verdict: 'fits' });
    expect(verdict({}, { node: 'n' })).toEqual({ node: 'n', verdict: 'running' });
  });
});
