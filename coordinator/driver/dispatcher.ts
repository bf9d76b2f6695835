/**
 * Brings committed assignments to the agents: first by gossip, all machines' parts in one publish of a turn; then, to
 * whoever did not say within a few milliseconds that it took its part up, by an acknowledged stream. For a handful of
 * tasks it is the other way round: the stream first, and gossip some milliseconds later, with all that came meanwhile in
 * one publish. What is lost even so is found by the comparison at the next heartbeat.
 */
import type { Clock } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import {
  DISPATCH_AT_ONCE_ITEMS,
  DISPATCH_BYTES_MAX,
  DISPATCH_TAKEN_WAIT_MS,
  GOSSIP_BYTES_MAX,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import {
  DISPATCH_REQUEST,
  Dispatch,
  type DispatchItem,
  type DispatchJob,
  DownMessage,
  downTopic,
} from '../../src/wire/protocol.ts';

/** Room that the envelope of a publish takes. */
const GOSSIP_PAYLOAD_MAX = GOSSIP_BYTES_MAX - 4 * 1024;

export interface DispatcherOptions {
  readonly pool: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
}

interface Batch {
  readonly machine: MachineId;
  readonly number: number;
  readonly body: Uint8Array;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #notTaken = new Map<number, Batch>();
  /** Sent by stream, and to be gossiped soon. */
  #streamed: Batch[] = [];
  #nextBatch = 1;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Sends what one turn assigned; `jobs` holds every job that an item names. */
  dispatch(
    term: number,
    itemsByMachine: ReadonlyMap<MachineId, readonly DispatchItem[]>,
    jobs: ReadonlyMap<number, DispatchJob>,
  ): void {
    const batches: Batch[] = [];
    for (const [machine, items] of itemsByMachine) {
      for (const part of partsOf(items)) batches.push(this.#encode(term, machine, part, jobs));
    }
    const items = [...itemsByMachine.values()].reduce((sum, list) => sum + list.length, 0);
    // A few tasks on an idle mesh: gossip's two or three milliseconds are most of what their users would wait for.
    if (items <= DISPATCH_AT_ONCE_ITEMS) {
      this.#stream(batches);
      this.#gossipLater(batches);
      return;
    }
    this.#gossip(batches);
    for (const batch of batches) this.#notTaken.set(batch.number, batch);
    this.#options.clock.after(DISPATCH_TAKEN_WAIT_MS, () =>
      this.#stream(batches.filter(({ number }) => this.#notTaken.delete(number))),
    );
  }

  /** The machine says it has the batch. */
  taken(from: string, number: number): void {
    const batch = this.#notTaken.get(number);
    if (batch !== undefined && peerOfMachine(batch.machine) === from) this.#notTaken.delete(number);
  }

  stop(): void {
    this.#notTaken.clear();
    this.#streamed = [];
  }

  #encode(
    term: number,
    machine: MachineId,
    items: readonly DispatchItem[],
    jobs: ReadonlyMap<number, DispatchJob>,
  ): Batch {
    const named = new Set(items.map((item) => item.job));
    const number = this.#nextBatch++;
    const body = Dispatch.encode({
      pool: this.#options.pool,
      term,
      batch: number,
      jobs: [...named].flatMap((job) => jobs.get(job) ?? []),
      items: [...items],
    });
    return { machine, number, body };
  }

  #gossipLater(batches: readonly Batch[]): void {
    const armed = this.#streamed.length > 0;
    this.#streamed.push(...batches);
    if (armed) return;
    this.#options.clock.after(DISPATCH_TAKEN_WAIT_MS, () => {
      this.#gossip(this.#streamed);
      this.#streamed = [];
    });
  }

  #gossip(batches: readonly Batch[]): void {
    let dispatches: { machine: string; body: Uint8Array }[] = [];
    let bytes = 0;
    const publish = (): void => {
      if (dispatches.length === 0) return;
      const { pool, transport } = this.#options;
      transport.publish(downTopic(pool), DownMessage.encode({ pool, acknowledgement: null, dispatches }));
      dispatches = [];
      bytes = 0;
    };
    for (const { machine, body } of batches) {
      const size = body.length + machine.length + 16;
      if (size > GOSSIP_PAYLOAD_MAX) continue;
      if (bytes + size > GOSSIP_PAYLOAD_MAX) publish();
      dispatches.push({ machine, body });
      bytes += size;
    }
    publish();
  }

  #stream(batches: readonly Batch[]): void {
    for (const batch of batches) {
      this.#options.transport
        .request(peerOfMachine(batch.machine), DISPATCH_REQUEST, batch.body)
        .catch((error: unknown) => {
          this.#options.log.debug(
            { machine: batch.machine, error: asShoalError(error).message },
            'a dispatch did not arrive; the next heartbeat will tell',
          );
        });
    }
  }
}

/** Cuts a long list into messages of bounded size. */
function* partsOf(items: readonly DispatchItem[]): Iterable<readonly DispatchItem[]> {
  let part: DispatchItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = item.spec.length + 64;
    if (part.length > 0 && bytes + size > DISPATCH_BYTES_MAX) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
