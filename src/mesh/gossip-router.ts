import { hash } from 'node:crypto';
import { type GossipSub, type GossipSubComponents, gossipsub } from '@chainsafe/libp2p-gossipsub';
import type { Connection, IncomingStreamData, Message, StreamHandler, Topology } from '@libp2p/interface';
import {
  GOSSIP_BYTES_MAX,
  GOSSIP_OUTBOUND_BYTES_MAX,
  GOSSIP_RPC_BYTES_MAX,
  GOSSIP_TOPICS_MAX,
} from '../lib/limits.ts';
import { ENVELOPE_OVERHEAD_BYTES } from './envelope.ts';

type Registrar = GossipSubComponents['registrar'];

const MESSAGE_BYTES_MAX = GOSSIP_BYTES_MAX + ENVELOPE_OVERHEAD_BYTES;
/** Gossip streams that arrive before their link is up; a peer has one, or two while protocols change. */
const EARLY_STREAMS_MAX = 4;

/**
 * gossipsub 14, made to live on our links.
 *
 * Left alone it attaches to a peer when libp2p has identified it, on whatever connection that was, and lets go when the
 * last connection is gone: with two connections it stays bound to the wrong one, and a reconnect overtakes the old
 * disconnect. Its registrar is therefore replaced by one that speaks of links: attached when a link is up, on the link's
 * own connection, and detached when the link is down, in this order always. It also saves the wait for identify.
 */
export class GossipRouter {
  readonly #prefix: string;
  readonly #isSubscribed: (topic: string) => boolean;
  readonly #topologies = new Set<Topology>();
  readonly #linked = new Map<string, Connection>();
  readonly #early = new Map<string, IncomingStreamData[]>();
  #handler: StreamHandler | undefined;
  #pubsub: GossipSub | undefined;

  /** Only topics that begin with `prefix` exist; messages of those not subscribed to are dropped unread. */
  constructor(prefix: string, isSubscribed: (topic: string) => boolean) {
    this.#prefix = prefix;
    this.#isSubscribed = isSubscribed;
  }

