/**
 * The rows of a pool's group. Numbers are hexadecimal, so that bytewise order is numeric order; the letters are chosen
 * so that `load`, which meets the rows in key order, knows a job before its tasks and a task before its runtime.
 *
 *     j/<job>            state and changeable properties of a job
 *     k/<job>            the job as it was added
 *     l/<job>            the job's metadata, where it was changed since
 *     m                  counters and time of the group
 *     n/<node>           a node
 *     o/<node>           its state's time and its totals
 *     p                  the pool, as mirrored from the mesh group
 *     q/<job>/<task>     one add: when, which version, how many tasks from this number on
 *     r/<sequence>       the answer to a request id
 *     s/<job>/<id>       a deleted task that had satisfied its dependents
 *     t/<job>/<task>     the task as it was added (TaskSpec, with a role where it is a node's or a subtask), never written again
 *     u/<job>/<task>     the task's constraints, where they were changed since
 *     v/<slot>           equal samples of the pool's counts, one after the other; a ring
 *     x/<job>/<task>     what became of the task; absent as long as nothing did
 */
import { Packr } from 'msgpackr';
import type { JobConstraints } from '../../../src/model/job.ts';
import type { NodeFault } from '../../../src/model/machine.ts';
import type { NodeRestart, NodeTaskRole, StoredTaskSpec } from '../../../src/model/node-task.ts';
import type { NodeDeallocationOption } from '../../../src/model/pool.ts';
import type { JobState, TaskState } from '../../../src/model/states.ts';
import type { FailureInfo, KeptFile } from '../../../src/model/task.ts';

/** Equal values must have equal bytes on every replica: the hash over all row writes is compared. */
const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });

export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Rows come from our own store, which checks them; what does not decode is a defect and throws. */
export function unpack(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}

// --- Keys ---------------------------------------------------------------------------------------------------------

function hex8(number: number): string {
  return number.toString(16).padStart(8, '0');
}

export const META_KEY = 'm';
export const POOL_KEY = 'p';

export const jobRowKey = (job: number): string => `j/${hex8(job)}`;
export const jobSpecRowKey = (job: number): string => `k/${hex8(job)}`;
export const jobMetadataRowKey = (job: number): string => `l/${hex8(job)}`;
export const nodeRowKey = (node: string): string => `n/${node}`;
export const nodeActivityRowKey = (node: string): string => `o/${node}`;
export const additionRowKey = (job: number, firstTask: number): string => `q/${hex8(job)}/${hex8(firstTask)}`;
export const requestRowKey = (sequence: number): string => `r/${sequence.toString(16).padStart(14, '0')}`;
export const satisfiedRowKey = (job: number, idKey: string): string => `s/${hex8(job)}/${idKey}`;
/** Holds the msgpack of the TaskSpec and nothing else: it is dispatched to agents as it is. */
export const taskRowKey = (job: number, task: number): string => `t/${hex8(job)}/${hex8(task)}`;
export const taskUpdateRowKey = (job: number, task: number): string => `u/${hex8(job)}/${hex8(task)}`;
export const sampleRowKey = (slot: number): string => `v/${hex8(slot)}`;
export const runtimeRowKey = (job: number, task: number): string => `x/${hex8(job)}/${hex8(task)}`;

export function isTaskRowKey(key: string): boolean {
  return key.startsWith('t/');
}

/** Job and task number, or id, of a key `<letter>/<job>[/<rest>]`. */
export function partsOfKey(key: string): { readonly job: number; readonly rest: string } {
  return { job: Number.parseInt(key.slice(2, 10), 16), rest: key.slice(11) };
}

/** A slice of a deleted job's rows is one block of 4,096 task numbers: all but the last three digits. */
export const SWEEP_BLOCK = 4096;

const SLICED_PREFIXES = ['q', 't', 'u', 'x'] as const;

/** Prefixes that hold all rows of the tasks of one block. */
export function blockPrefixes(job: number, block: number): string[] {
  const digits = hex8(block * SWEEP_BLOCK).slice(0, 5);
  return SLICED_PREFIXES.map((letter) => `${letter}/${hex8(job)}/${digits}`);
}

export const satisfiedPrefix = (job: number): string => `s/${hex8(job)}/`;

// --- Contents -----------------------------------------------------------------------------------------------------

/** `m`. Written with every entry that changed any of it; a list, as are all rows that are written often. */
export type MetaRow = readonly [timeMs: number, nextJob: number, nextVersion: number, nextRequest: number];

export interface JobRow {
  readonly id: string;
  readonly state: JobState;
  readonly stateAtMs: number;
  readonly previousState: JobState | null;
  readonly previousAtMs: number;
  readonly createdAtMs: number;
  readonly endedAtMs: number | null;
  readonly terminateReason: string | null;
  readonly version: number;
  readonly modifiedAtMs: number;
  readonly lastTask: number;
  /** Blocks of tasks whose rows are removed already; null before the job is swept. */
  readonly sweptBlocks: number | null;
  readonly priority: number;
  readonly maxParallelTasks: number;
  readonly allowTaskPreemption: boolean | null;
  readonly onAllTasksComplete: 'noaction' | 'terminatejob';
  readonly constraints: JobConstraints;
  readonly hasMetadataRow: boolean;
}

