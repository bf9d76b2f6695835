import type { Duplex } from 'node:stream';

/** Carries messages between machines; what the coordinator and the agent know of the network. A simulator implements it too. */
export interface Transport {
  /** This machine's PeerId, base58. */
  readonly self: string;
  /** PeerIds with a live connection. */
  connected(): readonly string[];
  isConnected(peer: string): boolean;
  /** Called when a peer's connection comes up or is lost. Returns how to stop. */
  onPeer(listener: (peer: string, up: boolean) => void): () => void;
  /** One way, at most once, in order per peer while the connection lives. False where there is no connection or its queue is full. */
  send(peer: string, channel: string, payload: Uint8Array): boolean;
  onMessage(channel: string, listener: (from: string, payload: Uint8Array) => void): void;
  /**
   * Rejects with a `ShoalError`: the handler's own (code, message and values survive the wire), `PeerUnreachable`,
   * `OperationTimedOut` or `TooLarge`.
   */
  request(peer: string, method: string, payload: Uint8Array, options?: RequestOptions): Promise<Uint8Array>;
  onRequest(method: string, handler: RequestHandler): void;
  /** Gossip: at most once, to every subscriber. Throws `TooLarge` above GOSSIP_BYTES_MAX. Never rejects because nobody listens. */
  publish(topic: string, payload: Uint8Array): void;
  /** `from` is the verified author, not the last hop. Returns how to stop. */
  subscribe(topic: string, listener: (from: string, payload: Uint8Array) => void): () => void;
}

export interface RequestOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type RequestHandler = (from: string, payload: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

/** A stream to a peer. The callback of a write says that the memory of its bytes may be used anew. */
export interface BulkStream extends Duplex {
  /**
   * Instead of reading: `take` gets each piece as it comes, in memory that is overwritten when it returns. It cannot hold
   * the sender back, so it is for those who bound what may come by what they ask for.
   */
  borrow(take: (piece: Buffer) => void): void;
}

/** Streams of bytes beside the control connection, with real back-pressure. */
export interface BulkTransport {
  /** Opens a stream to the peer's handler of `purpose`; `header` reaches the handler with it. */
  openBulk(peer: string, purpose: string, header: Uint8Array, signal?: AbortSignal): Promise<BulkStream>;
  onBulk(purpose: string, handler: (from: string, header: Uint8Array, stream: Duplex) => void): void;
}

/** The whole mesh node, as the composition root sees it. */
export interface Mesh extends Transport, BulkTransport {
  /** Multiaddrs others can dial, without the /p2p part. */
  addresses(): readonly string[];
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The gater asks this before any protocol opens. Called again whenever the list changes: connections of peers that left are cut. */
  setAllowed(peers: ReadonlySet<string>): void;
  /** Addresses to try for a peer. The redial loop keeps one connection to every allowed peer it has an address of. */
  learn(peer: string, addresses: readonly string[]): void;
  /** Multiaddrs known for a peer. */
  knownAddresses(peer: string): readonly string[];
  /** Dials now; resolves when connected. Rejects with `PeerUnreachable` or `NotAMember`. */
  dial(peer: string, addresses: readonly string[], signal?: AbortSignal): Promise<void>;
}
