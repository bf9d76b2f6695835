/** The progress line of an upload or download. */
import type { Run } from './action.ts';
import { ProgressLine, RateMeter, renderByteProgress } from './progress.ts';

export class TransferProgress {
  readonly total: number | undefined;
  done = 0;
  readonly #run: Run;
  readonly #label: string;
  readonly #line: ProgressLine;
  readonly #rate = new RateMeter();

  constructor(run: Run, label: string, total: number | undefined) {
    this.#run = run;
    this.#label = label;
    this.total = total;
    this.#line = new ProgressLine(run.world.stderr, run.showsProgress);
  }

  add(count: number): void {
    this.done += count;
    this.#rate.note(performance.now(), this.done);
    const { done, total } = this;
    const progress = { label: this.#label, done, total, perSecond: this.#rate.perSecond() };
    this.#line.draw(() => renderByteProgress(progress, this.#run.world.columns()));
  }

  end(): void {
    this.#line.clear();
  }
}