export interface NodeRow {
  readonly number: number;
  readonly machine: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly slots: number;
  readonly dedicated: boolean;
  readonly labels: readonly string[];
  readonly allottedAtMs: number;
  readonly leaving: {
    readonly option: NodeDeallocationOption;
    readonly reason: 'resize' | 'preempted' | 'drain' | 'poolDeleted';
  } | null;
  readonly lost: boolean;
  readonly enabled: boolean;
  /** Absent in rows of older versions, as are the next two. */
  readonly restart?: NodeRestart;
  readonly boot?: number;
  readonly bootedAtMs?: number;
  /** Absent in most rows. */
  readonly fault?: NodeFault;
}

/** `t` of a task of a node: what is dispatched, and besides where it belongs. */
export interface NodeTaskRow extends StoredTaskSpec {
  readonly role: NodeTaskRole;
  readonly place: readonly [node: string, machine: string, nodeNumber: number];
  readonly waits: boolean;
}

export function isNodeTaskRow(row: StoredTaskSpec): row is NodeTaskRow {
  return row.role !== undefined;
}

/** `o`: what every execution on the node changes. */
export type NodeActivityRow = readonly [
  stateAtMs: number,
  totalTasksRun: number,
  totalTasksSucceeded: number,
];

/** What a completed execution leaves behind, beyond the hot columns. */
export interface Completion {
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number;
  readonly exitCode: number | undefined;
  readonly failure: FailureInfo | undefined;
  readonly files: readonly KeptFile[];
}

/** `x`. A list, not a map: it is the row that is written most. */
export interface RuntimeRow {
  readonly state: TaskState;
  readonly stateAtMs: number;
  readonly previousState: TaskState | undefined;
  readonly previousAtMs: number;
  readonly version: number;
  readonly modifiedAtMs: number;
  readonly epoch: number;
  readonly node: string | undefined;
  readonly machine: string | undefined;
  readonly intent: number;
  /** Flag.live, satisfied, cancels, succeeded and ghost. */
  readonly flags: number;
  readonly retryCount: number;
  readonly lastRetryAtMs: number | undefined;
  readonly requeueCount: number;
  readonly lastRequeueAtMs: number | undefined;
  readonly startedAtMs: number | undefined;
  readonly completion: Completion | undefined;
}

export function packRuntime(row: RuntimeRow): Uint8Array {
  const { completion } = row;
  return pack([
    row.state,
    row.stateAtMs,
    row.previousState ?? null,
    row.previousAtMs,
    row.version,
    row.modifiedAtMs,
    row.epoch,
    row.node ?? null,
    row.machine ?? null,
    row.intent,
    row.flags,
    row.retryCount,
    row.lastRetryAtMs ?? null,
    row.requeueCount,
    row.lastRequeueAtMs ?? null,
    row.startedAtMs ?? null,
    completion === undefined
      ? null
      : [
          completion.startedAtMs ?? null,
          completion.endedAtMs,
          completion.exitCode ?? null,
          completion.failure ?? null,
          completion.files,
        ],
  ]);
}

type PackedCompletion = [number | null, number, number | null, FailureInfo | null, readonly KeptFile[]];
type PackedRuntime = [
  TaskState,
  number,
  TaskState | null,
  number,
  number,
  number,
  number,
  string | null,
  string | null,
  number,
  number,
  number,
  number | null,
  number,
  number | null,
  number | null,
  PackedCompletion | null,
];

export function unpackRuntime(bytes: Uint8Array): RuntimeRow {
  const row = unpack(bytes) as PackedRuntime;
  return {
    state: row[0],
    stateAtMs: row[1],
    previousState: row[2] ?? undefined,
    previousAtMs: row[3],
    version: row[4],
    modifiedAtMs: row[5],
    epoch: row[6],
    node: row[7] ?? undefined,
    machine: row[8] ?? undefined,
    intent: row[9],
    flags: row[10],
    retryCount: row[11],
    lastRetryAtMs: row[12] ?? undefined,
    requeueCount: row[13],
    lastRequeueAtMs: row[14] ?? undefined,
    startedAtMs: row[15] ?? undefined,
    completion: row[16] === null ? undefined : unpackCompletion(row[16]),
  };
}

function unpackCompletion([startedAtMs, endedAtMs, exitCode, failure, files]: PackedCompletion): Completion {
  return {
    startedAtMs: startedAtMs ?? undefined,
    endedAtMs,
    exitCode: exitCode ?? undefined,
    failure: failure ?? undefined,
    files,
  };
}

/** `v`. */
export type SampleRow = readonly [
  sequence: number,
  firstMoment: number,
  lastMoment: number,
  sample: readonly number[],
];

/** `q`: tasks of one add have consecutive numbers and share everything but their specifications. */
export type AdditionRow = [count: number, createdAtMs: number, version: number, defaultMaxRetryCount: number];
