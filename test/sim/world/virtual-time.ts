/**
 * The world's time: one queue of events, and nothing happens but the event whose turn it is. An event runs, then every
 * promise that it settled has its say, then the next one runs. Draining is exact, not a guess: Node runs the queue of
 * `process.nextTick` only when no microtask is left, and a tick that was asked for inside a microtask comes after all
 * of them. Streams ask for ticks of their own, also from within ticks; so these are counted, and time waits until none is
 * left. The code under test waits for nothing but microtasks, ticks and this queue, so a seed gives one course.
 */
import { Heap } from '../../../src/lib/heap.ts';

/** A process (or nobody in particular): what belongs to it stands still with it, and dies with it. */
export class Scope {
  readonly name: string;
  /** A small number for the digest of a course; the same in each run of a seed. */
  readonly number: number;
  #state: 'running' | 'frozen' | 'dead' = 'running';
  /** Events that came due while it was frozen. */
  readonly held: QueuedEvent[] = [];
  /** How long its machine has slept with its monotonic clock, ms: what waits comes later by that much. */
  sleptMs = 0;

  constructor(name: string, number = 0) {
    this.name = name;
    this.number = number;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get isFrozen(): boolean {
    return this.#state === 'frozen';
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  /** What came due meanwhile comes now, in its order. */
  thaw(time: VirtualTime): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const event of this.held.splice(0)) time.again(event);
  }

  die(): void {
    this.#state = 'dead';
    this.held.length = 0;
  }
}

class QueuedEvent {
  atMs: number;
  order: number;
  readonly scope: Scope;
  readonly run: () => void;
  /** `sleptMs` of its scope when it was queued. */
  sleptMs: number;
  cancelled = false;

  constructor(atMs: number, order: number, scope: Scope, run: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.scope = scope;
    this.run = run;
    this.sleptMs = scope.sleptMs;
  }

  cancel(): void {
    this.cancelled = true;
  }
}

/** Turns of Node's loop that the rest of the process needs (a test's reporter, for one). */
const EVENTS_BETWEEN_LOOP_TURNS = 20_000;

export class VirtualTime {
  readonly #events = new Heap<QueuedEvent>(comesBefore);
  #nowMs = 0;
  #order = 0;
  #count = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have run. */
  get count(): number {
    return this.#count;
  }

  after(delayMs: number, scope: Scope, run: () => void): { cancel(): void } {
    const event = new QueuedEvent(this.#nowMs + Math.max(0, delayMs), this.#order++, scope, run);
    this.#events.push(event);
    return event;
  }

  at(timeMs: number, scope: Scope, run: () => void): { cancel(): void } {
    return this.after(timeMs - this.#nowMs, scope, run);
  }

  /** Of a scope that goes on: what its machine slept through is still ahead of it by as much as before. */
  again(event: QueuedEvent): void {
    event.atMs = Math.max(this.#nowMs, event.atMs + event.scope.sleptMs - event.sleptMs);
    event.sleptMs = event.scope.sleptMs;
    event.order = this.#order++;
    this.#events.push(event);
  }

  /**
   * Runs one event after another, each with all that follows from it without time passing, until `isOver` says so
   * before one of them. `after` looks at the world behind each. Returns false at the end of time.
   */
  async run(isOver: () => boolean, after: (scope: Scope) => void): Promise<boolean> {
    while (!isOver()) {
      const event = this.#take();
      if (event === undefined) return false;
      this.#nowMs = event.atMs;
      this.#count += 1;
      const asked = ticksAsked;
      event.run();
      await drained(ticksAsked === asked);
      after(event.scope);
      if (this.#count % EVENTS_BETWEEN_LOOP_TURNS === 0)
        await new Promise((resolve) => setImmediate(resolve));
    }
    return true;
  }

  #take(): QueuedEvent | undefined {
    for (;;) {
      const event = this.#events.pop();
      if (event === undefined) return undefined;
      const { scope } = event;
      if (event.cancelled || scope.isDead) continue;
      if (scope.isFrozen) scope.held.push(event);
      else if (event.sleptMs !== scope.sleptMs) this.again(event);
      else return event;
    }
  }
}

/** Ticks that anybody but this file has asked for. */
let ticksAsked = 0;
const { nextTick } = process;
process.nextTick = (act, ...values: unknown[]) => {
  ticksAsked += 1;
  nextTick(act, ...values);
};

/**
 * Resolves when neither a microtask nor a tick is left. `isQuiet`: no tick is left from before.
 *
 * A tick runs before the microtasks of those in front of it. So what these lead to is known only after another round in
 * which nobody asked for a tick.
 */
async function drained(isQuiet: boolean): Promise<void> {
  for (let wasQuiet = isQuiet; ; ) {
    const asked = ticksAsked;
    await new Promise(settle);
    const isStill = ticksAsked === asked;
    if (isStill && wasQuiet) return;
    wasQuiet = isStill;
  }
}

/** Resolves when no microtask is left of those that were there. */
function settle(resolve: (nothing: undefined) => void): void {
  nextTick(resolve, undefined);
}

function comesBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
