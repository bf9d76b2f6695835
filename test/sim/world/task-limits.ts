/** Tasks with a maxWallClockTime (S14): what clients ask for, and what must hold of their ends. */
import { formatDuration } from '../../../src/lib/durations.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { TaskEntity } from '../../../src/model/queries.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import type { Referee } from './referee.ts';
import { commandLineOf, scriptOf } from './task-script.ts';

const LIMITED_CHANCE = 0.3;
const LIMIT_MS = { low: 100, high: 1_500 } as const;
/** By so much at least a task runs beyond its limit, if it does: more than it takes the runner to notice and to kill. */
const BEYOND_MS = { low: 2_000, high: 20_000 } as const;
/** A machine's second against the world's. */
const RATE_MIN = 0.95;

/** Exit code after SIGKILL. */
const KILLED = 137;

/** Some get a limit. Half of these would run longer, the others end before it. */
export function limited(spec: TaskSpec, random: Prng): TaskSpec {
  if (!random.chance(LIMITED_CHANCE)) return spec;
  const limitMs = random.int(LIMIT_MS.low, LIMIT_MS.high);
  const script = scriptOf(spec.commandLine);
  const durationMs = random.chance(0.5)
    ? limitMs + random.int(BEYOND_MS.low, BEYOND_MS.high)
    : Math.min(script.durationMs, Math.floor(limitMs / 2));
  return {
    ...spec,
    commandLine: commandLineOf({ ...script, durationMs }),
    constraints: {
      maxWallClockTime: formatDuration(limitMs),
      ...(random.chance(0.5) ? { maxTaskRetryCount: random.int(0, 2) } : {}),
    },
  };
}

/** S14: who is told of a limit has reached it, and who is killed for it is told. */
export function reviewLimit(
  name: string,
  task: TaskEntity,
  { referee, mayBeStopped }: { readonly referee: Referee; readonly mayBeStopped: boolean },
): void {
  const { failure, result, epoch = 0 } = task;
  const limitMs = referee.limitsMs.get(name);
  const end = referee.endOf(name, epoch);
  const isTold = failure?.message.includes('maxWallClockTime') === true;
  const livedMs = end?.livedMs ?? 0;
  if (isTold && (limitMs === undefined || livedMs < limitMs * RATE_MIN))
    referee.fail('S14', `${name} was told of a limit of ${limitMs} ms after ${Math.round(livedMs)} ms`);
  const wasKilled = result === 'failure' && end?.exitCode === KILLED && !mayBeStopped;
  if (wasKilled && limitMs !== undefined && !isTold)
    referee.fail('S14', `${name} was killed at its limit, and told ${JSON.stringify(failure)}`);
}
