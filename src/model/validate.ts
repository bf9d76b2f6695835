/**
 * Rules of tasks, jobs and pools that a schema cannot say. The HTTP API and the replicated state machines ask the same
 * functions, so that a task refused by one is refused by the other with the same words.
 */
import { parseDuration } from '../lib/durations.ts';
import { asShoalError, type ErrorCode } from '../lib/errors.ts';
import {
  COMMAND_LINE_BYTES_MAX,
  DEPENDENCY_IDS_LENGTH_MAX,
  DEPENDENCY_RANGES_MAX,
  ENVIRONMENT_BYTES_MAX,
  TASK_SLOTS_PER_NODE_MAX,
} from '../lib/limits.ts';
import { isValidContainerName, parseMeshUrl } from './blob.ts';
import { type ContainerSettings, readRunOptions } from './container.ts';
import { idKey, isValidId, isValidJobReference } from './ids.ts';
import { type JobConstraints, type JobPatch, type JobSpec, managerSpec } from './job.ts';
import {
  type JobPreparationTask,
  type JobReleaseTask,
  PREPARATION_ID,
  preparationSpec,
  RELEASE_ID,
  RELEASE_WALL_CLOCK_DEFAULT,
  releaseSpec,
  type StartTask,
  startTaskSpec,
} from './node-task.ts';
import type { PoolSpec } from './pool.ts';
import type {
  DependsOn,
  ExitConditions,
  ExitOptions,
  OutputFile,
  ResourceFile,
  TaskConstraints,
  TaskSpec,
} from './task.ts';

/** The first rule that a value breaks. */
export interface Violation {
  readonly code: ErrorCode;
  readonly message: string;
  readonly values: Readonly<Record<string, string>>;
}

/** Azure's three keys of an invalid property. */
export function invalidValue(
  name: string,
  value: unknown,
  reason: string,
  code: ErrorCode = 'InvalidPropertyValue',
): Violation {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return {
    code,
    message: `The value of the property ${name} is not valid: ${reason}.`,
    values: { PropertyName: name, PropertyValue: text.slice(0, 256), Reason: reason },
  };
}

// --- Tasks --------------------------------------------------------------------------------------------------------

/** Rules of a task by itself; what depends on its job or pool is checked where the task is added. */
export function validateTask(task: TaskSpec): Violation | undefined {
  if (typeof task.id !== 'string' || !isValidId(task.id)) return invalidValue('id', task.id, ID_RULE);
  return (
    validateCommandLine(task.commandLine) ??
    (task.constraints && validateTaskConstraints(task.constraints)) ??
    (task.requiredSlots === undefined ? undefined : validateSlots(task.requiredSlots)) ??
    (task.environmentSettings && validateEnvironment('environmentSettings', task.environmentSettings)) ??
    (task.dependsOn && validateDependsOn(task.id, task.dependsOn)) ??
    (task.exitConditions && validateExitConditions(task.exitConditions)) ??
    firstViolation(task.resourceFiles, (file, position) => validateResourceFile(file, position)) ??
    firstViolation(task.outputFiles, validateOutputFile) ??
    validateContainer(task.containerSettings) ??
    (task.multiInstanceSettings && validateInstances(task, task.multiInstanceSettings))
  );
}

function validateContainer(settings: ContainerSettings | undefined): Violation | undefined {
  if (settings?.containerRunOptions === undefined) return undefined;
  try {
    readRunOptions(settings.containerRunOptions);
    return undefined;
  } catch (error) {
    const { values } = asShoalError(error);
    const name = 'containerSettings/containerRunOptions';
    return invalidValue(name, settings.containerRunOptions, values.Reason ?? 'it is no list of options');
  }
}

function validateInstances(
  { containerSettings }: TaskSpec,
  { coordinationCommandLine, commonResourceFiles }: NonNullable<TaskSpec['multiInstanceSettings']>,
): Violation | undefined {
  if (containerSettings !== undefined)
    return invalidValue(
      'containerSettings',
      '',
      'a multi-instance task runs without a container, for its launcher is a program of the machine and listens under its address',
    );
  const violation =
    validateCommandLine(coordinationCommandLine, 'coordinationCommandLine') ??
    firstViolation(commonResourceFiles, (file, position) =>
      validateResourceFile(file, position, 'commonResourceFiles'),
    );
  return within('multiInstanceSettings', violation);
}

