/**
 * Evaluates a formula that was read. Its cost is bounded: statements run once each, from the first to the last; a vector
 * has no more elements than samples are kept; and every node of the tree and every element counts as a step.
 */
import {
  AUTOSCALE_READS_SHOWN_MAX,
  AUTOSCALE_RESULTS_LENGTH_MAX,
  AUTOSCALE_SAMPLE_PERIOD_MS,
  AUTOSCALE_STEPS_MAX,
  AUTOSCALE_VALUES_SHOWN_MAX,
  POOL_NODES_MAX,
} from '../../src/lib/limits.ts';
import { Prng } from '../../src/lib/prng.ts';
import type { AutoScaleRead, AutoScaleStatement, AutoScaleTargets } from '../../src/model/autoscale.ts';
import { FormulaError, placeOf } from './formula-error.ts';
import { callFunction, momentOf } from './functions.ts';
import { TIMESTAMP_MEMBERS } from './members.ts';
import { binary, holds, unary } from './operators.ts';
import { parseFormula } from './parser.ts';
import type { SampleView } from './samples.ts';
import type { Expression, Program, Statement } from './syntax.ts';
import {
  double,
  doubleVec,
  type Fail,
  printed,
  timeinterval,
  timestamp,
  truth,
  type Value,
} from './values.ts';
import {
  ALIASES,
  DEALLOCATION_OPTION,
  deallocationOptionOf,
  intervalOf,
  isPredefined,
  metricsOf,
  TARGET_DEDICATED,
  TARGET_LOW_PRIORITY,
} from './variables.ts';

export interface EvaluationInput {
  readonly nowMs: number;
  /** Of `rand()`. */
  readonly seed: number;
  readonly samples: SampleView;
  /** As they are before this evaluation. */
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
}

export interface Evaluation {
  /** What the pool should become; where the formula failed, what it is. */
  readonly targets: AutoScaleTargets;
  /** As Azure Batch says it in an autoScaleRun: `$TargetDedicatedNodes=3;…`. */
  readonly results: string;
  /** Those that were evaluated, in order. */
  readonly statements: readonly AutoScaleStatement[];
  readonly error?: FormulaError;
}

/** Reads and evaluates. Never throws: what is wrong with the formula is in the answer. */
export function evaluateFormula(source: string, input: EvaluationInput): Evaluation {
  try {
    return evaluateProgram(parseFormula(source), input);
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error;
    return failed(input, [], error);
  }
}

export function evaluateProgram(program: Program, input: EvaluationInput): Evaluation {
  const evaluator = new Evaluator(program, input);
  try {
    return evaluator.run();
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error;
    return failed(input, evaluator.trace, error);
  }
}

function failed(
  { targetDedicatedNodes, targetLowPriorityNodes }: EvaluationInput,
  statements: readonly AutoScaleStatement[],
  error: FormulaError,
): Evaluation {
  const targets = {
    targetDedicatedNodes,
    targetLowPriorityNodes,
    nodeDeallocationOption: 'requeue',
  } as const;
  return { targets, results: resultsOf(targets, new Map()), statements, error };
}

/** Thrown by `stop()`: what was set so far counts. */
class Stopped {}

class Evaluator {
  readonly trace: AutoScaleStatement[] = [];
  readonly #program: Program;
  readonly #input: EvaluationInput;
  readonly #variables = new Map<string, Value>();
  readonly #random: Prng;
  #reads: AutoScaleRead[] = [];
  #stepsLeft = AUTOSCALE_STEPS_MAX;

  constructor(program: Program, input: EvaluationInput) {
    this.#program = program;
    this.#input = input;
    this.#random = new Prng(input.seed);
  }

