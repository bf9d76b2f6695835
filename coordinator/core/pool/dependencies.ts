/**
 * The dependencies of one job's tasks. Whether a dependency holds is a function of the present state alone: the id's
 * task is there and completed satisfactorily, or was deleted after it had. So a parent that is added or reactivated
 * anew makes its dependents wait anew, and a restart finds what a replay finds (Azure resolves each id once, and
 * starts a re-created dependent beside its re-created parent: Azure/Batch#129).
 */
import { idKey } from '../../../src/model/ids.ts';
import type { DependsOn } from '../../../src/model/task.ts';
import { integerOfId } from '../../../src/model/validate.ts';
import { RangeIndex } from './ranges.ts';
import { Flag, ownText, type TaskTable } from './task-table.ts';

/** What an id stands for: no task, a task whose dependents wait, one that satisfied them, one that has them cancelled. */
export type Standing = 'absent' | 'open' | 'satisfied' | 'cancels';

/** All tasks whose id is the same integer; deleted ones that had satisfied count as there. */
interface IntegerStanding {
  present: number;
  satisfied: number;
  cancels: number;
}

interface RangeWatch {
  readonly start: number;
  readonly end: number;
  /** Integers of the range that are satisfied, and those that cancel. */
  satisfied: number;
  cancels: number;
  readonly dependents: number[];
}

/** Integers are counted in blocks of this many, so that a wide range is not counted one by one. */
const COUNT_BLOCK = 1024;

export class Dependencies {
  readonly #table: TaskTable;
  /** Called for each dependent of which `waitingOn` or `cancelledBy` changed. */
  readonly #changed: (task: number) => void;
  /** Lower-case id -> who depends on it. */
  readonly #byId = new Map<string, number | number[]>();
  readonly #ranges = new Map<string, RangeWatch>();
  readonly #rangeIndex = new RangeIndex<RangeWatch>();
  /** Ids of deleted tasks that had satisfied their dependents. */
  readonly #tombstones = new Set<string>();
  /** Kept only once some task depends on a range. */
  #integers: Map<number, IntegerStanding> | undefined;
  readonly #satisfiedInBlock = new Map<number, number>();
  readonly #cancellingIntegers = new Set<number>();
  /** Dependents of tasks that have them cancelled, with how many such tasks. */
  readonly #cancelledBy = new Map<number, number>();

  constructor(table: TaskTable, changed: (task: number) => void) {
    this.#table = table;
    this.#changed = changed;
  }

  // --- Asking -----------------------------------------------------------------------------------------------------

  standing(key: string): Standing {
    if (this.#tombstones.has(key)) return 'satisfied';
    const task = this.#table.numberOfKey(key);
    return task === undefined ? 'absent' : this.#standingOf(task);
  }

  #standingOf(task: number): Standing {
    const flags = this.#table.flags(task);
    if ((flags & Flag.ghost) !== 0) return 'absent';
    if ((flags & Flag.satisfied) !== 0) return 'satisfied';
    return (flags & Flag.cancels) !== 0 ? 'cancels' : 'open';
  }

  /** True if a task that this one depends on has it cancelled. */
  isCancelled(task: number): boolean {
    return this.#cancelledBy.has(task);
  }

  /** All tasks that a task has cancelled. */
  cancelled(): Iterable<number> {
    return this.#cancelledBy.keys();
  }

  tombstones(): Iterable<string> {
    return this.#tombstones;
  }

  isIntegerSatisfied(integer: number): boolean {
    const standing = this.#integers?.get(integer);
    return standing !== undefined && holds(standing);
  }

  /** Who depends on what: id keys, and ranges as [start, end]. For checks of the whole state. */
  *edges(): Iterable<{ readonly task: number; readonly on: string | readonly [number, number] }> {
    for (const [key, dependents] of this.#byId) {
      for (const task of listOf(dependents)) yield { task, on: key };
    }
    for (const { start, end, dependents } of this.#ranges.values()) {
      for (const task of dependents) yield { task, on: [start, end] };
    }
  }

