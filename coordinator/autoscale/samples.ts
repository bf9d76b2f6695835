/**
 * What was counted of a pool every 30 s. Counts change with log entries only, so at a moment between two entries they
 * were what the first of them left: the history needs no entry of its own, a group that is quiet is sampled without a
 * word, and every replica has the same samples. Moments without a change between them share one run.
 */
import {
  AUTOSCALE_LOAD_SETTLE_MS,
  AUTOSCALE_SAMPLE_PERIOD_MS,
  AUTOSCALE_SAMPLES_KEPT,
} from '../../src/lib/limits.ts';
import { type LoadMoment, loadOf, valueAt } from './loads.ts';
import { METRICS, type Metric, metricsOf, type Sample } from './variables.ts';

/** Equal samples at consecutive moments. Moments are numbered from the Unix epoch, one each period. */
export interface SampleRun {
  /** One more than that of the run before. */
  readonly sequence: number;
  readonly first: number;
  readonly last: number;
  readonly sample: Sample;
}

export class SampleHistory {
  /** Oldest first. */
  #runs: SampleRun[] = [];

  get runs(): readonly SampleRun[] {
    return this.#runs;
  }

  /**
   * Time goes on from `fromMs` to `toMs`, and until then nothing changed what `measure` counts. Returns the run that
   * begins or grows, if a moment lies between.
   */
  advance(fromMs: number, toMs: number, measure: () => Sample): SampleRun | undefined {
    const due = Math.floor(fromMs / AUTOSCALE_SAMPLE_PERIOD_MS) + 1;
    const last = Math.floor(toMs / AUTOSCALE_SAMPLE_PERIOD_MS);
    // Before the first entry there is no time and nothing to count.
    if (fromMs === 0 || last < due) return undefined;
    const sample = measure();
    const before = this.#runs[this.#runs.length - 1];
    const grows = before !== undefined && before.last === due - 1 && isEqual(before.sample, sample);
    if (grows) this.#runs.pop();
    const run = grows
      ? { ...before, last }
      : { sequence: (before?.sequence ?? 0) + 1, first: due, last, sample };
    this.#runs.push(run);
    this.#forget();
    return run;
  }

  /** Stored runs, in any order; those that were forgotten long ago among them. */
  load(runs: readonly SampleRun[]): void {
    this.#runs = [...runs].sort((a, b) => a.sequence - b.sequence);
    this.#forget();
  }

  #forget(): void {
    const newest = this.#runs[this.#runs.length - 1];
    if (newest === undefined) return;
    const oldest = newest.last - AUTOSCALE_SAMPLES_KEPT + 1;
    const kept = this.#runs.findIndex((run) => run.last >= oldest);
    if (kept > 0) this.#runs.splice(0, kept);
  }
}

function isEqual(a: Sample, b: Sample): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

interface Moment {
  readonly atMs: number;
  readonly sample: Sample;
}

interface Point {
  readonly atMs: number;
  readonly value: number;
}

/** A sample of a machine's load is the present as long as the next one need not be there. */
const FRESH_MS = 2 * AUTOSCALE_SAMPLE_PERIOD_MS + AUTOSCALE_LOAD_SETTLE_MS;

/** The history at one instant, with what is counted at that instant as its newest sample. */
export class SampleView {
  readonly #moments: readonly Moment[];
  readonly #nowMs: number;
  readonly #loads: readonly LoadMoment[];

  /** `stateMs`: time of the newest log entry; from there to `nowMs` all was as it is. */
  constructor(
    history: SampleHistory,
    {
      stateMs,
      nowMs,
      present,
      loads,
    }: {
      readonly stateMs: number;
      readonly nowMs: number;
      readonly present: Sample;
      readonly loads: readonly LoadMoment[];
    },
  ) {
    this.#nowMs = nowMs;
    this.#loads = loads;
    const onwards = new SampleHistory();
    onwards.load(history.runs);
    onwards.advance(stateMs, nowMs, () => present);
    this.#moments = [...momentsOf(onwards.runs, nowMs), { atMs: nowMs, sample: present }];
  }

  /** Undefined where there is none, or none that is still true. */
  latest(variable: string): number | undefined {
    const newest = this.#pointsOf(variable).at(-1);
    if (newest === undefined || this.#nowMs - newest.atMs > FRESH_MS) return undefined;
    return newest.value;
  }

  count(variable: string): number {
    return this.#pointsOf(variable).length;
  }

  /** The newest `count`, or all where there are fewer; oldest first. */
  last(variable: string, count: number): readonly number[] {
    return this.#pointsOf(variable)
      .slice(-count)
      .map(({ value }) => value);
  }

  /** Those after `fromMs` until `toMs`, oldest first. */
  between(variable: string, fromMs: number, toMs: number): readonly number[] {
    return this.#pointsOf(variable)
      .filter(({ atMs }) => atMs > fromMs && atMs <= toMs)
      .slice(-expected(fromMs, toMs))
      .map(({ value }) => value);
  }

  /** Of the samples that the time between could have, 0 to 100. */
  percent(variable: string, fromMs: number, toMs: number): number {
    return (100 * this.between(variable, fromMs, toMs).length) / expected(fromMs, toMs);
  }

  /** Time of the oldest sample. */
  beginMs(variable: string): number {
    return this.#pointsOf(variable)[0]?.atMs ?? this.#nowMs;
  }

  /** Oldest first. */
  #pointsOf(variable: string): readonly Point[] {
    const measured = loadOf(variable);
    if (measured !== undefined)
      return this.#loads.map((load) => ({
        atMs: load.moment * AUTOSCALE_SAMPLE_PERIOD_MS,
        value: valueAt(load, measured),
      }));
    const metrics = metricsOf(variable);
    if (metrics === undefined || metrics.length === 0) return [];
    const places = metrics.map((metric) => METRICS.indexOf(metric));
    return this.#moments.flatMap(({ atMs, sample }) => {
      const parts = places.map((place) => sample[place]);
      // A sample taken before the metric was introduced has no value of it.
      return parts.every((part) => part !== undefined)
        ? [{ atMs, value: parts.reduce((total, part) => total + part, 0) }]
        : [];
    });
  }
}

/** The whole periods in a length of time, but one at least: the present itself is a sample. */
function expected(fromMs: number, toMs: number): number {
  return Math.max(1, Math.ceil((toMs - fromMs) / AUTOSCALE_SAMPLE_PERIOD_MS));
}

/** The present takes the place of a moment at the same instant. */
function momentsOf(runs: readonly SampleRun[], nowMs: number): Moment[] {
  const newest = runs[runs.length - 1];
  if (newest === undefined) return [];
  const oldest = newest.last - AUTOSCALE_SAMPLES_KEPT + 1;
  const moments: Moment[] = [];
  for (const { first, last, sample } of runs) {
    for (let moment = Math.max(first, oldest); moment <= last; moment++) {
      const atMs = moment * AUTOSCALE_SAMPLE_PERIOD_MS;
      if (atMs < nowMs) moments.push({ atMs, sample });
    }
  }
  return moments;
}

/** A sample with the counts that are given, and zero for the rest. */
export function sampleOf(counts: Readonly<Partial<Record<Metric, number>>>): Sample {
  return METRICS.map((metric) => counts[metric] ?? 0);
}
