/** Commands on pools and on the nodes they are allotted. */

import { AUTOSCALE_ENABLE_GAP_MS, REMOVE_NODES_MAX } from '../../../src/lib/limits.ts';
import type { Condition, EntityStamp, MeshCommand, Outcome } from '../../../src/model/commands.ts';
import { idKey, poolGroup } from '../../../src/model/ids.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { nodeNumber } from './allotments.ts';
import { checkAutoScaleChange, checkRun } from './autoscale-settings.ts';
import { checkCondition } from './condition.ts';
import type { PoolRecord } from './pools.ts';
import { checkHasTargets, checkPatch, checkPoolSpec, checkResize } from './pools.ts';
import type { MeshState } from './state.ts';
import type { Turn } from './turn.ts';

type CommandOf<K extends MeshCommand['kind']> = Extract<MeshCommand, { kind: K }>;

export function addPool(state: MeshState, turn: Turn, command: CommandOf<'pool.add'>): Outcome<unknown> {
  const { spec, voters, auto } = command;
  const refusal =
    checkPoolSpec(spec) ?? state.applications.checkReferences(spec.applicationPackageReferences);
  if (refusal !== undefined) return refusal;
  const known = state.pools.get(spec.id);
  if (known !== undefined) return refuse(known.state === 'deleting' ? 'PoolBeingDeleted' : 'PoolExists');
  const noGroup = checkGroup(state, spec.id, voters);
  if (noGroup !== undefined) return noGroup;
  state.groups.found(turn, poolGroup(spec.id), voters);
  return { ok: true, value: state.pools.add(turn, spec, auto) };
}

/** The pool's group is there already (a job named it first), or can be made of these voters. */
export function checkGroup(state: MeshState, pool: string, voters: readonly string[]): Refusal | undefined {
  if (state.groups.get(poolGroup(pool)) !== undefined) return undefined;
  if (voters.length === 0)
    return refuse('ServerBusy', 'The machine that was asked has not heard who is in the mesh yet.');
  return state.groups.checkNewVoters(voters, (machine) => state.members.get(machine) !== undefined);
}

export function patchPool(state: MeshState, turn: Turn, command: CommandOf<'pool.patch'>): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const refusal =
    checkPatch(pool.value, command.patch, state.allotments.ofPool(command.pool).length) ??
    state.applications.checkReferences(command.patch.applicationPackageReferences);
  if (refusal !== undefined) return refusal;
  return { ok: true, value: state.pools.patch(turn, pool.value, command.patch) };
}

export function resizePool(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.resize'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const refusal =
    checkResize(pool.value, command.resize) ?? checkSizedByHand(pool.value) ?? checkSteady(pool.value);
  if (refusal !== undefined) return refusal;
  return { ok: true, value: state.pools.resize(turn, pool.value, command.resize) };
}

export function stopResize(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.stopResize'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const { spec, allocationState } = pool.value;
  if (allocationState !== 'resizing') {
    return refuse(
      'OperationInvalidForCurrentState',
      `The pool ${spec.id} is ${allocationState}: there is no resize to stop.`,
    );
  }
  return { ok: true, value: state.pools.stopResize(turn, pool.value, state.allotments.countOf(spec.id)) };
}

export function removeNodes(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.removeNodes'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const names = [...new Set(command.nodes)];
  if (names.length < 1 || names.length > REMOVE_NODES_MAX) {
    return refuse('OutOfRangeInput', `Between 1 and ${REMOVE_NODES_MAX} nodes can be removed at once.`);
  }
  const refusal = checkHasTargets(pool.value) ?? checkSteady(pool.value);
  if (refusal !== undefined) return refusal;
  const nodes = new Map(
    state.allotments.ofPool(command.pool).map((allotment) => [allotment.node, allotment]),
  );
  const stranger = names.find((name) => !nodes.has(name));
  if (stranger !== undefined) {
    return refuse('NodeNotFound', `The pool ${pool.value.spec.id} has no node ${stranger}.`, {
      Node: stranger,
    });
  }
  const gone = { dedicated: 0, lowPriority: 0 };
  for (const name of names) {
    const allotment = nodes.get(name);
    if (allotment === undefined) continue;
    if (allotment.leaving === undefined) gone[allotment.dedicated ? 'dedicated' : 'lowPriority'] += 1;
    state.allotments.leave(turn, allotment, { option: command.option, reason: 'resize' });
  }
  return { ok: true, value: state.pools.removed(turn, pool.value, gone) };
}

export function deletePool(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.delete'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  for (const allotment of state.allotments.ofPool(command.pool)) {
    state.allotments.leave(turn, allotment, { option: 'requeue', reason: 'poolDeleted' });
  }
  return { ok: true, value: state.pools.markDeleting(turn, pool.value) };
}

/** The pool's coordinator found it erasable. Its group goes as well, unless jobs still live there: they wait for the pool to come back. */
export function erasePool(state: MeshState, turn: Turn, command: CommandOf<'pool.erase'>): Outcome<unknown> {
  const pool = state.pools.get(command.pool);
  if (pool === undefined) return refuse('PoolNotFound');
  if (pool.state !== 'deleting' || state.allotments.ofPool(command.pool).length > 0) {
    return refuse(
      'OperationInvalidForCurrentState',
      `The pool ${command.pool} is not deleted, or still has nodes.`,
    );
  }
  state.pools.erase(turn, pool);
  if (state.directory.jobsOf(command.pool) === 0) state.groups.giveUp(turn, poolGroup(command.pool));
  return { ok: true, value: turn.stamp() };
}

/**
 * The packer worked on a state that may be older than this one, and two coordinators may both have packed; so each
 * part is checked again and what does not fit is left out. The packer sees the rest and packs anew.
 */
