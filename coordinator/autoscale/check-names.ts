/**
 * Names that can be judged without a pool: statements run from the first to the last and nothing jumps, so a name that
 * no earlier statement set is not set.
 */
import { FormulaError } from './formula-error.ts';
import { arityOf } from './functions.ts';
import { SAMPLE_METHODS, TIMESTAMP_MEMBERS } from './members.ts';
import type { Expression, Program } from './syntax.ts';
import { isPredefined, WRITABLE } from './variables.ts';

/** Throws a `FormulaError` for the first name that is unknown or may not be set, or call with too few or too many arguments. */
export function checkNames({ source, statements }: Program): void {
  const known = new Set<string>();
  for (const { variable, expression, start } of statements) {
    checkExpression(source, expression, known);
    if (variable === undefined) continue;
    if (isPredefined(variable) && !WRITABLE.has(variable))
      throw new FormulaError(source, start, `${variable} can only be read`);
    known.add(variable);
  }
}

function checkExpression(source: string, expression: Expression, known: ReadonlySet<string>): void {
  for (const child of childrenOf(expression)) checkExpression(source, child, known);
  switch (expression.kind) {
    case 'name':
      if (!known.has(expression.name) && !isPredefined(expression.name))
        throw new FormulaError(source, expression.start, `Undefined symbol: ${expression.name}`);
      break;
    case 'call':
      checkCall(source, expression.name, expression.start, expression.arguments, arityOf(expression.name));
      break;
    case 'method': {
      const { name, nameAt } = expression;
      const arity = Object.hasOwn(SAMPLE_METHODS, name) ? SAMPLE_METHODS[name] : undefined;
      checkCall(source, name, nameAt, expression.arguments, arity);
      break;
    }
    case 'member':
      if (!Object.hasOwn(TIMESTAMP_MEMBERS, expression.name))
        throw new FormulaError(source, expression.nameAt, `Undefined symbol: ${expression.name}`);
      break;
    default:
      break;
  }
}

function checkCall(
  source: string,
  name: string,
  at: number,
  list: readonly Expression[],
  arity: readonly [number, number] | undefined,
): void {
  if (arity === undefined) throw new FormulaError(source, at, `Undefined function: ${name}`);
  const [least, most] = arity;
  if (list.length >= least && list.length <= most) return;
  const wanted =
    least === most ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
  throw new FormulaError(source, at, `${name} takes ${wanted} arguments, not ${list.length}`);
}

function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'unary':
      return [expression.operand];
    case 'binary':
      return [expression.left, expression.right];
    case 'conditional':
      return [expression.condition, expression.whenTrue, expression.whenFalse];
    case 'call':
      return expression.arguments;
    case 'method':
      return [expression.target, ...expression.arguments];
    case 'member':
      return [expression.target];
    default:
      return [];
  }
}
