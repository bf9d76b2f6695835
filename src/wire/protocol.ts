/**
 * The messages between agents: names of channels, requests and topics, and the shape of each. A message that does not
 * have its shape never reaches a handler.
 */
import Type, { type Static, type TSchema } from 'typebox';
import { NODE_FAULT_LENGTH_MAX, PAGE_ITEMS_MAX, ROLL_MISSING_MAX } from '../lib/limits.ts';
import { Environment } from '../model/schema.ts';
import { decoder, encode } from './codec.ts';

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Name = Type.String({ maxLength: 256 });
const Bytes = Type.Unsafe<Uint8Array>(
  Type.Refine(Type.Unknown(), (value: unknown) => value instanceof Uint8Array),
);

function message<S extends TSchema>(
  what: string,
  schema: S,
): { encode(value: Static<S>): Uint8Array; decode(bytes: Uint8Array): Static<S> } {
  return { encode, decode: decoder(what, schema) };
}

// --- Raft ---------------------------------------------------------------------------------------------------------

/**
 * One-way channel: the Raft messages of all groups from one turn, for one peer. One without any says that this machine's
 * replicas are at work, for all groups that are quiet.
 */
export const RAFT_CHANNEL = 'raft';

const Configuration = Type.Object({ voters: Type.Array(Name), learners: Type.Array(Name) });
const SnapshotMeta = Type.Object({ index: Count, term: Count, configuration: Configuration });
const LogEntry = Type.Object({
  index: Count,
  term: Count,
  kind: Type.Enum(['noop', 'command', 'configuration']),
  data: Bytes,
});
export const LogEntries = message('raft entries', Type.Array(LogEntry));
const PackedEntries = Type.Object({ count: Count, deflated: Bytes });
/** Entries, deflated: what many members get alike is packed once for all of them. */
export type PackedEntries = Static<typeof PackedEntries>;
const base = { from: Name, to: Name, term: Count };
const RaftMessage = Type.Union([
  Type.Object({
    ...base,
    kind: Type.Literal('append'),
    previousIndex: Count,
    previousTerm: Count,
    entries: Type.Array(LogEntry),
    /** In place of `entries`, which is empty then. */
    packed: Type.Optional(PackedEntries),
    commit: Count,
    notice: Type.Optional(Type.Boolean()),
  }),
  Type.Object({
    ...base,
    kind: Type.Literal('appendResponse'),
    index: Count,
    rejected: Type.Boolean(),
    hintIndex: Count,
    hintTerm: Count,
  }),
  Type.Object({
    ...base,
    kind: Type.Literal('heartbeat'),
    commit: Count,
    readContext: Count,
    quiet: Type.Boolean(),
  }),
  Type.Object({ ...base, kind: Type.Literal('heartbeatResponse'), readContext: Count }),
  Type.Object({
    ...base,
    kind: Type.Enum(['voteRequest', 'preVoteRequest']),
    lastIndex: Count,
    lastTerm: Count,
    transfer: Type.Boolean(),
  }),
  Type.Object({ ...base, kind: Type.Enum(['voteResponse', 'preVoteResponse']), granted: Type.Boolean() }),
  Type.Object({ ...base, kind: Type.Enum(['timeoutNow', 'wake']) }),
]);

export const RaftFrame = message(
  'raft',
  Type.Object({
    /** The sender's wall clock; see peer-clocks.ts. */
    wallMs: Count,
    messages: Type.Array(Type.Object({ group: Name, generation: Count, message: RaftMessage }), {
      maxItems: 10_000,
    }),
  }),
);

/** Message: the group was recovered since the receiver last heard of it, and is at this generation now. */
export const SUPERSEDED_CHANNEL = 'raft.superseded';
export const Superseded = message('superseded', Type.Object({ group: Name, generation: Count }));

/** Message: the sender's store takes no more writes. It keeps its links, but votes and runs nothing until it starts anew. */
export const STANDING_BY_CHANNEL = 'mesh.standing-by';
export const StandingBy = message('standing by', Type.Object({}));

/** Request: one slice of the state rows of a group, in key order, from a leader to a follower that is too far behind its log. */
export const SNAPSHOT_REQUEST = 'group.snapshot';
export const SnapshotSlice = message(
  'snapshot',
  Type.Object({
    group: Name,
    generation: Count,
    from: Name,
    to: Name,
    term: Count,
    /** Names this transfer; slices of another are refused. */
    transfer: Name,
    slice: Count,
    rows: Type.Array(Type.Tuple([Type.String({ maxLength: 4096 }), Bytes])),
    /** With the last slice: what the rows stand for. */
    end: Type.Union([Type.Object({ meta: SnapshotMeta, stateHash: Count }), Type.Null()]),
  }),
);

// --- Commands and queries -----------------------------------------------------------------------------------------

