/** Runs a world's events, and looks behind each of them for whatever is wrong. */
import { Violation } from './referee.ts';
import type { Scope, VirtualTime } from './virtual-time.ts';

/** How often a condition over the whole world is looked at: never once an event, as a world may have many machines. */
const LOOK_MS = 20;

export class Course {
  readonly #time: VirtualTime;
  readonly #after: (scope: Scope) => void;

  /** `after` throws where it finds something wrong. */
  constructor(time: VirtualTime, after: (scope: Scope) => void) {
    this.#time = time;
    this.#after = after;
  }

  async runFor(ms: number): Promise<void> {
    const endMs = this.#time.nowMs + ms;
    await this.#run(() => this.#time.nowMs >= endMs);
  }

  /** Throws `Violation` of `rule` with what `why` adds where it does not come true in time. */
  async until(
    { rule, what, boundMs }: { readonly rule: string; readonly what: string; readonly boundMs: number },
    holds: () => boolean,
    why: () => string = () => '',
  ): Promise<void> {
    const endMs = this.#time.nowMs + boundMs;
    let lookMs = 0;
    let isLate = false;
    await this.#run(() => {
      const { nowMs } = this.#time;
      if (nowMs < lookMs) return false;
      lookMs = nowMs + LOOK_MS;
      if (holds()) return true;
      isLate = nowMs > endMs;
      return isLate;
    });
    if (isLate) throw new Violation(`${rule}: not within ${Math.round(boundMs)} ms: ${what}${why()}`);
  }

  /** Runs the world until the promise is settled. */
  async awaiting<T>(what: string, boundMs: number, work: Promise<T>): Promise<T> {
    const endMs = this.#time.nowMs + boundMs;
    let isDone = false;
    const finished = work.finally(() => {
      isDone = true;
    });
    finished.catch(() => undefined);
    await this.#run(() => isDone || this.#time.nowMs > endMs);
    if (!isDone) throw new Violation(`L2: not within ${Math.round(boundMs)} ms: ${what}`);
    return finished;
  }

  async #run(isOver: () => boolean): Promise<void> {
    if (!(await this.#time.run(isOver, this.#after))) throw new Violation('the world stands still');
  }
}
