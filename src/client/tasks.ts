import { isErrorCode, ShoalError } from '../lib/errors.ts';
import { CLIENT_ADD_BYTES_MAX, CLIENT_ATTEMPTS_MAX, TASKS_PER_ADD_EXTENDED_MAX } from '../lib/limits.ts';
import type { Explanation } from '../model/queries.ts';
import type { TaskSpec } from '../model/task.ts';
import { API_VERSION, type Caller, type CallOptions } from './caller.ts';
import { type ListOptions, type ListPage, listAll, listPage } from './paging.ts';
import { backoffMs, pause } from './retry.ts';
import { encodePath, route } from './route.ts';
import type { FileResource, ListAnswer, SubtaskResource, TaskAddAnswer, TaskResource } from './shapes.ts';
import type { HttpAnswer } from './transport.ts';

const query = { 'api-version': API_VERSION };

/** Asks for our own bound of tasks a request, `TASKS_PER_ADD_EXTENDED_MAX`, instead of Azure's 100. */
const EXTENDED_ADD = { 'shoal-tasks-per-add': 'extended' } as const;

export interface AddAllOptions extends CallOptions {
  /** Tasks accepted so far, after each request. */
  readonly onProgress?: (accepted: number) => void;
}

export class TaskCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async add(job: string, spec: TaskSpec, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({
      method: 'POST',
      path: route`/jobs/${job}/tasks`,
      query,
      json: spec,
      ...options,
    });
  }

  /**
   * Adds any number of tasks, in order, many to a request. The first refusal rejects with that task's own error (and
   * its id in `values`); those before it stay added. Returns how many were accepted.
   */
  async addAll(job: string, specs: Iterable<TaskSpec>, options: AddAllOptions = {}): Promise<number> {
    let accepted = 0;
    for (const chunk of chunksOf(specs)) {
      await this.#addChunk(job, chunk, options);
      accepted += chunk.length;
      options.onProgress?.(accepted);
    }
    return accepted;
  }

  /** A chunk that is still too large for the agent is halved; tasks that failed for a passing reason are sent again. */
  async #addChunk(job: string, chunk: readonly TaskSpec[], options: CallOptions): Promise<void> {
    let left = chunk;
    for (let attempts = 1; left.length > 0; attempts++) {
      let answers: readonly TaskAddAnswer[];
      try {
        answers = await this.#addOnce(job, left, options);
      } catch (error) {
        if (!(error instanceof ShoalError) || error.code !== 'RequestBodyTooLarge' || left.length === 1) {
          throw error;
        }
        const middle = Math.ceil(left.length / 2);
        await this.#addChunk(job, left.slice(0, middle), options);
        await this.#addChunk(job, left.slice(middle), options);
        return;
      }
      left = unsettled(left, answers);
      if (left.length === 0) return;
      if (attempts >= CLIENT_ATTEMPTS_MAX) {
        throw new ShoalError('ServerBusy', `${left.length} tasks of job ${job} could not be added.`);
      }
      await pause(backoffMs(attempts, Math.random()), options.signal);
    }
  }

  async #addOnce(
    job: string,
    value: readonly TaskSpec[],
    options: CallOptions,
  ): Promise<readonly TaskAddAnswer[]> {
    const answer = await this.#caller.json<ListAnswer<TaskAddAnswer>>({
      method: 'POST',
      path: route`/jobs/${job}/addtaskcollection`,
      query,
      headers: EXTENDED_ADD,
      json: { value },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return answer.value;
  }

  list(job: string, options: ListOptions = {}): AsyncIterable<TaskResource> {
    return listAll(this.#caller, route`/jobs/${job}/tasks`, options);
  }

  /** One page; the tasks come in the order in which they were added. */
  page(job: string, options: ListOptions, token?: string): Promise<ListPage<TaskResource>> {
    return listPage(this.#caller, route`/jobs/${job}/tasks`, options, token);
  }

  get(
    job: string,
    task: string,
    options: CallOptions & { readonly select?: readonly string[] } = {},
  ): Promise<TaskResource> {
    const { select, ...rest } = options;
    const path = route`/jobs/${job}/tasks/${task}`;
    return this.#caller.json({
      method: 'GET',
      path,
      query: { ...query, $select: select?.join(',') },
      ...rest,
    });
  }

  /** None of a task of one instance; in the order of their ids. */
  async subtasks(job: string, task: string, options: CallOptions = {}): Promise<readonly SubtaskResource[]> {
    const path = route`/jobs/${job}/tasks/${task}/subtasksinfo`;
    const request = { method: 'GET', path, query, ...options } as const;
    return (await this.#caller.json<ListAnswer<SubtaskResource>>(request)).value;
  }

  async terminate(job: string, task: string, options: CallOptions = {}): Promise<void> {
    const path = route`/jobs/${job}/tasks/${task}/terminate`;
    await this.#caller.run({ method: 'POST', path, query, ...options });
  }

  async reactivate(job: string, task: string, options: CallOptions = {}): Promise<void> {
    const path = route`/jobs/${job}/tasks/${task}/reactivate`;
    await this.#caller.run({ method: 'POST', path, query, ...options });
  }

  async delete(job: string, task: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/jobs/${job}/tasks/${task}`, query, ...options });
  }

  /** Why the task does not run (or where it does): one line for each node. */
  explain(job: string, task: string, options: CallOptions = {}): Promise<Explanation> {
    const path = route`/shoal/v1/jobs/${job}/tasks/${task}/explain`;
    return this.#caller.json({ method: 'GET', path, ...options });
  }

  files(
    job: string,
    task: string,
    options: ListOptions & { readonly recursive?: boolean } = {},
  ): AsyncIterable<FileResource> {
    const path = route`/jobs/${job}/tasks/${task}/files`;
    return listAll(this.#caller, options.recursive === true ? `${path}?recursive=true` : path, options);
  }

  /** The bytes of a file in the task's directory, from whichever machine has them. */
  openFile(job: string, task: string, path: string, options: CallOptions = {}): Promise<HttpAnswer> {
    const directory = route`/jobs/${job}/tasks/${task}/files/`;
    return this.#caller.stream({ method: 'GET', path: directory + encodePath(path), query, ...options });
  }

  /** The bytes of a file as they are written, until the task ends. */
  followFile(job: string, task: string, file: string, options: CallOptions = {}): Promise<HttpAnswer> {
    const path = route`/shoal/v1/jobs/${job}/tasks/${task}/follow`;
    return this.#caller.stream({ method: 'GET', path, query: { file }, endless: true, ...options });
  }
}

/** Lists of at most `TASKS_PER_ADD_EXTENDED_MAX` tasks and about `CLIENT_ADD_BYTES_MAX` bytes of JSON. */
export function* chunksOf(specs: Iterable<TaskSpec>): Generator<readonly TaskSpec[]> {
  let chunk: TaskSpec[] = [];
  let bytes = 0;
  for (const spec of specs) {
    // Characters, not bytes: a body of non-ASCII text may be up to three times as long, still below what is taken.
    const size = JSON.stringify(spec).length + 1;
    const full = chunk.length >= TASKS_PER_ADD_EXTENDED_MAX || bytes + size > CLIENT_ADD_BYTES_MAX;
    if (full && chunk.length > 0) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(spec);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

/** The tasks to send again; throws the error of one that was refused. */
function unsettled(sent: readonly TaskSpec[], answers: readonly TaskAddAnswer[]): readonly TaskSpec[] {
  const byId = new Map(answers.map((answer) => [answer.taskId, answer]));
  return sent.filter((spec) => {
    const answer = byId.get(spec.id);
    if (answer?.status === 'clienterror') throw refusal(answer);
    return answer?.status !== 'success';
  });
}

function refusal(answer: TaskAddAnswer): ShoalError {
  const code = answer.error?.code ?? '';
  const values = Object.fromEntries((answer.error?.values ?? []).map(({ key, value }) => [key, value]));
  const said = answer.error?.message?.value ?? 'The task was refused.';
  const known = isErrorCode(code) ? code : 'InvalidRequestBody';
  return new ShoalError(known, `Task ${answer.taskId}: ${said}`, { ...values, TaskId: answer.taskId });
}
