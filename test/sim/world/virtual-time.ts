/**
 * The world's time: one queue of events, and nothing happens but the event whose turn it is. An event runs, then every
 * promise that it settled has its say, then the next one runs. Draining is exact, not a guess: Node runs the queue of
 * `process.nextTick` only when no microtask is left, and a tick that was asked for inside a microtask comes after all
 * of them. The code under test waits for nothing but microtasks and this queue, so a seed gives one course.
 */
import { Heap } from '../../../src/lib/heap.ts';

/** A process (or nobody in particular): what belongs to it stands still with it, and dies with it. */
export class Scope {
  readonly name: string;
  #state: 'running' | 'frozen' | 'dead' = 'running';
  /** Events that came due while it was frozen. */
  readonly held: QueuedEvent[] = [];

  constructor(name: string) {
    this.name = name;
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

interface QueuedEvent {
  atMs: number;
  order: number;
  readonly scope: Scope;
  readonly run: () => void;
  cancelled: boolean;
}

/** Turns of Node's loop that the rest of the process needs (a test's reporter, for one). */
const EVENTS_BETWEEN_LOOP_TURNS = 5_000;

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
    const event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      scope,
      run,
      cancelled: false,
    };
    this.#events.push(event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  at(timeMs: number, scope: Scope, run: () => void): { cancel(): void } {
    return this.after(timeMs - this.#nowMs, scope, run);
  }

  again(event: QueuedEvent): void {
    event.atMs = this.#nowMs;
    event.order = this.#order++;
    this.#events.push(event);
  }

  /** Runs the next event and all that follows from it without time passing. Returns its scope; undefined at the end of time. */
  async step(): Promise<Scope | undefined> {
    for (;;) {
      const event = this.#events.pop();
      if (event === undefined) return undefined;
      if (event.cancelled || event.scope.isDead) continue;
      if (event.scope.isFrozen) {
        event.scope.held.push(event);
        continue;
      }
      this.#nowMs = event.atMs;
      this.#count += 1;
      event.run();
      await settled();
      if (this.#count % EVENTS_BETWEEN_LOOP_TURNS === 0)
        await new Promise((resolve) => setImmediate(resolve));
      return event.scope;
    }
  }
}

/** Resolves when no microtask is left. */
export function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function comesBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
