import type { DisableTasksOption, JobPatch, JobSpec } from '../model/job.ts';
import { API_VERSION, type Caller, type CallOptions } from './caller.ts';
import { type ListOptions, listAll } from './paging.ts';
import { route } from './route.ts';
import type { JobNodeResource, JobResource, TaskCountsResource } from './shapes.ts';

const query = { 'api-version': API_VERSION };

export class JobCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async add(spec: JobSpec, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'POST', path: '/jobs', query, json: spec, ...options });
  }

  list(options: ListOptions = {}): AsyncIterable<JobResource> {
    return listAll(this.#caller, '/jobs', options);
  }

  get(
    job: string,
    options: CallOptions & { readonly select?: readonly string[] } = {},
  ): Promise<JobResource> {
    const { select, ...rest } = options;
    const path = route`/jobs/${job}`;
    return this.#caller.json({
      method: 'GET',
      path,
      query: { ...query, $select: select?.join(',') },
      ...rest,
    });
  }

  async patch(job: string, patch: JobPatch, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'PATCH', path: route`/jobs/${job}`, query, json: patch, ...options });
  }

  /** A task that is being prepared counts as running. */
  async taskCounts(job: string, options: CallOptions = {}): Promise<TaskCountsResource> {
    const path = route`/jobs/${job}/taskcounts`;
    const answer = await this.#caller.json<{ readonly taskCounts: TaskCountsResource }>({
      method: 'GET',
      path,
      query,
      ...options,
    });
    return answer.taskCounts;
  }

  /** What each node did for the job before its tasks and after them. */
  nodes(job: string, options: ListOptions = {}): AsyncIterable<JobNodeResource> {
    return listAll(this.#caller, route`/jobs/${job}/jobpreparationandreleasetaskstatus`, options);
  }

  async disable(job: string, disableTasks: DisableTasksOption, options: CallOptions = {}): Promise<void> {
    const path = route`/jobs/${job}/disable`;
    await this.#caller.run({ method: 'POST', path, query, json: { disableTasks }, ...options });
  }

  async enable(job: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'POST', path: route`/jobs/${job}/enable`, query, ...options });
  }

  async terminate(job: string, reason: string | undefined, options: CallOptions = {}): Promise<void> {
    const json = reason === undefined ? {} : { terminateReason: reason };
    await this.#caller.run({ method: 'POST', path: route`/jobs/${job}/terminate`, query, json, ...options });
  }

  async delete(job: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/jobs/${job}`, query, ...options });
  }
}
