/** A machine: one host running one agent, and what it offers. */
import type { MachineId, PeerId } from './ids.ts';
import type { NodeDeallocationOption } from './pool.ts';

export interface Capacity {
  readonly cores: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: number;
  readonly labels: readonly string[];
  /** How well a task's processes can be held: see the runner's isolation tiers. */
  readonly isolation: 'namespace' | 'cgroup' | 'scan';
  readonly operatingSystem: string;
  /** Kind and version of the container engine that works there. */
  readonly containerEngine?: string;
}

export interface MachineRecord {
  readonly id: MachineId;
  readonly peer: PeerId;
  /** Unique in the mesh; the host's name unless another was given. */
  readonly name: string;
  readonly capacity: Capacity;
  /** Multiaddrs, without /p2p. */
  readonly addresses: readonly string[];
  readonly version: string;
  readonly joinedAtMs: number;
  /** `draining`: its nodes take no new tasks and leave when empty. */
  readonly scheduling: 'enabled' | 'draining';
}

/** A carve-out of one machine allotted to one pool: what the mesh group decides. */
export interface Allotment {
  readonly node: string;
  readonly pool: string;
  readonly machine: MachineId;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly slots: number;
  readonly dedicated: boolean;
  readonly labels: readonly string[];
  readonly allottedAtMs: number;
  /** Set when the node is to leave its pool; it is gone once the pool's coordinator says it is empty. */
  readonly leaving?: {
    readonly option: NodeDeallocationOption;
    readonly reason: 'resize' | 'preempted' | 'drain' | 'poolDeleted';
  };
}

const MULTIADDR = /^\/(?:ip4|ip6|dns4|dns6|dns)\/([^/]+)(?:\/tcp\/(\d+))?/;

/** Of a machine's multiaddrs: the first that leads off the machine, else the first. The port is the agent's own. */
export function hostOf(
  multiaddrs: readonly string[],
): { readonly address: string; readonly port: number } | undefined {
  const hosts = multiaddrs.flatMap((text) => {
    const [, address, port] = MULTIADDR.exec(text) ?? [];
    return address === undefined ? [] : [{ address, port: Number(port ?? 0) }];
  });
  return hosts.find(({ address }) => !/^(?:127\.|::1$|localhost$)/.test(address)) ?? hosts[0];
}

/** What keeps a node from its tasks, as its own machine says it. */
export interface NodeFault {
  readonly code: string;
  readonly message: string;
}
