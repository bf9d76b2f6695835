/** Bugs of the replicated state machine of a pool. */
import { CALM, CUTS, CUTS_AND_DEATHS, GANGS, LIMITS, OPERATED, QUIET, RESTARTS } from './mesh-worlds.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

export const POOL_STATE_BUGS: readonly ControlPlaneBug[] = [
  {
    name: 'a report of an earlier epoch is recorded',
    world: 'control-plane',
    options: CUTS_AND_DEATHS,
    breaks: ['S3', 'S4', 'S5', 'S6'],
    seedsFrom: 85,
    seedsMax: 150,
    changes: [
      {
        file: 'coordinator/core/pool/report.ts',
        find: '!table.flag(task, Flag.live) || table.epoch(task) !== epoch || table.node(task) !== node.index',
        replace: '!table.flag(task, Flag.live)',
      },
    ],
  },
  {
    name: 'slots are given back twice',
    world: 'control-plane',
    options: CALM,
    breaks: ['S7'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/execution.ts',
        find: 'node.remove(job.number, task, slots);',
        replace: 'node.remove(job.number, task, slots + slots);',
      },
    ],
  },
  {
    name: 'a stop gives the slots back at once',
    world: 'control-plane',
    options: CALM,
    breaks: ['S7', 'S13', 'S21'],
    seedsMax: 40,
    changes: [
      {
        file: 'coordinator/core/pool/execution.ts',
        find: 'if (before === Intent.none) node?.noteStop(job.slotsOf(task), 1);',
        replace:
          'if (before === Intent.none) node?.noteStop(job.slotsOf(task), 1);\n  node?.remove(job.number, task, table.epoch(task), job.slotsOf(task));',
      },
    ],
  },
  {
    name: 'a task that is to be requeued is offered before its process has ended',
    world: 'control-plane',
    options: OPERATED,
    breaks: ['S3', 'S4'],
    seedsMax: 100,
    changes: [
      {
        file: 'coordinator/core/pool/node.ts',
        find: "if (option !== 'requeue' && option !== 'terminate') return;",
        replace:
          "if (option === 'requeue') return releaseExecutions(turn, node);\n  if (option !== 'terminate') return;",
      },
    ],
  },
  {
    name: 'a dependency counts as met once its task exists',
    world: 'control-plane',
    options: CALM,
    breaks: ['S8'],
    seedsMax: 20,
    changes: [
      {
        file: 'coordinator/core/pool/dependencies.ts',
        find: "if (standing !== 'satisfied') waiting += 1;",
        replace: "if (standing === 'absent') waiting += 1;",
      },
    ],
  },
  {
    name: 'dependents are not told that their dependency is met',
    world: 'control-plane',
    options: CALM,
    breaks: ['S8', 'L2'],
    seedsMax: 20,
    changes: [
      {
        file: 'coordinator/core/pool/dependencies.ts',
        find: 'if (filed !== undefined) this.#tell(listOf(filed), -waiting, cancelled);',
        replace: '',
      },
    ],
  },
  {
    name: 'a failed task counts as met by those that depend on it',
    world: 'control-plane',
    options: CALM,
    breaks: ['S8'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/core/pool/outcome.ts',
        find: "jobAction: 'terminate', dependencyAction: 'block' };",
        replace: "jobAction: 'terminate', dependencyAction: 'satisfy' };",
      },
    ],
  },
  {
    name: 'the loss of a node counts as a retry',
    world: 'control-plane',
    options: CUTS,
    breaks: ['S5', 'S10'],
    seedsMax: 100,
    changes: [
      {
        file: 'coordinator/core/pool/outcome.ts',
        find: 'if (intent === Intent.recover || outcome === undefined) return',
        replace:
          "const left = maxRetryCount === -1 || retryCount < maxRetryCount;\n  if (outcome === undefined) return left ? { kind: 'retry' } : { kind: 'complete', succeeded: false, byUser: false };\n  if (intent === Intent.recover) return",
      },
    ],
  },
  {
    name: 'one retry too many is made',
    world: 'control-plane',
    options: CALM,
    breaks: ['S10'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/core/pool/outcome.ts',
        find: 'retryCount < maxRetryCount',
        replace: 'retryCount <= maxRetryCount',
      },
    ],
  },
  {
    name: 'a task that was ended at its limit is not tried again',
    world: 'control-plane',
    options: LIMITS,
    breaks: ['S10'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/outcome.ts',
        find: "    case 'wallClock':\n      return failedOrRetried(retryCount, maxRetryCount);",
        replace:
          "      return failedOrRetried(retryCount, maxRetryCount);\n    case 'wallClock':\n      return { kind: 'complete', succeeded: false, byUser: false };",
      },
    ],
  },
  {
    name: 'jobs of lesser priority go first',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S15'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/turn.ts',
        find: ': a.priority > b.priority',
        replace: ': a.priority < b.priority',
      },
    ],
  },
  {
    name: 'the older job goes first, whatever its priority',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S15'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/turn.ts',
        find: 'a.priority === b.priority ? a.number < b.number : a.priority > b.priority',
        replace: 'a.number < b.number',
      },
    ],
  },
  {
    name: 'a node that is disabled is offered tasks',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S13'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/node-record.ts',
        find: 'const isWilling = this.enabled && ',
        replace: 'const isWilling = ',
      },
    ],
  },
  {
    name: 'a node that leaves is offered tasks',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S13'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/node-record.ts',
        find: ' && this.leaving === undefined && this.fault',
        replace: ' && this.fault',
      },
    ],
  },
  {
    name: 'labels that a node lacks are overlooked',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S13', 'S9'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/node-record.ts',
        find: 'if (!this.labelSet.has(label) && !this.#meets(label)) return false;',
        replace: 'if (isOwnLabel(label) && !this.#meets(label)) return false;',
      },
    ],
  },
  {
    name: 'a task that no node has the slots for does not say so',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S9'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/placement/explain.ts',
        find: 'if (nodes.length > 0 && task.requiredSlots > most) {',
        replace: 'if (nodes.length > 0 && task.requiredSlots > 100 * most) {',
      },
      {
        file: 'coordinator/placement/explain.ts',
        find: 'if (task.requiredSlots > node.slots)\n',
        replace: 'if (task.requiredSlots > 100 * node.slots)\n',
      },
    ],
  },
  {
    name: 'nobody looks after the limits of jobs',
    world: 'control-plane',
    options: QUIET,
    breaks: ['S14'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/sweep.ts',
        find: 'return nextDeadline(state)?.atMs;',
        replace: 'return undefined;',
      },
    ],
  },
  {
    name: 'a request that is sent again is carried out again',
    world: 'control-plane',
    options: CALM,
    breaks: ['S19'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/core/pool/machine.ts',
        find: 'requests.remember(requestId, command, outcome, turn);',
        replace: '',
      },
    ],
  },
  {
    name: 'answers are forgotten on restart',
    world: 'control-plane',
    options: RESTARTS,
    breaks: ['R9', 'S19'],
    seedsMax: 80,
    changes: [
      {
        file: 'coordinator/core/pool/requests.ts',
        find: '    this.#keep(sequence, id, answer);\n  }\n\n  #keep',
        replace: '    if (sequence < 0) this.#keep(sequence, id, answer);\n  }\n\n  #keep',
      },
    ],
  },
  {
    name: 'a deleted task comes back: its row stays',
    world: 'control-plane',
    options: RESTARTS,
    breaks: ['R9', 'S1', 'S2', 'S5'],
    seedsMax: 150,
    changes: [
      {
        file: 'coordinator/core/pool/transition.ts',
        find: 'turn.delete(taskRowKey(job.number, task));',
        replace: '',
      },
    ],
  },
  {
    name: 'deleted tasks stay in the counts',
    world: 'control-plane',
    options: CALM,
    breaks: ['S21', 'S22'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/core/pool/transition.ts',
        find: 'job.tally(task, -1);',
        replace: '',
      },
    ],
  },
  {
    name: 'tasks stay in the count of the state that they left',
    world: 'control-plane',
    options: CALM,
    breaks: ['S21', 'S22'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/runtime.ts',
        find: 'job.tally(task, -1);',
        replace: '',
      },
    ],
  },
  {
    name: 'the wish to stop an execution is not written',
    world: 'control-plane',
    options: RESTARTS,
    breaks: ['R9'],
    seedsMax: 100,
    changes: [
      {
        file: 'coordinator/core/pool/execution.ts',
        find: 'table.setIntent(task, intent);\n  writeRuntime(turn, job, task);',
        replace: 'table.setIntent(task, intent);',
      },
    ],
  },
  {
    name: 'the return of a lost node is not written',
    world: 'control-plane',
    options: CUTS_AND_DEATHS,
    breaks: ['R9', 'S13', 'assertion'],
    seedsMax: 150,
    changes: [
      {
        file: 'coordinator/core/pool/node.ts',
        find: 'node.lost = false;\n  turn.writeNode(node);',
        replace: 'node.lost = false;\n  turn.touchNode(node);',
      },
    ],
  },
  {
    name: 'a command is applied by the clock of each machine',
    world: 'control-plane',
    options: CALM,
    breaks: ['R9'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/turn.ts',
        find: 'this.nowMs = state.timeMs;',
        replace: 'this.nowMs = Date.now();',
      },
    ],
  },
  {
    name: 'a task of several instances begins with the first that is ready',
    world: 'control-plane',
    options: GANGS,
    breaks: ['S11'],
    seedsMax: 10,
    changes: [
      {
        file: 'coordinator/core/pool/execution.ts',
        find: 'return table.flag(task, Flag.live) && table.flag(task, Flag.succeeded);',
        replace: 'return table.flag(task, Flag.live);',
      },
    ],
  },
];
