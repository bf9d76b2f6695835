/**
 * The hot columns of one job's tasks: what every transition, placement and count needs, in typed arrays that grow. A
 * task is its number, which is never used again; everything else about it lies in rows. 76 bytes a task, and some 120
 * more for its id and the way from that to the number, so that a million fit.
 */

import { idKey } from '../../../src/model/ids.ts';
import type { TaskState } from '../../../src/model/states.ts';
import { TASK_STATES } from '../../../src/model/states.ts';

/** Bits of the `flags` column. */
export const Flag = {
  /** An execution is out: assigned, and not yet ended by a report or the loss of its node. */
  live: 1,
  /** Active, not live, all dependencies satisfied: `place` may take it once its job lets it. */
  ready: 2,
  /** Its number lies in a ready queue. */
  queued: 4,
  /** Completed so that its dependents may run. */
  satisfied: 8,
  /** Completed so that its dependents are to be cancelled. */
  cancels: 16,
  /** Completed with success; of a live subtask: its coordination command was. */
  succeeded: 32,
  /** Deleted while live: hidden and uncounted, but it holds its node, its row and its id until the execution ends. */
  ghost: 64,
  /** Removed. */
  gone: 128,
} as const;

/**
 * What is to become of a live execution when its end is reported; the numbers stand in rows. `fail`: it is to count as
 * failed, for a part of it has.
 */
export const Intent = { none: 0, recover: 1, requeue: 2, terminate: 3, delete: 4, fail: 5 } as const;
export type Intent = (typeof Intent)[keyof typeof Intent];

const STRENGTH = [0, 1, 2, 4, 5, 3] as const;

/** A later wish replaces a lesser one. */
export function outranks(intent: number, other: number): boolean {
  return (STRENGTH[intent] ?? 0) > (STRENGTH[other] ?? 0);
}

export interface NewTask {
  readonly id: string;
  readonly createdAtMs: number;
  readonly version: number;
  readonly maxRetryCount: number;
  /** Index of its shape in the job's ready queues. */
  readonly shape: number;
}

const STATE_CODES: Readonly<Record<TaskState, number>> = {
  active: 0,
  preparing: 1,
  running: 2,
  completed: 3,
};
const CAPACITY_MIN = 8;

export class TaskTable {
  /** Ids as given; undefined once removed. */
  readonly #ids: (string | undefined)[] = [undefined];
  readonly #numbers = new Map<string, number>();
  #capacity = 0;

  #state = new Uint8Array(0);
  #flags = new Uint8Array(0);
  #intent = new Uint8Array(0);
  /** 1 + the previous state; 0 where there was none. */
  #previous = new Uint8Array(0);
  #epoch = new Float64Array(0);
  #version = new Float64Array(0);
  #createdAtMs = new Float64Array(0);
  #modifiedAtMs = new Float64Array(0);
  #stateAtMs = new Float64Array(0);
  #previousAtMs = new Float64Array(0);
  #retryCount = new Int32Array(0);
  #requeueCount = new Int32Array(0);
  #maxRetryCount = new Int32Array(0);
  #node = new Int32Array(0);
  #waitingOn = new Uint32Array(0);
  #shape = new Uint32Array(0);

  /** The greatest number given so far; numbers begin at 1. */
  get last(): number {
    return this.#ids.length - 1;
  }

  /** Tasks that are there, ghosts included. */
  get size(): number {
    return this.#numbers.size;
  }

  numberOf(id: string): number | undefined {
    return this.#numbers.get(idKey(id));
  }

  numberOfKey(key: string): number | undefined {
    return this.#numbers.get(key);
  }

  has(task: number): boolean {
    return this.#ids[task] !== undefined;
  }

  idOf(task: number): string {
    return this.#ids[task] ?? '';
  }

  /** Appends a task in state `active` under the next number. */
  append(task: NewTask): number {
    const number = this.#ids.length;
    this.insert(number, task);
    return number;
  }

