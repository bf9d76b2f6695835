import { describe, expect, test } from 'vitest';
import { SampleHistory, SampleView, sampleOf } from '../../../coordinator/autoscale/samples.ts';
import { fc } from '../../support/properties.ts';
import { evaluated, faultOf, printedValue, repeated } from './evaluating.ts';

const tasks = (activeTasks: number) => ({ activeTasks });

describe('samples', () => {
  const past = [1, 2, 3, 4, 5].map(tasks);
  const situation = { past, present: tasks(9) };

  test('the newest is the present', () => {
    expect(printedValue('$ActiveTasks.GetSample(1)', situation)).toBe('[9]');
    expect(printedValue('$ActiveTasks.GetSample(3)', situation)).toBe('[4,5,9]');
  });

  test('of more than there are, all are given', () => {
    expect(printedValue('$ActiveTasks.GetSample(100)', situation)).toBe('[1,2,3,4,5,9]');
  });

  test('a sampled variable where a number is wanted is its newest sample', () => {
    expect(printedValue('$ActiveTasks + 1', situation)).toBe('10');
    expect(printedValue('$ActiveTasks', situation)).toBe('9');
    expect(printedValue('max($ActiveTasks, 3)', situation)).toBe('9');
    expect(printedValue('$ActiveTasks ? 1 : 0', situation)).toBe('1');
  });

  test('an interval looks back from now', () => {
    // Samples were taken 10.5 s, 40.5 s, 70.5 s … ago.
    expect(printedValue('$ActiveTasks.GetSample(TimeInterval_Minute)', situation)).toBe('[5,9]');
    expect(printedValue('$ActiveTasks.GetSample(90 * TimeInterval_Second)', situation)).toBe('[4,5,9]');
  });

  test('two ends can come in either order, as intervals or timestamps', () => {
    const window = '[3,4]';
    for (const ends of [
      'TimeInterval_Minute / 2, TimeInterval_Second * 95',
      'TimeInterval_Second * 95, TimeInterval_Minute / 2',
      'time() - TimeInterval_Second * 95, time() - TimeInterval_Minute / 2',
    ])
      expect(printedValue(`$ActiveTasks.GetSample(${ends})`, situation)).toBe(window);
  });

  test('ten minutes have twenty samples', () => {
    const full = { past: repeated(100, tasks(1)), present: tasks(1) };
    expect(printedValue('len($ActiveTasks.GetSample(TimeInterval_Minute * 10))', full)).toBe('20');
    expect(printedValue('$ActiveTasks.GetSamplePercent(TimeInterval_Minute * 10)', full)).toBe('100');
    expect(
      printedValue('len($ActiveTasks.GetSample(TimeInterval_Minute, TimeInterval_Minute * 6))', full),
    ).toBe('10');
  });

  test('a young pool has part of them, and the formula can ask for more', () => {
    expect(printedValue('$ActiveTasks.GetSamplePercent(TimeInterval_Minute * 6)', situation)).toBe('50');
    expect(printedValue('$ActiveTasks.GetSample(TimeInterval_Minute * 6, 50)', situation)).toBe(
      '[1,2,3,4,5,9]',
    );
    expect(faultOf('x = $ActiveTasks.GetSample(TimeInterval_Minute * 6, 70)', situation)).toBe(
      'Line 1, Col 5: Insufficient data from data set: $ActiveTasks wanted 70%, received 50%',
    );
    expect(
      faultOf('x = $ActiveTasks.GetSample(TimeInterval_Minute * 7, TimeInterval_Minute * 6, 70)', situation),
    ).toContain('wanted 70%, received 0%');
  });

  test('a window without a sample fails the evaluation', () => {
    expect(
      faultOf('x = $ActiveTasks.GetSample(TimeInterval_Hour * 2, TimeInterval_Hour)', situation),
    ).toContain('wanted one sample, received 0%');
  });

  test('what this mesh does not measure has no samples', () => {
    expect(printedValue('$CPUPercent.Count()')).toBe('0');
    expect(printedValue('$CPUPercent.GetSamplePercent(TimeInterval_Minute)')).toBe('0');
    expect(faultOf('x = avg($CPUPercent.GetSample(1))')).toContain(
      'Insufficient data from data set: $CPUPercent',
    );
    expect(faultOf('x = $MemoryBytes * 2')).toContain('Insufficient data from data set: $MemoryBytes');
  });

  test('the history says how long it is', () => {
    expect(printedValue('$ActiveTasks.GetSamplePeriod()', situation)).toBe('PT30S');
    expect(printedValue('$ActiveTasks.Count()', situation)).toBe('6');
    expect(printedValue('$ActiveTasks.HistoryBeginTime()', situation)).toBe('2026-11-21T11:18:00.000Z');
  });

  test.each([
    ['$ActiveTasks.GetSample(0)', 'a count of at least 1'],
    ['$ActiveTasks.GetSample(3, 50)', 'a count alone'],
    ['$ActiveTasks.GetSample("now")', 'a timestamp or a timeinterval, not a string'],
    [
      '$ActiveTasks.GetSample(TimeInterval_Hour, TimeInterval_Hour, TimeInterval_Hour)',
      'two times and a percentage',
    ],
  ])('%s is refused', (expression, reason) => {
    expect(faultOf(`x = ${expression}`, situation)).toContain(reason);
  });

  test('sums are sampled as their parts are', () => {
    const both = { past: [{ activeTasks: 1, runningTasks: 2, activeTaskSlots: 4, runningTaskSlots: 8 }] };
    expect(printedValue('$PendingTasks.GetSample(2)', both)).toBe('[3,0]');
    expect(printedValue('$PendingTaskSlots.GetSample(2)', both)).toBe('[12,0]');
  });

  test('an explanation shows what each statement read', () => {
    const { statements } = evaluated('x = 1;\ny = avg($ActiveTasks.GetSample(2)) + $RunningTasks', situation);
    expect(statements).toEqual([
      { line: 1, text: 'x = 1', variable: 'x', value: '1', reads: [] },
      {
        line: 2,
        text: 'y = avg($ActiveTasks.GetSample(2)) + $RunningTasks',
        variable: 'y',
        value: '7',
        reads: [
          { text: '$ActiveTasks.GetSample(2)', variable: '$ActiveTasks', count: 2, newest: [5, 9] },
          { text: '$RunningTasks', variable: '$RunningTasks', count: 1, newest: [0] },
        ],
      },
    ]);
  });
});

