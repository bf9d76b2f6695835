/**
 * State rows on their way to a follower that is behind the log. The sender reads them from one consistent iterator and
 * waits for an answer to each slice; the receiver writes them beside the live rows, under another name, and only when
 * the last slice is durable does Raft hear of the snapshot. A transfer that breaks leaves nothing but rows to sweep.
 */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { SNAPSHOT_SLICE_BYTES, SNAPSHOT_SLICE_TIMEOUT_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { type GroupId, type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import type { RowWrite, Store } from '../../src/store/interface.ts';
import { encode } from '../../src/wire/codec.ts';
import { SNAPSHOT_REQUEST, SnapshotSlice } from '../../src/wire/protocol.ts';
import type { StateMachine } from '../core/interface.ts';
import { loadRows } from './load-rows.ts';
import type { Replica } from './replica.ts';

interface SnapshotOptions {
  readonly self: MachineId;
  readonly transport: Transport;
  readonly store: Store;
  readonly log: Log;
  readonly createMachine: (group: GroupId) => StateMachine<unknown>;
}

type Slice = Parameters<typeof SnapshotSlice.encode>[0];

export class SnapshotSender {
  readonly #options: SnapshotOptions;
  #transfers = 0;

  constructor(options: SnapshotOptions) {
    this.#options = options;
  }

  /** Must be called while rows and applied index agree: between two turns. */
  send(replica: Replica, to: MachineId, done: (delivered: boolean) => void): void {
    this.#stream(replica, to).then(
      () => done(true),
      (error: unknown) => {
        this.#options.log.warn(
          { group: replica.group, to, error: asShoalError(error).message },
          'a snapshot was not delivered',
        );
        done(false);
      },
    );
  }

  async #stream(replica: Replica, to: MachineId): Promise<void> {
    const { self, store } = this.#options;
    const common = {
      group: replica.group,
      generation: replica.generation,
      from: self,
      to,
      term: replica.raft.term,
    };
    const end = {
      meta: { ...replica.meta, configuration: copyOf(replica.meta.configuration) },
      stateHash: replica.stateHash,
    };
    const transfer = `${replica.meta.index}-${this.#transfers++}`;
    let rows: [string, Uint8Array][] = [];
    let bytes = 0;
    let slice = 0;
    // The first `next()` runs up to the opening of the iterator without a pause: the rows are those of this very moment.
    for await (const page of store.snapshotRows(replica.rowsGroup)) {
      for (const [key, value] of page) {
        rows.push([key, value]);
        bytes += key.length + value.length;
        if (bytes < SNAPSHOT_SLICE_BYTES) continue;
        await this.#request(to, { ...common, transfer, slice: slice++, rows, end: null });
        rows = [];
        bytes = 0;
      }
    }
    await this.#request(to, { ...common, transfer, slice, rows, end });
  }

  async #request(to: MachineId, slice: Slice): Promise<void> {
    await this.#options.transport.request(peerOfMachine(to), SNAPSHOT_REQUEST, SnapshotSlice.encode(slice), {
      timeoutMs: SNAPSHOT_SLICE_TIMEOUT_MS,
    });
  }
}

function copyOf(configuration: {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}): { voters: string[]; learners: string[] } {
  return { voters: [...configuration.voters], learners: [...configuration.learners] };
}

interface Incoming {
  readonly transfer: string;
  readonly rowsGroup: string;
  nextSlice: number;
}

export class SnapshotReceiver {
  readonly #options: SnapshotOptions;
  readonly #replicaFor: (group: GroupId, generation: number) => Promise<Replica>;
  readonly #wake: (replica: Replica) => void;
  readonly #incoming = new Map<GroupId, Incoming>();

  constructor(
    options: SnapshotOptions,
    replicaFor: (group: GroupId, generation: number) => Promise<Replica>,
    wake: (replica: Replica) => void,
  ) {
    this.#options = options;
    this.#replicaFor = replicaFor;
    this.#wake = wake;
  }

  start(): void {
    this.#options.transport.onRequest(SNAPSHOT_REQUEST, async (from, payload) => {
      const slice = SnapshotSlice.decode(payload);
      if (peerOfMachine(slice.from) !== from || slice.to !== this.#options.self)
        throw new ShoalError('NotAMember', 'The sender of a snapshot is not who it says.');
      await this.#take(slice);
      return encode(null);
    });
  }

  async #take(slice: Slice): Promise<void> {
    const group = slice.group as GroupId;
    const replica = await this.#replicaFor(group, slice.generation);
    if (replica.generation !== slice.generation)
      throw new ShoalError('NotAMember', `The group ${group} was recovered; this is an older life of it.`);
    const incoming = await this.#transferOf(group, replica, slice);
    const rows: RowWrite[] = slice.rows.map(([key, value]) => ({ kind: 'put', key, value }));
    await this.#options.store.write({ groups: [{ group: incoming.rowsGroup, rows }] }, slice.end !== null);
    incoming.nextSlice += 1;
    if (slice.end === null) return;
    this.#incoming.delete(group);
    await this.#offer(replica, incoming.rowsGroup, slice, slice.end);
  }

  /** A first slice begins a new transfer and voids any older one. */
  async #transferOf(group: GroupId, replica: Replica, slice: Slice): Promise<Incoming> {
    const present = this.#incoming.get(group);
    if (slice.slice === 0) {
      if (present !== undefined) await this.#options.store.dropGroup(present.rowsGroup);
      const begun = {
        transfer: slice.transfer,
        rowsGroup: `${group}~${nextRows(replica.rowsGroup, present?.rowsGroup)}`,
        nextSlice: 0,
      };
      await this.#options.store.dropGroup(begun.rowsGroup);
      this.#incoming.set(group, begun);
      return begun;
    }
    if (present === undefined || present.transfer !== slice.transfer || present.nextSlice !== slice.slice) {
      throw new ShoalError(
        'OperationInvalidForCurrentState',
        'This slice is not the next one of a running snapshot.',
      );
    }
    return present;
  }

  async #offer(
    replica: Replica,
    rowsGroup: string,
    slice: Slice,
    end: NonNullable<Slice['end']>,
  ): Promise<void> {
    const { store } = this.#options;
    if (end.meta.index <= replica.appliedIndex) {
      await store.dropGroup(rowsGroup);
      return;
    }
    const machine = this.#options.createMachine(replica.group);
    await loadRows(machine, store, rowsGroup);
    const old = replica.rowsGroup;
    const taken = await new Promise<boolean>((settled) => {
      replica.staged = { meta: end.meta, machine, rowsGroup, stateHash: end.stateHash, settled };
      replica.raft.step({
        kind: 'snapshot',
        from: slice.from,
        to: slice.to,
        term: slice.term,
        meta: end.meta,
      });
      this.#wake(replica);
    });
    await replica.flushed();
    await store.dropGroup(taken ? old : rowsGroup);
  }
}

function nextRows(live: string, incoming: string | undefined): number {
  const numbers = [live, incoming ?? live].map((name) => Number(name.slice(name.lastIndexOf('~') + 1)));
  return Math.max(...numbers) + 1;
}
