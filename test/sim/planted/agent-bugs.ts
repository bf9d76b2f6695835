/** Bugs of the agents: their sessions with coordinators, and the runner's queue and leases. */
import {
  AGENTS_DIE,
  BUSY,
  CUTS,
  LATE_COPIES,
  LATE_COPIES_AND_DEATHS,
  LIMITS,
  SLEEPERS,
} from './mesh-worlds.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

export const AGENT_BUGS: readonly ControlPlaneBug[] = [
  {
    name: 'the runner does not kill when a lease ends',
    world: 'control-plane',
    options: CUTS,
    breaks: ['S3', 'S4'],
    seedsMax: 100,
    changes: [
      {
        file: 'agent/runner/lease.ts',
        find: 'for (const lease of expired) this.#deadlines.delete(lease);\n    return expired;',
        replace: 'for (const lease of expired) this.#deadlines.delete(lease);\n    return [];',
      },
    ],
  },
  {
    name: 'a lease that ended long ago, in a sleep, is not noticed',
    world: 'control-plane',
    options: SLEEPERS,
    breaks: ['L5'],
    seedsMax: 30,
    changes: [
      {
        file: 'agent/runner/lease.ts',
        find: 'if (deadlineMs <= nowMs) expired.push(lease);',
        replace: 'if (deadlineMs <= nowMs && nowMs - deadlineMs < 300) expired.push(lease);',
      },
      {
        file: 'agent/runner/lease.ts',
        find: 'return formerMs === undefined || fromMs < formerMs;',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'outcomes are forgotten on restart',
    world: 'control-plane',
    options: AGENTS_DIE,
    breaks: ['S5'],
    seedsMax: 40,
    changes: [
      {
        file: 'agent/session/outbox.ts',
        find: 'found.push({ assigned: decode(value) as Assigned, outcome: outcomes.get(key.slice(2)) });',
        replace: 'void [key, value];',
      },
    ],
  },
  {
    name: 'outcomes are forgotten before the coordinator has them',
    world: 'control-plane',
    options: AGENTS_DIE,
    breaks: ['S5'],
    seedsMax: 100,
    changes: [
      {
        file: 'agent/session/pool-session.ts',
        find: '    );\n    this.#toReport.add(execution);\n    void this.#report();',
        replace: '    );\n    this.#toReport.add(execution);\n    this.#outbox.forget(execution.assigned);',
      },
    ],
  },
  {
    name: 'rows of what was reported stay',
    world: 'control-plane',
    options: BUSY,
    breaks: ['L2'],
    seedsMax: 5,
    changes: [
      {
        file: 'agent/session/outbox.ts',
        find: "this.#write({ kind: 'delete', key })",
        replace: "if (key.startsWith('e/')) this.#write({ kind: 'delete', key })",
      },
    ],
  },
  {
    name: 'a late copy of an assignment runs again',
    world: 'control-plane',
    options: LATE_COPIES,
    breaks: ['S3', 'S4', 'S5'],
    seedsMax: 10,
    changes: [
      {
        file: 'agent/session/execution-table.ts',
        find: 'if (this.#live.has(key) || this.#ended.has(key)) return undefined;',
        replace: 'if (this.#live.has(key)) return undefined;',
      },
    ],
  },
  {
    name: 'a late copy of an assignment runs again after a restart',
    world: 'control-plane',
    options: LATE_COPIES_AND_DEATHS,
    breaks: ['S3', 'S4', 'S5'],
    seedsMax: 100,
    changes: [
      {
        file: 'agent/session/execution-table.ts',
        find: 'if (!asked && assigned.epoch <= this.#endedFloor) return undefined;',
        replace: '',
      },
    ],
  },
  {
    name: 'the runner starts a task whose slots are not free',
    world: 'control-plane',
    options: BUSY,
    breaks: ['S7'],
    seedsMax: 10,
    changes: [
      {
        file: 'agent/runner/queue.ts',
        find: ' || head.item.slots > freeSlots(queue)) continue;',
        replace: ') continue;',
      },
    ],
  },
  {
    name: 'the runner gives slots back twice',
    world: 'control-plane',
    options: BUSY,
    breaks: ['S7'],
    seedsMax: 10,
    changes: [
      {
        file: 'agent/runner/queue.ts',
        find: 'queue.slotsUsed -= item.slots;',
        replace: 'queue.slotsUsed -= 2 * item.slots;',
      },
    ],
  },
  {
    name: 'a task runs for three times its limit',
    world: 'control-plane',
    options: LIMITS,
    breaks: ['S14'],
    seedsMax: 10,
    changes: [
      {
        file: 'agent/runner/wall-clock.ts',
        find: 'ranMs >= wallClockMsMax',
        replace: 'ranMs >= 3 * wallClockMsMax',
      },
    ],
  },
  {
    name: 'a task that is killed at its limit is not told so',
    world: 'control-plane',
    options: LIMITS,
    breaks: ['S14'],
    seedsMax: 10,
    changes: [
      {
        file: 'agent/lifecycle/outcomes.ts',
        find: "'The task was ended because it ran longer than its maxWallClockTime.'",
        replace: "'The task was ended.'",
      },
    ],
  },
];
