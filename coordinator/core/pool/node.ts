/** Commands on nodes: what the mesh group decided about them, their loss and return, and their scheduling. */

import type { EntityStamp, NodeMirror, Outcome, PoolCommand } from '../../../src/model/commands.ts';
import type { NodeFault } from '../../../src/model/machine.ts';
import type { NodeState } from '../../../src/model/states.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { releaseExecutions } from './ending.ts';
import { stopExecution } from './execution.ts';
import { NodeRecord } from './node-record.ts';
import { forgiveNode, forgiveReleases, restarted } from './node-task-ending.ts';
import { addRestart, renewStartTask } from './node-task-record.ts';
import { ascending, jobOf, taskOf } from './numbers.ts';
import { nodeActivityRowKey, nodeRowKey } from './rows.ts';
import { Intent } from './task-table.ts';
import { accepted, type Turn } from './turn.ts';

type Of<K extends PoolCommand['kind']> = Extract<PoolCommand, { readonly kind: K }>;

/**
 * Takes over the pool and its nodes as the mesh group has them. A removed node's executions run again at once: that is
 * safe only because the mesh group lets go of a node when it is empty or its machine is fenced.
 */
export function mirrorPool(
  turn: Turn,
  { meshIndex, pool, nodes, removed }: Of<'mirror'>,
): Outcome<EntityStamp> {
  const { state } = turn;
  if (state.pool !== undefined && meshIndex < state.pool.meshIndex) return done(turn);
  turn.writePool({ meshIndex, pool });
  for (const id of removed) {
    const node = state.nodes.get(id);
    if (node !== undefined) removeNode(turn, node);
  }
  for (const mirrored of nodes) mirrorNode(turn, mirrored);
  return done(turn);
}

function mirrorNode(turn: Turn, mirrored: NodeMirror): void {
  const { nodes } = turn.state;
  let node = nodes.get(mirrored.node);
  if (node !== undefined && node.machine !== mirrored.machine) {
    removeNode(turn, node);
    node = undefined;
  }
  if (node === undefined) {
    const { node: id, machine } = mirrored;
    node = new NodeRecord(nodes.indexFor(id, machine), {
      number: turn.newVersion(),
      id,
      machine,
      nowMs: turn.nowMs,
    });
    nodes.add(node);
    turn.event('node.added', `${id} joined the pool`, { node: id, machine });
    renewStartTask(turn, node);
  }
  node.mirror(mirrored);
  turn.writeNode(node);
  if (node.leaving !== undefined)
    vacate(
      turn,
      node,
      node.leaving.option,
      node.leaving.reason === 'preempted' ? Intent.recover : Intent.requeue,
    );
  if (node.leaving !== undefined) endPreparations(turn, node, Intent.terminate);
}

function removeNode(turn: Turn, node: NodeRecord): void {
  releaseExecutions(turn, node);
  forgiveNode(turn, node);
  turn.state.nodes.remove(node);
  turn.state.overdue.delete(node.id);
  turn.delete(nodeRowKey(node.id));
  turn.delete(nodeActivityRowKey(node.id));
  turn.event('node.removed', `${node.id} left the pool`, { node: node.id, machine: node.machine });
}

/** Ends what is assigned to a node as the option says. The other options let it end by itself. */
function vacate(
  turn: Turn,
  node: NodeRecord,
  option: 'requeue' | 'terminate' | 'taskcompletion' | 'retaineddata',
  requeue: Intent,
): void {
  if (option !== 'requeue' && option !== 'terminate') return;
  const intent = option === 'requeue' ? requeue : Intent.terminate;
  for (const packed of ascending(node.executions)) {
    const job = turn.state.jobs.get(jobOf(packed));
    const role = job?.nodeTasks.get(taskOf(packed))?.role;
    if (job === undefined) continue;
    if (role === undefined) stopExecution(turn, job, taskOf(packed), intent);
    // Its task ends as a whole.
    const primary = job.nodeTasks.get(taskOf(packed))?.gang?.primary;
    if (primary !== undefined && job.live.has(primary)) stopExecution(turn, job, primary, intent);
  }
}

/** A node that is to leave or to restart begins nothing more: what prepares it for tasks ends, unless some still wait for it. */
function endPreparations(turn: Turn, node: NodeRecord, intent: Intent): void {
  for (const packed of ascending(node.executions)) {
    const job = turn.state.jobs.get(jobOf(packed));
    const task = taskOf(packed);
    const role = job?.nodeTasks.get(task)?.role;
    if (job === undefined || (role !== 'start' && role !== 'preparation')) continue;
    const awaited = [...job.nodeTasks.heldOn(node.index)].some(
      (held) => job.table.intent(held) === Intent.none,
    );
    if (!awaited) stopExecution(turn, job, task, intent);
  }
}

