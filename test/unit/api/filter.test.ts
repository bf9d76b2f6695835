import { describe, expect, test } from 'vitest';
import { ShoalError } from '../../../src/lib/errors.ts';
import { FILTER_CLAUSES_MAX, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX } from '../../../src/lib/limits.ts';
import { compileFilter, type FilterKind, filterableProperties } from '../../../src/model/filter.ts';
import { fc } from '../../support/properties.ts';
import { aTask } from './entities.ts';

function refusal(kind: FilterKind, text: string): string {
  try {
    compileFilter(kind, text);
  } catch (thrown) {
    if (thrown instanceof ShoalError && thrown.code === 'InvalidQueryParameterValue')
      return thrown.values.Reason ?? '';
    throw thrown;
  }
  throw new Error(`accepted: ${text}`);
}

const task = aTask({
  spec: { id: 'Render-7', commandLine: 'true' },
  state: 'completed',
  creationTimeMs: Date.parse('2026-05-08T08:49:37Z'),
  exitCode: -9,
  result: 'failure',
});
const holds = (text: string): boolean => compileFilter('task', text)(task);

describe('$filter', () => {
  test.each([
    ["state eq 'completed'", true],
    ["state eq 'COMPLETED'", true],
    ["state ne 'active'", true],
    ["id eq 'render-7'", true],
    ["startswith(id,'RENDER')", true],
    ["startswith( id , 'x' )", false],
    ["id gt 'render-6' and id le 'render-7'", true],
    ['executionInfo/exitCode eq -9', true],
    ['executionInfo/exitCode gt -10', true],
    ["executionInfo/result eq 'success'", false],
    ["creationTime eq DateTime'2026-05-08T08:49:37Z'", true],
    ["creationTime eq datetime'2026-05-08T08:49:37.000Z'", true],
    ['creationTime ge 2026-05-08T08:49:37Z', true],
    ["creationTime lt '2026-05-08T10:49:37+02:00'", false],
    ["creationTime le '2026-05-08T10:49:37+02:00'", true],
    ['creationTime gt 2026-05-08', true],
  ])('%s is %s', (text, expected) => {
    expect(holds(text)).toBe(expected);
  });

  test('and binds tighter than or', () => {
    expect(holds("state eq 'completed' or state eq 'active' and id eq 'nobody'")).toBe(true);
    expect(holds("(state eq 'completed' or state eq 'active') and id eq 'nobody'")).toBe(false);
    expect(holds("id eq 'nobody' and state eq 'active' or state eq 'completed'")).toBe(true);
  });

  test('a doubled quote is a quote', () => {
    expect(compileFilter('file', "startswith(name,'it''s')")({ path: "it's here" })).toBe(true);
  });

  test('a property without a value only differs', () => {
    const active = aTask({ state: 'active' });
    for (const operator of ['eq', 'gt', 'ge', 'lt', 'le']) {
      expect(compileFilter('task', `executionInfo/exitCode ${operator} 0`)(active)).toBe(false);
    }
    expect(compileFilter('task', 'executionInfo/exitCode ne 0')(active)).toBe(true);
  });

  test.each([
    ['task', "status eq 'active'", /Column 1: 'status' cannot be filtered here; id, state/],
    ['task', "ID eq 'x'", /'ID' cannot be filtered/],
    ['task', "state gt 'active'", /'gt' does not apply to 'state'; use eq, ne/],
    ['task', "state eq 'runing'", /one of active, preparing, running, completed/],
    ['task', "id eq 'a' id eq 'b'", /Column 11: expected 'and', 'or' or the end/],
    ['task', "state eq 'x' garbage", /Column 14/],
    ['task', "id eq 'open", /Column 7: a string is not closed/],
    ['task', 'id eq 5', /compared with a string/],
    ['task', "executionInfo/exitCode eq 'five'", /compared with a number/],
    ['task', "creationTime gt DateTime'2026-02-31T00:00:00Z'", /is not a moment/],
    ['task', "creationTime gt 'yesterday'", /a moment such as/],
    ['task', "duration'PT1H' eq id", /expected a property name|no literal begins/],
    ['task', "endswith(id,'x')", /the only function is startswith/],
    ['task', "startswith(state,'a')", /startswith does not apply/],
    ['task', "not id eq 'x'", /expected one of eq, ne/],
    ['task', '', /expected a property name/],
    ['task', '()', /expected a property name/],
    ['task', "(id eq 'a'", /expected '\)'/],
    ['task', "id eq 'a')", /expected 'and', 'or' or the end/],
    ['task', 'id in (1)', /expected one of/],
    ['task', 'executionInfo/exitCode eq 1e999', /out of range/],
    ['task', "__proto__ eq 'x'", /cannot be filtered/],
    ['task', "constructor eq 'x'", /cannot be filtered/],
    ['file', "name eq 'a'", /'eq' does not apply to 'name'; use startswith/],
    ['pool', "startswith(vmSize,'a')", /startswith does not apply/],
    ['nodeCounts', "poolId gt 'a'", /use eq, ne/],
  ] as const)('of %s refuses %s', (kind, text, reason) => {
    expect(refusal(kind, text)).toMatch(reason);
  });

  test('is bounded in length, depth and comparisons', () => {
    const nested = (depth: number): string => `${'('.repeat(depth)}id eq 'a'${')'.repeat(depth)}`;
    expect(compileFilter('task', nested(FILTER_DEPTH_MAX))).toBeTypeOf('function');
    expect(refusal('task', nested(FILTER_DEPTH_MAX + 1))).toMatch(/nest at most/);
    expect(refusal('task', nested(4_000))).toMatch(/nest at most/);
    expect(refusal('task', `id eq '${'x'.repeat(FILTER_LENGTH_MAX)}'`)).toMatch(/characters/);
    const clauses = (count: number): string => Array.from({ length: count }, () => "id eq 'a'").join(' or ');
    expect(compileFilter('task', clauses(FILTER_CLAUSES_MAX))).toBeTypeOf('function');
    expect(refusal('task', clauses(FILTER_CLAUSES_MAX + 1))).toMatch(/comparisons/);
  });

  test('answers any text with a test or a coded refusal', () => {
    const word = fc.constantFrom(
      'id',
      'state',
      'eq',
      'ne',
      'and',
      'or',
      '(',
      ')',
      ',',
      "'a'",
      'startswith',
      '5',
      "DateTime'2026-01-01'",
      'true',
      "'",
      '/',
      ' ',
      '-',
    );
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.array(word, { maxLength: 14 }).map((words) => words.join(' ')),
    );
    fc.assert(
      fc.property(text, (filter) => {
        try {
          return typeof compileFilter('task', filter)(task) === 'boolean';
        } catch (thrown) {
          return thrown instanceof ShoalError && thrown.code === 'InvalidQueryParameterValue';
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('reads back what it means: a filter built from a tree agrees with the tree', () => {
    type Tree = { readonly text: string; readonly value: boolean };
    const leaf: fc.Arbitrary<Tree> = fc
      .tuple(fc.constantFrom('eq', 'ne', 'gt', 'ge', 'lt', 'le'), fc.integer({ min: -12, max: -6 }))
      .map(([operator, number]) => ({
        text: `executionInfo/exitCode ${operator} ${number}`,
        value: {
          eq: -9 === number,
          ne: -9 !== number,
          gt: -9 > number,
          ge: -9 >= number,
          lt: -9 < number,
          le: -9 <= number,
        }[operator],
      }));
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf,
        fc.tuple(tie('tree'), fc.boolean(), tie('tree')).map(([left, both, right]) => ({
          text: `(${left.text}) ${both ? 'and' : 'or'} (${right.text})`,
          value: both ? left.value && right.value : left.value || right.value,
        })),
      ),
    }));
    fc.assert(
      fc.property(tree, ({ text, value }) => text.length > FILTER_LENGTH_MAX || holds(text) === value),
    );
  });

  test('lists what can be filtered, in Azure Batch the same names', () => {
    expect(filterableProperties('job')).toEqual([
      'id',
      'state',
      'stateTransitionTime',
      'creationTime',
      'lastModified',
      'executionInfo/startTime',
      'executionInfo/endTime',
      'executionInfo/poolId',
    ]);
  });
});
