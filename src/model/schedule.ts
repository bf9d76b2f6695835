/** A job schedule as a client adds it (Azure Batch's JobScheduleAddParameter): when to make jobs, and which. */
import Type, { type Static } from 'typebox';
import { parseDuration } from '../lib/durations.ts';
import { SCHEDULE_INTERVAL_MIN_MS } from '../lib/limits.ts';
import { parseTimestamp } from '../lib/timestamps.ts';
import { JobSpec } from './job.ts';
import { DisplayName, Duration, Id, Metadata } from './schema.ts';

const strict = { additionalProperties: false } as const;
/** Read by `parseTimestamp` after the shape was checked. */
const Moment = Type.String({ minLength: 10, maxLength: 40 });

export const Schedule = Type.Object(
  {
    doNotRunUntil: Type.Optional(Moment),
    doNotRunAfter: Type.Optional(Moment),
    /** A job that was not made within this time from its moment is not made at all. Absent: no limit. */
    startWindow: Type.Optional(Duration),
    /** Absent: one job. */
    recurrenceInterval: Type.Optional(Duration),
  },
  strict,
);
export type Schedule = Static<typeof Schedule>;

const { id: _, ...ofEachJob } = JobSpec.properties;

/** What each job is made of; its id is the schedule's with a number. */
export const JobSpecification = Type.Object(ofEachJob, strict);
export type JobSpecification = Static<typeof JobSpecification>;

const changeable = { schedule: Type.Optional(Schedule), metadata: Type.Optional(Metadata) };

export const JobScheduleSpec = Type.Object(
  {
    id: Id,
    displayName: Type.Optional(DisplayName),
    ...changeable,
    schedule: Schedule,
    jobSpecification: JobSpecification,
  },
  strict,
);
export type JobScheduleSpec = Static<typeof JobScheduleSpec>;

/** PATCH: what is absent stays. */
export const JobSchedulePatch = Type.Object(
  { ...changeable, jobSpecification: Type.Optional(JobSpecification) },
  strict,
);
export type JobSchedulePatch = Static<typeof JobSchedulePatch>;

/** PUT: what is absent returns to its default. */
export const JobScheduleUpdate = Type.Object({ ...changeable, jobSpecification: JobSpecification }, strict);
export type JobScheduleUpdate = Static<typeof JobScheduleUpdate>;

/** A schedule with its texts read. All wall clock, ms; infinite where there is no limit. */
export interface Timetable {
  readonly fromMs: number;
  /** Nothing begins at this moment or later. */
  readonly untilMs: number;
  readonly windowMs: number;
  /** Infinite: one job. */
  readonly intervalMs: number;
}

/** What is wrong with a schedule: the property and why; undefined where it can be kept. */
export function scheduleFault(
  schedule: Schedule,
): { readonly property: string; readonly value: string; readonly reason: string } | undefined {
  for (const property of ['doNotRunUntil', 'doNotRunAfter'] as const) {
    const value = schedule[property];
    if (value !== undefined && parseTimestamp(value) === undefined)
      return { property, value, reason: 'it is not a moment such as 2026-01-31T12:00:00Z' };
  }
  for (const property of ['startWindow', 'recurrenceInterval'] as const) {
    const value = schedule[property];
    if (value !== undefined && !((parseDuration(value) ?? 0) >= SCHEDULE_INTERVAL_MIN_MS))
      return { property, value, reason: 'it is not a duration of at least PT1M' };
  }
  const { fromMs, untilMs } = timetableOf(schedule, 0);
  if (untilMs <= fromMs)
    return {
      property: 'doNotRunAfter',
      value: schedule.doNotRunAfter ?? '',
      reason: 'it is not after doNotRunUntil',
    };
  return undefined;
}

/** `fromMs`: where the schedule names no beginning of its own. */
export function timetableOf(schedule: Schedule, fromMs: number): Timetable {
  const { doNotRunUntil, doNotRunAfter, startWindow, recurrenceInterval } = schedule;
  return {
    fromMs: doNotRunUntil === undefined ? fromMs : Math.max(fromMs, parseTimestamp(doNotRunUntil) ?? fromMs),
    untilMs:
      (doNotRunAfter === undefined ? undefined : parseTimestamp(doNotRunAfter)) ?? Number.POSITIVE_INFINITY,
    windowMs: durationOf(startWindow),
    intervalMs: durationOf(recurrenceInterval),
  };
}

function durationOf(text: string | undefined): number {
  return (text === undefined ? undefined : parseDuration(text)) ?? Number.POSITIVE_INFINITY;
}

/** The first moment of the timetable after `afterMs`; undefined where there is none any more. */
export function nextMoment({ fromMs, untilMs, intervalMs }: Timetable, afterMs: number): number | undefined {
  if (fromMs > afterMs) return fromMs < untilMs ? fromMs : undefined;
  if (!Number.isFinite(intervalMs)) return undefined;
  const next = fromMs + (Math.floor((afterMs - fromMs) / intervalMs) + 1) * intervalMs;
  return next < untilMs ? next : undefined;
}

/** Of the n-th job of a schedule; counted from 1. */
export function scheduledJobId(schedule: string, number: number): string {
  return `${schedule}:job-${number}`;
}
