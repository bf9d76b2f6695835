/** The typed client of the HTTP API: Azure Batch's routes, and ours under /shoal/v1/. */
import { ApplicationCalls } from './applications.ts';
import { BlobCalls } from './blobs.ts';
import { Caller } from './caller.ts';
import { JobCalls } from './jobs.ts';
import { MeshCalls } from './mesh.ts';
import { PoolCalls } from './pools.ts';
import { ScheduleCalls } from './schedules.ts';
import { TaskCalls } from './tasks.ts';
import type { HttpTransport } from './transport.ts';

/**
 * Every method rejects with a `ShoalError`: the API's own code, message and hint, or `AgentUnreachable`,
 * `PeerUnreachable`, `OperationTimedOut`. Busy answers and broken connections are tried again by themselves.
 */
export class ShoalClient {
  readonly mesh: MeshCalls;
  readonly pools: PoolCalls;
  readonly jobs: JobCalls;
  readonly schedules: ScheduleCalls;
  readonly tasks: TaskCalls;
  readonly blobs: BlobCalls;
  readonly applications: ApplicationCalls;
  readonly #caller: Caller;

  constructor(transport: HttpTransport) {
    const caller = new Caller(transport);
    this.#caller = caller;
    this.mesh = new MeshCalls(caller);
    this.pools = new PoolCalls(caller);
    this.jobs = new JobCalls(caller);
    this.schedules = new ScheduleCalls(caller);
    this.tasks = new TaskCalls(caller);
    this.blobs = new BlobCalls(caller);
    this.applications = new ApplicationCalls(caller);
  }

  /** A URL or the path of a socket, for messages. */
  get where(): string {
    return this.#caller.where;
  }

  close(): void {
    this.#caller.close();
  }
}
