/**
 * Reads a formula (Azure Batch's page "Create a formula to automatically scale compute nodes in a Batch pool"):
 *
 *     formula     = [statement] { ";" [statement] }
 *     statement   = [name "="] expression
 *     expression  = or ["?" expression ":" expression]
 *     or … unary  = the operators, from the loosest to the tightest: || && == != < <= > >= + - * / and prefix - !
 *     postfix     = primary { "." name ["(" arguments ")"] }
 *     primary     = number | string | name | name "(" arguments ")" | "(" expression ")"
 */
import {
  AUTOSCALE_DEPTH_MAX,
  AUTOSCALE_FORMULA_BYTES_MAX,
  AUTOSCALE_STATEMENTS_MAX,
} from '../../src/lib/limits.ts';
import { checkNames } from './check-names.ts';
import { FormulaError } from './formula-error.ts';
import type { BinaryOperator, Expression, Program, Statement } from './syntax.ts';
import { type Token, tokensOf } from './tokens.ts';

/** Whether the formula is longer than Azure's bound; its own error code says so. */
export function isTooLong(formula: string): boolean {
  return new TextEncoder().encode(formula).byteLength > AUTOSCALE_FORMULA_BYTES_MAX;
}

/** Throws a `FormulaError` for the first thing that no evaluation could make good: syntax, unknown names. */
export function parseFormula(source: string): Program {
  if (isTooLong(source)) {
    throw new FormulaError(source, 0, `The formula is longer than ${AUTOSCALE_FORMULA_BYTES_MAX} bytes`);
  }
  const program = { source, statements: new Parser(source).statements() };
  checkNames(program);
  return program;
}

