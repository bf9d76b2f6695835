/**
 * One execution on its node, step by step. A task without inputs and outputs passes through without one asynchronous
 * file operation: its directory is made by the runner, its small logs come back inside the runner's word of its end.
 */
import { existsSync } from 'node:fs';
import { chown, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../src/lib/clock.ts';
import { parseDuration } from '../../src/lib/durations.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { HEARTBEAT_INTERVAL_MS, RETENTION_DEFAULT_MS, TASK_OUTPUT_BYTES_MAX } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { parseCommandLine } from '../../src/model/parse-command-line.ts';
import type { FailureInfo, KeptFile, TaskOutcome } from '../../src/model/task.ts';
import type { ContainerTasks } from '../containers/container-tasks.ts';
import type { FileService } from '../files/interface.ts';
import { SafeDirectory } from '../files/safe-path.ts';
import { unlessAborted } from '../files/unless-aborted.ts';
import type { ContainerLaunch, Exit, Launch } from '../runner/interface.ts';
import { wallClockLimitMs } from '../runner/wall-clock.ts';
import { directoriesOf, type TaskDirectories, taskRootDirectory } from './directories.ts';
import { bringInputs, type Owner } from './inputs.ts';
import { coordination, instanceEnvironment, isPrimary, stayingArgv } from './instances.ts';
import type { Assigned, Lifecycle, Prepared } from './interface.ts';
import { keptLease } from './kept-lease.ts';
import { launcherEnvironment, placeLauncher } from './launcher-file.ts';
import {
  containerFailure,
  endingOf,
  inputFailure,
  packageFailure,
  preProcessingError,
  uploadFailure,
} from './outcomes.ts';
import { keepLogs, keepUploadLogs, storeOutputs } from './outputs.ts';
import type { Packages } from './packages.ts';
import type { Reach } from './reach.ts';
import type { Retention } from './retention.ts';

export interface TaskLifecycleOptions {
  readonly nodesDirectory: string;
  readonly files: FileService;
  /** Which servers inputs may come from and outputs go to. */
  readonly reach: Reach;
  readonly clock: Clock;
  readonly log: Log;
  /** User of a node's tasks; undefined where the agent is not root. */
  readonly ownerOf: (node: string) => Owner | undefined;
  readonly retention: Retention;
  /** A bearer token for a job; undefined while this machine does not know the mesh's secret yet. */
  readonly issueToken: (job: string) => string | undefined;
  /** A key that the agents of all instances make alike; undefined as the last. */
  readonly memberKey: (purpose: string) => string | undefined;
  /** The bundled program behind `SHOAL_LAUNCHER`. */
  readonly launcherScript: string;
  /** Kills what is left of the node's processes; `meanwhile` runs while nothing can start there. */
  readonly restartNode: (node: string, meanwhile: () => Promise<void>) => Promise<void>;
  readonly packages: Packages;
  readonly containers: Pick<ContainerTasks, 'launchOf'>;
}

export class TaskLifecycle implements Lifecycle {
  readonly #options: TaskLifecycleOptions;

  constructor(options: TaskLifecycleOptions) {
    this.#options = options;
  }

  async prepare(assigned: Assigned, signal: AbortSignal): Promise<Prepared> {
    const { clock, nodesDirectory } = this.#options;
    const directories = directoriesOf(nodesDirectory, assigned);
    const { role } = assigned.spec;
    if (role === 'reboot' || role === 'reimage') return this.#restart(assigned, role === 'reimage');
    let argv: string[];
    try {
      argv = parseCommandLine(assigned.spec.commandLine);
    } catch (error) {
      return {
        ok: false,
        outcome: preProcessingError(clock.wallMs(), 'CommandLaunchFailed', asShoalError(error).message),
      };
    }
    this.#options.retention.hold(directories.root);
    if (beginsAfresh(assigned) && existsSync(directories.root))
      await rm(directories.root, { recursive: true, force: true });
    if (role === 'start' || role === 'preparation') await this.#makeShared(assigned.node, directories);
    if (role === 'subtask') await this.#makeOwn(assigned.node, directories);
    const resources = assigned.spec.resourceFiles ?? [];
    if (resources.length > 0) {
      const failed = await this.#bringInputs(assigned, directories, signal);
      if (failed !== undefined) return { ok: false, outcome: failed };
    }
    const packages = await this.#bringPackages(assigned, signal);
    if (!packages.ok) return packages;
    const container = await this.#bringContainer(assigned, signal);
    if (!container.ok) return container;
    const launch = { ...launchOf(assigned, argv, directories), ...container.part };
    const environment = {
      ...launch.environment,
      ...packages.environment,
      ...this.#accessOf(assigned),
      ...(await this.#launcherOf(assigned, directories)),
    };
    return { ok: true, launch: { ...launch, environment } };
  }

  async #bringContainer(
    { pool, spec }: Assigned,
    signal: AbortSignal,
  ): Promise<
    { ok: true; part: { readonly container?: ContainerLaunch } } | { ok: false; outcome: TaskOutcome }
  > {
    if (spec.containerSettings === undefined) return { ok: true, part: {} };
    const { containers, clock } = this.#options;
    try {
      return {
        ok: true,
        part: { container: await containers.launchOf(pool, spec.containerSettings, signal) },
      };
    } catch (error) {
      signal.throwIfAborted();
      return { ok: false, outcome: containerFailure(clock.wallMs(), asShoalError(error)) };
    }
  }

  /** What lets a task call the operations of its own job, where its author asked for that. */
  #accessOf({ job, spec }: Assigned): Record<string, string> {
    if (spec.authenticationTokenSettings?.access.includes('job') !== true) return {};
    const token = this.#options.issueToken(job.id);
    return token === undefined ? {} : { AZ_BATCH_AUTHENTICATION_TOKEN: token };
  }

  /** What lets the instances of a task start processes on each other's nodes. */
  async #launcherOf(assigned: Assigned, directories: TaskDirectories): Promise<Record<string, string>> {
    const { pool, job, spec } = assigned;
    if (spec.gang === undefined) return {};
    const { primary, run } = spec.gang;
    const key = this.#options.memberKey(`instances of ${pool} ${job.number} ${primary} ${run}`);
    if (key === undefined) return {};
    if (spec.role === 'subtask') await placeLauncher(directories, this.#options.launcherScript);
    return launcherEnvironment(spec.gang, directories, key);
  }

  async #bringPackages(
    { pool, node, spec }: Assigned,
    signal: AbortSignal,
  ): Promise<
    { ok: true; environment: Readonly<Record<string, string>> } | { ok: false; outcome: TaskOutcome }
  > {
    const { packages, clock } = this.#options;
    let environment: Record<string, string>;
    try {
      environment = await packages.bringOfPool(node, pool, signal);
    } catch {
      signal.throwIfAborted();
      return { ok: false, outcome: await this.#turnAway(signal) };
    }
    const own = spec.applicationPackageReferences ?? [];
    if (own.length === 0) return { ok: true, environment };
    try {
      return { ok: true, environment: { ...environment, ...(await packages.bring(node, own, signal)) } };
    } catch (error) {
      signal.throwIfAborted();
      return { ok: false, outcome: packageFailure(clock.wallMs(), asShoalError(error)) };
    }
  }

  /**
   * The fault is the node's and not the task's, which runs elsewhere. It is given back once a heartbeat has had the time
   * to say so: else it would come back at once, and again.
   */
  async #turnAway(signal: AbortSignal): Promise<TaskOutcome> {
    const { clock } = this.#options;
    const wait = new Promise<void>((resolve) => clock.after(2 * HEARTBEAT_INTERVAL_MS, resolve));
    await unlessAborted(wait, signal);
    return { kind: 'lost', endedAtMs: clock.wallMs(), files: [] };
  }

  /** What prepares a node for its tasks leaves it in the directory that they share. */
  async #makeShared(node: string, { nodeRoot }: TaskDirectories): Promise<void> {
    const shared = join(nodeRoot, 'shared');
    if (existsSync(shared)) return;
    // As the runner makes them: others may pass through, and nobody but the agent may change what is in it.
    await mkdir(nodeRoot, { recursive: true, mode: 0o711 });
    await mkdir(shared, { recursive: true, mode: 0o770 });
    const owner = this.#options.ownerOf(node);
    if (owner !== undefined) await chown(shared, owner.uid, owner.gid);
  }

  /** The coordinator asks for it once nothing runs on the node. */
  async #restart({ node }: Assigned, wipes: boolean): Promise<Prepared> {
    const { clock, nodesDirectory, restartNode } = this.#options;
    const startedAtMs = clock.wallMs();
    await restartNode(node, () => (wipes ? emptyDirectory(join(nodesDirectory, node)) : Promise.resolve()));
    return {
      ok: false,
      outcome: { kind: 'exited', exitCode: 0, startedAtMs, endedAtMs: clock.wallMs(), files: [] },
    };
  }

  async #makeOwn(node: string, { root, working }: TaskDirectories): Promise<void> {
    await mkdir(working, { recursive: true, mode: 0o711 });
    const owner = this.#options.ownerOf(node);
    if (owner === undefined) return;
    await chown(root, owner.uid, owner.gid);
    await chown(working, owner.uid, owner.gid);
  }

  async #bringInputs(
    assigned: Assigned,
    directories: TaskDirectories,
    signal: AbortSignal,
  ): Promise<TaskOutcome | undefined> {
    const { files, reach, clock, ownerOf } = this.#options;
    const { role, resourceFiles = [] } = assigned.spec;
    const owner = ownerOf(assigned.node);
    // What is common to all instances lies above the working directory.
    const target = role === 'subtask' ? directories.root : directories.working;
    try {
      await this.#makeOwn(assigned.node, directories);
      const directory = await SafeDirectory.open(target);
      try {
        await bringInputs({ files, reach, owner }, resourceFiles, directory, signal);
      } finally {
        await directory.close();
      }
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const coded = asShoalError(error);
      return inputFailure(clock.wallMs(), coded, coded.values.source ?? '');
    }
  }

  async finish(assigned: Assigned, exit: Exit): Promise<TaskOutcome> {
    const { files, clock, nodesDirectory, retention } = this.#options;
    const directories = directoriesOf(nodesDirectory, assigned);
    const ending = endingOf(exit);
    const retainedUntilMs = clock.wallMs() + retentionMs(assigned);
    if (hasRetention(assigned)) retention.add(directories.root, retainedUntilMs);
    if (ending.kind === 'lost' || ending.kind === 'killed') return { ...ending, files: [] };
    const logs =
      exit.stdoutBytes + exit.stderrBytes === 0
        ? []
        : await keepLogs(files, exit, directories, retainedUntilMs);
    if ((assigned.spec.outputFiles ?? []).length === 0 || exit.startedAtMs === undefined)
      return { ...ending, files: logs };
    const said: string[] = [];
    const { failed, stored } = await this.#upload(assigned, ending, directories, said);
    const account = await keepUploadLogs(files, directories.task, { said, failed }, retainedUntilMs);
    const kept = [...logs, ...stored, ...account];
    // A task that failed by itself is told by its own failure.
    return failed === undefined || ending.failure !== undefined
      ? { ...ending, files: kept }
      : { ...ending, kind: 'fileUploadError', failure: failed, files: kept };
  }

  async #upload(
    assigned: Assigned,
    ending: Pick<TaskOutcome, 'kind' | 'exitCode'>,
    directories: TaskDirectories,
    said: string[],
  ): Promise<{ readonly failed: FailureInfo | undefined; readonly stored: readonly KeptFile[] }> {
    const { files, reach } = this.#options;
    const succeeded = ending.kind === 'exited' && ending.exitCode === 0;
    const environment = environmentOf(assigned, directories);
    const targets = { files, reach, environment, say: (line: string) => void said.push(line) };
    try {
      return {
        failed: undefined,
        stored: await storeOutputs(targets, assigned, succeeded, directories),
      };
    } catch (error) {
      return { failed: uploadFailure(asShoalError(error)), stored: [] };
    }
  }

  async discard(assigned: Assigned): Promise<void> {
    if (!hasRetention(assigned)) return;
    const { nodesDirectory, retention, clock } = this.#options;
    // Not at once: the processes may be dying, and another execution of the task may be about to begin in the same place.
    retention.add(directoriesOf(nodesDirectory, assigned).root, clock.wallMs() + retentionMs(assigned));
  }

  coordinated(assigned: Assigned, signal: AbortSignal): Promise<boolean> {
    const { nodesDirectory, clock } = this.#options;
    return coordination(directoriesOf(nodesDirectory, assigned), assigned.epoch, clock, signal);
  }
}

