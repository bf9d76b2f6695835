/** Bugs of pools that are sized by a formula: what it gives, and who has it run. */
import { FORMULA, FORMULA_AND_CUTS } from './mesh-worlds.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

export const AUTOSCALE_BUGS: readonly ControlPlaneBug[] = [
  {
    name: 'a formula may want less than no node',
    world: 'control-plane',
    options: FORMULA,
    breaks: ['S18'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/autoscale/evaluate.ts',
        find: 'Math.max(0, Math.trunc(value.value))',
        replace: 'Math.trunc(value.value)',
      },
      {
        file: 'coordinator/core/mesh/autoscale-settings.ts',
        find: 'Number.isInteger(nodes) && nodes >= 0',
        replace: 'Number.isInteger(nodes)',
      },
    ],
  },
  {
    name: 'a run of a formula is recorded beside another one that followed the same',
    world: 'control-plane',
    options: FORMULA_AND_CUTS,
    breaks: ['S18'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/core/mesh/estate.ts',
        find: 'if (autoScale?.version !== command.version || autoScale.runs !== command.run)',
        replace: 'if (autoScale === undefined)',
      },
    ],
  },
  {
    name: 'a new coordinator leaves a formula to the one before it',
    world: 'control-plane',
    options: FORMULA_AND_CUTS,
    breaks: ['S18'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/driver/autoscaler.ts',
        find: 'Math.min(intervalMs, Math.max(0, byClockMs))',
        replace: 'Number.POSITIVE_INFINITY',
      },
    ],
  },
  {
    name: 'a coordinator does not look for the next run of a formula when the last one is recorded',
    world: 'control-plane',
    options: FORMULA,
    breaks: ['S18'],
    seedsMax: 15,
    changes: [
      {
        file: 'coordinator/driver/pool-leader.ts',
        find: 'this.#autoscaler.wake();\n    this.#mirror.update();',
        replace: 'this.#mirror.update();',
      },
    ],
  },
];
