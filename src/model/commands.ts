/**
 * Everything that can change a replicated state, and nothing else can. A client's request becomes one command with a
 * request id; the leader puts many into one log entry with its time; `apply` in coordinator/core is the only gate.
 */
import type { ErrorCode } from '../lib/errors.ts';
import type { ApplicationPatch } from './application-schema.ts';
import type { AutoPool } from './auto-pool.ts';
import type { AutoScaleTargets } from './autoscale.ts';
import type { BlobOrigin } from './blob.ts';
import type { GroupId, MachineId, PeerId } from './ids.ts';
import type { DisableTasksOption, JobPatch, JobSpec, JobUpdate } from './job.ts';
import type { Allotment, Capacity, NodeFault } from './machine.ts';
import type { NodeRestart } from './node-task.ts';
import type {
  AutoScaleChange,
  NodeDeallocationOption,
  PoolPatch,
  PoolResize,
  PoolSpec,
  ResizeError,
} from './pool.ts';
import type { JobSchedulePatch, JobScheduleSpec, JobScheduleUpdate } from './schedule.ts';
import type { TaskConstraints, TaskOutcome, TaskSpec } from './task.ts';

/** If-Match and its kin, checked against the entity's version at apply. `*` matches any. */
export interface Condition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly ifModifiedSinceMs?: number;
  readonly ifUnmodifiedSinceMs?: number;
}

/** The answer to a command: its own result, or a coded refusal that changed nothing. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      readonly message?: string;
      readonly values?: Readonly<Record<string, string>>;
    };

export interface EntityStamp {
  /** Unquoted, `0x…`. */
  readonly eTag: string;
  readonly lastModifiedMs: number;
}

/** Settings of the mesh that every member must agree on. */
export interface MeshSettings {
  readonly meshId: string;
  readonly accountName: string;
  /** Base64; the SharedKey of the HTTP API. */
  readonly accountKey: string;
  /** Base64; what bearer tokens and the API's certificate authority are made from. Clients never hold it. Older meshes have none: there the account's key takes its place. */
  readonly apiSecret?: string;
}

export interface VotersReport {
  /** Of the group's own log. */
  readonly term: number;
  /** Counted by the leader of the term. */
  readonly number: number;
}

// --- Mesh group -------------------------------------------------------------------------------------------------

