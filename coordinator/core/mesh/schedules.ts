/**
 * Job schedules: when the next job is due, which one was made last, and what is left to do with a schedule that ends.
 * A moment becomes a job in two steps: this group commits that the moment is taken, under the number that names the
 * job, and then the coordinator makes the job. Whoever leads afterwards sees the number and makes the same job again,
 * which is no second one. So a change of coordinator neither skips a moment nor doubles it.
 */

import { JOB_SCHEDULES_MAX } from '../../../src/lib/limits.ts';
import type { EntityStamp } from '../../../src/model/commands.ts';
import { idKey } from '../../../src/model/ids.ts';
import type { JobScheduleEntity } from '../../../src/model/queries.ts';
import {
  type JobSchedulePatch,
  type JobScheduleSpec,
  type JobScheduleUpdate,
  nextMoment,
  scheduledJobId,
  timetableOf,
} from '../../../src/model/schedule.ts';
import type { JobScheduleState } from '../../../src/model/states.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { inKeyOrder } from './order.ts';
import { scheduleRow } from './rows.ts';
import type { Turn } from './turn.ts';

export class Schedules {
  readonly #byKey = new Map<string, JobScheduleEntity>();

  load(record: JobScheduleEntity): void {
    this.#byKey.set(idKey(record.spec.id), record);
  }

  all(): JobScheduleEntity[] {
    return inKeyOrder(this.#byKey);
  }

  get(id: string): JobScheduleEntity | undefined {
    return this.#byKey.get(idKey(id));
  }

  add(turn: Turn, spec: JobScheduleSpec): EntityStamp | Refusal {
    if (this.#byKey.size >= JOB_SCHEDULES_MAX)
      return refuse(
        'ActiveJobAndScheduleQuotaReached',
        `There are ${JOB_SCHEDULES_MAX} job schedules already.`,
      );
    const stamp = turn.stamp();
    const timetable = timetableOf(spec.schedule, turn.timeMs);
    // The first moment may be this very one.
    const nextRunTimeMs = nextMoment(timetable, turn.timeMs - 1);
    this.#set(turn, {
      ...stamp,
      spec,
      state: 'active',
      creationTimeMs: turn.timeMs,
      stateTransitionTimeMs: turn.timeMs,
      fromMs: timetable.fromMs,
      jobs: 0,
      ...(nextRunTimeMs === undefined ? {} : { nextRunTimeMs }),
    });
    turn.event('schedule.added', `The job schedule ${spec.id} was added.`, { schedule: spec.id });
    return stamp;
  }

  /** Moments are counted anew from now where the timetable changed; jobs that are there are not touched. */
  change(
    turn: Turn,
    record: JobScheduleEntity,
    change: JobSchedulePatch | JobScheduleUpdate,
    replace: boolean,
  ): EntityStamp {
    const stamp = turn.stamp();
    const { id, displayName, schedule, jobSpecification, metadata } = record.spec;
    const kept = replace ? {} : { ...(metadata === undefined ? {} : { metadata }) };
    const spec: JobScheduleSpec = {
      id,
      ...(displayName === undefined ? {} : { displayName }),
      ...kept,
      ...change,
      schedule: change.schedule ?? (replace ? {} : schedule),
      jobSpecification: change.jobSpecification ?? jobSpecification,
    };
    const changed = { ...record, ...stamp, spec };
    this.#set(
      turn,
      change.schedule === undefined && !replace ? changed : this.#timed(changed, turn.timeMs, turn.timeMs),
    );
    return stamp;
  }

  setState(turn: Turn, record: JobScheduleEntity, state: JobScheduleState): EntityStamp {
    const stamp = turn.stamp();
    const next: JobScheduleEntity = {
      ...record,
      ...stamp,
      state,
      stateTransitionTimeMs: turn.timeMs,
      previousState: record.state,
      previousStateTransitionTimeMs: record.stateTransitionTimeMs,
      ...(state === 'completed' ? { endTimeMs: turn.timeMs } : {}),
    };
    // Moments that pass while it is disabled are lost; one that is due when it is enabled is the next.
    this.#set(turn, state === 'active' ? this.#timed(next, record.fromMs, turn.timeMs) : next);
    turn.event('schedule.state', `The job schedule ${record.spec.id} is ${state}.`, {
      schedule: record.spec.id,
      state,
    });
    return stamp;
  }

  /** The moment that is due is taken, under the next number. False where it was taken before, or is not due. */
  launch(turn: Turn, record: JobScheduleEntity, number: number): boolean {
    const { nextRunTimeMs, spec } = record;
    if (record.state !== 'active' || number !== record.jobs + 1) return false;
    if (nextRunTimeMs === undefined || nextRunTimeMs > turn.timeMs) return false;
    const job = scheduledJobId(spec.id, number);
    this.#set(turn, this.#timed({ ...record, jobs: number, recentJob: job }, record.fromMs, turn.timeMs));
    turn.event('schedule.launched', `The job schedule ${spec.id} makes ${job}.`, { schedule: spec.id, job });
    return true;
  }

  erase(turn: Turn, record: JobScheduleEntity): void {
    this.#byKey.delete(idKey(record.spec.id));
    turn.delete(scheduleRow(record.spec.id));
    turn.event('schedule.deleted', `The job schedule ${record.spec.id} is gone.`, {
      schedule: record.spec.id,
    });
  }

  /** Moments whose window closed without a job are lost, whatever the reason was. */
  sweep(turn: Turn): void {
    for (const record of this.all()) {
      if (!(windowEndMs(record) <= turn.timeMs)) continue;
      // A later moment may be open still, where the window is longer than the interval.
      const { windowMs } = timetableOf(record.spec.schedule, record.fromMs);
      this.#set(turn, this.#timed(record, record.fromMs, turn.timeMs - windowMs));
      turn.event('schedule.missed', `The job schedule ${record.spec.id} lost a moment.`, {
        schedule: record.spec.id,
      });
    }
  }

  dueAtMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const record of this.#byKey.values()) due = Math.min(due, windowEndMs(record));
    return due;
  }

  #timed(record: JobScheduleEntity, fromMs: number, afterMs: number): JobScheduleEntity {
    const timetable = timetableOf(record.spec.schedule, fromMs);
    const { nextRunTimeMs: _, ...rest } = record;
    const next = nextMoment(timetable, fromMs === record.fromMs ? afterMs : afterMs - 1);
    return { ...rest, fromMs: timetable.fromMs, ...(next === undefined ? {} : { nextRunTimeMs: next }) };
  }

  #set(turn: Turn, record: JobScheduleEntity): void {
    this.#byKey.set(idKey(record.spec.id), record);
    turn.put(scheduleRow(record.spec.id), record);
    turn.effect({ kind: 'schedulesChanged' });
  }
}

function windowEndMs({ state, nextRunTimeMs, spec, fromMs }: JobScheduleEntity): number {
  if (state !== 'active' || nextRunTimeMs === undefined) return Number.POSITIVE_INFINITY;
  return nextRunTimeMs + timetableOf(spec.schedule, fromMs).windowMs;
}
