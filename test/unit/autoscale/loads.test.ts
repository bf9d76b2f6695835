import { describe, expect, test } from 'vitest';
import { evaluateFormula } from '../../../coordinator/autoscale/evaluate.ts';
import { LoadHistory } from '../../../coordinator/autoscale/loads.ts';
import { SampleHistory, SampleView, sampleOf } from '../../../coordinator/autoscale/samples.ts';
import { MACHINE_LOADS } from '../../../src/model/machine-load.ts';

const PERIOD_MS = 30_000;
const START_MS = 1_000_000 * PERIOD_MS;

/** Every load of a machine is this number. */
function load(sequence: number, value: number) {
  return { sequence, values: MACHINE_LOADS.map(() => value) };
}

function resultOf(history: LoadHistory, formula: string, nowMs: number): string {
  const samples = new SampleView(new SampleHistory(), {
    stateMs: nowMs,
    nowMs,
    present: sampleOf({}),
    loads: history.settled(nowMs),
  });
  const question = { formula, nowMs, seed: 1, targetDedicatedNodes: 0, targetLowPriorityNodes: 0 };
  const { results, error } = evaluateFormula(formula, { ...question, samples });
  return error?.message ?? results.split(';').slice(3).join(';');
}

describe('the load of machines', () => {
  test('is an average of what they use and the sum of what they moved, each report counted once', () => {
    const history = new LoadHistory();
    for (let repeat = 0; repeat < 3; repeat += 1) {
      history.note('a', load(1, 10), START_MS + repeat);
      history.note('b', load(1, 30), START_MS + repeat);
    }
    const now = START_MS + 10_000;
    expect(resultOf(history, 'a = $CPUPercent; b = $MemoryBytes; c = $NetworkInBytes', now)).toBe(
      'a=20;b=20;c=40',
    );
    expect(resultOf(history, 'a = $WallClockSeconds; b = $DiskReadOps.Count()', now)).toBe('a=60;b=1');
  });

  test('counts when every machine had the time to tell it, and is the present for two periods', () => {
    const history = new LoadHistory();
    history.note('a', load(1, 10), START_MS);
    expect(resultOf(history, 'a = $CPUPercent', START_MS + 1_000)).toContain('Insufficient data');
    expect(resultOf(history, 'a = $CPUPercent', START_MS + 60_000)).toBe('a=10');
    expect(resultOf(history, 'a = $CPUPercent', START_MS + 120_000)).toContain('Insufficient data');
    expect(resultOf(history, 'a = avg($CPUPercent.GetSample(1))', START_MS + 120_000)).toBe('a=10');
  });

  test('has gaps that the percentage of samples tells, and none of a coordinator before', () => {
    const history = new LoadHistory();
    for (const moment of [1, 2, 4]) history.note('a', load(moment, moment), START_MS + moment * PERIOD_MS);
    const now = START_MS + 4 * PERIOD_MS + 10_000;
    const share = 'a = $CPUPercent.GetSamplePercent(TimeInterval_Minute * 2)';
    expect(resultOf(history, share, now)).toBe('a=75');
    expect(resultOf(history, 'a = sum($CPUPercent.GetSample(TimeInterval_Minute * 2, 70))', now)).toBe('a=7');
    history.forget();
    expect(resultOf(history, share, now)).toBe('a=0');
  });

  test('that is no number counts for nothing', () => {
    const history = new LoadHistory();
    history.note('a', load(1, Number.NaN), START_MS);
    expect(history.settled(START_MS + PERIOD_MS)).toEqual([]);
  });

  test('is kept for as long as other samples', () => {
    const history = new LoadHistory();
    for (let moment = 0; moment < 1_000; moment += 1)
      history.note('a', load(moment, 1), START_MS + moment * PERIOD_MS);
    expect(history.settled(START_MS + 999 * PERIOD_MS + 10_000).length).toBe(480);
  });
});
