import { describe, expect, test } from 'vitest';
import { evaluated, faultOf, printedValue, repeated } from './evaluating.ts';

describe('values', () => {
  test.each([
    ['1 + 2 * 3', '7'],
    ['(1 + 2) * 3', '9'],
    ['7 / 2', '3.5'],
    ['-2 - -3', '1'],
    ['1.5e3', '1500'],
    ['.5', '0.5'],
    ['1 < 2', '1'],
    ['2 <= 1', '0'],
    ['1 == 1 && 2 != 2', '0'],
    ['0 || 3', '1'],
    ['!5', '0'],
    ['!0 + 1', '2'],
    ['1 < 2 == 1', '1'],
    ['"abc" < "abd"', '1'],
    ['\'it\' == "it"', '1'],
    ['1 ? 2 : 3', '2'],
    ['0 ? 1 : 0 ? 2 : 3', '3'],
    ['1 > 0 ? 0 > 1 ? 1 : 2 : 3', '2'],
    ['vec(1, 2, 3) * 2', '[2,4,6]'],
    ['vec(1, 2) + vec(3, 4)', '[4,6]'],
    ['TimeInterval_Hour + 90 * TimeInterval_Second', 'PT1H1M30S'],
    ['TimeInterval_Day / 2', 'PT12H'],
    ['-TimeInterval_Minute', '-PT1M'],
    ['TimeInterval_100ns * 10', 'PT0.000001S'],
    ['TimeInterval_Zero', 'PT0S'],
    ['time()', '2026-11-21T11:20:10.500Z'],
    ['time() + TimeInterval_Week', '2026-11-28T11:20:10.500Z'],
    ['time("2026-11-21") + 8 * TimeInterval_Hour', '2026-11-21T08:00:00.000Z'],
    ['time("Mon, 06 Oct 2014 13:10:00 GMT")', '2014-10-06T13:10:00.000Z'],
    ['time() - time("2026-11-21T11:20:00Z")', 'PT10.5S'],
    ['TimeInterval_Minute < TimeInterval_Hour', '1'],
    ['time() > time("2020-01-01")', '1'],
    ['time("")', '2026-11-21T11:20:10.500Z'],
    ['"quoted \\" mark"', '"quoted \\" mark"'],
  ])('%s is %s', (expression, value) => {
    expect(printedValue(expression)).toBe(value);
  });

  test.each([
    ['year', 2026],
    ['month', 11],
    ['day', 21],
    ['weekday', 6],
    ['hour', 11],
    ['minute', 20],
    ['second', 10],
  ])('the %s of a time is %i', (member, value) => {
    expect(printedValue(`time().${member}`)).toBe(String(value));
  });

  test('a week ends with Sunday, its seventh day', () => {
    expect(printedValue('time("2026-11-22").weekday')).toBe('7');
    expect(printedValue('time("2026-11-23").weekday')).toBe('1');
  });
});

describe('functions', () => {
  test.each([
    ['avg(1, 2, 6)', '3'],
    ['avg(vec(1, 2, 3), 6)', '3'],
    ['len(vec(1, 2), 3)', '3'],
    ['lg(8)', '3'],
    ['lg(vec(2, 4))', '[1,2]'],
    ['ln(1)', '0'],
    ['log(1000)', '3'],
    ['max(3, vec(1, 9), 2)', '9'],
    ['min(3, vec(1, 9), 2)', '1'],
    ['norm(3, 4)', '5'],
    ['percentile(vec(10, 30, 20), 50)', '20'],
    ['percentile(vec(1, 2, 3, 4), 50)', '2.5'],
    ['percentile(vec(5), 90)', '5'],
    ['range(4, 9, 6)', '5'],
    ['std(2, 4, 4, 4, 5, 5, 7, 9)', '2.138089935299395'],
    ['std(7)', '0'],
    ['sum(1, vec(2, 3))', '6'],
    ['val(vec(5, 6, 7), 1)', '6'],
    ['ceil(1.1)', '2'],
    ['floor(1.9)', '1'],
    ['round(1.5)', '2'],
    ['round(vec(1.2, 1.8))', '[1,2]'],
  ])('%s is %s', (expression, value) => {
    expect(printedValue(expression)).toBe(value);
  });

  test('rand draws from the seed it is given, and each call anew', () => {
    const [first, second] = [printedValue('rand()', { seed: 7 }), printedValue('rand()', { seed: 8 })];
    expect(Number(first)).toBeGreaterThanOrEqual(0);
    expect(Number(first)).toBeLessThan(1);
    expect(printedValue('rand()', { seed: 7 })).toBe(first);
    expect(second).not.toBe(first);
    expect(printedValue('rand() == rand()')).toBe('0');
  });

  test('stop ends the evaluation; what was set so far counts', () => {
    const { targets, error } = evaluated(
      '$TargetDedicatedNodes = 3; $PendingTasks == 0 ? stop() : 0; $TargetDedicatedNodes = 9',
    );
    expect(error).toBeUndefined();
    expect(targets.targetDedicatedNodes).toBe(3);
  });
});

