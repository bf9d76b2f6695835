/** The first half of a run: its inputs, job and tasks reach the mesh, all of them or none. */
import type { CallOptions } from '../../client/caller.ts';
import { ShoalError } from '../../lib/errors.ts';
import type { Run } from '../action.ts';
import { Exit } from '../failure.ts';
import { type ProgressLine, RateMeter, renderByteProgress, renderTaskProgress } from '../progress.ts';
import { type FoundInputs, type InputFile, uploadInputs } from './inputs.ts';
import type { RunPlan } from './plan.ts';

export class Submission {
  readonly #run: Run;
  readonly #plan: RunPlan;
  readonly #inputs: FoundInputs;
  readonly #line: ProgressLine;
  /** Those made here, and therefore ours to delete. */
  readonly #containers: string[] = [];
  #jobAdded = false;

  constructor(run: Run, plan: RunPlan, inputs: FoundInputs, line: ProgressLine) {
    this.#run = run;
    this.#plan = plan;
    this.#inputs = inputs;
    this.#line = line;
  }

  /** What was made is taken back if not everything could be; `briefly` bounds the calls that do so. */
  async submit(signal: AbortSignal, briefly: () => CallOptions): Promise<void> {
    const { jobs } = this.#run.client;
    const { job } = this.#plan.wish;
    try {
      await this.#uploadInputs(signal);
      if (this.#plan.wish.outputs.length > 0) await this.#makeContainer(this.#plan.outputContainer);
      // Not cut short by an interrupt: afterwards nobody could say whether the job of this name is ours to delete.
      await jobs.add(this.#plan.jobSpec());
      this.#jobAdded = true;
      await this.#addTasks(signal);
      // Not before: a job without tasks counts as having completed all of them.
      await jobs.patch(job, { onAllTasksComplete: 'terminatejob' }, { signal });
    } catch (error) {
      this.#line.clear();
      if (error instanceof Exit) await this.#run.note(`Job ${job} is taken back; it was not complete.`);
      if (this.#jobAdded) await quietly(() => jobs.delete(job, briefly()));
      await this.deleteContainers(briefly);
      throw error;
    } finally {
      this.#line.clear();
    }
  }

  async deleteContainers(briefly: () => CallOptions): Promise<void> {
    for (const container of this.#containers) {
      await quietly(() => this.#run.client.blobs.deleteContainer(container, briefly()));
    }
  }

  async #uploadInputs(signal: AbortSignal): Promise<void> {
    const { shared, ownFiles } = this.#inputs;
    const total = sizeOf(shared) + sizeOf(ownFiles);
    const rate = new RateMeter();
    let done = 0;
    const onBytes = (count: number): void => {
      done += count;
      rate.note(performance.now(), done);
      const progress = { label: 'inputs', done, total, perSecond: rate.perSecond() };
      this.#line.draw(() => renderByteProgress(progress, this.#run.world.columns()));
    };
    const uploads = [
      [this.#plan.inputContainer, shared],
      [this.#plan.ownInputContainer, ownFiles],
    ] as const;
    for (const [container, files] of uploads) {
      if (files.length === 0) continue;
      signal.throwIfAborted();
      await this.#makeContainer(container);
      await uploadInputs(this.#run.client, container, files, { signal, onBytes });
    }
  }

  /** Only a container of our own: what is in another may be the input of a job that still runs. */
  async #makeContainer(name: string): Promise<void> {
    try {
      await this.#run.client.blobs.createContainer(name);
    } catch (error) {
      if (!(error instanceof ShoalError) || error.code !== 'ContainerExists') throw error;
      const remedy = `Delete it with \`shoal container delete ${name}\`, or give another --name.`;
      throw new ShoalError('ContainerExists', `A run of this name has left the container ${name}. ${remedy}`);
    }
    this.#containers.push(name);
  }

  async #addTasks(signal: AbortSignal): Promise<void> {
    const rate = new RateMeter();
    const { total, wish } = this.#plan;
    const onProgress = (accepted: number): void => {
      rate.note(performance.now(), accepted);
      const progress = { label: 'submitting', succeeded: accepted, failed: 0, running: 0, total };
      this.#line.draw(() =>
        renderTaskProgress({ ...progress, perSecond: rate.perSecond() }, this.#run.world.columns()),
      );
    };
    const specs = this.#plan.taskSpecs(this.#inputs);
    await this.#run.client.tasks.addAll(wish.job, specs, { signal, onProgress });
  }
}

function sizeOf(files: readonly InputFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

/** For work beside the point: that it fails, or is interrupted, is nobody's concern. A bug still is. */
export async function quietly(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const expected = error instanceof ShoalError || error instanceof Exit || error instanceof DOMException;
    if (!expected) throw error;
  }
}