  run(): Evaluation {
    try {
      for (const statement of this.#program.statements) this.#execute(statement);
    } catch (thrown) {
      if (!(thrown instanceof Stopped)) throw thrown;
    }
    const targets = this.#targets();
    const own = new Map([...this.#variables].filter(([name]) => !isPredefined(name)));
    return { targets, results: resultsOf(targets, own), statements: this.trace };
  }

  #execute({ start, end, variable, expression }: Statement): void {
    this.#reads = [];
    const fail = this.#failAt(start);
    const value = this.#settled(this.#evaluate(expression), fail);
    if (variable !== undefined) this.#variables.set(variable, this.#assignable(variable, value, fail));
    this.trace.push({
      line: placeOf(this.#program.source, start).line,
      text: this.#program.source.slice(start, end),
      value: printed(value),
      ...(variable === undefined ? {} : { variable }),
      reads: this.#reads,
    });
  }

  #assignable(variable: string, value: Value, fail: Fail): Value {
    if (variable === DEALLOCATION_OPTION) {
      if (value.kind === 'string' && deallocationOptionOf(value.text) !== undefined) return value;
      return fail(`${variable} is one of requeue, terminate, taskcompletion and retaineddata`);
    }
    if (isPredefined(variable) && value.kind !== 'double')
      return fail(`${variable} is a number, not a ${value.kind}`);
    return value;
  }

  #targets(): AutoScaleTargets {
    const { targetDedicatedNodes, targetLowPriorityNodes } = this.#input;
    const option = this.#variables.get(DEALLOCATION_OPTION);
    return {
      targetDedicatedNodes: nodesOf(this.#assigned(TARGET_DEDICATED), targetDedicatedNodes),
      targetLowPriorityNodes: nodesOf(this.#assigned(TARGET_LOW_PRIORITY), targetLowPriorityNodes),
      nodeDeallocationOption:
        (option?.kind === 'string' ? deallocationOptionOf(option.text) : undefined) ?? 'requeue',
    };
  }

  /** Under its full name, else under its alias. */
  #assigned(name: string): Value | undefined {
    const alias = Object.keys(ALIASES).find((one) => ALIASES[one] === name);
    return this.#variables.get(name) ?? (alias === undefined ? undefined : this.#variables.get(alias));
  }

  // --- Expressions --------------------------------------------------------------------------------------------------

  /** A number where the expression is a sampled variable: its newest sample. */
  #number(expression: Expression): Value {
    return this.#settled(this.#evaluate(expression), this.#failAt(expression.start), expression);
  }

  #evaluate(expression: Expression): Value {
    const fail = this.#failAt(expression.start);
    this.#spend(1, fail);
    switch (expression.kind) {
      case 'number':
        return { kind: 'double', value: expression.value };
      case 'string':
        return { kind: 'string', text: expression.text };
      case 'name':
        return this.#named(expression.name, fail);
      case 'unary':
        return unary(expression.operator, this.#number(expression.operand), fail);
      case 'binary':
        return this.#binary(expression, fail);
      case 'conditional':
        return holds(this.#number(expression.condition), fail)
          ? this.#evaluate(expression.whenTrue)
          : this.#evaluate(expression.whenFalse);
      case 'call':
        return this.#call(expression, fail);
      case 'method':
        return this.#method(expression, fail);
      case 'member': {
        const target = this.#evaluate(expression.target);
        if (target.kind !== 'timestamp') return fail(`A ${target.kind} has no ${expression.name}`);
        const member = TIMESTAMP_MEMBERS[expression.name];
        return member === undefined
          ? fail(`Undefined symbol: ${expression.name}`)
          : double(member(new Date(target.ms)), fail);
      }
    }
  }

  #named(name: string, fail: Fail): Value {
    const known = this.#variables.get(name);
    if (known !== undefined) return known;
    const interval = intervalOf(name);
    if (interval !== undefined) return timeinterval(interval, fail);
    if (metricsOf(name) !== undefined) return { kind: 'samples', variable: name };
    const full = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
    if (full === TARGET_DEDICATED || full === TARGET_LOW_PRIORITY) {
      const { targetDedicatedNodes, targetLowPriorityNodes } = this.#input;
      const current = full === TARGET_DEDICATED ? targetDedicatedNodes : targetLowPriorityNodes;
      return this.#assigned(full) ?? double(current, fail);
    }
    if (name === DEALLOCATION_OPTION) return { kind: 'string', text: 'requeue' };
    const option = deallocationOptionOf(name);
    return option === undefined ? fail(`Undefined symbol: ${name}`) : { kind: 'string', text: option };
  }

  #binary(expression: Extract<Expression, { kind: 'binary' }>, fail: Fail): Value {
    const { operator } = expression;
    const left = this.#number(expression.left);
    if (operator === '&&' || operator === '||') {
      const first = holds(left, fail);
      if (first === (operator === '||')) return truth(first);
      return truth(holds(this.#number(expression.right), fail));
    }
    const value = binary(operator, left, this.#number(expression.right), fail);
    this.#spend(sizeOf(value), fail);
    return value;
  }

  #call(expression: Extract<Expression, { kind: 'call' }>, fail: Fail): Value {
    const list = expression.arguments.map((argument) => this.#number(argument));
    this.#spend(
      list.reduce((total, value) => total + sizeOf(value), 0),
      fail,
    );
    switch (expression.name) {
      case 'stop':
        throw new Stopped();
      case 'rand':
        return double(this.#random.next(), fail);
      case 'time': {
        const [text] = list;
        if (text === undefined) return timestamp(this.#input.nowMs, fail);
        if (text.kind !== 'string') return fail(`time takes a text, not a ${text.kind}`);
        return timestamp(text.text === '' ? this.#input.nowMs : momentOf(text.text, fail), fail);
      }
      default:
        return callFunction(expression.name, list, fail);
    }
  }

  // --- Samples ------------------------------------------------------------------------------------------------------

  #method(expression: Extract<Expression, { kind: 'method' }>, fail: Fail): Value {
    const target = this.#evaluate(expression.target);
    const { name } = expression;
    if (target.kind !== 'samples') return fail(`A ${target.kind} has no ${name}`);
    const list = expression.arguments.map((argument) => this.#number(argument));
    const { samples } = this.#input;
    const { variable } = target;
    switch (name) {
      case 'GetSample':
        return this.#getSample(expression, variable, list, fail);
      case 'GetSamplePercent': {
        const [from, to] = this.#window(list, fail);
        return double(samples.percent(variable, from, to), fail);
      }
      case 'GetSamplePeriod':
        return timeinterval(AUTOSCALE_SAMPLE_PERIOD_MS, fail);
      case 'Count':
        return double(samples.count(variable), fail);
      case 'HistoryBeginTime':
        if (samples.count(variable) === 0) return this.#insufficient(variable, 0, fail);
        return timestamp(samples.beginMs(variable), fail);
      default:
        return fail(`Undefined function: ${name}`);
    }
  }

  #getSample(expression: Expression, variable: string, list: readonly Value[], fail: Fail): Value {
    const { samples } = this.#input;
    const [first] = list;
    let values: readonly number[];
    if (first?.kind === 'double') {
      if (list.length > 1) return fail('GetSample takes a count alone, or a time with a percentage');
      if (first.value < 1) return fail('GetSample takes a count of at least 1');
      values = samples.last(variable, Math.trunc(first.value));
    } else {
      const wanted = list[list.length - 1];
      const isShare = list.length > 1 && wanted?.kind === 'double';
      const [from, to] = this.#window(isShare ? list.slice(0, -1) : list, fail);
      if (isShare && samples.percent(variable, from, to) < wanted.value)
        return this.#insufficient(variable, wanted.value, fail, samples.percent(variable, from, to));
      values = samples.between(variable, from, to);
    }
    if (values.length === 0) return this.#insufficient(variable, 0, fail);
    this.#spend(values.length, fail);
    this.#note(expression, variable, values);
    return doubleVec(values, fail);
  }

  /** From when to when: a timestamp is a moment, an interval looks back from now; in either order. */
  #window(list: readonly Value[], fail: Fail): readonly [number, number] {
    const { nowMs } = this.#input;
    const moments = list.map((value) => {
      if (value.kind === 'timestamp') return value.ms;
      if (value.kind === 'timeinterval') return nowMs - value.ms;
      return fail(`The time of a sample is a timestamp or a timeinterval, not a ${value.kind}`);
    });
    const [start = nowMs, end = nowMs, more] = moments;
    if (more !== undefined) return fail('GetSample takes two times and a percentage');
    return start <= end ? [start, end] : [end, start];
  }

  #insufficient(variable: string, wanted: number, fail: Fail, received = 0): never {
    const least = wanted === 0 ? 'one sample' : `${wanted}%`;
    return fail(
      `Insufficient data from data set: ${variable} wanted ${least}, received ${Math.floor(received)}%`,
    );
  }

  /** A sampled variable where a number is wanted is its newest sample. */
  #settled(value: Value, fail: Fail, expression?: Expression): Value {
    if (value.kind !== 'samples') return value;
    const latest = this.#input.samples.latest(value.variable);
    if (latest === undefined) return this.#insufficient(value.variable, 0, fail);
    this.#note(expression, value.variable, [latest]);
    return double(latest, fail);
  }

  #note(expression: Expression | undefined, variable: string, values: readonly number[]): void {
    if (this.#reads.length >= AUTOSCALE_READS_SHOWN_MAX) return;
    const { source } = this.#program;
    this.#reads.push({
      text: expression === undefined ? variable : source.slice(expression.start, expression.end),
      variable,
      count: values.length,
      newest: values.slice(-AUTOSCALE_VALUES_SHOWN_MAX),
    });
  }

  // ------------------------------------------------------------------------------------------------------------------

  #failAt(offset: number): Fail {
    return (reason) => {
      throw new FormulaError(this.#program.source, offset, reason);
    };
  }

  #spend(steps: number, fail: Fail): void {
    this.#stepsLeft -= steps;
    if (this.#stepsLeft < 0) fail(`The formula takes more than ${AUTOSCALE_STEPS_MAX} steps`);
  }
}

function sizeOf(value: Value): number {
  return value.kind === 'doubleVec' ? value.values.length : 1;
}

/** Truncated, and within what a pool may ask for (S18). */
function nodesOf(value: Value | undefined, current: number): number {
  if (value?.kind !== 'double') return current;
  // `+ 0`: no negative zero in results.
  return Math.min(POOL_NODES_MAX, Math.max(0, Math.trunc(value.value))) + 0;
}

/** Targets first, then the option, then the formula's own variables by name, as far as there is room. */
function resultsOf(targets: AutoScaleTargets, own: ReadonlyMap<string, Value>): string {
  const parts = [
    `${TARGET_DEDICATED}=${targets.targetDedicatedNodes}`,
    `${TARGET_LOW_PRIORITY}=${targets.targetLowPriorityNodes}`,
    `${DEALLOCATION_OPTION}=${targets.nodeDeallocationOption}`,
  ];
  let length = parts.join(';').length;
  for (const name of [...own.keys()].sort()) {
    const value = own.get(name);
    if (value === undefined) continue;
    const part = `${name}=${printed(value)}`;
    length += part.length + 1;
    if (length > AUTOSCALE_RESULTS_LENGTH_MAX) break;
    parts.push(part);
  }
  return parts.join(';');
}
