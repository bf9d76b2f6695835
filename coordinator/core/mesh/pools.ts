/** Pools: the wish, its version, and how far the packing of its nodes has come. */

import { parseDuration } from '../../../src/lib/durations.ts';
import { RESIZE_TIMEOUT_DEFAULT_MS, RESIZE_TIMEOUT_MIN_MS } from '../../../src/lib/limits.ts';
import type { AutoPool } from '../../../src/model/auto-pool.ts';
import type { AutoScaleRun, AutoScaleSettings, AutoScaleTargets } from '../../../src/model/autoscale.ts';
import type { EntityStamp } from '../../../src/model/commands.ts';
import { idKey, isValidId } from '../../../src/model/ids.ts';
import type { StartTask } from '../../../src/model/node-task.ts';
import {
  type AutoScaleChange,
  CHANGED_ONLY_WHEN_EMPTY,
  type NodeDeallocationOption,
  type PoolPatch,
  type PoolResize,
  type PoolSpec,
  type ResizeError,
} from '../../../src/model/pool.ts';
import type { AllocationState, PoolState } from '../../../src/model/states.ts';
import { validateStartTask } from '../../../src/model/validate.ts';
import { parseVmSize } from '../../../src/model/vm-size.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { checkAutoScaleOfNewPool, settingsOf } from './autoscale-settings.ts';
import { OrderedMap } from './order.ts';
import { poolRow } from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

/** A pool's row. The counts of its nodes are not in it: they follow from the allotments. */
export interface PoolRecord extends EntityStamp {
  readonly spec: PoolSpec;
  readonly auto?: AutoPool;
  readonly state: PoolState;
  readonly allocationState: AllocationState;
  readonly creationTimeMs: number;
  readonly stateTransitionTimeMs: number;
  readonly allocationStateTransitionTimeMs: number;
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
  readonly resizeErrors: readonly ResizeError[];
  /** When a resize that is under way ends, met or not. */
  readonly resizeDeadlineMs: number;
  /** What happens to the tasks of nodes that a shrinking target calls back. */
  readonly deallocationOption: NodeDeallocationOption;
  /** Nodes that ran nothing when the pool's coordinator made it shrink: they are called back first. */
  readonly idleNodes?: readonly string[];
  readonly autoScale?: AutoScaleSettings;
  readonly autoScaleRun?: AutoScaleRun;
  /** Of the last request to enable automatic scaling. */
  readonly autoScaleEnabledAtMs?: number;
}

/** Nodes of a pool that are there to stay. */
export interface NodeCounts {
  readonly dedicated: number;
  readonly lowPriority: number;
}

export class Pools {
  readonly #byKey = new OrderedMap<string, PoolRecord>();

  load(record: PoolRecord): void {
    this.#byKey.set(idKey(record.spec.id), record);
  }

  all(): readonly PoolRecord[] {
    return this.#byKey.inOrder();
  }

  get(id: string): PoolRecord | undefined {
    return this.#byKey.get(idKey(id));
  }

