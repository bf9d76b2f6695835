/** Whatever the formula: an answer, in bounded time, and targets within bounds. */

import { expect, test } from 'vitest';
import { type Evaluation, evaluateFormula } from '../../../coordinator/autoscale/evaluate.ts';
import { fc } from '../../support/properties.ts';
import { NOW_MS, repeated, viewOf } from './evaluating.ts';

const past = repeated(480, { activeTasks: 3, runningTasks: 1, usableNodes: 2, taskSlotsPerNode: 4 });

const samples = viewOf({ past });

function evaluated(source: string, seed: number): Evaluation {
  return evaluateFormula(source, {
    nowMs: NOW_MS,
    seed,
    samples,
    targetDedicatedNodes: 7,
    targetLowPriorityNodes: 1,
  });
}

const fragment = fc.constantFrom(
  ...'+ - * / < <= == != >= > && || ! ? : = ( ) , ; . // " \' $ % [ ] { } \n 1e308 0 1 0.5 .5 480 x y'.split(
    ' ',
  ),
  ...'$x $PendingTasks $CPUPercent $TargetDedicatedNodes $NodeDeallocationOption requeue'.split(' '),
  ...'GetSample GetSamplePercent Count HistoryBeginTime time() TimeInterval_Minute TimeInterval_Year'.split(
    ' ',
  ),
  ...'avg( sum( percentile( val( lg( rand() stop() vec( time( hour weekday "2026-01-01" \u0000 é 😀'.split(
    ' ',
  ),
);

const leaf = fc.constantFrom(
  ...'0 1 2.5 1e300 $PendingTasks $TaskSlotsPerNode $CPUPercent $TargetDedicatedNodes time() "a" requeue'.split(
    ' ',
  ),
  ...'TimeInterval_Minute rand() stop() a b $ActiveTasks.GetSample(480)'.split(' '),
  '$ActiveTasks.GetSample(TimeInterval_Hour, 50)',
  'time().hour',
);
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 6, depthSize: 'small' },
    leaf,
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom('+', '-', '*', '/', '<', '==', '>=', '&&', '||'),
        tie('expression'),
      )
      .map(([left, operator, right]) => `(${left} ${operator} ${right})`),
    fc.tuple(fc.constantFrom('-', '!'), tie('expression')).map(([sign, operand]) => `${sign}${operand}`),
    fc
      .tuple(tie('expression'), tie('expression'), tie('expression'))
      .map(([condition, yes, no]) => `(${condition} ? ${yes} : ${no})`),
    fc
      .tuple(
        fc.constantFrom('avg', 'sum', 'max', 'std', 'vec', 'lg', 'round', 'len', 'norm'),
        fc.array(tie('expression'), { minLength: 1, maxLength: 4 }),
      )
      .map(([name, list]) => `${name}(${list.join(', ')})`),
    fc
      .tuple(fc.constantFrom('percentile', 'val'), tie('expression'), tie('expression'))
      .map(([name, vector, number]) => `${name}(${vector}, ${number})`),
  ),
}));
const formula = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'a',
        'b',
        '$TargetDedicatedNodes',
        '$TargetLowPriorityNodes',
        '$NodeDeallocationOption',
      ),
      expression,
    ),
    { maxLength: 8 },
  )
  .map(
    (statements) => `a = 1; b = 2; ${statements.map(([name, value]) => `${name} = ${value}`).join(';\n')}`,
  );

function expectSound(source: string, seed: number): void {
  const { targets, results, error } = evaluated(source, seed);
  for (const nodes of [targets.targetDedicatedNodes, targets.targetLowPriorityNodes]) {
    expect(Number.isInteger(nodes)).toBe(true);
    expect(nodes).toBeGreaterThanOrEqual(0);
    expect(nodes).toBeLessThanOrEqual(100_000);
  }
  expect(results).toMatch(
    /^\$TargetDedicatedNodes=\d+;\$TargetLowPriorityNodes=\d+;\$NodeDeallocationOption=[a-z]+/,
  );
  expect(results).not.toMatch(/NaN|Infinity|undefined/);
  expect(results.length).toBeLessThanOrEqual(4_096);
  if (error === undefined) return;
  expect(error.message).toMatch(/^Line \d+, Col \d+: /);
  expect(targets).toMatchObject({ targetDedicatedNodes: 7, targetLowPriorityNodes: 1 });
}

test('any text has an answer', () => {
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 60 }), fc.constantFrom('', ' '), (parts, gap) => {
      expectSound(parts.join(gap), 1);
    }),
    { numRuns: 1_000 },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (source) => expectSound(source, 1)),
    { numRuns: 500 },
  );
});

test('any formula that can be read has an answer, and the same one again', () => {
  let evaluatedWithout = 0;
  fc.assert(
    fc.property(formula, fc.integer(), (source, seed) => {
      expectSound(source, seed);
      const first = evaluated(source, seed);
      expect(evaluated(source, seed)).toEqual(first);
      if (first.error === undefined) evaluatedWithout += 1;
    }),
    { numRuns: 1_000 },
  );
  // The generator would prove little if most of what it makes were refused.
  expect(evaluatedWithout).toBeGreaterThan(150);
});