const ID_RULE = 'an id has 1 to 64 letters, digits, hyphens and underscores';

function validateCommandLine(commandLine: string, name = 'commandLine'): Violation | undefined {
  if (typeof commandLine !== 'string' || commandLine.trim() === '') {
    return invalidValue(name, commandLine, 'it names no program');
  }
  if (commandLine.includes('\0')) return invalidValue(name, '', 'it holds a NUL character');
  if (exceedsBytes(commandLine, COMMAND_LINE_BYTES_MAX)) {
    return invalidValue(name, commandLine, `it is longer than ${COMMAND_LINE_BYTES_MAX} bytes`);
  }
  return undefined;
}

function validateSlots(slots: number): Violation | undefined {
  if (Number.isInteger(slots) && slots >= 1 && slots <= TASK_SLOTS_PER_NODE_MAX) return undefined;
  return invalidValue('requiredSlots', slots, `it is an integer from 1 to ${TASK_SLOTS_PER_NODE_MAX}`);
}

/** Also for an update of a task's constraints. */
export function validateTaskConstraints(constraints: TaskConstraints): Violation | undefined {
  return (
    validateDuration('constraints/maxWallClockTime', constraints.maxWallClockTime, 1) ??
    validateDuration('constraints/retentionTime', constraints.retentionTime, 0) ??
    validateRetryCount(constraints.maxTaskRetryCount)
  );
}

function validateRetryCount(count: number | undefined): Violation | undefined {
  if (count === undefined || (Number.isInteger(count) && count >= -1 && count <= 2_147_483_647))
    return undefined;
  return invalidValue(
    'constraints/maxTaskRetryCount',
    count,
    'it is an integer from -1 (without limit) to 2147483647',
  );
}

function validateDuration(name: string, text: string | undefined, leastMs: number): Violation | undefined {
  if (text === undefined) return undefined;
  const lengthMs = typeof text === 'string' ? parseDuration(text) : undefined;
  if (lengthMs === undefined)
    return invalidValue(
      name,
      text,
      'it is not an ISO 8601 duration of weeks, days, hours, minutes and seconds such as PT15M',
    );
  return lengthMs < leastMs ? invalidValue(name, text, 'it must be longer than zero') : undefined;
}

type Environment = readonly { readonly name: string; readonly value?: string }[];

function validateEnvironment(property: string, settings: Environment): Violation | undefined {
  let bytes = 0;
  for (const [position, { name, value }] of settings.entries()) {
    if (name === '' || /[=\0]/.test(name))
      return invalidValue(`${property}/${position}/name`, name, 'it is empty or holds = or NUL');
    if (value?.includes('\0') === true)
      return invalidValue(`${property}/${position}/value`, '', 'it holds a NUL character');
    bytes += utf8Length(name) + utf8Length(value ?? '') + 2;
  }
  if (bytes <= ENVIRONMENT_BYTES_MAX) return undefined;
  return invalidValue(
    property,
    `${bytes} bytes`,
    `all names and values together have at most ${ENVIRONMENT_BYTES_MAX} bytes`,
  );
}

function validateDependsOn(id: string, { taskIds, taskIdRanges }: DependsOn): Violation | undefined {
  let length = 0;
  for (const [position, other] of (taskIds ?? []).entries()) {
    if (typeof other !== 'string' || !isValidId(other))
      return invalidValue(`dependsOn/taskIds/${position}`, other, ID_RULE);
    if (idKey(other) === idKey(id))
      return invalidValue(`dependsOn/taskIds/${position}`, other, 'a task cannot depend on itself');
    length += other.length;
    if (length > DEPENDENCY_IDS_LENGTH_MAX) {
      return invalidValue(
        'dependsOn/taskIds',
        `${taskIds?.length} ids`,
        `all ids together have at most ${DEPENDENCY_IDS_LENGTH_MAX} characters`,
        'TaskDependencyListTooLong',
      );
    }
  }
  return validateRanges(id, taskIdRanges ?? []);
}

