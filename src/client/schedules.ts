import type { JobScheduleSpec } from '../model/schedule.ts';
import { API_VERSION, type Caller, type CallOptions } from './caller.ts';
import { type ListOptions, listAll } from './paging.ts';
import { route } from './route.ts';
import type { JobResource, JobScheduleResource } from './shapes.ts';

const query = { 'api-version': API_VERSION };

export class ScheduleCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async add(spec: JobScheduleSpec, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'POST', path: '/jobschedules', query, json: spec, ...options });
  }

  list(options: ListOptions = {}): AsyncIterable<JobScheduleResource> {
    return listAll(this.#caller, '/jobschedules', options);
  }

  get(schedule: string, options: CallOptions = {}): Promise<JobScheduleResource> {
    return this.#caller.json({ method: 'GET', path: route`/jobschedules/${schedule}`, query, ...options });
  }

  /** Newest last within a pool. */
  jobs(schedule: string, options: ListOptions = {}): AsyncIterable<JobResource> {
    return listAll(this.#caller, route`/jobschedules/${schedule}/jobs`, options);
  }

  async change(
    schedule: string,
    what: 'disable' | 'enable' | 'terminate',
    options: CallOptions = {},
  ): Promise<void> {
    const path = `${route`/jobschedules/${schedule}`}/${what}`;
    await this.#caller.run({ method: 'POST', path, query, ...options });
  }

  /** With all of its jobs. */
  async delete(schedule: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/jobschedules/${schedule}`, query, ...options });
  }
}