/** Its lease and the margin are over, so its processes are dead: what it ran runs again elsewhere. */
export function loseNode(turn: Turn, { node: id }: Of<'node.lost'>): Outcome<EntityStamp> {
  const node = turn.state.nodes.get(id);
  if (node === undefined) return nodeNotFound(id);
  if (node.lost) return done(turn);
  const executions = node.executions.size;
  // First, so that nothing is offered to it again.
  node.lost = true;
  turn.writeNode(node);
  releaseExecutions(turn, node);
  forgiveReleases(turn, node);
  turn.event('node.lost', `${id} was not heard for a whole lease; ${executions} executions end`, {
    node: id,
    machine: node.machine,
    executions,
  });
  return done(turn);
}

export function hearNode(turn: Turn, { node: id, boot, fault }: Of<'node.heard'>): Outcome<EntityStamp> {
  const node = turn.state.nodes.get(id);
  if (node === undefined) return nodeNotFound(id);
  // A copy of an old heartbeat may say so late: boots only go up.
  if (boot !== undefined && boot > (node.boot ?? -1)) noteBoot(turn, node, boot);
  if (fault !== undefined) noteFault(turn, node, fault ?? undefined);
  if (!node.lost) return done(turn);
  node.lost = false;
  turn.writeNode(node);
  turn.event('node.heard', `${id} is heard again`, { node: id, machine: node.machine });
  return done(turn);
}

/** Whatever runs there goes on; nothing more is given to it before its machine takes the word back. */
function noteFault(turn: Turn, node: NodeRecord, fault: NodeFault | undefined): void {
  const before = node.fault;
  if (before?.code === fault?.code && before?.message === fault?.message) return;
  node.fault = fault === undefined ? undefined : { code: fault.code, message: fault.message };
  turn.writeNode(node);
  const data = { node: node.id, machine: node.machine };
  if (fault === undefined) turn.event('node.usable', `${node.id} can be used again`, data);
  else
    turn.event('node.unusable', `${node.id} cannot be used: ${fault.message}`, { ...data, code: fault.code });
}

/** A machine that was booted anew runs nothing of what it ran before, whether its lease had ended by then or not. */
function noteBoot(turn: Turn, node: NodeRecord, boot: number): void {
  const isFirst = node.boot === undefined;
  node.boot = boot;
  node.bootedAtMs = turn.nowMs;
  turn.writeNode(node);
  if (isFirst) return;
  releaseExecutions(turn, node);
  // It is to be emptied as well: that is still to be done.
  if (node.restart === 'reimage') return;
  turn.event('node.booted', `${node.id} was booted anew`, { node: node.id, machine: node.machine });
  restarted(turn, node, false);
}

const RESTARTABLE: ReadonlySet<NodeState> = new Set([
  'idle',
  'running',
  'offline',
  'waitingforstarttask',
  'starttaskfailed',
  'unusable',
]);

export function restartNode(turn: Turn, { node: id, how, option }: Of<'node.restart'>): Outcome<EntityStamp> {
  const node = turn.state.nodes.get(id);
  if (node === undefined) return nodeNotFound(id);
  const state = node.derivedState();
  if (!RESTARTABLE.has(state))
    return refuse(
      'OperationInvalidForCurrentState',
      `The node ${id} is ${state} and cannot be restarted now.`,
    );
  node.restart = how;
  turn.writeNode(node);
  vacate(turn, node, option, Intent.requeue);
  endPreparations(turn, node, Intent.recover);
  addRestart(turn, node, how);
  turn.event('node.restarting', `${id} is to ${how}`, { node: id, machine: node.machine });
  return done(turn);
}

export function scheduleNode(
  turn: Turn,
  { node: id, enabled, option }: Of<'node.scheduling'>,
): Outcome<EntityStamp> {
  const node = turn.state.nodes.get(id);
  if (node === undefined) return nodeNotFound(id);
  if (node.enabled === enabled) {
    return refuse(
      'NodeAlreadyInTargetSchedulingState',
      `The scheduling of the node ${id} is already ${enabled ? 'enabled' : 'disabled'}.`,
    );
  }
  node.enabled = enabled;
  turn.writeNode(node);
  if (!enabled) vacate(turn, node, option, Intent.requeue);
  return done(turn);
}

export function nodeNotFound(id: string): Refusal {
  return refuse('NodeNotFound', `The pool has no node ${id}.`, { NodeId: id });
}

/** Nodes have no version; the answer is a stamp all the same. */
function done(turn: Turn): Outcome<EntityStamp> {
  return accepted({ eTag: '0x0', lastModifiedMs: turn.nowMs });
}
