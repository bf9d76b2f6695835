/** What the body of a command is given, and how it is called. */
import type { Command } from 'commander';
import type { ShoalClient } from '../client/client.ts';
import type { AgentCommands } from './agent-commands.ts';
import { type ConnectionFlags, connect, dataDirectory } from './connection.ts';
import { EXIT } from './exit-codes.ts';
import { Exit } from './failure.ts';
import { Output, type OutputFormat, writeTo } from './output.ts';
import { printableLines } from './terminal-text.ts';
import type { World } from './world.ts';

/** A signal, or that the reader of standard output went away. */
export type InterruptCause = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'closed';

export function exitCodeOfInterrupt(cause: InterruptCause): number {
  return cause === 'closed' ? EXIT.outputClosed : EXIT.interrupted;
}

/** One call of one command. */
export class Run {
  readonly world: World;
  readonly output: Output;
  readonly #flags: ConnectionFlags;
  readonly #interrupt = new AbortController();
  #client: ShoalClient | undefined;
  #listener: ((cause: InterruptCause) => void) | undefined;

  constructor(world: World, flags: ConnectionFlags, format: OutputFormat) {
    this.world = world;
    this.#flags = flags;
    this.output = new Output(world.stdout, format, {
      width: world.stdoutIsTerminal ? world.columns() : undefined,
      colour: coloured(world),
    });
  }

  /** The client of the agent that the flags name; connects at its first request. */
  get client(): ShoalClient {
    this.#client ??= connect(this.#flags, this.world);
    return this.#client;
  }

  /** Where the local agent keeps its data. */
  get dataDirectory(): string {
    return dataDirectory(this.#flags.data, this.world);
  }

  get connectionFlags(): ConnectionFlags {
    return this.#flags;
  }

  /** Aborted at Ctrl-C, unless the command handles that itself. */
  get signal(): AbortSignal {
    return this.#interrupt.signal;
  }

  /** Progress belongs on a terminal, beside output that people read. */
  get showsProgress(): boolean {
    return this.world.stderrIsTerminal && this.output.format === 'table';
  }

  /** From now on an interrupt calls `listener`, and no longer aborts `signal`. */
  onInterrupt(listener: (cause: InterruptCause) => void): void {
    this.#listener = listener;
  }

  /** True where the command ends now, and a further interrupt may end the process. */
  interrupt(cause: InterruptCause): boolean {
    if (this.#listener !== undefined) {
      this.#listener(cause);
      return false;
    }
    this.#interrupt.abort(new Exit(exitCodeOfInterrupt(cause)));
    return true;
  }

  /** A remark for people, on standard error. */
  async note(text: string): Promise<void> {
    await writeTo(this.world.stderr, `${printableLines(text)}\n`);
  }

  close(): void {
    this.#client?.close();
  }
}

export interface CliContext {
  readonly world: World;
  /** Loads the agent's own commands. */
  readonly agent: () => Promise<AgentCommands>;
  /** Set by a command that ends with a code of its own. */
  exitCode: number;
  /** Tells the command in progress to end. */
  interrupt?: (cause: InterruptCause) => void;
}

/** What a command does. If it resolves with a number, that is the exit code; else it is 0. */
export type Body<A extends readonly unknown[]> = (run: Run, ...args: A) => Promise<unknown>;

/** Makes a commander action of `body`, which is called with the command's arguments and options. */
export function action<A extends readonly unknown[]>(
  context: CliContext,
  body: Body<A>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    // Commander calls an action with the declared arguments, the options, and the command itself.
    const command = args.at(-1) as Command;
    const run = new Run(context.world, connectionFlags(command), outputFormat(command));
    context.interrupt = (cause) => {
      if (run.interrupt(cause)) stop();
    };
    const stop = context.world.onInterrupt(context.interrupt);
    try {
      const code = await body(run, ...(args.slice(0, -1) as unknown as A));
      context.exitCode = typeof code === 'number' ? code : EXIT.ok;
    } finally {
      stop();
      run.close();
    }
  };
}

/** A flag given after the command's name wins over the same one before it. */
export function connectionFlags(command: Command): ConnectionFlags {
  const merged: Record<string, unknown> = { ...rootOf(command).opts(), ...command.opts() };
  return {
    ...(typeof merged.data === 'string' ? { data: merged.data } : {}),
    ...(typeof merged.endpoint === 'string' ? { endpoint: merged.endpoint } : {}),
  };
}

/** `shoal run` has a flag `--output` of its own, a list: the format is then the one before the command's name. */
function outputFormat(command: Command): OutputFormat {
  const own: unknown = command.opts().output;
  const chosen = typeof own === 'string' ? own : (rootOf(command).opts().output as string | undefined);
  return chosen === 'json' || chosen === 'jsonl' ? chosen : 'table';
}

function rootOf(command: Command): Command {
  let root = command;
  while (root.parent !== null) root = root.parent;
  return root;
}

/** https://no-color.org: any value but the empty one switches colours off. */
function coloured(world: World): boolean {
  const off = world.env.NO_COLOR;
  return world.stdoutIsTerminal && (off === undefined || off === '') && world.env.TERM !== 'dumb';
}
