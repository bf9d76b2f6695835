/**
 * A job's number and a task's number as one integer, for sets and heaps. The job is the greater part: ascending keys
 * are jobs in order, and in each its tasks in order.
 */
import { TASK_NUMBER_MAX } from '../../../src/lib/limits.ts';

const TASKS_PER_JOB = TASK_NUMBER_MAX + 1;

export function packTask(job: number, task: number): number {
  return job * TASKS_PER_JOB + task;
}

export function jobOf(packed: number): number {
  return Math.floor(packed / TASKS_PER_JOB);
}

export function taskOf(packed: number): number {
  return packed % TASKS_PER_JOB;
}

/** Sets remember the order of insertion, which differs between a replay and a restart; what is written must not. */
export function ascending(numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}
