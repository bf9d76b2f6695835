/** A formula as a list of tokens. Blanks, line breaks and `//` comments only separate them. */
import { FormulaError } from './formula-error.ts';

interface Span {
  /** Offsets into the formula: the first character, and the one behind the last. */
  readonly start: number;
  readonly end: number;
}

export type Token = Span &
  (
    | { readonly kind: 'number'; readonly value: number }
    | { readonly kind: 'string'; readonly text: string }
    | { readonly kind: 'name'; readonly text: string }
    | { readonly kind: 'symbol'; readonly text: string }
    | { readonly kind: 'end' }
  );

const SKIPPED = /(?:[\s\uFEFF]|\/\/[^\r\n]*)+/y;
const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const NAME = /\$?[A-Za-z_][A-Za-z0-9_]*/y;
const STRING = /"(?:[^"\\\r\n]|\\["\\])*"|'(?:[^'\\\r\n]|\\['\\])*'/y;
const SYMBOL = /&&|\|\||[<>=!]=|[-+*/<>!?:=(),;.]/y;

export function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    at += match(SKIPPED, source, at).length;
    if (at >= source.length) break;
    const token = tokenAt(source, at);
    tokens.push(token);
    at = token.end;
  }
  tokens.push({ kind: 'end', start: source.length, end: source.length });
  return tokens;
}

function tokenAt(source: string, start: number): Token {
  const number = match(NUMBER, source, start);
  if (number !== '') return numberToken(source, start, number);
  const name = match(NAME, source, start);
  if (name !== '') return { kind: 'name', text: name, start, end: start + name.length };
  const string = match(STRING, source, start);
  if (string !== '')
    return {
      kind: 'string',
      text: string.slice(1, -1).replace(/\\(.)/g, '$1'),
      start,
      end: start + string.length,
    };
  const symbol = match(SYMBOL, source, start);
  if (symbol !== '') return { kind: 'symbol', text: symbol, start, end: start + symbol.length };
  const [character = ''] = source.slice(start);
  throw new FormulaError(
    source,
    start,
    character === '"' || character === "'"
      ? 'The text that begins here has no end on its line'
      : `Unexpected character: ${character}`,
  );
}

function numberToken(source: string, start: number, text: string): Token {
  const value = Number(text);
  const end = start + text.length;
  if (!Number.isFinite(value)) throw new FormulaError(source, start, `The number ${text} is too large`);
  if (match(NAME, source, end) !== '')
    throw new FormulaError(source, end, 'A name cannot follow a number without something between them');
  return { kind: 'number', value, start, end };
}

function match(pattern: RegExp, source: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0] ?? '';
}