describe('a history', () => {
  const sample = (value: number) => () => sampleOf({ activeTasks: value });

  test('is one run as long as nothing changes, however long that is', () => {
    const history = new SampleHistory();
    expect(history.advance(0, 1_000_000, sample(1))).toBeUndefined();
    history.advance(1_000_000, 1_100_000, sample(1));
    history.advance(1_100_000, 99_000_000, sample(1));
    history.advance(99_000_000, 99_050_000, sample(2));
    expect(history.runs.map(({ first, last }) => [first, last])).toEqual([
      [34, 3300],
      [3301, 3301],
    ]);
  });

  test('takes no sample between two moments', () => {
    const history = new SampleHistory();
    const never = (): never => {
      throw new Error('measured');
    };
    expect(history.advance(1_000_000, 1_019_999, never)).toBeUndefined();
    expect(history.advance(1_019_999, 1_020_000, sample(1))).toBeDefined();
    expect(history.advance(1_020_000, 1_020_000, never)).toBeUndefined();
  });

  test('stays bounded, also where a clock leaps a century, and is what its stored runs make', () => {
    const steps = fc.array(
      fc.record({
        ms: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.constantFrom(86_400_000, 3.2e12)),
        value: fc.integer({ min: 0, max: 2 }),
      }),
      { maxLength: 700 },
    );
    fc.assert(
      fc.property(steps, (times) => {
        const history = new SampleHistory();
        const rows = new Map<number, (typeof history.runs)[number]>();
        let nowMs = 1;
        for (const { ms, value } of times) {
          const run = history.advance(nowMs, nowMs + ms, sample(value));
          nowMs += ms;
          if (run !== undefined) rows.set(run.sequence % 480, run);
        }
        const restored = new SampleHistory();
        restored.load([...rows.values()]);
        expect(restored.runs).toEqual(history.runs);
        expect(history.runs.length).toBeLessThanOrEqual(480);
        const view = new SampleView(restored, { stateMs: nowMs, nowMs, present: sampleOf({}), loads: [] });
        expect(view.count('$ActiveTasks')).toBeLessThanOrEqual(481);
      }),
      { numRuns: 50 },
    );
  });
});
