/** What the file services need of the rest of the agent, and no more of it than that. */
import type { Clock } from '../../src/lib/clock.ts';
import type { Log } from '../../src/lib/log.ts';
import type { BulkTransport, Transport } from '../../src/mesh/interface.ts';
import type { Command, CommandResult } from '../../src/model/commands.ts';
import type { CallOptions } from '../../src/model/control.ts';
import type { GroupId, MachineId, PeerId } from '../../src/model/ids.ts';
import type { Queries, QueryName } from '../../src/model/queries.ts';

export interface HeldManifest {
  readonly manifest: string;
  readonly sizeBytes: number;
  readonly holders: readonly MachineId[];
}

/** This machine's copy of the mesh group's state; it may be a moment behind. */
export interface MeshView {
  machines(): readonly { readonly id: MachineId; readonly scheduling: 'enabled' | 'draining' }[];
  machine(id: MachineId): object | undefined;
  machineByPeer(peer: PeerId): { readonly id: MachineId } | undefined;
  allotment(node: string): { readonly pool: string; readonly machine: MachineId } | undefined;
  jobPool(job: string): string | undefined;
  manifestHolders(manifest: string): readonly MachineId[];
  isReferenced(manifest: string): boolean;
  blobsHeldBy(machine: MachineId): Iterable<string>;
  underCopied(limit: number, alive: (machine: MachineId) => boolean): readonly HeldManifest[];
}

export interface FileCoordinator {
  readonly mesh: MeshView | undefined;
  readonly router: {
    propose<C extends Command>(
      group: GroupId,
      command: C,
      options?: CallOptions,
    ): Promise<CommandResult<C['kind']>>;
    query<Q extends QueryName>(
      group: GroupId,
      name: Q,
      argument: Queries[Q][0],
      options?: CallOptions,
    ): Promise<Queries[Q][1]>;
  };
  readonly presence: { isAlive(machine: MachineId): boolean };
  leads(group: GroupId): boolean;
  /** Throws NotAMember. */
  requireMember(peer: PeerId): void;
}

export interface Surroundings {
  readonly self: MachineId;
  readonly transport: Pick<
    Transport,
    'self' | 'isConnected' | 'connected' | 'send' | 'onMessage' | 'request' | 'onRequest'
  >;
  readonly bulk: BulkTransport;
  readonly coordinator: FileCoordinator;
  readonly clock: Clock;
  readonly log: Log;
  /** Least time between two collections of unreferenced chunks, and how long new ones are safe, ms. */
  readonly collectPeriodMs: number;
}
