import { resolve } from 'node:path';
import { invariant } from '../../src/lib/assert.ts';
import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  KILL_GRACE_MS,
  RUNNER_HELLO_TIMEOUT_MS,
  RUNNER_LAUNCHES_PER_FRAME_MAX,
  RUNNER_PING_MS,
  RUNNER_PINGS_UNANSWERED_MAX,
  RUNNER_RESTART_PAUSE_MS_MAX,
  RUNNER_START_TIMEOUT_MS,
} from '../../src/lib/limits.ts';
import { connectRunner, encodeFrame, type RunnerConnection, type RunnerEvent } from './connection.ts';
import { neverStarted } from './execution.ts';
import type {
  ExecutionKey,
  IsolationTier,
  Launch,
  NodeSetup,
  RunnerClient,
  RunnerListener,
  RunnerState,
} from './interface.ts';
import { type Isolation, probeIsolation } from './isolation.ts';
import { failed } from './launch-plan.ts';
import { runnerIdentity, socketPlace, type ToRunner } from './protocol.ts';
import { findRunnerPid, killLeftovers, type RunnerPlace, startRunner } from './start-runner.ts';

/** The part of pino's interface that is used here. */
export interface RunnerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface RunnerClientInit {
  /**
   * Absolute; made with mode 0700 if it is not there. One runner a directory: its path is the runner's
   * identity.
   */
  readonly directory: string;
  /** Absolute path of the bundled runner/main.ts. */
  readonly runnerScript: string;
  readonly log: RunnerLog;
  readonly clock: Clock;
  /** CLOCK_BOOTTIME in milliseconds: what leases count by. */
  readonly bootMs: () => number;
  /** What the machine can do; probed at the first start if it is not given. */
  readonly isolation?: Isolation;
}

/** The agent's handle of its runner process; see RunnerClient. */
export function createRunnerClient(init: RunnerClientInit): RunnerClient {
  return new SocketRunnerClient(init);
}

class SocketRunnerClient implements RunnerClient {
  readonly #log: RunnerLog;
  readonly #clock: Clock;
  readonly #bootMs: () => number;
  readonly #place: RunnerPlace;
  #isolation: Isolation | undefined;
  #listener: RunnerListener | undefined;
  #connection: RunnerConnection | undefined;
  #pid: number | undefined;
  #tier: IsolationTier | undefined;
  /** True from `detach` or `shutdown` on, and once another agent took over. */
  #isClosed = false;
  /** The replacement of a lost runner, while and after it happens. Never rejects. */
  #recovery: Promise<void> | undefined;
  #pingTimer: Timer | undefined;
  #pingsUnanswered = 0;
  /** Frames of this turn, and all frames while there is no connection. */
  #outgoing: Buffer[] = [];
  #flush: NodeJS.Immediate | undefined;
  /** Told again to a new runner after the loss of one. */
  readonly #setups = new Map<string, NodeSetup>();
  readonly #leaseDeadlines = new Map<string, number>();

  constructor(init: RunnerClientInit) {
    this.#log = init.log;
    this.#clock = init.clock;
    this.#bootMs = init.bootMs;
    this.#isolation = init.isolation;
    const { runnerScript: script } = init;
    // One spelling, for the identity is made of it.
    const directory = resolve(init.directory);
    this.#place = { directory, script, identity: runnerIdentity(directory), socket: socketPlace(directory) };
  }

