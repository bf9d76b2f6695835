/** Why a pool does not (yet) have the nodes that its formula asks for. */
import { formatDuration } from '../lib/durations.ts';
import { formatTimestamp } from '../lib/timestamps.ts';
import type { AutoScaleEvaluation, AutoScaleExplanation } from '../model/autoscale.ts';
import type { PoolEntity } from '../model/queries.ts';

type Reason = AutoScaleExplanation['heldBack'][number];

/** `own`: the formula is the pool's, not one that is only tried. */
export function heldBack(
  pool: PoolEntity,
  evaluation: AutoScaleEvaluation,
  { own }: { readonly own: boolean },
): readonly Reason[] {
  if (evaluation.error !== undefined)
    return [
      {
        rule: 'formula',
        detail: `It cannot be evaluated: ${evaluation.error}.`,
        remedy: 'Mend the formula; until then the targets stay as they are.',
      },
    ];
  return [...untilRun(pool, evaluation, own), ...untilMet(pool)];
}

/** What keeps the targets from becoming those of the evaluation. */
function* untilRun(pool: PoolEntity, { targets }: AutoScaleEvaluation, own: boolean): Iterable<Reason> {
  const differ =
    targets.targetDedicatedNodes !== pool.targetDedicatedNodes ||
    targets.targetLowPriorityNodes !== pool.targetLowPriorityNodes;
  if (!differ) return;
  const { autoScale, autoScaleRun } = pool;
  if (!own || autoScale === undefined) {
    yield {
      rule: 'notEnabled',
      detail: `The pool ${pool.spec.id} is not sized by this formula.`,
      remedy: `shoal pool autoscale ${pool.spec.id} --formula '…'`,
    };
    return;
  }
  if (autoScaleRun === undefined || autoScale.runs === 0 || autoScale.onChange) {
    yield { rule: 'nextRun', detail: 'The next evaluation is due.', remedy: 'Nothing: it takes a second.' };
    return;
  }
  const next = formatTimestamp(autoScaleRun.timestampMs + autoScale.intervalMs);
  yield {
    rule: 'nextRun',
    detail: `It is evaluated every ${formatDuration(autoScale.intervalMs)}, the next time at ${next}.`,
    remedy: `Shorten --interval, or let changes of the work count with --on-change.`,
  };
}

/** What keeps the nodes from becoming as many as the targets. */
function* untilMet(pool: PoolEntity): Iterable<Reason> {
  for (const { code, message } of pool.resizeErrors)
    yield { rule: code, detail: message, remedy: 'Add or free machines, or ask for fewer or smaller nodes.' };
  const leaving =
    pool.currentDedicatedNodes > pool.targetDedicatedNodes ||
    pool.currentLowPriorityNodes > pool.targetLowPriorityNodes;
  if (pool.allocationState !== 'steady' && (leaving || pool.resizeErrors.length === 0))
    yield {
      rule: 'resizing',
      detail: `The pool is ${pool.allocationState}: nodes come, or end their tasks before they leave.`,
      remedy: 'Wait, or let nodes go at once with $NodeDeallocationOption = requeue.',
    };
}
