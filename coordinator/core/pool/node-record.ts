/** The nodes of a pool as they are kept in memory, with what is assigned to each. */
import type { NodeMirror } from '../../../src/model/commands.ts';
import { addDigest, type ExecutionId, executionDigest, removeDigest } from '../../../src/model/execution.ts';
import type { NodeFault } from '../../../src/model/machine.ts';
import type { NodeRestart } from '../../../src/model/node-task.ts';
import type { NodeState } from '../../../src/model/states.ts';
import { DEDICATED_LABEL, isOwnLabel } from './node-tasks.ts';
import { packTask } from './numbers.ts';
import type { NodeActivityRow, NodeRow } from './rows.ts';

export type StartState = 'none' | 'waiting' | 'failed' | 'succeeded';

export class NodeRecord {
  /** Position in the node table; never used again. */
  readonly index: number;
  /** Grows with each node that joins the pool; the page token of lists. Unlike the index, the same on every replica. */
  readonly number: number;
  readonly id: string;
  readonly machine: string;
  cores = 0;
  memoryBytes = 0;
  slots = 0;
  dedicated = false;
  labels: readonly string[] = [];
  labelSet: ReadonlySet<string> = new Set();
  allottedAtMs = 0;
  leaving: NodeMirror['leaving'];
  /** Its lease is over and it was not heard since. */
  lost = false;
  /** False while somebody disabled its scheduling. */
  enabled = true;
  /** It is being emptied, and then restarted. */
  restart: NodeRestart | undefined;
  /** Number of its machine's present boot, as far as it said so. */
  boot: number | undefined;
  bootedAtMs: number | undefined;
  /** Why no task can run there, as its machine says. */
  fault: NodeFault | undefined;
  /** How far its start task is, where other tasks wait for it. */
  start: StartState = 'none';
  state: NodeState = 'idle';
  stateAtMs: number;
  totalTasksRun = 0;
  totalTasksSucceeded = 0;

  /** Tasks of the node itself that are to begin as soon as they may: packed numbers. */
  readonly owed = new Set<number>();
  /** Conditions of jobs that it does not meet: their preparation failed here. */
  readonly unmet = new Set<string>();
  /** Packed numbers of its live executions. */
  readonly executions = new Set<number>();
  /** Those among them that are tasks of the node itself. */
  ownExecutions = 0;
  /** Subtasks of multi-instance tasks among them: such a task has its nodes for itself. */
  gangs = 0;
  /** Executions that are to be stopped. */
  stops = 0;
  /** Their slots. */
  stoppingSlots = 0;
  /** Slots of its live executions, for each job. */
  readonly slotsByJob = new Map<number, number>();
  assignedSlots = 0;
  runningTasks = 0;
  runningSlots = 0;
  digest = 0;

  constructor(
    index: number,
    {
      number,
      id,
      machine,
      nowMs,
    }: { readonly number: number; readonly id: string; readonly machine: string; readonly nowMs: number },
  ) {
    this.index = index;
    this.number = number;
    this.id = id;
    this.machine = machine;
    this.stateAtMs = nowMs;
  }

  /** True if it may be given new work. */
  get open(): boolean {
    const isWilling = this.enabled && this.leaving === undefined && this.fault === undefined;
    return !this.lost && isWilling && this.isStarted && this.gangs === 0;
  }

  /** Nothing that it must do before its first task is left. */
  get isStarted(): boolean {
    return this.restart === undefined && (this.start === 'none' || this.start === 'succeeded');
  }

  noteStop(slots: number, sign: 1 | -1): void {
    this.stops += sign;
    this.stoppingSlots += sign * slots;
  }

  get freeSlots(): number {
    return this.slots - this.assignedSlots;
  }

  hasLabels(labels: readonly string[]): boolean {
    for (const label of labels) if (!this.labelSet.has(label) && !this.#meets(label)) return false;
    return true;
  }

  #meets(label: string): boolean {
    if (!isOwnLabel(label)) return false;
    return label === DEDICATED_LABEL ? this.dedicated : !this.unmet.has(label);
  }

  add(job: number, task: number, slots: number): void {
    this.executions.add(packTask(job, task));
    this.#changeSlots(job, slots);
  }

  remove(job: number, task: number, slots: number): void {
    this.executions.delete(packTask(job, task));
    this.#changeSlots(job, -slots);
  }

  /** From here on its agent is to know of the execution. */
  sent(execution: ExecutionId): void {
    this.digest = addDigest(this.digest, executionDigest(execution));
  }

  unsent(execution: ExecutionId): void {
    this.digest = removeDigest(this.digest, executionDigest(execution));
  }

