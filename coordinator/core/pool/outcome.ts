/** What the end of an execution means for its task: pure functions of what was wished and what was reported. */
import type { ExitConditions, ExitOptions, FailureInfo, TaskOutcome } from '../../../src/model/task.ts';
import { Intent } from './task-table.ts';

export type Verdict =
  /** The task is over. */
  | { readonly kind: 'complete'; readonly succeeded: boolean; readonly byUser: boolean }
  /** Back to active, counted against maxTaskRetryCount. */
  | { readonly kind: 'retry' }
  /** Back to active; `counted` where somebody asked for it (requeueCount), not where a node or process was lost. */
  | { readonly kind: 'requeue'; readonly counted: boolean }
  /** The task was deleted meanwhile. */
  | { readonly kind: 'remove' };

export interface ExecutionEnd {
  readonly intent: number;
  /** Undefined where the node was lost and nobody knows. */
  readonly outcome: TaskOutcome | undefined;
  readonly retryCount: number;
  /** -1: without limit. */
  readonly maxRetryCount: number;
}

/**
 * A stop only takes effect when the execution's end is known. One that had ended well by itself before the stop
 * reached it did its work: running it again, or calling it stopped, would belie its outputs. One that failed by
 * itself while it was to be stopped is requeued or terminated as was asked.
 */
export function verdictOf({ intent, outcome, retryCount, maxRetryCount }: ExecutionEnd): Verdict {
  if (intent === Intent.delete) return { kind: 'remove' };
  if (outcome !== undefined && isSuccess(outcome))
    return { kind: 'complete', succeeded: true, byUser: false };
  if (intent === Intent.terminate) return { kind: 'complete', succeeded: false, byUser: true };
  if (intent === Intent.requeue) return { kind: 'requeue', counted: true };
  if (intent === Intent.fail) return failedOrRetried(retryCount, maxRetryCount);
  if (intent === Intent.recover || outcome === undefined) return { kind: 'requeue', counted: false };
  switch (outcome.kind) {
    case 'lost':
    // Killed although nobody here asked: the agent shut down.
    case 'killed':
      return { kind: 'requeue', counted: false };
    case 'exited':
    // Azure kills at the end of maxWallClockTime; the exit code is then not zero, and a nonzero exit is retried.
    case 'wallClock':
      return failedOrRetried(retryCount, maxRetryCount);
    case 'preProcessingError':
    case 'fileUploadError':
      return { kind: 'complete', succeeded: false, byUser: false };
  }
}

function failedOrRetried(retryCount: number, maxRetryCount: number): Verdict {
  return maxRetryCount === -1 || retryCount < maxRetryCount
    ? { kind: 'retry' }
    : { kind: 'complete', succeeded: false, byUser: false };
}

export function isSuccess(outcome: TaskOutcome): boolean {
  return outcome.kind === 'exited' && outcome.exitCode === 0;
}

// --- Exit conditions ----------------------------------------------------------------------------------------------

export interface ExitActions {
  readonly jobAction: 'none' | 'disable' | 'terminate';
  readonly dependencyAction: 'satisfy' | 'block' | 'cancel';
}

const ON_SUCCESS: ExitActions = { jobAction: 'none', dependencyAction: 'satisfy' };
const ON_FAILURE: ExitActions = { jobAction: 'terminate', dependencyAction: 'block' };

/**
 * A listed exit code beats a range, both beat the kind of error, and that beats `default`, which is never used for
 * exit code 0 (Azure Batch, "ExitConditions"). A task ended by a user takes no job action: whoever stops one task of
 * a job did not ask for the job's end.
 */
export function exitActions(
  conditions: ExitConditions | undefined,
  outcome: Pick<TaskOutcome, 'kind' | 'exitCode'>,
  byUser: boolean,
): ExitActions {
  const success = outcome.kind === 'exited' && outcome.exitCode === 0;
  const fallback = success ? ON_SUCCESS : ON_FAILURE;
  const options = conditions === undefined ? undefined : matching(conditions, outcome, success);
  return {
    jobAction: byUser ? 'none' : (options?.jobAction ?? fallback.jobAction),
    dependencyAction: options?.dependencyAction ?? fallback.dependencyAction,
  };
}

function matching(
  conditions: ExitConditions,
  { kind, exitCode }: Pick<TaskOutcome, 'kind' | 'exitCode'>,
  success: boolean,
): ExitOptions | undefined {
  const byCode = exitCode === undefined ? undefined : matchingCode(conditions, exitCode);
  if (byCode !== undefined) return byCode;
  if (success) return undefined;
  if (kind === 'preProcessingError' && conditions.preProcessingError !== undefined)
    return conditions.preProcessingError;
  if (kind === 'fileUploadError' && conditions.fileUploadError !== undefined)
    return conditions.fileUploadError;
  return conditions.default;
}

function matchingCode(
  { exitCodes, exitCodeRanges }: ExitConditions,
  exitCode: number,
): ExitOptions | undefined {
  const listed = exitCodes?.find(({ code }) => code === exitCode);
  if (listed !== undefined) return listed.exitOptions;
  return exitCodeRanges?.find(({ start, end }) => start <= exitCode && exitCode <= end)?.exitOptions;
}

// --- Failure information --------------------------------------------------------------------------------------------

export const TASK_ENDED: FailureInfo = failure('TaskEnded', 'The task was terminated by a user request.');

/** The dependency action `cancel`, which is ours: see ExitOptions. */
export const DEPENDENCY_FAILED: FailureInfo = failure(
  'DependencyFailed',
  'A task that this one depends on failed or was cancelled, and its exit conditions cancel its dependents.',
);

/** Of a task of a node, or a subtask. */
export const NODE_LOST: FailureInfo = {
  category: 'servererror',
  code: 'NodeLost',
  message: 'The node was lost, or left the pool, before the task had ended.',
  details: [],
};

/** A multi-instance task that was ended because one of its subtasks failed. The code is ours. */
export const SUBTASK_FAILED: FailureInfo = failure(
  'SubtaskFailed',
  'A subtask failed, or reached the maxWallClockTime, after its coordination command had succeeded: see the subtasks.',
);

/** What the agent said, or what Azure says of the same end. */
export function failureOf(outcome: TaskOutcome): FailureInfo {
  if (outcome.failure !== undefined) return outcome.failure;
  switch (outcome.kind) {
    case 'exited':
      return failure('FailureExitCode', 'The task exited with an exit code representing a failure', [
        { name: 'Message', value: 'The task exited with an exit code representing a failure' },
        { name: 'AdditionalErrorCode', value: 'FailureExitCode' },
      ]);
    case 'wallClock':
      return failure('TaskEnded', 'The task reached its maxWallClockTime and was ended.');
    case 'preProcessingError':
      return failure('Unknown', 'The task could not be started.');
    case 'fileUploadError':
      return failure('Unknown', 'An output file of the task could not be stored.');
    case 'killed':
    case 'lost':
      return TASK_ENDED;
  }
}

function failure(code: string, message: string, details: FailureInfo['details'] = []): FailureInfo {
  return { category: 'usererror', code, message, details };
}
