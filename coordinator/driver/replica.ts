/**
 * One replica of one group: a Raft node, the state machine it feeds, and those who wait for either. It does no IO of
 * its own; the group host runs its turns (see group-host.ts).
 */
import { invariant } from '../../src/lib/assert.ts';
import { type ErrorCode, ShoalError } from '../../src/lib/errors.ts';
import type { Command, CommandBatch, Outcome } from '../../src/model/commands.ts';
import { type GroupId, type MachineId, type PeerId, peerOfMachine } from '../../src/model/ids.ts';
import type { GroupWrite, RowWrite, Store } from '../../src/store/interface.ts';
import { decode, encode } from '../../src/wire/codec.ts';
import {
  decodeConfiguration,
  type Entry,
  type RaftNode,
  type Ready,
  type ReplicaId,
  type SnapshotMeta,
} from '../consensus/index.ts';
import type { Applied, RowReader, StateMachine } from '../core/interface.ts';
import { EMPTY_RECORD } from './flight-record.ts';
import { hashRow } from './state-hash.ts';

/** Commands of one turn share an entry up to this many bytes; then another entry is begun. */
const BATCH_BYTES_TARGET = 512 * 1024;
/** Commands that may wait for a turn. */
const WAITING_COMMANDS_MAX = 20_000;

export interface AppliedEntry {
  readonly index: number;
  readonly timeMs: number;
  readonly applied: Applied<unknown>;
}

interface Proposal {
  readonly requestId: string | null;
  readonly command: Command;
  readonly bytes: number;
  resolve(outcome: Outcome<unknown>, index: number): void;
  reject(error: ShoalError): void;
}

interface Read {
  resolve(): void;
  reject(error: ShoalError): void;
}

/** A received snapshot whose rows are on disk and loaded, waiting for Raft to take it. */
export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  readonly machine: StateMachine<unknown>;
  readonly rowsGroup: string;
  readonly stateHash: number;
  /** Raft took it, or knew better. Called before the turn's batch is written. */
  settled(taken: boolean): void;
}

export interface ReplicaStart {
  readonly group: GroupId;
  readonly generation: number;
  readonly raft: RaftNode;
  readonly machine: StateMachine<unknown>;
  /** Store group that holds the state rows; another one after each snapshot. */
  readonly rowsGroup: string;
  readonly applied: { readonly index: number; readonly stateHash: number };
  /** Configuration and term as of the applied index. */
  readonly meta: SnapshotMeta;
  /** Has written what is applied; `noteWritten` follows. */
  readonly flush: () => void;
}

export interface Leadership {
  readonly leading: boolean;
  readonly leader: ReplicaId | null;
  readonly term: number;
}

const NOBODY: readonly MachineId[] = [];

export class Replica {
  readonly group: GroupId;
  readonly generation: number;
  readonly raft: RaftNode;
  readonly #flush: () => void;
  #machine: StateMachine<unknown>;
  #rowsGroup: string;
  #meta: SnapshotMeta;
  /** Made when asked for after a change of the configuration: links come and go more often, and each asks. */
  #byPeer:
    | { readonly of: SnapshotMeta['configuration']; readonly ids: ReadonlyMap<PeerId, readonly MachineId[]> }
    | undefined;
  #stateHash: number;
  /** Applied index whose rows are in the store. */
  #written: number;
  #logBytes = 0;
  readonly #waiting: Proposal[] = [];
  readonly #inFlight = new Map<number, { term: number; proposals: Proposal[] }>();
  #readsWaiting: Read[] = [];
  readonly #readsAsked = new Map<number, Read[]>();
  readonly #readsConfirmed: { index: number; reads: Read[] }[] = [];
  #nextContext = 1;
  #slew = { timeMs: 0, atMs: 0 };
  readonly #flushWaiters: { index: number; resolve: () => void }[] = [];
  readonly #leadershipListeners = new Set<() => void>();
  staged: StagedSnapshot | undefined;
  leadership: Leadership = { leading: false, leader: null, term: 0 };

  constructor(start: ReplicaStart) {
    this.group = start.group;
    this.generation = start.generation;
    this.raft = start.raft;
    this.#flush = start.flush;
    this.#machine = start.machine;
    this.#rowsGroup = start.rowsGroup;
    this.#meta = start.meta;
    this.#stateHash = start.applied.stateHash;
    this.#written = start.applied.index;
  }

  get machine(): StateMachine<unknown> {
    return this.#machine;
  }

  get rowsGroup(): string {
    return this.#rowsGroup;
  }

  get appliedIndex(): number {
    return this.#meta.index;
  }

