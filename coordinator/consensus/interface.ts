/**
 * The shapes of the sans-IO Raft core. It has no clock, socket, disk or randomness of its own: the driver calls
 * `tick`, `step` and `propose`, takes a `Ready`, makes it durable, sends its messages, applies its entries and says
 * `advance`. After etcd-io/raft and Ongaro's thesis, whose sections the implementation names.
 */

/** A voter or learner: a machine id (PeerId plus store incarnation), so that a wiped disk is somebody else. */
export type ReplicaId = string;

export interface Entry {
  readonly index: number;
  readonly term: number;
  /** `noop`: appended by a new leader. `configuration`: msgpack of a `Configuration`. `command`: opaque to Raft. */
  readonly kind: 'noop' | 'command' | 'configuration';
  readonly data: Uint8Array;
}

/** What must be durable before anything that rests on it is said to others. */
export interface HardState {
  readonly term: number;
  readonly votedFor: ReplicaId | null;
  readonly commit: number;
}

export interface Configuration {
  readonly voters: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
}

/** The point up to which the state rows stand for the log. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
}

interface MessageBase {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: number;
}

export type Message = MessageBase &
  (
    | {
        readonly kind: 'voteRequest' | 'preVoteRequest';
        readonly lastIndex: number;
        readonly lastTerm: number;
        /** True in a leadership transfer: voters that hear a leader answer all the same. Never true in a pre-vote. */
        readonly transfer: boolean;
      }
    | { readonly kind: 'voteResponse' | 'preVoteResponse'; readonly granted: boolean }
    | {
        readonly kind: 'append';
        readonly previousIndex: number;
        readonly previousTerm: number;
        readonly entries: readonly Entry[];
        readonly commit: number;
        /** It only tells the commit index, and is not answered but where the receiver lacks what lies before. */
        readonly notice?: boolean;
      }
    | {
        readonly kind: 'appendResponse';
        /** Accepted: the last index that now matches. Rejected: the previousIndex that was refused. */
        readonly index: number;
        readonly rejected: boolean;
        /** Rejected: where the leader should look next (index and term of the follower's best guess). */
        readonly hintIndex: number;
        readonly hintTerm: number;
      }
    | {
        readonly kind: 'heartbeat';
        readonly commit: number;
        readonly readContext: number;
        /** Nothing is under way: a follower whose log ends at `commit` may stop counting time. */
        readonly quiet: boolean;
      }
    | { readonly kind: 'heartbeatResponse'; readonly readContext: number }
    /** The driver streams the rows first, then hands this to the receiver's `step`. */
    | { readonly kind: 'snapshot'; readonly meta: SnapshotMeta }
    | { readonly kind: 'timeoutNow' }
    /** The sender counts time again, or lacks a leader: whoever leads the group may be quiet no longer. */
    | { readonly kind: 'wake' }
  );

export interface RaftOptions {
  readonly id: ReplicaId;
  /** Ticks between heartbeats, and the shortest election timeout in ticks. */
  readonly heartbeatTicks: number;
  readonly electionTicks: number;
  /** Ticks without a proposal after which a leader may let its group fall quiet. */
  readonly quietTicks: number;
  /** Integer in [low, high]; drawn for each election timeout. */
  readonly random: (low: number, high: number) => number;
  readonly appendBytesMax: number;
  readonly inflightMax: number;
  readonly proposalsMax: number;
  readonly entryBytesMax: number;
}

/** What a restart found on disk. */
export interface RaftState {
  readonly hardState: HardState;
  /** Where the log begins: `index` 0 and `term` 0 with the first configuration for a new group. */
  readonly snapshot: SnapshotMeta;
  /** Entries after `snapshot.index`, without a gap. */
  readonly entries: readonly Entry[];
  /** Entries up to here are in the state rows already and are not handed out again. */
  readonly applied: number;
}

export type ReadState = { readonly context: number; readonly index: number };

/** One turn's work for the driver. Nothing in it is repeated by the next `ready()` once `advance` was called. */
export interface Ready {
  /** To be written with `entries` in one synced batch, before `messagesAfterPersist` leave. */
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** Entries on disk from this index on are void: a conflicting suffix. Undefined where nothing is cut. */
  readonly truncateFrom: number | undefined;
  /** A received snapshot: replace rows and log by it, in the same batch. */
  readonly snapshot: SnapshotMeta | undefined;
  /** May leave at once, beside the disk write (thesis 10.2.1): what a leader says about a term that is durable already. */
  readonly messages: readonly Message[];
  /** May leave only once the batch is durable: votes, vote requests, append responses. */
  readonly messagesAfterPersist: readonly Message[];
  /** Committed entries to apply, in order. They may be applied before the batch is durable on this machine. */
  readonly committed: readonly Entry[];
  /** Reads that may be served once the applied index reaches `index`. `lost` contexts must be asked anew. */
  readonly reads: readonly ReadState[];
  readonly readsLost: readonly number[];
  /** True if anything must be synced. */
  readonly mustSync: boolean;
}

