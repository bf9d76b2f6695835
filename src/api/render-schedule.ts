/** A job schedule as Azure Batch's CloudJobSchedule. */
import { formatTimestamp, parseTimestamp, timestampOf } from '../lib/timestamps.ts';
import { withoutPasswords } from '../model/container.ts';
import type { JobScheduleEntity } from '../model/queries.ts';
import { jobUrl, scheduleUrl } from './entity-url.ts';

export function renderSchedule(entity: JobScheduleEntity, baseUrl: string): Record<string, unknown> {
  const { spec, recentJob } = entity;
  const { doNotRunUntil, doNotRunAfter, ...times } = spec.schedule;
  return {
    id: spec.id,
    displayName: spec.displayName,
    url: scheduleUrl(baseUrl, spec.id),
    eTag: entity.eTag,
    lastModified: formatTimestamp(entity.lastModifiedMs),
    creationTime: formatTimestamp(entity.creationTimeMs),
    state: entity.state,
    stateTransitionTime: formatTimestamp(entity.stateTransitionTimeMs),
    previousState: entity.previousState,
    previousStateTransitionTime: timestampOf(entity.previousStateTransitionTimeMs),
    schedule: {
      ...times,
      doNotRunUntil: moment(doNotRunUntil),
      doNotRunAfter: moment(doNotRunAfter),
    },
    jobSpecification: withoutPasswords(spec.jobSpecification),
    executionInfo: {
      nextRunTime: entity.state === 'active' ? timestampOf(entity.nextRunTimeMs) : undefined,
      recentJob: recentJob === undefined ? undefined : { id: recentJob, url: jobUrl(baseUrl, recentJob) },
      endTime: timestampOf(entity.endTimeMs),
    },
    metadata: spec.metadata,
  };
}

/** As it was given, in the form that all moments have. */
function moment(text: string | undefined): string | undefined {
  return text === undefined ? undefined : timestampOf(parseTimestamp(text));
}
