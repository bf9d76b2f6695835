/**
 * What the leader of the mesh group does for job schedules and for pools that were made for one job: makes the jobs whose
 * moment has come, ends what a schedule that ends has made, and takes back pools that are no longer needed. Like every
 * leader's loop it starts from the state alone, and whatever it does can be done twice.
 */

import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { AUTO_POOL_JOB_MS_MAX, SCHEDULE_DELETES_AT_ONCE, SCHEDULE_LOOK_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { autoPoolOf } from '../../src/model/auto-pool.ts';
import type { MeshCommand, Outcome } from '../../src/model/commands.ts';
import { idKey, type MachineId, MESH_GROUP, poolGroup } from '../../src/model/ids.ts';
import { refusal } from '../../src/model/outcome.ts';
import type { JobEntity, JobScheduleEntity } from '../../src/model/queries.ts';
import { scheduledJobId } from '../../src/model/schedule.ts';
import type { MeshMachine, PoolRecord } from '../core/mesh/machine.ts';
import type { Router } from './router.ts';

export interface ScheduleKeeperOptions {
  readonly mesh: () => MeshMachine;
  readonly router: Router;
  readonly chooseVoters: () => readonly MachineId[];
  /** The mesh group's own time. */
  readonly groupMs: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

export class ScheduleKeeper {
  readonly #options: ScheduleKeeperOptions;
  readonly #busy = new Set<string>();
  /** Jobs that are known to be in their pools: a leader makes sure of each once. */
  readonly #made = new Set<string>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ScheduleKeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = every(this.#options.clock, SCHEDULE_LOOK_MS, () => this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #look(): void {
    const mesh = this.#options.mesh();
    for (const schedule of mesh.schedules())
      if (schedule.state !== 'completed') this.#once(`s/${schedule.spec.id}`, () => this.#keep(schedule));
    for (const pool of mesh.pools())
      if (pool.auto !== undefined && pool.state === 'active')
        this.#once(`p/${pool.spec.id}`, () => this.#keepPool(pool));
  }

  /** One thing at a time for each of them; what fails is looked at again. */
  #once(name: string, work: () => Promise<void>): void {
    if (this.#stopped || this.#busy.has(name)) return;
    this.#busy.add(name);
    work()
      .catch((error: unknown) =>
        this.#options.log.debug({ name, error: asShoalError(error).message }, 'a schedule has to wait'),
      )
      .finally(() => this.#busy.delete(name));
  }

  async #keep(schedule: JobScheduleEntity): Promise<void> {
    switch (schedule.state) {
      case 'active':
        await this.#makeSure(schedule);
        return this.#run(schedule);
      case 'disabled':
        return this.#makeSure(schedule);
      case 'terminating':
        await this.#makeSure(schedule);
        return this.#terminate(schedule);
      case 'deleting':
        return this.#delete(schedule);
      case 'completed':
        return;
    }
  }

  async #run(schedule: JobScheduleEntity): Promise<void> {
    const { spec, nextRunTimeMs, recentJob, jobs } = schedule;
    const due = nextRunTimeMs !== undefined && nextRunTimeMs <= this.#options.groupMs();
    if (!due && nextRunTimeMs !== undefined) return;
    if (recentJob !== undefined && !(await this.#isOver(recentJob))) return;
    if (!due) return this.#end(schedule);
    const number = jobs + 1;
    const launched = await this.#propose({ kind: 'schedule.launch', schedule: spec.id, number });
    // Refused: the moment was lost, or the schedule changed, since this look at it.
    if (launched.ok) await this.#makeJob(schedule, number);
  }

  /** A leader that died may have taken a moment and not made its job. */
  async #makeSure(schedule: JobScheduleEntity): Promise<void> {
    const { recentJob, jobs } = schedule;
    if (recentJob !== undefined && !this.#made.has(recentJob)) await this.#makeJob(schedule, jobs);
  }

  async #makeJob({ spec, creationTimeMs }: JobScheduleEntity, number: number): Promise<void> {
    const { router, chooseVoters } = this.#options;
    const job = scheduledJobId(spec.id, number);
    const { jobSpecification } = spec;
    const auto = autoPoolOf(jobSpecification.poolInfo, {
      job,
      schedule: spec.id,
      seed: `${job}/${creationTimeMs}`,
    });
    if (auto !== undefined) {
      const outcome = await this.#propose({ kind: 'pool.add', ...auto, voters: chooseVoters() });
      if (!outcome.ok && outcome.code !== 'PoolExists') throw refusal(outcome);
    }
    const pool = auto?.spec.id ?? jobSpecification.poolInfo.poolId ?? '';
    const reserved = await this.#propose({ kind: 'job.reserve', job, pool, voters: chooseVoters() });
    if (!reserved.ok) throw refusal(reserved);
    const poolInfo = { ...jobSpecification.poolInfo, poolId: pool };
    // The same request id whoever leads: a job that was deleted since does not come back.
    const requestId = `schedule/${job}/${creationTimeMs}`;
    const command = { kind: 'job.add', spec: { ...jobSpecification, id: job, poolInfo } } as const;
    const added = await router.propose(poolGroup(pool), command, { requestId });
    if (!added.ok && added.code !== 'JobExists') throw refusal(added);
    this.#made.add(job);
  }

  async #terminate(schedule: JobScheduleEntity): Promise<void> {
    const { recentJob } = schedule;
    if (recentJob !== undefined && !(await this.#isOver(recentJob))) {
      const reason = 'TerminateJobSchedule';
      await this.#atJob(recentJob, (pool) =>
        this.#options.router.propose(poolGroup(pool), { kind: 'job.terminate', job: recentJob, reason }),
      );
      return;
    }
    await this.#end(schedule);
  }

  /** Its jobs first, some at a time; a job that is gone has let go of its id. */
  async #delete(schedule: JobScheduleEntity): Promise<void> {
    const left: string[] = [];
    for (let number = schedule.jobs; number > 0 && left.length < SCHEDULE_DELETES_AT_ONCE; number -= 1) {
      const job = scheduledJobId(schedule.spec.id, number);
      if (this.#options.mesh().jobPool(job) !== undefined) left.push(job);
    }
    if (left.length === 0) return this.#end(schedule);
    await Promise.all(
      left.map((job) =>
        this.#atJob(job, async (pool) => {
          const { router } = this.#options;
          const outcome = await router.propose(poolGroup(pool), { kind: 'job.delete', job });
          // Reserved by a leader that died before it added the job.
          if (!outcome.ok && outcome.code === 'JobNotFound')
            await this.#propose({ kind: 'job.release', job, pool });
        }),
      ),
    );
  }

  async #end({ spec, jobs }: JobScheduleEntity): Promise<void> {
    await this.#propose({ kind: 'schedule.ended', schedule: spec.id, jobs });
  }

  async #keepPool({ spec, auto, creationTimeMs }: PoolRecord): Promise<void> {
    if (auto === undefined || auto.keepAlive) return;
    if (auto.lifetime === 'jobschedule') {
      const schedule = this.#options
        .mesh()
        .schedules()
        .find((one) => idKey(one.spec.id) === idKey(auto.owner));
      if (schedule !== undefined && schedule.state !== 'completed') return;
    } else {
      const holder = this.#options.mesh().jobPool(auto.owner);
      const isHere = holder !== undefined && idKey(holder) === idKey(spec.id);
      // Its job may be about to be added.
      if (!isHere && this.#options.groupMs() - creationTimeMs < AUTO_POOL_JOB_MS_MAX) return;
      if (isHere && !(await this.#isOver(auto.owner))) return;
    }
    await this.#propose({ kind: 'pool.delete', pool: spec.id });
  }

  async #isOver(job: string): Promise<boolean> {
    const found = await this.#atJob(job, (pool) =>
      this.#options.router.query(poolGroup(pool), 'job.get', { job }).catch(unlessMissing),
    );
    return found === undefined || found.state === 'completed';
  }

  /** Undefined where the job's id is not reserved: it is gone. */
  async #atJob<T>(job: string, ask: (pool: string) => Promise<T>): Promise<T | undefined> {
    const pool = this.#options.mesh().jobPool(job);
    return pool === undefined ? undefined : ask(pool);
  }

  #propose(command: MeshCommand): Promise<Outcome<unknown>> {
    return this.#options.router.propose(MESH_GROUP, command);
  }
}

function unlessMissing(error: unknown): JobEntity | undefined {
  if (error instanceof ShoalError && (error.code === 'JobNotFound' || error.code === 'GroupNotFound'))
    return undefined;
  throw error;
}