  #changeSlots(job: number, change: number): void {
    this.assignedSlots += change;
    const slots = (this.slotsByJob.get(job) ?? 0) + change;
    if (slots === 0) this.slotsByJob.delete(job);
    else this.slotsByJob.set(job, slots);
  }

  /** Takes over what the mesh group decides. */
  mirror(node: Omit<NodeMirror, 'node' | 'machine'>): void {
    this.cores = node.cores;
    this.memoryBytes = node.memoryBytes;
    this.slots = node.slots;
    this.dedicated = node.dedicated;
    this.labels = node.labels;
    this.labelSet = new Set(node.labels);
    this.allottedAtMs = node.allottedAtMs;
    this.leaving = node.leaving;
  }

  /** Derives the state shown to clients; `nowMs` becomes the time of the transition if there is one. */
  refreshState(nowMs: number): void {
    const state = this.derivedState();
    if (state === this.state) return;
    this.state = state;
    this.stateAtMs = nowMs;
  }

  derivedState(): NodeState {
    if (this.lost) return 'unknown';
    if (this.leaving !== undefined) return this.leaving.reason === 'preempted' ? 'preempted' : 'leavingpool';
    if (this.restart !== undefined) return this.restart === 'reboot' ? 'rebooting' : 'reimaging';
    if (this.fault !== undefined) return 'unusable';
    if (this.start === 'waiting') return 'waitingforstarttask';
    if (this.start === 'failed') return 'starttaskfailed';
    if (this.runningTasks > 0 || this.gangs > 0) return 'running';
    return this.enabled ? 'idle' : 'offline';
  }

  toRow(): NodeRow {
    return {
      number: this.number,
      machine: this.machine,
      cores: this.cores,
      memoryBytes: this.memoryBytes,
      slots: this.slots,
      dedicated: this.dedicated,
      labels: this.labels,
      allottedAtMs: this.allottedAtMs,
      leaving: this.leaving ?? null,
      lost: this.lost,
      enabled: this.enabled,
      ...(this.restart === undefined ? {} : { restart: this.restart }),
      ...(this.boot === undefined ? {} : { boot: this.boot, bootedAtMs: this.bootedAtMs ?? 0 }),
      ...(this.fault === undefined ? {} : { fault: this.fault }),
    };
  }

  toActivityRow(): NodeActivityRow {
    return [this.stateAtMs, this.totalTasksRun, this.totalTasksSucceeded];
  }

  restoreActivity([stateAtMs, totalTasksRun, totalTasksSucceeded]: NodeActivityRow): void {
    this.stateAtMs = stateAtMs;
    this.totalTasksRun = totalTasksRun;
    this.totalTasksSucceeded = totalTasksSucceeded;
  }

  static fromRow(index: number, id: string, row: NodeRow): NodeRecord {
    const node = new NodeRecord(index, {
      number: row.number,
      id,
      machine: row.machine,
      nowMs: 0,
    });
    const { leaving, restart, boot, bootedAtMs, fault, ...rest } = row;
    node.mirror(leaving === null ? rest : { ...rest, leaving });
    node.lost = row.lost;
    node.enabled = row.enabled;
    node.restart = restart;
    node.boot = boot;
    node.bootedAtMs = bootedAtMs;
    node.fault = fault;
    return node;
  }
}

/** Where tasks ran: nodes by id, and by the small index that the tasks' columns hold, also once they are gone. */
export class NodeTable {
  readonly #byId = new Map<string, NodeRecord>();
  readonly #byIndex: { readonly id: string; readonly machine: string }[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #byMachine = new Map<string, NodeRecord[]>();
  /** Open nodes, and those among them with a free slot: what placement looks at. */
  readonly #open = new Set<NodeRecord>();
  readonly #free = new Set<NodeRecord>();
  #openSlots = 0;
  readonly #countedSlots = new Map<NodeRecord, number>();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): NodeRecord | undefined {
    return this.#byId.get(id);
  }

  all(): Iterable<NodeRecord> {
    return this.#byId.values();
  }

  /** In the order of their ids: for all that is written or shown. */
  sorted(): NodeRecord[] {
    return [...this.#byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  onMachine(machine: string): readonly NodeRecord[] {
    return this.#byMachine.get(machine) ?? [];
  }

  /** The node of this index as long as it is in the pool. */
  at(index: number): NodeRecord | undefined {
    const place = this.#byIndex[index];
    const node = place === undefined ? undefined : this.#byId.get(place.id);
    return node?.index === index ? node : undefined;
  }

  /** Id and machine of a node that is or was in the pool. */
  placeAt(index: number): { readonly id: string; readonly machine: string } | undefined {
    return this.#byIndex[index];
  }

  /** The same node always has the same index: an id on another machine is another node. */
  indexFor(id: string, machine: string): number {
    const key = `${id}\n${machine}`;
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const index = this.#byIndex.push({ id, machine }) - 1;
    this.#indexes.set(key, index);
    return index;
  }

  add(node: NodeRecord): void {
    this.#byId.set(node.id, node);
    this.#byMachine.set(node.machine, [...this.onMachine(node.machine), node]);
    this.refresh(node);
  }

  remove(node: NodeRecord): void {
    this.#byId.delete(node.id);
    const left = this.onMachine(node.machine).filter((other) => other !== node);
    if (left.length === 0) this.#byMachine.delete(node.machine);
    else this.#byMachine.set(node.machine, left);
    this.#open.delete(node);
    this.#free.delete(node);
    this.#countSlots(node, 0);
  }

  /** Call after anything changed that placement asks for. */
  refresh(node: NodeRecord): void {
    const { open } = node;
    if (open) this.#open.add(node);
    else this.#open.delete(node);
    if (open && node.freeSlots > 0) this.#free.add(node);
    else this.#free.delete(node);
    this.#countSlots(node, open ? node.slots : 0);
  }

  #countSlots(node: NodeRecord, slots: number): void {
    const before = this.#countedSlots.get(node) ?? 0;
    if (before === slots) return;
    this.#openSlots += slots - before;
    if (slots === 0) this.#countedSlots.delete(node);
    else this.#countedSlots.set(node, slots);
  }

  get open(): ReadonlySet<NodeRecord> {
    return this.#open;
  }

  get free(): ReadonlySet<NodeRecord> {
    return this.#free;
  }

  /** Slots of all open nodes. */
  get openSlots(): number {
    return this.#openSlots;
  }
}
