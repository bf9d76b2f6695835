/** Bugs of the mesh group: its state machine, and what its leader does for schedules and tokens. */
import { LATE_COMERS, QUIET, SCHEDULES, SCHEDULES_AND_POWER_CUTS } from './mesh-worlds.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

export const MESH_STATE_BUGS: readonly ControlPlaneBug[] = [
  {
    name: 'a moment of a schedule is taken twice',
    world: 'control-plane',
    options: SCHEDULES,
    breaks: ['S17'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/mesh/schedules.ts',
        find: 'this.#timed({ ...record, jobs: number, recentJob: job }, record.fromMs, turn.timeMs)',
        replace: 'this.#timed({ ...record, jobs: number, recentJob: job }, record.fromMs, nextRunTimeMs - 1)',
      },
    ],
  },
  {
    name: 'a moment that was taken dies with its coordinator',
    world: 'control-plane',
    options: SCHEDULES_AND_POWER_CUTS,
    breaks: ['S17'],
    seedsMax: 100,
    changes: [
      {
        file: 'coordinator/driver/schedule-keeper.ts',
        find: 'if (recentJob !== undefined && !this.#made.has(recentJob)) await this.#makeJob(schedule, jobs);',
        replace: 'void [recentJob, jobs];',
      },
    ],
  },
  {
    name: 'a token that has expired stays',
    world: 'control-plane',
    options: LATE_COMERS,
    breaks: ['L2'],
    seedsMax: 5,
    changes: [
      {
        file: 'coordinator/core/mesh/tokens.ts',
        find: 'if (token.expiresAtMs <= turn.timeMs) this.remove(turn, token);',
        replace: 'void [token, turn];',
      },
    ],
  },
  {
    name: 'an expired token lets machines in',
    world: 'control-plane',
    options: LATE_COMERS,
    breaks: ['tokens'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/mesh/tokens.ts',
        find: 'if (token.expiresAtMs <= turn.timeMs) this.remove(turn, token);',
        replace: 'void [token, turn];',
      },
      {
        file: 'coordinator/core/mesh/admission.ts',
        find: 'if (token === undefined || token.expiresAtMs <= turn.timeMs) {',
        replace: 'if (token === undefined) {',
      },
    ],
  },
  {
    name: 'the nodes of a drained machine are not called back',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S13'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/mesh/admission.ts',
        find: "state.allotments.leave(turn, allotment, { option: 'taskcompletion', reason: 'drain' });",
        replace: 'void allotment;',
      },
    ],
  },
];
