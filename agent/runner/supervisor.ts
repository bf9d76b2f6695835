import { fstatSync } from 'node:fs';
import {
  RUNNER_MEMORY_POLL_MS,
  RUNNER_RESWEEP_MS,
  RUNNER_SWEEP_MS,
  RUNNER_TICK_MS,
  RUNNER_UNKILLABLE_MS,
} from '../../src/lib/limits.ts';
import type { CgroupBoxes } from './cgroups.ts';
import type { Containers } from './containers.ts';
import type { Execution, Verdict } from './execution.ts';
import type { NodeSetup } from './interface.ts';
import { machineMonotonicMs } from './machine-clocks.ts';
import { findOverweight } from './memory-bound.ts';
import type { ProcessEntry, ProcessTable } from './process-table.ts';
import { signalGroup, signalProcess } from './processes.ts';
import { hasRunTooLong } from './wall-clock.ts';

export interface SupervisorComponents {
  readonly running: ReadonlyMap<string, Execution>;
  readonly setups: ReadonlyMap<string, NodeSetup>;
  readonly table: ProcessTable;
  readonly boxes: CgroupBoxes | undefined;
  readonly hasNamespace: boolean;
  readonly pageBytes: number;
  readonly containers: Containers;
  /** The last resort inside a namespace: ends the runner, and with it every process. Never returns. */
  readonly collapse: (message: string) => void;
  /** Called on every tick while something runs. */
  readonly onTick: () => void;
}

/**
 * Keeps running executions within their bounds, and sees to it that nothing outlives them. One timer for all:
 * a timer per task costs more than a task that does nothing. Kills go three ways at once, each for what the
 * others miss: to the process group, to the cgroup, and to whatever the process table says belongs to the
 * execution.
 */
export class Supervisor {
  readonly #components: SupervisorComponents;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #sweepAtMs = Number.POSITIVE_INFINITY;
  #memoryAtMs = 0;
  /**
   * Executions killed because their lease ended, as long as a process of theirs is still seen, and since
   * when.
   */
  readonly #expired = new Map<string, number>();

  constructor(components: SupervisorComponents) {
    this.#components = components;
  }

  /** To be called when an execution has started. */
  watch(): void {
    this.#wakeWithin(RUNNER_TICK_MS);
  }

  /** SIGTERM now, SIGKILL to the whole tree after the grace. A later, shorter grace shortens it. */
  terminate(execution: Execution, verdict: Verdict, graceMs: number): void {
    if (!(graceMs > 0)) {
      this.condemn([execution], verdict);
      return;
    }
    execution.verdict ??= verdict;
    const killAtMs = machineMonotonicMs() + graceMs;
    if (execution.killAtMs !== undefined) {
      execution.killAtMs = Math.min(execution.killAtMs, killAtMs);
    } else {
      execution.killAtMs = killAtMs;
      signalGroup(execution.pid, 'SIGTERM');
      // A stopped process does not see SIGTERM before it goes on.
      signalGroup(execution.pid, 'SIGCONT');
    }
    this.#wakeWithin(Math.min(graceMs, RUNNER_TICK_MS));
  }

  /**
   * Kills the whole trees of these executions at once. Their exits follow when the kernel has reaped them.
   */
  condemn(executions: readonly Execution[], verdict: Verdict): void {
    if (executions.length === 0) return;
    const nowMs = machineMonotonicMs();
    for (const execution of executions) {
      execution.verdict ??= verdict;
      execution.isCondemned = true;
      if (verdict.reason === 'leaseExpired') this.#expired.set(execution.name, nowMs);
      signalGroup(execution.pid, 'SIGKILL');
      signalProcess(execution.pid, 'SIGKILL');
      execution.box?.killAll();
    }
    this.#sweep(this.#scan());
  }

