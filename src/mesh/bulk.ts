import { addAbortSignal, type Duplex } from 'node:stream';
import type { Connection, IncomingStreamData, Libp2p, Stream } from '@libp2p/interface';
import type { Clock } from '../lib/clock.ts';
import { asShoalError, ShoalError } from '../lib/errors.ts';
import {
  BULK_CONNECT_MS,
  BULK_HEADER_BYTES_MAX,
  BULK_PATH_RETRY_MS,
  LINK_PROBE_MS,
  PEER_SILENCE_MS,
  RPC_TIMEOUT_MS,
} from '../lib/limits.ts';
import { hostOf } from './addresses.ts';
import { BulkDuplex, type BulkPipe } from './bulk-duplex.ts';
import { socketPipe, streamPipe } from './bulk-pipes.ts';
import { BulkServer, connectBulk } from './bulk-sockets.ts';
import { BulkTickets, type Ticket } from './bulk-tickets.ts';
import type { ControlLink } from './control-link.ts';
import type { MeshCounters } from './counters.ts';
import type { BulkStream, RequestHandler } from './interface.ts';
import type { MeshLog } from './log.ts';

const BULK_PROTOCOL = '/shoal/bulk/1';
const STREAMS_PER_CONNECTION_MAX = 64;
const TICKET_ID_BYTES = 32;

type BulkHandler = (from: string, header: Uint8Array, stream: Duplex) => void;

/** What a ticket is for: the peer opens a stream to a handler here, or it brings back the stream that this side asked for. */
type Use =
  | { readonly kind: 'serve'; readonly purpose: string; readonly header: Buffer }
  | { readonly kind: 'reverse'; readonly deliver: (pipe: BulkPipe) => void };

/** The three ways to open a stream, best first. Each needs less of the network than the one before it. */
const WAYS = ['direct', 'reverse', 'stream'] as const;
type Way = (typeof WAYS)[number];

interface Opening {
  readonly link: ControlLink;
  readonly purpose: string;
  readonly header: Buffer;
  readonly signal: AbortSignal;
}

export interface BulkInit {
  readonly linkOf: (peer: string) => ControlLink | undefined;
  readonly onRequest: (method: string, handler: RequestHandler) => void;
  /** Where to listen for bulk sockets; undefined where this machine takes none. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly clock: Clock;
  readonly counters: MeshCounters;
  readonly log: MeshLog;
}

/**
 * Byte streams beside the control link. Normally the receiver's ticket opens a TLS socket to it; if it cannot be dialled it
 * dials back with a ticket of ours; if neither works the bytes go through the mesh connection, with credit.
 */
export class Bulk {
  readonly #init: BulkInit;
  readonly #handlers = new Map<string, BulkHandler>();
  readonly #tickets: BulkTickets<Use>;
  readonly #streams = new Map<string, Set<BulkDuplex>>();
  /** Ways that failed, by peer, and until when (monotonic) they are not tried. */
  readonly #closedWays = new Map<string, Map<Way, number>>();
  #server: BulkServer<Use> | undefined;