export function allot(state: MeshState, turn: Turn, command: CommandOf<'allot'>): Outcome<unknown> {
  for (const { node, option, reason } of command.leave) {
    const allotment = state.allotments.get(node);
    if (allotment !== undefined) state.allotments.leave(turn, allotment, { option, reason });
  }
  for (const added of command.add) addNode(state, turn, added);
  for (const { pool: id, errors } of command.resizeErrors) {
    const pool = state.pools.get(id);
    if (pool !== undefined) state.pools.setResizeErrors(turn, pool, errors);
  }
  for (const id of command.steady) {
    const pool = state.pools.get(id);
    if (pool !== undefined && targetsMet(state, pool)) state.pools.setSteady(turn, pool);
  }
  return { ok: true, value: turn.stamp() };
}

/** A number below the counter means that this packing was applied before, or that another one was: a node's name is never used twice. */
function addNode(state: MeshState, turn: Turn, added: CommandOf<'allot'>['add'][number]): void {
  const number = nodeNumber(added.node);
  const pool = state.pools.get(added.pool);
  const machine = state.members.get(added.machine);
  if (number === undefined || number < state.counters.nextNode) return;
  if (pool === undefined || machine === undefined || !state.allotments.fits(added, machine, pool)) return;
  if (exceedsTarget(state, added, pool)) return;
  state.counters.useNode(turn, number);
  state.allotments.add(turn, { ...added, pool: pool.spec.id });
}

function exceedsTarget(state: MeshState, added: Omit<Allotment, 'allottedAtMs'>, pool: PoolRecord): boolean {
  if (pool.spec.everyMachine) {
    return state.allotments.onMachine(added.machine).some((other) => idKey(other.pool) === idKey(added.pool));
  }
  // Leaves were carried out first, so the node that a new one replaces does not count any more.
  const counts = state.allotments.countOf(added.pool);
  return added.dedicated
    ? counts.dedicated >= pool.targetDedicatedNodes
    : counts.lowPriority >= pool.targetLowPriorityNodes;
}

function targetsMet(state: MeshState, pool: PoolRecord): boolean {
  if (pool.spec.everyMachine) return true;
  const counts = state.allotments.countOf(pool.spec.id);
  return counts.dedicated === pool.targetDedicatedNodes && counts.lowPriority === pool.targetLowPriorityNodes;
}

/** Only nodes that were called back are let go: a report about another one is older than its allotment. */
export function releaseNodes(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'node.released'>,
): Outcome<unknown> {
  for (const node of command.nodes) {
    const allotment = state.allotments.get(node);
    if (allotment?.leaving !== undefined) state.allotments.remove(turn, allotment);
  }
  return { ok: true, value: turn.stamp() };
}

export function enableAutoScale(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.enableAutoScale'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const { autoScale, autoScaleEnabledAtMs } = pool.value;
  const refusal =
    checkHasTargets(pool.value) ??
    checkAutoScaleChange(command.change, autoScale) ??
    // The resizes of a pool that is sized by a formula already are the formula's own.
    (autoScale === undefined ? checkSteady(pool.value) : undefined);
  if (refusal !== undefined) return refusal;
  if (autoScaleEnabledAtMs !== undefined && turn.timeMs < autoScaleEnabledAtMs + AUTOSCALE_ENABLE_GAP_MS)
    return refuse('TooManyEnableAutoScaleRequests');
  return { ok: true, value: state.pools.enableAutoScale(turn, pool.value, command.change) };
}

export function disableAutoScale(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.disableAutoScale'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  if (pool.value.autoScale === undefined) return { ok: true, value: stampOf(pool.value) };
  return { ok: true, value: state.pools.disableAutoScale(turn, pool.value) };
}

/** Another coordinator may have recorded a run since, or a client other settings: then this one is refused and tells nobody anything. */
export function autoScaled(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'pool.autoScaled'>,
): Outcome<unknown> {
  const pool = findPool(state, command);
  if (!pool.ok) return pool;
  const { autoScale } = pool.value;
  if (autoScale?.version !== command.version || autoScale.runs !== command.run)
    return refuse('ConditionNotMet', `The pool ${pool.value.spec.id} was scaled or changed since.`);
  const { targets, results, error, idleNodes } = command;
  const refusal = checkRun(command);
  if (refusal !== undefined) return refusal;
  const run = { results, ...(error !== undefined && { error }) };
  return { ok: true, value: stampOf(state.pools.autoScaled(turn, pool.value, run, targets, idleNodes)) };
}

/** The pool, if it exists, is not being deleted, and meets the condition: what all commands on a pool want first. */
function findPool(
  state: MeshState,
  { pool: id, condition }: { readonly pool: string; readonly condition?: Condition },
): { readonly ok: true; readonly value: PoolRecord } | Refusal {
  const pool = state.pools.get(id);
  if (pool === undefined) return refuse('PoolNotFound', `There is no pool ${id}.`);
  if (pool.state === 'deleting')
    return refuse('PoolBeingDeleted', `The pool ${pool.spec.id} is being deleted.`);
  return checkCondition(pool, condition) ?? { ok: true, value: pool };
}

function stampOf({ eTag, lastModifiedMs }: EntityStamp): EntityStamp {
  return { eTag, lastModifiedMs };
}

function checkSizedByHand(pool: PoolRecord): Refusal | undefined {
  if (pool.autoScale === undefined) return undefined;
  return refuse(
    'OperationInvalidForCurrentState',
    `The pool ${pool.spec.id} is sized by its formula: disable automatic scaling first.`,
  );
}

function checkSteady(pool: PoolRecord): Refusal | undefined {
  if (pool.allocationState === 'steady') return undefined;
  return refuse('PoolBeingResized', `The pool ${pool.spec.id} is ${pool.allocationState}.`);
}
