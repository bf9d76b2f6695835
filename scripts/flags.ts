/** The flags of a script: what it does is told to whoever asks, and to whoever asks for something that it does not do. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Exit code of a command that was not understood, as shells have it. */
const MISUSED = 2;

type Parsed<C extends ParseArgsConfig> = ReturnType<typeof parseArgs<C>>;

/** What was asked for. Ends the process where that is `--help` (code 0), or is not to be understood (code 2). */
export function flagsOf<const C extends ParseArgsConfig>(usage: string, config: C): Parsed<C> {
  const asked = process.argv.slice(2);
  if (asked.includes('--help') || asked.includes('-h')) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    return misused(usage, error instanceof Error ? error.message : String(error));
  }
}

export function misused(usage: string, why: string): never {
  process.stderr.write(`error: ${why}\n\n${usage}\n`);
  process.exit(MISUSED);
}

/** Ends the process where `text` is not a whole number. */
export function wholeNumber(usage: string, flag: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) misused(usage, `--${flag} takes a whole number, not '${text}'.`);
  return Number(text);
}
