/**
 * A mesh of one machine in one process: the real state machines behind the API's port, with nothing between them. What
 * the coordinator and the agents do by themselves, a test does by hand: `addNode`, `start`, `finish`.
 */

import { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import type { Command, CommandResult, Outcome } from '../../../src/model/commands.ts';
import type {
  CallOptions,
  Control,
  LocalStatus,
  LogUpload,
  MeshEvent,
  UploadedLogs,
} from '../../../src/model/control.ts';
import {
  type GroupId,
  idKey,
  type MachineId,
  MESH_GROUP,
  machineId,
  poolGroup,
} from '../../../src/model/ids.ts';
import { unwrap } from '../../../src/model/outcome.ts';
import type { Queries, QueryName } from '../../../src/model/queries.ts';
import type { TaskOutcome } from '../../../src/model/task.ts';
import { LocalGroup } from './local-group.ts';
import { MemoryFiles } from './memory-files.ts';

export const ACCOUNT = 'shoal';
export const ACCOUNT_KEY = Buffer.from('a key of the test, not of any mesh').toString('base64');

const SELF: MachineId = machineId('peer-1', '00000001');

export class LocalControl implements Control {
  readonly files: MemoryFiles;
  /** Every call of the API, for tests that count them. */
  readonly calls: string[] = [];
  readonly #mesh = new MeshMachine();
  readonly #groups = new Map<GroupId, LocalGroup>();
  readonly #listeners = new Set<(event: MeshEvent) => void>();
  readonly #requestIds = new Set<string>();
  #timeMs = Date.parse('2026-11-21T04:26:00.000Z');

  constructor() {
    this.#groups.set(MESH_GROUP, new LocalGroup(this.#mesh));
    this.files = new MemoryFiles(this, SELF, this.#timeMs);
    const settings = { meshId: 'mesh-1', accountName: ACCOUNT, accountKey: ACCOUNT_KEY };
    const capacity = {
      cores: 64,
      memoryBytes: 256 * 1024 ** 3,
      diskBytes: 1024 ** 4,
      gpus: 0,
      labels: [],
      isolation: 'scan',
      operatingSystem: 'Debian GNU/Linux 12',
    } as const;
    const machine = {
      id: SELF,
      peer: 'peer-1',
      name: 'machine-1',
      capacity,
      addresses: [],
      version: '0.1.0',
    };
    unwrap(this.#apply(MESH_GROUP, null, { kind: 'mesh.init', settings, machine }));
  }

  async propose<C extends Command>(
    group: GroupId,
    command: C,
    options?: CallOptions & { readonly requestId?: string },
  ): Promise<CommandResult<C['kind']>> {
    this.calls.push(command.kind);
    if (options?.requestId !== undefined) this.#requestIds.add(options.requestId);
    return this.#apply(group, options?.requestId ?? null, command) as CommandResult<C['kind']>;
  }

  async query<Q extends QueryName>(group: GroupId, name: Q, argument: Queries[Q][0]): Promise<Queries[Q][1]> {
    this.calls.push(name);
    return (await this.#group(group).query(name, argument)) as Queries[Q][1];
  }

  /** Uploads that were asked for. */
  readonly uploads: (LogUpload & { readonly pool: string; readonly node: string })[] = [];

  uploadNodeLogs = async (pool: string, node: string, upload: LogUpload): Promise<UploadedLogs> => {
    this.uploads.push({ pool, node, ...upload });
    return { directory: `${pool}/${node}/upload-${this.uploads.length}`, files: 2 };
  };

  proposeVoters = async (): Promise<readonly MachineId[]> => [SELF];

  status(): LocalStatus {
    return {
      meshId: 'mesh-1',
      machine: {
        id: SELF,
        name: 'machine-1',
        addresses: [],
        version: '0.1.0',
        pid: 1,
        startedAtMs: this.#timeMs,
      },
      connectedPeers: [],
      groups: [],
      runner: { tier: 'scan', pid: 2, running: 0, waiting: 0 },
    };
  }

  async createToken(options: {
    readonly validMs: number;
    readonly uses: number;
  }): Promise<{ id: string; token: string; expiresAtMs: number }> {
    const id = `token-${this.calls.length}`;
    const expiresAtMs = this.#timeMs + options.validMs;
    const command = {
      kind: 'token.create',
      id,
      peer: `peer-${id}`,
      expiresAtMs,
      uses: options.uses,
      createdBy: SELF,
    } as const;
    unwrap(this.#apply(MESH_GROUP, null, command));
    return { id, token: `secret-of-${id}`, expiresAtMs };
  }

  async recover(group: GroupId, confirmed: boolean): Promise<{ lastIndex: number; mayBeLost: string }> {
    if (!this.#groups.has(group)) throw new ShoalError('GroupNotFound');
    if (confirmed) throw new ShoalError('QuorumAlive');
    return { lastIndex: this.#group(group).appliedIndex, mayBeLost: 'nothing' };
  }

  onEvent(listener: (event: MeshEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // --- What a test does in place of coordinators and agents -------------------------------------------------------

  emit(event: MeshEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Each change of the API must carry an id of its own. */
  get distinctRequestIds(): number {
    return this.#requestIds.size;
  }

  pass(durationMs: number): void {
    this.#timeMs += durationMs;
  }

  /** Allots a dedicated node of the pool; its targets must leave room for it. */
  addNode(pool: string, slots = 4): string {
    const node = `tvm-${this.#mesh.nextNodeNumber().toString(16).padStart(8, '0')}`;
    const added = {
      node,
      pool,
      machine: SELF,
      cores: 1,
      memoryBytes: 1024 ** 3,
      slots,
      dedicated: true,
      labels: [],
    };
    unwrap(
      this.#apply(MESH_GROUP, null, {
        kind: 'allot',
        add: [added],
        leave: [],
        resizeErrors: [],
        steady: [pool],
      }),
    );
    unwrap(this.#apply(poolGroup(pool), null, { kind: 'node.heard', node }));
    return node;
  }

  /** Assigns and starts a task; returns its epoch. */
  async start(job: string, task: string, node: string): Promise<number> {
    const { group, numbers } = await this.#numbers(job, task);
    const epoch = await this.assign(job, task, node);
    const item = { ...numbers, epoch, startedAtMs: this.#timeMs };
    unwrap(this.#apply(group, null, { kind: 'report', node, items: [item] }));
    return epoch;
  }

  /** Assigns a task; returns its epoch. */
  async assign(job: string, task: string, node: string, others?: readonly string[]): Promise<number> {
    const { group, numbers } = await this.#numbers(job, task);
    const item = { ...numbers, node, ...(others === undefined ? {} : { others }) };
    const assigned = unwrap(this.#apply(group, null, { kind: 'assign', items: [item] }));
    return (assigned as { readonly epoch: number }).epoch;
  }

  async finish(
    job: string,
    task: string,
    run: { node: string; epoch: number; exitCode: number },
  ): Promise<void> {
    const { group, numbers } = await this.#numbers(job, task);
    const outcome: TaskOutcome = {
      kind: 'exited',
      exitCode: run.exitCode,
      startedAtMs: this.#timeMs,
      endedAtMs: this.#timeMs,
      files: [],
    };
    unwrap(
      this.#apply(group, null, {
        kind: 'report',
        node: run.node,
        items: [{ ...numbers, epoch: run.epoch, outcome }],
      }),
    );
  }

  /** Ends everything that the node was told to run. */
  endAll(pool: string, node: string, exitCode: number): void {
    const group = poolGroup(pool);
    const outcome: TaskOutcome = {
      kind: 'exited',
      exitCode,
      startedAtMs: this.#timeMs,
      endedAtMs: this.#timeMs,
      files: [],
    };
    const { machine } = this.#group(group);
    if (!(machine instanceof PoolMachine)) throw new Error(`${group} is no pool's group`);
    const items = [...machine.executions(node)].map(({ job, task, epoch }) => ({
      job,
      task,
      epoch,
      outcome,
    }));
    unwrap(this.#apply(group, null, { kind: 'report', node, items }));
  }

  /** Runs the sweeps that are due: slices of deletes, wall clocks. */
  sweep(group: GroupId): void {
    for (let turns = 0; turns < 100; turns += 1) {
      const due = this.#group(group).machine.dueAtMs();
      if (due === undefined || due > this.#timeMs) return;
      unwrap(this.#apply(group, null, { kind: 'sweep', limit: 1_000 }));
    }
  }

  async #numbers(
    job: string,
    task: string,
  ): Promise<{ group: GroupId; numbers: { job: number; task: number } }> {
    const pool = this.#mesh.jobPool(job);
    if (pool === undefined) throw new Error(`no job ${job}`);
    const group = poolGroup(pool);
    const jobEntity = (await this.#group(group).query('job.get', { job })) as Queries['job.get'][1];
    const taskEntity = (await this.#group(group).query('task.get', { job, task })) as Queries['task.get'][1];
    return { group, numbers: { job: jobEntity.number, task: taskEntity.number } };
  }

  #apply(group: GroupId, requestId: string | null, command: Command): Outcome<unknown> {
    const outcome = this.#group(group).propose(this.#timeMs, requestId, command);
    if (group === MESH_GROUP) this.#followMesh();
    return outcome;
  }

  /** New groups begin, and every pool's group learns what the mesh group says of its pool. */
  #followMesh(): void {
    const meshIndex = this.#group(MESH_GROUP).appliedIndex;
    for (const { group } of this.#mesh.groups()) {
      if (group === MESH_GROUP) continue;
      const key = group.slice('pool:'.length);
      const local = this.#groups.get(group) ?? new LocalGroup(newPoolMachine(key));
      this.#groups.set(group, local);
      const record = this.#mesh.pool(key);
      const pool =
        record === undefined
          ? { id: key, exists: false, deleting: false, spec: undefined }
          : { id: record.spec.id, exists: true, deleting: record.state === 'deleting', spec: record.spec };
      const nodes = this.#mesh.allotments(key).map(({ pool: _pool, ...node }) => node);
      unwrap(local.propose(this.#timeMs, null, { kind: 'mirror', meshIndex, pool, nodes, removed: [] }));
    }
  }

  #group(group: GroupId): LocalGroup {
    const found = this.#groups.get(group);
    if (found === undefined) throw new ShoalError('NoQuorum', `There is no group ${idKey(group)}.`);
    return found;
  }
}

function newPoolMachine(key: string): PoolMachine {
  return new PoolMachine(key);
}