  get stateHash(): number {
    return this.#stateHash;
  }

  /** What the state rows stand for now. */
  get meta(): SnapshotMeta {
    return this.#meta;
  }

  /** Members on the machine of this peer, as of the applied index: two while one that lost its disk is still a member. */
  membersOf(peer: PeerId): readonly MachineId[] {
    const { configuration } = this.#meta;
    if (this.#byPeer?.of !== configuration) {
      const ids = new Map<PeerId, MachineId[]>();
      for (const id of [...configuration.voters, ...configuration.learners]) {
        const others = ids.get(peerOfMachine(id));
        if (others === undefined) ids.set(peerOfMachine(id), [id]);
        else others.push(id);
      }
      this.#byPeer = { of: configuration, ids };
    }
    return this.#byPeer.ids.get(peer) ?? NOBODY;
  }

  /** Bytes of log applied since the log was last cut. */
  get logBytes(): number {
    return this.#logBytes;
  }

  /**
   * The group's time as it goes on from its last entry, for a leader whose wall clock is behind: an earlier leader's was
   * ahead, or it was set back. At half the pace until the clock has caught up: what is due need not wait for that, and the
   * group's time comes to be right again.
   */
  slewedMs(monotonicMs: number): number {
    const timeMs = this.machine.timeMs();
    const { timeMs: fromMs, atMs } = this.#slew;
    const slewedMs = fromMs + (monotonicMs - atMs) / 2;
    if (timeMs <= slewedMs) return Math.floor(slewedMs);
    this.#slew = { timeMs, atMs: monotonicMs };
    return timeMs;
  }

  // --- Requests ---------------------------------------------------------------------------------------------------

  /** Resolves with the command's outcome once a majority has it and it is applied. Rejects with NotLeader or ServerBusy. */
  propose(requestId: string | null, command: Command): Promise<{ outcome: Outcome<unknown>; index: number }> {
    return new Promise((resolve, reject) => {
      if (!this.leadership.leading) return reject(this.#notLeader());
      if (this.#waiting.length >= WAITING_COMMANDS_MAX)
        return reject(new ShoalError('ServerBusy', `The group ${this.group} has too many waiting commands.`));
      this.#waiting.push({
        requestId,
        command,
        bytes: 0,
        resolve: (outcome, index) => resolve({ outcome, index }),
        reject,
      });
    });
  }

