/**
 * S17: a schedule neither skips a recurrence nor doubles it, whoever leads: a moment that was taken becomes one job, the first
 * moment is taken, and there are never more jobs than moments. Later moments may be lost: time jumps where another leader has
 * another clock, and waits for the job before.
 */
import { asShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { formatTimestamp } from '../../../src/lib/timestamps.ts';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { JobScheduleEntity } from '../../../src/model/queries.ts';
import { scheduledJobId } from '../../../src/model/schedule.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import { commandLineOf, SOUND } from './task-script.ts';

const SCHEDULES = 4;
const POOL = 'default';
const INTERVAL_MS = 60_000;
/** A first moment so far ahead. */
const AHEAD_MS_MAX = 1_500;
const LOOK_MS = 200;

interface KnownSchedule {
  readonly id: string;
  added: boolean;
}

export interface ScheduleClientsOptions {
  readonly requests: Requests;
  readonly random: Prng;
  readonly referee: Referee;
  /** The mesh group's time, by whoever knows most of it. */
  readonly groupMs: () => number;
}

export class ScheduleClients {
  readonly #options: ScheduleClientsOptions;
  readonly #schedules: KnownSchedule[] = [];

  constructor(options: ScheduleClientsOptions) {
    this.#options = options;
  }

  begin(untilMs: number): void {
    const { requests, random } = this.#options;
    for (let number = 0; number < SCHEDULES; number++) {
      const schedule: KnownSchedule = { id: `schedule-${number}`, added: false };
      this.#schedules.push(schedule);
      const own = random.fork();
      requests.at(requests.nowMs + own.next() * (untilMs - requests.nowMs), () => this.#add(schedule, own));
    }
  }

  async #add(schedule: KnownSchedule, random: Prng): Promise<void> {
    const { requests, groupMs } = this.#options;
    const fromMs = groupMs() + random.int(0, AHEAD_MS_MAX);
    const commandLine = commandLineOf({ ...SOUND, durationMs: random.int(10, 800) });
    const { ok } = await requests.command(MESH_GROUP, () => ({
      kind: 'schedule.add',
      spec: {
        id: schedule.id,
        schedule: { doNotRunUntil: formatTimestamp(fromMs), recurrenceInterval: 'PT1M' },
        jobSpecification: {
          poolInfo: { poolId: POOL },
          jobManagerTask: { id: 'manager', commandLine, runExclusive: false },
        },
      },
    }));
    if (!ok) throw new Error(`the schedule ${schedule.id} was refused`);
    schedule.added = true;
  }

  /** When the faults are over: no moment is left behind, and then the schedules end. */
  async end(): Promise<void> {
    await Promise.all(this.#schedules.filter(({ added }) => added).map(({ id }) => this.#end(id)));
  }

  /** Resolves once its first moment, which has come by then, was taken: never by itself where it was skipped. */
  async #end(id: string): Promise<void> {
    const { requests } = this.#options;
    for (let jobs = 0; jobs === 0; await requests.pause(LOOK_MS)) {
      const schedule = await this.#get(id);
      this.#compare(schedule);
      jobs = schedule.jobs;
    }
    await requests.command(MESH_GROUP, () => ({ kind: 'schedule.terminate', schedule: id }));
    let schedule = await this.#get(id);
    for (; schedule.state !== 'completed'; schedule = await this.#get(id)) await requests.pause(LOOK_MS);
    this.#compare(schedule);
    await this.#review(schedule);
  }

  /** Never more jobs than moments. */
  #compare({ spec, fromMs, jobs }: JobScheduleEntity): void {
    // The entry that took a moment has moved the group's time to it, or further.
    const nowMs = this.#options.groupMs();
    const moments = nowMs < fromMs ? 0 : Math.floor((nowMs - fromMs) / INTERVAL_MS) + 1;
    if (jobs > moments)
      this.#options.referee.fail('S17', `${spec.id} has made ${jobs} jobs at ${moments} moments`);
  }

  /** Each number is a job, and ended as a job ends that ran: none was taken and never made. */
  async #review({ spec, jobs }: JobScheduleEntity): Promise<void> {
    const { requests, referee } = this.#options;
    for (let number = 1; number <= jobs; number++) {
      const job = scheduledJobId(spec.id, number);
      try {
        const { state } = await requests.query(poolGroup(POOL), 'job.get', { job });
        if (state !== 'completed') referee.fail('S17', `${job} is ${state}, and its schedule is completed`);
      } catch (error) {
        if (asShoalError(error).code !== 'JobNotFound') throw error;
        referee.fail('S17', `${job} was to be made and is not there`);
      }
    }
    const next = scheduledJobId(spec.id, jobs + 1);
    const found = await requests.query(poolGroup(POOL), 'job.get', { job: next }).catch(() => undefined);
    if (found !== undefined) referee.fail('S17', `${next} is there, and nobody was to make it`);
  }

  #get(id: string): Promise<JobScheduleEntity> {
    return this.#options.requests.query(MESH_GROUP, 'schedule.get', { schedule: id });
  }
}