export const PROPOSE_REQUEST = 'group.propose';
export const ProposeBody = message(
  'propose',
  Type.Object({
    group: Name,
    requestId: Type.Union([Name, Type.Null()]),
    command: Type.Object({ kind: Name }, { additionalProperties: true }),
  }),
);
export const QUERY_REQUEST = 'group.query';
export const QueryBody = message('query', Type.Object({ group: Name, name: Name, argument: Type.Unknown() }));
/** `spentMs`: CPU time that the leader used for it. */
export const QueryAnswer = message(
  'query answer',
  Type.Object({ answer: Type.Optional(Type.Unknown()), spentMs: Type.Number({ minimum: 0 }) }),
);
/** Request: who leads? Answer: LeaderAnswer. */
export const LEADER_REQUEST = 'group.leader';
export const LeaderBody = message(
  'leader',
  Type.Object({
    group: Name,
    /** The answer may be held back for so long, until there is a leader that is none of `tried`. */
    waitMs: Type.Optional(Count),
    tried: Type.Optional(Type.Array(Name, { maxItems: 16 })),
  }),
);
export const LeaderAnswer = message(
  'leader answer',
  Type.Object({ leader: Type.Union([Name, Type.Null()]), term: Count }),
);

// --- Joining ------------------------------------------------------------------------------------------------------

/** Request of a joiner under its token's temporary identity; the only one such an identity may make. */
export const JOIN_REQUEST = 'mesh.join';
const Offer = Type.Object({
  id: Name,
  peer: Name,
  name: Type.String({ minLength: 1, maxLength: 63, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }),
  capacity: Type.Object({
    cores: Type.Integer({ minimum: 1, maximum: 4096 }),
    memoryBytes: Count,
    diskBytes: Count,
    gpus: Type.Integer({ minimum: 0, maximum: 1024 }),
    labels: Type.Array(Type.String({ minLength: 1, maxLength: 63 }), { maxItems: 64 }),
    isolation: Type.Enum(['namespace', 'cgroup', 'scan']),
    operatingSystem: Name,
    containerEngine: Type.Optional(Name),
  }),
  addresses: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 32 }),
  version: Name,
});
export const JoinBody = message('join', Type.Object({ machine: Offer }));
export const JoinAnswer = message(
  'join answer',
  Type.Object({
    machine: Name,
    settings: Type.Object({ meshId: Name, accountName: Name, accountKey: Name }),
    members: Type.Array(Type.Object({ peer: Name, addresses: Type.Array(Type.String({ maxLength: 512 })) })),
    name: Name,
  }),
);

/**
 * Request of a member that hears no leader of the mesh group: who the members are, by a copy that is further than its
 * own. No members: the copy here is not.
 */
export const ROLL_REQUEST = 'mesh.roll';
export const RollBody = message(
  'roll',
  Type.Object({
    generation: Count,
    index: Count,
    /** Voters of the mesh group that the asker has no link to. */
    missing: Type.Array(Name, { maxItems: ROLL_MISSING_MAX }),
  }),
);
const PeerAddresses = Type.Object({ peer: Name, addresses: Type.Array(Type.String({ maxLength: 512 })) });
export const RollAnswer = message(
  'roll answer',
  Type.Object({
    generation: Count,
    index: Count,
    /** All members, where that list is newer than the one that was asked with. */
    members: Type.Array(PeerAddresses),
    /** Where those are of the missing that the one who answers has links to. */
    found: Type.Array(PeerAddresses),
  }),
);

// --- Leases and heartbeats ----------------------------------------------------------------------------------------

/** Gossip topic of a pool: machines that host its nodes say what they run; its voters listen. */
export const upTopic = (pool: string): string => `pool/${pool}/up`;
/** Gossip topic of a pool: its coordinator says what it assigned, and whom it heard that way; hosts of its nodes listen. */
export const downTopic = (pool: string): string => `pool/${pool}/down`;

export const Heartbeat = message(
  'heartbeat',
  Type.Object({
    pool: Name,
    machine: Name,
    /** Grows with every heartbeat of this agent's life; the acknowledgement names it, and the lease counts from when it was sent. */
    sequence: Count,
    /** Names this agent's life, so that a restarted one is not taken for the old. */
    life: Name,
    /** How busy the machine is, now and then: see `machine-load.ts`. */
    load: Type.Optional(
      Type.Object({ sequence: Count, values: Type.Array(Type.Number(), { maxItems: 32 }) }),
    ),
    /** Number of the machine's present boot: nothing that an earlier one ran is left. */
    boot: Type.Optional(Count),
    nodes: Type.Array(
      Type.Object({
        node: Name,
        digest: Count,
        count: Count,
        /** Why no task can run there. */
        fault: Type.Optional(
          Type.Object({ code: Name, message: Type.String({ maxLength: NODE_FAULT_LENGTH_MAX }) }),
        ),
      }),
      { maxItems: 4096 },
    ),
  }),
);
export type Heartbeat = ReturnType<typeof Heartbeat.decode>;

/** One-way channel: the same, to the coordinator that acknowledged the last one. By gossip where none is known, or none answers. */
export const HEARTBEAT_CHANNEL = 'heartbeat';
/** The same, as a request, where neither brought an acknowledgement. Answer: an `Acknowledgement`. */
export const HEARTBEAT_REQUEST = 'pool.heartbeat';

