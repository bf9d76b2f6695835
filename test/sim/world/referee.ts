/**
 * What must hold, by the world's own knowledge: the processes it simulates, the answers its clients got, the replicas
 * it can look into. Names as in the project's list of invariants.
 */
import type { CoreEvent } from '../../../coordinator/core/interface.ts';
import { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import type { Replica } from '../../../coordinator/driver/replica.ts';
import { RUNNER_TICK_MS } from '../../../src/lib/limits.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import type { FileReferee } from './file-referee.ts';
import type { SimMachine } from './sim-machine.ts';
import type { ProcessWatcher, SimProcess } from './sim-runner.ts';
import type { Timeline } from './timeline.ts';

/** From the moment that a lease or a limit is over, or its machine goes on, until a runner has looked and killed. */
const KILL_MS_MAX = 2 * RUNNER_TICK_MS + 500;
/** The world's time for a millisecond of the slowest machine. */
const SLOWEST = 1.05;

export class Violation extends Error {
  override readonly name = 'Violation';
}

/** What the world knows of one task's executions. */
interface Executions {
  /** Greatest epoch that ever started. */
  lastEpoch: number;
  readonly alive: Set<SimProcess>;
  /** By epoch. */
  readonly ends: Map<number, ProcessEnd>;
}

export interface ProcessEnd {
  readonly machine: string;
  /** Undefined where its runner died. */
  readonly exitCode: number | undefined;
  /** In the world's time, with what its machine stood still. */
  readonly livedMs: number;
  /** The machine lost power since: it may not know of this run any more, and do it again. */
  forgotten: boolean;
}

interface RecordedEnd {
  readonly epoch: number;
  readonly exitCode: number | undefined;
}

export class Referee implements ProcessWatcher {
  readonly #timeline: Timeline;
  readonly #tasks = new Map<string, Executions>();
  readonly #slotsUsed = new Map<string, number>();
  readonly #hashes = new Map<string, number>();
  readonly #lastSeen = new WeakMap<Replica, number>();
  /** Applied index at the last look into the books. */
  readonly #audited = new WeakMap<Replica, number>();
  readonly #groupTimes = new WeakMap<PoolMachine, number>();
  readonly #recorded = new Map<string, RecordedEnd>();
  readonly #leaders = new Map<string, string>();
  processesStarted = 0;
  /** The maxWallClockTime that clients gave tasks. */
  readonly limitsMs = new Map<string, number>();
  /** Machines and nodes where nothing may start. */
  readonly closed = new Set<string>();
  /** The labels that tasks ask for, and those that machines have. */
  readonly labelsAsked = new Map<string, readonly string[]>();
  readonly labelsOf = new Map<string, readonly string[]>();
  /** Tasks that nobody can run. */
  readonly hopeless = new Set<string>();
  /** Undefined in worlds without files. */
  readonly files: FileReferee | undefined;
  /** Sees a machine's books of the mesh whenever they have moved on. */
  onMeshMoved: ((mesh: MeshMachine) => void) | undefined;

  constructor(timeline: Timeline, files?: FileReferee) {
    this.#timeline = timeline;
    this.files = files;
  }

  fail(rule: string, what: string): never {
    throw new Violation(`${rule}: ${what}`);
  }

  // --- Processes ----------------------------------------------------------------------------------------------------

  started(process: SimProcess, nodeSlots: number): void {
    this.processesStarted += 1;
    this.#timeline.note(process.machine, () => `runs ${process.name} on ${process.node}`);
    const executions = this.#executionsOf(process);
    for (const other of executions.alive)
      if (!other.excused)
        this.fail(
          'S4',
          `${process.name} starts on ${process.machine} while ${other.name} lives on ${other.machine}`,
        );
    const { epoch } = process.key;
    if (epoch < executions.lastEpoch)
      this.fail('S3', `${process.name} starts after epoch ${executions.lastEpoch} of the same task`);
    const earlier = executions.ends.get(epoch);
    if (earlier?.exitCode !== undefined && !earlier.forgotten)
      this.fail(
        'S5',
        `${process.name} runs a second time, though its first run ended with ${earlier.exitCode}`,
      );
    this.#checkPlace(process);
    this.#checkOrder(process);
    this.#checkGang(process);
    this.files?.launched(process);
    executions.lastEpoch = epoch;
    executions.alive.add(process);
    this.#startedAtMs.set(process, this.#timeline.nowMs);
    if (process.role === 'subtask') this.#subtasks.set(process.node, process);
    const used = (this.#slotsUsed.get(process.node) ?? 0) + process.slots;
    this.#slotsUsed.set(process.node, used);
    if (used > nodeSlots) this.fail('S7', `${process.node} runs ${used} slots and has ${nodeSlots}`);
    for (const dependency of process.after)
      if (!this.exitCodes(dependency).includes(0))
        this.fail('S8', `${process.task} runs before ${dependency} has succeeded`);
  }

  /** In the world's time. */
  readonly #startedAtMs = new WeakMap<SimProcess, number>();

  #livedMs(process: SimProcess): number {
    const { nowMs } = this.#timeline;
    return nowMs - (this.#startedAtMs.get(process) ?? nowMs);
  }

  /** S14: by what clients asked for, not by what the runner was told. */
  #checkLimit(process: SimProcess): void {
    const limitMs = this.limitsMs.get(process.task);
    if (limitMs === undefined || process.stillSinceMs !== undefined) return;
    const awakeMs = this.#livedMs(process) - process.stoodStillMs;
    if (awakeMs > limitMs * SLOWEST + KILL_MS_MAX)
      this.fail('S14', `${process.name} has run ${Math.round(awakeMs)} ms, and its limit is ${limitMs} ms`);
  }

  /** Pools whose nodes have run a start task before anything else. */
  readonly startingPools = new Set<string>();
  readonly #released = new Set<string>();

  /** S13: nothing begins where it may not. */
  #checkPlace({ name, task, machine, node }: SimProcess): void {
    for (const place of [machine, node])
      if (this.closed.has(place))
        this.fail('S13', `${name} starts on ${node} of ${machine}: ${place} is closed`);
    const labels = this.labelsOf.get(machine) ?? [];
    const missing = this.labelsAsked.get(task)?.find((label) => !labels.includes(label));
    if (missing !== undefined) this.fail('S13', `${name} starts on ${machine}, which lacks ${missing}`);
    if (this.hopeless.has(task)) this.fail('S9', `${name} starts on ${machine}, though nobody can run it`);
  }

  /** S12: start task before tasks, preparation before the job's tasks on a node, release after all of them. */
  #checkOrder({ name, role, node, key, task, prepared }: SimProcess): void {
    const job = task.slice(0, task.indexOf('/'));
    if (role === 'release') {
      for (const other of this.processesAlive())
        if (!other.excused && other.role === '' && other.task.startsWith(`${job}/`))
          this.fail('S12', `${name} releases ${job} while ${other.name} lives on ${other.machine}`);
      this.#released.add(job);
    }
    if (role !== '') return;
    if (this.#released.has(job)) this.fail('S12', `${name} starts after the release of ${job}`);
    if (prepared && !this.#hasSucceeded(`${job}/preparation@${node}`))
      this.fail('S12', `${name} starts on ${node}, which is not prepared for ${job}`);
    if (this.startingPools.has(key.pool) && !this.#hasSucceeded(`$nodes/start@${node}`))
      this.fail('S12', `${name} starts on ${node} before its start task has succeeded`);
  }

  /** `run@node` of all instances that were ever ready. */
  readonly #ready = new Set<string>();
  /** By node. */
  readonly #subtasks = new Map<string, SimProcess>();

  coordinated({ name, machine, node, gang }: SimProcess): void {
    this.#timeline.note(machine, () => `is ready for the other instances with ${name}`);
    this.#ready.add(`${gang?.run}@${node}`);
  }

  /** S11: a task of several instances runs once all of them are ready, and nothing else runs on their nodes. */
  #checkGang({ name, role, node, gang }: SimProcess): void {
    if (role === 'subtask') {
      for (const other of this.processesAlive())
        if (other.node === node && other.role === '' && !other.excused && other.gang?.run !== gang?.run)
          this.fail('S11', `${name} begins on ${node}, where ${other.name} lives`);
    }
    if (role !== '') return;
    for (const other of gang?.nodes ?? [])
      if (!this.#ready.has(`${gang?.run}@${other}`))
        this.fail('S11', `${name} starts before its instance on ${other} is ready`);
    const subtask = this.#subtasks.get(node);
    if (subtask !== undefined && !subtask.excused && subtask.gang?.run !== gang?.run)
      this.fail('S11', `${name} starts on ${node}, which ${subtask.name} has for itself`);
  }

  /** Since the machine last lost its power. */
  #hasSucceeded(task: string): boolean {
    const ends = [...(this.#tasks.get(task)?.ends.values() ?? [])];
    return ends.some(({ exitCode, forgotten }) => exitCode === 0 && !forgotten);
  }

  ended(process: SimProcess, exitCode: number | undefined): void {
    this.#timeline.note(process.machine, () => `ended ${process.name}: ${exitCode ?? 'its runner died'}`);
    const executions = this.#executionsOf(process);
    executions.alive.delete(process);
    if (this.#subtasks.get(process.node) === process) this.#subtasks.delete(process.node);
    this.#checkLimit(process);
    const livedMs = this.#livedMs(process);
    executions.ends.set(process.key.epoch, { machine: process.machine, exitCode, livedMs, forgotten: false });
    this.#slotsUsed.set(process.node, (this.#slotsUsed.get(process.node) ?? 0) - process.slots);
  }

  powerLost(machine: string): void {
    for (const { ends } of this.#tasks.values())
      for (const end of ends.values()) if (end.machine === machine) end.forgotten = true;
  }

  #executionsOf({ task: name }: SimProcess): Executions {
    let executions = this.#tasks.get(name);
    if (executions === undefined) {
      executions = { lastEpoch: 0, alive: new Set(), ends: new Map() };
      this.#tasks.set(name, executions);
    }
    return executions;
  }

  // --- What coordinators say ------------------------------------------------------------------------------------------

  /** S5: an outcome is recorded once. The same entry may be applied again by a machine that crashed before it was on disk. */
  onEvent(machine: SimMachine, group: GroupId, event: CoreEvent): void {
    this.#timeline.note(machine.name, () => `${event.kind} ${JSON.stringify(event.data)}`);
    if (event.kind === 'leader.elected') this.#oneLeader(machine, group, event);
    if (event.kind !== 'task.completed' && event.kind !== 'task.failed') return;
    const { job, task, epoch, exitCode } = event.data;
    const name = `${String(job)}/${String(task)}`;
    const end = { epoch: Number(epoch), exitCode: exitCode === undefined ? undefined : Number(exitCode) };
    const before = this.#recorded.get(name);
    if (before !== undefined && (before.epoch !== end.epoch || before.exitCode !== end.exitCode))
      this.fail(
        'S5',
        `${name} ended twice: epoch ${before.epoch} with ${before.exitCode}, epoch ${end.epoch} with ${end.exitCode}`,
      );
    this.#recorded.set(name, end);
  }

  /** R1. */
  #oneLeader(machine: SimMachine, group: GroupId, event: CoreEvent): void {
    const lead = `${group} in term ${event.data.term}`;
    const other = this.#leaders.get(lead);
    if (other !== undefined && other !== machine.name)
      this.fail('R1', `${machine.name} and ${other} both lead ${lead}`);
    this.#leaders.set(lead, machine.name);
  }

  /** How often a leader of the group was elected. */
  elections(group: GroupId): number {
    return [...this.#leaders.keys()].filter((lead) => lead.startsWith(`${group} `)).length;
  }

  // --- Replicas -------------------------------------------------------------------------------------------------------

  /** R9: replicas that applied the same entries are in the same state. */
  inspect(machine: SimMachine): void {
    for (const replica of machine.life?.coordinator?.host.replicas.values() ?? []) {
      const { appliedIndex } = replica;
      if (this.#lastSeen.get(replica) === appliedIndex) continue;
      this.#lastSeen.set(replica, appliedIndex);
      const { stateHash, group, generation } = replica;
      const name = `${group}#${generation}@${appliedIndex}`;
      const known = this.#hashes.get(name);
      if (known !== undefined && known !== stateHash)
        this.fail('R9', `${machine.name} has another state of ${name} than a replica before it`);
      this.#hashes.set(name, stateHash);
      if (replica.machine instanceof PoolMachine) this.#timeGoesOn(machine, group, replica.machine);
      if (replica.machine instanceof MeshMachine) this.onMeshMoved?.(replica.machine);
    }
  }

  /** R6: what is dated by a group's time keeps its order, whoever leads and however wrong its clock is. */
  #timeGoesOn(machine: SimMachine, group: GroupId, pool: PoolMachine): void {
    const timeMs = pool.timeMs();
    if (timeMs < (this.#groupTimes.get(pool) ?? 0))
      this.fail('R6', `the time of ${group} went back on ${machine.name}`);
    this.#groupTimes.set(pool, timeMs);
  }

  /** The books of a pool's group agree with themselves (S16, S21, S22 and others), and its disk with those of the mesh. */
  audit(machine: SimMachine, nowMs: number): void {
    this.files?.audit(machine);
    this.#auditProcesses(machine, nowMs);
    for (const replica of machine.life?.coordinator?.host.replicas.values() ?? []) {
      if (!(replica.machine instanceof PoolMachine)) continue;
      // What did not move is as sound as it was.
      if (this.#audited.get(replica) === replica.appliedIndex) continue;
      this.#audited.set(replica, replica.appliedIndex);
      try {
        replica.machine.sanityCheck();
      } catch (error) {
        this.fail('books', `${machine.name} at ${replica.appliedIndex}: ${String(error)}`);
      }
    }
  }

  /** S14, and L5: what slept through its lease is dead soon after; the rest is bound by all rules again. */
  #auditProcesses({ name, runner }: SimMachine, nowMs: number): void {
    for (const process of runner?.processes ?? []) {
      this.#checkLimit(process);
      const { excused, wokeAtMs, task, key } = process;
      if (!excused || wokeAtMs === undefined || nowMs - wokeAtMs < KILL_MS_MAX) continue;
      const recorded = this.#recorded.get(task)?.epoch;
      const isOver = recorded !== undefined || this.#executionsOf(process).lastEpoch > key.epoch;
      if (isOver)
        this.fail('L5', `${process.name} still lives on ${name}, which has slept, and its task has gone on`);
      process.excused = false;
    }
  }

  // --- The end ----------------------------------------------------------------------------------------------------------

  /** Of the task's processes that are over, whatever ended them. */
  exitCodes(task: string): readonly (number | undefined)[] {
    return [...(this.#tasks.get(task)?.ends.values() ?? [])].map(({ exitCode }) => exitCode);
  }

  endOf(task: string, epoch: number): ProcessEnd | undefined {
    return this.#tasks.get(task)?.ends.get(epoch);
  }

  /** Of its processes that are over. */
  epochsOf(task: string): readonly number[] {
    return [...(this.#tasks.get(task)?.ends.keys() ?? [])];
  }

  processesAlive(): readonly SimProcess[] {
    return [...this.#tasks.values()].flatMap(({ alive }) => [...alive]);
  }
}
