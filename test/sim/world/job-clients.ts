/** Clients that add jobs and tasks, and end, delete or interrupt some. */
import { parseDuration } from '../../../src/lib/durations.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { JobSpec } from '../../../src/model/job.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import { OUTPUTS } from './file-contents.ts';
import type { Habit } from './habits.ts';
import { GANG_POOL } from './pool-names.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import { limited } from './task-limits.ts';
import { commandLineOf, SOUND } from './task-script.ts';

const TASKS_A_REQUEST_MAX = 100;
/** After a job's last task was accepted, what ends or interrupts it comes within this time. */
const INTERFERENCE_MS_MAX = 1_500;
/** The pool for tasks of several instances has few slots, and a job's tasks go through them one after another. */
const GANG_TASK_MS_MAX = 100;
const GANG_CHANCE = 0.2;
/** Of a task in a world with files. */
const INPUTS_CHANCE = 0.1;
const OUTPUT_CHANCE = 0.12;

export interface KnownTask {
  readonly spec: TaskSpec;
  accepted: boolean;
  /** Somebody asked for its end, or for that of its job; answered or not. */
  ended: boolean;
  deleted: 'no' | 'asked' | 'done';
}

export interface KnownJob {
  readonly id: string;
  readonly pool: string;
  /** Of its tasks that name no number of their own. */
  readonly maxTaskRetryCount: number;
  accepted: boolean;
  ended: boolean;
  deleted: 'no' | 'asked' | 'done';
  readonly tasks: Map<string, KnownTask>;
}

export interface Workload {
  readonly pools: readonly string[];
  readonly jobs: number;
  readonly tasks: number;
  readonly taskMsMax: number;
  /** The clients begin their last job by then. */
  readonly untilMs: number;
}

export interface JobClientsOptions {
  readonly requests: Requests;
  readonly random: Prng;
  readonly habits: ReadonlySet<Habit>;
  /** URLs of files that are there for tasks. */
  readonly inputs: () => readonly string[];
  readonly referee: Referee;
}

export class JobClients {
  readonly #requests: Requests;
  readonly #random: Prng;
  readonly #habits: ReadonlySet<Habit>;
  readonly #inputs: () => readonly string[];
  readonly #referee: Referee;
  readonly #jobs: KnownJob[] = [];
  tasksAccepted = 0;

  constructor({ requests, random, habits, inputs, referee }: JobClientsOptions) {
    this.#requests = requests;
    this.#random = random;
    this.#habits = habits;
    this.#inputs = inputs;
    this.#referee = referee;
  }

  get jobs(): readonly KnownJob[] {
    return this.#jobs;
  }

  begin(load: Workload): void {
    const { nowMs } = this.#requests;
    for (let number = 0; number < load.jobs; number++) {
      const atMs = nowMs + this.#random.next() * (load.untilMs - nowMs);
      const tasks = share(load.tasks, load.jobs, number);
      const random = this.#random.fork();
      this.#requests.at(atMs, () => this.#runJob(`job-${number}`, tasks, random, load));
    }
  }

