import type { Connection, Stream } from '@libp2p/interface';
import { pipe } from 'it-pipe';
import type { Clock } from '../lib/clock.ts';
import { asShoalError, ShoalError } from '../lib/errors.ts';
import {
  LINK_IDLE_PING_MS,
  LINK_OPEN_MS,
  LINK_PROBE_MS,
  LINK_TICK_MS,
  PEER_QUEUE_BYTES_MAX,
  PEER_SILENCE_MS,
} from '../lib/limits.ts';
import type { MeshCounters } from './counters.ts';
import {
  BadFrameError,
  CONTROL_PROTOCOL_VERSION,
  type Frame,
  type FrameParts,
  FrameReader,
  type Hello,
  helloFrame,
  messageFrame,
  PING_FRAME,
  PONG_FRAME,
  refusalFrame,
} from './frames.ts';
import type { RequestHandler, RequestOptions } from './interface.ts';
import { JoinedWriter } from './joined-writer.ts';
import type { MeshLog } from './log.ts';
import { ReceivedRequests, SentRequests } from './requests.ts';

/** What a link tells the mesh and asks of it. */
export interface LinkOwner {
  readonly hello: () => Hello;
  readonly clock: Clock;
  readonly counters: MeshCounters;
  readonly log: MeshLog;
  /** Why a peer with such a hello is not spoken to on this link, if it is not. */
  refusalOf(link: ControlLink, hello: Hello): ShoalError | undefined;
  /** The peer has said why it does not speak to this machine. */
  onRefused(peer: string, reason: ShoalError): void;
  /** The peer's hello came and fits. */
  onUp(link: ControlLink, hello: Hello): void;
  /** Called once. A link that never was up is told of too. */
  onClosed(link: ControlLink, reason: ShoalError): void;
  onMessage(from: string, channel: string, payload: Uint8Array): void;
  handlerOf(method: string): RequestHandler | undefined;
}

type State = 'opening' | 'up' | 'closed';

/**
 * One long-lived stream between two peers: hello, one-way messages, requests and answers, pings.
 *
 * A libp2p stream tells little about its end: the source of a dead peer's stream ends as if it were finished, and the sink
 * may stay pending for ever. So nothing here waits for the sink, and any end of the source closes the link. Silence is
 * counted in turns of our own timer, not on a clock: a loop that stalled for ten seconds counts one turn, because in that
 * time it could not have heard anybody (the idea of Lifeguard, arXiv 1707.00788).
 */
export class ControlLink {
  readonly peer: string;
  readonly connection: Connection;
  readonly #owner: LinkOwner;
  readonly #stream: Stream;
  readonly #writer = new JoinedWriter();
  readonly #sent: SentRequests;
  readonly #received: ReceivedRequests;
  #state: State = 'opening';
  #wasUp = false;
  #boot: number | undefined;
  #heard = 0;
  #silentMs = 0;
  #silenceBoundMs = PEER_SILENCE_MS;
  #idleMs = 0;

