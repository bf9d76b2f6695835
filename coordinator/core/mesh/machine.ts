/**
 * The mesh group's state machine: `apply` changes the state, `query` reads it, and the accessors below let the driver of
 * every machine look into it without a round trip (every machine follows the mesh group, as a voter or a learner).
 */

import { ShoalError } from '../../../src/lib/errors.ts';
import { BLOB_COPIES } from '../../../src/lib/limits.ts';
import type { ApplicationRecord } from '../../../src/model/application.ts';
import type {
  Command,
  CommandBatch,
  MeshCommand,
  MeshSettings,
  Outcome,
} from '../../../src/model/commands.ts';
import type { GroupId, MachineId, PeerId } from '../../../src/model/ids.ts';
import type { Allotment, MachineRecord } from '../../../src/model/machine.ts';
import type { GroupRecord, JobScheduleEntity } from '../../../src/model/queries.ts';
import type { Applied, RowReader, StateMachine } from '../interface.ts';
import { type Refusal, refuse } from '../refusal.ts';
import {
  createToken,
  drainMachine,
  initMesh,
  joinMachine,
  removeMachine,
  revokeToken,
  updateMachine,
} from './admission.ts';
import type { HeldContent } from './contents.ts';
import {
  addPool,
  allot,
  autoScaled,
  deletePool,
  disableAutoScale,
  enableAutoScale,
  erasePool,
  patchPool,
  releaseNodes,
  removeNodes,
  resizePool,
  stopResize,
} from './estate.ts';
import type { PoolRecord } from './pools.ts';
import { isMeshQuery, queryMesh } from './queries.ts';
import { releaseJob, reportVoters, reserveJob } from './reservations.ts';
import { checkMesh } from './sanity.ts';
import {
  addSchedule,
  changeSchedule,
  deleteSchedule,
  disableSchedule,
  enableSchedule,
  endSchedule,
  launchJob,
  terminateSchedule,
} from './scheduling.ts';
import { MeshState } from './state.ts';
import type { Token } from './tokens.ts';
import type { MeshEffect } from './turn.ts';
import { Turn } from './turn.ts';

export type { HeldContent } from './contents.ts';
export type { PoolRecord } from './pools.ts';
export type { Token } from './tokens.ts';
export type { MeshEffect } from './turn.ts';

export interface MeshMachineOptions {
  /** Whether a machine is up, as this one sees it: only `machine.list` asks. Default: yes. */
  readonly alive?: (machine: MachineId) => boolean;
  /** Answers kept for repeated requests. Default `REQUEST_IDS_KEPT`. */
  readonly requestIdsKept?: number;
}

export class MeshMachine implements StateMachine<MeshEffect> {
  readonly #state: MeshState;
  readonly #alive: (machine: MachineId) => boolean;
  /** Made when asked for after a change of either list. */
  #allowed:
    | { readonly members: unknown; readonly tokens: unknown; readonly peers: ReadonlySet<PeerId> }
    | undefined;

  constructor(options: MeshMachineOptions = {}) {
    this.#state = new MeshState(options.requestIdsKept);
    this.#alive = options.alive ?? (() => true);
  }

  // --- StateMachine ---------------------------------------------------------------------------------------------

  load(key: string, value: Uint8Array): void {
    this.#state.load(key, value);
  }

  /** Nothing is left to derive: each row brought its own indexes along. */
  loaded(): void {}