  async #runJob(id: string, tasks: number, random: Prng, { pools, taskMsMax }: Workload): Promise<void> {
    const pool = random.pick(pools);
    const usesTaskDependencies = this.#habits.has('dependencies') && random.chance(0.6);
    const maxTaskRetryCount = random.chance(0.5) ? random.int(1, 3) : 0;
    const job: KnownJob = {
      id,
      pool,
      maxTaskRetryCount,
      accepted: false,
      ended: false,
      deleted: 'no',
      tasks: new Map(),
    };
    this.#jobs.push(job);
    await addJob(this.#requests, id, pool, {
      usesTaskDependencies,
      ...(maxTaskRetryCount > 0 ? { constraints: { maxTaskRetryCount } } : {}),
      ...(this.#habits.has('nodeTasks') && random.chance(0.6) ? nodeTasks(random) : {}),
    });
    job.accepted = true;
    for (let from = 0; from < tasks; from += TASKS_A_REQUEST_MAX) {
      const to = Math.min(tasks, from + random.int(1, TASKS_A_REQUEST_MAX));
      await this.#addTasks(job, from, to, { random, taskMsMax, usesTaskDependencies });
      from = to - TASKS_A_REQUEST_MAX;
    }
    this.#interfere(job, random);
  }

  async #addTasks(
    job: KnownJob,
    from: number,
    to: number,
    how: { random: Prng; taskMsMax: number; usesTaskDependencies: boolean },
  ): Promise<void> {
    const specs: TaskSpec[] = [];
    const taskMsMax = job.pool === GANG_POOL ? Math.min(how.taskMsMax, GANG_TASK_MS_MAX) : how.taskMsMax;
    for (let number = from; number < to; number++) {
      const spec = { ...taskSpec(number, { ...how, taskMsMax }), ...this.#filesOf(how.random) };
      if (job.pool === GANG_POOL) specs.push(forGangs(spec, how.random));
      else specs.push(this.#habits.has('limits') ? limited(spec, how.random) : spec);
    }
    for (const spec of specs) {
      job.tasks.set(spec.id, { spec, accepted: false, ended: false, deleted: 'no' });
      const limit = spec.constraints?.maxWallClockTime;
      if (limit !== undefined) this.#referee.limitsMs.set(`${job.id}/${spec.id}`, parseDuration(limit) ?? 0);
    }
    const answer = await this.#requests.command(poolGroup(job.pool), () => ({
      kind: 'task.add',
      job: job.id,
      tasks: specs,
    }));
    if (!answer.ok) throw new Error(`tasks of ${job.id} were refused: ${answer.code}`);
    for (const { id, outcome } of answer.value) {
      if (!outcome.ok) throw new Error(`the task ${job.id}/${id} was refused: ${outcome.code}`);
      const task = job.tasks.get(id);
      if (task !== undefined) task.accepted = true;
      this.tasksAccepted += 1;
    }
  }

  #filesOf(random: Prng): Pick<TaskSpec, 'resourceFiles' | 'outputFiles'> {
    if (!this.#habits.has('files')) return {};
    const inputs = this.#inputs();
    const wanted =
      inputs.length > 0 && random.chance(INPUTS_CHANCE) ? [random.pick(inputs), random.pick(inputs)] : [];
    return {
      ...(wanted.length === 0
        ? {}
        : { resourceFiles: wanted.map((httpUrl, number) => ({ httpUrl, filePath: `input${number}` })) }),
      ...(random.chance(OUTPUT_CHANCE) ? { outputFiles: [OUTPUT] } : {}),
    };
  }

  #interfere(job: KnownJob, random: Prng): void {
    const untilMs = this.#requests.nowMs + random.int(100, INTERFERENCE_MS_MAX);
    if (this.#habits.has('endTasks'))
      for (const task of job.tasks.values())
        if (random.chance(0.05)) this.#endTask(job, task, random, untilMs);
    if (this.#habits.has('endJobs') && random.chance(0.3)) this.#endJob(job, random, untilMs);
    else if (this.#habits.has('interruptJobs') && random.chance(0.5)) this.#interrupt(job, random, untilMs);
  }

  #endTask(job: KnownJob, task: KnownTask, random: Prng, untilMs: number): void {
    const kind = random.pick(['task.terminate', 'task.delete'] as const);
    const { nowMs } = this.#requests;
    this.#requests.at(nowMs + random.next() * (untilMs - nowMs), async () => {
      task.ended = true;
      if (kind === 'task.delete') task.deleted = 'asked';
      const answer = await this.#requests.command(poolGroup(job.pool), () => ({
        kind,
        job: job.id,
        task: task.spec.id,
      }));
      if (answer.ok && kind === 'task.delete') task.deleted = 'done';
    });
  }

  #endJob(job: KnownJob, random: Prng, untilMs: number): void {
    const deletes = random.chance(0.5);
    this.#requests.at(untilMs, async () => {
      job.ended = true;
      if (deletes) job.deleted = 'asked';
      const answer = await this.#requests.command(poolGroup(job.pool), () =>
        deletes
          ? { kind: 'job.delete', job: job.id }
          : { kind: 'job.terminate', job: job.id, reason: 'enough' },
      );
      if (answer.ok && deletes) job.deleted = 'done';
    });
  }

  /** Disables the job and enables it a while later. */
  #interrupt(job: KnownJob, random: Prng, untilMs: number): void {
    const requests = this.#requests;
    const disableTasks = random.pick(['requeue', 'wait'] as const);
    const forMs = random.int(200, 1_000);
    requests.at(untilMs, async () => {
      await requests.command(poolGroup(job.pool), () => ({ kind: 'job.disable', job: job.id, disableTasks }));
      await requests.pause(forMs);
      // Refused while the job is still being disabled.
      for (;;) {
        const answer = await requests.command(poolGroup(job.pool), () => ({
          kind: 'job.enable',
          job: job.id,
        }));
        if (answer.ok || answer.code !== 'OperationInvalidForCurrentState') return;
        await requests.pause(300);
      }
    });
  }
}

