/** An agent's handle of its machine's simulated runner: messages both ways take a moment, in order; a lost runner is replaced. */
import type {
  ExecutionKey,
  Exit,
  Launch,
  NodeSetup,
  RunnerClient,
  RunnerListener,
  RunnerState,
  Running,
} from '../../../agent/runner/interface.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { MachineClock } from './machine-clock.ts';
import type { RunnerMessage, SimRunner } from './sim-runner.ts';
import type { Scope, VirtualTime } from './virtual-time.ts';

const SOCKET_MS_MAX = 0.5;
const RUNNER_START_MS = { low: 30, high: 200 } as const;

export interface SimRunnerClientOptions {
  readonly time: VirtualTime;
  /** The agent's own. */
  readonly scope: Scope;
  readonly clock: MachineClock;
  readonly random: Prng;
  /** The machine's runner and its scope; a new one where the last is dead. */
  readonly runner: () => { readonly runner: SimRunner; readonly scope: Scope };
}

export class SimRunnerClient implements RunnerClient {
  readonly tier = 'namespace';
  readonly pid = 1;
  readonly #options: SimRunnerClientOptions;
  #listener: RunnerListener | undefined;
  #connected: { readonly runner: SimRunner; readonly scope: Scope } | undefined;
  #lastToRunnerMs = 0;
  #lastToAgentMs = 0;
  /** Said while there is no runner. */
  #waiting: RunnerMessage[] = [];
  readonly #setups = new Map<string, NodeSetup>();
  readonly #leases = new Map<string, number>();

  constructor(options: SimRunnerClientOptions) {
    this.#options = options;
  }

  async attach(listener: RunnerListener): Promise<RunnerState> {
    this.#listener = listener;
    await this.#pause();
    return this.#connect();
  }

  #connect(): RunnerState {
    const connected = this.#options.runner();
    this.#connected = connected;
    const state = connected.runner.state();
    connected.runner.events = {
      onStarted: (running: Running) => this.#tell(() => this.#listener?.onStarted(running)),
      onExit: (exit: Exit) => this.#tell(() => this.#listener?.onExit(exit)),
    };
    for (const message of this.#waiting.splice(0)) this.#send(message);
    return state;
  }

  /** The machine says that its runner died. */
  onRunnerDied(): void {
    if (this.#connected === undefined) return;
    this.#connected = undefined;
    this.#tell(() => {
      this.#waiting = [];
      this.#listener?.onLost();
      void this.#pause().then(() => {
        const fromMs = this.#options.clock.bootMs();
        this.#waiting.unshift(
          ...[...this.#setups.values()].map((setup) => ({ kind: 'configure', setup }) as const),
          ...[...this.#leases].map(
            ([lease, deadlineMs]) => ({ kind: 'lease', lease, fromMs, deadlineMs }) as const,
          ),
        );
        for (const exit of this.#connect().exits) this.#tell(() => this.#listener?.onExit(exit));
      });
    });
  }

  #pause(): Promise<void> {
    const { clock, random } = this.#options;
    const delayMs = random.int(RUNNER_START_MS.low, RUNNER_START_MS.high);
    return new Promise((resolve) => clock.after(delayMs, resolve));
  }

  #tell(act: () => void): void {
    const { time, scope, random } = this.#options;
    this.#lastToAgentMs = Math.max(time.nowMs + random.next() * SOCKET_MS_MAX, this.#lastToAgentMs + 0.0001);
    time.at(this.#lastToAgentMs, scope, act);
  }

  #send(message: RunnerMessage): void {
    const connected = this.#connected;
    if (connected === undefined) {
      this.#waiting.push(message);
      return;
    }
    const { time, random } = this.#options;
    this.#lastToRunnerMs = Math.max(
      time.nowMs + random.next() * SOCKET_MS_MAX,
      this.#lastToRunnerMs + 0.0001,
    );
    time.at(this.#lastToRunnerMs, connected.scope, () => connected.runner.handle(message));
  }

  configureNode(setup: NodeSetup): void {
    this.#setups.set(setup.node, setup);
    this.#send({ kind: 'configure', setup });
  }

  removeNode(node: string): void {
    this.#setups.delete(node);
    this.#send({ kind: 'removeNode', node });
  }

  launch(launches: readonly Launch[]): void {
    this.#send({ kind: 'launch', launches });
  }

  kill(key: ExecutionKey, graceMs: number): void {
    this.#send({ kind: 'kill', key, graceMs });
  }

  setLease(lease: string, remainingMs: number): void {
    const fromMs = this.#options.clock.bootMs();
    const deadlineMs = fromMs + remainingMs;
    this.#leases.set(lease, deadlineMs);
    this.#send({ kind: 'lease', lease, fromMs, deadlineMs });
  }

  acknowledge(keys: readonly ExecutionKey[]): void {
    this.#send({ kind: 'acknowledge', keys });
  }

  async detach(): Promise<void> {}

  async shutdown(): Promise<void> {}
}