  // --- Registering ------------------------------------------------------------------------------------------------

  /** Files a new task's dependencies and sets what it waits on. */
  register(task: number, { taskIds, taskIdRanges }: DependsOn): void {
    let waiting = 0;
    for (const key of new Set((taskIds ?? []).map(idKey))) {
      this.#fileId(key, task);
      const standing = this.standing(key);
      if (standing !== 'satisfied') waiting += 1;
      if (standing === 'cancels') this.#count(task, 1);
    }
    for (const watch of new Set((taskIdRanges ?? []).map(({ start, end }) => this.#watch(start, end)))) {
      watch.dependents.push(task);
      if (!isComplete(watch)) waiting += 1;
      if (watch.cancels > 0) this.#count(task, 1);
    }
    this.#table.setWaitingOn(task, waiting);
  }

  #fileId(key: string, task: number): void {
    const filed = this.#byId.get(key);
    if (filed === undefined) this.#byId.set(ownText(key), task);
    else if (typeof filed === 'number') this.#byId.set(key, [filed, task]);
    else filed.push(task);
  }

  #watch(start: number, end: number): RangeWatch {
    const key = `${start}-${end}`;
    const known = this.#ranges.get(key);
    if (known !== undefined) return known;
    if (this.#integers === undefined) this.#countIntegers();
    const watch = {
      start,
      end,
      satisfied: this.#satisfiedWithin(start, end),
      cancels: this.#cancellingWithin(start, end),
      dependents: [],
    };
    this.#ranges.set(key, watch);
    this.#rangeIndex.add(start, end, watch);
    return watch;
  }

  #countIntegers(): void {
    this.#integers = new Map();
    for (const task of this.#table.tasks()) {
      const key = idKey(this.#table.idOf(task));
      if (!this.#tombstones.has(key)) this.#changeInteger(key, 'absent', this.#standingOf(task));
    }
    for (const key of this.#tombstones) this.#changeInteger(key, 'absent', 'satisfied');
  }

  #satisfiedWithin(start: number, end: number): number {
    let count = 0;
    let integer = start;
    while (integer <= end) {
      if (integer % COUNT_BLOCK === 0 && integer + COUNT_BLOCK - 1 <= end) {
        const inner = this.#satisfiedInWholeBlocks(
          integer / COUNT_BLOCK,
          Math.floor((end + 1) / COUNT_BLOCK) - 1,
        );
        count += inner;
        integer = Math.floor((end + 1) / COUNT_BLOCK) * COUNT_BLOCK;
      } else {
        if (this.isIntegerSatisfied(integer)) count += 1;
        integer += 1;
      }
    }
    return count;
  }

  /** A range may span two million blocks while few are in use: the shorter of the two is walked. */
  #satisfiedInWholeBlocks(first: number, last: number): number {
    let count = 0;
    if (last - first < this.#satisfiedInBlock.size) {
      for (let block = first; block <= last; block++) count += this.#satisfiedInBlock.get(block) ?? 0;
    } else {
      for (const [block, satisfied] of this.#satisfiedInBlock)
        if (block >= first && block <= last) count += satisfied;
    }
    return count;
  }

  #cancellingWithin(start: number, end: number): number {
    let count = 0;
    for (const integer of this.#cancellingIntegers) if (integer >= start && integer <= end) count += 1;
    return count;
  }

  // --- Changes ----------------------------------------------------------------------------------------------------

  /** A task was added under this id: a deleted one that had satisfied no longer stands for it. Says whether one did. */
  added(key: string): boolean {
    const buried = this.#tombstones.delete(key);
    this.#change(key, buried ? 'satisfied' : 'absent', 'open');
    return buried;
  }

  /** The task of this id changed from one standing to another. */
  became(key: string, before: Standing, after: Standing): void {
    this.#change(key, before, after);
  }

  /** The task of this id is gone. If it had satisfied its dependents, that stays so until the id is used again. */
  removed(key: string, before: Standing): boolean {
    if (before === 'satisfied') {
      this.#tombstones.add(ownText(key));
      return true;
    }
    this.#change(key, before, 'absent');
    return false;
  }

  /** Loading only. */
  restoreTombstone(key: string): void {
    this.#tombstones.add(ownText(key));
  }

  /** A dependent that is gone no longer counts among the cancelled. */
  forget(task: number): void {
    this.#cancelledBy.delete(task);
  }

  #change(key: string, before: Standing, after: Standing): void {
    if (before === after) return;
    const waiting = delta(before, after, 'satisfied');
    const cancelled = delta(before, after, 'cancels');
    if (waiting !== 0 || cancelled !== 0) {
      const filed = this.#byId.get(key);
      if (filed !== undefined) this.#tell(listOf(filed), -waiting, cancelled);
    }
    if (this.#integers !== undefined) this.#changeInteger(key, before, after);
  }

  #changeInteger(key: string, before: Standing, after: Standing): void {
    const integer = integerOfId(key);
    if (integer === undefined || this.#integers === undefined) return;
    let standing = this.#integers.get(integer);
    if (standing === undefined) {
      standing = { present: 0, satisfied: 0, cancels: 0 };
      this.#integers.set(integer, standing);
    }
    const held = holds(standing);
    const cancelled = standing.cancels > 0;
    standing.present += (after === 'absent' ? 0 : 1) - (before === 'absent' ? 0 : 1);
    standing.satisfied += delta(before, after, 'satisfied');
    standing.cancels += delta(before, after, 'cancels');
    if (standing.present === 0) this.#integers.delete(integer);
    if (held !== holds(standing)) this.#integerHolds(integer, !held);
    if (cancelled !== standing.cancels > 0) this.#integerCancels(integer, !cancelled);
  }

  #integerHolds(integer: number, on: boolean): void {
    const block = Math.floor(integer / COUNT_BLOCK);
    this.#satisfiedInBlock.set(block, (this.#satisfiedInBlock.get(block) ?? 0) + (on ? 1 : -1));
    for (const watch of this.#rangeIndex.holding(integer)) {
      const before = isComplete(watch);
      watch.satisfied += on ? 1 : -1;
      if (before !== isComplete(watch)) this.#tell(watch.dependents, before ? 1 : -1, 0);
    }
  }

