/** Commands on tasks. */

import { TASK_NUMBER_MAX } from '../../../src/lib/limits.ts';
import type {
  Condition,
  EntityStamp,
  Outcome,
  PoolCommand,
  TaskAddResult,
} from '../../../src/model/commands.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import {
  exitOptionsIn,
  invalidValue,
  validateOwnId,
  validateTask,
  validateTaskConstraints,
} from '../../../src/model/validate.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { checkCondition } from './conditions.ts';
import { stopExecution } from './execution.ts';
import type { Job } from './job-record.ts';
import { jobNotFound, refusalWhileEnding } from './job-refusals.ts';
import { settleJob } from './job-state.ts';
import { exitActions, TASK_ENDED } from './outcome.ts';
import {
  type AdditionRow,
  additionRowKey,
  pack,
  satisfiedRowKey,
  taskRowKey,
  taskUpdateRowKey,
} from './rows.ts';
import { taskFault } from './shape.ts';
import { Flag, Intent, outranks } from './task-table.ts';
import { completeTask, deleteTask, reactivateTask } from './transition.ts';
import { accepted, type PoolState, stampOf, type Turn } from './turn.ts';

type Of<K extends PoolCommand['kind']> = Extract<PoolCommand, { readonly kind: K }>;

// --- Adding -------------------------------------------------------------------------------------------------------

/** Each task stands or falls by itself; only the job's own state refuses them all. */
export function addTasks(turn: Turn, { job: id, tasks }: Of<'task.add'>): Outcome<readonly TaskAddResult[]> {
  const job = turn.state.jobNamed(id);
  if (job === undefined) return jobNotFound(id);
  const refusal = refusalWhileEnding(job);
  if (refusal !== undefined) return refusal;
  const first = job.table.last + 1;
  const version = turn.newVersion();
  const defaultMaxRetryCount = job.constraints.maxTaskRetryCount ?? 0;
  const added = accepted(stampOf({ version, modifiedAtMs: turn.nowMs }));
  const context = { turn, job, version, defaultMaxRetryCount, slotsMax: slotsMaxOf(turn.state) };
  const results = tasks.map((spec) => ({ id: spec.id, outcome: addTask(context, spec) ?? added }));
  const count = job.table.last + 1 - first;
  if (count > 0) {
    const row: AdditionRow = [count, turn.nowMs, version, defaultMaxRetryCount];
    turn.put(additionRowKey(job.number, first), row);
    turn.touchJob(job);
  }
  return accepted(results);
}

interface AddContext {
  readonly turn: Turn;
  readonly job: Job;
  readonly version: number;
  readonly defaultMaxRetryCount: number;
  readonly slotsMax: number | undefined;
}

function addTask(
  { turn, job, version, defaultMaxRetryCount, slotsMax }: AddContext,
  spec: TaskSpec,
): Refusal | undefined {
  const fault = taskFault(spec);
  if (fault !== undefined) return refuse('InvalidRequestBody', `The task is not valid: ${fault}.`);
  const violation =
    validateTask(spec) ??
    jobViolation(job, spec) ??
    slotsViolation(spec, slotsMax) ??
    gangViolation(turn.state, spec);
  if (violation !== undefined) return { ok: false, ...violation };
  const { table } = job;
  const key = idKey(spec.id);
  const known = table.numberOfKey(key);
  if (known !== undefined) return taskExists(job, known);
  if (table.last >= TASK_NUMBER_MAX)
    return refuse('ServerBusy', `The job ${job.id} has used up all task numbers.`);
  const task = table.append({
    id: spec.id,
    createdAtMs: turn.nowMs,
    version,
    maxRetryCount: spec.constraints?.maxTaskRetryCount ?? defaultMaxRetryCount,
    shape: job.shapeOf(spec, table.last + 1),
  });
  turn.putBytes(taskRowKey(job.number, task), pack(spec));
  job.tally(task, 1);
  noteSparse(job, task, spec);
  if (job.usesTaskDependencies) {
    if (job.dependencies.added(key)) turn.delete(satisfiedRowKey(job.number, key));
    if (spec.dependsOn !== undefined) job.dependencies.register(task, spec.dependsOn);
  }
  job.refresh(task);
  return undefined;
}