  constructor(init: BulkInit) {
    this.#init = init;
    this.#tickets = new BulkTickets(init.clock);
    init.onRequest('mesh/bulk-ticket', async (from, payload) => this.#giveTicket(from, payload));
    init.onRequest('mesh/bulk-reverse', (from, payload, signal) => this.#dialBack(from, payload, signal));
  }

  async start(node: Libp2p): Promise<void> {
    const options = {
      maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
      maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
    };
    await node.handle(BULK_PROTOCOL, (incoming) => void this.#onStream(incoming), options);
    if (this.#init.listen === undefined) return;
    const onSocket = (ticket: Ticket<Use>, socket: Parameters<typeof socketPipe>[0]): void =>
      this.#use(ticket, socketPipe(socket));
    this.#server = new BulkServer(this.#tickets, onSocket, () => {
      this.#init.counters.bulkRefused += 1;
    });
    await this.#server.listen(this.#init.listen.host, this.#init.listen.port);
  }

  async stop(): Promise<void> {
    const reason = new ShoalError('PeerUnreachable', 'This machine leaves the mesh.');
    for (const peer of [...this.#streams.keys()]) this.#destroyStreams(peer, reason);
    this.#tickets.clear();
    await this.#server?.close();
  }

  on(purpose: string, handler: BulkHandler): void {
    this.#handlers.set(purpose, handler);
  }

  async open(peer: string, purpose: string, header: Uint8Array, signal?: AbortSignal): Promise<BulkStream> {
    if (header.byteLength > BULK_HEADER_BYTES_MAX) {
      throw new ShoalError('TooLarge', `A bulk header has at most ${BULK_HEADER_BYTES_MAX} bytes.`);
    }
    const link = this.#init.linkOf(peer);
    if (link === undefined) throw new ShoalError('PeerUnreachable', `There is no link to ${peer}.`, { peer });
    const opening = {
      link,
      purpose,
      header: Buffer.from(header),
      signal: signal ?? new AbortController().signal,
    };
    for (const way of WAYS) {
      if (this.#isClosed(peer, way)) continue;
      const pipe = await this.#tryWay(way, opening);
      if (pipe === undefined) {
        this.#close(peer, way);
        continue;
      }
      const stream = this.#track(peer, pipe);
      return signal === undefined ? stream : addAbortSignal(signal, stream);
    }
    throw new ShoalError('PeerUnreachable', `No bulk stream to ${peer} could be opened.`, { peer });
  }

  /** Streams and tickets of peers that are not members any more. */
  retain(isAllowed: (peer: string) => boolean): void {
    this.#tickets.retain(isAllowed);
    for (const peer of [...this.#streams.keys()]) {
      if (!isAllowed(peer))
        this.#destroyStreams(peer, new ShoalError('NotAMember', `${peer} was removed.`, { peer }));
    }
  }

  /** The peer may have come back from elsewhere: every way is worth a try. */
  onLinkUp(peer: string): void {
    this.#closedWays.delete(peer);
  }

  /** A socket of a peer that was cut off would wait for TCP to give up: minutes. A link that is only dialled anew costs no transfer. */
  onLinkDown(peer: string, reason: ShoalError): void {
    if (!this.#streams.has(peer)) return;
    this.#init.clock.after(PEER_SILENCE_MS, () => {
      if (this.#init.linkOf(peer) === undefined) this.#destroyStreams(peer, reason);
    });
  }

  #isClosed(peer: string, way: Way): boolean {
    const untilMs = this.#closedWays.get(peer)?.get(way);
    return untilMs !== undefined && untilMs > this.#init.clock.monotonicMs();
  }

  #close(peer: string, way: Way): void {
    this.#init.log.info({ peer, way }, 'bulk streams cannot be opened this way');
    if (way === 'stream') return;
    const ways = this.#closedWays.get(peer) ?? new Map<Way, number>();
    ways.set(way, this.#init.clock.monotonicMs() + BULK_PATH_RETRY_MS);
    this.#closedWays.set(peer, ways);
  }

  /** Undefined where the network does not allow this way; throws where the peer refuses or the caller gave up. */
  async #tryWay(way: Way, opening: Opening): Promise<BulkPipe | undefined> {
    switch (way) {
      case 'direct':
        return this.#openDirect(opening);
      case 'reverse':
        return this.#openReverse(opening);
      case 'stream':
        return this.#openStream(opening);
    }
  }

  async #openDirect(opening: Opening): Promise<BulkPipe | undefined> {
    const { id, key, port } = await this.#askForTicket(opening);
    if (port === undefined) return undefined;
    return connectedPipe(opening.link.connection, port, id, key, opening.signal);
  }

  async #openReverse({ link, purpose, header, signal }: Opening): Promise<BulkPipe | undefined> {
    if (this.#server === undefined) return undefined;
    const { port } = this.#server;
    let deliver: (pipe: BulkPipe) => void = () => {};
    const delivered = new Promise<BulkPipe>((resolve) => {
      deliver = resolve;
    });
    const ticket = this.#tickets.issue(link.peer, { kind: 'reverse', deliver });
    try {
      const fields = {
        purpose,
        header: header.toString('base64'),
        id: ticket.id,
        key: ticket.key.toString('base64'),
        port,
      };
      const answer = await link.request('mesh/bulk-reverse', toJson(fields), {
        timeoutMs: 2 * BULK_CONNECT_MS,
        signal,
      });
      return fromJson(answer).connected === true
        ? await this.#atMost(LINK_PROBE_MS, delivered, link.peer)
        : undefined;
    } finally {
      this.#tickets.take(ticket.id);
    }
  }

  /** A peer that closes its socket at once, before this side has seen the end of the handshake, would be waited for without end. */
  #atMost<Value>(boundMs: number, promise: Promise<Value>, peer: string): Promise<Value> {
    return new Promise((resolve, reject) => {
      const closed = new ShoalError('PeerUnreachable', `${peer} opened the stream and closed it at once.`, {
        peer,
      });
      const timer = this.#init.clock.after(boundMs, () => reject(closed));
      void promise.then(resolve).finally(() => timer.cancel());
    });
  }

  async #openStream(opening: Opening): Promise<BulkPipe | undefined> {
    const { id } = await this.#askForTicket(opening);
    const signal = AbortSignal.any([opening.signal, AbortSignal.timeout(BULK_CONNECT_MS)]);
    try {
      const stream = await opening.link.connection.newStream(BULK_PROTOCOL, {
        signal,
        maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
      });
      const pipe = streamPipe(stream, stream.source);
      pipe.write([Buffer.from(id)]);
      return pipe;
    } catch (thrown) {
      opening.signal.throwIfAborted();
      throw new ShoalError(
        'PeerUnreachable',
        asShoalError(thrown).message,
        { peer: opening.link.peer },
        { cause: thrown },
      );
    }
  }

  async #askForTicket(opening: Opening): Promise<{ id: string; key: Buffer; port: number | undefined }> {
    const { link, purpose, header, signal } = opening;
    const fields = { purpose, header: header.toString('base64') };
    const answer = await link.request('mesh/bulk-ticket', toJson(fields), {
      timeoutMs: RPC_TIMEOUT_MS,
      signal,
    });
    const { id, key, port } = fromJson(answer);
    return {
      id: text(id),
      key: Buffer.from(text(key), 'base64'),
      port: typeof port === 'number' ? port : undefined,
    };
  }