  add(turn: Turn, wish: PoolSpec, auto?: AutoPool): EntityStamp {
    const stamp = turn.stamp();
    const { enableAutoScale, autoScaleFormula, autoScaleEvaluationInterval, autoScaleOnChange, ...spec } =
      wish;
    this.#set(turn, {
      ...stamp,
      spec,
      ...(auto === undefined ? {} : { auto }),
      ...(enableAutoScale === true && { autoScale: settingsOf(wish, undefined, stamp) }),
      state: 'active',
      allocationState: 'resizing',
      creationTimeMs: turn.timeMs,
      stateTransitionTimeMs: turn.timeMs,
      allocationStateTransitionTimeMs: turn.timeMs,
      targetDedicatedNodes: spec.targetDedicatedNodes ?? 0,
      targetLowPriorityNodes: spec.targetLowPriorityNodes ?? 0,
      resizeErrors: [],
      resizeDeadlineMs: turn.timeMs + resizeTimeoutMs(spec.resizeTimeout),
      deallocationOption: 'requeue',
    });
    turn.event('pool.added', `The pool ${spec.id} was added.`, { pool: spec.id });
    return stamp;
  }

  patch(turn: Turn, pool: PoolRecord, patch: PoolPatch): EntityStamp {
    const stamp = turn.stamp();
    this.#set(turn, { ...pool, ...stamp, spec: patchedSpec(pool.spec, patch) });
    return stamp;
  }

  resize(turn: Turn, pool: PoolRecord, resize: PoolResize, idleNodes: readonly string[] = []): EntityStamp {
    const stamp = turn.stamp();
    const { idleNodes: _, ...before } = pool;
    this.#set(turn, {
      ...this.#allocating(turn, before, 'resizing'),
      ...stamp,
      // As all later fields of a row: absent where nothing brings it.
      ...(idleNodes.length > 0 && { idleNodes }),
      targetDedicatedNodes: resize.targetDedicatedNodes ?? pool.targetDedicatedNodes,
      targetLowPriorityNodes: resize.targetLowPriorityNodes ?? pool.targetLowPriorityNodes,
      resizeErrors: [],
      resizeDeadlineMs: turn.timeMs + resizeTimeoutMs(resize.resizeTimeout),
      deallocationOption: resize.nodeDeallocationOption ?? 'requeue',
    });
    turn.event('pool.resized', `The pool ${pool.spec.id} is being resized.`, { pool: pool.spec.id });
    return stamp;
  }

  enableAutoScale(turn: Turn, pool: PoolRecord, change: AutoScaleChange): EntityStamp {
    const stamp = turn.stamp();
    const autoScale = settingsOf(change, pool.autoScale, stamp);
    this.#set(turn, { ...pool, ...stamp, autoScale, autoScaleEnabledAtMs: turn.timeMs });
    turn.event('pool.autoScaleEnabled', `The pool ${pool.spec.id} is sized by its formula.`, {
      pool: pool.spec.id,
    });
    return stamp;
  }

  /** The targets stay what the last evaluation made them. */
  disableAutoScale(turn: Turn, pool: PoolRecord): EntityStamp {
    const stamp = turn.stamp();
    const { autoScale, autoScaleRun, ...rest } = pool;
    this.#set(turn, { ...rest, ...stamp });
    turn.event('pool.autoScaleDisabled', `The pool ${pool.spec.id} keeps its size.`, { pool: pool.spec.id });
    return stamp;
  }

  /** Records a run. Where no target changes, the pool's version does not either: clients' conditions hold on. */
  autoScaled(
    turn: Turn,
    pool: PoolRecord,
    run: Omit<AutoScaleRun, 'timestampMs'>,
    targets: AutoScaleTargets | undefined,
    idleNodes: readonly string[] = [],
  ): EntityStamp {
    const { autoScale } = pool;
    const ran: PoolRecord = {
      ...pool,
      ...(autoScale !== undefined && { autoScale: { ...autoScale, runs: autoScale.runs + 1 } }),
      autoScaleRun: { timestampMs: turn.timeMs, ...run },
    };
    const changes =
      targets !== undefined &&
      (targets.targetDedicatedNodes !== pool.targetDedicatedNodes ||
        targets.targetLowPriorityNodes !== pool.targetLowPriorityNodes);
    if (!changes) {
      this.#set(turn, ran);
      return pool;
    }
    const { nodeDeallocationOption, ...sizes } = targets;
    const { resizeTimeout } = pool.spec;
    const resize = {
      ...sizes,
      nodeDeallocationOption,
      ...(resizeTimeout !== undefined && { resizeTimeout }),
    };
    return this.resize(turn, ran, resize, idleNodes);
  }

  /** The targets become what is there; the next packing finds them met and calls the pool steady. */
  stopResize(turn: Turn, pool: PoolRecord, counts: NodeCounts): EntityStamp {
    const stamp = turn.stamp();
    this.#set(turn, {
      ...this.#allocating(turn, pool, 'stopping'),
      ...stamp,
      targetDedicatedNodes: counts.dedicated,
      targetLowPriorityNodes: counts.lowPriority,
      resizeErrors: [],
    });
    return stamp;
  }

  /** Named nodes were called back: the targets shrink by them, or they would be allotted anew at once. */
  removed(turn: Turn, pool: PoolRecord, gone: NodeCounts): EntityStamp {
    const stamp = turn.stamp();
    this.#set(turn, {
      ...this.#allocating(turn, pool, 'resizing'),
      ...stamp,
      targetDedicatedNodes: Math.max(0, pool.targetDedicatedNodes - gone.dedicated),
      targetLowPriorityNodes: Math.max(0, pool.targetLowPriorityNodes - gone.lowPriority),
      resizeErrors: [],
      resizeDeadlineMs: turn.timeMs + RESIZE_TIMEOUT_DEFAULT_MS,
    });
    return stamp;
  }

  markDeleting(turn: Turn, pool: PoolRecord): EntityStamp {
    const stamp = turn.stamp();
    this.#set(turn, { ...pool, ...stamp, state: 'deleting', stateTransitionTimeMs: turn.timeMs });
    turn.event('pool.deleting', `The pool ${pool.spec.id} is being deleted.`, { pool: pool.spec.id });
    return stamp;
  }

  erase(turn: Turn, pool: PoolRecord): void {
    this.#byKey.delete(idKey(pool.spec.id));
    turn.delete(poolRow(pool.spec.id));
    turn.effect({ kind: 'poolChanged', pool: pool.spec.id });
    turn.event('pool.deleted', `The pool ${pool.spec.id} is gone.`, { pool: pool.spec.id });
  }

  /** No new version: a pool's ETag changes with its properties, not with its nodes. */
  setResizeErrors(turn: Turn, pool: PoolRecord, resizeErrors: readonly ResizeError[]): void {
    this.#set(turn, { ...pool, resizeErrors });
  }

  setSteady(turn: Turn, pool: PoolRecord): void {
    if (pool.allocationState !== 'steady') this.#set(turn, this.#allocating(turn, pool, 'steady'));
  }

  /** A resize whose time is over ends unmet: the target stays and is met when a machine joins. */
  sweep(turn: Turn): void {
    for (const pool of this.all()) {
      if (isDue(pool) && pool.resizeDeadlineMs <= turn.timeMs) this.setSteady(turn, pool);
    }
  }

  dueAtMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const pool of this.#byKey.values()) if (isDue(pool)) due = Math.min(due, pool.resizeDeadlineMs);
    return due;
  }

  #allocating(turn: Turn, pool: PoolRecord, allocationState: AllocationState): PoolRecord {
    return { ...pool, allocationState, allocationStateTransitionTimeMs: turn.timeMs };
  }

  #set(turn: Turn, record: PoolRecord): void {
    this.#byKey.set(idKey(record.spec.id), record);
    turn.put(poolRow(record.spec.id), record);
    turn.effect({ kind: 'poolChanged', pool: record.spec.id });
  }
}

