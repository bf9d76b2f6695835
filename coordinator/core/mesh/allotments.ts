/** Allotments: which machine hosts which node of which pool. The packer proposes; this is the gate. */
import type { MeshCommand } from '../../../src/model/commands.ts';
import type { MachineId } from '../../../src/model/ids.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { Allotment, MachineRecord } from '../../../src/model/machine.ts';
import type { NodeDeallocationOption } from '../../../src/model/pool.ts';
import { parseVmSize } from '../../../src/model/vm-size.ts';
import { OrderedMap } from './order.ts';
import type { NodeCounts, PoolRecord } from './pools.ts';
import { allotmentRow } from './rows.ts';
import type { Turn } from './turn.ts';

export type Leaving = NonNullable<Allotment['leaving']>;
type NewAllotment = Extract<MeshCommand, { kind: 'allot' }>['add'][number];

const NODE_NAME = /^tvm-([0-9a-f]{8,13})$/;

/** `tvm-0000002a`. Azure's node ids have the same look. */
export function nodeName(number: number): string {
  return `tvm-${number.toString(16).padStart(8, '0')}`;
}

/** The number in a node's name; undefined where the packer did not make the name. */
export function nodeNumber(node: string): number | undefined {
  const match = NODE_NAME.exec(node);
  return match === null ? undefined : Number.parseInt(match[1] ?? '', 16);
}

/** True where the tasks of a leaving node are ended rather than waited for: its room is soon free. */
export function leavesAtOnce(option: NodeDeallocationOption): boolean {
  return option === 'requeue' || option === 'terminate';
}

const NONE: readonly Allotment[] = [];
const NO_NODES: NodeCounts = { dedicated: 0, lowPriority: 0 };

export class Allotments {
  readonly #byNode = new OrderedMap<string, Allotment>();
  readonly #byPool = new Map<string, OrderedMap<string, Allotment>>();
  readonly #byMachine = new Map<MachineId, OrderedMap<string, Allotment>>();
  /** By pool; leaving ones not counted. */
  readonly #counts = new Map<string, { dedicated: number; lowPriority: number }>();

  load(allotment: Allotment): void {
    this.#index(allotment);
  }

  all(): readonly Allotment[] {
    return this.#byNode.inOrder();
  }

  get(node: string): Allotment | undefined {
    return this.#byNode.get(node);
  }

  ofPool(pool: string): readonly Allotment[] {
    return this.#byPool.get(idKey(pool))?.inOrder() ?? NONE;
  }

  onMachine(machine: MachineId): readonly Allotment[] {
    return this.#byMachine.get(machine)?.inOrder() ?? NONE;
  }

  /** Leaving ones not counted. */
  countOf(pool: string): NodeCounts {
    return this.#counts.get(idKey(pool)) ?? NO_NODES;
  }

  /**
   * Whether the machine can host the node as things stand at this entry. Leaving nodes still count: their processes
   * live until the pool's coordinator says otherwise, so no machine is ever oversubscribed.
   */
  fits(added: NewAllotment, machine: MachineRecord, pool: PoolRecord): boolean {
    const present = this.onMachine(machine.id);
    if (machine.scheduling !== 'enabled' || pool.state !== 'active') return false;
    const labels = pool.spec.requiredLabels ?? [];
    if (!labels.every((label) => machine.capacity.labels.includes(label))) return false;
    if (parseVmSize(pool.spec.vmSize)?.kind === 'machine' && present.length > 0) return false;
    const cores = present.reduce((sum, other) => sum + other.cores, added.cores);
    const memoryBytes = present.reduce((sum, other) => sum + other.memoryBytes, added.memoryBytes);
    return cores <= machine.capacity.cores && memoryBytes <= machine.capacity.memoryBytes;
  }

