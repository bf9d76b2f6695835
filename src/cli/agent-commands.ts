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

/** Each resolves with an exit code (0 if it resolves with nothing) and rejects with a `ShoalError`. */
export interface AgentCommands {
  /** Makes a mesh of this one machine. */
  init(flags: EnterFlags): Promise<number | undefined>;
  /** Enters the mesh of a join token. */
  join(flags: EnterFlags & { readonly token: string }): Promise<number | undefined>;
  /** Runs the agent until it is told to stop. */
  agent(flags: AgentFlags): Promise<number | undefined>;
}
