/** Examples of a command: shown by its --help, and in docs/cli.md. */
import type { Command } from 'commander';

export type Example = readonly [line: string, meaning: string];

const EXAMPLES = new WeakMap<Command, readonly Example[]>();

export function withExamples(command: Command, examples: readonly Example[]): Command {
  EXAMPLES.set(command, examples);
  const widest = Math.max(...examples.map(([line]) => line.length));
  // A long line has its meaning above it, so that neither wraps on a terminal of 80 columns.
  const lines = examples.map(([line, meaning]) =>
    widest > 44 ? `  # ${meaning}\n  ${line}` : `  ${line.padEnd(widest)}  ${meaning}`,
  );
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

export function examplesOf(command: Command): readonly Example[] {
  return EXAMPLES.get(command) ?? [];
}