export type ProposeResult =
  | { readonly ok: true; readonly index: number; readonly term: number }
  | {
      readonly ok: false;
      readonly reason: 'notLeader' | 'busy' | 'tooLarge' | 'transferring' | 'changePending' | 'refused';
      readonly leader: ReplicaId | null;
    };

/** One voter at a time (thesis 4.1). Learners are in no majority, so many may come at once. */
export type ConfigurationChange =
  | { readonly kind: 'addLearner'; readonly id: ReplicaId }
  | { readonly kind: 'addLearners'; readonly ids: readonly ReplicaId[] }
  | { readonly kind: 'promote'; readonly id: ReplicaId }
  | { readonly kind: 'remove'; readonly id: ReplicaId };

export interface Progress {
  readonly match: number;
  readonly next: number;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  /** Heard from since the last quorum check. */
  readonly active: boolean;
}

export interface RaftStatus {
  readonly id: ReplicaId;
  readonly role: 'follower' | 'preCandidate' | 'candidate' | 'leader';
  readonly term: number;
  readonly leader: ReplicaId | null;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly firstIndex: number;
  readonly configuration: Configuration;
  /** Leader only. */
  /** Of all members, where this replica leads; its cost grows with them. */
  readonly progress: () => ReadonlyMap<ReplicaId, Progress>;
}

export interface RaftNode {
  /** One unit of time has passed. Not needed while `quiet`. */
  tick(): void;
  /**
   * Time does not count for this replica at present: it neither sends heartbeats nor waits for any. Any message but the
   * quiet leader's heartbeat and its answer ends that, and so does a proposal.
   */
  readonly quiet: boolean;
  /**
   * To be called by the driver now and then: a leader that has had nothing to do for a while, and whose members have all
   * of its log, falls quiet and tells them so. Members that are not linked are not waited for, as long as the others
   * make a quorum. From then on the driver must `wake` a replica when it doubts the machines its peace rests on.
   */
  fallQuiet(isLinked: (id: ReplicaId) => boolean): void;
  /** Ends quietness. `silentTicks`: for how long the driver has not heard the machine of this replica's leader. */
  wake(silentTicks: number): void;
  /** Takes a message in. Messages of unknown shape must not reach this: the wire layer validates. */
  step(message: Message): void;
  /** Appends one entry of kind `command` (leader only). */
  propose(data: Uint8Array): ProposeResult;
  proposeChange(change: ConfigurationChange): ProposeResult;
  /**
   * Asks for a linearizable read; the answer comes in `Ready.reads` under the same context (a number unique to this
   * node's life). Refused with itself as leader: `proposalsMax` reads wait already.
   */
  readIndex(
    context: number,
  ): { readonly ok: true } | { readonly ok: false; readonly leader: ReplicaId | null };
  transferLeadership(to: ReplicaId): void;
  /** The connection to this peer dropped. A lost leader is suspected at once: the next tick may start a pre-vote. */
  reportUnreachable(peer: ReplicaId): void;
  /** The driver finished or failed to stream a snapshot to this peer. */
  reportSnapshot(peer: ReplicaId, delivered: boolean): void;
  hasReady(): boolean;
  ready(): Ready;
  /** The `Ready` was carried out: its batch is durable and its committed entries are applied. */
  advance(ready: Ready): void;
  /** The entries that `compact` to the same index would forget, for whoever keeps them elsewhere. */
  entriesThrough(index: number): readonly Entry[];
  /** The rows stand for the log up to `index`: forgets entries up to there. */
  compact(index: number): SnapshotMeta;
  /**
   * The point at `index`, which must lie in [firstIndex - 1, lastIndex], as a snapshot would carry it. For the driver
   * that streams rows: they may stand for a later index than the `snapshot` message named, and then carry this instead.
   */
  metaAt(index: number): SnapshotMeta;
  /** Of `status`, for whoever asks after each turn. */
  readonly role: RaftStatus['role'];
  readonly term: number;
  readonly leader: ReplicaId | null;
  readonly firstIndex: number;
  status(): RaftStatus;
}