describe('results', () => {
  test('name targets first, then the option, then own variables in the order of their names', () => {
    const { results } = evaluated(
      `$samples = 100; tasks = 0;  // a comment
       $isWeekday = time().weekday <= 5;
       $curTime = time();
       half = TimeInterval_Minute / 2;
       $TargetDedicatedNodes = 2.9; $TargetLowPriorityNodes = 5;
       $NodeDeallocationOption = taskcompletion;`,
    );
    expect(results).toBe(
      '$TargetDedicatedNodes=2;$TargetLowPriorityNodes=5;$NodeDeallocationOption=taskcompletion;' +
        '$curTime=2026-11-21T11:20:10.500Z;$isWeekday=0;$samples=100;half=PT30S;tasks=0',
    );
  });

  test('a target that the formula does not set stays', () => {
    expect(evaluated('x = 1', { dedicated: 4, lowPriority: 2 }).targets).toEqual({
      targetDedicatedNodes: 4,
      targetLowPriorityNodes: 2,
      nodeDeallocationOption: 'requeue',
    });
  });

  test('targets can be read, as they are and as they were set', () => {
    expect(
      evaluated('$TargetDedicatedNodes = $TargetDedicatedNodes + 1', { dedicated: 4 }).targets,
    ).toMatchObject({ targetDedicatedNodes: 5 });
    expect(
      evaluated('$TargetDedicated = 7; $TargetLowPriorityNodes = $TargetDedicatedNodes / 2').targets,
    ).toMatchObject({ targetDedicatedNodes: 7, targetLowPriorityNodes: 3 });
  });

  test('the full name of a target counts before its alias', () => {
    expect(evaluated('$TargetDedicatedNodes = 1; $TargetDedicated = 2').targets.targetDedicatedNodes).toBe(1);
    expect(evaluated('$TargetDedicated = 2').targets.targetDedicatedNodes).toBe(2);
    expect(evaluated('$TargetLowPriority = 2').targets.targetLowPriorityNodes).toBe(2);
  });

  test.each([
    ['-3', 0],
    ['-0.5', 0],
    ['2.999', 2],
    ['1e9', 100_000],
  ])('a target of %s becomes %i nodes (S18)', (value, nodes) => {
    expect(Object.is(evaluated(`$TargetDedicatedNodes = ${value}`).targets.targetDedicatedNodes, nodes)).toBe(
      true,
    );
  });

  test.each(['requeue', 'terminate', 'taskcompletion', 'retaineddata', '"TaskCompletion"'])(
    'nodes can be let go by %s',
    (option) => {
      const { targets } = evaluated(`$NodeDeallocationOption = ${option}`);
      expect(targets.nodeDeallocationOption).toBe(option.replaceAll('"', '').toLowerCase());
    },
  );

  test('an empty formula changes nothing', () => {
    for (const formula of ['', ' ; ; ', '// nothing'])
      expect(evaluated(formula, { dedicated: 3 })).toMatchObject({
        targets: { targetDedicatedNodes: 3 },
        results: '$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue',
      });
  });

  test('of long results the end is missing, never the targets', () => {
    const many = Array.from({ length: 90 }, (_, at) => `variable_${at} = "${'x'.repeat(60)}"`).join(';');
    const { results } = evaluated(`${many}; $TargetDedicatedNodes = 5`);
    expect(results).toMatch(/^\$TargetDedicatedNodes=5;/);
    expect(results.length).toBeLessThanOrEqual(4_096);
  });
});