/** From the loosest to the tightest. */
const LEVELS: readonly (readonly BinaryOperator[])[] = [
  ['||'],
  ['&&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['+', '-'],
  ['*', '/'],
];

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

class Parser {
  readonly #source: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #open = 0;

  constructor(source: string) {
    this.#source = source;
    this.#tokens = tokensOf(source);
  }

  statements(): readonly Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      while (this.#take(';') !== undefined);
      if (this.#ended) return statements;
      if (statements.length === AUTOSCALE_STATEMENTS_MAX)
        throw this.#fault(`A formula has at most ${AUTOSCALE_STATEMENTS_MAX} statements`);
      statements.push(this.#statement());
      if (!this.#ended) this.#expect(';');
    }
  }

  #statement(): Statement {
    const first = this.#next;
    const second = this.#tokens[this.#at + 1];
    let variable: string | undefined;
    if (first.kind === 'name' && second?.kind === 'symbol' && second.text === '=') {
      variable = first.text;
      this.#at += 2;
    }
    const expression = this.#expression();
    return { start: first.start, end: expression.end, variable, expression };
  }

  #expression(): Expression {
    // The bound holds while the tree is still being built: a thousand open parentheses must not use up the stack.
    this.#open += 1;
    if (this.#open > AUTOSCALE_DEPTH_MAX) throw this.#tooDeep(this.#next.start);
    const condition = this.#binary(0);
    let expression = condition;
    if (this.#take('?') !== undefined) {
      const whenTrue = this.#expression();
      this.#expect(':');
      const whenFalse = this.#expression();
      expression = this.#node(
        { kind: 'conditional', condition, whenTrue, whenFalse, start: condition.start, end: whenFalse.end },
        [condition, whenTrue, whenFalse],
      );
    }
    this.#open -= 1;
    return expression;
  }

  #binary(level: number): Expression {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = operators.find((one) => this.#take(one) !== undefined);
      if (operator === undefined) return left;
      const right = this.#binary(level + 1);
      left = this.#node({ kind: 'binary', operator, left, right, start: left.start, end: right.end }, [
        left,
        right,
      ]);
    }
  }

  #unary(): Expression {
    const token = this.#take('-') ?? this.#take('!');
    if (token === undefined) return this.#postfix();
    this.#open += 1;
    if (this.#open > AUTOSCALE_DEPTH_MAX) throw this.#tooDeep(token.start);
    const operand = this.#unary();
    this.#open -= 1;
    const operator = this.#source[token.start] === '-' ? '-' : '!';
    return this.#node({ kind: 'unary', operator, operand, start: token.start, end: operand.end }, [operand]);
  }

  #postfix(): Expression {
    let target = this.#primary();
    while (this.#take('.') !== undefined) {
      const token = this.#next;
      if (token.kind !== 'name') throw this.#unexpected('a name');
      this.#at += 1;
      const { text: name, start: nameAt } = token;
      const list = this.#arguments();
      target =
        list === undefined
          ? this.#node({ kind: 'member', target, name, nameAt, start: target.start, end: token.end }, [
              target,
            ])
          : this.#node(
              {
                kind: 'method',
                target,
                name,
                nameAt,
                arguments: list.values,
                start: target.start,
                end: list.end,
              },
              [target, ...list.values],
            );
    }
    return target;
  }

  #primary(): Expression {
    const token = this.#next;
    const { start, end } = token;
    switch (token.kind) {
      case 'number':
        this.#at += 1;
        return { kind: 'number', value: token.value, start, end, depth: 1 };
      case 'string':
        this.#at += 1;
        return { kind: 'string', text: token.text, start, end, depth: 1 };
      case 'name': {
        this.#at += 1;
        const list = this.#arguments();
        if (list === undefined) return { kind: 'name', name: token.text, start, end, depth: 1 };
        return this.#node(
          { kind: 'call', name: token.text, arguments: list.values, start, end: list.end },
          list.values,
        );
      }
      default: {
        if (this.#take('(') === undefined) throw this.#unexpected('a value');
        const inner = this.#expression();
        const close = this.#expect(')');
        return { ...inner, start, end: close.end };
      }
    }
  }

  /** Undefined where no parenthesis follows. */
  #arguments(): { readonly values: readonly Expression[]; readonly end: number } | undefined {
    if (this.#take('(') === undefined) return undefined;
    const values: Expression[] = [];
    const empty = this.#take(')');
    if (empty !== undefined) return { values, end: empty.end };
    do values.push(this.#expression());
    while (this.#take(',') !== undefined);
    return { values, end: this.#expect(')').end };
  }

  /** A long chain of operators is a deep tree too. */
  #node(node: Without<Expression, 'depth'>, children: readonly Expression[]): Expression {
    const depth = 1 + Math.max(0, ...children.map((child) => child.depth));
    if (depth > AUTOSCALE_DEPTH_MAX) throw this.#tooDeep(node.start);
    return { ...node, depth };
  }

  get #ended(): boolean {
    return this.#next.kind === 'end';
  }

  get #next(): Token {
    const token = this.#tokens[this.#at] ?? this.#tokens[this.#tokens.length - 1];
    if (token === undefined) throw new FormulaError(this.#source, 0, 'The formula is empty');
    return token;
  }

  #take(symbol: string): Token | undefined {
    const token = this.#next;
    if (token.kind !== 'symbol' || token.text !== symbol) return undefined;
    this.#at += 1;
    return token;
  }

  #expect(symbol: string): Token {
    const token = this.#take(symbol);
    if (token === undefined) throw this.#unexpected(`'${symbol}'`);
    return token;
  }

  #unexpected(wanted: string): FormulaError {
    const { kind, start, end } = this.#next;
    const found = kind === 'end' ? 'the formula ends' : `there is '${this.#source.slice(start, end)}'`;
    return this.#fault(`Expected ${wanted}, but ${found}`);
  }

  #tooDeep(at: number): FormulaError {
    return new FormulaError(
      this.#source,
      at,
      `The expression is nested more than ${AUTOSCALE_DEPTH_MAX} levels deep`,
    );
  }

  #fault(reason: string): FormulaError {
    return new FormulaError(this.#source, this.#next.start, reason);
  }
}