  #giveTicket(from: string, payload: Uint8Array): Buffer {
    const { purpose, header } = this.#wanted(payload);
    const { id, key } = this.#tickets.issue(from, { kind: 'serve', purpose, header });
    return toJson({ id, key: key.toString('base64'), port: this.#server?.port });
  }

  async #dialBack(from: string, payload: Uint8Array, signal: AbortSignal): Promise<Buffer> {
    const { purpose, header } = this.#wanted(payload);
    const { id, key, port } = fromJson(payload);
    const link = this.#init.linkOf(from);
    if (link === undefined || typeof port !== 'number') return toJson({ connected: false });
    const pipe = await connectedPipe(
      link.connection,
      port,
      text(id),
      Buffer.from(text(key), 'base64'),
      signal,
    );
    if (pipe !== undefined) this.#serve(from, purpose, header, pipe);
    return toJson({ connected: pipe !== undefined });
  }

  /** Checked when the ticket is asked for, so that the asker learns at once that nobody here serves this purpose. */
  #wanted(payload: Uint8Array): { purpose: string; header: Buffer } {
    const fields = fromJson(payload);
    const purpose = text(fields.purpose);
    if (!this.#handlers.has(purpose)) {
      throw new ShoalError('UnknownMethod', `The peer serves no bulk streams for "${purpose}".`, { purpose });
    }
    return { purpose, header: Buffer.from(text(fields.header), 'base64') };
  }

