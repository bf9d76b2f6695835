/** Kinds of control-plane worlds in which planted bugs are looked for: few faults at a time, so that a bug meets its own soon. */
import type { ControlPlaneBug } from './planted-bug.ts';

type Options = ControlPlaneBug['options'];

const QUICK_TASKS: Options['load'] = { jobs: 4, tasksMax: 30, durationMsMax: 1_500 };
/** Some outlast a lease. */
const LONG_TASKS: Options['load'] = { jobs: 3, tasksMax: 12, durationMsMax: 15_000 };
/** The same, and every node is always at work. */
const MANY_LONG_TASKS: Options['load'] = { jobs: 4, tasksMax: 30, durationMsMax: 12_000 };

export const CALM: Options = { faults: [] };
export const BUSY: Options = { faults: [], load: QUICK_TASKS };
/** Pools are resized and machines drained while long tasks run. */
export const OPERATED: Options = { faults: [], operator: true, load: LONG_TASKS };
export const AGENTS_DIE: Options = { faults: ['killAgent'], load: QUICK_TASKS };
export const POWER_FAILS: Options = { faults: ['losePower'], load: QUICK_TASKS };
/** Replicas fall behind, and logs are cut behind them. */
export const SNAPSHOTS: Options = {
  faults: ['killAgent', 'losePower', 'slowDisk'],
  load: { ...QUICK_TASKS, durationMsMax: 300 },
};
export const RESTARTS: Options = { faults: ['killAgent', 'losePower'], operator: true, load: LONG_TASKS };
export const CUTS: Options = { faults: ['partition', 'loss'], operator: false, load: MANY_LONG_TASKS };
export const STRANDED: Options = { faults: ['partition', 'strand'], operator: false, load: MANY_LONG_TASKS };
export const CUTS_AND_DEATHS: Options = {
  faults: ['partition', 'stopAgent', 'killAgent'],
  operator: false,
  load: MANY_LONG_TASKS,
};
export const LATE_COPIES: Options = {
  faults: ['gossipCopies'],
  load: { ...QUICK_TASKS, durationMsMax: 300 },
};
export const LATE_COPIES_AND_DEATHS: Options = {
  faults: ['gossipCopies', 'killAgent'],
  load: { ...QUICK_TASKS, durationMsMax: 300 },
};
