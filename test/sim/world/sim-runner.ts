/**
 * A task runner without processes: the real queue, the real leases, and simulated children that take their time, exit
 * with a code, and may ignore SIGTERM. It is a process of its own, so it outlives its agent and keeps the leases alone.
 */
import { crc32 } from 'node:zlib';
import { executionName } from '../../../agent/runner/execution-key.ts';
import type {
  ExecutionKey,
  Exit,
  ExitReason,
  Launch,
  NodeSetup,
  RunnerState,
  Running,
} from '../../../agent/runner/interface.ts';
import { LeaseTable } from '../../../agent/runner/lease.ts';
import { LaunchQueue, type Waiting } from '../../../agent/runner/queue.ts';
import { hasRunTooLong } from '../../../agent/runner/wall-clock.ts';
import type { Timer } from '../../../src/lib/clock.ts';
import { RUNNER_TICK_MS } from '../../../src/lib/limits.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { ResourceFile } from '../../../src/model/task.ts';
import type { MachineClock } from './machine-clock.ts';
import type { Inputs } from './sim-lifecycle.ts';
import { scriptOf } from './task-script.ts';

/** From SIGKILL to the last process gone; a busy disk makes it long. */
const KILL_MS = { usual: 20, worst: 350 } as const;
const SIGTERM_MS_MAX = 50;

export interface SimProcess {
  readonly name: string;
  readonly key: ExecutionKey;
  readonly machine: string;
  readonly node: string;
  readonly slots: number;
  /** The task's ids: `job/task`. */
  readonly task: string;
  /** The tasks that must have succeeded before. */
  readonly after: readonly string[];
  /** What it is for, where it is the node's own. */
  readonly role: string;
  /** Its job prepares nodes. */
  readonly prepared: boolean;
  /** Where the instances of its task are. */
  readonly gang: Gang | undefined;
  /** Its resource files, and what it finds of them in its directory. */
  readonly wanted: readonly ResourceFile[];
  readonly inputs: Inputs;
  /** Its machine stands still, or has just gone on: what it does is outside of all bounds until its runner had time to kill it. */
  excused: boolean;
  /** When its machine went on, in the world's time; undefined while it stands still, or never did. */
  wokeAtMs: number | undefined;
  /** Since when its machine stands still, in the world's time; undefined while it does not. */
  stillSinceMs: number | undefined;
  /** How long its machine stood still before that, all in all. */
  stoodStillMs: number;
}

/** One run of a task of several instances. */
export interface Gang {
  readonly run: number;
  readonly nodes: readonly string[];
}

export interface ProcessWatcher {
  started(process: SimProcess, nodeSlots: number): void;
  /** Its coordination command has succeeded; what it left lives on. */
  coordinated?(process: SimProcess): void;
  ended(process: SimProcess, exitCode: number | undefined): void;
  powerLost(machine: string): void;
}

export interface SimRunnerOptions {
  readonly machine: string;
  readonly clock: MachineClock;
  readonly random: Prng;
  readonly watcher: ProcessWatcher;
  /** Exits nobody acknowledged, as the journal on disk holds them. */
  readonly journal: Map<string, Exit>;
  /** What was brought for executions, by their names. */
  readonly inputs?: ReadonlyMap<string, Inputs>;
  /** Told here, by the names of executions. */
  readonly coordinated?: Set<string>;
}

export interface RunnerEvents {
  onStarted(running: Running): void;
  onExit(exit: Exit): void;
}

export type RunnerMessage =
  | { readonly kind: 'configure'; readonly setup: NodeSetup }
  | { readonly kind: 'removeNode'; readonly node: string }
  | { readonly kind: 'launch'; readonly launches: readonly Launch[] }
  | { readonly kind: 'kill'; readonly key: ExecutionKey; readonly graceMs: number }
  | {
      readonly kind: 'lease';
      readonly lease: string;
      readonly fromMs: number;
      readonly deadlineMs: number;
    }
  | { readonly kind: 'acknowledge'; readonly keys: readonly ExecutionKey[] };

interface Accepted extends Waiting {
  readonly launch: Launch;
}

interface Child {
  readonly process: SimProcess;
  readonly accepted: Accepted;
  readonly startedAtMs: number;
  readonly startedMonotonicMs: number;
  readonly ends: Timer;
  readonly leavesChild: boolean;
  reason: ExitReason;
  dying: boolean;
}

