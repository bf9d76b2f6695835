/** Routes of jobs. */
import Type from 'typebox';
import { ShoalError } from '../lib/errors.ts';
import { autoPoolOf } from '../model/auto-pool.ts';
import type { EntityStamp } from '../model/commands.ts';
import { MESH_GROUP } from '../model/ids.ts';
import { DISABLE_TASKS_OPTIONS, JobPatch, JobSpec, JobUpdate } from '../model/job.ts';
import { unwrap } from '../model/outcome.ts';
import type { JobEntity } from '../model/queries.ts';
import { isNotModified, readCondition } from './conditions.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata, jobUrl } from './entity-url.ts';
import { addJob } from './job-add.ts';
import { listJobs } from './job-list.ts';
import { filterOf, LIST_QUERY } from './list-query.ts';
import { listAnswer, readLimit, readSkipToken } from './paging.ts';
import { renderJob, renderJobStats, renderTaskCounts } from './render-job.ts';
import { renderJobNode } from './render-node-task.ts';
import { type Answer, type Call, empty, type Headers, json, param, type Route } from './route.ts';
import { expandsStats, selector } from './select.ts';
import { type PoolStampCommand, stampHeaders } from './stamps.ts';
import { bodyReader } from './validate.ts';

const strict = { additionalProperties: false } as const;

const readSpec = bodyReader(JobSpec);
const readPatch = bodyReader(JobPatch);
const readUpdate = bodyReader(JobUpdate);
const readDisable = bodyReader(Type.Object({ disableTasks: Type.Enum([...DISABLE_TASKS_OPTIONS]) }, strict));
const readTerminate = bodyReader(
  Type.Object({ terminateReason: Type.Optional(Type.String({ maxLength: 1024 })) }, strict),
);

/** Azure Batch's own reason where the client names none. */
const DEFAULT_REASON = 'UserTerminate';

/** Of later versions: it ends a job whose nodes do not answer. Here such a node loses its lease, and nobody waits longer. */
const FORCE = ['force'];

export function jobRoutes(context: ApiContext): readonly Route[] {
  const jobs = new JobHandlers(context);
  const one = '/jobs/:job';
  return [
    { method: 'POST', path: '/jobs', name: 'Job_Add', handle: jobs.add },
    { method: 'GET', path: '/jobs', name: 'Job_List', query: LIST_QUERY, handle: jobs.list },
    { method: 'GET', path: one, name: 'Job_Get', query: ['$select', '$expand'], handle: jobs.get },
    { method: 'PATCH', path: one, name: 'Job_Patch', handle: jobs.patch },
    { method: 'PUT', path: one, name: 'Job_Update', handle: jobs.update },
    { method: 'DELETE', path: one, name: 'Job_Delete', query: FORCE, handle: jobs.delete },
    { method: 'POST', path: `${one}/disable`, name: 'Job_Disable', handle: jobs.disable },
    { method: 'POST', path: `${one}/enable`, name: 'Job_Enable', handle: jobs.enable },
    {
      method: 'POST',
      path: `${one}/terminate`,
      name: 'Job_Terminate',
      query: FORCE,
      handle: jobs.terminate,
    },
    { method: 'GET', path: `${one}/taskcounts`, name: 'Job_GetTaskCounts', handle: jobs.taskCounts },
    {
      method: 'GET',
      path: `${one}/jobpreparationandreleasetaskstatus`,
      name: 'Job_ListPreparationAndReleaseTaskStatus',
      query: LIST_QUERY,
      handle: jobs.preparationStatus,
    },
  ];
}

class JobHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  add = async (call: Call): Promise<Answer> => {
    const spec = readSpec(call.body, call.version);
    const { poolId } = await this.#poolFor(call, spec);
    const stamp = await addJob(
      this.#context,
      call,
      { ...spec, poolInfo: { ...spec.poolInfo, poolId } },
      poolId,
    );
    const url = jobUrl(call.baseUrl, spec.id);
    return empty(201, { ...stampHeaders(stamp), location: url, dataserviceid: url });
  };

  list = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const request = {
      ...filterOf(call, 'job'),
      limit: readLimit(call.query),
      from: readSkipToken(call.query, 'string', 'number'),
    };
    const page = await listJobs(this.#context.control, request, () => call.options());
    const render = this.#renderer(call);
    const value = page.jobs.map((job) => select(render(job)));
    return listAnswer(call, 'jobs', value, page.next);
  };

  get = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const job = await this.#find(call);
    if (isNotModified(call.headers, job)) return empty(304, stampHeaders(job));
    const body = { 'odata.metadata': elementMetadata(call.baseUrl, 'jobs'), ...this.#renderer(call)(job) };
    return json(select(body), stampHeaders(job));
  };

  patch = async (call: Call): Promise<Answer> => {
    const patch = readPatch(call.body, call.version);
    const stamp = await this.#propose(call, { kind: 'job.patch', ...target(call), patch });
    return empty(200, headersOf(call, stamp));
  };

  update = async (call: Call): Promise<Answer> => {
    const update = readUpdate(call.body, call.version);
    const stamp = await this.#propose(call, { kind: 'job.update', ...target(call), update });
    return empty(200, headersOf(call, stamp));
  };

  delete = async (call: Call): Promise<Answer> => {
    call.query.boolean('force');
    await this.#propose(call, { kind: 'job.delete', ...target(call) });
    return empty(202);
  };

  disable = async (call: Call): Promise<Answer> => {
    const { disableTasks } = readDisable(call.body, call.version);
    const stamp = await this.#propose(call, { kind: 'job.disable', ...target(call), disableTasks });
    return empty(202, headersOf(call, stamp));
  };

  enable = async (call: Call): Promise<Answer> => {
    const stamp = await this.#propose(call, { kind: 'job.enable', ...target(call) });
    return empty(202, headersOf(call, stamp));
  };

  terminate = async (call: Call): Promise<Answer> => {
    call.query.boolean('force');
    const reason =
      call.body === undefined ? undefined : readTerminate(call.body, call.version).terminateReason;
    const stamp = await this.#propose(call, {
      kind: 'job.terminate',
      ...target(call),
      reason: reason ?? DEFAULT_REASON,
    });
    return empty(202, headersOf(call, stamp));
  };

  taskCounts = async (call: Call): Promise<Answer> => {
    const job = await this.#find(call);
    const counts = renderTaskCounts({ tasks: job.counts, slots: job.slotCounts }, call.version);
    return json({ 'odata.metadata': `${call.baseUrl}/$metadata#taskcounts/@Element`, ...counts });
  };

  preparationStatus = async (call: Call): Promise<Answer> => {
    const select = selector(call.query);
    const job = param(call, 'job');
    const after = readSkipToken(call.query, 'number')?.[0];
    const request = {
      job,
      ...filterOf(call, 'jobNode'),
      limit: readLimit(call.query),
      ...(after !== undefined && { after }),
    };
    const page = await this.#context.jobs.with(job, call.options(), (group) =>
      this.#context.control.query(group, 'job.nodes', request, call.options()),
    );
    const value = page.items.map((row) => select(renderJobNode(job, row, call.baseUrl)));
    const next = page.next === undefined ? undefined : [page.next];
    return listAnswer(call, 'jobpreparationandreleasetaskstatuslist', value, next);
  };

  /** The pool that the job names, or one that is made for it. A pool whose job is refused is taken back by the coordinator. */
  async #poolFor(call: Call, { id, poolInfo }: JobSpec): Promise<{ readonly poolId: string }> {
    const { poolId, autoPoolSpecification } = poolInfo;
    if ((poolId === undefined) === (autoPoolSpecification === undefined))
      throw new ShoalError(
        'MissingRequiredProperty',
        'A job names either poolInfo/poolId or poolInfo/autoPoolSpecification.',
        { PropertyName: 'poolInfo/poolId' },
      );
    if (poolId !== undefined) return { poolId };
    const options = call.commandOptions('pool.add');
    const made = autoPoolOf(poolInfo, { job: id, seed: options.requestId });
    if (made === undefined) throw new Error('unreachable');
    const { control } = this.#context;
    const voters = await control.proposeVoters();
    unwrap(await control.propose(MESH_GROUP, { kind: 'pool.add', ...made, voters }, options));
    return { poolId: made.spec.id };
  }

  #renderer(call: Call): (job: JobEntity) => Record<string, unknown> {
    if (!expandsStats(call.query)) return (job) => renderJob(job, call.baseUrl);
    const nowMs = this.#context.clock.wallMs();
    return (job) => ({ ...renderJob(job, call.baseUrl), stats: renderJobStats(job, call.baseUrl, nowMs) });
  }

  #find(call: Call): Promise<JobEntity> {
    return findJob(this.#context, call);
  }

  #propose(call: Call, command: PoolStampCommand): Promise<EntityStamp> {
    return this.#context.jobs.with(param(call, 'job'), call.options(), async (group) =>
      unwrap(await this.#context.control.propose(group, command, call.commandOptions(command.kind))),
    );
  }
}

/** The job of the path. Rejects with `JobNotFound`. */
export function findJob(context: ApiContext, call: Call): Promise<JobEntity> {
  const job = param(call, 'job');
  return context.jobs.with(job, call.options(), (group) =>
    context.control.query(group, 'job.get', { job }, call.options()),
  );
}

function target(call: Call): { readonly job: string } & ReturnType<typeof readCondition> {
  return { job: param(call, 'job'), ...readCondition(call.headers) };
}

function headersOf(call: Call, stamp: EntityStamp): Headers {
  return { ...stampHeaders(stamp), dataserviceid: jobUrl(call.baseUrl, param(call, 'job')) };
}
