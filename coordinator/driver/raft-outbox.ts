/** Gathers the Raft messages of all groups in one turn, so that each peer gets one frame. */
import type { Clock } from '../../src/lib/clock.ts';
import { FRAME_BYTES_MAX } from '../../src/lib/limits.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { peerOfMachine } from '../../src/model/ids.ts';
import { RAFT_CHANNEL, RaftFrame } from '../../src/wire/protocol.ts';
import type { Message } from '../consensus/index.ts';
import { bytesOf, SharedEntries } from './shared-entries.ts';

type Envelope = Parameters<typeof RaftFrame.encode>[0]['messages'][number];
export type WireMessage = Envelope['message'];

/** Entries of one frame; the rest goes into the next. */
const FRAME_BYTES_TARGET = FRAME_BYTES_MAX / 8;

export class RaftOutbox {
  readonly #transport: Transport;
  readonly #clock: Clock;
  /** Monotonic ms of the last frame to each peer. */
  readonly #sentAtMs = new Map<string, number>();
  readonly #shared = new SharedEntries();
  readonly #byPeer = new Map<string, { messages: Envelope[]; bytes: number }>();

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  add(group: string, generation: number, message: Exclude<Message, { kind: 'snapshot' }>): void {
    const peer = peerOfMachine(message.to);
    let queue = this.#byPeer.get(peer);
    if (queue === undefined) {
      queue = { messages: [], bytes: 0 };
      this.#byPeer.set(peer, queue);
    }
    if (message.kind === 'append') {
      const packed = this.#shared.pack({ group, generation, ...message });
      queue.bytes += packed?.deflated.length ?? bytesOf(message.entries);
      const entries = packed === undefined ? { entries: [...message.entries] } : { entries: [], packed };
      queue.messages.push({ group, generation, message: { ...message, ...entries } });
    } else queue.messages.push({ group, generation, message: message as WireMessage });
    if (queue.bytes >= FRAME_BYTES_TARGET) this.#send(peer, queue);
  }

  flush(): void {
    for (const [peer, queue] of this.#byPeer) if (queue.messages.length > 0) this.#send(peer, queue);
    this.#byPeer.clear();
  }

  /** How long ago anything was sent to the peer. */
  quietMs(peer: string): number {
    return this.#clock.monotonicMs() - (this.#sentAtMs.get(peer) ?? Number.NEGATIVE_INFINITY);
  }

  forget(peer: string): void {
    this.#sentAtMs.delete(peer);
  }

  /** A frame without a message. */
  beat(peer: string): void {
    this.#send(peer, { messages: [], bytes: 0 });
  }

  /** A frame that cannot be sent is lost like any other message: Raft asks again. */
  #send(peer: string, queue: { messages: Envelope[]; bytes: number }): void {
    const wallMs = Math.max(0, Math.floor(this.#clock.wallMs()));
    this.#transport.send(peer, RAFT_CHANNEL, RaftFrame.encode({ wallMs, messages: queue.messages }));
    this.#sentAtMs.set(peer, this.#clock.monotonicMs());
    queue.messages = [];
    queue.bytes = 0;
  }
}
