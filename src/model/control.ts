/** The one door through which the HTTP API reaches the mesh. */
import type { Readable } from 'node:stream';
import type { CpuMeter } from '../lib/cpu-meter.ts';
import type { ApplicationRecord } from './application.ts';
import type { BlobRecord } from './blob.ts';
import type { Command, CommandResult } from './commands.ts';
import type { GroupId, MachineId } from './ids.ts';
import type { Queries, QueryName } from './queries.ts';

export interface CallOptions {
  /** Gives up with OperationTimedOut or NoQuorum. While a coordinator is being elected the call waits. */
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Of the work that this call is a part of: told when the call is answered, and what the answer cost elsewhere. */
  readonly meter?: CpuMeter;
}

export interface FileEntry {
  /** Relative to the directory that was asked for, `/` between components. */
  readonly path: string;
  readonly directory: boolean;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
  readonly mode?: number;
}

export interface OpenedFile {
  readonly entry: FileEntry;
  /** Bytes `start` to `end` (both included) as asked for. */
  readonly body: Readable;
}

export interface ByteRange {
  readonly start: number;
  /** Included; to the end where absent. */
  readonly end?: number;
}

/** Tasks' and nodes' files and blobs, wherever in the mesh they are. */
export interface FileControl {
  listTaskFiles(
    job: string,
    task: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<readonly FileEntry[]>;
  statTaskFile(job: string, task: string, path: string, options?: CallOptions): Promise<FileEntry>;
  openTaskFile(
    job: string,
    task: string,
    path: string,
    range: ByteRange | undefined,
    options?: CallOptions,
  ): Promise<OpenedFile>;
  deleteTaskFile(
    job: string,
    task: string,
    path: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<void>;
  listNodeFiles(
    pool: string,
    node: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<readonly FileEntry[]>;
  statNodeFile(pool: string, node: string, path: string, options?: CallOptions): Promise<FileEntry>;
  openNodeFile(
    pool: string,
    node: string,
    path: string,
    range: ByteRange | undefined,
    options?: CallOptions,
  ): Promise<OpenedFile>;
  deleteNodeFile(
    pool: string,
    node: string,
    path: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<void>;
  /** Stores all of `body` under the name, in `BLOB_COPIES` copies where so many machines are up. Replaces what was there. */
  putBlob(
    container: string,
    name: string,
    body: Readable,
    options?: CallOptions & { readonly createContainer?: boolean },
  ): Promise<BlobRecord>;
  /** The same for a version of an application, which is made where it is missing. */
  putPackage(
    application: string,
    version: string,
    body: Readable,
    options?: CallOptions & { readonly makeDefault?: boolean },
  ): Promise<ApplicationRecord>;
  openBlob(
    container: string,
    name: string,
    range: ByteRange | undefined,
    options?: CallOptions,
  ): Promise<{ record: BlobRecord; body: Readable }>;
}

/** Where a client wants the log files of a node's agent, and which of them: those with lines of the time range. */
export interface LogUpload {
  /** With a signature that may write, or `mesh://<container>`. */
  readonly containerUrl: string;
  readonly startMs: number;
  readonly endMs?: number;
}

export interface UploadedLogs {
  /** What the names of the blobs begin with. */
  readonly directory: string;
  readonly files: number;
}

/** Something that happened, for `shoal events`. */
export interface MeshEvent {
  readonly timeMs: number;
  /** Name of the machine that says it. */
  readonly machine: string;
  /** `task.completed`, `node.lost`, `leader.elected`, `machine.joined`… */
  readonly kind: string;
  readonly message: string;
  readonly data: Readonly<Record<string, string | number>>;
}

/** This machine, as it sees itself. */
export interface LocalStatus {
  readonly meshId: string;
  /** Of the HTTP API on TCP, where it listens there. */
  readonly apiUrl?: string;
  readonly machine: {
    readonly id: MachineId;
    readonly name: string;
    readonly addresses: readonly string[];
    readonly version: string;
    readonly pid: number;
    readonly startedAtMs: number;
  };
  readonly connectedPeers: readonly string[];
  readonly groups: readonly {
    readonly group: GroupId;
    readonly role: 'leader' | 'follower' | 'candidate' | 'learner';
    readonly leader: MachineId | undefined;
    /** Where this machine's view of the mesh has it. */
    readonly leaderName?: string;
    readonly term: number;
    readonly commit: number;
    readonly applied: number;
    readonly voters: readonly MachineId[];
  }[];
  readonly runner: {
    readonly tier: string;
    readonly pid: number;
    readonly running: number;
    readonly waiting: number;
  };
}

export interface Control {
  propose<C extends Command>(
    group: GroupId,
    command: C,
    options?: CallOptions & { readonly requestId?: string },
  ): Promise<CommandResult<C['kind']>>;
  query<Q extends QueryName>(
    group: GroupId,
    name: Q,
    argument: Queries[Q][0],
    options?: CallOptions,
  ): Promise<Queries[Q][1]>;
  /** Voters for a new group: 1, 3 or 5 machines that are alive now. */
  proposeVoters(): Promise<readonly MachineId[]>;
  readonly files: FileControl;
  /** Resolves when the machine of the node has sent its agent's log files. */
  uploadNodeLogs(pool: string, node: string, upload: LogUpload, options?: CallOptions): Promise<UploadedLogs>;
  status(): LocalStatus;
  /** A join token as text, made on this machine. */
  createToken(options: {
    readonly validMs: number;
    readonly uses: number;
  }): Promise<{ readonly id: string; readonly token: string; readonly expiresAtMs: number }>;
  /** Makes a group whose quorum is lost live again from this machine's copy. Dry unless `confirmed`: then it only says what may be lost. */
  recover(
    group: GroupId,
    confirmed: boolean,
  ): Promise<{ readonly lastIndex: number; readonly mayBeLost: string }>;
  /** Calls back for the last events and each one from now on, of all machines; returns how to stop. */
  onEvent(listener: (event: MeshEvent) => void): () => void;
}
