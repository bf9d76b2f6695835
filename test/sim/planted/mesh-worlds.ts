/** Kinds of control-plane worlds in which planted bugs are looked for: few faults at a time, so that a bug meets its own soon. */
import type { Habit } from '../world/habits.ts';
import { LONG, type Profile, SMALL } from '../world/profile.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

type Options = ControlPlaneBug['options'];

const QUICK_TASKS: Profile = { ...SMALL, tasks: 60, taskMsMax: [1_500] };
/** Some outlast a lease. */
const LONG_TASKS: Profile = { ...SMALL, jobs: 3, tasks: 30, taskMsMax: [15_000] };
/** The same, and every node is always at work. */
const MANY_LONG_TASKS: Profile = { ...SMALL, tasks: 100, taskMsMax: [12_000] };
const SHORT_TASKS: Profile = { ...SMALL, taskMsMax: [300] };

const OPERATOR: readonly Habit[] = ['secondPool', 'drain', 'endTasks', 'endJobs'];

export const CALM: Options = { faults: [] };
export const BUSY: Options = { faults: [], profile: QUICK_TASKS };
/** Pools are resized and machines drained while long tasks run. */
export const OPERATED: Options = { faults: [], habits: OPERATOR, profile: LONG_TASKS };
export const AGENTS_DIE: Options = { faults: ['killAgent'], profile: QUICK_TASKS };
export const POWER_FAILS: Options = { faults: ['losePower'], profile: QUICK_TASKS };
/** Replicas fall behind, and logs are cut behind them. */
export const SNAPSHOTS: Options = {
  faults: ['killAgent', 'losePower', 'slowDisk'],
  profile: SHORT_TASKS,
};
export const RESTARTS: Options = {
  faults: ['killAgent', 'losePower'],
  habits: OPERATOR,
  profile: LONG_TASKS,
};
export const CUTS: Options = { faults: ['partition', 'loss'], habits: [], profile: MANY_LONG_TASKS };
/** So long that several leases end in it. */
const LONG_CHAOS: Profile['chaosMs'] = { low: 10_000, high: 20_000 };
export const STRANDED: Options = {
  faults: ['strand'],
  habits: [],
  profile: { ...MANY_LONG_TASKS, chaosMs: LONG_CHAOS },
};
/** Machines sleep for longer than a lease. */
export const SLEEPERS: Options = {
  faults: ['suspend'],
  habits: [],
  profile: { ...MANY_LONG_TASKS, chaosMs: LONG_CHAOS },
};
export const CUTS_AND_DEATHS: Options = {
  faults: ['partition', 'stopAgent', 'killAgent'],
  habits: [],
  profile: MANY_LONG_TASKS,
};
export const LATE_COPIES: Options = {
  faults: ['gossipCopies'],
  profile: SHORT_TASKS,
};
export const LATE_COPIES_AND_DEATHS: Options = {
  faults: ['gossipCopies', 'killAgent'],
  profile: SHORT_TASKS,
};

const FEW_TASKS: Profile = { ...SMALL, tasks: 40 };
export const FILES: Options = { faults: [], habits: ['files'], profile: FEW_TASKS };
/** Long enough for many to read what one disk has damaged. */
export const CHUNKS_ROT: Options = {
  faults: ['rotChunks'],
  habits: ['files'],
  profile: { ...FEW_TASKS, chaosMs: { low: 10_000, high: 20_000 } },
};
export const NAMES_ARE_LOST: Options = {
  faults: ['losePower', 'powerCut'],
  habits: ['files'],
  profile: FEW_TASKS,
};
export const DISKS_GO: Options = { faults: ['wipeDisk'], habits: ['files'], profile: FEW_TASKS };
/** Nobody is kept from collecting what nothing refers to. */
export const COLLECTIONS: Options = { faults: ['slowDisk'], habits: ['files'], profile: LONG };

export const SCHEDULES: Options = { faults: [], habits: ['schedules'], profile: FEW_TASKS };
/** Whoever leads dies in the midst of it, and with it all that was only in its memory. */
export const SCHEDULES_AND_POWER_CUTS: Options = {
  faults: ['powerCut'],
  habits: ['schedules'],
  profile: FEW_TASKS,
};
export const LATE_COMERS: Options = { faults: [], habits: ['comeLate'], profile: FEW_TASKS };
export const FORMULA: Options = { faults: [], habits: ['formula'], profile: FEW_TASKS };
/** Leaders are deposed, and do not know it yet. */
export const FORMULA_AND_CUTS: Options = {
  faults: ['partition', 'strand', 'stopAgent'],
  habits: ['formula'],
  profile: { ...FEW_TASKS, chaosMs: LONG_CHAOS },
};
export const GANGS: Options = { faults: [], habits: ['gangs'], profile: FEW_TASKS };
export const QUIET: Options = { faults: [], habits: ['quietWork'], profile: FEW_TASKS };
export const LIMITS: Options = { faults: [], habits: ['limits'], profile: FEW_TASKS };
/** Machines are cut off while tasks end on them. */
export const LATE_OUTPUTS: Options = {
  faults: ['partition', 'cutLink'],
  habits: ['files'],
  profile: { ...SMALL, taskMsMax: [3_000], chaosMs: LONG_CHAOS },
};
