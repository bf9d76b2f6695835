import type { GossipSub, GossipSubComponents } from '@chainsafe/libp2p-gossipsub';
import { noise } from '@chainsafe/libp2p-noise';
import { identify } from '@libp2p/identify';
import type { ConnectionGater, Libp2p, PrivateKey } from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import { createLibp2p } from 'libp2p';
import {
  DIAL_ADDRESS_MS,
  INBOUND_CONNECTIONS_PER_SECOND_MAX,
  INBOUND_HANDSHAKES_MAX,
} from '../lib/limits.ts';
import type { lanDiscovery } from './lan-discovery.ts';
import { sparingYamux } from './window-updates.ts';

export interface NodeInit {
  readonly privateKey: PrivateKey;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Looks for peers on the LAN; undefined where that is not wanted. */
  readonly discovery: ReturnType<typeof lanDiscovery> | undefined;
  readonly gater: ConnectionGater;
  readonly gossip: (components: GossipSubComponents) => GossipSub;
}

/** The smallest window yamux allows: a bulk stream beside it then delays the control stream by 1 ms, not 36. */
const STREAM_WINDOW_BYTES = 256 * 1024;
/** Far above what one machine meets; the allow-list is the real bound. libp2p would prune connections of its own choice. */
const CONNECTIONS_MAX = 10_000;

/** The libp2p node, not started. What is measured about each option stands in docs/mesh.md. */
export async function createNode(init: NodeInit): Promise<Libp2p> {
  return createLibp2p({
    start: false,
    privateKey: init.privateKey,
    addresses: { listen: [...init.listen], announce: [...init.announce] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [
      sparingYamux({
        initialStreamWindowSize: STREAM_WINDOW_BYTES,
        maxStreamWindowSize: STREAM_WINDOW_BYTES,
        enableKeepAlive: false,
      }),
    ],
    connectionGater: init.gater,
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND_MAX,
      maxIncomingPendingConnections: INBOUND_HANDSHAKES_MAX,
      dialTimeout: DIAL_ADDRESS_MS,
      inboundUpgradeTimeout: DIAL_ADDRESS_MS,
      outboundStreamProtocolNegotiationTimeout: DIAL_ADDRESS_MS,
      inboundStreamProtocolNegotiationTimeout: DIAL_ADDRESS_MS,
    },
    // Every link pings when idle, for 0.02 ms; the monitor opens a stream per ping (1 ms) and leaks timers (js-libp2p#3391).
    connectionMonitor: { enabled: false },
    services: {
      // Answers, but does not ask: the hello of a link says all that the mesh needs.
      identify: identify({ runOnConnectionOpen: false }),
      ping: ping(),
      pubsub: init.gossip,
      ...(init.discovery === undefined ? {} : { discovery: init.discovery }),
    },
  });
}
