/** Routes of tasks. */
import Type from 'typebox';
import { ShoalError } from '../lib/errors.ts';
import type { EntityStamp, TaskAddResult } from '../model/commands.ts';
import { type GroupId, isValidId } from '../model/ids.ts';
import { unwrap } from '../model/outcome.ts';
import type { TaskEntity } from '../model/queries.ts';
import { TaskConstraints, type TaskSpec } from '../model/task.ts';
import { isNotModified, readCondition } from './conditions.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata, taskUrl } from './entity-url.ts';
import { filterOf, LIST_QUERY } from './list-query.ts';
import { listAnswer, readLimit, readSkipToken } from './paging.ts';
import { renderSubtask, renderTask, renderTaskStats } from './render-task.ts';
import { type Answer, type Call, empty, type Headers, json, param, type Route } from './route.ts';
import { expandsStats, selector } from './select.ts';
import { type PoolStampCommand, stampHeaders } from './stamps.ts';
import { readTask, readTaskCollection, renderTaskAddResult, renderTaskError } from './task-add.ts';
import { bodyReader } from './validate.ts';

const readUpdate = bodyReader(
  Type.Object({ constraints: Type.Optional(TaskConstraints) }, { additionalProperties: false }),
);

export function taskRoutes(context: ApiContext): readonly Route[] {
  const tasks = new TaskHandlers(context);
  const all = '/jobs/:job/tasks';
  const one = `${all}/:task`;
  return [
    { method: 'POST', path: all, name: 'Task_Add', handle: tasks.add },
    {
      method: 'POST',
      path: '/jobs/:job/addtaskcollection',
      name: 'Task_AddCollection',
      handle: tasks.addCollection,
    },
    { method: 'GET', path: all, name: 'Task_List', query: LIST_QUERY, handle: tasks.list },
    { method: 'GET', path: one, name: 'Task_Get', query: ['$select', '$expand'], handle: tasks.get },
    { method: 'PUT', path: one, name: 'Task_Update', handle: tasks.update },
    { method: 'DELETE', path: one, name: 'Task_Delete', handle: tasks.delete },
    { method: 'POST', path: `${one}/terminate`, name: 'Task_Terminate', handle: tasks.terminate },
    { method: 'POST', path: `${one}/reactivate`, name: 'Task_Reactivate', handle: tasks.reactivate },
    {
      method: 'GET',
      path: `${one}/subtasksinfo`,
      name: 'Task_ListSubtasks',
      query: ['$select'],
      handle: tasks.subtasks,
    },
  ];
}

class TaskHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  add = async (call: Call): Promise<Answer> => {
    const spec = readTask(call.body, call.version);
    const [result] = await this.#addAll(call, [spec]);
    if (result === undefined) throw new Error('task.add answered without a result');
    const stamp = unwrap(result.outcome);
    const url = taskUrl(call.baseUrl, param(call, 'job'), spec.id);
    return empty(201, { ...stampHeaders(stamp), location: url, dataserviceid: url });
  };

  addCollection = async (call: Call): Promise<Answer> => {
    const tasks = readTaskCollection(call);
    const job = param(call, 'job');
    const specs = tasks.flatMap(({ spec }) => (spec === undefined ? [] : [spec]));
    // A job that does not exist is the error of the whole request, also where no task is worth sending.
    const added = specs.length > 0 ? await this.#addAll(call, specs) : await this.#requireJob(call);
    const context = {
      baseUrl: call.baseUrl,
      requestId: call.requestId,
      timeMs: this.#context.clock.wallMs(),
    };
    const refused = tasks.flatMap(({ id, error }) =>
      error === undefined ? [] : [renderTaskError(id, error, context)],
    );
    const value = [...added.map((result) => renderTaskAddResult(result, job, context)), ...refused];
    return json({ 'odata.metadata': `${call.baseUrl}/$metadata#taskaddresult`, value });
  };

  list = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const job = param(call, 'job');
    const after = readSkipToken(call.query, 'number')?.[0];
    const request = {
      job,
      ...filterOf(call, 'task'),
      limit: readLimit(call.query),
      ...(after !== undefined && { after }),
    };
    const page = await this.#inGroup(call, (group) =>
      this.#context.control.query(group, 'task.list', request, call.options()),
    );
    const render = this.#renderer(call);
    const value = page.items.map((task) => select(render(task)));
    return listAnswer(call, 'tasks', value, page.next === undefined ? undefined : [page.next]);
  };

  get = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const task = await findTask(this.#context, call);
    if (isNotModified(call.headers, task)) return empty(304, stampHeaders(task));
    const body = {
      'odata.metadata': elementMetadata(call.baseUrl, 'tasks'),
      ...this.#renderer(call)(task),
    };
    return json(select(body), stampHeaders(task));
  };

  update = async (call: Call): Promise<Answer> => {
    const { constraints } = readUpdate(call.body, call.version);
    const stamp = await this.#propose(call, {
      kind: 'task.update',
      ...target(call),
      constraints: constraints ?? {},
    });
    return empty(200, headersOf(call, stamp));
  };

  delete = async (call: Call): Promise<Answer> => {
    await this.#propose(call, { kind: 'task.delete', ...target(call) });
    return empty(200);
  };

  terminate = async (call: Call): Promise<Answer> => {
    const stamp = await this.#propose(call, { kind: 'task.terminate', ...target(call) });
    return empty(204, headersOf(call, stamp));
  };

  reactivate = async (call: Call): Promise<Answer> => {
    const stamp = await this.#propose(call, { kind: 'task.reactivate', ...target(call) });
    return empty(204, headersOf(call, stamp));
  };

  /** All in one answer: they are TASK_INSTANCES_MAX at most. */
  subtasks = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const { job, task } = taskKeyOf(call);
    const subtasks = await this.#inGroup(call, (group) =>
      this.#context.control.query(group, 'task.subtasks', { job, task }, call.options()),
    );
    const value = subtasks.map((one) => select(renderSubtask(one, { job, task }, call.baseUrl)));
    return json({ 'odata.metadata': `${call.baseUrl}/$metadata#subtasks`, value });
  };

  #renderer(call: Call): (task: TaskEntity) => Record<string, unknown> {
    if (!expandsStats(call.query)) return (task) => renderTask(task, call.baseUrl);
    const nowMs = this.#context.clock.wallMs();
    return (task) => ({
      ...renderTask(task, call.baseUrl),
      stats: renderTaskStats(task, call.baseUrl, nowMs),
    });
  }

  #addAll(call: Call, tasks: readonly TaskSpec[]): Promise<readonly TaskAddResult[]> {
    const command = { kind: 'task.add', job: param(call, 'job'), tasks } as const;
    return this.#inGroup(call, async (group) =>
      unwrap(await this.#context.control.propose(group, command, call.commandOptions(command.kind))),
    );
  }

  async #requireJob(call: Call): Promise<readonly TaskAddResult[]> {
    const job = param(call, 'job');
    await this.#inGroup(call, (group) =>
      this.#context.control.query(group, 'job.get', { job }, call.options()),
    );
    return [];
  }

  #propose(call: Call, command: PoolStampCommand): Promise<EntityStamp> {
    return this.#inGroup(call, async (group) =>
      unwrap(await this.#context.control.propose(group, command, call.commandOptions(command.kind))),
    );
  }

  #inGroup<T>(call: Call, run: (group: GroupId) => Promise<T>): Promise<T> {
    return this.#context.jobs.with(param(call, 'job'), call.options(), run);
  }
}

/** The task of the path. Rejects with `TaskNotFound` or `JobNotFound`. */
export function findTask(context: ApiContext, call: Call): Promise<TaskEntity> {
  const { job, task } = taskKeyOf(call);
  return context.jobs.with(job, call.options(), (group) =>
    context.control.query(group, 'task.get', { job, task }, call.options()),
  );
}

/** Ids of the path; one that no task can have is not looked for. */
export function taskKeyOf(call: Call): { readonly job: string; readonly task: string } {
  const task = param(call, 'task');
  if (!isValidId(task)) throw new ShoalError('TaskNotFound', undefined, { TaskId: task.slice(0, 128) });
  return { job: param(call, 'job'), task };
}

function target(call: Call): ReturnType<typeof taskKeyOf> & ReturnType<typeof readCondition> {
  return { ...taskKeyOf(call), ...readCondition(call.headers) };
}

function headersOf(call: Call, stamp: EntityStamp): Headers {
  const { job, task } = taskKeyOf(call);
  return { ...stampHeaders(stamp), dataserviceid: taskUrl(call.baseUrl, job, task) };
}