  /**
   * The first process of `execution` has ended: what is left of its group ends now, what hid from it soon.
   */
  ended(execution: Execution): void {
    signalGroup(execution.pid, 'SIGKILL');
    if (execution.box !== undefined) this.#components.boxes?.giveBack(execution.box);
    const sweepWithinMs = execution.verdict === undefined ? RUNNER_SWEEP_MS : RUNNER_RESWEEP_MS;
    this.#sweepAtMs = Math.min(this.#sweepAtMs, machineMonotonicMs() + sweepWithinMs);
    this.#wakeWithin(sweepWithinMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wakeWithin(delayMs: number): void {
    const atMs = machineMonotonicMs() + delayMs;
    if (atMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#tick(), delayMs);
  }

  #tick(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#components.onTick();
    const nowMs = machineMonotonicMs();
    for (const execution of this.#components.running.values()) this.#enforce(execution, nowMs);
    if (this.#needsScan(nowMs)) {
      const entries = this.#scan();
      this.#boxUp(entries, nowMs);
      if (nowMs >= this.#memoryAtMs) this.#enforceMemory(entries, nowMs);
      this.#sweep(entries);
    }
    if (this.#components.running.size > 0) this.#wakeWithin(RUNNER_TICK_MS);
    if (this.#sweepAtMs < Number.POSITIVE_INFINITY) {
      this.#wakeWithin(Math.max(1, this.#sweepAtMs - machineMonotonicMs()));
    }
  }

  #enforce(execution: Execution, nowMs: number): void {
    if (execution.isCondemned) return;
    const { wallClockMsMax, outputBytesMax } = execution.launch;
    if (execution.killAtMs !== undefined && nowMs >= execution.killAtMs) {
      this.condemn([execution], { reason: 'killed', message: undefined });
    } else if (hasRunTooLong(execution.launch, nowMs - execution.startedMonotonicMs)) {
      const message = `The task ran longer than its maximum wall-clock time of ${wallClockMsMax} ms.`;
      this.condemn([execution], { reason: 'wallClock', message });
    } else {
      const name = exceededOutput(execution, outputBytesMax);
      if (name === undefined) return;
      const message = `The task wrote more than ${outputBytesMax} bytes to ${name}.`;
      this.condemn([execution], { reason: 'outputTooLarge', message });
    }
  }

  #needsScan(nowMs: number): boolean {
    if (nowMs >= this.#sweepAtMs) return true;
    for (const execution of this.#components.running.values()) {
      if (this.#isToBeBoxed(execution, nowMs)) return true;
      if (nowMs >= this.#memoryAtMs && this.#memoryBytesMaxOf(execution) !== undefined) return true;
    }
    return false;
  }

  #scan(): ProcessEntry[] {
    const roots = new Map<number, string>();
    const { running, containers } = this.#components;
    for (const execution of running.values()) {
      roots.set(execution.pid, execution.name);
      if (execution.container === undefined) continue;
      execution.monitor ??= containers.monitorOf(execution.container);
      if (execution.monitor !== undefined) roots.set(execution.monitor, execution.name);
    }
    for (const pid of containers.helpers) roots.set(pid, HELPER);
    return [...this.#components.table.scan(roots)].filter(isAlive);
  }

  #isToBeBoxed(execution: Execution, nowMs: number): boolean {
    if (this.#components.boxes === undefined || execution.box !== undefined) return false;
    // Its engine has given the container a group of its own.
    if (execution.container !== undefined) return false;
    return nowMs - execution.startedMonotonicMs >= RUNNER_TICK_MS / 2;
  }

  #boxUp(entries: readonly ProcessEntry[], nowMs: number): void {
    const { boxes, running } = this.#components;
    if (boxes === undefined) return;
    const boxed = new Set<string>();
    for (const execution of running.values()) {
      if (!this.#isToBeBoxed(execution, nowMs)) continue;
      execution.box = boxes.take();
      boxed.add(execution.name);
    }
    for (const entry of entries) {
      if (entry.owner !== undefined && boxed.has(entry.owner)) running.get(entry.owner)?.box?.add(entry.pid);
    }
  }

  #memoryBytesMaxOf(execution: Execution): number | undefined {
    return this.#components.setups.get(execution.launch.node)?.memoryBytesMax;
  }

  #enforceMemory(entries: readonly ProcessEntry[], nowMs: number): void {
    const { running, setups, pageBytes } = this.#components;
    const bytesOf = new Map<string, number>();
    for (const { owner, residentPages } of entries) {
      if (owner !== undefined) bytesOf.set(owner, (bytesOf.get(owner) ?? 0) + residentPages * pageBytes);
    }
    const uses = [...running.values()]
      .filter((execution) => !execution.isCondemned)
      .map(({ name, launch: { node } }) => ({ name, node, bytes: bytesOf.get(name) ?? 0 }));
    const { overweight, isNear } = findOverweight(uses, (node) => setups.get(node)?.memoryBytesMax);
    for (const { name, message } of overweight) {
      const execution = running.get(name);
      if (execution !== undefined) this.condemn([execution], { reason: 'memoryExceeded', message });
    }
    this.#memoryAtMs = nowMs + (isNear ? RUNNER_MEMORY_POLL_MS / 4 : RUNNER_MEMORY_POLL_MS);
  }

  /** Kills every process whose execution is over, and looks again soon if there was one. */
  #sweep(entries: readonly ProcessEntry[]): void {
    const signalled = new Set<number>();
    let victims = this.#victims(entries);
    // A process that forks while it is being killed leaves a child that only another look can see.
    for (let round = 0; round < SWEEP_ROUNDS_MAX; round += 1) {
      const fresh = victims.filter((entry) => !signalled.has(entry.pid));
      if (fresh.length === 0) break;
      for (const { pid } of fresh) {
        signalled.add(pid);
        signalProcess(pid, 'SIGKILL');
      }
      victims = this.#victims(this.#scan());
    }
    this.#sweepAtMs = Number.POSITIVE_INFINITY;
    if (victims.length > 0) {
      this.#sweepAtMs = machineMonotonicMs() + RUNNER_RESWEEP_MS;
      this.#wakeWithin(RUNNER_RESWEEP_MS);
    }
    this.#judgeExpired(victims);
  }

  #victims(entries: readonly ProcessEntry[]): ProcessEntry[] {
    const { running, hasNamespace } = this.#components;
    let eldestTicks = Number.POSITIVE_INFINITY;
    for (const { pid, owner, startTicks } of entries) {
      const execution = owner === undefined ? undefined : running.get(owner);
      const isLiveRoot = execution?.pid === pid && !execution.isCondemned;
      if (isLiveRoot && startTicks < eldestTicks) eldestTicks = startTicks;
    }
    return entries.filter(({ pid, owner, startTicks }) => {
      if (pid === 1 || pid === process.pid || owner === HELPER) return false;
      if (owner === undefined) return hasNamespace && this.#isForsaken(startTicks, eldestTicks);
      const execution = running.get(owner);
      return execution === undefined || execution.isCondemned;
    });
  }

