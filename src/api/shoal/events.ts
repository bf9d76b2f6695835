/** Our route of events: what happens on any machine from now on, as server-sent events. */
import { Readable } from 'node:stream';
import type { Clock } from '../../lib/clock.ts';
import { EVENTS_KEEPALIVE_MS, EVENTS_QUEUED_MAX } from '../../lib/limits.ts';
import type { Control, MeshEvent } from '../../model/control.ts';
import type { ApiContext } from '../context.ts';
import type { Call, Route } from '../route.ts';

export function eventRoutes({ control, clock }: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/shoal/v1/events',
      name: 'Shoal_Events',
      endless: true,
      handle: async (call: Call) => ({
        kind: 'stream',
        status: 200,
        headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
        body: Readable.from(eventTexts(control, clock, call.signal), { objectMode: false }),
      }),
    },
  ];
}

/** A comment line, which every reader of event streams skips. */
const KEEP_ALIVE = ': still here\n\n';

async function* eventTexts(control: Control, clock: Clock, signal: AbortSignal): AsyncGenerator<string> {
  const queue = new EventQueue(clock);
  const stop = control.onEvent((event) => queue.push(event));
  const abort = (): void => queue.wake();
  signal.addEventListener('abort', abort);
  try {
    yield KEEP_ALIVE;
    while (!signal.aborted) {
      await queue.wait(EVENTS_KEEPALIVE_MS);
      const events = queue.takeAll();
      yield events.length === 0 ? KEEP_ALIVE : events.map(eventText).join('');
    }
  } finally {
    stop();
    signal.removeEventListener('abort', abort);
  }
}

/** The kind is made of our own words; anything else in it could end the line and forge a field. */
function eventText(event: MeshEvent): string {
  return `event: ${event.kind.replace(/[^A-Za-z0-9.]/g, '')}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Events on their way to one client. One that does not read loses the oldest, and is told how many. */
class EventQueue {
  readonly #clock: Clock;
  #events: MeshEvent[] = [];
  #dropped = 0;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  push(event: MeshEvent): void {
    this.#events.push(event);
    if (this.#events.length > EVENTS_QUEUED_MAX) {
      this.#events.shift();
      this.#dropped += 1;
    }
    this.wake();
  }

  wake(): void {
    this.#wake?.();
  }

  /** Until there is an event, `wake` is called or the time is over. */
  async wait(timeoutMs: number): Promise<void> {
    if (this.#events.length > 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(timeoutMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  takeAll(): readonly MeshEvent[] {
    const events = this.#events;
    this.#events = [];
    if (this.#dropped === 0) return events;
    const count = this.#dropped;
    this.#dropped = 0;
    return [droppedEvent(count, this.#clock.wallMs()), ...events];
  }
}

function droppedEvent(count: number, timeMs: number): MeshEvent {
  const message = `${count} events came faster than this client read them and were dropped.`;
  return { timeMs, machine: '', kind: 'events.dropped', message, data: { count } };
}