  get tier(): IsolationTier {
    invariant(this.#tier !== undefined, 'a runner client has a tier once it is attached');
    return this.#tier;
  }

  get pid(): number {
    invariant(this.#pid !== undefined, 'a runner client has a pid once it is attached');
    return this.#pid;
  }

  async attach(listener: RunnerListener): Promise<RunnerState> {
    invariant(this.#listener === undefined, 'a runner client attaches once');
    this.#listener = listener;
    try {
      const connection = (await this.#connectToLiveRunner()) ?? (await this.#startAndConnect());
      this.#adopt(connection);
      return connection.state;
    } catch (error) {
      this.#listener = undefined;
      throw error;
    }
  }

  configureNode(setup: NodeSetup): void {
    this.#setups.set(setup.node, setup);
    this.#send({ type: 'configure', setup });
  }

  removeNode(node: string): void {
    this.#setups.delete(node);
    this.#send({ type: 'removeNode', node });
  }

  launch(launches: readonly Launch[]): void {
    for (let start = 0; start < launches.length; start += RUNNER_LAUNCHES_PER_FRAME_MAX) {
      this.#launchPart(launches.slice(start, start + RUNNER_LAUNCHES_PER_FRAME_MAX));
    }
  }

  kill(key: ExecutionKey, graceMs: number): void {
    this.#send({ type: 'kill', key, graceMs });
  }

  setLease(lease: string, remainingMs: number): void {
    // Fixed here and now: if this process is stopped before the frame leaves, the lease does not grow by
    // that.
    const fromMs = this.#bootMs();
    const deadlineMs = fromMs + remainingMs;
    this.#leaseDeadlines.set(lease, deadlineMs);
    this.#send({ type: 'lease', lease, fromMs, deadlineMs });
  }

  acknowledge(keys: readonly ExecutionKey[]): void {
    if (keys.length > 0) this.#send({ type: 'acknowledge', keys });
  }

  async detach(): Promise<void> {
    const connection = this.#close();
    await this.#recovery;
    if (connection === undefined) return;
    this.#flushTo(connection);
    connection.end();
    await this.#closed(connection, RUNNER_HELLO_TIMEOUT_MS);
  }

  async shutdown(): Promise<void> {
    const connection = this.#close();
    // Or it would start another runner behind our back.
    await this.#recovery;
    if (connection !== undefined) {
      this.#outgoing.push(encodeFrame({ type: 'shutdown' }));
      this.#flushTo(connection);
      await this.#closed(connection, 4 * KILL_GRACE_MS);
    }
    await killLeftovers(this.#place.identity, this.#clock);
  }

  /** Stops all that would act by itself; what is attached still is, for the last words. */
  #close(): RunnerConnection | undefined {
    this.#isClosed = true;
    this.#pingTimer?.cancel();
    const connection = this.#connection;
    this.#connection = undefined;
    return connection;
  }

  async #closed(connection: RunnerConnection, waitMsMax: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(waitMsMax, () => {
        connection.destroy();
        resolve();
      });
      connection.listen({
        onEvent: () => {},
        onClose: () => {
          timer.cancel();
          resolve();
        },
      });
    });
  }

  async #connectToLiveRunner(): Promise<RunnerConnection | undefined> {
    try {
      const connection = await connectRunner(this.#place.socket.path, this.#clock);
      const pid = findRunnerPid(this.#place);
      if (pid === undefined) connection?.destroy();
      if (connection === undefined || pid === undefined) return undefined;
      this.#pid = pid;
      return connection;
    } catch (error) {
      this.#log.warn(
        { error: asShoalError(error).message },
        'the runner found here is of no use and is replaced',
      );
      return undefined;
    }
  }

  /**
   * Before a runner starts, nothing of a former one may live: its tasks may have been given to others by now.
   */
  async #startAndConnect(): Promise<RunnerConnection> {
    const left = await killLeftovers(this.#place.identity, this.#clock);
    if (left > 0) this.#log.error({ processes: left }, 'processes of the last runner hang in the kernel');
    this.#isolation ??= probeIsolation();
    if (this.#isClosed)
      throw new ShoalError('OperationInvalidForCurrentState', 'The runner client was closed.');
    const child = startRunner(this.#place, this.#isolation);
    let ended: string | undefined;
    child.once('error', (error) => {
      ended = error.message;
    });
    child.once('exit', (code, signal) => {
      ended = `exit code ${code ?? signal}`;
    });
    const untilMs = this.#clock.monotonicMs() + RUNNER_START_TIMEOUT_MS;
    while (ended === undefined && this.#clock.monotonicMs() < untilMs) {
      const connection = await connectRunner(this.#place.socket.path, this.#clock);
      if (connection !== undefined) {
        this.#pid = child.pid;
        return connection;
      }
      await this.#pause(5);
    }
    throw new ShoalError(
      'OperationTimedOut',
      `The runner does not start: ${ended ?? 'no answer'}. See ${this.#place.directory}/runner.log.`,
    );
  }

  #adopt(connection: RunnerConnection): void {
    this.#tier = connection.tier;
    this.#connection = connection;
    this.#pingsUnanswered = 0;
    this.#pingTimer?.cancel();
    this.#pingTimer = every(this.#clock, RUNNER_PING_MS, () => this.#ping());
    this.#log.info({ pid: this.#pid, tier: connection.tier }, 'attached to the runner');
    // Not before whoever called `attach` has seen the state.
    setImmediate(() => {
      if (this.#connection !== connection) return;
      connection.listen({
        onEvent: (event) => this.#receive(event),
        onClose: () => {
          this.#recovery = this.#recover(connection);
        },
      });
      this.#scheduleFlush();
    });
  }

  #receive(event: RunnerEvent): void {
    switch (event.type) {
      case 'report':
        for (const running of event.started) this.#listener?.onStarted(running);
        for (const exit of event.exits) this.#listener?.onExit(exit);
        return;
      case 'pong':
        this.#pingsUnanswered = 0;
        return;
      case 'replaced':
        this.#log.error({}, 'another agent has taken over the runner');
        this.#close()?.destroy();
        return;
    }
  }

  #ping(): void {
    if (this.#pingsUnanswered >= RUNNER_PINGS_UNANSWERED_MAX) {
      this.#log.error({ pid: this.#pid }, 'the runner hangs and is replaced');
      this.#connection?.destroy();
      return;
    }
    this.#pingsUnanswered += 1;
    this.#send({ type: 'ping' });
  }

  async #recover(connection: RunnerConnection): Promise<void> {
    if (this.#isClosed || this.#connection !== connection) return;
    this.#connection = undefined;
    this.#pingTimer?.cancel();
    this.#log.error({ pid: this.#pid }, 'the runner is lost');
    // The listener may pass the loss on, and others may start those tasks: so only when they are dead.
    await killLeftovers(this.#place.identity, this.#clock);
    if (this.#isClosed) return;
    // What was asked of the old runner is lost with it, whether it had left this process or not.
    this.#outgoing = [];
    this.#listener?.onLost();
    await this.#restart();
  }

  async #restart(): Promise<void> {
    for (let pauseMs = 50; !this.#isClosed; pauseMs = Math.min(2 * pauseMs, RUNNER_RESTART_PAUSE_MS_MAX)) {
      try {
        const connection = await this.#startAndConnect();
        if (this.#isClosed) {
          connection.destroy();
          return;
        }
        // Ahead of what was asked since.
        this.#outgoing.unshift(...this.#settings());
        this.#adopt(connection);
        this.#tellAgain(connection);
        return;
      } catch (error) {
        this.#log.error({ error: asShoalError(error).message }, 'the runner cannot be started again');
        await this.#pause(pauseMs);
      }
    }
  }

  /** What is in the journal was not told yet, or its acknowledgement died with the last runner. */
  #tellAgain(connection: RunnerConnection): void {
    setImmediate(() => {
      if (this.#connection !== connection) return;
      for (const exit of connection.state.exits) this.#listener?.onExit(exit);
    });
  }

  #settings(): Buffer[] {
    const setups = [...this.#setups.values()].map((setup) => encodeFrame({ type: 'configure', setup }));
    const fromMs = this.#bootMs();
    const leases = [...this.#leaseDeadlines].map(([lease, deadlineMs]) =>
      encodeFrame({ type: 'lease', lease, fromMs, deadlineMs }),
    );
    return [...setups, ...leases];
  }

  #launchPart(launches: readonly Launch[]): void {
    try {
      this.#send({ type: 'launch', launches });
    } catch (error) {
      const [first] = launches;
      if (first === undefined || asShoalError(error).code !== 'TooLarge') throw error;
      if (launches.length > 1) {
        for (const launch of launches) this.#launchPart([launch]);
        return;
      }
      const exit = neverStarted(first, failed('The command line and environment are too long.'));
      setImmediate(() => this.#listener?.onExit(exit));
    }
  }

  #send(message: ToRunner): void {
    if (this.#isClosed) return;
    this.#outgoing.push(encodeFrame(message));
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    this.#flush ??= setImmediate(() => {
      this.#flush = undefined;
      if (this.#connection !== undefined) this.#flushTo(this.#connection);
    });
  }

  #flushTo(connection: RunnerConnection): void {
    if (this.#outgoing.length === 0) return;
    connection.write(this.#outgoing);
    this.#outgoing = [];
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }
}
