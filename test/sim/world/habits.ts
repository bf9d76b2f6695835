/** What clients and operators of a world do besides adding jobs; drawn by the seed, as the faults are. */
import type { Prng } from '../../../src/lib/prng.ts';

const HABITS = [
  'dependencies',
  /** Jobs prepare and release their nodes, those of the second pool have a start task. */
  'nodeTasks',
  'endTasks',
  'endJobs',
  'interruptJobs',
  /** A second pool, resized. */
  'secondPool',
  'deletePool',
  'drain',
  'removeMachine',
  'joinLate',
  /** Several contend for tokens of one use, or come too late. */
  'contendForTokens',
  /** Several read and change the same small objects. */
  'contendForObjects',
  'lists',
  /** Blobs are stored, replaced, deleted and read; tasks have inputs and outputs. */
  'files',
  /** Jobs that schedules make. */
  'schedules',
  /** With a token that expires. */
  'comeLate',
  /** Tasks of several instances, in a pool of their own. */
  'gangs',
  /** A pool that is sized by a formula, which somebody may replace. */
  'formula',
  /** Tasks with a maxWallClockTime, of which many run longer. */
  'limits',
  /** At rest, work whose course is known beforehand. */
  'quietWork',
] as const;
export type Habit = (typeof HABITS)[number];

const HABIT_CHANCE = 0.4;
/** A world with one of these costs twice as much as one without: more worlds are worth more than more of them. */
const DEAR_CHANCE = 0.3;
const DEAR: ReadonlySet<Habit> = new Set(['files', 'gangs', 'schedules', 'formula', 'quietWork']);

export function drawHabits(random: Prng): ReadonlySet<Habit> {
  return new Set(HABITS.filter((habit) => random.chance(DEAR.has(habit) ? DEAR_CHANCE : HABIT_CHANCE)));
}