  add(turn: Turn, added: NewAllotment): void {
    const { node, pool, machine, cores, memoryBytes, slots, dedicated, labels } = added;
    this.#set(turn, {
      node,
      pool,
      machine,
      cores,
      memoryBytes,
      slots,
      dedicated,
      labels,
      allottedAtMs: turn.timeMs,
    });
    turn.event('node.allotted', `The pool ${pool} has the node ${node}.`, { pool, node, machine });
  }

  /** Calls a node back. One that waits for its tasks can still be hurried; it is never given more time again. */
  leave(turn: Turn, allotment: Allotment, leaving: Leaving): void {
    const before = allotment.leaving;
    if (before !== undefined && (leavesAtOnce(before.option) || !leavesAtOnce(leaving.option))) return;
    this.#set(turn, { ...allotment, leaving: { option: leaving.option, reason: leaving.reason } });
    const data = { pool: allotment.pool, node: allotment.node, reason: leaving.reason };
    turn.event('node.leaving', `The node ${allotment.node} leaves the pool ${allotment.pool}.`, data);
  }

  /** The machine says anew what it has: labels, and for a node that is all of it also cores, memory and slots. */
  refit(turn: Turn, allotment: Allotment, machine: MachineRecord, pool: PoolRecord | undefined): void {
    const { cores, memoryBytes, labels } = machine.capacity;
    const whole = pool !== undefined && parseVmSize(pool.spec.vmSize)?.kind === 'machine';
    const sized = whole ? { cores, memoryBytes, slots: slotsOf(pool, cores) } : {};
    const refitted = { ...allotment, ...sized, labels };
    if (sameSize(allotment, refitted)) return;
    this.#set(turn, refitted);
  }

  remove(turn: Turn, allotment: Allotment): void {
    this.#count(this.#byNode.get(allotment.node), -1);
    this.#byNode.delete(allotment.node);
    this.#byPool.get(idKey(allotment.pool))?.delete(allotment.node);
    this.#byMachine.get(allotment.machine)?.delete(allotment.node);
    turn.delete(allotmentRow(allotment.node));
    turn.effect({ kind: 'allotmentsChanged', pool: allotment.pool });
    const data = { pool: allotment.pool, node: allotment.node, machine: allotment.machine };
    turn.event('node.gone', `The node ${allotment.node} left the pool ${allotment.pool}.`, data);
  }

  #set(turn: Turn, allotment: Allotment): void {
    this.#index(allotment);
    turn.put(allotmentRow(allotment.node), allotment);
    turn.effect({ kind: 'allotmentsChanged', pool: allotment.pool });
  }

  #index(allotment: Allotment): void {
    this.#count(this.#byNode.get(allotment.node), -1);
    this.#count(allotment, 1);
    this.#byNode.set(allotment.node, allotment);
    childOf(this.#byPool, idKey(allotment.pool)).set(allotment.node, allotment);
    childOf(this.#byMachine, allotment.machine).set(allotment.node, allotment);
  }

  #count(allotment: Allotment | undefined, by: 1 | -1): void {
    if (allotment === undefined || allotment.leaving !== undefined) return;
    const key = idKey(allotment.pool);
    const counts = this.#counts.get(key) ?? { dedicated: 0, lowPriority: 0 };
    counts[allotment.dedicated ? 'dedicated' : 'lowPriority'] += by;
    this.#counts.set(key, counts);
  }
}

/** Task slots of a node of the pool; at least one, so that a node is of use. */
export function slotsOf(pool: Pick<PoolRecord, 'spec'>, cores: number): number {
  return pool.spec.slotsFromCores ? Math.max(1, cores) : (pool.spec.taskSlotsPerNode ?? 1);
}

function childOf<K>(parents: Map<K, OrderedMap<string, Allotment>>, key: K): OrderedMap<string, Allotment> {
  let child = parents.get(key);
  if (child === undefined) {
    child = new OrderedMap();
    parents.set(key, child);
  }
  return child;
}

function sameSize(a: Allotment, b: Allotment): boolean {
  return (
    a.cores === b.cores &&
    a.memoryBytes === b.memoryBytes &&
    a.slots === b.slots &&
    a.labels.length === b.labels.length &&
    a.labels.every((label, at) => label === b.labels[at])
  );
}
