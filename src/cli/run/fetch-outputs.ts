/** The output files of ended tasks, brought to a directory while the others still run. */
import { stat } from 'node:fs/promises';
import type { ShoalClient } from '../../client/client.ts';
import { FILE_TRANSFERS_MAX } from '../../lib/limits.ts';
import { prepareTarget } from '../local-files.ts';
import { saveBody } from '../remote-output.ts';

export interface FetchOptions {
  readonly container: string;
  /** Absolute. */
  readonly directory: string;
  /** All in one directory, instead of one for each task. */
  readonly flat: boolean;
  readonly signal: AbortSignal;
  readonly warn: (text: string) => Promise<void>;
}

export class OutputFetcher {
  readonly #client: ShoalClient;
  readonly #options: FetchOptions;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #files = 0;
  readonly #targets = new Set<string>();

  constructor(client: ShoalClient, options: FetchOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Files stored so far. */
  get files(): number {
    return this.#files;
  }

  /** Begins with a task's files; resolves when another task may be handed in. */
  async add(task: string): Promise<void> {
    const one: Promise<void> = this.#fetch(task)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(one));
    this.#running.add(one);
    if (this.#running.size >= FILE_TRANSFERS_MAX) await Promise.race(this.#running);
  }

  /** Resolves when everything is stored; rejects with the first failure. */
  async end(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #fetch(task: string): Promise<void> {
    const { container, directory, flat, signal } = this.#options;
    const prefix = `${task}/`;
    for await (const blob of this.#client.blobs.list(container, prefix, { signal })) {
      const relative = flat ? blob.name.slice(prefix.length) : blob.name;
      const target = await prepareTarget(directory, relative);
      if (flat) await this.#warnOfTwo(target, task);
      await saveBody(await this.#client.blobs.open(container, blob.name, { signal }), target);
      this.#files += 1;
    }
  }

  async #warnOfTwo(target: string, task: string): Promise<void> {
    const twice = this.#targets.has(target) && (await stat(target).catch(() => undefined)) !== undefined;
    this.#targets.add(target);
    if (twice)
      await this.#options.warn(
        `${target} is replaced by that of task ${task}; leave --flat out to keep both.`,
      );
  }
}