/** What of a specification must be at hand without reading its row. Also when a row is loaded. */
export function noteSparse(job: Job, task: number, spec: TaskSpec): void {
  if (spec.exitConditions !== undefined) job.setExitConditions(task, spec.exitConditions);
  if (spec.multiInstanceSettings !== undefined) job.gangs.set(task, spec);
  if (spec.affinityInfo !== undefined) job.affinities.set(task, spec.affinityInfo.affinityId);
}

function taskExists(job: Job, task: number): Refusal {
  const id = job.table.idOf(task);
  if (!job.table.flag(task, Flag.ghost))
    return refuse('TaskExists', `The task ${id} already exists in the job ${job.id}.`);
  // Not TaskExists: clients take that for success, and this task is about to vanish.
  return refuse(
    'OperationInvalidForCurrentState',
    `The deleted task ${id} is still being stopped on its node; add it again when it is gone.`,
  );
}

function jobViolation(job: Job, spec: TaskSpec) {
  const sameId = validateOwnId(spec.id, job.preparation, job.release);
  if (sameId !== undefined) return sameId;
  if (spec.dependsOn !== undefined && !job.usesTaskDependencies && dependsOnAnything(spec)) {
    return {
      code: 'TaskDependenciesNotSpecifiedOnJob',
      message: `The task ${spec.id} depends on others, but its job ${job.id} does not use task dependencies.`,
      values: { PropertyName: 'dependsOn' },
    } as const;
  }
  if (spec.exitConditions !== undefined && !job.performsExitActions) {
    for (const { jobAction } of exitOptionsIn(spec.exitConditions)) {
      if (jobAction !== undefined)
        return invalidValue(
          'exitConditions/jobAction',
          jobAction,
          "it is allowed only where the job's onTaskFailure is performexitoptionsjobaction",
        );
    }
  }
  return undefined;
}

function dependsOnAnything({ dependsOn }: TaskSpec): boolean {
  return (dependsOn?.taskIds?.length ?? 0) + (dependsOn?.taskIdRanges?.length ?? 0) > 0;
}

/** The most slots that any node of the pool has or can get; undefined where that is open. */
export function slotsMaxOf(state: PoolState): number | undefined {
  const mirrored = state.pool?.pool;
  if (mirrored === undefined || !mirrored.exists || mirrored.spec === undefined) return undefined;
  // Slots that follow the cores have no bound: a bigger machine may join.
  return mirrored.spec.slotsFromCores === true ? undefined : (mirrored.spec.taskSlotsPerNode ?? 1);
}

/** Azure takes such a task and leaves it active for ever (Azure/Batch#117). */
export function slotsViolation({ requiredSlots }: TaskSpec, slotsMax: number | undefined) {
  if (requiredSlots === undefined || slotsMax === undefined || requiredSlots <= slotsMax) return undefined;
  return {
    code: 'TaskCanNeverRun',
    message: `The task needs ${requiredSlots} slots on one node, but the nodes of the pool have ${slotsMax}.`,
    values: {
      PropertyName: 'requiredSlots',
      PropertyValue: String(requiredSlots),
      Maximum: String(slotsMax),
    },
  } as const;
}

/** Azure takes such a task as well and leaves it active for ever (Azure Batch, "Multi-instance tasks"). */
function gangViolation(state: PoolState, { multiInstanceSettings, requiredSlots = 1 }: TaskSpec) {
  const spec = state.pool?.pool.spec;
  if (multiInstanceSettings === undefined || spec === undefined) return undefined;
  const takesGangs =
    spec.enableInterNodeCommunication === true &&
    spec.slotsFromCores !== true &&
    (spec.taskSlotsPerNode ?? 1) === 1;
  if (takesGangs && requiredSlots === 1) return undefined;
  return {
    code: 'TaskCanNeverRun',
    message:
      'A multi-instance task needs a pool with enableInterNodeCommunication and one task slot for each node, and requires one slot itself.',
    values: { PropertyName: 'multiInstanceSettings' },
  } as const;
}

// --- Changing -----------------------------------------------------------------------------------------------------

