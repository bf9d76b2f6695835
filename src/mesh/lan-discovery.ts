import { createHash } from 'node:crypto';
import type { PeerInfo } from '@libp2p/interface';
import { type MulticastDNSComponents, mdns } from '@libp2p/mdns';
import { isLoopback } from './addresses.ts';

export type OnSeen = (peer: string, addresses: readonly string[]) => void;

/**
 * mDNS as a libp2p service. Given to libp2p as peer discovery it would put every machine that answers into the peer store,
 * member or not; here the mesh is asked first.
 */
export function lanDiscovery(meshId: string, onSeen: OnSeen) {
  return (components: MulticastDNSComponents): { start(): Promise<void>; stop(): Promise<void> } => {
    const discovery = mdns({ serviceTag: serviceTagOf(meshId) })(components);
    discovery.addEventListener('peer', (event) => tell(event.detail, onSeen));
    return {
      start: async () => startable(discovery).start(),
      stop: async () => startable(discovery).stop(),
    };
  };
}

function startable(discovery: object): { start(): Promise<void>; stop(): Promise<void> } {
  return discovery as { start(): Promise<void>; stop(): Promise<void> };
}

/** Machines announce their loopback addresses too: of use only where they have no other. */
function tell({ id, multiaddrs }: PeerInfo, onSeen: OnSeen): void {
  const addresses = multiaddrs.map((address) => address.toString());
  const reachable = addresses.filter((address) => !isLoopback(address));
  onSeen(id.toString(), reachable.length > 0 ? reachable : addresses);
}

/** One mDNS service for each mesh. A DNS label has at most 63 bytes and the id is the mesh's own business: hence the hash. */
function serviceTagOf(meshId: string): string {
  const digest = createHash('sha256').update(meshId).digest('hex').slice(0, 16);
  return `_shoal-${digest}._udp.local`;
}
