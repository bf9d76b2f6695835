/** The HTTP API's one door into the mesh, as this agent offers it. */

import { randomBytes } from 'node:crypto';
import type { Coordinator } from '../../coordinator/driver/coordinator.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { TOKEN_MEMBERS_MAX } from '../../src/lib/limits.ts';
import { generateIdentity } from '../../src/mesh/identity.ts';
import type { Mesh } from '../../src/mesh/interface.ts';
import type { Command, CommandResult } from '../../src/model/commands.ts';
import type {
  CallOptions,
  Control,
  FileControl,
  LocalStatus,
  LogUpload,
  MeshEvent,
  UploadedLogs,
} from '../../src/model/control.ts';
import { type GroupId, type MachineId, MESH_GROUP } from '../../src/model/ids.ts';
import { unwrap } from '../../src/model/outcome.ts';
import type { Queries, QueryName } from '../../src/model/queries.ts';
import type { NodeLogs } from '../logs/node-logs.ts';
import type { RunnerClient } from '../runner/interface.ts';
import type { EventHub } from './event-hub.ts';
import { formatToken } from './token.ts';

export interface AgentControlOptions {
  readonly self: MachineId;
  readonly name: string;
  readonly version: string;
  readonly meshId: string;
  readonly startedAtMs: number;
  readonly mesh: Mesh;
  readonly coordinator: Coordinator;
  readonly runner: RunnerClient;
  readonly files: FileControl;
  readonly logs: NodeLogs;
  readonly events: EventHub;
  readonly wallMs: () => number;
  readonly held: () => number;
  readonly apiUrl: () => string | undefined;
  readonly chooseVoters: () => readonly MachineId[];
}

export class AgentControl implements Control {
  readonly #options: AgentControlOptions;

  constructor(options: AgentControlOptions) {
    this.#options = options;
  }

  get files(): FileControl {
    return this.#options.files;
  }

  uploadNodeLogs(
    pool: string,
    node: string,
    upload: LogUpload,
    options?: CallOptions,
  ): Promise<UploadedLogs> {
    return this.#options.logs.upload(pool, node, upload, options);
  }

  propose<C extends Command>(
    group: GroupId,
    command: C,
    options?: CallOptions & { readonly requestId?: string },
  ): Promise<CommandResult<C['kind']>> {
    const { coordinator } = this.#options;
    // Whom a group can still count on is known by links, not by the log.
    const told = command.kind === 'machine.remove' ? { ...command, silent: coordinator.silent() } : command;
    return coordinator.router.propose(group, told, options);
  }

  async query<Q extends QueryName>(
    group: GroupId,
    name: Q,
    argument: Queries[Q][0],
    options?: CallOptions,
  ): Promise<Queries[Q][1]> {
    const answer = await this.#options.coordinator.router.query(group, name, argument, options);
    // Whether a machine is there is known by links, not by the log: the mesh coordinator's view is close to ours.
    if (name !== 'machine.list') return answer;
    const machines = answer as Queries['machine.list'][1];
    return machines.map((machine) => ({
      ...machine,
      alive: this.#options.coordinator.presence.isAlive(machine.id),
    })) as Queries[Q][1];
  }

  async proposeVoters(): Promise<readonly MachineId[]> {
    return this.#options.chooseVoters();
  }

  status(): LocalStatus {
    const { self, name, version, meshId, startedAtMs, mesh, coordinator, runner, held } = this.#options;
    const apiUrl = this.#options.apiUrl();
    return {
      meshId,
      ...(apiUrl === undefined ? {} : { apiUrl }),
      machine: { id: self, name, addresses: mesh.addresses(), version, pid: process.pid, startedAtMs },
      connectedPeers: mesh.connected(),
      groups: [...coordinator.host.replicas.values()].map((replica) => {
        const { role, leader, term, commit, configuration } = replica.raft.status();
        const leaderName = leader === null ? undefined : coordinator.mesh?.machine(leader)?.name;
        return {
          group: replica.group,
          role: configuration.voters.includes(self)
            ? role === 'preCandidate'
              ? 'candidate'
              : role
            : 'learner',
          leader: leader ?? undefined,
          ...(leaderName === undefined ? {} : { leaderName }),
          term,
          commit,
          applied: replica.appliedIndex,
          voters: configuration.voters,
        };
      }),
      runner: { tier: runner.tier, pid: runner.pid, running: held(), waiting: 0 },
    };
  }

  /** The token carries the temporary identity's key; the mesh group knows only its PeerId. */
  async createToken({
    validMs,
    uses,
  }: {
    readonly validMs: number;
    readonly uses: number;
  }): Promise<{ id: string; token: string; expiresAtMs: number }> {
    const { coordinator, self, meshId, wallMs } = this.#options;
    const { peerId, privateKeyBytes } = generateIdentity();
    const id = randomBytes(6).toString('hex');
    const expiresAtMs = wallMs() + validMs;
    const created = await this.propose(MESH_GROUP, {
      kind: 'token.create',
      id,
      peer: peerId,
      expiresAtMs,
      uses,
      createdBy: self,
    });
    unwrap(created);
    const members = [...(coordinator.mesh?.machines() ?? [])]
      .filter(({ addresses }) => addresses.length > 0)
      .sort((a, b) => Number(b.id === self) - Number(a.id === self))
      .slice(0, TOKEN_MEMBERS_MAX)
      .map(({ peer, addresses }) => ({ peer, addresses: [...addresses] }));
    if (members.length === 0)
      throw new ShoalError(
        'OperationInvalidForCurrentState',
        'No member can be dialled, so a token would lead nowhere.',
        {},
      );
    return { id, token: formatToken({ meshId, id, key: privateKeyBytes, members }), expiresAtMs };
  }

  recover(group: GroupId, confirmed: boolean): Promise<{ lastIndex: number; mayBeLost: string }> {
    return this.#options.coordinator.recover(group, confirmed);
  }

  onEvent(listener: (event: MeshEvent) => void): () => void {
    return this.#options.events.onEvent(listener);
  }
}