export type MeshCommand =
  /** First command of a new mesh: its settings, its first machine, the pool `default`. */
  | { readonly kind: 'mesh.init'; readonly settings: MeshSettings; readonly machine: MachineOffer }
  | {
      readonly kind: 'token.create';
      readonly id: string;
      readonly peer: PeerId;
      readonly expiresAtMs: number;
      readonly uses: number;
      readonly createdBy: MachineId;
    }
  | { readonly kind: 'token.revoke'; readonly id: string }
  /** The joiner, authenticated by the token's temporary identity, registers its own. `tokenPeer` is that identity. */
  | { readonly kind: 'machine.join'; readonly tokenPeer: PeerId; readonly machine: MachineOffer }
  /** A member (re)starts: new addresses, capacity or version; with a new incarnation the old machine is removed. */
  | { readonly kind: 'machine.update'; readonly machine: MachineOffer }
  | { readonly kind: 'machine.drain'; readonly machine: MachineId; readonly draining: boolean }
  /** `silent`: machines that the proposer has no link to. A group must keep a majority of those that are there. */
  | {
      readonly kind: 'machine.remove';
      readonly machine: MachineId;
      readonly silent?: readonly MachineId[];
    }
  /**
   * Who votes in a group, and who will after the change that its leader wants to make; the leader makes it only once this
   * is committed. Creates the record for a group that has none. See GroupRecord.
   */
  | {
      readonly kind: 'group.voters';
      readonly group: GroupId;
      readonly voters: readonly MachineId[];
      readonly next?: readonly MachineId[];
      readonly report?: VotersReport;
      readonly generation: number;
    }
  | {
      readonly kind: 'pool.add';
      readonly spec: PoolSpec;
      readonly voters: readonly MachineId[];
      /** Where it is made for a job or a schedule. */
      readonly auto?: AutoPool;
    }
  | {
      readonly kind: 'pool.patch';
      readonly pool: string;
      readonly patch: PoolPatch;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'pool.resize';
      readonly pool: string;
      readonly resize: PoolResize;
      readonly condition?: Condition;
    }
  | { readonly kind: 'pool.stopResize'; readonly pool: string; readonly condition?: Condition }
  | {
      readonly kind: 'pool.removeNodes';
      readonly pool: string;
      readonly nodes: readonly string[];
      readonly option: NodeDeallocationOption;
      readonly condition?: Condition;
    }
  /** Turns automatic scaling on, or changes what is given of it. */
  | {
      readonly kind: 'pool.enableAutoScale';
      readonly pool: string;
      readonly change: AutoScaleChange;
      readonly condition?: Condition;
    }
  | { readonly kind: 'pool.disableAutoScale'; readonly pool: string; readonly condition?: Condition }
  /** The pool's coordinator evaluated the formula. `version` and `run` say of which settings and after which run: another one's comes too late. */
  | {
      readonly kind: 'pool.autoScaled';
      readonly pool: string;
      readonly version: string;
      readonly run: number;
      /** Absent where the evaluation failed: then nothing changes. */
      readonly targets?: AutoScaleTargets;
      /** Where the pool shrinks: nodes that run nothing, which leave first. */
      readonly idleNodes?: readonly string[];
      readonly results: string;
      readonly error?: string;
    }
  | { readonly kind: 'pool.delete'; readonly pool: string; readonly condition?: Condition }
  /** The pool's group has let go of everything: the record goes. */
  | { readonly kind: 'pool.erase'; readonly pool: string }
  /** The mesh coordinator's packing: nodes to allot and nodes to call back. Re-checked against capacities at apply. */
  | {
      readonly kind: 'allot';
      readonly add: readonly Omit<Allotment, 'allottedAtMs'>[];
      readonly leave: readonly {
        readonly node: string;
        readonly option: NodeDeallocationOption;
        readonly reason: 'resize' | 'preempted' | 'drain' | 'poolDeleted';
      }[];
      readonly resizeErrors: readonly { readonly pool: string; readonly errors: readonly ResizeError[] }[];
      readonly steady: readonly string[];
    }
  /** The pool's coordinator says these leaving nodes are empty, or their machines are gone. */
  | { readonly kind: 'node.released'; readonly nodes: readonly string[] }
  /** Reserves a job id for a pool, and the pool's group if there is none yet (`voters` for it). `replaces`: a dangling reservation found empty. */
  | {
      readonly kind: 'job.reserve';
      readonly job: string;
      readonly pool: string;
      readonly voters: readonly MachineId[];
      readonly replaces?: string;
    }
  | { readonly kind: 'job.release'; readonly job: string; readonly pool: string }
  | { readonly kind: 'schedule.add'; readonly spec: JobScheduleSpec }
  | {
      readonly kind: 'schedule.patch';
      readonly schedule: string;
      readonly patch: JobSchedulePatch;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'schedule.update';
      readonly schedule: string;
      readonly update: JobScheduleUpdate;
      readonly condition?: Condition;
    }
  | { readonly kind: 'schedule.disable'; readonly schedule: string; readonly condition?: Condition }
  | { readonly kind: 'schedule.enable'; readonly schedule: string; readonly condition?: Condition }
  | { readonly kind: 'schedule.terminate'; readonly schedule: string; readonly condition?: Condition }
  | { readonly kind: 'schedule.delete'; readonly schedule: string; readonly condition?: Condition }
  /** From the mesh coordinator: the moment that is due is taken, under this number. */
  | { readonly kind: 'schedule.launch'; readonly schedule: string; readonly number: number }
  /** From the mesh coordinator: the jobs that the schedule waited for (`jobs` of them so far) have ended, or are gone. */
  | { readonly kind: 'schedule.ended'; readonly schedule: string; readonly jobs: number }
  | { readonly kind: 'container.create'; readonly name: string }
  | { readonly kind: 'container.delete'; readonly name: string }
  | {
      readonly kind: 'blob.put';
      readonly container: string;
      readonly blobs: readonly BlobPut[];
      readonly createContainer: boolean;
    }
  | { readonly kind: 'blob.delete'; readonly container: string; readonly names: readonly string[] }
  /** Stores a version of an application, which is made where it is missing; `makeDefault` for references without one. */
  | {
      readonly kind: 'application.put';
      readonly application: string;
      readonly version: string;
      readonly manifest: string;
      readonly sizeBytes: number;
      readonly holders: readonly MachineId[];
      readonly makeDefault: boolean;
    }
  | {
      readonly kind: 'application.update';
      readonly application: string;
      readonly patch: ApplicationPatch;
    }
  /** Without a version: the whole application. */
  | { readonly kind: 'application.delete'; readonly application: string; readonly version?: string }
  /** Holders gained and lost, from the repair loop. */
  | {
      readonly kind: 'blob.holders';
      readonly changes: readonly {
        readonly manifest: string;
        readonly add: readonly MachineId[];
        readonly remove: readonly MachineId[];
      }[];
    }
  /** Time has passed: expired tokens, resize timeouts, the slices of container deletes. Proposed only when `dueAtMs` of the state says so. */
  | { readonly kind: 'mesh.sweep' };

