/** docs/autoscale.md says what the code does. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FUNCTION_NAMES } from '../../../coordinator/autoscale/functions.ts';
import { SAMPLE_METHODS, TIMESTAMP_MEMBERS } from '../../../coordinator/autoscale/members.ts';
import { nodesFor } from '../../../coordinator/autoscale/nodes-for.ts';
import { SAMPLED_VARIABLES, WRITABLE } from '../../../coordinator/autoscale/variables.ts';
import { evaluated, repeated } from './evaluating.ts';

const text = readFileSync(new URL('../../../docs/autoscale.md', import.meta.url), 'utf8');

/** The pool that the document describes. */
const POOL = {
  runningTasks: 6,
  runningTaskSlots: 6,
  activeTasks: 14,
  activeTaskSlots: 22,
  taskSlotsPerNode: 4,
  currentDedicatedNodes: 3,
  usableNodes: 3,
  nodesForPendingTasks: nodesFor(
    new Map([
      [1, 16],
      [3, 4],
    ]),
    4,
  ),
};
const SITUATION = {
  present: POOL,
  past: repeated(120, POOL),
  dedicated: 3,
  nowMs: Date.parse('2026-11-21T11:20:00Z'),
};

const examples = [...text.matchAll(/```formula\n([^`]*)```\n\n```results\n([^`]*)\n```/g)];

describe('docs/autoscale.md', () => {
  test('has a result for every formula', () => {
    expect(examples.length).toBeGreaterThanOrEqual(5);
    expect(examples.length).toBe(text.split('```formula').length - 1);
  });

  test.each(examples.map(([, formula = '', results = '']) => [formula, results]))(
    '%s',
    (formula, results) => {
      const evaluation = evaluated(formula, SITUATION);
      expect(evaluation.error?.message ?? evaluation.results).toBe(results);
    },
  );

  test('names every variable, function, method and member', () => {
    const names = [
      ...SAMPLED_VARIABLES,
      ...WRITABLE,
      ...FUNCTION_NAMES,
      ...Object.keys(SAMPLE_METHODS),
      ...Object.keys(TIMESTAMP_MEMBERS),
    ];
    const missing = names.filter((name) => !new RegExp(`\`${name.replace('$', '\\$')}[\`(]`).test(text));
    expect(missing).toEqual([]);
  });
});
