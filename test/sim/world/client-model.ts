/**
 * Clients of the mesh: they add jobs and tasks, end and delete some, from any machine that is up, and repeat a request
 * under its id until it is answered. What was answered is what the mesh has promised, and is checked at the end.
 */
import { asShoalError, ShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { Command, CommandResult, Outcome } from '../../../src/model/commands.ts';
import { type GroupId, MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { JobSpec } from '../../../src/model/job.ts';
import type { JobEntity, TaskEntity } from '../../../src/model/queries.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import type { Referee } from './referee.ts';
import type { Life, SimMachine } from './sim-machine.ts';
import { commandLineOf } from './task-script.ts';
import type { Timeline } from './timeline.ts';
import { Scope, type VirtualTime } from './virtual-time.ts';

const ATTEMPT_MS = 9_000;
const RETRY_MS = { low: 50, high: 600 } as const;

interface KnownTask {
  readonly spec: TaskSpec;
  /** Somebody asked for its end, or for that of its job; answered or not. */
  ended: boolean;
  deleted: 'no' | 'asked' | 'done';
}

interface KnownJob {
  readonly id: string;
  readonly pool: string;
  accepted: boolean;
  ended: boolean;
  deleted: 'no' | 'asked' | 'done';
  readonly tasks: Map<string, KnownTask>;
}

export interface Workload {
  readonly pools: readonly string[];
  readonly jobs: number;
  readonly tasksMax: number;
  readonly durationMsMax: number;
  /** The clients begin their last job by then. */
  readonly untilMs: number;
}

export class ClientModel {
  readonly #time: VirtualTime;
  readonly #timeline: Timeline;
  readonly #random: Prng;
  readonly #machines: readonly SimMachine[];
  readonly #referee: Referee;
  readonly #scope = new Scope('client');
  readonly #jobs: KnownJob[] = [];
  #requests = 0;
  #busy = 0;
  #failure: Error | undefined;
  tasksAccepted = 0;
  /** Somebody may shrink a pool in such a way that its tasks end. */
  nodesMayTerminate = false;

  constructor(
    time: VirtualTime,
    timeline: Timeline,
    random: Prng,
    machines: readonly SimMachine[],
    referee: Referee,
  ) {
    this.#time = time;
    this.#timeline = timeline;
    this.#random = random;
    this.#machines = machines;
    this.#referee = referee;
  }

  /** True once every request has its answer. */
  get isDone(): boolean {
    return this.#busy === 0;
  }

  /** What a client found wrong; it is thrown where the world looks, not inside a promise. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  begin(load: Workload): void {
    for (let number = 0; number < load.jobs; number++) {
      const atMs = this.#time.nowMs + this.#random.next() * (load.untilMs - this.#time.nowMs);
      this.at(atMs, () => this.#runJob(`job-${number}`, load));
    }
  }

  /** Work that the world must wait for. */
  at(atMs: number, work: () => Promise<void>): void {
    this.#busy += 1;
    this.#time.at(atMs, this.#scope, () => {
      work()
        .catch((error: unknown) => {
          this.#failure ??= error as Error;
        })
        .finally(() => {
          this.#busy -= 1;
        });
    });
  }

  // --- One job --------------------------------------------------------------------------------------------------------

  async #runJob(id: string, load: Workload): Promise<void> {
    const random = this.#random.fork();
    const pool = random.pick(load.pools);
    const job: KnownJob = { id, pool, accepted: false, ended: false, deleted: 'no', tasks: new Map() };
    this.#jobs.push(job);
    const usesTaskDependencies = random.chance(0.4);
    await this.command(MESH_GROUP, (life) => ({
      kind: 'job.reserve',
      job: id,
      pool,
      voters: life.coordinator.chooseVoters(),
    }));
    const added = await this.command(poolGroup(pool), () => ({
      kind: 'job.add',
      spec: {
        id,
        poolInfo: { poolId: pool },
        usesTaskDependencies,
        ...(random.chance(0.5) ? { constraints: { maxTaskRetryCount: random.int(1, 3) } } : {}),
        ...(random.chance(0.3) ? errands(random) : {}),
      },
    }));
    if (!added.ok) throw new Error(`the job ${id} was refused: ${added.code}`);
    job.accepted = true;
    const count = random.int(1, load.tasksMax);
    for (let from = 0; from < count; from += 10)
      await this.#addTasks(job, from, Math.min(count, from + 10), { random, load, usesTaskDependencies });
    const last = this.#time.nowMs + random.int(100, 6_000);
    for (const task of job.tasks.values()) if (random.chance(0.08)) this.#endTask(job, task, random, last);
    if (random.chance(0.12)) this.#endJob(job, random, last);
    else if (random.chance(0.1)) this.#interrupt(job, random, last);
  }

  async #addTasks(
    job: KnownJob,
    from: number,
    to: number,
    how: { random: Prng; load: Workload; usesTaskDependencies: boolean },
  ): Promise<void> {
    const specs: TaskSpec[] = [];
    for (let number = from; number < to; number++) specs.push(taskSpec(number, how));
    for (const spec of specs) job.tasks.set(spec.id, { spec, ended: false, deleted: 'no' });
    const answer = await this.command(poolGroup(job.pool), () => ({
      kind: 'task.add',
      job: job.id,
      tasks: specs,
    }));
    if (!answer.ok) throw new Error(`tasks of ${job.id} were refused: ${answer.code}`);
    for (const { id, outcome } of answer.value) {
      if (!outcome.ok) throw new Error(`the task ${job.id}/${id} was refused: ${outcome.code}`);
      this.tasksAccepted += 1;
    }
  }

  #endTask(job: KnownJob, task: KnownTask, random: Prng, untilMs: number): void {
    const kind = random.pick(['task.terminate', 'task.delete'] as const);
    this.at(this.#time.nowMs + random.next() * (untilMs - this.#time.nowMs), async () => {
      task.ended = true;
      if (kind === 'task.delete') task.deleted = 'asked';
      const answer = await this.command(poolGroup(job.pool), () => ({
        kind,
        job: job.id,
        task: task.spec.id,
      }));
      if (answer.ok && kind === 'task.delete') task.deleted = 'done';
    });
  }

  #endJob(job: KnownJob, random: Prng, untilMs: number): void {
    const deletes = random.chance(0.5);
    this.at(untilMs, async () => {
      job.ended = true;
      if (deletes) job.deleted = 'asked';
      const answer = await this.command(poolGroup(job.pool), () =>
        deletes
          ? { kind: 'job.delete', job: job.id }
          : { kind: 'job.terminate', job: job.id, reason: 'enough' },
      );
      if (answer.ok && deletes) job.deleted = 'done';
    });
  }

  /** Disables the job and enables it a while later. */
  #interrupt(job: KnownJob, random: Prng, untilMs: number): void {
    const disableTasks = random.pick(['requeue', 'wait'] as const);
    this.at(untilMs, async () => {
      await this.command(poolGroup(job.pool), () => ({ kind: 'job.disable', job: job.id, disableTasks }));
      await this.pause(random.int(200, 3_000));
      // Refused while the job is still being disabled.
      for (;;) {
        const answer = await this.command(poolGroup(job.pool), () => ({ kind: 'job.enable', job: job.id }));
        if (answer.ok || answer.code !== 'OperationInvalidForCurrentState') return;
        await this.pause(300);
      }
    });
  }

  // --- Requests ---------------------------------------------------------------------------------------------------------

  /** Repeats the request, at any machine that is up, until it is answered for good. S19: asked again, the answer is the same. */
  async command<C extends Command>(
    group: GroupId,
    make: (life: Life) => C,
  ): Promise<CommandResult<C['kind']>> {
    const requestId = `client-${this.#requests++}`;
    let command: C | undefined;
    const propose = async (): Promise<CommandResult<C['kind']>> => {
      for (;;) {
        const answer = await this.#attempt((life) => {
          command ??= make(life);
          return life.coordinator.router.propose(group, command, { requestId, timeoutMs: ATTEMPT_MS });
        });
        if (answer !== undefined) return answer;
      }
    };
    const answer = await propose();
    this.#timeline.note('client', `${requestId} ${command?.kind}: ${answer.ok ? 'ok' : answer.code}`);
    if (this.#random.chance(0.1)) this.#askAgain(requestId, answer, propose);
    return answer;
  }

  #askAgain(requestId: string, before: Outcome<unknown>, propose: () => Promise<Outcome<unknown>>): void {
    this.at(this.#time.nowMs + this.#random.int(10, 4_000), async () => {
      const again = await propose();
      if (JSON.stringify(again) !== JSON.stringify(before))
        this.#referee.fail(
          'S19',
          `${requestId} was answered ${JSON.stringify(before)}, then ${JSON.stringify(again)}`,
        );
    });
  }

  /** Undefined where no answer came: the machine died with the request, or says that one should try again. */
  async #attempt<T>(ask: (life: Life) => Promise<T>): Promise<T | undefined> {
    const up = this.#machines.filter(({ isUp, life }) => isUp && life?.coordinator?.mesh !== undefined);
    const life = up.length === 0 ? undefined : this.#random.pick(up).life;
    if (life !== undefined) {
      const answer = await this.#inTime(ask(life));
      if (answer !== undefined) return answer;
    }
    await this.pause(this.#random.int(RETRY_MS.low, RETRY_MS.high));
    return undefined;
  }

  #inTime<T>(asked: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const timer = this.#time.after(ATTEMPT_MS + 1_000, this.#scope, () => resolve(undefined));
      asked.then(
        (answer) => {
          timer.cancel();
          resolve(answer);
        },
        (error: unknown) => {
          timer.cancel();
          if (asShoalError(error).retryable || asShoalError(error).code === 'NoQuorum') resolve(undefined);
          else reject(error);
        },
      );
    });
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#time.after(ms, this.#scope, resolve));
  }

  // --- What must be there at the end ------------------------------------------------------------------------------------

  /** One look at all jobs. `settled`: nothing is left that should still happen. Throws Violation where a promise is broken. */
  async review(): Promise<{ readonly settled: boolean; readonly unsettled: readonly string[] }> {
    const unsettled: string[] = [];
    for (const job of this.#jobs) if (job.accepted) await this.#reviewJob(job, unsettled);
    return { settled: unsettled.length === 0, unsettled };
  }

  async #reviewJob(job: KnownJob, unsettled: string[]): Promise<void> {
    const entity = await this.#read(async (life) => {
      try {
        return await life.coordinator.router.query(poolGroup(job.pool), 'job.get', { job: job.id });
      } catch (error) {
        if (error instanceof ShoalError && error.code === 'JobNotFound') return null;
        throw error;
      }
    });
    if (entity === null) {
      if (job.deleted === 'no') this.#referee.fail('S1', `the job ${job.id} is gone`);
      return;
    }
    if (job.deleted === 'done') {
      if (entity.state !== 'deleting')
        this.#referee.fail('S2', `the deleted job ${job.id} is ${entity.state}`);
      unsettled.push(`${job.id} is still deleting`);
      return;
    }
    if (entity.state === 'terminating') unsettled.push(`${job.id} is still terminating`);
    const page = await this.#read((life) =>
      life.coordinator.router.query(poolGroup(job.pool), 'task.list', { job: job.id, limit: 1_000 }),
    );
    this.#reviewTasks(job, entity, page.items, unsettled);
  }

  #reviewTasks(job: KnownJob, entity: JobEntity, items: readonly TaskEntity[], unsettled: string[]): void {
    const found = new Map(items.map((task) => [task.spec.id, task]));
    for (const [id, known] of job.tasks) {
      const task = found.get(id);
      const name = `${job.id}/${id}`;
      if (task === undefined) {
        if (known.deleted === 'no') this.#referee.fail('S1', `the task ${name} is gone`);
        continue;
      }
      if (known.deleted === 'done') this.#referee.fail('S2', `the deleted task ${name} is ${task.state}`);
      if (task.state === 'completed') this.#reviewOutcome(name, known, job, task);
      // Tasks of a terminated job that did not run yet stay active, as Azure's do.
      else if (entity.state !== 'completed' && !this.#isBlocked(known, found))
        unsettled.push(`${name} is ${task.state} (${entity.state})`);
    }
  }

  /** S6: the outcome is that of a process of this epoch. */
  #reviewOutcome(name: string, known: KnownTask, job: KnownJob, task: TaskEntity): void {
    if (task.exitCode !== undefined) {
      const code = this.#referee.exitCodeOf(name, task.epoch ?? 0);
      if (code !== task.exitCode)
        this.#referee.fail(
          'S6',
          `${name} ended with ${task.exitCode} in epoch ${task.epoch}, its process with ${code}`,
        );
    }
    const succeeded = task.result === 'success';
    if (succeeded && !this.#referee.exitCodes(name).includes(0))
      this.#referee.fail('S6', `${name} succeeded, though none of its processes did`);
    if (!succeeded && task.exitCode === undefined && !known.ended && !job.ended && !this.nodesMayTerminate)
      this.#referee.fail(
        'S5',
        `${name} failed without a process that failed: ${JSON.stringify(task.failure)}`,
      );
  }

  /** It waits for a task that will not succeed any more, as its job wishes. */
  #isBlocked(known: KnownTask, found: ReadonlyMap<string, TaskEntity>): boolean {
    return (known.spec.dependsOn?.taskIds ?? []).some((id) => {
      const task = found.get(id);
      if (task === undefined) return true;
      return task.state === 'completed'
        ? task.result !== 'success'
        : this.#isBlocked({ ...known, spec: task.spec }, found);
    });
  }

  async #read<T>(ask: (life: Life) => Promise<T>): Promise<T> {
    for (;;) {
      const answer = await this.#attempt(ask);
      if (answer !== undefined) return answer;
    }
  }
}

