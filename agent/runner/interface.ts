/**
 * The task runner: a small process of its own that starts task processes, watches them, and kills them when their
 * lease ends, also when its agent is dead or hangs. Spawning forks, and a fork costs 17 µs of blocked loop for each
 * MiB of the parent, so nothing but this lean process spawns. It outlives a restart of its agent.
 */

/** Names one execution: unique for ever, because an epoch is a log index of its pool's group. */
export interface ExecutionKey {
  readonly pool: string;
  /** The job's number in its pool's group, not its id: ids are used again. */
  readonly job: number;
  /** The task's number in its job. */
  readonly task: number;
  readonly epoch: number;
}

/** What all executions on one node share. Sent again whenever it changes. */
export interface NodeSetup {
  readonly node: string;
  /** Executions whose slots add up to at most this run at once; the rest wait in order. */
  readonly slots: number;
  readonly environment: Readonly<Record<string, string>>;
  /** User and group of the tasks where the runner is root. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** Absolute. The runner creates task directories only below it. */
  readonly rootDirectory: string;
  readonly memoryBytesMax: number | undefined;
}

/** Starts containers for the runner: a program with the command line of podman and docker. */
export interface ContainerEngine {
  readonly kind: 'podman' | 'docker';
  /** Absolute path. */
  readonly program: string;
  /** The whole environment of the engine's own processes. */
  readonly environment: Readonly<Record<string, string>>;
  /** `uid:gid` inside the container where the node has no user of its own. */
  readonly user: string;
  /** Runs as somebody else than root: users inside the container are then not those of the machine. */
  readonly isRootless: boolean;
}

/** The launch is a container: `argv` is what it runs inside, where it is not empty. */
export interface ContainerLaunch {
  readonly engine: ContainerEngine;
  readonly image: string;
  /** Checked arguments of the engine's `run`. */
  readonly options: readonly string[];
  /** False: the image's own working directory. */
  readonly entersWorkingDirectory: boolean;
}

export interface Launch {
  readonly key: ExecutionKey;
  readonly node: string;
  /** Whose lease it runs under: a pool's id. */
  readonly lease: string;
  /** 0 for one that needs none. */
  readonly slots: number;
  /** Greater starts first; then in the order of arrival. */
  readonly priority: number;
  /** Program and arguments; never a shell of ours. A relative program is looked up in the task's working directory, then in PATH. */
  readonly argv: readonly string[];
  /** Added to the node's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute, below the node's root. Holds stdout.txt and stderr.txt; created if it is not there. */
  readonly taskDirectory: string;
  /** Absolute: usually `<taskDirectory>/wd`; created if it is not there. */
  readonly workingDirectory: string;
  readonly wallClockMsMax: number | undefined;
  /** Of stdout.txt and of stderr.txt, each. */
  readonly outputBytesMax: number;
  readonly container?: ContainerLaunch;
}

export type ExitReason =
  | 'exited' /** by itself, or by a signal nobody here sent */
  | 'wallClock'
  | 'killed' /** the agent asked */
  | 'leaseExpired'
  | 'outputTooLarge'
  | 'memoryExceeded'
  | 'programNotFound'
  | 'launchFailed';

/** The end of one execution. Kept by the runner, and in its journal, until the agent acknowledges it. */
export interface Exit {
  readonly key: ExecutionKey;
  readonly node: string;
  readonly reason: ExitReason;
  /** Undefined if it never started. 128 + signal number for a signal's death, as shells say it. */
  readonly exitCode: number | undefined;
  /** Wall clock, ms. Undefined if it never started. */
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number;
  readonly message: string | undefined;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** The whole of it where it is at most INLINE_OUTPUT_BYTES_MAX, else undefined. */
  readonly stdoutInline: Uint8Array | undefined;
  readonly stderrInline: Uint8Array | undefined;
}

export interface Running {
  readonly key: ExecutionKey;
  readonly node: string;
  readonly pid: number;
  readonly startedAtMs: number;
}

/** What an agent finds when it attaches to a runner that was there before it. */
export interface RunnerState {
  readonly waiting: readonly ExecutionKey[];
  readonly running: readonly Running[];
  readonly exits: readonly Exit[];
}

export type IsolationTier =
  | 'namespace' /** the runner is the init of a PID namespace of its own: its death kills every task */
  | 'cgroup' /** each running task sits in a cgroup v2 that can be killed whole */
  | 'scan'; /** process groups, and a scan of /proc for our mark in the environment */

export interface RunnerListener {
  onStarted(running: Running): void;
  onExit(exit: Exit): void;
  /** The runner process died; its executions are dead or are being killed. A new one is being started. */
  onLost(): void;
}

/** The agent's handle of its runner. */
export interface RunnerClient {
  readonly tier: IsolationTier;
  readonly pid: number;
  /** Attaches to the live runner of this data directory, or starts one (after killing what a dead one left). */
  attach(listener: RunnerListener): Promise<RunnerState>;
  configureNode(setup: NodeSetup): void;
  /** Kills what runs on the node and forgets its setup. */
  removeNode(node: string): void;
  launch(launches: readonly Launch[]): void;
  /** SIGTERM, then SIGKILL to the whole tree after `graceMs`. One that still waits is dropped and reported as killed. */
  kill(key: ExecutionKey, graceMs: number): void;
  /** The lease now ends `remainingMs` from now (by boot time, a suspend counts). Without a live lease nothing starts, and all of it is killed. */
  setLease(lease: string, remainingMs: number): void;
  /** These exits are safe elsewhere: the runner forgets them. */
  acknowledge(keys: readonly ExecutionKey[]): void;
  /** Leaves the runner and its tasks alive. */
  detach(): Promise<void>;
  /** Ends the runner and kills everything it runs. */
  shutdown(): Promise<void>;
}
