/** The functions of the formula language that take values and give one. `rand`, `time` and `stop` need more: see evaluate.ts. */
import { parseTimestamp } from '../../src/lib/timestamps.ts';
import { double, doubleVec, type Fail, type Value } from './values.ts';

interface Definition {
  /** Fewest and most arguments. */
  readonly arity: readonly [number, number];
  readonly apply: (list: readonly Value[], fail: Fail) => Value;
}

const ANY: readonly [number, number] = [1, Number.POSITIVE_INFINITY];

const FUNCTIONS: Readonly<Record<string, Definition>> = {
  avg: ofList((values) => sum(values) / values.length),
  len: ofList((values) => values.length, 'may be empty'),
  max: ofList((values) => values.reduce((most, value) => Math.max(most, value))),
  min: ofList((values) => values.reduce((least, value) => Math.min(least, value))),
  norm: ofList((values) => Math.sqrt(sum(values.map((value) => value * value))), 'may be empty'),
  range: ofList(
    (values) =>
      values.reduce((most, value) => Math.max(most, value)) -
      values.reduce((least, value) => Math.min(least, value)),
  ),
  std: ofList(standardDeviation),
  sum: ofList(sum, 'may be empty'),
  vec: { arity: ANY, apply: (list, fail) => doubleVec(flattened('vec', list, fail), fail) },
  lg: byComponent('lg', Math.log2),
  ln: byComponent('ln', Math.log),
  log: byComponent('log', Math.log10),
  ceil: byComponent('ceil', Math.ceil),
  floor: byComponent('floor', Math.floor),
  round: byComponent('round', Math.round),
  percentile: { arity: [2, 2], apply: percentile },
  val: { arity: [2, 2], apply: elementAt },
};

const OTHERS: Readonly<Record<string, readonly [number, number]>> = {
  rand: [0, 0],
  stop: [0, 0],
  time: [0, 1],
};

export const FUNCTION_NAMES: readonly string[] = [...Object.keys(FUNCTIONS), ...Object.keys(OTHERS)];

/** Fewest and most arguments; undefined where there is no such function. */
export function arityOf(name: string): readonly [number, number] | undefined {
  if (Object.hasOwn(OTHERS, name)) return OTHERS[name];
  return Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name]?.arity : undefined;
}

export function callFunction(name: string, list: readonly Value[], fail: Fail): Value {
  const definition = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return definition === undefined ? fail(`Undefined function: ${name}`) : definition.apply(list, fail);
}

/** A moment in one of the forms that Azure names: W3C-DTF (a profile of ISO 8601) or RFC 1123. */
export function momentOf(text: string, fail: Fail): number {
  const iso = parseTimestamp(text.trim());
  if (iso !== undefined) return iso;
  const rfc1123 = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text.trim())
    ? Date.parse(text.trim())
    : Number.NaN;
  return Number.isNaN(rfc1123)
    ? fail(`${JSON.stringify(text)} is no time such as 2026-11-21T08:00:00Z or Sat, 21 Nov 2026 08:00:00 GMT`)
    : rfc1123;
}

/** A doubleVecList: numbers and vectors in any order, as one vector. */
function flattened(name: string, list: readonly Value[], fail: Fail): readonly number[] {
  return list.flatMap((value) => {
    if (value.kind === 'double') return [value.value];
    if (value.kind === 'doubleVec') return value.values;
    return fail(`${name} takes numbers and vectors, not a ${value.kind}`);
  });
}

function ofList(compute: (values: readonly number[]) => number, empty?: 'may be empty'): Definition {
  return {
    arity: ANY,
    apply: (list, fail) => {
      const values = flattened('The function', list, fail);
      if (values.length === 0 && empty === undefined) fail('The function takes at least one number');
      return double(compute(values), fail);
    },
  };
}

/** Of one number a number, of a vector (or several arguments) a vector. */
function byComponent(name: string, compute: (value: number) => number): Definition {
  return {
    arity: ANY,
    apply: (list, fail) => {
      const [only] = list;
      if (list.length === 1 && only?.kind === 'double') return double(compute(only.value), fail);
      return doubleVec(flattened(name, list, fail).map(compute), fail);
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Of a sample: divided by n - 1. One value alone does not deviate. */
function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const mean = sum(values) / values.length;
  return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1));
}

/** Between two elements the value lies on the line that joins them. */
function percentile([vector, share]: readonly Value[], fail: Fail): Value {
  if (vector?.kind !== 'doubleVec' || share?.kind !== 'double')
    return fail('percentile takes a vector and a number');
  if (share.value < 0 || share.value > 100) return fail('A percentile lies between 0 and 100');
  const sorted = [...vector.values].sort((a, b) => a - b);
  const place = ((sorted.length - 1) * share.value) / 100;
  const below = sorted[Math.floor(place)];
  const above = sorted[Math.ceil(place)];
  if (below === undefined || above === undefined) return fail('percentile takes at least one number');
  return double(below + (above - below) * (place - Math.floor(place)), fail);
}

function elementAt([vector, index]: readonly Value[], fail: Fail): Value {
  if (vector?.kind !== 'doubleVec' || index?.kind !== 'double')
    return fail('val takes a vector and the number of an element');
  const value = vector.values[Math.trunc(index.value)];
  return value === undefined
    ? fail(`The vector has ${vector.values.length} elements, and none at ${index.value}`)
    : double(value, fail);
}
