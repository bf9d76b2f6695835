/**
 * Reading the state of a pool's group. Lists walk numbers, so that a page neither skips nor repeats whatever happens
 * between two pages; a page with a filter ends after so many tasks were looked at, be it empty.
 */

import { ShoalError } from '../../../src/lib/errors.ts';
import {
  EXPLAIN_DEPENDENCIES_MAX,
  LIST_SCAN_COMPARISONS_MAX,
  LIST_SCAN_HOT_MAX,
  LIST_SCAN_ROWS_MAX,
  PAGE_ITEMS_MAX,
} from '../../../src/lib/limits.ts';
import type { Filter } from '../../../src/model/filter.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { JobSpec } from '../../../src/model/job.ts';
import type { StartTask } from '../../../src/model/node-task.ts';
import type {
  Explanation,
  JobEntity,
  JobNodeEntity,
  NodeEntity,
  NodeTaskRun,
  Page,
  PageRequest,
  PoolQueries,
  SubtaskEntity,
  TaskEntity,
} from '../../../src/model/queries.ts';
import type { DependsOn, TaskSpec } from '../../../src/model/task.ts';
import { explainTask } from '../../placement/explain.ts';
import type { RowReader } from '../interface.ts';
import { type Refusal, refuse } from '../refusal.ts';
import {
  COLD,
  HotTask,
  hotJobEntity,
  jobEntity,
  jobNodeEntity,
  nodeEntity,
  nodeTaskRun,
  subtaskEntity,
  taskEntity,
} from './entities.ts';
import type { Job } from './job-record.ts';
import { jobNotFound } from './job-refusals.ts';
import { checkedQuestion, evaluateAutoScale } from './metrics.ts';
import { nodeNotFound } from './node.ts';
import type { NodeRecord } from './node-record.ts';
import { DEDICATED_LABEL, isOwnLabel, preparedLabel } from './node-tasks.ts';
import {
  type Completion,
  jobMetadataRowKey,
  jobSpecRowKey,
  type NodeTaskRow,
  runtimeRowKey,
  taskRowKey,
  unpack,
  unpackRuntime,
} from './rows.ts';
import { findTask, taskNotFound } from './task.ts';
import { Flag } from './task-table.ts';
import type { PoolState } from './turn.ts';

type FilteredKind = 'job' | 'task' | 'node' | 'jobNode';

/** A test of one JobEntity, TaskEntity, NodeEntity or JobNodeEntity; throws InvalidQueryParameterValue where the text is no filter of them. */
export type CompileFilter = (kind: FilteredKind, text: string) => Filter<unknown>;

/** What every query reads from. */
export interface QueryContext {
  readonly state: PoolState;
  readonly rows: RowReader;
  readonly compileFilter: CompileFilter;
}

type Handlers = {
  readonly [Q in keyof PoolQueries]: (
    context: QueryContext,
    argument: PoolQueries[Q][0],
  ) => Promise<PoolQueries[Q][1]>;
};

const HANDLERS: Handlers = {
  'job.get': getJob,
  'job.list': listJobs,
  'task.get': getTask,
  'task.list': listTasks,
  'task.explain': explain,
  'task.subtasks': listSubtasks,
  'job.nodes': listJobNodes,
  'node.get': getNode,
  'node.list': listNodes,
  'pool.evaluateAutoScale': async ({ state }, question) =>
    evaluateAutoScale(state, checkedQuestion(question)),
  'task.specs': readSpecs,
};

/** Rejects with the entity's NotFound code, or InvalidArgument for a name that is no query. */
export async function answerQuery(context: QueryContext, name: string, argument: unknown): Promise<unknown> {
  if (!Object.hasOwn(HANDLERS, name))
    throw new ShoalError('InvalidArgument', `A pool's group has no query ${name}.`);
  const handler = HANDLERS[name as keyof PoolQueries] as (
    context: QueryContext,
    argument: unknown,
  ) => Promise<unknown>;
  return handler(context, argument);
}

/** The filter of a list request; undefined where it has none. */
function filterOf({ compileFilter }: QueryContext, kind: FilteredKind, filter: string | undefined) {
  return filter === undefined ? undefined : compileFilter(kind, filter);
}

function thrown(refusal: Refusal): never {
  throw new ShoalError(refusal.code, refusal.message, refusal.values);
}

function limitOfPage(limit: number): number {
  return Math.max(1, Math.min(PAGE_ITEMS_MAX, Math.floor(limit) || 1));
}