export interface MachineOffer {
  readonly id: MachineId;
  readonly peer: PeerId;
  readonly name: string;
  readonly capacity: Capacity;
  readonly addresses: readonly string[];
  readonly version: string;
}

export interface BlobPut {
  readonly name: string;
  readonly sizeBytes: number;
  readonly manifest: string;
  readonly holders: readonly MachineId[];
  readonly origin?: BlobOrigin;
}

// --- Pool group -------------------------------------------------------------------------------------------------

/** What a pool's group must know of its pool; mirrored from the mesh group by the pool's coordinator. */
export interface PoolMirror {
  readonly id: string;
  /** False where only a job has named the pool so far. */
  readonly exists: boolean;
  readonly deleting: boolean;
  readonly spec: PoolSpec | undefined;
}

export type NodeMirror = Omit<Allotment, 'pool'>;

export type PoolCommand =
  /** `meshIndex`: applied index of the mesh group it was read at; an older view than the last one changes nothing. */
  | {
      readonly kind: 'mirror';
      readonly meshIndex: number;
      readonly pool: PoolMirror;
      readonly nodes: readonly NodeMirror[];
      readonly removed: readonly string[];
    }
  | { readonly kind: 'job.add'; readonly spec: JobSpec }
  | {
      readonly kind: 'job.patch';
      readonly job: string;
      readonly patch: JobPatch;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'job.update';
      readonly job: string;
      readonly update: JobUpdate;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'job.disable';
      readonly job: string;
      readonly disableTasks: DisableTasksOption;
      readonly condition?: Condition;
    }
  | { readonly kind: 'job.enable'; readonly job: string; readonly condition?: Condition }
  | {
      readonly kind: 'job.terminate';
      readonly job: string;
      readonly reason: string;
      readonly condition?: Condition;
    }
  | { readonly kind: 'job.delete'; readonly job: string; readonly condition?: Condition }
  | { readonly kind: 'task.add'; readonly job: string; readonly tasks: readonly TaskSpec[] }
  | {
      readonly kind: 'task.update';
      readonly job: string;
      readonly task: string;
      readonly constraints: TaskConstraints;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'task.terminate';
      readonly job: string;
      readonly task: string;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'task.delete';
      readonly job: string;
      readonly task: string;
      readonly condition?: Condition;
    }
  | {
      readonly kind: 'task.reactivate';
      readonly job: string;
      readonly task: string;
      readonly condition?: Condition;
    }
  /** From the scheduler. Each becomes an execution whose epoch is the index of this entry; one that does not fit is left out. */
  | { readonly kind: 'assign'; readonly items: readonly Assignment[] }
  /** From the scheduler: each makes room for a job of greater priority and runs again later; one that must not is left out. */
  | { readonly kind: 'preempt'; readonly items: readonly Preemption[] }
  /** From an agent, by way of the coordinator. */
  | { readonly kind: 'report'; readonly node: string; readonly items: readonly ReportItem[] }
  /** The node's lease is over (and its margin): its executions are requeued. */
  | { readonly kind: 'node.lost'; readonly node: string }
  /**
   * The node is heard again, or for the first time, or after its machine was booted anew: `boot` is that boot's number. Or
   * its machine says something else of it than before: `fault` is why no task can run there, null where one can again.
   */
  | {
      readonly kind: 'node.heard';
      readonly node: string;
      readonly boot?: number;
      readonly fault?: NodeFault | null;
    }
  /** The node is emptied as the option says, then restarted: its start task runs again. */
  | {
      readonly kind: 'node.restart';
      readonly node: string;
      readonly how: NodeRestart;
      readonly option: NodeDeallocationOption;
    }
  | {
      readonly kind: 'node.scheduling';
      readonly node: string;
      readonly enabled: boolean;
      readonly option: 'requeue' | 'terminate' | 'taskcompletion';
    }
  /** Time has passed: job wall clocks, the slices of deletes. Proposed only when `dueAtMs` of the state says so. */
  | { readonly kind: 'sweep'; readonly limit: number };