function validateRanges(
  id: string,
  ranges: readonly { readonly start: number; readonly end: number }[],
): Violation | undefined {
  if (ranges.length > DEPENDENCY_RANGES_MAX) {
    return invalidValue(
      'dependsOn/taskIdRanges',
      `${ranges.length} ranges`,
      `at most ${DEPENDENCY_RANGES_MAX} ranges are allowed`,
      'TaskDependencyRangesTooLong',
    );
  }
  const own = integerOfId(id);
  for (const [position, { start, end }] of ranges.entries()) {
    const name = `dependsOn/taskIdRanges/${position}`;
    if (!isRangeEnd(start) || !isRangeEnd(end))
      return invalidValue(name, { start, end }, 'both ends are integers from 0 to 2147483647');
    if (start > end) return invalidValue(name, { start, end }, 'the start is greater than the end');
    if (own !== undefined && own >= start && own <= end)
      return invalidValue(name, { start, end }, 'a task cannot depend on itself');
  }
  return undefined;
}

function isRangeEnd(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= ID_INTEGER_MAX;
}

const ID_INTEGER_MAX = 2_147_483_647;

/** The integer that an id stands for in an id range: `4`, `04` and `004` are the same. Undefined for other ids. */
export function integerOfId(id: string): number | undefined {
  if (!/^0*\d{1,10}$/.test(id)) return undefined;
  const value = Number(id);
  return value <= ID_INTEGER_MAX ? value : undefined;
}

function validateExitConditions(conditions: ExitConditions): Violation | undefined {
  for (const [position, { start, end }] of (conditions.exitCodeRanges ?? []).entries()) {
    if (start > end)
      return invalidValue(
        `exitConditions/exitCodeRanges/${position}`,
        { start, end },
        'the start is greater than the end',
      );
  }
  const seen = new Set<number>();
  for (const [position, { code }] of (conditions.exitCodes ?? []).entries()) {
    if (seen.has(code))
      return invalidValue(`exitConditions/exitCodes/${position}`, code, 'the exit code is named twice');
    seen.add(code);
  }
  return undefined;
}

/** Every ExitOptions of a task's exit conditions. */
export function* exitOptionsIn(conditions: ExitConditions): Iterable<ExitOptions> {
  for (const { exitOptions } of conditions.exitCodes ?? []) yield exitOptions;
  for (const { exitOptions } of conditions.exitCodeRanges ?? []) yield exitOptions;
  for (const options of [conditions.preProcessingError, conditions.fileUploadError, conditions.default]) {
    if (options !== undefined) yield options;
  }
}

// --- Files --------------------------------------------------------------------------------------------------------

function validateResourceFile(
  file: ResourceFile,
  position: number,
  property = 'resourceFiles',
): Violation | undefined {
  const name = `${property}/${position}`;
  const sources = [file.httpUrl, file.storageContainerUrl, file.autoStorageContainerName].filter(
    (source) => source !== undefined,
  );
  if (sources.length !== 1) {
    return invalidValue(
      name,
      sources,
      'exactly one of httpUrl, storageContainerUrl and autoStorageContainerName is given',
    );
  }
  if (file.httpUrl !== undefined) {
    if (file.filePath === undefined)
      return invalidValue(`${name}/filePath`, '', 'it is required beside httpUrl', 'MissingRequiredProperty');
    if (file.blobPrefix !== undefined)
      return invalidValue(
        `${name}/blobPrefix`,
        file.blobPrefix,
        'it goes with a container, not with httpUrl',
      );
    if (!isFetchable(file.httpUrl))
      return invalidValue(
        `${name}/httpUrl`,
        file.httpUrl,
        'it is neither http://, https:// nor mesh://<container>/<blob>',
      );
  }
  if (file.storageContainerUrl !== undefined && !isContainerUrl(file.storageContainerUrl)) {
    return invalidValue(
      `${name}/storageContainerUrl`,
      file.storageContainerUrl,
      'it is neither http://, https:// nor mesh://<container>',
    );
  }
  if (file.autoStorageContainerName !== undefined && !isValidContainerName(file.autoStorageContainerName)) {
    return invalidValue(
      `${name}/autoStorageContainerName`,
      file.autoStorageContainerName,
      'it is not a container name',
    );
  }
  const fault = file.filePath === undefined ? undefined : pathFault(file.filePath);
  return fault === undefined ? undefined : invalidValue(`${name}/filePath`, file.filePath, fault);
}

function isFetchable(url: string): boolean {
  return isHttpUrl(url) || parseMeshUrl(url)?.blob !== undefined;
}

/** Whether files can be stored there: a container of a blob service, or of the mesh's own. */
export function isContainerUrl(url: string): boolean {
  if (isHttpUrl(url)) return true;
  const parsed = parseMeshUrl(url);
  return parsed !== undefined && parsed.blob === undefined;
}

