/** addtaskcollection: up to 100 tasks in one request, each with a result of its own. */
import { ShoalError } from '../lib/errors.ts';
import { TASKS_PER_ADD_EXTENDED_MAX, TASKS_PER_ADD_MAX } from '../lib/limits.ts';
import { formatTimestamp } from '../lib/timestamps.ts';
import type { TaskAddResult } from '../model/commands.ts';
import { refusal } from '../model/outcome.ts';
import { TaskSpec } from '../model/task.ts';
import type { ApiVersion } from './api-version.ts';
import { isRecord } from './case.ts';
import { taskUrl } from './entity-url.ts';
import { type ErrorContext, errorDetail } from './errors.ts';
import type { Call } from './route.ts';
import { bodyReader, invalidProperty } from './validate.ts';

export const readTask = bodyReader(TaskSpec);

/** A task of the request: what to add, or why not. */
export type ReadTask = { readonly id: string } & (
  | { readonly spec: TaskSpec; readonly error?: never }
  | { readonly error: ShoalError; readonly spec?: never }
);

/** Throws where the body as a whole is wrong; a task that is wrong is one result among the others. */
export function readTaskCollection(call: Call): readonly ReadTask[] {
  const value = isRecord(call.body) ? call.body.value : undefined;
  if (!isRecord(call.body) || !Array.isArray(value)) {
    throw new ShoalError('MissingRequiredProperty', 'The body must have a list of tasks under value.', {
      PropertyName: 'value',
    });
  }
  const unknown =
    call.version === 'later' ? undefined : Object.keys(call.body).find((name) => name !== 'value');
  if (unknown !== undefined) {
    throw new ShoalError('InvalidRequestBody', undefined, {
      PropertyName: unknown.slice(0, 128),
      Reason: 'The property is not known',
    });
  }
  const most =
    call.headers['shoal-tasks-per-add'] === 'extended' ? TASKS_PER_ADD_EXTENDED_MAX : TASKS_PER_ADD_MAX;
  if (value.length === 0 || value.length > most) {
    throw invalidProperty('value', value.length, `a request takes 1 to ${most} tasks`);
  }
  return value.map((item) => readOne(item, call.version));
}

function readOne(item: unknown, version: ApiVersion): ReadTask {
  const id = isRecord(item) && typeof item.id === 'string' ? item.id : undefined;
  if (id === undefined) {
    throw new ShoalError('MissingRequiredProperty', 'Every task needs an id.', { PropertyName: 'value/id' });
  }
  try {
    return { id, spec: readTask(item, version) };
  } catch (thrown) {
    if (thrown instanceof ShoalError) return { id, error: thrown };
    throw thrown;
  }
}

/** One member of the answer. Clients take `servererror` as a reason to send the task again. */
export function renderTaskAddResult(
  result: TaskAddResult,
  job: string,
  context: ErrorContext,
): Record<string, unknown> {
  const { id, outcome } = result;
  if (outcome.ok) {
    return {
      status: 'success',
      taskId: id,
      eTag: outcome.value.eTag,
      lastModified: formatTimestamp(outcome.value.lastModifiedMs),
      location: taskUrl(context.baseUrl, job, id),
    };
  }
  return renderTaskError(id, refusal(outcome), context);
}

export function renderTaskError(
  id: string,
  error: ShoalError,
  context: ErrorContext,
): Record<string, unknown> {
  const status = error.status >= 500 || error.retryable ? 'servererror' : 'clienterror';
  return { status, taskId: id, error: errorDetail(error, context) };
}