  constructor(peer: string, connection: Connection, stream: Stream, owner: LinkOwner) {
    this.peer = peer;
    this.connection = connection;
    this.#owner = owner;
    this.#stream = stream;
    const write = (parts: FrameParts): void => this.#write(parts);
    this.#sent = new SentRequests(peer, owner.clock, write);
    this.#received = new ReceivedRequests(peer, write, (method) => owner.handlerOf(method));
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** True for ever once the hellos were exchanged. */
  get wasUp(): boolean {
    return this.#wasUp;
  }

  /** The life of the peer's process, as its hello names it; undefined before that. */
  get boot(): number | undefined {
    return this.#boot;
  }

  /** How often something came from the peer: it grows while the peer lives, as each ping is answered. */
  get heard(): number {
    return this.#heard;
  }

  /** Says hello and begins to read. */
  open(): void {
    // Two pipes, not one through the duplex: it-pipe would merge them, one more hop for each frame.
    Promise.resolve(pipe(this.#writer.source(), this.#stream.sink)).catch((thrown) =>
      this.close(brokenOff(this.peer, thrown)),
    );
    void pipe(this.#stream.source, (chunks) => this.#read(chunks));
    this.#write(helloFrame(this.#owner.hello()));
  }

  /** False where the queue is full. Throws `TooLarge`. */
  send(channel: string, payload: Uint8Array): boolean {
    if (this.#state !== 'up') return false;
    if (this.#writer.pendingBytes > PEER_QUEUE_BYTES_MAX) {
      this.#owner.counters.sendsRefused += 1;
      return false;
    }
    this.#write(messageFrame(channel, payload));
    return true;
  }

  async request(method: string, payload: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    if (this.#state !== 'up') throw brokenOff(this.peer, undefined);
    if (this.#writer.pendingBytes > PEER_QUEUE_BYTES_MAX) {
      throw new ShoalError(
        'TooManyRequests',
        `More than ${PEER_QUEUE_BYTES_MAX} bytes wait to be sent to ${this.peer}.`,
      );
    }
    return this.#sent.send(method, payload, options);
  }

  /** To be called every LINK_TICK_MS. */
  tick(): void {
    this.#silentMs += LINK_TICK_MS;
    this.#idleMs += LINK_TICK_MS;
    if (this.#state === 'opening' && this.#silentMs >= LINK_OPEN_MS) {
      this.close(
        new ShoalError('PeerUnreachable', `${this.peer} did not say hello within ${LINK_OPEN_MS} ms.`),
      );
    } else if (this.#state === 'up' && this.#silentMs >= this.#silenceBoundMs) {
      this.#owner.counters.linksSilent += 1;
      this.close(new ShoalError('PeerUnreachable', `${this.peer} has been silent for ${this.#silentMs} ms.`));
    } else if (this.#state === 'up' && this.#idleMs >= LINK_IDLE_PING_MS) {
      this.#write(PING_FRAME);
    }
  }

  /** There is reason to doubt that the peer still holds this link: it must show a sign of life soon. */
  probe(): void {
    if (this.#state !== 'up') return;
    this.#silenceBoundMs = Math.min(this.#silenceBoundMs, this.#silentMs + LINK_PROBE_MS);
    this.#write(PING_FRAME);
  }

  /** Tells the peer why, then closes. */
  refuse(error: ShoalError): void {
    if (this.#state === 'closed') return;
    this.#writer.push(refusalFrame(error));
    this.#writer.end();
    this.#finish(error);
    // The peer closes when it has read the refusal; the timer is for one that does not.
    this.#owner.clock.after(LINK_PROBE_MS, () => this.connection.abort(error));
  }

  /** Cuts the link and its connection: gossip and everything else on it go too, and the redial loop starts afresh. */
  close(reason: ShoalError): void {
    if (this.#state === 'closed') return;
    this.#writer.discard();
    this.#finish(reason);
    this.connection.abort(reason);
  }

  #finish(reason: ShoalError): void {
    this.#state = 'closed';
    this.#sent.fail(reason);
    this.#received.abort(reason);
    this.#owner.onClosed(this, reason);
  }

  #write(parts: FrameParts): void {
    if (this.#state === 'closed') return;
    this.#idleMs = 0;
    this.#writer.push(parts);
    // Answers are owed and pass the bound that send() respects; a peer that asks and does not read ends here.
    if (this.#writer.pendingBytes > 2 * PEER_QUEUE_BYTES_MAX) {
      this.close(new ShoalError('PeerUnreachable', `${this.peer} does not read what it asked for.`));
    }
  }

  async #read(chunks: AsyncIterable<{ subarray(): Uint8Array }>): Promise<void> {
    const reader = new FrameReader();
    const onFrame = (frame: Frame): void => this.#onFrame(frame);
    try {
      for await (const chunk of chunks) {
        if (this.#state === 'closed') return;
        this.#heard += 1;
        this.#silentMs = 0;
        this.#silenceBoundMs = PEER_SILENCE_MS;
        reader.push(chunk.subarray(), onFrame);
      }
      this.close(brokenOff(this.peer, undefined));
    } catch (thrown) {
      if (thrown instanceof BadFrameError) this.#onBadFrame(thrown);
      else this.close(brokenOff(this.peer, thrown));
    }
  }

  #onBadFrame(error: BadFrameError): void {
    this.#owner.counters.framesBad += 1;
    this.#owner.log.warn({ peer: this.peer, reason: error.message }, 'bad frame: closing the link');
    this.close(new ShoalError('PeerUnreachable', `${this.peer} sent a bad frame: ${error.message}.`));
  }

  #onFrame(frame: Frame): void {
    switch (this.#state) {
      case 'closed':
        return;
      case 'opening':
        this.#onFirstFrame(frame);
        return;
      case 'up':
        this.#onNextFrame(frame);
        return;
    }
  }

  #onFirstFrame(frame: Frame): void {
    if (frame.kind === 'refusal') {
      this.#onRefusal(frame.error);
      return;
    }
    if (frame.kind !== 'hello') throw new BadFrameError(`the first frame is "${frame.kind}", not "hello"`);
    const refusal = this.#misfit(frame.hello) ?? this.#owner.refusalOf(this, frame.hello);
    if (refusal !== undefined) {
      this.#owner.counters.linksForeign += 1;
      this.#owner.log.warn({ peer: this.peer, reason: refusal.message }, 'refused a link');
      this.refuse(refusal);
      return;
    }
    this.#state = 'up';
    this.#wasUp = true;
    this.#boot = frame.hello.boot;
    this.#owner.counters.linksOpened += 1;
    this.#owner.onUp(this, frame.hello);
  }

  #onRefusal(reason: ShoalError): void {
    this.#owner.onRefused(this.peer, reason);
    this.close(reason);
  }

  #misfit(hello: Hello): ShoalError | undefined {
    const own = this.#owner.hello();
    if (hello.meshId !== own.meshId) {
      return new ShoalError('NotAMember', `${this.peer} belongs to another mesh.`, { peer: this.peer });
    }
    if (hello.protocol !== CONTROL_PROTOCOL_VERSION) {
      const message = `${this.peer} (${hello.software}) speaks version ${hello.protocol} of the control protocol, this machine ${CONTROL_PROTOCOL_VERSION}.`;
      return new ShoalError('PeerUnreachable', message, { peer: this.peer });
    }
    return undefined;
  }

  #onNextFrame(frame: Frame): void {
    switch (frame.kind) {
      case 'message':
        this.#owner.onMessage(this.peer, frame.channel, frame.payload);
        return;
      case 'request':
        if (!this.#received.onRequest(frame)) this.#owner.counters.requestsRefused += 1;
        return;
      case 'answer':
        this.#sent.onAnswer(frame.id, frame.payload);
        return;
      case 'failure':
        this.#sent.onFailure(frame.id, frame.error);
        return;
      case 'cancel':
        this.#received.onCancel(frame.id);
        return;
      case 'ping':
        this.#write(PONG_FRAME);
        return;
      case 'pong':
        return;
      case 'refusal':
        this.#onRefusal(frame.error);
        return;
      case 'hello':
        throw new BadFrameError('a second hello');
    }
  }
}

function brokenOff(peer: string, cause: unknown): ShoalError {
  const detail = cause === undefined ? '' : `: ${asShoalError(cause).message}`;
  return new ShoalError(
    'PeerUnreachable',
    `The connection to ${peer} is closed${detail}.`,
    { peer },
    { cause },
  );
}
