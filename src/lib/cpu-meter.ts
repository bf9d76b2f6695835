/**
 * CPU time of one piece of work among many on one thread. The piece is followed from one wait to the next: whoever
 * waits on its behalf says so, and says when it goes on. Following every promise instead (async_hooks) slows down all of
 * the process, and what a piece uses between its first step and its last is mostly others' work.
 */
export class CpuMeter {
  readonly #process: CpuUse;
  /** `chargedMs` of the process when the present step began; undefined while the piece waits. */
  #sinceMs: number | undefined;
  #spentMs = 0;

  constructor(use: CpuUse) {
    this.#process = use;
  }

  /** So far, without the present step. */
  get spentMs(): number {
    return this.#spentMs;
  }

  /** The piece goes on. */
  resume(): void {
    this.#sinceMs ??= this.#process.enter();
  }

  /** It waits, or has ended. */
  pause(): void {
    if (this.#sinceMs === undefined) return;
    this.#spentMs += this.#process.leave() - this.#sinceMs;
    this.#sinceMs = undefined;
  }

  /** What another process used for it. */
  add(ms: number): void {
    this.#spentMs += ms;
  }
}

/** What a process uses, shared equally among the pieces that go on at the same time: their steps may be interleaved. */
export class CpuUse {
  readonly #usedMs: () => number;
  #running = 0;
  #usedBeforeMs = 0;
  /** What a piece that never waits would have been charged. */
  #chargedMs = 0;

  /** `usedMs`: CPU time of the process so far. */
  constructor(usedMs: () => number) {
    this.#usedMs = usedMs;
  }

  enter(): number {
    this.#charge();
    this.#running += 1;
    return this.#chargedMs;
  }

  leave(): number {
    this.#charge();
    this.#running -= 1;
    return this.#chargedMs;
  }

  #charge(): void {
    const usedMs = this.#usedMs();
    if (this.#running > 0) this.#chargedMs += (usedMs - this.#usedBeforeMs) / this.#running;
    this.#usedBeforeMs = usedMs;
  }
}

/** CPU time of this process so far, ms. */
export function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
