/** What refuses commands on a job because of the state it is in. */
import { type Refusal, refuse } from '../refusal.ts';
import type { Job } from './job-record.ts';

export function jobNotFound(id: string): Refusal {
  return refuse('JobNotFound', `The job ${id} does not exist in this pool.`, { JobId: id });
}

export function beingDeleted(job: Job): Refusal {
  return refuse('JobBeingDeleted', `The job ${job.id} is being deleted.`, { JobId: job.id });
}

/** What refuses changes, and new tasks, of a job that ends or has ended. */
export function refusalWhileEnding(job: Job): Refusal | undefined {
  switch (job.state) {
    case 'deleting':
      return beingDeleted(job);
    case 'terminating':
      return refuse('JobBeingTerminated', `The job ${job.id} is being terminated.`, { JobId: job.id });
    case 'completed':
      return refuse('JobCompleted', `The job ${job.id} is already completed.`, { JobId: job.id });
    default:
      return undefined;
  }
}