  apply(index: number, batch: CommandBatch): Applied<MeshEffect> {
    const turn = new Turn(index, Math.max(wholeMs(batch.timeMs), this.#state.counters.timeMs));
    this.#state.counters.advanceTime(turn);
    const results = batch.commands.map(({ requestId, command }) => this.#answer(turn, requestId, command));
    return { results, writes: turn.writes(), events: turn.events(), effects: turn.effects() };
  }

  async query(name: string, argument: unknown, rows: RowReader): Promise<unknown> {
    if (!isMeshQuery(name)) throw new ShoalError('InvalidArgument', `The mesh group has no query ${name}.`);
    return queryMesh({ state: this.#state, rows, alive: this.#alive }, name, argument);
  }

  dueAtMs(): number | undefined {
    const { tokens, pools, schedules, blobs, counters } = this.#state;
    const due = Math.min(
      tokens.dueAtMs(),
      pools.dueAtMs(),
      schedules.dueAtMs(),
      blobs.hasDying() ? counters.timeMs : Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(due) ? due : undefined;
  }

  sanityCheck(): void {
    checkMesh(this.#state);
  }

  #answer(turn: Turn, requestId: string | null, command: Command): Outcome<unknown> {
    const before = requestId === null ? undefined : this.#state.requests.answerOf(requestId);
    if (before !== undefined) return before;
    const outcome = this.#execute(turn, command);
    if (requestId !== null) this.#state.requests.remember(turn, requestId, outcome);
    return outcome;
  }

  /**
   * A committed entry is applied by every replica at every restart: one malformed command that threw would take the
   * mesh down for good. Commands check before they change, so a wrong shape shows before anything was touched.
   */
  #execute(turn: Turn, command: Command): Outcome<unknown> {
    try {
      return executeMesh(this.#state, turn, command as MeshCommand) ?? wrongGroup(command);
    } catch (thrown) {
      if (!(thrown instanceof TypeError)) throw thrown;
      return refuse(
        'InvalidRequestBody',
        `The command ${command.kind} has the wrong shape: ${thrown.message}`,
      );
    }
  }

  // --- What the driver of every machine reads -----------------------------------------------------------------------

  /** Undefined before `mesh.init` was applied. */
  settings(): MeshSettings | undefined {
    return this.#state.settings;
  }

  /** The leader's wall clock of the last entry, ms. */
  timeMs(): number {
    return this.#state.counters.timeMs;
  }

  /** The same array until a machine comes, goes or says something new of itself. */
  machines(): readonly MachineRecord[] {
    return this.#state.members.all();
  }

  machine(id: MachineId): MachineRecord | undefined {
    return this.#state.members.get(id);
  }

  machineByPeer(peer: PeerId): MachineRecord | undefined {
    return this.#state.members.byPeer(peer);
  }

  /** Case does not matter. */
  machineByName(name: string): MachineRecord | undefined {
    return this.#state.members.byName(name);
  }

  /** Members and the temporary identities of open tokens. A new set after each change of these, and the same one until then. */
  allowedPeers(): ReadonlySet<PeerId> {
    const members = this.#state.members.all();
    const tokens = this.#state.tokens.all();
    if (this.#allowed?.members !== members || this.#allowed.tokens !== tokens)
      this.#allowed = {
        members,
        tokens,
        peers: new Set([...members.map(({ peer }) => peer), ...tokens.map(({ peer }) => peer)]),
      };
    return this.#allowed.peers;
  }

  /** The open token of a temporary identity. It may have expired since the last sweep: compare `expiresAtMs`. */
  tokenByPeer(peer: PeerId): Token | undefined {
    return this.#state.tokens.byPeer(peer);
  }

  /** The same array until one of them comes, goes or is another. */
  pools(): readonly PoolRecord[] {
    return this.#state.pools.all();
  }

  pool(id: string): PoolRecord | undefined {
    return this.#state.pools.get(id);
  }

  /** The same array until one of them comes, goes or is another. */
  allotments(pool?: string): readonly Allotment[] {
    return pool === undefined ? this.#state.allotments.all() : this.#state.allotments.ofPool(pool);
  }

  allotment(node: string): Allotment | undefined {
    return this.#state.allotments.get(node);
  }

  allotmentsOn(machine: MachineId): readonly Allotment[] {
    return this.#state.allotments.onMachine(machine);
  }

  /** For the packer: the least number that no node's name had. */
  nextNodeNumber(): number {
    return this.#state.counters.nextNode;
  }

  /** The same array until one of them comes, goes or is another. */
  groups(): readonly GroupRecord[] {
    return this.#state.groups.all();
  }

  group(id: GroupId): GroupRecord | undefined {
    return this.#state.groups.get(id);
  }

  /** The pool a job id is reserved for. */
  jobPool(job: string): string | undefined {
    return this.#state.directory.poolOf(job);
  }

  schedules(): readonly JobScheduleEntity[] {
    return this.#state.schedules.all();
  }

  applications(): readonly ApplicationRecord[] {
    return this.#state.applications.all();
  }

  /** What a blob's name stands for, without its row. */
  blob(container: string, name: string): HeldContent | undefined {
    const content = this.#state.blobs.contentOf(container, name);
    if (content === undefined) return undefined;
    const { manifest, sizeBytes } = content;
    return { manifest, sizeBytes, holders: this.#state.contents.holdersOf(content) };
  }

  /** Manifests of which the machine is named as a holder. Take them before the next `apply`. */
  blobsHeldBy(machine: MachineId): Iterable<string> {
    return this.#state.contents.heldBy(machine);
  }

  manifestHolders(manifest: string): readonly MachineId[] {
    const content = this.#state.contents.get(manifest);
    return content === undefined ? [] : this.#state.contents.holdersOf(content);
  }

  /** False once neither a blob nor a package names it: its chunks may be collected. */
  isReferenced(manifest: string): boolean {
    return this.#state.contents.get(manifest) !== undefined;
  }

  /**
   * Up to `limit` contents with fewer live copies than `BLOB_COPIES` (or than there are live machines), and with one at
   * least; `holders` are the live ones. `passOver`: contents that are being copied already, or that failed of late.
   */
  underCopied(
    limit: number,
    alive: (machine: MachineId) => boolean,
    passOver: (manifest: string) => boolean = () => false,
  ): readonly HeldContent[] {
    let up = 0;
    for (const member of this.#state.members.all()) if (alive(member.id)) up += 1;
    const copies = Math.min(BLOB_COPIES, up);
    return this.#state.contents.underCopied({ limit, copies, alive, passOver });
  }
}

/** A leader's clock that says no number must not become the time of the mesh, which never goes back. */
function wholeMs(timeMs: number): number {
  return Number.isSafeInteger(timeMs) ? timeMs : 0;
}

/** Undefined where the command is none of the mesh group's. */
function executeMesh(state: MeshState, turn: Turn, command: MeshCommand): Outcome<unknown> | undefined {
  if (state.settings === undefined && command.kind !== 'mesh.init') return refuse('NotInitialized');
  switch (command.kind) {
    case 'mesh.init':
      return initMesh(state, turn, command);
    case 'mesh.sweep':
      state.tokens.sweep(turn);
      state.pools.sweep(turn);
      state.schedules.sweep(turn);
      state.blobs.sweep(turn);
      return { ok: true, value: turn.stamp() };
    case 'token.create':
      return createToken(state, turn, command);
    case 'token.revoke':
      return revokeToken(state, turn, command);
    case 'machine.join':
      return joinMachine(state, turn, command);
    case 'machine.update':
      return updateMachine(state, turn, command);
    case 'machine.drain':
      return drainMachine(state, turn, command);
    case 'machine.remove':
      return removeMachine(state, turn, command);
    case 'group.voters':
      return reportVoters(state, turn, command);
    case 'pool.add':
      return addPool(state, turn, command);
    case 'pool.patch':
      return patchPool(state, turn, command);
    case 'pool.resize':
      return resizePool(state, turn, command);
    case 'pool.stopResize':
      return stopResize(state, turn, command);
    case 'pool.removeNodes':
      return removeNodes(state, turn, command);
    case 'pool.enableAutoScale':
      return enableAutoScale(state, turn, command);
    case 'pool.disableAutoScale':
      return disableAutoScale(state, turn, command);
    case 'pool.autoScaled':
      return autoScaled(state, turn, command);
    case 'pool.delete':
      return deletePool(state, turn, command);
    case 'pool.erase':
      return erasePool(state, turn, command);
    case 'allot':
      return allot(state, turn, command);
    case 'node.released':
      return releaseNodes(state, turn, command);
    case 'job.reserve':
      return reserveJob(state, turn, command);
    case 'job.release':
      return releaseJob(state, turn, command);
    case 'schedule.add':
      return addSchedule(state, turn, command);
    case 'schedule.patch':
    case 'schedule.update':
      return changeSchedule(state, turn, command);
    case 'schedule.disable':
      return disableSchedule(state, turn, command);
    case 'schedule.enable':
      return enableSchedule(state, turn, command);
    case 'schedule.terminate':
      return terminateSchedule(state, turn, command);
    case 'schedule.delete':
      return deleteSchedule(state, turn, command);
    case 'schedule.launch':
      return launchJob(state, turn, command);
    case 'schedule.ended':
      return endSchedule(state, turn, command);
    case 'container.create':
      return stamped(turn, state.blobs.createContainer(turn, command.name));
    case 'container.delete':
      return stamped(turn, state.blobs.deleteContainer(turn, command.name));
    case 'blob.put':
      return stamped(turn, state.blobs.put(turn, command));
    case 'blob.delete':
      return stamped(turn, state.blobs.deleteBlobs(turn, command.container, command.names));
    case 'application.put':
      return state.applications.put(turn, command);
    case 'application.update':
      return state.applications.update(turn, command);
    case 'application.delete':
      return state.applications.delete(turn, command);
    case 'blob.holders':
      return changeHolders(state, turn, command);
    default:
      return unknownCommand(command);
  }
}

/** Copies made and lost. Content that no blob names any more is passed over: its copies will be collected. */
function changeHolders(
  state: MeshState,
  turn: Turn,
  command: Extract<MeshCommand, { kind: 'blob.holders' }>,
): Outcome<unknown> {
  for (const { manifest, add, remove } of command.changes) {
    const content = state.contents.get(manifest);
    if (content !== undefined) state.contents.changeHolders(turn, content, add, remove);
  }
  turn.effect({ kind: 'blobsChanged' });
  return { ok: true, value: turn.stamp() };
}

function stamped(turn: Turn, refusal: Refusal | undefined): Outcome<unknown> {
  return refusal ?? { ok: true, value: turn.stamp() };
}

/** To the compiler all kinds are handled; yet the log may hold a pool's command, or one of a later version. */
function unknownCommand(_command: never): undefined {
  return undefined;
}

function wrongGroup(command: Command): Refusal {
  return refuse('InvalidRequestBody', `The mesh group has no command ${command.kind}.`);
}