/** A preparation task is tried until it succeeds: else the job's tasks might wait for ever. */
function errands(random: Prng): Pick<JobSpec, 'jobPreparationTask' | 'jobReleaseTask'> {
  const command = (): string =>
    commandLineOf({ durationMs: random.int(10, 800), failPercent: 30, stubborn: false, prepareMs: 0 });
  return {
    jobPreparationTask: { commandLine: command(), constraints: { maxTaskRetryCount: -1 } },
    ...(random.chance(0.7) ? { jobReleaseTask: { commandLine: command() } } : {}),
  };
}

function taskSpec(
  number: number,
  { random, load, usesTaskDependencies }: { random: Prng; load: Workload; usesTaskDependencies: boolean },
): TaskSpec {
  const dependsOn =
    usesTaskDependencies && number > 0 && random.chance(0.5)
      ? { dependsOn: { taskIds: [String(random.int(0, number - 1))] } }
      : {};
  return {
    id: String(number),
    commandLine: commandLineOf({
      durationMs: Math.floor(10 + load.durationMsMax * random.next() ** 3),
      failPercent: random.chance(0.3) ? 40 : 0,
      stubborn: random.chance(0.2),
      prepareMs: random.chance(0.15) ? random.int(1, 800) : 0,
    }),
    ...dependsOn,
    ...(random.chance(0.2) ? { requiredSlots: 2 } : {}),
  };
}