// --- Jobs ---------------------------------------------------------------------------------------------------------

function jobNamed(state: PoolState, id: string): Job {
  return state.jobNamed(id) ?? thrown(jobNotFound(id));
}

async function getJob(
  { state, rows }: QueryContext,
  { job: id }: { readonly job: string },
): Promise<JobEntity> {
  const [entity] = await readJobs([jobNamed(state, id)], rows);
  return entity ?? thrown(jobNotFound(id));
}

async function listJobs(
  context: QueryContext,
  { filter, after = 0, limit }: PageRequest,
): Promise<Page<JobEntity>> {
  const { state, rows } = context;
  const matches = filterOf(context, 'job', filter);
  const size = limitOfPage(limit);
  const page: Job[] = [];
  let next: number | undefined;
  for (const job of state.jobs.values()) {
    if (job.isOwn || job.number <= after || (matches !== undefined && !matches(hotJobEntity(state, job))))
      continue;
    if (page.length === size) {
      next = page.at(-1)?.number;
      break;
    }
    page.push(job);
  }
  return pageOf(await readJobs(page, rows), next);
}

async function readJobs(jobs: readonly Job[], rows: RowReader): Promise<JobEntity[]> {
  const keys = jobs.flatMap((job) => [jobSpecRowKey(job.number), jobMetadataRowKey(job.number)]);
  const values = await rows.getMany(keys);
  return jobs.flatMap((job, position) => {
    const spec = values[2 * position];
    const metadata = values[2 * position + 1];
    if (spec === undefined) return [];
    return [
      jobEntity(
        job,
        unpack(spec) as JobSpec,
        metadata === undefined ? undefined : (unpack(metadata) as JobSpec['metadata']),
      ),
    ];
  });
}

// --- Tasks --------------------------------------------------------------------------------------------------------

function taskNamed(job: Job, id: string): number {
  return findTask(job, id) ?? thrown(taskNotFound(job, id));
}

async function getTask(
  { state, rows }: QueryContext,
  { job: jobId, task: id }: { readonly job: string; readonly task: string },
): Promise<TaskEntity> {
  const job = jobNamed(state, jobId);
  const [entity] = await readTasks(state, job, [taskNamed(job, id)], rows);
  return entity ?? thrown(taskNotFound(job, id));
}

/** Rows read at a time where a filter may drop most of them. */
const FILTERED_CHUNK = 256;

async function listTasks(
  context: QueryContext,
  { job: id, filter, after = 0, limit }: PageRequest & { readonly job: string },
): Promise<Page<TaskEntity>> {
  const { state, rows } = context;
  const job = jobNamed(state, id);
  const size = limitOfPage(limit);
  const matches = filterOf(context, 'task', filter);
  const found: TaskEntity[] = [];
  const scannedMax = Math.ceil(LIST_SCAN_COMPARISONS_MAX / (matches?.comparisons ?? 1));
  let hotLeft = Math.min(LIST_SCAN_HOT_MAX, scannedMax);
  let rowsLeft = Math.min(LIST_SCAN_ROWS_MAX, scannedMax);
  let at = after;
  // Rows are read a chunk at a time: as many as the page still lacks, and not too few where most may not match.
  const chunkLeast = matches === undefined ? 1 : FILTERED_CHUNK;
  while (found.length < size && at < job.table.last) {
    if (hotLeft <= 0 || rowsLeft <= 0) return pageOf(found, at);
    const chunk = hotChunk(state, job, matches, at, {
      tasks: Math.min(Math.max(size - found.length, chunkLeast), rowsLeft),
      scanned: hotLeft,
    });
    hotLeft -= chunk.end - at;
    rowsLeft -= chunk.tasks.length;
    at = chunk.end;
    for (const entity of await readTasks(state, job, chunk.tasks, rows)) {
      if (chunk.undecided.has(entity.number) && matches?.(entity) !== true) continue;
      found.push(entity);
      if (found.length < size) continue;
      // What the chunk holds beyond a full page belongs to the next one.
      at = entity.number;
      break;
    }
  }
  return pageOf(found, at < job.table.last ? at : undefined);
}

interface HotChunk {
  readonly tasks: readonly number[];
  /** Those of `tasks` whose rows must be asked. */
  readonly undecided: ReadonlySet<number>;
  /** The last number looked at. */
  readonly end: number;
}