/**
 * What an earlier execution of the task left here is not this one's. What prepared the node stays: such a task must bear
 * to be run again, and others may be at work on what it made. So does what a primary's own subtask made for it.
 */
function beginsAfresh({ spec }: Assigned): boolean {
  return spec.role !== 'start' && spec.role !== 'preparation' && !isPrimary(spec);
}

/** What a start task leaves belongs to the node as long as that is in the pool; a restart leaves nothing. */
function hasRetention({ spec: { role } }: Assigned): boolean {
  return role !== 'start' && role !== 'reboot' && role !== 'reimage';
}

async function emptyDirectory(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  for (const name of await readdir(directory))
    await rm(join(directory, name), { recursive: true, force: true });
}

function retentionMs(assigned: Assigned): number {
  const text = assigned.spec.constraints?.retentionTime;
  const wanted = text === undefined ? undefined : parseDuration(text);
  return Math.min(wanted ?? RETENTION_DEFAULT_MS, 10 * 365 * 86_400_000);
}

/** Above that of any job. */
const NODE_TASK_PRIORITY = 1_001;

function launchOf(assigned: Assigned, argv: readonly string[], directories: TaskDirectories): Launch {
  const { pool, node, job, task, epoch, spec } = assigned;
  return {
    key: { pool, job: job.number, task, epoch },
    node,
    // One instance is of no use without the others, which run elsewhere by then.
    lease:
      job.onNodeCutOff === 'keep' && spec.role === undefined && spec.gang === undefined
        ? keptLease(pool)
        : pool,
    // Tasks of the node itself use no slot and wait for none.
    slots: spec.role === undefined ? (spec.requiredSlots ?? 1) : 0,
    priority: spec.role === undefined ? job.priority : NODE_TASK_PRIORITY,
    argv: spec.role === 'subtask' ? stayingArgv(argv, directories, epoch) : argv,
    environment: environmentOf(assigned, directories),
    taskDirectory: directories.task,
    workingDirectory: directories.working,
    wallClockMsMax: wallClockLimitMs(spec.constraints),
    outputBytesMax: TASK_OUTPUT_BYTES_MAX,
  };
}

/** The job's settings, then the task's, then what the system says of itself: nobody can pretend to be another task. */
function environmentOf({ job, spec }: Assigned, directories: TaskDirectories): Record<string, string> {
  const { nodeRoot, root, working } = directories;
  const environment: Record<string, string> = {};
  for (const { name, value } of [...job.environment, ...(spec.environmentSettings ?? [])])
    if (!name.startsWith('AZ_BATCH_')) environment[name] = value ?? '';
  if (spec.role !== 'start') {
    environment.AZ_BATCH_JOB_ID = job.id;
    environment.AZ_BATCH_TASK_ID = spec.id;
  }
  if (job.preparation !== undefined) {
    const preparation = join(nodeRoot, taskRootDirectory(job.id, job.preparation));
    environment.AZ_BATCH_JOB_PREP_DIR = preparation;
    environment.AZ_BATCH_JOB_PREP_WORKING_DIR = join(preparation, 'wd');
  }
  environment.AZ_BATCH_TASK_DIR = root;
  environment.AZ_BATCH_TASK_WORKING_DIR = working;
  return { ...environment, ...instanceEnvironment(spec, directories) };
}
