/** A pool's past and present, as a formula of a test sees it. */
import { type Evaluation, evaluateFormula } from '../../../coordinator/autoscale/evaluate.ts';
import { SampleHistory, SampleView, sampleOf } from '../../../coordinator/autoscale/samples.ts';
import type { Metric } from '../../../coordinator/autoscale/variables.ts';

type Counts = Readonly<Partial<Record<Metric, number>>>;

/** A Saturday; 10 s after a moment at which samples are taken. */
export const NOW_MS = Date.parse('2026-11-21T11:20:10.500Z');

export interface Situation {
  readonly present?: Counts;
  /** Counts at the moments before, oldest first, the last of them 10 s ago. */
  readonly past?: readonly Counts[];
  readonly dedicated?: number;
  readonly lowPriority?: number;
  readonly nowMs?: number;
  readonly seed?: number;
}

export function viewOf({ present = {}, past = [], nowMs = NOW_MS }: Situation): SampleView {
  const history = new SampleHistory();
  const firstMs = nowMs - past.length * 30_000;
  past.forEach((counts, at) => {
    history.advance(firstMs + at * 30_000, firstMs + (at + 1) * 30_000, () => sampleOf(counts));
  });
  return new SampleView(history, { stateMs: nowMs, nowMs, present: sampleOf(present), loads: [] });
}

export function evaluated(formula: string, situation: Situation = {}): Evaluation {
  return evaluateFormula(formula, {
    nowMs: situation.nowMs ?? NOW_MS,
    seed: situation.seed ?? 1,
    samples: viewOf(situation),
    targetDedicatedNodes: situation.dedicated ?? 0,
    targetLowPriorityNodes: situation.lowPriority ?? 0,
  });
}

/** The value of an expression as results print it; throws what is wrong with it. */
export function printedValue(expression: string, situation: Situation = {}): string {
  const { error, statements } = evaluated(`x = ${expression}`, situation);
  if (error !== undefined) throw error;
  return statements.at(-1)?.value ?? '';
}

/** What the evaluation fails with. */
export function faultOf(formula: string, situation: Situation = {}): string {
  return evaluated(formula, situation).error?.message ?? 'no error';
}

export function repeated(count: number, counts: Counts): readonly Counts[] {
  return Array.from({ length: count }, () => counts);
}