function isHttpUrl(url: string): boolean {
  return /^https?:\/\/[^/?#\s]/i.test(url) && !/[\u0000-\u0020\u007f]/.test(url) && URL.canParse(url);
}

const PATH_PART_BYTES_MAX = 255;
const PATH_DEPTH_MAX = 64;

/** Why a path inside a task's working directory cannot be had; undefined where it can. */
function pathFault(path: string): string | undefined {
  if (path.startsWith('/')) return 'it is absolute; paths are relative to the working directory';
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return 'it holds a control character or a backslash';
  const parts = (path.endsWith('/') ? path.slice(0, -1) : path).split('/');
  if (parts.length > PATH_DEPTH_MAX) return `it has more than ${PATH_DEPTH_MAX} components`;
  if (parts.includes('..')) return "it holds '..'";
  if (path !== '' && parts.includes('')) return 'it holds an empty component';
  return parts.some((part) => exceedsBytes(part, PATH_PART_BYTES_MAX))
    ? `a component is longer than ${PATH_PART_BYTES_MAX} bytes`
    : undefined;
}

function validateOutputFile(file: OutputFile, position: number): Violation | undefined {
  const name = `outputFiles/${position}`;
  const { containerUrl, path } = file.destination.container;
  if (/[\u0000\n\r]/.test(file.filePattern))
    return invalidValue(`${name}/filePattern`, '', 'it holds a NUL or line break');
  if (!isContainerUrl(containerUrl)) {
    return invalidValue(
      `${name}/destination/container/containerUrl`,
      containerUrl,
      'it is neither http://, https:// nor mesh://<container>',
    );
  }
  const fault = path === undefined ? undefined : pathFault(path);
  return fault === undefined ? undefined : invalidValue(`${name}/destination/container/path`, path, fault);
}

// --- Jobs ---------------------------------------------------------------------------------------------------------

export function validateJob(job: JobSpec): Violation | undefined {
  if (typeof job.id !== 'string' || !isValidJobReference(job.id)) return invalidValue('id', job.id, ID_RULE);
  // Where the pool was made for the job, `poolId` is that pool.
  const { poolId } = job.poolInfo;
  if (poolId === undefined)
    return {
      code: 'MissingRequiredProperty',
      message: 'The job names no pool.',
      values: { PropertyName: 'poolInfo/poolId' },
    };
  if (!isValidId(poolId)) return invalidValue('poolInfo/poolId', poolId, ID_RULE);
  return (
    validateJobChange(job) ??
    (job.commonEnvironmentSettings &&
      validateEnvironment('commonEnvironmentSettings', job.commonEnvironmentSettings)) ??
    validateErrands(job)
  );
}

/** The manager, preparation and release tasks of a job. */
function validateErrands({
  jobManagerTask,
  jobPreparationTask,
  jobReleaseTask,
}: JobSpec): Violation | undefined {
  if (jobReleaseTask !== undefined && jobPreparationTask === undefined) {
    return invalidValue(
      'jobReleaseTask',
      jobReleaseTask.id ?? RELEASE_ID,
      'a job release task needs a job preparation task: it runs on the nodes where that one ran',
    );
  }
  return (
    (jobPreparationTask && within('jobPreparationTask', validateTask(preparationSpec(jobPreparationTask)))) ??
    (jobReleaseTask && validateRelease(jobReleaseTask, jobPreparationTask)) ??
    (jobManagerTask && within('jobManagerTask', validateTask(managerSpec(jobManagerTask, undefined)))) ??
    (jobManagerTask && validateOwnId(jobManagerTask.id, jobPreparationTask, jobReleaseTask))
  );
}

function validateRelease(
  release: JobReleaseTask,
  preparation: JobPreparationTask | undefined,
): Violation | undefined {
  const violation = within('jobReleaseTask', validateTask(releaseSpec(release)));
  if (violation !== undefined) return violation;
  const { maxWallClockTime, id = RELEASE_ID } = release;
  const lengthMs = maxWallClockTime === undefined ? 0 : parseDuration(maxWallClockTime);
  if (lengthMs !== undefined && lengthMs > (parseDuration(RELEASE_WALL_CLOCK_DEFAULT) ?? 0))
    return invalidValue('jobReleaseTask/maxWallClockTime', maxWallClockTime, 'it is at most PT15M');
  if (idKey(id) === idKey(preparation?.id ?? PREPARATION_ID))
    return invalidValue('jobReleaseTask/id', id, 'it is the id of the job preparation task');
  return undefined;
}

/** The id of a job's task must not be that of its preparation or release task: they share one directory. */
export function validateOwnId(
  id: string,
  preparation: Pick<JobPreparationTask, 'id'> | undefined,
  release: Pick<JobReleaseTask, 'id'> | undefined,
): Violation | undefined {
  const key = idKey(id);
  if (preparation !== undefined && key === idKey(preparation.id ?? PREPARATION_ID))
    return sameId(id, 'TaskIdSameAsJobPreparationTask', 'preparation');
  if (release !== undefined && key === idKey(release.id ?? RELEASE_ID))
    return sameId(id, 'TaskIdSameAsJobReleaseTask', 'release');
  return undefined;
}

function sameId(id: string, code: ErrorCode, what: string): Violation {
  return {
    code,
    message: `The id ${id} is that of the job ${what} task of the job.`,
    values: { PropertyName: 'id', PropertyValue: id },
  };
}

/** A violation of a task that is part of another entity: its property is named from there. */
function within(part: string, violation: Violation | undefined): Violation | undefined {
  if (violation === undefined) return undefined;
  const { PropertyName, ...values } = violation.values;
  if (PropertyName === undefined) return violation;
  const name = `${part}/${PropertyName}`;
  return {
    ...violation,
    message: violation.message.replace(`property ${PropertyName} `, `property ${name} `),
    values: { PropertyName: name, ...values },
  };
}

/** The changeable properties: of a new job, of a PATCH and of a PUT. */
export function validateJobChange(job: JobPatch): Violation | undefined {
  const { priority, maxParallelTasks } = job;
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= -1000 && priority <= 1000)) {
    return invalidValue('priority', priority, 'it is an integer from -1000 to 1000');
  }
  if (
    maxParallelTasks !== undefined &&
    maxParallelTasks !== -1 &&
    !(Number.isInteger(maxParallelTasks) && maxParallelTasks > 0)
  ) {
    return invalidValue('maxParallelTasks', maxParallelTasks, 'it is greater than 0, or -1 for no limit');
  }
  return job.constraints && validateJobConstraints(job.constraints);
}