function isDue(pool: PoolRecord): boolean {
  return pool.state === 'active' && pool.allocationState !== 'steady';
}

function patchedSpec(spec: PoolSpec, { startTask, ...patch }: PoolPatch): PoolSpec {
  const sized = patch.taskSlotsPerNode === undefined ? spec : withoutSlotsFromCores(spec);
  if (startTask === undefined) return { ...sized, ...patch };
  const { startTask: _, ...rest } = sized;
  return startTask === null ? { ...rest, ...patch } : { ...rest, ...patch, startTask };
}

/** Whoever says how many slots a node has does not want them counted. */
function withoutSlotsFromCores({ slotsFromCores: _, ...spec }: PoolSpec): PoolSpec {
  return spec;
}

/** `nodes`: how many the pool has, leaving ones included. Undefined where the pool can be made over like this. */
export function checkPatch(pool: PoolRecord, patch: PoolPatch, nodes: number): Refusal | undefined {
  const { spec, targetDedicatedNodes, targetLowPriorityNodes } = pool;
  const wantsNodes =
    spec.everyMachine === true ||
    pool.autoScale !== undefined ||
    targetDedicatedNodes + targetLowPriorityNodes > 0;
  const fixed = CHANGED_ONLY_WHEN_EMPTY.find((name) => patch[name] !== undefined);
  if (fixed !== undefined && (nodes > 0 || wantsNodes)) {
    return refuse(
      'OperationInvalidForCurrentState',
      `The pool ${spec.id} has nodes, or is to get some: ${fixed} changes only while it is empty. Resize it to 0 first.`,
      { PropertyName: fixed },
    );
  }
  return checkVmSize(patch.vmSize) ?? checkStartTask(patch.startTask);
}

