/**
 * The `$filter` language of Azure Batch: OData's `and`, `or`, parentheses, six comparisons and `startswith`. Text to
 * tree by a sticky-regexp lexer and a Pratt parser; what the names mean is filter.ts's subject.
 */
import { FILTER_CLAUSES_MAX, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX } from '../lib/limits.ts';
import { parseTimestamp } from '../lib/timestamps.ts';

export const COMPARISONS = ['eq', 'ne', 'gt', 'ge', 'lt', 'le'] as const;
export type Comparison = (typeof COMPARISONS)[number];

export type Literal =
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'time'; readonly value: number }
  | { readonly type: 'number'; readonly value: number }
  | { readonly type: 'boolean'; readonly value: boolean };

/** `at` is where the clause begins in the text, counted from 1. */
export type FilterTree =
  | { readonly kind: 'and' | 'or'; readonly left: FilterTree; readonly right: FilterTree }
  | {
      readonly kind: 'compare';
      readonly property: string;
      readonly comparison: Comparison;
      readonly literal: Literal;
      readonly at: number;
    }
  | { readonly kind: 'startsWith'; readonly property: string; readonly prefix: string; readonly at: number };

/** Why a filter is refused, and where. */
export class FilterSyntaxError extends Error {
  readonly column: number;

  constructor(column: number, message: string) {
    super(message);
    this.column = column;
  }
}

type Token =
  | { readonly type: 'literal'; readonly literal: Literal; readonly at: number }
  | { readonly type: 'word' | 'punctuation' | 'end'; readonly text: string; readonly at: number };

/**
 * Alternatives in order: a prefixed string (`DateTime'…'`), a plain string (`''` stands for a quote), a bare
 * moment, a number, a name or keyword, punctuation. The moment comes before the number, which is its prefix.
 */
const TOKEN =
  /\s*(?:(?:([A-Za-z]+)?'((?:[^']|'')*)')|(\d{4}-\d{2}-\d{2}(?:T[0-9:.]+)?(?:Z|[+-]\d{2}:\d{2})?)|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)(?![A-Za-z0-9_])|([A-Za-z_][A-Za-z0-9_]*(?:\/[A-Za-z_][A-Za-z0-9_]*)*)|([(),]))/y;

/** Throws `FilterSyntaxError`. */
export function parseFilter(text: string): FilterTree {
  if (text.length > FILTER_LENGTH_MAX) {
    throw new FilterSyntaxError(FILTER_LENGTH_MAX, `a filter has at most ${FILTER_LENGTH_MAX} characters`);
  }
  const parser = new Parser(tokenize(text));
  return parser.parse();
}

function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  let offset = 0;
  while (offset < end) {
    TOKEN.lastIndex = offset;
    const match = TOKEN.exec(text);
    if (match === null) throw unreadable(text, offset);
    tokens.push(tokenOf(match, offset + match[0].length - match[0].trimStart().length + 1));
    offset += match[0].length;
  }
  tokens.push({ type: 'end', text: 'the end', at: end + 1 });
  return tokens;
}

function unreadable(text: string, offset: number): FilterSyntaxError {
  const start = offset + (text.slice(offset).length - text.slice(offset).trimStart().length);
  const quoted = text.slice(start).startsWith("'");
  return new FilterSyntaxError(
    start + 1,
    quoted ? 'a string is not closed' : `unexpected '${text.charAt(start)}'`,
  );
}

function tokenOf(match: RegExpExecArray, at: number): Token {
  const [, prefix, quoted, moment, number, word, punctuation] = match;
  if (quoted !== undefined) return { type: 'literal', literal: quotedLiteral(prefix, quoted, at), at };
  if (moment !== undefined) return { type: 'literal', literal: timeLiteral(moment, at), at };
  if (number !== undefined) return { type: 'literal', literal: numberLiteral(number, at), at };
  if (word === 'true' || word === 'false') {
    return { type: 'literal', literal: { type: 'boolean', value: word === 'true' }, at };
  }
  if (word !== undefined) return { type: 'word', text: word, at };
  return { type: 'punctuation', text: punctuation ?? '', at };
}