describe('what is wrong is told with its place', () => {
  test.each([
    ['something_useless', 'Line 1, Col 1: Undefined symbol: something_useless'],
    ['x = 1;\n  y = x + z;', 'Line 2, Col 11: Undefined symbol: z'],
    ['x = x + 1', 'Line 1, Col 5: Undefined symbol: x'],
    ['x = 1 // fine\r\ny = ;', "Line 2, Col 1: Expected ';', but there is 'y'"],
    ['x = ;', "Line 1, Col 5: Expected a value, but there is ';'"],
    ['x = (1 + 2', "Line 1, Col 11: Expected ')', but the formula ends"],
    ['x = 1 ? 2', "Line 1, Col 10: Expected ':', but the formula ends"],
    ['x = 1\ny = 2', "Line 2, Col 1: Expected ';', but there is 'y'"],
    ['x = "open', 'Line 1, Col 5: The text that begins here has no end on its line'],
    ['x = 5 % 2', 'Line 1, Col 7: Unexpected character: %'],
    ['x = 1e400', 'Line 1, Col 5: The number 1e400 is too large'],
    ['x = 5nodes', 'Line 1, Col 6: A name cannot follow a number without something between them'],
    ['x = nope(1)', 'Line 1, Col 5: Undefined function: nope'],
    ['x = $PendingTasks.Sample(1)', 'Line 1, Col 19: Undefined function: Sample'],
    ['x = time().century', 'Line 1, Col 12: Undefined symbol: century'],
    ['x = avg()', 'Line 1, Col 5: avg takes at least 1 arguments, not 0'],
    ['x = rand(1)', 'Line 1, Col 5: rand takes 0 arguments, not 1'],
    ['$PendingTasks = 1', 'Line 1, Col 1: $PendingTasks can only be read'],
    ['TimeInterval_Hour = 1', 'Line 1, Col 1: TimeInterval_Hour can only be read'],
    ['x = 1 / 0', 'Line 1, Col 5: Division by zero'],
    ['x = log(0)', 'Line 1, Col 5: The result is not a finite number'],
    ['x = lg(vec(1, -1))', 'Line 1, Col 5: An element of the result is not a finite number'],
    ['x = 1e308 * 10', 'Line 1, Col 5: The result is not a finite number'],
    ['x = "a" + 1', 'Line 1, Col 5: The operator + does not take a string and a double'],
    ['x = vec(1, 2) + vec(1)', 'Line 1, Col 5: The vectors have 2 and 1 elements'],
    ['x = vec(1) < 2', 'Line 1, Col 5: The operator < does not take a doubleVec and a double'],
    ['x = !time()', 'Line 1, Col 5: The operator ! does not take a timestamp'],
    ['x = "a" ? 1 : 2', 'Line 1, Col 5: A condition is a number, not a string'],
    ['x = time() + 1e300 * TimeInterval_Year', 'Line 1, Col 14: The result is too long for a time interval'],
    ['x = time("yesterday")', expect.stringContaining('Line 1, Col 5: "yesterday" is no time such as')],
    ['x = val(vec(1, 2), 2)', 'Line 1, Col 5: The vector has 2 elements, and none at 2'],
    ['x = percentile(vec(1), 101)', 'Line 1, Col 5: A percentile lies between 0 and 100'],
    ['$TargetDedicatedNodes = time()', 'Line 1, Col 1: $TargetDedicatedNodes is a number, not a timestamp'],
    ['$TargetDedicatedNodes = vec(1)', 'Line 1, Col 1: $TargetDedicatedNodes is a number, not a doubleVec'],
    [
      '$NodeDeallocationOption = 3',
      'Line 1, Col 1: $NodeDeallocationOption is one of requeue, terminate, taskcompletion and retaineddata',
    ],
    ['x = 3; y = x.hour', 'Line 1, Col 12: A double has no hour'],
    ['x = 3; y = x.Count()', 'Line 1, Col 12: A double has no Count'],
  ])('%s', (formula, message) => {
    expect(faultOf(formula)).toEqual(message);
  });

  test('a failed evaluation answers with the targets as they are', () => {
    const { targets, results } = evaluated('$TargetDedicatedNodes = 9; x = 1 / 0', {
      dedicated: 2,
      lowPriority: 1,
    });
    expect(targets).toMatchObject({ targetDedicatedNodes: 2, targetLowPriorityNodes: 1 });
    expect(results).toBe('$TargetDedicatedNodes=2;$TargetLowPriorityNodes=1;$NodeDeallocationOption=requeue');
  });

  test('the branch that is not taken is not evaluated', () => {
    expect(printedValue('0 > 1 ? 1 / 0 : 2')).toBe('2');
    expect(printedValue('0 && 1 / 0')).toBe('0');
    expect(printedValue('1 || 1 / 0')).toBe('1');
  });
});

describe('bounds', () => {
  test('8 KB, of any characters', () => {
    expect(faultOf(`x = 1; // ${'é'.repeat(4_100)}`)).toBe(
      'Line 1, Col 1: The formula is longer than 8192 bytes',
    );
    expect(faultOf(`x = 1; // ${'é'.repeat(4_000)}`)).toBe('no error');
  });

  test('100 statements', () => {
    expect(faultOf('x = 1;'.repeat(100))).toBe('no error');
    expect(faultOf('x = 1;'.repeat(101))).toContain('A formula has at most 100 statements');
  });

  test.each([
    ['parentheses', `x = ${'('.repeat(4_000)}1${')'.repeat(4_000)}`],
    ['signs', `x = ${'-'.repeat(8_000)}1`],
    ['a chain of operators', `x = ${'1+'.repeat(4_000)}1`],
    ['conditionals', `x = ${'1?1:'.repeat(2_000)}1`],
    ['calls', `x = ${'avg('.repeat(2_000)}1`],
    ['members', `x = time()${'.hour'.repeat(1_600)}`],
  ])('%s nest so deep and no deeper', (_name, formula) => {
    expect(faultOf(formula)).toMatch(/nested more than 200 levels deep/);
  });

  test('what is said of a formula is short, whatever it quotes', () => {
    expect(faultOf(`x = ${'y'.repeat(8_000)}`).length).toBeLessThan(400);
  });

  test('a formula that multiplies its work runs out of steps', () => {
    const past = repeated(480, { activeTasks: 1 });
    const samples = '$ActiveTasks.GetSample(480)';
    const greedy = `v = ${samples}; ${`w = sum(${'v,'.repeat(39)}v); `.repeat(90)}`;
    expect(greedy.length).toBeLessThan(8_192);
    expect(faultOf(greedy, { past })).toMatch(/takes more than 200000 steps/);
  });
});
