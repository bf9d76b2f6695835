import type { ChildProcess } from 'node:child_process';
import { assertNever } from '../../src/lib/assert.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { RUNNER_EXITS_MAX, RUNNER_STARTS_PER_TURN_MAX, RUNNER_WAITING_MAX } from '../../src/lib/limits.ts';
import type { CgroupBoxes } from './cgroups.ts';
import type { Container, Containers } from './containers.ts';
import { concludeExecution, type Execution, neverStarted, type Verdict } from './execution.ts';
import { executionName } from './execution-key.ts';
import type { ExecutionKey, Exit, Launch, NodeSetup, RunnerState, Running } from './interface.ts';
import {
  explainFailure,
  failed,
  findFault,
  type LaunchFailure,
  resolveProgram,
  taskEnvironment,
} from './launch-plan.ts';
import { LeaseTable } from './lease.ts';
import { machineMonotonicMs } from './machine-clocks.ts';
import { ProcessTable } from './process-table.ts';
import { exitCodeOf, startProcess } from './processes.ts';
import type { ToRunner } from './protocol.ts';
import { LaunchQueue, type Waiting } from './queue.ts';
import type { ReportOutbox } from './report-outbox.ts';
import { Supervisor } from './supervisor.ts';
import { closeQuietly, prepareTaskFiles, type TaskFiles } from './task-files.ts';

export interface RunnerComponents {
  readonly outbox: ReportOutbox;
  readonly boxes: CgroupBoxes | undefined;
  readonly containers: Containers;
  /** CLOCK_BOOTTIME in milliseconds: what leases count by. */
  readonly bootMs: () => number;
  readonly log: (message: string) => void;
  /** Ends this process at once. */
  readonly exit: (code: number) => void;
}

export interface RunnerInit {
  /** The identity that marks this runner's processes. */
  readonly identity: string;
  readonly hasNamespace: boolean;
  readonly pageBytes: number;
}

/** A launch that passed its checks. */
interface Accepted extends Waiting {
  readonly launch: Launch;
}

type Command = Exclude<ToRunner, { type: 'hello' } | { type: 'ping' } | { type: 'shutdown' }>;

/**
 * Starts executions as slots and leases allow, and reports their ends. Everything happens in turns of the
 * loop: a turn first hands out what there is to report, for the agent can work on that while this process
 * blocks in its next forks.
 */
export class Runner {
  readonly #components: RunnerComponents;
  readonly #init: RunnerInit;
  readonly #setups = new Map<string, NodeSetup>();
  readonly #running = new Map<string, Execution>();
  /** Their process has ended; that their container is gone, too, is not known yet. */
  readonly #concluding = new Map<string, Execution>();
  readonly #queue = new LaunchQueue<Accepted>();
  readonly #leases = new LeaseTable();
  readonly #supervisor: Supervisor;
  #turn: NodeJS.Immediate | undefined;
  #leaseTimer: NodeJS.Timeout | undefined;
  #leaseTimerAtMs = Number.POSITIVE_INFINITY;
  #isStopping = false;