/** A task of one slot, and maybe of several instances. */
function forGangs({ requiredSlots: _, ...spec }: TaskSpec, random: Prng): TaskSpec {
  if (!random.chance(GANG_CHANCE)) return spec;
  const coordinationCommandLine = commandLineOf({ ...SOUND, durationMs: random.int(5, 100) });
  return { ...spec, multiInstanceSettings: { numberOfInstances: 2, coordinationCommandLine } };
}

const OUTPUT: NonNullable<TaskSpec['outputFiles']>[number] = {
  filePattern: 'output',
  destination: { container: { containerUrl: `mesh://${OUTPUTS}` } },
  uploadOptions: { uploadCondition: 'taskcompletion' },
};

/** As the API does it: the id is reserved for the pool, then the pool's group takes the job. */
export async function addJob(
  requests: Requests,
  id: string,
  pool: string,
  spec: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await requests.command(MESH_GROUP, (life) => ({
    kind: 'job.reserve',
    job: id,
    pool,
    voters: life.coordinator.chooseVoters(),
  }));
  const added = await requests.command(poolGroup(pool), () => ({
    kind: 'job.add',
    spec: { id, poolInfo: { poolId: pool }, ...spec },
  }));
  if (!added.ok) throw new Error(`the job ${id} was refused: ${added.code}`);
}

/** A preparation task is tried until it succeeds: else the job's tasks might wait for ever. */
function nodeTasks(random: Prng): Pick<JobSpec, 'jobPreparationTask' | 'jobReleaseTask'> {
  const command = (): string => commandLineOf({ ...SOUND, durationMs: random.int(10, 800), failPercent: 30 });
  return {
    jobPreparationTask: { commandLine: command(), constraints: { maxTaskRetryCount: -1 } },
    ...(random.chance(0.7) ? { jobReleaseTask: { commandLine: command() } } : {}),
  };
}

/** The sum over all parts is the whole. */
function share(whole: number, parts: number, part: number): number {
  return Math.floor(((part + 1) * whole) / parts) - Math.floor((part * whole) / parts);
}

function taskSpec(
  number: number,
  {
    random,
    taskMsMax,
    usesTaskDependencies,
  }: { random: Prng; taskMsMax: number; usesTaskDependencies: boolean },
): TaskSpec {
  const dependsOn =
    usesTaskDependencies && number > 0 && random.chance(0.3)
      ? { dependsOn: { taskIds: [String(random.int(Math.max(0, number - 20), number - 1))] } }
      : {};
  return {
    id: String(number),
    commandLine: commandLineOf({
      durationMs: Math.floor(10 + taskMsMax * random.next() ** 3),
      failPercent: random.chance(0.2) ? 40 : 0,
      stubborn: random.chance(0.2),
      forks: random.chance(0.1),
      prepareMs: random.chance(0.15) ? random.int(1, 400) : 0,
    }),
    ...dependsOn,
    ...(random.chance(0.2) ? { requiredSlots: 2 } : {}),
  };
}