/** PUT of the constraints: what is absent returns to its default. Applies to executions that begin later. */
export function updateTask(turn: Turn, command: Of<'task.update'>): Outcome<EntityStamp> {
  return withTask(turn, command, (job, task) => {
    const violation = validateTaskConstraints(command.constraints);
    if (violation !== undefined) return { ok: false, ...violation };
    if (job.state === 'deleting') return refusalWhileEnding(job);
    job.updatedConstraints.set(task, command.constraints);
    job.table.setMaxRetryCount(
      task,
      command.constraints.maxTaskRetryCount ?? job.constraints.maxTaskRetryCount ?? 0,
    );
    stamp(turn, job, task);
    // Version and times of a completed task would need its runtime row to be read: they go with the constraints.
    turn.put(taskUpdateRowKey(job.number, task), [
      command.constraints,
      job.table.maxRetryCount(task),
      job.table.version(task),
      turn.nowMs,
    ]);
    return undefined;
  });
}

/** Row `u`. Version and time count where they are newer than those of the runtime row. */
export type TaskUpdateRow = [
  constraints: TaskSpec['constraints'] & object,
  maxRetryCount: number,
  version: number,
  modifiedAtMs: number,
];

export function terminateTask(turn: Turn, command: Of<'task.terminate'>): Outcome<EntityStamp> {
  return withTask(turn, command, (job, task) => {
    if (job.state === 'deleting') return refusalWhileEnding(job);
    const { table } = job;
    if (table.state(task) === 'completed')
      return refuse('TaskCompleted', `The task ${table.idOf(task)} is already completed.`);
    // It is being stopped already: nothing changes.
    if (!outranks(Intent.terminate, table.intent(task))) return undefined;
    stamp(turn, job, task);
    if (table.flag(task, Flag.live)) stopExecution(turn, job, task, Intent.terminate);
    else endUnstarted(turn, job, task);
    return undefined;
  });
}

function endUnstarted(turn: Turn, job: Job, task: number): void {
  completeTask(turn, job, task, {
    succeeded: false,
    actions: exitActions(job.exitConditions.get(task), { kind: 'killed' }, true),
    completion: {
      startedAtMs: undefined,
      endedAtMs: turn.nowMs,
      exitCode: undefined,
      failure: TASK_ENDED,
      files: [],
    },
  });
}

export function deleteTaskCommand(turn: Turn, command: Of<'task.delete'>): Outcome<EntityStamp> {
  return withTask(turn, command, (job, task) => {
    if (job.state === 'deleting') return refusalWhileEnding(job);
    stamp(turn, job, task);
    deleteTask(turn, job, task);
    return undefined;
  });
}

export function reactivateTaskCommand(turn: Turn, command: Of<'task.reactivate'>): Outcome<EntityStamp> {
  return withTask(turn, command, (job, task) => {
    const refusal = refusalWhileEnding(job);
    if (refusal !== undefined) return refusal;
    const { table } = job;
    if (table.state(task) !== 'completed')
      return refuse(
        'TaskNotCompleted',
        `The task ${table.idOf(task)} is ${table.state(task)}, not completed.`,
      );
    if (table.flag(task, Flag.succeeded)) return refuse('TaskSucceeded');
    stamp(turn, job, task);
    reactivateTask(turn, job, task);
    settleJob(turn, job);
    return undefined;
  });
}

// ------------------------------------------------------------------------------------------------------------------

interface TaskTarget {
  readonly job: string;
  readonly task: string;
  readonly condition?: Condition;
}

function withTask(
  turn: Turn,
  target: TaskTarget,
  act: (job: Job, task: number) => Refusal | undefined,
): Outcome<EntityStamp> {
  const job = turn.state.jobNamed(target.job);
  if (job === undefined) return jobNotFound(target.job);
  const { table } = job;
  const task = findTask(job, target.task);
  if (task === undefined) return taskNotFound(job, target.task);
  const refusal =
    checkCondition(target.condition, table.version(task), table.modifiedAtMs(task)) ?? act(job, task);
  if (refusal !== undefined) return refusal;
  return accepted(stampOf({ version: table.version(task), modifiedAtMs: table.modifiedAtMs(task) }));
}

/** The task as clients see it: a ghost is gone. */
export function findTask(job: Job, id: string): number | undefined {
  const task = job.table.numberOf(id);
  return task === undefined || job.table.flag(task, Flag.ghost) || job.nodeTasks.has(task) ? undefined : task;
}

export function taskNotFound(job: Job, id: string): Refusal {
  return refuse('TaskNotFound', `The job ${job.id} has no task ${id}.`, { JobId: job.id, TaskId: id });
}

/** A client changed the task. A state that changes by itself leaves version and time as they are. */
function stamp(turn: Turn, job: Job, task: number): void {
  job.table.setVersion(task, turn.newVersion(), turn.nowMs);
}
