/**
 * The network between the machines of a world: connections as a mesh layer keeps them, over links that can lose, delay
 * and be cut, one way or both. A cut link holds what is sent, as TCP does, until it is mended or one end has been
 * silent for too long to the other; then the connection is gone, and with it what was held. Ends learn of it apart.
 */
import { setMaxListeners } from 'node:events';
import { asShoalError, ShoalError } from '../../../src/lib/errors.ts';
import { PEER_SILENCE_MS, RPC_TIMEOUT_MS } from '../../../src/lib/limits.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type {
  BulkStream,
  BulkTransport,
  RequestHandler,
  RequestOptions,
  Transport,
} from '../../../src/mesh/interface.ts';
import { StreamEnd, type StreamWay } from '../../support/stream-pair.ts';
import { Scope, type VirtualTime } from './virtual-time.ts';

type BulkHandler = Parameters<BulkTransport['onBulk']>[1];
type MessageListener = (from: string, payload: Uint8Array) => void;

/** How bad the links are now; probabilities of each message, milliseconds. */
export interface Weather {
  loss: number;
  gossipLoss: number;
  gossipCopies: number;
  delay: number;
  delayMsMax: number;
  /** A message arrives damaged. TLS tells, and ends the connection: no agent ever sees other bytes than were sent. */
  corrupt: number;
}

export const CALM: Readonly<Weather> = {
  loss: 0,
  gossipLoss: 0,
  gossipCopies: 0,
  delay: 0,
  delayMsMax: 0,
  corrupt: 0,
};

const HOP_MS = { low: 0.1, high: 2 } as const;
/** A copy of a gossip message may come this much later. */
const COPY_MS_MAX = 4_000;
/** Two machines that lost their connection try for another after this long. Later tries follow from what changes. */
const REDIAL_MS = { low: 300, high: 1_200 } as const;
const SILENCE_JITTER_MS = 500;

/** One life's place in the network. */
export interface Place {
  readonly self: string;
  readonly scope: Scope;
  readonly address: string;
  /** Where it would look for a peer that nobody told it of: out of the mesh's own list, or of its configuration. */
  readonly knows: (peer: string) => string | undefined;
}

interface PendingRequest {
  readonly reject: (error: ShoalError) => void;
}

/** One of the two ends of a connection. */
interface End {
  readonly endpoint: Endpoint;
  open: boolean;
  /** When the last thing sent from here in order arrives at the other end. */
  lastArrivalMs: number;
  readonly pending: Set<PendingRequest>;
  /** Sent from here while the link was cut. */
  readonly held: (() => void)[];
}

interface Connection {
  readonly a: End;
  readonly b: End;
}

export class SimNetwork {
  readonly #time: VirtualTime;
  readonly #random: Prng;
  readonly #note: (who: string, what: () => string) => void;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #cut = new Map<string, number>();
  readonly #world = new Scope('network');
  #cuts = 0;
  #isLan = false;
  weather: Weather = { ...CALM };

  constructor(time: VirtualTime, random: Prng, note: (who: string, what: () => string) => void) {
    this.#time = time;
    this.#random = random;
    this.#note = note;
  }