function validateJobConstraints(constraints: JobConstraints): Violation | undefined {
  return (
    validateDuration('constraints/maxWallClockTime', constraints.maxWallClockTime, 1) ??
    validateRetryCount(constraints.maxTaskRetryCount)
  );
}

// --- Start tasks --------------------------------------------------------------------------------------------------

export function validateStartTask(start: StartTask): Violation | undefined {
  return within('startTask', validateTask(startTaskSpec(start)));
}

// --- Pools --------------------------------------------------------------------------------------------------------

export function validatePool(pool: PoolSpec): Violation | undefined {
  if (typeof pool.id !== 'string' || !isValidId(pool.id)) return invalidValue('id', pool.id, ID_RULE);
  if (pool.slotsFromCores === true && pool.taskSlotsPerNode !== undefined) {
    return invalidValue(
      'taskSlotsPerNode',
      pool.taskSlotsPerNode,
      'it cannot be given together with slotsFromCores',
    );
  }
  if (pool.virtualMachineConfiguration !== undefined && pool.cloudServiceConfiguration !== undefined) {
    return invalidValue(
      'cloudServiceConfiguration',
      '',
      'it cannot be given together with virtualMachineConfiguration',
    );
  }
  return (
    (pool.taskSlotsPerNode === undefined ? undefined : validateSlots(pool.taskSlotsPerNode)) ??
    validateDuration('resizeTimeout', pool.resizeTimeout, 1) ??
    (pool.startTask && validateStartTask(pool.startTask))
  );
}

// ------------------------------------------------------------------------------------------------------------------

function firstViolation<T>(
  items: readonly T[] | undefined,
  check: (item: T, position: number) => Violation | undefined,
): Violation | undefined {
  if (items === undefined) return undefined;
  for (const [position, item] of items.entries()) {
    const violation = check(item, position);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

/** A character is at most three bytes long per UTF-16 unit, so short texts need no count. */
function exceedsBytes(text: string, most: number): boolean {
  return text.length * 3 > most && utf8Length(text) > most;
}

function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // A surrogate pair is four bytes in two units; each half alone would be three.
    if (unit >= 0x80) bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
