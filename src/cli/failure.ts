/** How a command that failed says so. */
import { CommanderError } from 'commander';
import { asShoalError, ShoalError } from '../lib/errors.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import type { OutputFormat } from './output.ts';
import { printableLines } from './terminal-text.ts';

/** Ends a command with an exit code of its own, everything having been said already. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

export interface Failure {
  readonly exitCode: number;
  /** For standard error; empty where there is nothing to say. */
  readonly text: string;
}

/** Any thrown value as an exit code and the text for standard error. */
export function failureOf(thrown: unknown, format: OutputFormat): Failure {
  if (thrown instanceof Exit) return { exitCode: thrown.code, text: '' };
  if (thrown instanceof CommanderError) {
    // Help and version have been written by then; commander calls that an error with exit code 0.
    if (thrown.exitCode === 0) return { exitCode: EXIT.ok, text: '' };
    if (thrown.code === 'commander.help') return { exitCode: EXIT.usage, text: '' };
    return describe(usageError(thrown), format);
  }
  return describe(asShoalError(thrown), format);
}

/** `error: unknown option '--foo'` and, on a line of its own, `(Did you mean --for?)`. */
function usageError(error: CommanderError): UsageError {
  const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const hint = rest
    .join(' ')
    .trim()
    .replace(/^\(|\)$/g, '');
  return new UsageError(capital(message), hint === '' ? 'See --help.' : hint);
}

class UsageError extends ShoalError {
  readonly #hint: string;

  constructor(message: string, hint: string) {
    super('InvalidArgument', message);
    this.#hint = hint;
  }

  override get hint(): string {
    return this.#hint;
  }
}

function describe(error: ShoalError, format: OutputFormat): Failure {
  const { code, message, hint, values } = error;
  const exitCode = exitCodeOf(error);
  if (format !== 'table') {
    const body = { error: { code, message, ...(hint === undefined ? {} : { hint }), values } };
    return { exitCode, text: `${JSON.stringify(body)}\n` };
  }
  const reason = values.Reason;
  const detail = reason === undefined || message.includes(reason) ? '' : ` (${reason})`;
  const lines = [`error: ${message}${detail}`, ...(hint === undefined ? [] : [`hint: ${hint}`])];
  return { exitCode, text: `${printableLines(lines.join('\n'))}\n` };
}

function capital(text: string): string {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.?!]$/.test(sentence) ? sentence : `${sentence}.`;
}
