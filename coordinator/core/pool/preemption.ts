/** Room for tasks of greater priority: what the pool could give up, and the gate of what was proposed on an older state. */
import type { CommandResults, Outcome, PoolCommand, Preemption } from '../../../src/model/commands.ts';
import {
  type PreemptionNode,
  proposePreemptions,
  type Victim,
  type WaitingJob,
} from '../../placement/preemption.ts';
import { stopExecution } from './execution.ts';
import type { Job } from './job-record.ts';
import { Flag, Intent } from './task-table.ts';
import { accepted, isPlaceable, type PoolState, type Turn } from './turn.ts';

/** Proposes on the state as it is and changes nothing of it. */
export function preemptionsIn(state: PoolState, limit: number): readonly Preemption[] {
  let least = Number.POSITIVE_INFINITY;
  for (const { live, priority } of state.preemptible) if (live.size > 0) least = Math.min(least, priority);
  const first = state.queue.peek();
  if (first === undefined || first.priority <= least) return [];
  const waiting = waitingJobs(state, least);
  return waiting.length === 0 ? [] : proposePreemptions(waiting, nodesOf(state), limit);
}

/** In the order of the jobs, as far as anything runs that has less priority. */
function waitingJobs(state: PoolState, least: number): readonly WaitingJob[] {
  const taken: Job[] = [];
  const waiting: WaitingJob[] = [];
  for (let job = state.queue.pop(); job !== undefined; job = state.queue.pop()) {
    job.queued = false;
    taken.push(job);
    if (job.priority <= least) break;
    if (!isPlaceable(job)) continue;
    const { number, priority, parallelLeft } = job;
    waiting.push({ number, priority, parallelLeft, queues: job.ready.inOrder() });
  }
  for (const job of taken) state.offer(job);
  return waiting;
}

function nodesOf(state: PoolState): readonly PreemptionNode[] {
  const victims = new Map<number, Victim[]>();
  for (const job of state.preemptible) {
    for (const task of job.live) {
      if (job.table.intent(task) !== Intent.none) continue;
      const node = job.table.node(task);
      const list = victims.get(node);
      if (list === undefined) victims.set(node, [victimOf(job, task)]);
      else list.push(victimOf(job, task));
    }
  }
  const nodes: PreemptionNode[] = [];
  for (const node of state.nodes.open) {
    nodes.push({
      slots: node.slots,
      freeSoon: node.freeSlots + node.stoppingSlots,
      victims: victims.get(node.index) ?? [],
      hasLabels: (labels) => node.hasLabels(labels),
    });
  }
  return nodes;
}

function victimOf(job: Job, task: number): Victim {
  return {
    job: job.number,
    task,
    epoch: job.table.epoch(task),
    slots: job.slotsOf(task),
    priority: job.priority,
    startedAtMs: job.startedAtMs.get(task),
  };
}

/** Each runs again later, outside its retries; nothing is freed before its node says that it ended. */
export function preemptTasks(
  turn: Turn,
  { items }: Extract<PoolCommand, { readonly kind: 'preempt' }>,
): Outcome<CommandResults['preempt']> {
  const preempted = items.filter((item) => isPreemptible(turn.state, item));
  for (const { job: number, task, forJob } of preempted) {
    const job = turn.state.jobs.get(number);
    const other = turn.state.jobs.get(forJob);
    // Named twice.
    if (job === undefined || other === undefined || job.table.intent(task) !== Intent.none) continue;
    stopExecution(turn, job, task, Intent.recover);
    const id = job.table.idOf(task);
    turn.event('task.preempted', `${job.id}/${id} makes room for ${other.id}`, { job: job.id, task: id });
  }
  return accepted({ preempted });
}

function isPreemptible(state: PoolState, { job: number, task, epoch, forJob }: Preemption): boolean {
  const job = state.jobs.get(number);
  const other = state.jobs.get(forJob);
  if (job === undefined || other === undefined || !isPlaceable(other)) return false;
  const { table } = job;
  return (
    job.allowTaskPreemption === true &&
    job.priority < other.priority &&
    job.live.has(task) &&
    table.epoch(task) === epoch &&
    table.intent(task) === Intent.none &&
    !table.flag(task, Flag.ghost)
  );
}