  /**
   * Could each of these machines hear of each other one from third ones, if not by itself? Not so where all that admit a
   * machine look for it where it is no more, and it for them.
   */
  isWhole(names: readonly string[]): boolean {
    const [first, ...others] = names.flatMap((name) => this.#endpoints.get(name) ?? []);
    const unseen = new Set(others);
    const edge = [first];
    for (let one = edge.pop(); one !== undefined; one = edge.pop())
      for (const other of unseen) if (canMeet(one, other) && unseen.delete(other)) edge.push(other);
    return unseen.size === 0;
  }

  /** All machines are in one LAN from now on, where each hears the others' announcements. */
  discoverAll(): void {
    this.#isLan = true;
    for (const endpoint of this.#endpoints.values()) this.nudge(endpoint);
  }

  /** The network's end of one life of an agent. */
  open(place: Place): Endpoint {
    const endpoint = new Endpoint(this, this.#time, place);
    this.#endpoints.set(place.self, endpoint);
    this.nudge(endpoint);
    return endpoint;
  }

  // --- Faults -------------------------------------------------------------------------------------------------------

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  cut(from: string, to: string): void {
    if (this.isCut(from, to)) return;
    const number = ++this.#cuts;
    this.#cut.set(`${from}>${to}`, number);
    const connection = this.#endpoints.get(to)?.peers.get(from);
    if (connection === undefined) return;
    this.#silence(connection, to, () => this.#cut.get(`${from}>${to}`) === number);
  }

  mend(from: string, to: string): void {
    if (!this.#cut.delete(`${from}>${to}`)) return;
    const connection = this.#endpoints.get(from)?.peers.get(to);
    if (connection !== undefined) {
      const end = endOf(connection, from);
      for (const transfer of end.held.splice(0)) transfer();
    }
    this.#redial(from, to);
  }

  mendAll(): void {
    for (const link of [...this.#cut.keys()]) {
      const [from = '', to = ''] = link.split('>');
      this.mend(from, to);
    }
  }

  /** The process is gone: where its host still lives the connections are reset, else they fall silent. */
  processDied(endpoint: Endpoint, hostLives: boolean): void {
    if (this.#endpoints.get(endpoint.self) === endpoint) this.#endpoints.delete(endpoint.self);
    for (const connection of endpoint.peers.values()) {
      const other = otherEnd(connection, endpoint.self);
      endOf(connection, endpoint.self).open = false;
      if (hostLives && !this.isCut(endpoint.self, other.endpoint.self)) {
        this.#time.after(this.#hopMs(), other.endpoint.scope, () => this.#closeEnd(other, connection));
      } else this.#silence(connection, other.endpoint.self, () => true);
    }
  }

  /** A stopped process answers nobody: its peers give it up after a while. */
  processFroze(endpoint: Endpoint): void {
    for (const connection of endpoint.peers.values()) {
      const other = otherEnd(connection, endpoint.self);
      this.#silence(connection, other.endpoint.self, () => endpoint.scope.isFrozen);
    }
  }

  #silence(connection: Connection, at: string, still: () => boolean): void {
    const end = endOf(connection, at);
    const delayMs = PEER_SILENCE_MS + this.#random.next() * SILENCE_JITTER_MS;
    this.#time.after(delayMs, end.endpoint.scope, () => {
      if (end.open && still()) this.close(connection, end);
    });
  }

  // --- Connections --------------------------------------------------------------------------------------------------

  /** Something changed at this machine: it looks for whom it is not connected to. */
  nudge(endpoint: Endpoint): void {
    for (const peer of endpoint.allowed) if (!endpoint.peers.has(peer)) this.#redial(endpoint.self, peer);
  }

  #redial(one: string, other: string): void {
    this.#time.after(this.#random.int(2, 40), this.#world, () => this.#dial(one, other));
  }

  #dial(one: string, other: string): void {
    const a = this.#endpoints.get(one);
    const b = this.#endpoints.get(other);
    if (a === undefined || b === undefined || !a.scope.isRunning || !b.scope.isRunning) return;
    if (this.isCut(one, other) || this.isCut(other, one)) return;
    if (this.#isLan ? !admit(a, b) : !canMeet(a, b)) return;
    const old = a.peers.get(other);
    if (old?.a.open && old.b.open) return;
    // An end that did not notice yet that its connection is gone learns it from the new one.
    for (const endpoint of [a, b]) {
      const stale = endpoint.peers.get(endpoint === a ? other : one);
      if (stale !== undefined) this.#closeEnd(endOf(stale, endpoint.self), stale);
    }
    const connection: Connection = { a: newEnd(a), b: newEnd(b) };
    for (const end of [connection.a, connection.b]) {
      const peer = otherEnd(connection, end.endpoint.self).endpoint.self;
      end.endpoint.peers.set(peer, connection);
      end.endpoint.told.set(peer, otherEnd(connection, end.endpoint.self).endpoint.place.address);
      this.#time.after(this.#hopMs(), end.endpoint.scope, () => {
        if (end.open) end.endpoint.tellPeer(peer, true);
      });
    }
    this.#note('network', () => `${one} and ${other} are connected`);
  }