export const Acknowledgement = message(
  'acknowledgement',
  Type.Object({
    pool: Name,
    term: Count,
    leader: Name,
    /** Applied log index when it was written. */ index: Count,
    heard: Type.Array(Type.Object({ machine: Name, life: Name, sequence: Count })),
  }),
);
export type Acknowledgement = ReturnType<typeof Acknowledgement.decode>;
/** One-way channel: a machine's own. */
export const ACKNOWLEDGEMENT_CHANNEL = 'acknowledged';

// --- Assignments --------------------------------------------------------------------------------------------------

const DispatchItem = Type.Object({
  node: Name,
  job: Count,
  task: Count,
  epoch: Count,
  /** msgpack of the TaskSpec, as the row holds it: with a role where the task is a node's. */
  spec: Bytes,
});
export type DispatchItem = Static<typeof DispatchItem>;

const DispatchJob = Type.Object({
  number: Count,
  id: Name,
  priority: Type.Integer(),
  environment: Environment,
  onNodeCutOff: Type.Enum(['stop', 'keep']),
  /** Id of its preparation task, if it has one. */
  preparation: Type.Optional(Name),
});
export type DispatchJob = Static<typeof DispatchJob>;

export const Dispatch = message(
  'dispatch',
  Type.Object({
    pool: Name,
    term: Count,
    batch: Count,
    jobs: Type.Array(DispatchJob),
    items: Type.Array(DispatchItem, { maxItems: 10_000 }),
  }),
);
export type Dispatch = ReturnType<typeof Dispatch.decode>;

/** What travels on a pool's down topic. A machine decodes its own part of the assignments and no other. */
export const DownMessage = message(
  'down',
  Type.Object({
    pool: Name,
    acknowledgement: Type.Union([Bytes, Type.Null()]),
    dispatches: Type.Array(Type.Object({ machine: Name, body: Bytes })),
  }),
);

/** Request to an agent, where it did not take up a batch from gossip. */
export const DISPATCH_REQUEST = 'session.dispatch';
/** One-way channel: this machine took the batch up. */
export const TAKEN_CHANNEL = 'taken';
export const Taken = message('taken', Type.Object({ pool: Name, batch: Count }));

const Execution = Type.Object({ job: Count, task: Count, epoch: Count });
/** Request to an agent: end these executions and report. */
export const STOP_REQUEST = 'session.stop';
export const Stop = message(
  'stop',
  Type.Object({ pool: Name, node: Name, executions: Type.Array(Execution) }),
);

/** Request to an agent: all that its node should run, as of a log index. Later epochs are not covered by it. */
export const RECONCILE_REQUEST = 'session.reconcile';
export const Reconcile = message(
  'reconcile',
  Type.Object({ pool: Name, node: Name, term: Count, index: Count, executions: Type.Array(Execution) }),
);
/** The agent names those of the list that it never got. */
export const ReconcileAnswer = message('reconcile answer', Type.Object({ missing: Type.Array(Execution) }));

/** Request to the coordinator: what became of executions. */
export const REPORT_REQUEST = 'pool.report';
const KeptFile = Type.Object({
  path: Type.String({ maxLength: 4096 }),
  sizeBytes: Count,
  inline: Type.Optional(Bytes),
  manifest: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
});
const Outcome = Type.Object({
  kind: Type.Enum(['exited', 'preProcessingError', 'fileUploadError', 'wallClock', 'killed', 'lost']),
  exitCode: Type.Optional(Type.Integer()),
  startedAtMs: Type.Optional(Type.Number()),
  endedAtMs: Type.Number(),
  failure: Type.Optional(
    Type.Object({
      category: Type.Enum(['usererror', 'servererror']),
      code: Name,
      message: Type.String({ maxLength: 4096 }),
      details: Type.Array(Type.Object({ name: Name, value: Type.String({ maxLength: 4096 }) }), {
        maxItems: 32,
      }),
    }),
  ),
  files: Type.Array(KeptFile, { maxItems: 10_000 }),
});
export const ReportBody = message(
  'report',
  Type.Object({
    pool: Name,
    node: Name,
    items: Type.Array(
      Type.Object({
        job: Count,
        task: Count,
        epoch: Count,
        startedAtMs: Type.Optional(Type.Number()),
        coordinated: Type.Optional(Type.Literal(true)),
        outcome: Type.Optional(Outcome),
      }),
      { maxItems: 10_000 },
    ),
  }),
);
/** `index`: every list made at an older log index may still hold what this report ended. */
export const ReportAnswer = message(
  'report answer',
  Type.Object({
    index: Count,
    verdicts: Type.Array(Type.Enum(['recorded', 'stale']), { maxItems: 10 * PAGE_ITEMS_MAX }),
  }),
);

// --- Events -------------------------------------------------------------------------------------------------------

/** Gossip topic of things that happen, for people. */
export const EVENT_TOPIC = 'events';
export const EventBatch = message(
  'event',
  Type.Array(
    Type.Object({
      timeMs: Type.Number(),
      machine: Name,
      kind: Name,
      message: Type.String({ maxLength: 1024 }),
      data: Type.Record(Name, Type.Union([Type.String({ maxLength: 1024 }), Type.Number()])),
    }),
    { maxItems: 256 },
  ),
);