function hotChunk(
  state: PoolState,
  job: Job,
  matches: ((task: unknown) => boolean) | undefined,
  after: number,
  most: { readonly tasks: number; readonly scanned: number },
): HotChunk {
  const tasks: number[] = [];
  const undecided = new Set<number>();
  const { table } = job;
  let at = after;
  while (at < table.last && tasks.length < most.tasks && at - after < most.scanned) {
    at += 1;
    if (!table.has(at) || table.flag(at, Flag.ghost) || job.nodeTasks.has(at)) continue;
    const verdict = matches === undefined ? true : matchesHot(state, job, at, matches);
    if (verdict === false) continue;
    tasks.push(at);
    if (verdict === undefined) undecided.add(at);
  }
  return { tasks, undecided, end: at };
}

/** Undefined where only the rows can tell. */
function matchesHot(
  state: PoolState,
  job: Job,
  task: number,
  matches: (task: unknown) => boolean,
): boolean | undefined {
  try {
    return matches(new HotTask(state, job, task));
  } catch (problem) {
    if (problem === COLD) return undefined;
    throw problem;
  }
}

/** Leaves out those that went while their rows were read. */
async function readTasks(
  state: PoolState,
  job: Job,
  tasks: readonly number[],
  rows: RowReader,
): Promise<TaskEntity[]> {
  const specs = await rows.getMany(tasks.map((task) => taskRowKey(job.number, task)));
  return withCompletions(job, tasks, rows, (completionOf) =>
    tasks.flatMap((task, position) => {
      const spec = specs[position];
      if (spec === undefined || !job.table.has(task)) return [];
      return [taskEntity(state, job, task, unpack(spec) as TaskSpec, completionOf(task))];
    }),
  );
}

/**
 * Builds an answer from the columns and from how each completed task ended. Of tasks that are not completed the columns
 * know everything but the specification. A task may complete while rows are read, and then its row has to be read too:
 * so there is no wait between the last look at the columns and `build`.
 */
async function withCompletions<T>(
  job: Job,
  tasks: readonly number[],
  rows: RowReader,
  build: (completionOf: (task: number) => Completion | undefined) => T,
): Promise<T> {
  const isCompleted = (task: number): boolean => job.table.state(task) === 'completed';
  const read = new Map<number, Completion | undefined>();
  for (;;) {
    const unread = tasks.filter((task) => isCompleted(task) && !read.has(task));
    if (unread.length === 0) return build((task) => (isCompleted(task) ? read.get(task) : undefined));
    const values = await rows.getMany(unread.map((task) => runtimeRowKey(job.number, task)));
    for (const [position, task] of unread.entries()) {
      const value = values[position];
      read.set(task, value === undefined ? undefined : unpackRuntime(value).completion);
    }
  }
}

/** Those of the present or the last run, but for that on the primary's own node, which is the task itself to clients. */
async function listSubtasks(
  { state, rows }: QueryContext,
  { job: jobId, task: id }: { readonly job: string; readonly task: string },
): Promise<readonly SubtaskEntity[]> {
  const job = jobNamed(state, jobId);
  const subtasks = job.nodeTasks.subtasksOf(taskNamed(job, id)).slice(1);
  const runs = await readRuns(job, subtasks, rows);
  return subtasks.flatMap((task) => {
    const run = runs.get(task);
    const own = job.nodeTasks.get(task);
    return run === undefined || own?.gang === undefined
      ? []
      : [subtaskEntity(state, job, task, { run, node: own.node, instance: own.gang.instance })];
  });
}

async function readSpecs(
  { state, rows }: QueryContext,
  { items }: { readonly items: readonly { readonly job: number; readonly task: number }[] },
): Promise<readonly (TaskSpec | undefined)[]> {
  const values = await rows.getMany(items.map(({ job, task }) => taskRowKey(job, task)));
  return values.map((value, position) => {
    const item = items[position];
    const job = item === undefined ? undefined : state.jobs.get(item.job);
    if (value === undefined || item === undefined || job === undefined) return undefined;
    const spec = unpack(value) as TaskSpec;
    const constraints = job.updatedConstraints.get(item.task);
    return constraints === undefined ? spec : { ...spec, constraints };
  });
}

// --- Nodes --------------------------------------------------------------------------------------------------------

async function getNode(
  { state, rows }: QueryContext,
  { node: id }: { readonly node: string },
): Promise<NodeEntity> {
  const node = state.nodes.get(id) ?? thrown(nodeNotFound(id));
  const [entity] = await readNodes(state, [node], rows);
  return entity ?? thrown(nodeNotFound(id));
}