  /** This end gives the connection up; the other one is told, if it can be. */
  close(connection: Connection, end: End): void {
    const other = otherEnd(connection, end.endpoint.self);
    if (other.open && !this.isCut(end.endpoint.self, other.endpoint.self)) {
      this.transfer(connection, end, true, () => this.#closeEnd(other, connection));
    } else if (other.open) {
      this.#silence(connection, other.endpoint.self, () => true);
    }
    this.#closeEnd(end, connection);
  }

  #closeEnd(end: End, connection: Connection): void {
    if (!end.open) return;
    end.open = false;
    end.held.length = 0;
    const { endpoint } = end;
    const peer = otherEnd(connection, endpoint.self).endpoint.self;
    if (endpoint.peers.get(peer) === connection) endpoint.peers.delete(peer);
    this.#note('network', () => `${endpoint.self} lost ${peer}`);
    for (const { reject } of end.pending)
      reject(new ShoalError('PeerUnreachable', `The connection to ${peer} was lost.`));
    end.pending.clear();
    if (endpoint.scope.isDead) return;
    endpoint.tellPeer(peer, false);
    const delayMs = this.#random.int(REDIAL_MS.low, REDIAL_MS.high);
    this.#time.after(delayMs, this.#world, () => this.#dial(endpoint.self, peer));
  }

  // --- Messages -----------------------------------------------------------------------------------------------------

  /** Brings one thing over a connection; in order among those that ask for it. */
  transfer(connection: Connection, from: End, inOrder: boolean, arrive: () => void): void {
    const to = connection.a === from ? connection.b : connection.a;
    const send = (): void => {
      let atMs = this.#time.nowMs + this.#hopMs();
      if (this.#random.chance(this.weather.delay)) atMs += this.#random.next() * this.weather.delayMsMax;
      if (inOrder) {
        atMs = Math.max(atMs, from.lastArrivalMs + 0.001);
        from.lastArrivalMs = atMs;
      }
      const isDamaged = this.weather.corrupt > 0 && this.#random.chance(this.weather.corrupt);
      this.#time.at(atMs, to.endpoint.scope, () => {
        if (!to.open) return;
        if (isDamaged) this.close(connection, to);
        else arrive();
      });
    };
    if (this.#cut.size > 0 && this.isCut(from.endpoint.self, to.endpoint.self)) from.held.push(send);
    else send();
  }

  isLost(): boolean {
    return this.#random.chance(this.weather.loss);
  }

  /** Gossip reaches whoever is connected to the author over any peers; each hop takes its time. */
  publish(from: Endpoint, topic: string, payload: Uint8Array): void {
    for (const [peer, hops] of this.#reach(from)) {
      const endpoint = this.#endpoints.get(peer);
      if (endpoint === undefined || !endpoint.topics.has(topic)) continue;
      if (this.#random.chance(this.weather.gossipLoss)) continue;
      const copies = this.#random.chance(this.weather.gossipCopies) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        let delayMs = 0;
        for (let hop = 0; hop < hops; hop++) delayMs += this.#hopMs();
        if (this.#random.chance(this.weather.delay)) delayMs += this.#random.next() * this.weather.delayMsMax;
        if (copy > 0) delayMs += this.#random.next() * COPY_MS_MAX;
        this.#time.after(delayMs, this.#world, () => this.#hear(peer, topic, from.self, payload));
      }
    }
  }

  /** Other peers held the message meanwhile: it reaches whichever life of the agent is there by now. */
  #hear(peer: string, topic: string, from: string, payload: Uint8Array): void {
    const endpoint = this.#endpoints.get(peer);
    if (endpoint?.scope.isRunning) endpoint.hear(topic, from, payload);
    // It reads this when it goes on.
    else if (endpoint !== undefined)
      this.#time.after(0, endpoint.scope, () => endpoint.hear(topic, from, payload));
  }

  #reach(from: Endpoint): Map<string, number> {
    const hops = new Map<string, number>();
    let edge: Endpoint[] = [from];
    for (let hop = 1; edge.length > 0; hop++) {
      const next: Endpoint[] = [];
      for (const endpoint of edge) {
        for (const [peer, connection] of endpoint.peers) {
          if (peer === from.self || hops.has(peer) || this.isCut(endpoint.self, peer)) continue;
          if (!connection.a.open || !connection.b.open) continue;
          hops.set(peer, hop);
          const relay = this.#endpoints.get(peer);
          if (relay?.scope.isRunning) next.push(relay);
        }
      }
      edge = next;
    }
    return hops;
  }

  #hopMs(): number {
    return HOP_MS.low + this.#random.next() * (HOP_MS.high - HOP_MS.low);
  }
}