  constructor(components: RunnerComponents, init: RunnerInit) {
    this.#components = components;
    this.#init = init;
    this.#supervisor = new Supervisor({
      running: this.#running,
      setups: this.#setups,
      table: new ProcessTable(init.identity),
      boxes: components.boxes,
      containers: components.containers,
      hasNamespace: init.hasNamespace,
      pageBytes: init.pageBytes,
      collapse: (message) => {
        components.log(`ending with everything in the namespace: ${message}`);
        components.outbox.flush();
        components.exit(70);
      },
      // After a suspend the timer is late by as long as that lasted.
      onTick: () => this.#expireLeases(),
    });
  }

  /** True if nothing runs or waits. Exits do not count: the journal keeps them. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.#concluding.size === 0 && this.#queue.size === 0;
  }

  state(): RunnerState {
    return {
      waiting: [...this.#queue.items()].map((item) => item.launch.key),
      running: [...this.#running.values(), ...this.#concluding.values()].map(describeRunning),
      exits: this.#components.outbox.exits(),
    };
  }

  handle(command: Command): void {
    switch (command.type) {
      case 'configure':
        this.#configure(command.setup);
        break;
      case 'removeNode':
        this.#removeNode(command.node);
        break;
      case 'launch':
        for (const launch of command.launches) this.#accept(launch);
        break;
      case 'kill':
        this.#kill(command.key, command.graceMs);
        break;
      case 'lease':
        this.#renewLease(command.lease, command.fromMs, command.deadlineMs);
        break;
      case 'acknowledge':
        this.#components.outbox.acknowledge(command.keys);
        // Room among the unacknowledged may be what the next start waited for.
        this.#schedule();
        break;
      default:
        assertNever(command);
    }
  }

  /** Kills everything; resolves once all is reaped and in the journal, or after `waitMsMax`. */
  async stop(waitMsMax: number): Promise<void> {
    this.#isStopping = true;
    this.#supervisor.condemn([...this.#running.values()], {
      reason: 'killed',
      message: 'The runner was shut down.',
    });
    const untilMs = machineMonotonicMs() + waitMsMax;
    while (this.#running.size + this.#concluding.size > 0 && machineMonotonicMs() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#supervisor.stop();
    clearTimeout(this.#leaseTimer);
    this.#components.outbox.flush();
    this.#components.boxes?.close();
  }

  #configure(setup: NodeSetup): void {
    this.#setups.set(setup.node, setup);
    this.#queue.setSlots(setup.node, setup.slots);
    const tooWide = this.#queue.removeWhere((item) => item.node === setup.node && item.slots > setup.slots);
    for (const { launch } of tooWide) {
      this.#refuse(
        launch,
        failed(`The task needs ${launch.slots} slots and its node now has ${setup.slots}.`),
      );
    }
    this.#schedule();
  }

  #removeNode(node: string): void {
    const verdict: Verdict = { reason: 'killed', message: 'The node was removed.' };
    for (const { launch } of this.#queue.removeNode(node)) this.#refuse(launch, verdict);
    this.#supervisor.condemn(
      this.#runningWhere((launch) => launch.node === node),
      verdict,
    );
    this.#setups.delete(node);
  }

  /** A launch that is known already, from before the agent was restarted, has no second effect. */
  #accept(launch: Launch): void {
    const name = executionName(launch.key);
    if (this.#running.has(name) || this.#concluding.has(name) || this.#queue.has(name)) return;
    const exit = this.#components.outbox.get(name);
    if (exit !== undefined) {
      this.#components.outbox.repeat(exit);
      return;
    }
    const fault = findFault(launch, this.#setups.get(launch.node)) ?? this.#findCrowding();
    if (fault !== undefined) {
      this.#refuse(launch, fault);
      return;
    }
    const { node, lease, slots, priority } = launch;
    this.#queue.push({ name, node, lease, slots, priority, launch });
    this.#schedule();
  }

  #findCrowding(): LaunchFailure | undefined {
    if (this.#queue.size < RUNNER_WAITING_MAX) return undefined;
    return failed(`More than ${RUNNER_WAITING_MAX} tasks wait on this machine.`);
  }

  #kill(key: ExecutionKey, graceMs: number): void {
    const name = executionName(key);
    const verdict: Verdict = { reason: 'killed', message: undefined };
    const waiting = this.#queue.remove(name);
    const execution = this.#running.get(name);
    if (waiting !== undefined) this.#refuse(waiting.launch, verdict);
    else if (execution !== undefined) this.#supervisor.terminate(execution, verdict, graceMs);
  }

  #renewLease(lease: string, fromMs: number, deadlineMs: number): void {
    // This process or the whole machine may have stood still, and find the renewal before its timer tells it of the end.
    if (!this.#leases.renew(lease, fromMs, deadlineMs)) this.#endLeases([lease], LEASE_ENDED);
    this.#expireLeases();
    this.#schedule();
  }

  #expireLeases(): void {
    const expired = this.#leases.takeExpired(this.#components.bootMs());
    if (expired.length > 0) this.#endLeases(expired, LEASE_ENDED);
    this.#armLeaseTimer();
  }

  /** What waits ends too: by the time the lease is renewed its task may have been given to another node. */
  #endLeases(leases: readonly string[], message: string): void {
    const ended = new Set(leases);
    const verdict: Verdict = { reason: 'leaseExpired', message };
    this.#supervisor.condemn(
      this.#runningWhere((launch) => ended.has(launch.lease)),
      verdict,
    );
    const waiting = this.#queue.removeWhere((item) => ended.has(item.lease));
    for (const { launch } of waiting) this.#refuse(launch, verdict);
  }

  /**
   * Renewals move the deadline on all the time, so a timer that is due too early is left alone and armed
   * again when it fires.
   */
  #armLeaseTimer(): void {
    const nextMs = this.#leases.nextDeadlineMs();
    if (nextMs === undefined || nextMs >= this.#leaseTimerAtMs) return;
    clearTimeout(this.#leaseTimer);
    this.#leaseTimerAtMs = nextMs;
    const delayMs = Math.min(Math.max(0, Math.ceil(nextMs - this.#components.bootMs())), TIMER_MS_MAX);
    this.#leaseTimer = setTimeout(() => {
      this.#leaseTimerAtMs = Number.POSITIVE_INFINITY;
      this.#expireLeases();
    }, delayMs);
  }

  #schedule(): void {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#components.outbox.flush();
      this.#startSome();
    });
  }

  #startSome(): void {
    if (this.#queue.size === 0 || this.#isStopping) return;
    for (let started = 0; started < RUNNER_STARTS_PER_TURN_MAX; started += 1) {
      if (this.#components.outbox.size >= RUNNER_EXITS_MAX) return;
      const next = this.#queue.take((lease) => this.#leases.isLive(lease, this.#components.bootMs()));
      if (next === undefined) return;
      this.#start(next);
    }
    this.#schedule();
  }

  #start(accepted: Accepted): void {
    const { launch } = accepted;
    const setup = this.#setups.get(launch.node);
    if (setup === undefined) {
      this.#abandon(accepted, failed('The node is gone.'));
      return;
    }
    let files: TaskFiles;
    try {
      files = prepareTaskFiles(setup.rootDirectory, launch.taskDirectory, launch.workingDirectory, setup);
    } catch (error) {
      this.#abandon(accepted, failed(`The task's directory cannot be made: ${asShoalError(error).message}`));
      return;
    }
    this.#spawn(accepted, setup, files);
  }

  #spawn(accepted: Accepted, setup: NodeSetup, files: TaskFiles): void {
    const { launch, name } = accepted;
    const fail = (error: unknown): void => {
      closeQuietly(files.stdoutFd);
      closeQuietly(files.stderrFd);
      if (container !== undefined) this.#components.containers.forget(container);
      this.#abandon(accepted, explainFailure(error, program, launch.workingDirectory));
    };
    let program = '';
    let container: Container | undefined;
    try {
      const environment = taskEnvironment(launch, setup, this.#init.identity, name);
      container =
        launch.container &&
        this.#components.containers.prepare(name, launch, launch.container, setup, environment);
      const argv = container?.argv ?? launch.argv;
      program = argv[0] ?? '';
      const child = startProcess({
        program:
          files.isNew || container !== undefined ? program : resolveProgram(program, launch.workingDirectory),
        argv,
        // The engine is the machine's, and acts for its owner: neither the task's user nor its variables are its own.
        ...(container === undefined
          ? { environment, uid: setup.uid, gid: setup.gid }
          : { environment: container.engine.environment, uid: undefined, gid: undefined }),
        workingDirectory: launch.workingDirectory,
        stdoutFd: files.stdoutFd,
        stderrFd: files.stderrFd,
      });
      if (child.pid === undefined) child.once('error', fail);
      else this.#begin(accepted, child, child.pid, files, container);
    } catch (error) {
      fail(error);
    }
  }

  #begin(
    accepted: Accepted,
    child: ChildProcess,
    pid: number,
    files: TaskFiles,
    container: Container | undefined,
  ): void {
    const { launch, name } = accepted;
    const execution: Execution = {
      name,
      launch,
      pid,
      startedAtMs: Date.now(),
      startedMonotonicMs: machineMonotonicMs(),
      stdoutFd: files.stdoutFd,
      stderrFd: files.stderrFd,
      verdict: undefined,
      killAtMs: undefined,
      isCondemned: false,
      box: undefined,
      container,
      monitor: undefined,
    };
    this.#running.set(name, execution);
    this.#components.outbox.started(describeRunning(execution));
    this.#supervisor.watch();
    child.once('exit', (code, signal) => {
      this.#running.delete(name);
      this.#supervisor.ended(execution);
      const exitCode = exitCodeOf(code, signal);
      if (container === undefined) this.#finish(accepted, concludeExecution(execution, exitCode));
      else void this.#concludeContainer(accepted, execution, container, { exitCode, signal });
    });
  }

  #finish(accepted: Accepted, exit: Exit): void {
    this.#components.outbox.ended(exit);
    this.#queue.release(accepted);
    this.#schedule();
  }

  /** Until its container is gone the execution has its slots, and nobody is told that it ended. */
  async #concludeContainer(
    accepted: Accepted,
    execution: Execution,
    container: Container,
    { exitCode, signal }: { readonly exitCode: number; readonly signal: NodeJS.Signals | null },
  ): Promise<void> {
    const { name, verdict: ours, stderrFd } = execution;
    this.#concluding.set(name, execution);
    const { verdict, message } = await this.#components.containers.conclude(container, {
      exitCode,
      wasLeftAlone: ours === undefined && signal === null,
      stderrFd,
    });
    this.#concluding.delete(name);
    if (verdict !== undefined) execution.verdict ??= { reason: verdict, message };
    this.#finish(accepted, concludeExecution(execution, exitCode));
  }

  /** Ends one that has its slots already. */
  #abandon(accepted: Accepted, verdict: Verdict): void {
    this.#queue.release(accepted);
    this.#refuse(accepted.launch, verdict);
  }

  #refuse(launch: Launch, verdict: Verdict): void {
    this.#components.outbox.ended(neverStarted(launch, verdict));
    this.#schedule();
  }

  #runningWhere(matches: (launch: Launch) => boolean): Execution[] {
    return [...this.#running.values()].filter((execution) => matches(execution.launch));
  }
}

const LEASE_ENDED = 'The lease of its pool ended on this node.';
/** setTimeout fires at once above 2^31 - 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function describeRunning(execution: Execution): Running {
  const { launch, pid, startedAtMs } = execution;
  return { key: launch.key, node: launch.node, pid, startedAtMs };
}
