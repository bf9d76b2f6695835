/** Requests, messages and bulk streams between machines of one process: in order, at once, counted, and cut when asked. */
import type { Duplex } from 'node:stream';
import { asShoalError, ShoalError } from '../../../src/lib/errors.ts';
import type {
  BulkStream,
  BulkTransport,
  RequestHandler,
  RequestOptions,
  Transport,
} from '../../../src/mesh/interface.ts';
import { StreamEnd, type StreamWay } from '../../support/stream-pair.ts';

type BulkHandler = (from: string, header: Uint8Array, stream: Duplex) => void;

export class MemoryNetwork {
  readonly #peers = new Map<string, MemoryPeer>();
  /** Bytes that each peer wrote into bulk streams. */
  readonly sentBytes = new Map<string, number>();
  /** Requests by method, over all machines. */
  readonly requests = new Map<string, number>();

  join(peer: string): MemoryPeer {
    const joined = new MemoryPeer(peer, this);
    this.#peers.set(peer, joined);
    return joined;
  }

  /** The machine is gone: nothing reaches it, and its streams break. */
  cut(peer: string): void {
    const gone = this.#peers.get(peer);
    this.#peers.delete(peer);
    gone?.breakStreams();
  }

  peer(peer: string): MemoryPeer | undefined {
    return this.#peers.get(peer);
  }

  peers(): readonly string[] {
    return [...this.#peers.keys()];
  }

  countSent(peer: string, bytes: number): void {
    this.sentBytes.set(peer, (this.sentBytes.get(peer) ?? 0) + bytes);
  }

  countRequest(method: string): void {
    this.requests.set(method, (this.requests.get(method) ?? 0) + 1);
  }
}

export class MemoryPeer implements Transport, BulkTransport {
  readonly self: string;
  readonly #network: MemoryNetwork;
  readonly #requests = new Map<string, RequestHandler>();
  readonly #messages = new Map<string, (from: string, payload: Uint8Array) => void>();
  readonly #bulk = new Map<string, BulkHandler>();
  readonly #streams = new Set<Duplex>();

  constructor(self: string, network: MemoryNetwork) {
    this.self = self;
    this.#network = network;
  }

  connected(): readonly string[] {
    return this.#network.peers().filter((peer) => peer !== this.self);
  }

  isConnected(peer: string): boolean {
    return this.#network.peer(peer) !== undefined && this.#network.peer(this.self) !== undefined;
  }

  onPeer(): () => void {
    return () => undefined;
  }

  send(peer: string, channel: string, payload: Uint8Array): boolean {
    const to = this.#network.peer(peer);
    if (to === undefined) return false;
    setImmediate(() => to.deliver(this.self, channel, payload));
    return true;
  }

  onMessage(channel: string, listener: (from: string, payload: Uint8Array) => void): void {
    this.#messages.set(channel, listener);
  }

  async request(
    peer: string,
    method: string,
    payload: Uint8Array,
    options: RequestOptions = {},
  ): Promise<Uint8Array> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#network.countRequest(method);
    const to = this.isConnected(peer) ? this.#network.peer(peer) : undefined;
    if (to === undefined) throw new ShoalError('PeerUnreachable', `There is no link to ${peer}.`);
    const handler = to.#requests.get(method);
    if (handler === undefined) throw new ShoalError('UnknownMethod');
    const aborter = new AbortController();
    options.signal?.addEventListener('abort', () => aborter.abort(), { once: true });
    try {
      return await handler(this.self, payload, aborter.signal);
    } catch (error) {
      const { code, message, values } = asShoalError(error);
      throw new ShoalError(code, message, values);
    }
  }

  onRequest(method: string, handler: RequestHandler): void {
    this.#requests.set(method, handler);
  }

  deliver(from: string, channel: string, payload: Uint8Array): void {
    this.#messages.get(channel)?.(from, payload);
  }

  publish(): void {}

  subscribe(): () => void {
    return () => undefined;
  }

  async openBulk(
    peer: string,
    purpose: string,
    header: Uint8Array,
    signal?: AbortSignal,
  ): Promise<BulkStream> {
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    const to = this.isConnected(peer) ? this.#network.peer(peer) : undefined;
    const handler = to?.bulkHandler(purpose);
    if (to === undefined || handler === undefined)
      throw new ShoalError('PeerUnreachable', `No way to ${peer}.`);
    const [here, there] = StreamEnd.pair(this.#streamWay(), to.#streamWay());
    handler(this.self, header, there);
    signal?.addEventListener('abort', () => here.destroy(asShoalError(signal.reason)), { once: true });
    return here;
  }

  onBulk(purpose: string, handler: BulkHandler): void {
    this.#bulk.set(purpose, handler);
  }

  bulkHandler(purpose: string): BulkHandler | undefined {
    return this.#bulk.get(purpose);
  }

  breakStreams(): void {
    for (const stream of this.#streams) stream.destroy(new ShoalError('PeerUnreachable', 'cut'));
  }

  #streamWay(): StreamWay {
    return {
      bring: (arrive) => void setImmediate(arrive),
      attach: (stream) => {
        this.#streams.add(stream);
        stream.on('close', () => this.#streams.delete(stream));
      },
      onSent: (bytes) => this.#network.countSent(this.self, bytes),
    };
  }
}
