/**
 * The replicated state machines. `apply` is a pure function of the state and the entry: no clock, no randomness, no
 * IO. State rows in the store are the whole state; hot columns in memory are what `load` makes of those rows, so a
 * restart, a snapshot and a replay all end in the same state.
 */
import type { CommandBatch, Outcome } from '../../src/model/commands.ts';
import type { RowWrite } from '../../src/store/interface.ts';

export type { RowWrite };

/** Reads rows as of the last applied entry (writes not yet on disk included). */
export interface RowReader {
  get(key: string): Promise<Uint8Array | undefined>;
  getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>;
  scan(options: {
    readonly prefix: string;
    readonly after?: string;
    readonly limit?: number;
  }): AsyncIterable<readonly [string, Uint8Array]>;
}

/** Something worth telling people; becomes a MeshEvent at the leader. */
export interface CoreEvent {
  readonly kind: string;
  readonly message: string;
  readonly data: Readonly<Record<string, string | number>>;
}

/** What the leader's driver does about an applied entry. Replicas that do not lead drop them; a new leader derives all of them from the state. */
export type PoolEffect =
  | {
      readonly kind: 'dispatch';
      readonly node: string;
      readonly job: number;
      readonly task: number;
      readonly epoch: number;
    }
  /** End this execution; its end comes back as a report (or with the node's loss) and only then takes effect. */
  | {
      readonly kind: 'stop';
      readonly node: string;
      readonly job: number;
      readonly task: number;
      readonly epoch: number;
    }
  /** A leaving node has nothing assigned any more. */
  | { readonly kind: 'nodeEmpty'; readonly node: string }
  /** The last row of a deleted job is gone: its id may be used again. Lost with a leader, the reservation is taken over by whoever wants the id. */
  | { readonly kind: 'jobGone'; readonly job: string }
  /** The pool is deleting and holds no node and no job. */
  | { readonly kind: 'erasable' };

export interface Applied<E> {
  /** One for each command of the batch, in order. */
  readonly results: readonly Outcome<unknown>[];
  readonly writes: readonly RowWrite[];
  readonly events: readonly CoreEvent[];
  readonly effects: readonly E[];
}

export interface StateMachine<E> {
  /** Takes one stored row in, in key order; called before the first `apply` only. */
  load(key: string, value: Uint8Array): void;
  /** After the last `load`: derives queues and indexes. */
  loaded(): void;
  /** `index` is the entry's log index: it becomes the epoch of the assignments in it. Never throws on a command's content. */
  apply(index: number, batch: CommandBatch): Applied<E>;
  /** Rejects with a coded error where the entity does not exist or the argument is wrong. */
  query(name: string, argument: unknown, rows: RowReader): Promise<unknown>;
  /** The group's own time, ms: that of the latest command applied; never goes back. */
  timeMs(): number;
  /** When `sweep` is due, in the leader's wall-clock ms; undefined if nothing waits for time. */
  dueAtMs(): number | undefined;
  /** Throws where an invariant does not hold. Walks everything: for tests, the simulator and replays. */
  sanityCheck(): void;
}