async function listNodes(
  context: QueryContext,
  { filter, after = 0, limit }: PageRequest,
): Promise<Page<NodeEntity>> {
  const { state, rows } = context;
  const matches = filterOf(context, 'node', filter);
  const size = limitOfPage(limit);
  const rest = [...state.nodes.all()]
    .filter(({ number }) => number > after)
    .sort((a, b) => a.number - b.number);
  const found: NodeEntity[] = [];
  // A filter may ask for what only rows know; without one no more is read than the page shows.
  const chunk = matches === undefined ? size + 1 : FILTERED_CHUNK;
  for (let at = 0; at < rest.length && found.length <= size; at += chunk) {
    const entities = await readNodes(state, rest.slice(at, at + chunk), rows);
    found.push(...(matches === undefined ? entities : entities.filter(matches)));
  }
  const page = found.slice(0, size);
  const last = page.at(-1);
  const number = last === undefined ? undefined : state.nodes.get(last.id)?.number;
  return pageOf(page, found.length > size ? number : undefined);
}

async function readNodes(
  state: PoolState,
  nodes: readonly NodeRecord[],
  rows: RowReader,
): Promise<NodeEntity[]> {
  const { nodeJob } = state;
  const tasks = nodes.map((node) => nodeJob?.nodeTasks.of('start', node));
  const known = tasks.filter((task) => task !== undefined);
  if (nodeJob === undefined || known.length === 0) return nodes.map((node) => nodeEntity(state, node));
  const specs = await readSpecRows(nodeJob, known, rows);
  const runs = await readRuns(nodeJob, known, rows);
  return nodes.map((node, position) => {
    const task = tasks[position] ?? 0;
    const spec = specs.get(task);
    const run = runs.get(task);
    return {
      ...nodeEntity(state, node),
      ...(spec === undefined ? {} : { startTask: startTaskOf(spec) }),
      ...(run === undefined ? {} : { startTaskRun: run }),
    };
  });
}

/** The task as its pool's specification had it. */
function startTaskOf({ id: _, constraints, role: __, place: ___, waits, ...spec }: NodeTaskRow): StartTask {
  return { ...spec, maxTaskRetryCount: constraints?.maxTaskRetryCount ?? 0, waitForSuccess: waits };
}

async function readSpecRows(
  job: Job,
  tasks: readonly number[],
  rows: RowReader,
): Promise<Map<number, NodeTaskRow>> {
  const values = await rows.getMany(tasks.map((task) => taskRowKey(job.number, task)));
  const specs = new Map<number, NodeTaskRow>();
  tasks.forEach((task, position) => {
    const value = values[position];
    if (value !== undefined) specs.set(task, unpack(value) as NodeTaskRow);
  });
  return specs;
}

/** Runs of tasks of nodes; those that went while their rows were read are missing. */
function readRuns(job: Job, tasks: readonly number[], rows: RowReader): Promise<Map<number, NodeTaskRun>> {
  return withCompletions(job, tasks, rows, (completionOf) => {
    const runs = new Map<number, NodeTaskRun>();
    for (const task of tasks)
      if (job.table.has(task)) runs.set(task, nodeTaskRun(job, task, completionOf(task)));
    return runs;
  });
}

// --- What nodes did for a job -------------------------------------------------------------------------------------

async function listJobNodes(
  context: QueryContext,
  { job: id, filter, after = 0, limit }: PageRequest & { readonly job: string },
): Promise<Page<JobNodeEntity>> {
  const { state, rows } = context;
  const job = jobNamed(state, id);
  if (job.preparation === undefined)
    return thrown(refuse('JobPreparationTaskOrReleaseTaskNotSpecified', undefined, { JobId: job.id }));
  const matches = filterOf(context, 'jobNode', filter);
  const size = limitOfPage(limit);
  const rest = [...job.nodeTasks.entries()]
    .filter(([task, { role }]) => role === 'preparation' && task > after && job.table.epoch(task) > 0)
    .map(([task, { node, nodeNumber }]) => ({
      task,
      node,
      release: job.nodeTasks.of('release', { number: nodeNumber }),
    }));
  const found: JobNodeEntity[] = [];
  for (let at = 0; at < rest.length && found.length <= size; at += FILTERED_CHUNK) {
    const chunk = rest.slice(at, at + FILTERED_CHUNK);
    const tasks = chunk.flatMap(({ task, release }) => (release === undefined ? [task] : [task, release]));
    const runs = await readRuns(job, tasks, rows);
    for (const { task, node, release } of chunk) {
      const preparation = runs.get(task);
      if (preparation === undefined) continue;
      const entity = jobNodeEntity(state, job, {
        number: task,
        node,
        preparation,
        release: runs.get(release ?? 0),
      });
      if (matches === undefined || matches(entity)) found.push(entity);
    }
  }
  const page = found.slice(0, size);
  return pageOf(page, found.length > size ? page.at(-1)?.number : undefined);
}

