/** The command line of Shoal: a client of the HTTP API and nothing more. */
import type { Command } from 'commander';
import type { CliContext } from './action.ts';
import type { AgentCommands } from './agent-commands.ts';
import { EXIT } from './exit-codes.ts';
import { type Failure, failureOf } from './failure.ts';
import { type OutputFormat, writeTo } from './output.ts';
import { buildProgram } from './program.ts';
import { systemWorld, type World } from './world.ts';

export interface CliOptions {
  /** Loads what `init`, `join` and `agent` do. Called only by them, so that every other command starts without it. */
  readonly agent: () => Promise<AgentCommands>;
  /** Streams, environment and signals; those of the process by default. */
  readonly world?: World;
}

/** Runs one command. `words` are the arguments behind the program's name. Resolves with the exit code. */
export async function runCli(words: readonly string[], options: CliOptions): Promise<number> {
  const world = options.world ?? systemWorld();
  const context: CliContext = { world, agent: options.agent, exitCode: EXIT.ok };
  watchOutput(world, context);
  try {
    const program = silence(buildProgram(context), world);
    await program.parseAsync([...words], { from: 'user' });
    return context.exitCode;
  } catch (thrown) {
    const failure: Failure = failureOf(thrown, wantedFormat(words));
    await writeTo(world.stderr, failure.text);
    return failure.exitCode;
  }
}

/** Errors are ours to print; help and the version go where commander sends them. */
function silence(command: Command, world: World): Command {
  command.exitOverride().configureOutput({
    writeOut: (text) => void world.stdout.write(text),
    writeErr: (text) => void world.stderr.write(text),
    outputError: () => {},
    getOutHelpWidth: () => Math.min(world.columns(), 110),
    getErrHelpWidth: () => Math.min(world.columns(), 110),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const child of command.commands) silence(child, world);
  return command;
}

/** `shoal job list | head`: once the reader has what it wants, the command in progress is told to end. */
function watchOutput(world: World, context: CliContext): void {
  world.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    context.interrupt?.('closed');
  });
}

/** The format that a failure is told in, also where the flags as a whole could not be read. */
function wantedFormat(words: readonly string[]): OutputFormat {
  const end = words.indexOf('--');
  const own = end < 0 ? words : words.slice(0, end);
  if (own[0] === 'run') return 'table';
  for (const [index, word] of own.entries()) {
    const value = word === '--output' ? own[index + 1] : /^--output=(.*)$/.exec(word)?.[1];
    if (value === 'json' || value === 'jsonl') return value;
  }
  return 'table';
}