export class SimRunner {
  readonly #options: SimRunnerOptions;
  readonly #setups = new Map<string, NodeSetup>();
  readonly #queue = new LaunchQueue<Accepted>();
  readonly #leases = new LeaseTable();
  readonly #children = new Map<string, Child>();
  #leaseTimer: Timer | undefined;
  #tickTimer: Timer | undefined;
  #isDead = false;
  /** The agent that is attached now. */
  events: RunnerEvents | undefined;

  constructor(options: SimRunnerOptions) {
    this.#options = options;
  }

  get processes(): readonly SimProcess[] {
    return [...this.#children.values()].map(({ process }) => process);
  }

  get unacknowledged(): number {
    return this.#options.journal.size;
  }

  state(): RunnerState {
    return {
      waiting: [...this.#queue.items()].map(({ launch }) => launch.key),
      running: [...this.#children.values()].map(runningOf),
      exits: [...this.#options.journal.values()],
    };
  }

  /** Its death takes its children with it, as a PID namespace does. */
  die(): void {
    this.#isDead = true;
    for (const { process } of this.#children.values()) this.#options.watcher.ended(process, undefined);
    this.#children.clear();
  }

  handle(message: RunnerMessage): void {
    if (this.#isDead) return;
    switch (message.kind) {
      case 'configure':
        this.#setups.set(message.setup.node, message.setup);
        this.#queue.setSlots(message.setup.node, message.setup.slots);
        break;
      case 'removeNode':
        this.#removeNode(message.node);
        break;
      case 'launch':
        for (const launch of message.launches) this.#accept(launch);
        break;
      case 'kill':
        this.#kill(message.key, message.graceMs);
        break;
      case 'lease':
        this.#renew(message.lease, message.fromMs, message.deadlineMs);
        break;
      case 'acknowledge':
        for (const key of message.keys) this.#options.journal.delete(executionName(key));
        break;
    }
    this.#startSome();
  }

  #accept(launch: Launch): void {
    const name = executionName(launch.key);
    if (this.#children.has(name) || this.#queue.has(name)) return;
    const exit = this.#options.journal.get(name);
    if (exit !== undefined) {
      this.events?.onExit(exit);
      return;
    }
    if (!this.#setups.has(launch.node)) {
      this.#end(launch, 'launchFailed', undefined, undefined);
      return;
    }
    const { node, lease, slots, priority } = launch;
    this.#queue.push({ name, node, lease, slots, priority, launch });
  }

  #removeNode(node: string): void {
    for (const { launch } of this.#queue.removeNode(node)) this.#end(launch, 'killed', undefined, undefined);
    for (const child of this.#children.values())
      if (child.process.node === node) this.#condemn(child, 'killed');
    this.#setups.delete(node);
  }

  #kill(key: ExecutionKey, graceMs: number): void {
    const name = executionName(key);
    const waiting = this.#queue.remove(name);
    if (waiting !== undefined) this.#end(waiting.launch, 'killed', undefined, undefined);
    const child = this.#children.get(name);
    if (child === undefined) return;
    if (graceMs === 0) this.#condemn(child, 'killed');
    else this.#terminate(child, graceMs);
  }

  #terminate(child: Child, graceMs: number): void {
    if (child.dying) return;
    child.reason = 'killed';
    const { clock, random } = this.#options;
    const launch = child.accepted.launch;
    if (scriptOf(launch.argv.join(' ')).stubborn) clock.after(graceMs, () => this.#condemn(child, 'killed'));
    else clock.after(random.next() * SIGTERM_MS_MAX, () => this.#exit(child, 143));
  }

  /** SIGKILL. */
  #condemn(child: Child, reason: ExitReason): void {
    if (child.dying) return;
    child.dying = true;
    if (child.reason === 'exited') child.reason = reason;
    child.ends.cancel();
    const { clock, random } = this.#options;
    const delayMs = random.chance(0.1) ? KILL_MS.worst : KILL_MS.usual;
    clock.after(random.next() * delayMs, () => this.#exit(child, 137));
  }

  #renew(lease: string, fromMs: number, deadlineMs: number): void {
    if (!this.#leases.renew(lease, fromMs, deadlineMs)) this.#endLeases([lease]);
    this.expireLeases();
  }

  /** Its timer waits on the monotonic clock: after a suspend a look at the clock finds what it is late for. */
  expireLeases(): void {
    const { clock } = this.#options;
    this.#endLeases(this.#leases.takeExpired(clock.bootMs()));
    const nextMs = this.#leases.nextDeadlineMs();
    this.#leaseTimer?.cancel();
    if (nextMs !== undefined)
      this.#leaseTimer = clock.after(nextMs - clock.bootMs(), () => this.expireLeases());
  }

  #endLeases(leases: readonly string[]): void {
    for (const lease of leases) {
      for (const child of this.#children.values())
        if (child.accepted.lease === lease) this.#condemn(child, 'leaseExpired');
      for (const { launch } of this.#queue.removeWhere((item) => item.lease === lease))
        this.#end(launch, 'leaseExpired', undefined, undefined);
    }
  }

  #startSome(): void {
    for (;;) {
      const nowMs = this.#options.clock.bootMs();
      const next = this.#queue.take((lease) => this.#leases.isLive(lease, nowMs));
      if (next === undefined) return;
      this.#start(next);
    }
  }

  #start(accepted: Accepted): void {
    const { clock, machine, watcher } = this.#options;
    const { launch, name } = accepted;
    const {
      JOB: job = '',
      TASK: task = '',
      AFTER: after = '',
      ROLE: role = '',
      GANG: gang = '',
    } = launch.environment;
    const process: SimProcess = {
      name,
      key: launch.key,
      machine,
      node: launch.node,
      slots: launch.slots,
      task: `${job}/${task}`,
      after: after.split(' ').flatMap((id) => (id === '' ? [] : [`${job}/${id}`])),
      role,
      prepared: launch.environment.PREPARED === 'yes',
      gang: gang === '' ? undefined : (JSON.parse(gang) as Gang),
      wanted: JSON.parse(launch.environment.INPUTS ?? '[]') as ResourceFile[],
      // As it is now: what comes later comes too late.
      inputs: new Map(this.#options.inputs?.get(name)),
      excused: false,
      wokeAtMs: undefined,
      stillSinceMs: undefined,
      stoodStillMs: 0,
    };
    const script = scriptOf(launch.argv.join(' '));
    const code = crc32(name) % 100 < script.failPercent ? 1 : 0;
    const child: Child = {
      process,
      accepted,
      startedAtMs: clock.wallMs(),
      startedMonotonicMs: clock.monotonicMs(),
      ends: clock.after(script.durationMs, () => {
        if (role === 'subtask' && code === 0) this.#coordinated(child);
        else this.#exit(child, code);
      }),
      leavesChild: script.forks,
      reason: 'exited',
      dying: false,
    };
    this.#children.set(name, child);
    watcher.started(process, this.#setups.get(launch.node)?.slots ?? 0);
    this.events?.onStarted(runningOf(child));
    if (launch.wallClockMsMax !== undefined) this.#watch();
  }

  /** One timer for all, as the supervisor has it; none where nothing has a limit. */
  #watch(): void {
    this.#tickTimer ??= this.#options.clock.after(RUNNER_TICK_MS, () => {
      this.#tickTimer = undefined;
      const nowMs = this.#options.clock.monotonicMs();
      for (const child of this.#children.values()) {
        const { launch } = child.accepted;
        if (hasRunTooLong(launch, nowMs - child.startedMonotonicMs)) this.#condemn(child, 'wallClock');
        if (launch.wallClockMsMax !== undefined) this.#watch();
      }
    });
  }

  /** It stays, for what it left behind, until somebody ends it. */
  #coordinated({ process }: Child): void {
    this.#options.coordinated?.add(process.name);
    this.#options.watcher.coordinated?.(process);
  }

  /** The task's own process is over. What it left behind is killed with its namespace before anybody hears of an end. */
  #exit(child: Child, exitCode: number): void {
    const { clock, random } = this.#options;
    child.dying = true;
    if (!child.leavesChild) this.#gone(child, exitCode);
    else clock.after(random.next() * KILL_MS.usual, () => this.#gone(child, exitCode));
  }

  #gone(child: Child, exitCode: number): void {
    if (!this.#children.delete(child.process.name)) return;
    child.ends.cancel();
    this.#options.watcher.ended(child.process, exitCode);
    this.#queue.release(child.accepted);
    this.#end(child.accepted.launch, child.reason, exitCode, child.startedAtMs);
    this.#startSome();
  }

  #end(
    launch: Launch,
    reason: ExitReason,
    exitCode: number | undefined,
    startedAtMs: number | undefined,
  ): void {
    const exit: Exit = {
      key: launch.key,
      node: launch.node,
      reason,
      exitCode,
      startedAtMs,
      endedAtMs: this.#options.clock.wallMs(),
      message: undefined,
      stdoutBytes: 0,
      stderrBytes: 0,
      stdoutInline: undefined,
      stderrInline: undefined,
    };
    this.#options.journal.set(executionName(launch.key), exit);
    this.events?.onExit(exit);
  }
}

function runningOf({ process, startedAtMs }: Child): Running {
  return { key: process.key, node: process.node, pid: 1, startedAtMs };
}