/** Of all requests to one agent: making one for each costs more than the rest of it, and one for all would outlive its world. */
function neverAborted(): AbortSignal {
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  return signal;
}

/** One agent's transport, and what the network knows of it. */
export class Endpoint implements Transport, BulkTransport {
  readonly self: string;
  readonly scope: Scope;
  readonly place: Place;
  readonly peers = new Map<string, Connection>();
  readonly topics = new Map<string, Set<MessageListener>>();
  allowed: ReadonlySet<string> = new Set();
  /** Addresses by peer: what itself said over a connection, or what a third one said. */
  readonly told = new Map<string, string>();
  readonly #network: SimNetwork;
  readonly #time: VirtualTime;
  readonly #channels = new Map<string, MessageListener>();
  readonly #handlers = new Map<string, RequestHandler>();
  readonly #bulk = new Map<string, BulkHandler>();
  readonly #peerListeners = new Set<(peer: string, up: boolean) => void>();
  readonly #neverAborted = neverAborted();

  constructor(network: SimNetwork, time: VirtualTime, place: Place) {
    this.#network = network;
    this.#time = time;
    this.place = place;
    this.self = place.self;
    this.scope = place.scope;
  }

  /** The allow-list: connections of peers that are not on it any more are cut. */
  setAllowed(peers: ReadonlySet<string>): void {
    this.allowed = peers;
    for (const [peer, connection] of [...this.peers])
      if (!peers.has(peer)) this.#network.close(connection, endOf(connection, this.self));
    // Addresses may have changed too.
    if (this.peers.size < peers.size) this.#network.nudge(this);
  }

  addressesOf(peer: string): readonly string[] {
    return [this.told.get(peer), this.place.knows(peer)].flatMap((address) => address ?? []);
  }

  /** It would find this one where it is now. */
  knows({ self, place }: Endpoint): boolean {
    return this.addressesOf(self).includes(place.address);
  }

  learn(peer: string, addresses: readonly string[]): void {
    const [address] = addresses;
    if (address === undefined || this.told.get(peer) === address) return;
    this.told.set(peer, address);
    this.#network.nudge(this);
  }

