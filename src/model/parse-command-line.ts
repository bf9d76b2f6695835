import { ShoalError } from '../lib/errors.ts';

/**
 * Splits an Azure `commandLine` into program and arguments, as Azure's agent on Linux does: no shell takes
 * part, so nothing is expanded, redirected or chained; who wants that writes `/bin/sh -c '...'`.
 *
 * Arguments are separated by white space. Single quotes keep everything; double quotes keep everything but
 * `\"` and `\\`; outside quotes a backslash keeps the next character. Pieces that touch are one argument, and
 * `''` is an empty one.
 *
 * @throws ShoalError InvalidPropertyValue if a quote or escape is left open, there is no program, or a NUL is
 * in it.
 */
export function parseCommandLine(text: string): string[] {
  if (text.includes('\0')) throw invalid('it contains a NUL character');
  const argv: string[] = [];
  let at = skipSpace(text, 0);
  while (at < text.length) {
    const word = readWord(text, at);
    argv.push(word.value);
    at = skipSpace(text, word.end);
  }
  if (argv.length === 0) throw invalid('it is empty');
  if (argv[0] === '') throw invalid('its program is an empty string');
  return argv;
}

interface Piece {
  readonly value: string;
  /** The index behind the piece. */
  readonly end: number;
}

function readWord(text: string, start: number): Piece {
  let value = '';
  let at = start;
  while (at < text.length && !isSpace(text[at])) {
    const piece = readPiece(text, at);
    value += piece.value;
    at = piece.end;
  }
  return { value, end: at };
}

function readPiece(text: string, at: number): Piece {
  switch (text[at]) {
    case "'":
      return readSingleQuoted(text, at);
    case '"':
      return readDoubleQuoted(text, at);
    case '\\':
      if (at + 1 >= text.length) throw invalid('it ends in a backslash that escapes nothing');
      return { value: text.slice(at + 1, at + 2), end: at + 2 };
    default:
      return { value: text.slice(at, at + 1), end: at + 1 };
  }
}

function readSingleQuoted(text: string, at: number): Piece {
  const end = text.indexOf("'", at + 1);
  if (end < 0) throw invalid(`the single quote at character ${at + 1} is never closed`);
  return { value: text.slice(at + 1, end), end: end + 1 };
}

function readDoubleQuoted(text: string, start: number): Piece {
  let value = '';
  let at = start + 1;
  while (at < text.length && text[at] !== '"') {
    const escapes = text[at] === '\\' && (text[at + 1] === '"' || text[at + 1] === '\\');
    value += text.charAt(escapes ? at + 1 : at);
    at += escapes ? 2 : 1;
  }
  if (at >= text.length) throw invalid(`the double quote at character ${start + 1} is never closed`);
  return { value, end: at + 1 };
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && isSpace(text[at])) at += 1;
  return at;
}

function isSpace(character: string | undefined): boolean {
  return character === ' ' || character === '\t' || character === '\n' || character === '\r';
}

function invalid(reason: string): ShoalError {
  return new ShoalError(
    'InvalidPropertyValue',
    `The command line cannot be split into arguments: ${reason}.`,
    {
      PropertyName: 'commandLine',
      Reason: reason,
    },
  );
}