function quotedLiteral(prefix: string | undefined, quoted: string, at: number): Literal {
  if (prefix === undefined) return { type: 'text', value: quoted.replaceAll("''", "'") };
  if (/^datetime(?:offset)?$/i.test(prefix)) return timeLiteral(quoted, at);
  throw new FilterSyntaxError(at, `no literal begins with ${prefix}'`);
}

function timeLiteral(text: string, at: number): Literal {
  const value = parseTimestamp(text);
  if (value === undefined)
    throw new FilterSyntaxError(at, `'${text}' is not a moment such as 2026-01-31T12:00:00Z`);
  return { type: 'time', value };
}

function numberLiteral(text: string, at: number): Literal {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new FilterSyntaxError(at, `${text} is out of range`);
  return { type: 'number', value };
}

/** How tightly the joins bind: `a or b and c` is `a or (b and c)`. */
const BINDING_POWER: Readonly<Record<string, number>> = { or: 1, and: 2 };

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #clauses = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): FilterTree {
    const tree = this.#expression(0, 0);
    const rest = this.#peek();
    if (rest.type !== 'end') throw this.#unexpected(rest, "'and', 'or' or the end");
    return tree;
  }

  #expression(bindingPower: number, depth: number): FilterTree {
    let left = this.#operand(depth);
    for (;;) {
      const join = this.#peek();
      const power = join.type === 'word' ? BINDING_POWER[join.text] : undefined;
      if (power === undefined || power <= bindingPower) return left;
      this.#take();
      const right = this.#expression(power, depth);
      left = { kind: power === 2 ? 'and' : 'or', left, right };
    }
  }

  #operand(depth: number): FilterTree {
    const token = this.#take();
    if (isPunctuation(token, '(')) {
      if (depth >= FILTER_DEPTH_MAX) {
        throw new FilterSyntaxError(token.at, `parentheses nest at most ${FILTER_DEPTH_MAX} deep`);
      }
      const inner = this.#expression(0, depth + 1);
      this.#expect(')');
      return inner;
    }
    if (token.type !== 'word') throw this.#unexpected(token, 'a property name');
    this.#clauses += 1;
    if (this.#clauses > FILTER_CLAUSES_MAX) {
      throw new FilterSyntaxError(token.at, `a filter has at most ${FILTER_CLAUSES_MAX} comparisons`);
    }
    return isPunctuation(this.#peek(), '(')
      ? this.#call(token.text, token.at)
      : this.#comparison(token.text, token.at);
  }

  #comparison(property: string, at: number): FilterTree {
    const operator = this.#take();
    const comparison = COMPARISONS.find((name) => operator.type === 'word' && operator.text === name);
    if (comparison === undefined) throw this.#unexpected(operator, `one of ${COMPARISONS.join(', ')}`);
    const value = this.#take();
    if (value.type !== 'literal') throw this.#unexpected(value, 'a value');
    return { kind: 'compare', property, comparison, literal: value.literal, at };
  }

  #call(name: string, at: number): FilterTree {
    if (name !== 'startswith')
      throw new FilterSyntaxError(at, `the only function is startswith, not ${name}`);
    this.#expect('(');
    const property = this.#take();
    if (property.type !== 'word') throw this.#unexpected(property, 'a property name');
    this.#expect(',');
    const prefix = this.#take();
    if (prefix.type !== 'literal' || prefix.literal.type !== 'text')
      throw this.#unexpected(prefix, 'a string');
    this.#expect(')');
    return { kind: 'startsWith', property: property.text, prefix: prefix.literal.value, at };
  }

  #expect(punctuation: string): void {
    const token = this.#take();
    if (!isPunctuation(token, punctuation)) throw this.#unexpected(token, `'${punctuation}'`);
  }

  #peek(): Token {
    return this.#tokens[Math.min(this.#next, this.#tokens.length - 1)] as Token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  #unexpected(token: Token, wanted: string): FilterSyntaxError {
    const found = token.type === 'literal' ? String(token.literal.value) : token.text;
    return new FilterSyntaxError(token.at, `expected ${wanted}, found ${found}`);
  }
}

function isPunctuation(token: Token, text: string): boolean {
  return token.type === 'punctuation' && token.text === text;
}
