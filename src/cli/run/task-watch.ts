/**
 * The states of a run's tasks, as far as they matter now. Tasks are listed in the order of their items and mostly end
 * in it, so only the page with the first unfinished task is asked for again and again: a job of a million tasks costs
 * one page a look.
 */
import type { ShoalClient } from '../../client/client.ts';
import type { TaskResource } from '../../client/shapes.ts';
import { RUN_PAGE_TASKS } from '../../lib/limits.ts';

/** A reader that is slower than the tasks stops the looking ahead. */
const TASKS_HELD_MAX = 4 * RUN_PAGE_TASKS;

/** All that a run needs to know of a task. */
export const TASK_SELECT = ['id', 'state', 'executionInfo', 'shoal'] as const;

export class TaskWatch {
  readonly #client: ShoalClient;
  readonly #job: string;
  /** In the order of the job's list. */
  readonly #held = new Map<string, TaskResource>();
  /** Names the page with the first unfinished task; undefined for the first page. */
  #token: string | undefined;
  #atEnd = false;
  /** Tasks of that page, and those of them that the reader has taken. */
  #pageIds = new Set<string>();
  readonly #taken = new Set<string>();

  constructor(client: ShoalClient, job: string) {
    this.#client = client;
    this.#job = job;
  }

  /** Looks again at the first unfinished task and those near it. */
  async refresh(signal: AbortSignal): Promise<void> {
    while (!this.#atEnd && this.#held.size <= TASKS_HELD_MAX) {
      const options = { select: TASK_SELECT, pageSize: RUN_PAGE_TASKS, signal };
      const page = await this.#client.tasks.page(this.#job, options, this.#token);
      this.#pageIds = new Set(page.items.map((task) => task.id));
      for (const task of page.items) {
        if (!this.#taken.has(task.id)) this.#held.set(task.id, task);
      }
      if (!page.items.every((task) => task.state === 'completed')) return;
      this.#taken.clear();
      this.#pageIds.clear();
      if (page.next === undefined) this.#atEnd = true;
      else this.#token = page.next;
    }
  }

  /** Known tasks that were not taken yet, in order. */
  waiting(): Iterable<TaskResource> {
    return this.#held.values();
  }

  /** All tasks have ended and were taken. */
  get isDrained(): boolean {
    return this.#atEnd && this.#held.size === 0;
  }

  /** The reader is done with this task: it is not held again, although its page may be. */
  take(task: TaskResource): void {
    this.#held.delete(task.id);
    if (this.#pageIds.has(task.id)) this.#taken.add(task.id);
  }
}
