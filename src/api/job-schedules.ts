/** Routes of job schedules. */
import { ShoalError } from '../lib/errors.ts';
import type { EntityStamp } from '../model/commands.ts';
import { idKey, MESH_GROUP } from '../model/ids.ts';
import { unwrap } from '../model/outcome.ts';
import type { JobScheduleEntity } from '../model/queries.ts';
import { JobSchedulePatch, JobScheduleSpec, JobScheduleUpdate, scheduleFault } from '../model/schedule.ts';
import { validateJob } from '../model/validate.ts';
import { isNotModified, readCondition } from './conditions.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata, scheduleUrl } from './entity-url.ts';
import { listJobs } from './job-list.ts';
import { filterOf, LIST_QUERY, matcherOf } from './list-query.ts';
import { listAnswer, pageByKey, readLimit, readPageWish, readSkipToken } from './paging.ts';
import { renderJob } from './render-job.ts';
import { renderSchedule } from './render-schedule.ts';
import { type Answer, type Call, empty, type Headers, json, param, type Route } from './route.ts';
import { selector } from './select.ts';
import { type MeshStampCommand, stampHeaders } from './stamps.ts';
import { bodyReader, invalidProperty, refusedBy } from './validate.ts';

const readSpec = bodyReader(JobScheduleSpec);
const readPatch = bodyReader(JobSchedulePatch);
const readUpdate = bodyReader(JobScheduleUpdate);

/** Of later versions; see the jobs of a schedule. */
const FORCE = ['force'];

export function jobScheduleRoutes(context: ApiContext): readonly Route[] {
  const schedules = new ScheduleHandlers(context);
  const all = '/jobschedules';
  const one = `${all}/:schedule`;
  return [
    { method: 'POST', path: all, name: 'JobSchedule_Add', handle: schedules.add },
    { method: 'GET', path: all, name: 'JobSchedule_List', query: LIST_QUERY, handle: schedules.list },
    {
      method: 'GET',
      path: one,
      name: 'JobSchedule_Get',
      query: ['$select', '$expand'],
      handle: schedules.get,
    },
    { method: 'HEAD', path: one, name: 'JobSchedule_Exists', handle: schedules.exists },
    { method: 'PATCH', path: one, name: 'JobSchedule_Patch', handle: schedules.patch },
    { method: 'PUT', path: one, name: 'JobSchedule_Update', handle: schedules.update },
    {
      method: 'DELETE',
      path: one,
      name: 'JobSchedule_Delete',
      query: FORCE,
      handle: schedules.to('delete', 202),
    },
    {
      method: 'POST',
      path: `${one}/disable`,
      name: 'JobSchedule_Disable',
      handle: schedules.to('disable', 204),
    },
    {
      method: 'POST',
      path: `${one}/enable`,
      name: 'JobSchedule_Enable',
      handle: schedules.to('enable', 204),
    },
    {
      method: 'POST',
      path: `${one}/terminate`,
      name: 'JobSchedule_Terminate',
      query: FORCE,
      handle: schedules.to('terminate', 202),
    },
    {
      method: 'GET',
      path: `${one}/jobs`,
      name: 'Job_ListFromJobSchedule',
      query: LIST_QUERY,
      handle: schedules.jobs,
    },
  ];
}

class ScheduleHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  add = async (call: Call): Promise<Answer> => {
    const spec = readSpec(call.body, call.version);
    checkSchedule(spec);
    const stamp = await this.#propose(call, { kind: 'schedule.add', spec });
    const url = scheduleUrl(call.baseUrl, spec.id);
    return empty(201, { ...stampHeaders(stamp), location: url, dataserviceid: url });
  };

  list = async (call: Call): Promise<Answer> => {
    const matches = matcherOf(call, 'jobSchedule');
    const select = selector(call.query);
    const wish = readPageWish(call.query);
    const all = await this.#context.control.query(MESH_GROUP, 'schedule.list', {}, call.options());
    const { items, next } = pageByKey(all, wish, ({ spec }) => idKey(spec.id), matches);
    const value = items.map((one) => select(renderSchedule(one, call.baseUrl)));
    return listAnswer(call, 'jobschedules', value, next);
  };

  get = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const schedule = await this.#find(call);
    if (isNotModified(call.headers, schedule)) return empty(304, stampHeaders(schedule));
    const body = {
      'odata.metadata': elementMetadata(call.baseUrl, 'jobschedules'),
      ...renderSchedule(schedule, call.baseUrl),
    };
    return json(select(body), stampHeaders(schedule));
  };

  exists = async (call: Call): Promise<Answer> => {
    const schedule = await this.#find(call);
    return empty(isNotModified(call.headers, schedule) ? 304 : 200, stampHeaders(schedule));
  };

  patch = async (call: Call): Promise<Answer> => {
    const patch = readPatch(call.body, call.version);
    checkSchedule({ id: param(call, 'schedule'), ...patch });
    const stamp = await this.#propose(call, { kind: 'schedule.patch', ...target(call), patch });
    return empty(200, headersOf(call, stamp));
  };

  update = async (call: Call): Promise<Answer> => {
    const update = readUpdate(call.body, call.version);
    checkSchedule({ id: param(call, 'schedule'), ...update });
    const stamp = await this.#propose(call, { kind: 'schedule.update', ...target(call), update });
    return empty(200, headersOf(call, stamp));
  };

  to(
    what: 'disable' | 'enable' | 'terminate' | 'delete',
    status: 202 | 204,
  ): (call: Call) => Promise<Answer> {
    return async (call) => {
      call.query.boolean('force');
      await this.#propose(call, { kind: `schedule.${what}`, ...target(call) });
      return empty(status);
    };
  }

  jobs = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const { spec } = await this.#find(call);
    const { filter } = filterOf(call, 'job');
    const ofSchedule = `startswith(id,'${spec.id}:')`;
    const request = {
      filter: filter === undefined ? ofSchedule : `(${filter}) and ${ofSchedule}`,
      limit: readLimit(call.query),
      from: readSkipToken(call.query, 'string', 'number'),
    };
    const page = await listJobs(this.#context.control, request, () => call.options());
    const value = page.jobs.map((job) => select(renderJob(job, call.baseUrl)));
    return listAnswer(call, 'jobs', value, page.next);
  };

  #find(call: Call): Promise<JobScheduleEntity> {
    const schedule = param(call, 'schedule');
    return this.#context.control.query(MESH_GROUP, 'schedule.get', { schedule }, call.options());
  }

  async #propose(call: Call, command: MeshStampCommand): Promise<EntityStamp> {
    const { control } = this.#context;
    return unwrap(await control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
  }
}

/** What the shapes cannot say, before anything is proposed: the coordinator could only find out at the first moment. */
function checkSchedule(given: JobSchedulePatch & { readonly id: string }): void {
  const fault = given.schedule && scheduleFault(given.schedule);
  if (fault !== undefined) throw invalidProperty(`schedule/${fault.property}`, fault.value, fault.reason);
  const { jobSpecification } = given;
  if (jobSpecification === undefined) return;
  const { poolInfo } = jobSpecification;
  if ((poolInfo.poolId === undefined) === (poolInfo.autoPoolSpecification === undefined))
    throw new ShoalError(
      'MissingRequiredProperty',
      'The job of a schedule names either poolInfo/poolId or poolInfo/autoPoolSpecification.',
      { PropertyName: 'jobSpecification/poolInfo/poolId' },
    );
  // A pool that is made for the job has no id yet.
  const named = { ...poolInfo, poolId: poolInfo.poolId ?? 'auto' };
  const violation = validateJob({ ...jobSpecification, id: 'job', poolInfo: named });
  if (violation !== undefined) throw refusedBy(violation);
}

function target(call: Call): { readonly schedule: string } & ReturnType<typeof readCondition> {
  return { schedule: param(call, 'schedule'), ...readCondition(call.headers) };
}

function headersOf(call: Call, stamp: EntityStamp): Headers {
  return { ...stampHeaders(stamp), dataserviceid: scheduleUrl(call.baseUrl, param(call, 'schedule')) };
}