  /** Resolves once a quorum confirmed that this replica leads and everything committed before the call is applied. */
  confirmRead(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.leadership.leading) return reject(this.#notLeader());
      this.#readsWaiting.push({ resolve, reject });
    });
  }

  /** All that is applied is in the store. */
  get isWritten(): boolean {
    return this.#written >= this.appliedIndex;
  }

  /** Resolves when all that is applied now is also in the store. */
  flushed(): Promise<void> {
    const index = this.appliedIndex;
    if (this.#written >= index) return Promise.resolve();
    this.#flush();
    return new Promise((resolve) => {
      this.#flushWaiters.push({ index, resolve });
    });
  }

  #notLeader(code: ErrorCode = 'NotLeader'): ShoalError {
    const leader = this.leadership.leader;
    return new ShoalError(
      code,
      `This machine does not lead the group ${this.group}.`,
      leader === null ? {} : { leader },
    );
  }

  // --- One turn, called by the host --------------------------------------------------------------------------------

  hasWork(): boolean {
    return this.#waiting.length > 0 || this.#readsWaiting.length > 0 || this.raft.hasReady();
  }

  /** Hands what waits to Raft: all commands of a turn in as few entries as their size allows, all reads in one round. */
  submit(groupMs: () => number): void {
    if (this.#waiting.length > 0) this.#submitCommands(groupMs());
    if (this.#readsWaiting.length > 0) this.#submitReads();
  }

  #submitCommands(groupMs: number): void {
    while (this.#waiting.length > 0) {
      const timeMs = Math.max(groupMs, this.machine.timeMs());
      const proposals = this.#takeBatch();
      const batch: CommandBatch = {
        timeMs,
        commands: proposals.map(({ requestId, command }) => ({ requestId, command })),
      };
      const result = this.raft.propose(encode(batch));
      if (!result.ok) {
        const error = refusal(result.reason, this.#notLeader());
        for (const proposal of proposals) proposal.reject(error);
        continue;
      }
      this.#inFlight.set(result.index, { term: result.term, proposals });
    }
  }

  #takeBatch(): Proposal[] {
    let bytes = 0;
    let count = 0;
    for (const proposal of this.#waiting) {
      bytes += weightOf(proposal.command);
      count += 1;
      if (bytes >= BATCH_BYTES_TARGET) break;
    }
    return this.#waiting.splice(0, count);
  }

  #submitReads(): void {
    const context = this.#nextContext++;
    const reads = this.#readsWaiting;
    this.#readsWaiting = [];
    if (this.raft.readIndex(context).ok) this.#readsAsked.set(context, reads);
    else for (const read of reads) read.reject(this.#notLeader());
  }

  /** Applies the committed entries of a `Ready` and gathers everything its batch must hold. */
  apply(ready: Ready): { write: GroupWrite[]; applied: AppliedEntry[] } {
    const rows: RowWrite[] = [];
    const applied: AppliedEntry[] = [];
    const installed = ready.snapshot === undefined ? undefined : this.#install(ready.snapshot);
    if (installed === undefined) this.refuseStaged();
    for (const entry of ready.committed) this.#applyEntry(entry, rows, applied);
    this.#settleReads(ready);
    const write: GroupWrite[] = [];
    if (rows.length > 0) write.push({ group: this.#rowsGroup, rows });
    const log: { -readonly [K in keyof GroupWrite]: GroupWrite[K] } = { group: this.group };
    if (ready.hardState !== undefined) log.hardState = ready.hardState;
    if (ready.truncateFrom !== undefined) log.truncateFrom = ready.truncateFrom;
    if (ready.entries.length > 0) log.append = ready.entries;
    if (installed !== undefined) {
      log.start = installed.meta;
      // What was recorded leads up to a state that is gone.
      log.rows = [rowsGroupPointer(installed.rowsGroup), EMPTY_RECORD];
    }
    if (ready.committed.length > 0 || installed !== undefined)
      log.applied = { index: this.appliedIndex, stateHash: this.#stateHash };
    if (Object.keys(log).length > 1) write.push(log);
    return { write, applied };
  }

  /** Applies what the log holds behind the state, committed or not: nobody is left who could say that it was not. */
  applyUncommitted(log: readonly Entry[]): {
    readonly rows: readonly RowWrite[];
    readonly stateHash: number;
  } {
    const rows: RowWrite[] = [];
    const first = this.appliedIndex + 1;
    for (const entry of log) if (entry.index >= first) this.#applyEntry(entry, rows, []);
    return { rows, stateHash: this.#stateHash };
  }

  #install(meta: SnapshotMeta): StagedSnapshot {
    const staged = this.staged;
    if (staged === undefined || staged.meta.index !== meta.index)
      throw new Error(`snapshot ${meta.index} of ${this.group} was taken but is not staged`);
    this.staged = undefined;
    this.#machine = staged.machine;
    this.#rowsGroup = staged.rowsGroup;
    this.#meta = staged.meta;
    this.#stateHash = staged.stateHash;
    this.#logBytes = 0;
    staged.settled(true);
    return staged;
  }

  /** Raft was shown a staged snapshot and did not want it: it is older than what is applied. */
  refuseStaged(): void {
    this.staged?.settled(false);
    this.staged = undefined;
  }

  #applyEntry(entry: Entry, rows: RowWrite[], applied: AppliedEntry[]): void {
    this.#meta = metaAfter(this.#meta, entry);
    this.#logBytes += entry.data.length;
    if (entry.kind === 'command') {
      const batch = decode(entry.data) as CommandBatch;
      const result = this.#machine.apply(entry.index, batch);
      for (const row of result.writes) {
        rows.push(row);
        this.#stateHash = hashRow(this.#stateHash, row);
      }
      applied.push({ index: entry.index, timeMs: batch.timeMs, applied: result });
    }
    this.#settleProposals(entry, applied.at(-1)?.index === entry.index ? applied.at(-1) : undefined);
  }

  #settleProposals(entry: Entry, applied: AppliedEntry | undefined): void {
    const waiting = this.#inFlight.get(entry.index);
    if (waiting === undefined) return;
    this.#inFlight.delete(entry.index);
    if (waiting.term !== entry.term || applied === undefined) {
      for (const proposal of waiting.proposals) proposal.reject(this.#notLeader());
      return;
    }
    waiting.proposals.forEach((proposal, position) => {
      const outcome = applied.applied.results[position];
      if (outcome === undefined)
        proposal.reject(new ShoalError('InternalError', 'The state machine gave no answer.'));
      else proposal.resolve(outcome, entry.index);
    });
  }

  #settleReads(ready: Ready): void {
    for (const { context, index } of ready.reads) {
      const reads = this.#readsAsked.get(context);
      if (reads === undefined) continue;
      this.#readsAsked.delete(context);
      this.#readsConfirmed.push({ index, reads });
    }
    for (const context of ready.readsLost) {
      for (const read of this.#readsAsked.get(context) ?? []) read.reject(this.#notLeader());
      this.#readsAsked.delete(context);
    }
    while (this.#readsConfirmed[0] !== undefined && this.#readsConfirmed[0].index <= this.appliedIndex) {
      for (const read of this.#readsConfirmed.shift()?.reads ?? []) read.resolve();
    }
  }

  /** The turn is over: what a promise rests on is in the store. */
  finish(ready: Ready): void {
    this.raft.advance(ready);
  }

  /** All that was applied up to this index is in the store. */
  noteWritten(index: number): void {
    this.#written = index;
    let settled = 0;
    for (const waiter of this.#flushWaiters) {
      if (waiter.index > this.#written) break;
      waiter.resolve();
      settled += 1;
    }
    this.#flushWaiters.splice(0, settled);
  }

  /** Takes the present role over. Returns true if it differs from before; those who waited for a lost leadership are told. */
  noticeLeadership(): boolean {
    const { role, leader, term } = this.raft;
    const before = this.leadership;
    const leading = role === 'leader';
    if (before.leading === leading && before.leader === leader && before.term === term) return false;
    this.leadership = { leading, leader, term };
    if (before.leading && (!leading || before.term !== term)) this.#abandon();
    for (const listener of [...this.#leadershipListeners]) listener();
    return true;
  }

  /** Called after each change of `leadership`. Returns how to stop. */
  onLeadership(listener: () => void): () => void {
    this.#leadershipListeners.add(listener);
    return () => this.#leadershipListeners.delete(listener);
  }

  /** What was proposed may still be committed by the next leader: the caller tries again under the same request id. */
  #abandon(): void {
    const error = this.#notLeader();
    for (const { proposals } of this.#inFlight.values())
      for (const proposal of proposals) proposal.reject(error);
    this.#inFlight.clear();
    for (const proposal of this.#waiting.splice(0)) proposal.reject(error);
    for (const reads of this.#readsAsked.values()) for (const read of reads) read.reject(error);
    this.#readsAsked.clear();
    for (const read of this.#readsWaiting.splice(0)) read.reject(error);
    for (const { reads } of this.#readsConfirmed.splice(0)) for (const read of reads) read.reject(error);
  }

  close(): void {
    this.#abandon();
    for (const waiter of this.#flushWaiters.splice(0)) waiter.resolve();
  }

  /** The log up to `index` was cut. */
  noticeCompaction(): void {
    this.#logBytes = 0;
  }
}

/** What the rows stand for once this entry is applied too. */
export function metaAfter(before: SnapshotMeta, entry: Entry): SnapshotMeta {
  const changed = entry.kind === 'configuration' ? decodeConfiguration(entry.data) : before.configuration;
  invariant(changed !== undefined, `entry ${entry.index} holds a configuration`);
  return { index: entry.index, term: entry.term, configuration: changed };
}

export function rowsGroupPointer(rowsGroup: string): RowWrite {
  return { kind: 'put', key: 'rows', value: encode(rowsGroup) };
}

/** Rows of the state as of the last applied entry: waits until what is applied is in the store, then reads there. */
export function replicaRows(replica: Replica, store: Store): RowReader {
  return {
    async get(key) {
      await replica.flushed();
      return store.getRow(replica.rowsGroup, key);
    },
    async getMany(keys) {
      await replica.flushed();
      return store.getRows(replica.rowsGroup, keys);
    },
    async *scan(options) {
      await replica.flushed();
      yield* store.scanRows(replica.rowsGroup, options);
    },
  };
}

function refusal(
  reason: 'notLeader' | 'busy' | 'tooLarge' | 'transferring' | 'changePending' | 'refused',
  notLeader: ShoalError,
): ShoalError {
  switch (reason) {
    case 'tooLarge':
      return new ShoalError('TooLarge', 'The command is larger than one log entry may be.');
    case 'busy':
    case 'changePending':
    case 'refused':
      return new ShoalError('ServerBusy');
    case 'notLeader':
    case 'transferring':
      return notLeader;
  }
}

/** A rough size, so that the commands of one turn do not make an entry above the cap. */
function weightOf(command: Command): number {
  switch (command.kind) {
    case 'task.add':
      return command.tasks.length * 512;
    case 'report':
      return command.items.length * 256;
    case 'blob.put':
      return command.blobs.length * 256;
    default:
      return 512;
  }
}
