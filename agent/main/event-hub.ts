/**
 * What happens in the mesh, told to whoever listens on any machine. Best effort: events are for people, nothing is
 * decided by them. Those of one moment travel together; where too many come at once the surplus is counted and dropped.
 */
import type { Clock, Timer } from '../../src/lib/clock.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import type { MeshEvent } from '../../src/model/control.ts';
import { EVENT_TOPIC, EventBatch } from '../../src/wire/protocol.ts';

const GATHER_MS = 100;
const EVENTS_PER_BATCH_MAX = 128;
const TEXT_LENGTH_MAX = 512;
/** Told to whoever begins to listen. */
const BACKLOG_EVENTS = 200;

export interface EventHubOptions {
  readonly machine: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly isMember: (peer: string) => boolean;
}

export class EventHub {
  readonly #options: EventHubOptions;
  readonly #listeners = new Set<(event: MeshEvent) => void>();
  readonly #backlog: MeshEvent[] = [];
  #gathered: MeshEvent[] = [];
  #dropped = 0;
  #timer: Timer | undefined;
  #unsubscribe: () => void = () => undefined;

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  start(): void {
    const { transport, isMember } = this.#options;
    this.#unsubscribe = transport.subscribe(EVENT_TOPIC, (from, payload) => {
      if (!isMember(from)) return;
      try {
        for (const event of EventBatch.decode(payload)) this.#deliver(event as MeshEvent);
      } catch {
        // Events of a version that says them otherwise are not worth a word.
      }
    });
  }

  stop(): void {
    this.#unsubscribe();
    this.#timer?.cancel();
  }

  /** The last events come first. */
  onEvent(listener: (event: MeshEvent) => void): () => void {
    for (const event of this.#backlog) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: Omit<MeshEvent, 'machine'>): void {
    if (this.#gathered.length >= EVENTS_PER_BATCH_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#gathered.push({
      ...event,
      message: event.message.slice(0, TEXT_LENGTH_MAX),
      machine: this.#options.machine,
    });
    this.#timer ??= this.#options.clock.after(GATHER_MS, () => this.#publish());
  }

  #publish(): void {
    this.#timer = undefined;
    const events = this.#gathered;
    this.#gathered = [];
    const last = events.at(-1);
    if (this.#dropped > 0 && last !== undefined) {
      events.push({
        ...last,
        kind: 'events.dropped',
        message: `${this.#dropped} more events at this moment`,
        data: { dropped: this.#dropped },
      });
      this.#dropped = 0;
    }
    try {
      // The hub hears its own publish through the loopback transport, like any other machine.
      this.#options.transport.publish(EVENT_TOPIC, EventBatch.encode(events as never));
    } catch {
      for (const event of events) this.#deliver(event);
    }
  }

  #deliver(event: MeshEvent): void {
    this.#backlog.push(event);
    if (this.#backlog.length > BACKLOG_EVENTS) this.#backlog.shift();
    for (const listener of this.#listeners) listener(event);
  }
}