  /** The libp2p service. */
  factory(): (components: GossipSubComponents) => GossipSub {
    const create = gossipsub(this.#options());
    return ({ privateKey, peerId, peerStore, connectionManager, logger, registrar }) => {
      const own = this.#linkRegistrar(registrar);
      const pubsub = create({
        privateKey,
        peerId,
        peerStore,
        connectionManager,
        logger,
        registrar: own,
      }) as GossipSub;
      this.#restrictTopics(pubsub);
      this.#pubsub = pubsub;
      return pubsub;
    };
  }

  /** Throws before libp2p was created. */
  get pubsub(): GossipSub {
    if (this.#pubsub === undefined) throw new Error('gossipsub is not created yet');
    return this.#pubsub;
  }

  attach(peer: string, connection: Connection): void {
    this.#linked.set(peer, connection);
    for (const topology of this.#topologies) topology.onConnect?.(connection.remotePeer, connection);
    const early = this.#early.get(connection.id) ?? [];
    this.#early.delete(connection.id);
    for (const incoming of early) this.#handler?.(incoming);
  }

  detach(peer: string, connection: Connection): void {
    this.#early.delete(connection.id);
    if (this.#linked.get(peer) !== connection) return;
    this.#linked.delete(peer);
    for (const topology of this.#topologies) topology.onDisconnect?.(connection.remotePeer);
  }

  /** False where gossipsub lost a stream of this connection: it logs that and goes on as if nothing were amiss. */
  isWhole(connection: Connection): boolean {
    const open = connection.streams.filter(
      ({ protocol, status }) => status === 'open' && protocol?.startsWith('/meshsub/'),
    );
    const directions = new Set(open.map(({ direction }) => direction));
    return directions.size === 2;
  }

  #linkRegistrar(registrar: Registrar): Registrar {
    return {
      getProtocols: () => registrar.getProtocols(),
      getHandler: (protocol) => registrar.getHandler(protocol),
      getTopologies: () => [...this.#topologies],
      unhandle: (protocol, options) => registrar.unhandle(protocol, options),
      handle: (protocol, handler, options) => {
        this.#handler = handler;
        return registrar.handle(protocol, (incoming) => this.#onStream(incoming), options);
      },
      // gossipsub registers one and the same topology for each version of its protocol: peers speak the newest.
      register: async (_protocol, topology) => {
        this.#topologies.add(topology);
        return 'links';
      },
      unregister: () => this.#topologies.clear(),
    };
  }

  /** The other side's link may be up some milliseconds before ours is. */
  #onStream(incoming: IncomingStreamData): void {
    const { connection, stream } = incoming;
    if (this.#linked.get(connection.remotePeer.toString()) === connection) {
      this.#handler?.(incoming);
      return;
    }
    const early = this.#early.get(connection.id) ?? [];
    if (early.length < EARLY_STREAMS_MAX && connection.status === 'open') {
      this.#early.set(connection.id, [...early, incoming]);
    } else {
      stream.abort(new Error('no link'));
    }
  }

  #options(): Parameters<typeof gossipsub>[0] {
    return {
      // Our envelope is signed; see envelope.ts.
      globalSignaturePolicy: 'StrictNoSign',
      msgIdFn: ({ data }: Message) => hash('sha256', data, 'buffer'),
      dataTransform: {
        inboundTransform: (topic, data) => this.#admit(topic, data),
        outboundTransform: (_topic, data) => data,
      },
      fallbackToFloodsub: false,
      floodPublish: true,
      batchPublish: true,
      allowPublishToZeroTopicPeers: true,
      ignoreDuplicatePublishError: true,
      doPX: false,
      tagMeshPeers: false,
      // A full mesh of links needs little forwarding: publishes flood to every subscriber anyway.
      D: 4,
      Dlo: 3,
      Dhi: 6,
      Dscore: 2,
      Dout: 1,
      Dlazy: 4,
      seenTTL: 60_000,
      maxInboundDataLength: GOSSIP_RPC_BYTES_MAX,
      maxOutboundBufferSize: GOSSIP_OUTBOUND_BYTES_MAX,
      // All of these are Infinity by default (CVE-2026-46679 is not fixed in this line).
      decodeRpcLimits: {
        maxSubscriptions: GOSSIP_TOPICS_MAX,
        maxMessages: 512,
        maxIhaveMessageIDs: 5_000,
        maxIwantMessageIDs: 5_000,
        maxIdontwantMessageIDs: 512,
        maxControlMessages: GOSSIP_TOPICS_MAX,
        maxPeerInfos: 0,
      },
      // Members are trusted or removed. With the defaults eleven agents behind one address score below zero and hear nothing.
      scoreParams: {
        IPColocationFactorWeight: 0,
        behaviourPenaltyWeight: 0,
        appSpecificWeight: 0,
        topics: {},
      },
      scoreThresholds: { gossipThreshold: -1e9, publishThreshold: -1e9, graylistThreshold: -1e9 },
    };
  }

  /** Throwing is gossipsub's way to have a message dropped before it is remembered or forwarded. */
  #admit(topic: string, data: Uint8Array): Uint8Array {
    if (data.byteLength > MESSAGE_BYTES_MAX || !this.#isSubscribed(topic)) throw new Error('not wanted');
    return data;
  }

  /**
   * `allowedTopics` takes a list, but pools come and go and a peer may subscribe to a topic before this machine does. So
   * the private set is replaced by one that answers for the prefix, up to a bound.
   */
  #restrictTopics(pubsub: GossipSub): void {
    const seen = new Set<string>();
    const has = (topic: string): boolean => {
      if (seen.has(topic)) return true;
      if (!topic.startsWith(this.#prefix) || topic.length > this.#prefix.length + 256) return false;
      if (seen.size >= GOSSIP_TOPICS_MAX && !this.#isSubscribed(topic)) return false;
      seen.add(topic);
      return true;
    };
    Object.defineProperty(pubsub, 'allowedTopics', { value: { has } });
  }
}