/** Undefined where a pool can be made of it. */
export function checkPoolSpec(spec: PoolSpec): Refusal | undefined {
  if (!isValidId(spec.id)) {
    return refuseProperty('id', spec.id, 'an id has 1 to 64 letters, digits, dashes and underscores.');
  }
  const unknownSize = checkVmSize(spec.vmSize);
  if (unknownSize !== undefined) return unknownSize;
  if (spec.everyMachine && ((spec.targetDedicatedNodes ?? 0) > 0 || (spec.targetLowPriorityNodes ?? 0) > 0)) {
    return refuseProperty(
      'everyMachine',
      'true',
      'a pool with a node on every machine has no target of its own.',
    );
  }
  return (
    checkStartTask(spec.startTask) ?? checkResizeTimeout(spec.resizeTimeout) ?? checkAutoScaleOfNewPool(spec)
  );
}

function checkVmSize(vmSize: string | undefined): Refusal | undefined {
  if (vmSize === undefined || parseVmSize(vmSize) !== undefined) return undefined;
  const known =
    'use `machine`, `shoal.<cores>c<GiB>g` such as shoal.4c8g, or an Azure size such as standard_d2s_v3.';
  return refuseProperty('vmSize', vmSize, `the size is unknown; ${known}`);
}

function checkStartTask(start: StartTask | null | undefined): Refusal | undefined {
  const violation = start === undefined || start === null ? undefined : validateStartTask(start);
  return violation === undefined ? undefined : { ok: false, ...violation };
}

export function checkResize(pool: PoolRecord, resize: PoolResize): Refusal | undefined {
  if (resize.targetDedicatedNodes === undefined && resize.targetLowPriorityNodes === undefined) {
    return refuse(
      'MissingRequiredProperty',
      'A resize names targetDedicatedNodes, targetLowPriorityNodes or both.',
    );
  }
  return checkHasTargets(pool) ?? checkResizeTimeout(resize.resizeTimeout);
}

/** A pool with a node on every machine follows the estate; its nodes go with their machines only. */
export function checkHasTargets(pool: PoolRecord): Refusal | undefined {
  if (!pool.spec.everyMachine) return undefined;
  return refuse(
    'OperationInvalidForCurrentState',
    `The pool ${pool.spec.id} has a node on every machine: drain a machine to take its node away.`,
  );
}

function checkResizeTimeout(resizeTimeout: string | undefined): Refusal | undefined {
  if (resizeTimeout === undefined) return undefined;
  const timeoutMs = parseDuration(resizeTimeout);
  if (timeoutMs !== undefined && timeoutMs >= RESIZE_TIMEOUT_MIN_MS) return undefined;
  return refuseProperty('resizeTimeout', resizeTimeout, 'it is no duration of at least PT5M.');
}

function resizeTimeoutMs(resizeTimeout: string | undefined): number {
  const asked = resizeTimeout === undefined ? undefined : parseDuration(resizeTimeout);
  // Azure's "no limit" is a finite number here: infinity is no msgpack integer and no date.
  return Math.min(asked ?? RESIZE_TIMEOUT_DEFAULT_MS, Number.MAX_SAFE_INTEGER / 2);
}