  /** Loading only: leaves out the numbers of removed tasks. */
  insert(number: number, task: NewTask): void {
    if (number >= this.#capacity) this.#grow(number + 1);
    const id = ownText(task.id);
    while (this.#ids.length < number) this.#ids.push(undefined);
    this.#ids[number] = id;
    this.#numbers.set(idKey(id), number);
    this.#version[number] = task.version;
    this.#createdAtMs[number] = task.createdAtMs;
    this.#modifiedAtMs[number] = task.createdAtMs;
    this.#stateAtMs[number] = task.createdAtMs;
    this.#maxRetryCount[number] = task.maxRetryCount;
    this.#node[number] = -1;
    this.#shape[number] = task.shape;
  }

  /** Loading only: numbers up to here were given. */
  skipTo(last: number): void {
    while (this.last < last) this.#ids.push(undefined);
    if (this.#ids.length > this.#capacity) this.#grow(this.#ids.length);
  }

  /** Forgets the task; its number stays used. */
  remove(task: number): void {
    this.#numbers.delete(idKey(this.idOf(task)));
    this.#ids[task] = undefined;
    this.#flags[task] = Flag.gone;
  }

  #grow(least: number): void {
    const capacity = Math.max(CAPACITY_MIN, least, this.#capacity * 2);
    this.#state = grown(this.#state, new Uint8Array(capacity));
    this.#flags = grown(this.#flags, new Uint8Array(capacity));
    this.#intent = grown(this.#intent, new Uint8Array(capacity));
    this.#previous = grown(this.#previous, new Uint8Array(capacity));
    this.#epoch = grown(this.#epoch, new Float64Array(capacity));
    this.#version = grown(this.#version, new Float64Array(capacity));
    this.#createdAtMs = grown(this.#createdAtMs, new Float64Array(capacity));
    this.#modifiedAtMs = grown(this.#modifiedAtMs, new Float64Array(capacity));
    this.#stateAtMs = grown(this.#stateAtMs, new Float64Array(capacity));
    this.#previousAtMs = grown(this.#previousAtMs, new Float64Array(capacity));
    this.#retryCount = grown(this.#retryCount, new Int32Array(capacity));
    this.#requeueCount = grown(this.#requeueCount, new Int32Array(capacity));
    this.#maxRetryCount = grown(this.#maxRetryCount, new Int32Array(capacity));
    this.#node = grown(this.#node, new Int32Array(capacity));
    this.#waitingOn = grown(this.#waitingOn, new Uint32Array(capacity));
    this.#shape = grown(this.#shape, new Uint32Array(capacity));
    this.#capacity = capacity;
  }

  // --- State ------------------------------------------------------------------------------------------------------

  state(task: number): TaskState {
    return TASK_STATES[this.#state[task] ?? 0] ?? 'active';
  }

  isActive(task: number): boolean {
    return this.#state[task] === 0;
  }

  previousState(task: number): TaskState | undefined {
    const previous = this.#previous[task] ?? 0;
    return previous === 0 ? undefined : TASK_STATES[previous - 1];
  }

  stateAtMs(task: number): number {
    return this.#stateAtMs[task] ?? 0;
  }

  previousAtMs(task: number): number {
    return this.#previousAtMs[task] ?? 0;
  }

  setState(task: number, to: TaskState, nowMs: number): void {
    this.#previous[task] = 1 + (this.#state[task] ?? 0);
    this.#previousAtMs[task] = this.#stateAtMs[task] ?? 0;
    this.#state[task] = STATE_CODES[to];
    this.#stateAtMs[task] = nowMs;
  }

  /** Loading only. */
  restoreState(
    task: number,
    state: TaskState,
    atMs: number,
    previous: TaskState | undefined,
    previousAtMs: number,
  ): void {
    this.#state[task] = STATE_CODES[state];
    this.#stateAtMs[task] = atMs;
    this.#previous[task] = previous === undefined ? 0 : 1 + STATE_CODES[previous];
    this.#previousAtMs[task] = previousAtMs;
  }

  flag(task: number, flag: number): boolean {
    return ((this.#flags[task] ?? 0) & flag) !== 0;
  }

  flags(task: number): number {
    return this.#flags[task] ?? 0;
  }

  setFlag(task: number, flag: number, on: boolean): void {
    const flags = this.#flags[task] ?? 0;
    this.#flags[task] = on ? flags | flag : flags & ~flag;
  }

  intent(task: number): number {
    return this.#intent[task] ?? 0;
  }

  setIntent(task: number, intent: number): void {
    this.#intent[task] = intent;
  }

  // --- Execution --------------------------------------------------------------------------------------------------

  /** Of the current or the last execution; 0 before the first. */
  epoch(task: number): number {
    return this.#epoch[task] ?? 0;
  }

  /** Index of the node of the current or the last execution; -1 before the first. */
  node(task: number): number {
    return this.#node[task] ?? -1;
  }

  setExecution(task: number, epoch: number, node: number): void {
    this.#epoch[task] = epoch;
    this.#node[task] = node;
  }

  retryCount(task: number): number {
    return this.#retryCount[task] ?? 0;
  }

  setRetryCount(task: number, count: number): void {
    this.#retryCount[task] = count;
  }

  requeueCount(task: number): number {
    return this.#requeueCount[task] ?? 0;
  }

  setRequeueCount(task: number, count: number): void {
    this.#requeueCount[task] = count;
  }

  /** -1: without limit. */
  maxRetryCount(task: number): number {
    return this.#maxRetryCount[task] ?? 0;
  }

  setMaxRetryCount(task: number, count: number): void {
    this.#maxRetryCount[task] = count;
  }

  // --- The rest ---------------------------------------------------------------------------------------------------

  waitingOn(task: number): number {
    return this.#waitingOn[task] ?? 0;
  }

  setWaitingOn(task: number, count: number): void {
    this.#waitingOn[task] = count;
  }

  shape(task: number): number {
    return this.#shape[task] ?? 0;
  }

  createdAtMs(task: number): number {
    return this.#createdAtMs[task] ?? 0;
  }

  version(task: number): number {
    return this.#version[task] ?? 0;
  }

  modifiedAtMs(task: number): number {
    return this.#modifiedAtMs[task] ?? 0;
  }

  setVersion(task: number, version: number, nowMs: number): void {
    this.#version[task] = version;
    this.#modifiedAtMs[task] = nowMs;
  }

  /** Numbers of all tasks that are there, ascending. */
  *tasks(after = 0): Iterable<number> {
    for (let task = after + 1; task < this.#ids.length; task++) if (this.#ids[task] !== undefined) yield task;
  }
}

function grown<T extends Uint8Array | Float64Array | Int32Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/**
 * A text cut out of a decoded message keeps the whole message alive (V8 makes slices of 13 characters and more without
 * a copy); ids live as long as their task, so they are copied.
 */
export function ownText(text: string): string {
  return text.length < 13 ? text : `${text} `.slice(0, -1);
}