  #integerCancels(integer: number, on: boolean): void {
    if (on) this.#cancellingIntegers.add(integer);
    else this.#cancellingIntegers.delete(integer);
    for (const watch of this.#rangeIndex.holding(integer)) {
      const before = watch.cancels > 0;
      watch.cancels += on ? 1 : -1;
      if (before !== watch.cancels > 0) this.#tell(watch.dependents, 0, on ? 1 : -1);
    }
  }

  #tell(dependents: readonly number[], waiting: number, cancelled: number): void {
    for (const task of dependents) {
      if (!this.#table.has(task)) continue;
      if (waiting !== 0) this.#table.setWaitingOn(task, this.#table.waitingOn(task) + waiting);
      if (cancelled !== 0) this.#count(task, cancelled);
      this.#changed(task);
    }
  }

  #count(task: number, change: number): void {
    const count = (this.#cancelledBy.get(task) ?? 0) + change;
    if (count === 0) this.#cancelledBy.delete(task);
    else this.#cancelledBy.set(task, count);
  }
}

function listOf(dependents: number | number[]): readonly number[] {
  return typeof dependents === 'number' ? [dependents] : dependents;
}

function delta(before: Standing, after: Standing, which: Standing): number {
  return (after === which ? 1 : 0) - (before === which ? 1 : 0);
}

function holds(standing: IntegerStanding): boolean {
  return standing.present > 0 && standing.satisfied === standing.present;
}

function isComplete(watch: RangeWatch): boolean {
  return watch.satisfied === watch.end - watch.start + 1;
}
