/**
 * The load of a pool's machines, for formulas. It changes all the time, so it is no part of the replicated state: a log
 * entry for it would keep every group awake. It is the memory of whoever coordinates the pool, one value for all machines
 * each period; a new coordinator begins without, and GetSamplePercent says so.
 */
import {
  AUTOSCALE_LOAD_SETTLE_MS,
  AUTOSCALE_SAMPLE_PERIOD_MS,
  AUTOSCALE_SAMPLES_KEPT,
} from '../../src/lib/limits.ts';
import { MACHINE_LOADS, type MachineLoad, type MachineLoadName } from '../../src/model/machine-load.ts';

type Measured = MachineLoadName | 'wallClockSeconds';

/** Azure's names. */
const VARIABLES: Readonly<Record<string, Measured>> = {
  $CPUPercent: 'cpuPercent',
  $WallClockSeconds: 'wallClockSeconds',
  $MemoryBytes: 'memoryBytes',
  $DiskBytes: 'diskBytes',
  $DiskReadBytes: 'diskReadBytes',
  $DiskWriteBytes: 'diskWriteBytes',
  $DiskReadOps: 'diskReadOps',
  $DiskWriteOps: 'diskWriteOps',
  $NetworkInBytes: 'networkInBytes',
  $NetworkOutBytes: 'networkOutBytes',
};

/** Of a machine on average; the others are sums over all machines. */
const AVERAGED: ReadonlySet<Measured> = new Set(['cpuPercent', 'memoryBytes', 'diskBytes']);

export function loadOf(variable: string): Measured | undefined {
  return Object.hasOwn(VARIABLES, variable) ? VARIABLES[variable] : undefined;
}

/** What all machines said in one period. */
export interface LoadMoment {
  /** Numbered from the Unix epoch, one each period. */
  readonly moment: number;
  readonly machines: number;
  /** In the order of MACHINE_LOADS. */
  readonly sums: readonly number[];
}

export function valueAt({ machines, sums }: LoadMoment, measured: Measured): number {
  if (measured === 'wallClockSeconds') return (machines * AUTOSCALE_SAMPLE_PERIOD_MS) / 1_000;
  const sum = sums[MACHINE_LOADS.indexOf(measured)] ?? 0;
  return AVERAGED.has(measured) ? sum / machines : sum;
}

export class LoadHistory {
  /** Oldest first. */
  readonly #moments: LoadMoment[] = [];
  /** The last report of each machine that was counted. */
  readonly #seen = new Map<string, { readonly sequence: number; readonly moment: number }>();

  /** A report is heard several times, and counts once. */
  note(machine: string, { sequence, values }: MachineLoad, nowMs: number): void {
    if (this.#seen.get(machine)?.sequence === sequence || !values.every(Number.isFinite)) return;
    const moment = Math.floor(nowMs / AUTOSCALE_SAMPLE_PERIOD_MS);
    this.#seen.set(machine, { sequence, moment });
    const newest = this.#moments.at(-1);
    const own = MACHINE_LOADS.map((_, place) => values[place] ?? 0);
    if (newest === undefined || newest.moment < moment) {
      this.#moments.push({ moment, machines: 1, sums: own });
      if (this.#moments.length > AUTOSCALE_SAMPLES_KEPT) this.#moments.shift();
      this.#forgetSilent(moment);
      return;
    }
    const sums = newest.sums.map((sum, place) => sum + (own[place] ?? 0));
    this.#moments[this.#moments.length - 1] = { ...newest, machines: newest.machines + 1, sums };
  }

  /** Machines that said nothing for a whole period may have left. */
  #forgetSilent(moment: number): void {
    for (const [machine, seen] of this.#seen) if (seen.moment < moment - 1) this.#seen.delete(machine);
  }

  forget(): void {
    this.#moments.length = 0;
    this.#seen.clear();
  }

  /** Those of the time that is kept, oldest first. The newest counts once all machines had the time to say theirs. */
  settled(nowMs: number): readonly LoadMoment[] {
    const oldest = Math.floor(nowMs / AUTOSCALE_SAMPLE_PERIOD_MS) - AUTOSCALE_SAMPLES_KEPT;
    return this.#moments.filter(({ moment }) => {
      const beganMs = moment * AUTOSCALE_SAMPLE_PERIOD_MS;
      return moment > oldest && nowMs - beganMs >= AUTOSCALE_LOAD_SETTLE_MS;
    });
  }
}
