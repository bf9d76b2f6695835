/**
 * The tasks that nodes owe their pool or a job: start, preparation, release, restart. They are rows and columns of a
 * job like any other task, so that epochs, digests, leases, reports and fencing hold for them as well; but they are
 * pinned to one node, use no slot, are not counted, listed or placed, and begin by themselves: see attend.ts.
 */
import type { NodeTaskRole, Subtask } from '../../../src/model/node-task.ts';
import type { NodeRecord } from './node-record.ts';

export interface NodeTask {
  readonly role: NodeTaskRole;
  /** Where it runs. A node that left and came back has another number: it owes everything anew. */
  readonly node: string;
  readonly machine: string;
  readonly nodeNumber: number;
  /** Other tasks wait for its success. */
  readonly waits: boolean;
  /** Of a subtask. */
  readonly gang?: Subtask;
}

export type { Subtask };

/** What is kept of them for one job. */
export class NodeTasks {
  readonly #byTask = new Map<number, NodeTask>();
  readonly #byNode = new Map<string, number>();
  /** Those with a live execution. */
  readonly live = new Set<number>();
  /** Release tasks that are not completed. */
  readonly releasing = new Set<number>();
  /** True from the moment the job's end asked for its release tasks. */
  released = false;
  /** Subtasks of the present or the last run of each multi-instance task, by instance. */
  readonly #gangs = new Map<number, { readonly run: number; readonly subtasks: number[] }>();
  /** Tasks of users that have their place on a node and wait there for its preparation, by the node's index. */
  readonly #held = new Map<number, Set<number>>();

  /** Asked of every task at every step: a job that has none answers at once. */
  has(task: number): boolean {
    return this.#byTask.size > 0 && this.#byTask.has(task);
  }

  get(task: number): NodeTask | undefined {
    return this.#byTask.size > 0 ? this.#byTask.get(task) : undefined;
  }

  /** The task of this role that the node has now. */
  of(role: NodeTaskRole, { number }: Pick<NodeRecord, 'number'>): number | undefined {
    return this.#byNode.get(keyOf(role, number));
  }

  /** In the order of their numbers. */
  entries(): Iterable<readonly [number, NodeTask]> {
    return this.#byTask;
  }

  add(task: number, own: NodeTask): void {
    this.#byTask.set(task, own);
    if (own.gang === undefined) this.#byNode.set(keyOf(own.role, own.nodeNumber), task);
    else this.#enterRun(task, own.gang);
    if (own.role !== 'release') return;
    this.releasing.add(task);
    this.released = true;
  }

  remove(task: number): void {
    const own = this.#byTask.get(task);
    if (own === undefined) return;
    this.#byTask.delete(task);
    if (own.gang === undefined) this.#byNode.delete(keyOf(own.role, own.nodeNumber));
    this.releasing.delete(task);
  }

  // --- Subtasks -----------------------------------------------------------------------------------------------------

  /** Those of an older run may still be about, and have lower numbers. */
  #enterRun(task: number, { primary, run }: Subtask): void {
    const known = this.#gangs.get(primary);
    if (known?.run === run) known.subtasks.push(task);
    else this.#gangs.set(primary, { run, subtasks: [task] });
  }

  subtasksOf(primary: number): readonly number[] {
    return this.#gangs.get(primary)?.subtasks ?? NO_TASKS;
  }

  forgetRun(primary: number): void {
    this.#gangs.delete(primary);
  }

  // --- Held tasks ---------------------------------------------------------------------------------------------------

  hold(node: number, task: number): void {
    const held = this.#held.get(node);
    if (held === undefined) this.#held.set(node, new Set([task]));
    else held.add(task);
  }

  /** False if it was not held. */
  letGo(node: number, task: number): boolean {
    const held = this.#held.size > 0 ? this.#held.get(node) : undefined;
    if (held?.delete(task) !== true) return false;
    if (held.size === 0) this.#held.delete(node);
    return true;
  }

  isHeld(node: number, task: number): boolean {
    return this.#held.size > 0 && this.#held.get(node)?.has(task) === true;
  }

  heldOn(node: number): ReadonlySet<number> {
    return this.#held.get(node) ?? NONE;
  }
}

const NONE: ReadonlySet<number> = new Set();
const NO_TASKS: readonly number[] = [];

function keyOf(role: NodeTaskRole, nodeNumber: number): string {
  return `${role}/${nodeNumber}`;
}

/** No client can give such an id, so that none is found by one. */
export function nodeTaskId({ role, nodeNumber, gang }: NodeTask): string {
  return gang !== undefined
    ? `$${role}/${gang.primary}/${gang.instance}/${gang.run}`
    : `$${role}/${nodeNumber}`;
}

/** Id of the job record that holds what nodes owe the pool itself. */
export const NODE_JOB_ID = '$nodes';

// --- What placement must know -------------------------------------------------------------------------------------

/** Conditions on a node beyond its machine's labels, in the same form: a label of a machine never begins so. */
export const DEDICATED_LABEL = '\u0000dedicated';

export function preparedLabel(job: number): string {
  return `\u0000prepared ${job}`;
}

export function isOwnLabel(label: string): boolean {
  return label.startsWith('\u0000');
}
