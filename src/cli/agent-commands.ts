/** The commands that are the agent rather than its client. They live with the agent and are loaded when asked for. */

export interface AgentFlags {
  /** Absolute path of the data directory. */
  readonly data: string;
  /** Multiaddrs to listen on; the agent's own default where there are none. */
  readonly listen: readonly string[];
  /** Multiaddrs that others are told; those listened on where there are none. */
  readonly announce: readonly string[];
  /** Whether to look for peers on the local network. */
  readonly mdns: boolean;
  /** Port of the HTTP API on 127.0.0.1, beside its unix socket, as it was typed. */
  readonly api: string | undefined;
  readonly labels: readonly string[];
}

export interface EnterFlags extends AgentFlags {
  /** Unique in the mesh; the host's name where it is undefined. */
  readonly name: string | undefined;
}

export interface ReplayFlags {
  /** Absolute path of a data directory whose agent is stopped, or of a copy of one. */
  readonly directory: string;
  /** Only this group; all of the directory where it is undefined. */
  readonly group: string | undefined;
  /** Entries to show; all of them are replayed. */
  readonly from: number;
  readonly to: number;
  /** Ids; only what concerns them is shown. */
  readonly job: string | undefined;
  readonly task: string | undefined;
}

/** One thing that an entry of a log did. */
export interface ReplayStep {
  readonly kind: 'command' | 'event' | 'configuration' | 'violation';
  readonly group: string;
  readonly index: number;
  readonly term: number;
  /** The leader's clock; undefined for an entry that carries no commands. */
  readonly timeMs: number | undefined;
  /** The command's or event's kind, with what it names. */
  readonly what: string;
  /** What came of it; the code of a refusal. */
  readonly result: string;
  readonly refused: boolean;
  /** The command or event as it is; secrets are masked. */
  readonly data: unknown;
}

/** Whether a group kept its promises. `unrecorded`: the directory holds no state to begin a replay from. */
export interface ReplayVerdict {
  readonly kind: 'verdict';
  readonly group: string;
  readonly verdict: 'holds' | 'violated' | 'unrecorded';
  /** Log index of the state it began with; `founding`: the empty one of a new group. */
  readonly from: number;
  readonly founding: boolean;
  readonly to: number;
  readonly entries: number;
  readonly unapplied: number;
  readonly rows: number;
  readonly stateHash: { readonly replayed: number; readonly stored: number };
  readonly problems: readonly string[];
  readonly problemCount: number;
}

/** Each resolves with an exit code (0 if it resolves with nothing) and rejects with a `ShoalError`. */
export interface AgentCommands {
  /** Makes a mesh of this one machine. */
  init(flags: EnterFlags): Promise<number | undefined>;
  /** Enters the mesh of a join token. */
  join(flags: EnterFlags & { readonly token: string }): Promise<number | undefined>;
  /** Runs the agent until it is told to stop. */
  agent(flags: AgentFlags): Promise<number | undefined>;
  /** Applies the stored logs of a stopped agent once more: the steps of each group, then its verdict. */
  replay(flags: ReplayFlags): AsyncIterable<ReplayStep | ReplayVerdict>;
}