function pageOf<T>(items: readonly T[], next: number | undefined): Page<T> {
  return next === undefined ? { items } : { items, next };
}

// --- Explaining ---------------------------------------------------------------------------------------------------

async function explain(
  { state, rows }: QueryContext,
  { job: jobId, task: id }: { readonly job: string; readonly task: string },
): Promise<Explanation> {
  const job = jobNamed(state, jobId);
  const task = taskNamed(job, id);
  const row = await rows.get(taskRowKey(job.number, task));
  if (row === undefined || !job.table.has(task)) return thrown(taskNotFound(job, id));
  const { table } = job;
  const { slots, labels, instances } = job.ready.queueOf(task);
  const live = table.flag(task, Flag.live);
  const pool = state.pool?.pool;
  return explainTask({
    task: {
      id: table.idOf(task),
      state: table.state(task),
      requiredSlots: slots,
      instances,
      requiredLabels: labels.filter((label) => !isOwnLabel(label)),
      needsDedicated: labels.includes(DEDICATED_LABEL),
      isHeld: job.nodeTasks.isHeld(table.node(task), task),
      node: live ? state.nodes.at(table.node(task))?.id : undefined,
      stopping: table.intent(task) !== 0,
      unsatisfied: [...unsatisfied(job, (unpack(row) as TaskSpec).dependsOn ?? {})],
      waitingOn: table.waitingOn(task),
    },
    job: {
      id: job.id,
      state: job.state,
      live: job.live.size,
      maxParallelTasks: job.maxParallelTasks,
      readyBefore: readyBefore(state, job, task),
    },
    pool: { id: state.poolName, exists: pool?.exists === true, deleting: pool?.deleting === true },
    nodes: state.nodes.sorted().map((node) => ({
      id: node.id,
      slots: node.slots,
      assignedSlots: node.assignedSlots,
      labels: node.labels,
      lost: node.lost,
      enabled: node.enabled,
      leaving: node.leaving?.reason,
      restart: node.restart,
      start: node.start,
      dedicated: node.dedicated,
      fault: node.fault,
      unprepared: node.unmet.has(preparedLabel(job.number)),
    })),
  });
}

/** The first few dependencies that do not hold, as people read them. */
function* unsatisfied(job: Job, { taskIds, taskIdRanges }: DependsOn): Iterable<string> {
  if (!job.usesTaskDependencies) return;
  let left = EXPLAIN_DEPENDENCIES_MAX;
  for (const id of new Map((taskIds ?? []).map((one) => [idKey(one), one])).values()) {
    const standing = job.dependencies.standing(idKey(id));
    if (standing === 'satisfied') continue;
    if (left-- <= 0) return;
    const task = job.table.numberOf(id);
    yield standing === 'absent' || task === undefined
      ? `task ${id} (not added)`
      : `task ${id} (${describe(job, task)})`;
  }
  for (const { start, end } of taskIdRanges ?? []) {
    const first = firstMissing(job, start, end);
    if (first === undefined) continue;
    if (left-- <= 0) return;
    yield `tasks ${start} to ${end} (${first} is the first that does not hold)`;
  }
}

function describe(job: Job, task: number): string {
  const state = job.table.state(task);
  return state === 'completed' ? 'failed, and blocks its dependents' : state;
}

function firstMissing(job: Job, start: number, end: number): number | undefined {
  for (let integer = start; integer <= end; integer++)
    if (!job.dependencies.isIntegerSatisfied(integer)) return integer;
  return undefined;
}

function readyBefore(state: PoolState, job: Job, task: number): number {
  let count = 0;
  for (const other of state.jobs.values()) {
    const first = other.priority === job.priority ? other.number < job.number : other.priority > job.priority;
    if (other !== job && first && other.state === 'active') count += other.ready.count;
  }
  for (const other of job.table.tasks()) {
    if (other >= task) break;
    if (job.table.flag(other, Flag.ready)) count += 1;
  }
  return count;
}
