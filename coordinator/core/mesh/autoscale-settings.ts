/** Settings of automatic scaling: what a pool may ask for, and what a run may record. */
import { parseDuration } from '../../../src/lib/durations.ts';
import {
  AUTOSCALE_IDLE_NODES_MAX,
  AUTOSCALE_INTERVAL_DEFAULT_MS,
  AUTOSCALE_INTERVAL_MAX_MS,
  AUTOSCALE_INTERVAL_MIN_MS,
  AUTOSCALE_RESULTS_LENGTH_MAX,
  POOL_NODES_MAX,
} from '../../../src/lib/limits.ts';
import type { AutoScaleSettings, AutoScaleTargets } from '../../../src/model/autoscale.ts';
import type { EntityStamp } from '../../../src/model/commands.ts';
import {
  type AutoScaleChange,
  NODE_DEALLOCATION_OPTIONS,
  type NodeDeallocationOption,
  type PoolSpec,
} from '../../../src/model/pool.ts';
import { FormulaError } from '../../autoscale/formula-error.ts';
import { isTooLong, parseFormula } from '../../autoscale/parser.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { nodeNumber } from './allotments.ts';
import { refuseProperty } from './turn.ts';

/** The settings after a change that was checked: what is not given stays. */
export function settingsOf(
  change: AutoScaleChange,
  before: AutoScaleSettings | undefined,
  { eTag }: EntityStamp,
): AutoScaleSettings {
  const { autoScaleFormula, autoScaleEvaluationInterval, autoScaleOnChange } = change;
  const asked =
    autoScaleEvaluationInterval === undefined ? undefined : parseDuration(autoScaleEvaluationInterval);
  return {
    formula: autoScaleFormula ?? before?.formula ?? '',
    intervalMs: asked ?? before?.intervalMs ?? AUTOSCALE_INTERVAL_DEFAULT_MS,
    onChange: autoScaleOnChange ?? before?.onChange ?? false,
    version: eTag,
    runs: 0,
  };
}

/** Undefined where the change can be made. */
export function checkAutoScaleChange(
  change: AutoScaleChange,
  before: AutoScaleSettings | undefined,
): Refusal | undefined {
  const { autoScaleFormula, autoScaleEvaluationInterval, autoScaleOnChange } = change;
  if (autoScaleFormula === undefined && before === undefined)
    return refuse('MissingRequiredProperty', 'Automatic scaling needs an autoScaleFormula.', {
      PropertyName: 'autoScaleFormula',
    });
  if ([autoScaleFormula, autoScaleEvaluationInterval, autoScaleOnChange].every((one) => one === undefined))
    return refuse(
      'MissingRequiredProperty',
      'Automatic scaling is on: name an autoScaleFormula, an autoScaleEvaluationInterval or autoScaleOnChange to change.',
    );
  return checkInterval(autoScaleEvaluationInterval) ?? checkFormula(autoScaleFormula);
}

/** A pool is sized by a formula or by targets. */
export function checkAutoScaleOfNewPool(spec: PoolSpec): Refusal | undefined {
  const { enableAutoScale, autoScaleFormula, autoScaleEvaluationInterval, autoScaleOnChange } = spec;
  if (enableAutoScale !== true) {
    if ([autoScaleFormula, autoScaleEvaluationInterval, autoScaleOnChange].every((one) => one === undefined))
      return undefined;
    return refuse(
      'InvalidAutoScalingSettings',
      'A formula and its interval have no meaning unless enableAutoScale is true.',
    );
  }
  if (
    spec.everyMachine === true ||
    spec.targetDedicatedNodes !== undefined ||
    spec.targetLowPriorityNodes !== undefined
  )
    return refuse(
      'InvalidAutoScalingSettings',
      'With enableAutoScale the formula sets the targets: leave out targetDedicatedNodes, targetLowPriorityNodes and everyMachine.',
    );
  return checkAutoScaleChange(spec, undefined);
}

function checkInterval(text: string | undefined): Refusal | undefined {
  if (text === undefined) return undefined;
  const intervalMs = parseDuration(text);
  if (
    intervalMs !== undefined &&
    intervalMs >= AUTOSCALE_INTERVAL_MIN_MS &&
    intervalMs <= AUTOSCALE_INTERVAL_MAX_MS
  )
    return undefined;
  return refuseProperty('autoScaleEvaluationInterval', text, 'it is no duration between PT5S and PT168H.');
}

/** Names are checked too: what an evaluation would always fail with is said now. */
function checkFormula(formula: string | undefined): Refusal | undefined {
  if (formula === undefined) return undefined;
  if (isTooLong(formula)) return refuse('AutoScalingFormulaTooLong');
  try {
    parseFormula(formula);
    return undefined;
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error;
    return refuse('AutoScalingFormulaSyntaxError', `The formula cannot be used. ${error.message}`, {
      Message: error.message,
    });
  }
}

/** A coordinator proposed it: within bounds all the same (S18). */
export function checkRun(run: {
  readonly targets?: AutoScaleTargets;
  readonly results: string;
  readonly error?: string;
  readonly idleNodes?: readonly string[];
}): Refusal | undefined {
  const { targets, results, error, idleNodes = [] } = run;
  const texts = error === undefined ? [results] : [results, error];
  const bounded =
    texts.every((text) => text.length <= 2 * AUTOSCALE_RESULTS_LENGTH_MAX) &&
    idleNodes.length <= AUTOSCALE_IDLE_NODES_MAX &&
    idleNodes.every((node) => nodeNumber(node) !== undefined);
  if (bounded && (targets === undefined || areTargets(targets))) return undefined;
  return refuse('OutOfRangeInput', 'The results of an evaluation are out of range.');
}

function areTargets(targets: AutoScaleTargets): boolean {
  const { targetDedicatedNodes, targetLowPriorityNodes, nodeDeallocationOption } = targets;
  const options: readonly NodeDeallocationOption[] = NODE_DEALLOCATION_OPTIONS;
  return (
    [targetDedicatedNodes, targetLowPriorityNodes].every(
      (nodes) => Number.isInteger(nodes) && nodes >= 0 && nodes <= POOL_NODES_MAX,
    ) && options.includes(nodeDeallocationOption)
  );
}
