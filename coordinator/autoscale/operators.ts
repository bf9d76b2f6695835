/** What operators do with values, by Azure's table of operations; anything else is refused by type. */
import type { BinaryOperator } from './syntax.ts';
import { double, doubleVec, type Fail, timeinterval, timestamp, truth, type Value } from './values.ts';

type Arithmetic = '+' | '-' | '*' | '/';
/** `&&` and `||` are not here: they may leave their right side unevaluated. */
export type EagerOperator = Exclude<BinaryOperator, '&&' | '||'>;

export function binary(operator: EagerOperator, left: Value, right: Value, fail: Fail): Value {
  if (operator === '+' || operator === '-' || operator === '*' || operator === '/')
    return arithmetic(operator, left, right, fail);
  const order = compared(left, right) ?? mismatch(operator, left, right, fail);
  switch (operator) {
    case '==':
      return truth(order === 0);
    case '!=':
      return truth(order !== 0);
    case '<':
      return truth(order < 0);
    case '<=':
      return truth(order <= 0);
    case '>':
      return truth(order > 0);
    case '>=':
      return truth(order >= 0);
  }
}

export function unary(operator: '-' | '!', operand: Value, fail: Fail): Value {
  if (operand.kind === 'double')
    return operator === '!' ? truth(operand.value === 0) : double(0 - operand.value, fail);
  if (operator === '-' && operand.kind === 'timeinterval') return timeinterval(0 - operand.ms, fail);
  return fail(`The operator ${operator} does not take a ${operand.kind}`);
}

/** Whether a condition holds: any number but zero. */
export function holds(value: Value, fail: Fail): boolean {
  return value.kind === 'double' ? value.value !== 0 : fail(`A condition is a number, not a ${value.kind}`);
}

/** Below, at or above zero; undefined where the two cannot be compared. */
function compared(left: Value, right: Value): number | undefined {
  if (left.kind === 'double' && right.kind === 'double') return left.value - right.value;
  if (left.kind === 'string' && right.kind === 'string')
    return left.text === right.text ? 0 : left.text < right.text ? -1 : 1;
  if (left.kind === 'timestamp' && right.kind === 'timestamp') return left.ms - right.ms;
  if (left.kind === 'timeinterval' && right.kind === 'timeinterval') return left.ms - right.ms;
  return undefined;
}

function arithmetic(operator: Arithmetic, left: Value, right: Value, fail: Fail): Value {
  if (left.kind === 'double' && right.kind === 'double')
    return double(computed(operator, left.value, right.value, fail), fail);
  if (left.kind === 'doubleVec' && (right.kind === 'double' || right.kind === 'doubleVec'))
    return vectors(operator, left.values, right, fail);
  return ofTime(operator, left, right, fail) ?? mismatch(operator, left, right, fail);
}

function vectors(
  operator: Arithmetic,
  left: readonly number[],
  right: Extract<Value, { kind: 'double' | 'doubleVec' }>,
  fail: Fail,
): Value {
  if (right.kind === 'double')
    return doubleVec(
      left.map((value) => computed(operator, value, right.value, fail)),
      fail,
    );
  const { values } = right;
  if (values.length !== left.length)
    return fail(`The vectors have ${left.length} and ${values.length} elements`);
  return doubleVec(
    left.map((value, at) => computed(operator, value, values[at] ?? 0, fail)),
    fail,
  );
}

function ofTime(operator: Arithmetic, left: Value, right: Value, fail: Fail): Value | undefined {
  const adds = operator === '+' || operator === '-';
  if (left.kind === 'timeinterval' && right.kind === 'timeinterval' && adds)
    return timeinterval(computed(operator, left.ms, right.ms, fail), fail);
  if (left.kind === 'timestamp' && right.kind === 'timeinterval' && adds)
    return timestamp(computed(operator, left.ms, right.ms, fail), fail);
  if (left.kind === 'timeinterval' && right.kind === 'timestamp' && operator === '+')
    return timestamp(left.ms + right.ms, fail);
  if (left.kind === 'timestamp' && right.kind === 'timestamp' && operator === '-')
    return timeinterval(left.ms - right.ms, fail);
  if (left.kind === 'timeinterval' && right.kind === 'double' && !adds)
    return timeinterval(computed(operator, left.ms, right.value, fail), fail);
  if (left.kind === 'double' && right.kind === 'timeinterval' && operator === '*')
    return timeinterval(left.value * right.ms, fail);
  return undefined;
}

function computed(operator: Arithmetic, left: number, right: number, fail: Fail): number {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return right === 0 ? fail('Division by zero') : left / right;
  }
}

function mismatch(operator: string, left: Value, right: Value, fail: Fail): never {
  return fail(`The operator ${operator} does not take a ${left.kind} and a ${right.kind}`);
}