  /**
   * Judges a process of the namespace that cleared its environment and left its parents before anybody
   * looked. It is of some execution of ours: of one that is over, if it is older than all that run; and while
   * an ended lease is being enforced, nobody gets the benefit of the doubt.
   */
  #isForsaken(startTicks: number, eldestTicks: number): boolean {
    return startTicks < eldestTicks || this.#expired.size > 0;
  }

  /** The promise that nothing survives its lease outweighs the other tasks of this runner. */
  #judgeExpired(victims: readonly ProcessEntry[]): void {
    if (this.#expired.size === 0) return;
    // One in uninterruptible sleep (D) runs no code of its own again once SIGKILL is pending, and no collapse
    // wakes it.
    const alive = new Set(victims.filter((entry) => entry.state !== 'D').map((entry) => entry.owner));
    const nowMs = machineMonotonicMs();
    for (const [name, sinceMs] of this.#expired) {
      // One that hides its origin may be of any of them.
      if (!alive.has(name) && !alive.has(undefined)) this.#expired.delete(name);
      else if (nowMs - sinceMs > RUNNER_UNKILLABLE_MS && this.#components.hasNamespace) {
        this.#components.collapse(`${name} outlived its lease by ${Math.round(nowMs - sinceMs)} ms`);
      }
    }
  }
}

const SWEEP_ROUNDS_MAX = 20;
/** Owner of the processes with which the runner ends containers. No execution has this name. */
const HELPER = '\u0000helper';

/** Zombies and the dead run nothing any more. */
function isAlive(entry: ProcessEntry): boolean {
  return entry.state !== 'Z' && entry.state !== 'X';
}

function exceededOutput(execution: Execution, bytesMax: number): string | undefined {
  if (fstatSync(execution.stdoutFd).size > bytesMax) return 'stdout.txt';
  if (fstatSync(execution.stderrFd).size > bytesMax) return 'stderr.txt';
  return undefined;
}