  tellPeer(peer: string, up: boolean): void {
    for (const listener of [...this.#peerListeners]) listener(peer, up);
  }

  hear(topic: string, from: string, payload: Uint8Array): void {
    for (const listener of [...(this.topics.get(topic) ?? [])]) listener(from, payload);
  }

  connected(): readonly string[] {
    return [...this.peers.keys()];
  }

  isConnected(peer: string): boolean {
    return this.peers.has(peer);
  }

  onPeer(listener: (peer: string, up: boolean) => void): () => void {
    this.#peerListeners.add(listener);
    return () => this.#peerListeners.delete(listener);
  }

  send(peer: string, channel: string, payload: Uint8Array): boolean {
    const connection = this.peers.get(peer);
    if (connection === undefined) return false;
    if (this.#network.isLost()) return true;
    const { endpoint } = otherEnd(connection, this.self);
    this.#network.transfer(connection, endOf(connection, this.self), true, () =>
      endpoint.#channels.get(channel)?.(this.self, payload),
    );
    return true;
  }

  onMessage(channel: string, listener: MessageListener): void {
    this.#channels.set(channel, listener);
  }

  onRequest(method: string, handler: RequestHandler): void {
    this.#handlers.set(method, handler);
  }

  request(
    peer: string,
    method: string,
    payload: Uint8Array,
    { timeoutMs = RPC_TIMEOUT_MS, signal }: RequestOptions = {},
  ): Promise<Uint8Array> {
    const connection = this.peers.get(peer);
    if (connection === undefined)
      return Promise.reject(new ShoalError('PeerUnreachable', `There is no connection to ${peer}.`));
    const mine = endOf(connection, this.self);
    return new Promise((resolve, reject) => {
      const pending = { reject: (error: ShoalError) => settle(() => reject(error)) };
      const timer = this.#time.after(timeoutMs, this.scope, () =>
        pending.reject(new ShoalError('OperationTimedOut', `${peer} did not answer "${method}".`)),
      );
      const cancel = (): void =>
        pending.reject(new ShoalError('OperationTimedOut', `"${method}" was cancelled.`));
      const settle = (act: () => void): void => {
        timer.cancel();
        signal?.removeEventListener('abort', cancel);
        mine.pending.delete(pending);
        act();
      };
      signal?.addEventListener('abort', cancel);
      mine.pending.add(pending);
      this.#ask(connection, method, payload, {
        resolve: (answer) => settle(() => resolve(answer)),
        reject: pending.reject,
      });
    });
  }

  #ask(
    connection: Connection,
    method: string,
    payload: Uint8Array,
    asker: { resolve(answer: Uint8Array): void; reject(error: ShoalError): void },
  ): void {
    const network = this.#network;
    const mine = endOf(connection, this.self);
    const theirs = otherEnd(connection, this.self);
    if (network.isLost()) return;
    const answer = (act: () => void): void => {
      if (theirs.open && !network.isLost()) network.transfer(connection, theirs, false, act);
    };
    network.transfer(connection, mine, false, () => {
      theirs.endpoint.#handle(this.self, method, payload).then(
        (bytes) => answer(() => asker.resolve(bytes)),
        (error: unknown) => answer(() => asker.reject(asShoalError(error))),
      );
    });
  }

  async #handle(from: string, method: string, payload: Uint8Array): Promise<Uint8Array> {
    const handler = this.#handlers.get(method);
    if (handler === undefined)
      throw new ShoalError('UnknownMethod', `The peer knows no method "${method}".`, { method });
    return handler(from, payload, this.#neverAborted);
  }

  onBulk(purpose: string, handler: BulkHandler): void {
    this.#bulk.set(purpose, handler);
  }

  openBulk(peer: string, purpose: string, header: Uint8Array, signal?: AbortSignal): Promise<BulkStream> {
    const connection = this.peers.get(peer);
    if (connection === undefined)
      return Promise.reject(new ShoalError('PeerUnreachable', `There is no connection to ${peer}.`));
    const mine = endOf(connection, this.self);
    const theirs = otherEnd(connection, this.self);
    const [here, there] = StreamEnd.pair(this.#wayFrom(connection, mine), this.#wayFrom(connection, theirs));
    const cancel = (): void => void here.destroy(asShoalError(signal?.reason));
    signal?.addEventListener('abort', cancel);
    return new Promise((resolve, reject) => {
      here.once('close', () => {
        signal?.removeEventListener('abort', cancel);
        reject(new ShoalError('PeerUnreachable', `No stream to ${peer} was opened.`));
      });
      this.#network.transfer(connection, mine, true, () => {
        const handler = theirs.endpoint.#bulk.get(purpose);
        if (handler === undefined) there.destroy(new ShoalError('UnknownMethod'));
        else handler(this.self, header, there);
        this.#network.transfer(connection, theirs, true, () => resolve(here));
      });
    });
  }

  /** A stream's bytes go with the connection, and a stream ends with it. */
  #wayFrom(connection: Connection, end: End): StreamWay {
    return {
      bring: (arrive) => this.#network.transfer(connection, end, true, arrive),
      attach: (stream) => {
        const pending = { reject: (error: ShoalError) => void stream.destroy(error) };
        end.pending.add(pending);
        stream.once('close', () => end.pending.delete(pending));
      },
    };
  }

  publish(topic: string, payload: Uint8Array): void {
    this.#network.publish(this, topic, payload);
  }

  subscribe(topic: string, listener: MessageListener): () => void {
    const listeners = this.topics.get(topic) ?? new Set();
    this.topics.set(topic, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.topics.get(topic) === listeners) this.topics.delete(topic);
    };
  }
}

function admit(a: Endpoint, b: Endpoint): boolean {
  return a.allowed.has(b.self) && b.allowed.has(a.self);
}

function canMeet(a: Endpoint, b: Endpoint): boolean {
  return admit(a, b) && (a.knows(b) || b.knows(a));
}

function newEnd(endpoint: Endpoint): End {
  return { endpoint, open: true, lastArrivalMs: 0, pending: new Set(), held: [] };
}

function endOf(connection: Connection, self: string): End {
  return connection.a.endpoint.self === self ? connection.a : connection.b;
}

function otherEnd(connection: Connection, self: string): End {
  return connection.a.endpoint.self === self ? connection.b : connection.a;
}