export interface Assignment {
  /** Numbers, not ids: see `ExecutionKey`. */
  readonly job: number;
  readonly task: number;
  readonly node: string;
  /** Of a multi-instance task: the nodes of its other instances, all of them. */
  readonly others?: readonly string[];
}

export interface Preemption {
  /** The job that room is made for. */
  readonly forJob: number;
  readonly job: number;
  readonly task: number;
  /** Of the execution that is to be stopped. */
  readonly epoch: number;
}

export interface ReportItem {
  readonly job: number;
  readonly task: number;
  readonly epoch: number;
  /** Wall clock of the node. */
  readonly startedAtMs?: number;
  /** Of a subtask: its coordination command succeeded. What that left running stays until the subtask is stopped. */
  readonly coordinated?: true;
  readonly outcome?: TaskOutcome;
}

export type ReportVerdict = 'recorded' | 'stale';

export interface TaskAddResult {
  readonly id: string;
  readonly outcome: Outcome<EntityStamp>;
}

/** What each kind of command answers with. */
export interface CommandResults {
  'mesh.init': EntityStamp;
  'machine.join': { readonly machine: MachineId; readonly settings: MeshSettings };
  'task.add': readonly TaskAddResult[];
  /** The log index, which is the epoch of each; those refused by the gate are missing. */
  assign: { readonly epoch: number; readonly assigned: readonly Assignment[] };
  /** Those refused by the gate are missing. */
  preempt: { readonly preempted: readonly Preemption[] };
  report: readonly ReportVerdict[];
}

export type Command = MeshCommand | PoolCommand;
export type CommandKind = Command['kind'];
export type CommandResult<K extends CommandKind> = Outcome<
  K extends keyof CommandResults ? CommandResults[K] : EntityStamp
>;

/** One Raft entry of kind `command`: msgpack of this. */
export interface CommandBatch {
  /** The leader's wall clock, ms; `apply` never lets it go back. */
  readonly timeMs: number;
  readonly commands: readonly { readonly requestId: string | null; readonly command: Command }[];
}
