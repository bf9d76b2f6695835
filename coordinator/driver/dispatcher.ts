/**
 * Brings committed assignments to the agents, by two ways that do not depend on each other: first by gossip, all
 * machines' parts in one publish of a turn; then, to whoever did not say within a few milliseconds that it took its part
 * up, by an acknowledged stream. For a handful of tasks it is the other way round: a publish, its signature and its way
 * to every agent cost more than they bring. So it is in a pool of many nodes: each agent would get what all others are
 * to run. What is lost even so is found by the comparison at the next heartbeat.
 */
import type { Clock } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import {
  DISPATCH_BYTES_MAX,
  DISPATCH_GOSSIP_NODES_MAX,
  DISPATCH_STREAMED_ITEMS_MAX,
  DISPATCH_TAKEN_WAIT_MS,
  DISPATCH_TAKEN_WAIT_WIDE_MS,
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
  /** How many nodes the pool has. */
  readonly nodes: () => number;
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
    const isWide = this.#options.nodes() > DISPATCH_GOSSIP_NODES_MAX;
    const isStreamed = isWide || items <= DISPATCH_STREAMED_ITEMS_MAX;
    for (const batch of batches) this.#notTaken.set(batch.number, batch);
    this.#send(isStreamed ? 'stream' : 'gossip', batches);
    this.#options.clock.after(isWide ? DISPATCH_TAKEN_WAIT_WIDE_MS : DISPATCH_TAKEN_WAIT_MS, () => {
      const left = batches.filter(({ number }) => this.#notTaken.delete(number));
      this.#send(isStreamed ? 'gossip' : 'stream', left);
    });
  }

  #send(way: 'stream' | 'gossip', batches: readonly Batch[]): void {
    if (way === 'gossip') this.#gossip(batches);
    else for (const batch of batches) this.#stream(batch);
  }

  /** The machine says it has the batch. */
  taken(from: string, number: number): void {
    const batch = this.#notTaken.get(number);
    if (batch !== undefined && peerOfMachine(batch.machine) === from) this.#notTaken.delete(number);
  }

  stop(): void {
    this.#notTaken.clear();
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

  #stream({ machine, number, body }: Batch): void {
    this.#options.transport.request(peerOfMachine(machine), DISPATCH_REQUEST, body).then(
      () => this.#notTaken.delete(number),
      (error: unknown) =>
        this.#options.log.debug(
          { machine, error: asShoalError(error).message },
          'a dispatch did not arrive by stream',
        ),
    );
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