  async #onStream({ stream, connection }: IncomingStreamData): Promise<void> {
    const peer = connection.remotePeer.toString();
    try {
      const { prefix, rest } = await splitPrefix(stream, TICKET_ID_BYTES);
      const ticket = this.#tickets.take(prefix);
      if (ticket === undefined || ticket.peer !== peer || ticket.use.kind !== 'serve')
        throw new Error('no such ticket');
      this.#use(ticket, streamPipe(stream, rest));
    } catch (thrown) {
      this.#init.counters.bulkRefused += 1;
      stream.abort(asShoalError(thrown));
    }
  }

  #use({ peer, use }: Ticket<Use>, pipe: BulkPipe): void {
    if (use.kind === 'serve') this.#serve(peer, use.purpose, use.header, pipe);
    else use.deliver(pipe);
  }

  #serve(from: string, purpose: string, header: Buffer, pipe: BulkPipe): void {
    const stream = this.#track(from, pipe);
    try {
      this.#handlers.get(purpose)?.(from, header, stream);
    } catch (thrown) {
      this.#init.log.warn({ err: thrown, from, purpose }, 'a bulk handler threw');
      stream.destroy(asShoalError(thrown));
    }
  }

  #track(peer: string, pipe: BulkPipe): BulkDuplex {
    const stream = new BulkDuplex(peer, pipe);
    const streams = this.#streams.get(peer) ?? new Set();
    this.#streams.set(peer, streams.add(stream));
    this.#init.counters.bulkOpened += 1;
    // A peer can break a stream before its handler listens; an error nobody hears would end the process.
    stream.on('error', (err) => this.#init.log.debug({ peer, err }, 'bulk stream failed'));
    stream.on('close', () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(peer) === streams) this.#streams.delete(peer);
    });
    return stream;
  }

  #destroyStreams(peer: string, reason: ShoalError): void {
    for (const stream of [...(this.#streams.get(peer) ?? [])]) stream.destroy(reason);
  }
}

/** A socket to where the peer's mesh connection comes from or leads to; undefined where none can be opened. */
async function connectedPipe(
  connection: Connection,
  port: number,
  id: string,
  key: Buffer,
  signal: AbortSignal,
): Promise<BulkPipe | undefined> {
  try {
    return await connectBulk(hostOf(connection.remoteAddr.toString()), port, id, key, signal);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    return undefined;
  }
}

/** The first `bytes` of a stream as text, and what follows them. */
async function splitPrefix(
  stream: Stream,
  bytes: number,
): Promise<{ prefix: string; rest: AsyncIterable<Uint8Array> }> {
  const chunks = stream.source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.byteLength < bytes) {
    const { value, done } = await chunks.next();
    if (done === true) throw new Error('a bulk stream ended before its ticket');
    head = Buffer.concat([head, value.subarray()]);
  }
  async function* rest(): AsyncGenerator<Uint8Array, void, void> {
    yield head.subarray(bytes);
    for (;;) {
      const { value, done } = await chunks.next();
      if (done === true) return;
      yield value.subarray();
    }
  }
  return { prefix: head.toString('latin1', 0, bytes), rest: rest() };
}

function toJson(fields: object): Buffer {
  return Buffer.from(JSON.stringify(fields));
}

function fromJson(payload: Uint8Array): Record<string, unknown> {
  if (payload.byteLength <= 2 * BULK_HEADER_BYTES_MAX) {
    try {
      const value: unknown = JSON.parse(Buffer.from(payload).toString());
      if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
    } catch {
      // Falls through: what does not parse is as wrong as what is not an object.
    }
  }
  throw new ShoalError('InvalidRequestBody', 'A request for a bulk stream does not parse.');
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new ShoalError('InvalidRequestBody', 'A request for a bulk stream lacks a field.');
}
