/**
 * A network without faults in which every machine is linked to every other, and a link costs nothing until something goes
 * over it: the transport of a world of ten thousand machines, which have fifty million links. All that passes is counted.
 */
import { asShoalError, ShoalError } from '../../../src/lib/errors.ts';
import { GOSSIP_BYTES_MAX, RPC_TIMEOUT_MS } from '../../../src/lib/limits.ts';
import type { RequestHandler, RequestOptions, Transport } from '../../../src/mesh/interface.ts';
import type { Scope, VirtualTime } from '../world/virtual-time.ts';
import { Ledger } from './meter.ts';

type MessageListener = (from: string, payload: Uint8Array) => void;

/** The same for all, so that what goes over one link stays in its order. */
const HOP_MS = 0.5;
/** A killed process's peers learn of it. */
const RESET_MS = 1;
const NEVER_ABORTED = new AbortController().signal;

export interface Place {
  readonly self: string;
  readonly scope: Scope;
  readonly ledger: Ledger;
  /** Whether it is told when another machine comes; all are told when one goes. */
  readonly hearsArrivals: boolean;
}

export class ScaleNetwork {
  readonly #time: VirtualTime;
  readonly #ports = new Map<string, Port>();
  readonly #topics = new Map<string, Set<Port>>();
  #names: readonly string[] | undefined;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  open(place: Place): Port {
    const port = new Port(this, this.#time, place);
    const { self } = place;
    for (const other of this.#ports.values()) if (other.hearsArrivals) this.#tell(other, self, true);
    this.#ports.set(self, port);
    this.#names = undefined;
    return port;
  }

  /** The process died; its host resets the connections. */
  close(port: Port): void {
    this.#ports.delete(port.self);
    this.#names = undefined;
    for (const topic of this.#topics.values()) topic.delete(port);
    for (const other of this.#ports.values()) this.#tell(other, port.self, false);
  }

  #tell(port: Port, peer: string, up: boolean): void {
    if (port.hasPeerListeners) this.#time.after(RESET_MS, port.scope, () => port.tellPeer(peer, up));
  }

  get names(): readonly string[] {
    this.#names ??= [...this.#ports.keys()];
    return this.#names;
  }

  port(peer: string): Port | undefined {
    return this.#ports.get(peer);
  }

  subscribers(topic: string): Set<Port> {
    let ports = this.#topics.get(topic);
    if (ports === undefined) {
      ports = new Set();
      this.#topics.set(topic, ports);
    }
    return ports;
  }

  /** Counts a message at both ends, and brings it over. */
  carry(
    from: Port,
    to: Port,
    sent: { readonly kind: string; readonly bytes: number },
    arrive: () => void,
  ): void {
    Ledger.note(from.ledger.sent, sent.kind, sent.bytes);
    this.#time.after(HOP_MS, to.scope, () => {
      Ledger.note(to.ledger.received, sent.kind, sent.bytes);
      arrive();
    });
  }
}

export class Port implements Transport {
  readonly self: string;
  readonly scope: Scope;
  readonly ledger: Ledger;
  readonly hearsArrivals: boolean;
  readonly #network: ScaleNetwork;
  readonly #time: VirtualTime;
  readonly #channels = new Map<string, MessageListener>();
  readonly #handlers = new Map<string, RequestHandler>();
  readonly #listeners = new Map<string, Set<MessageListener>>();
  readonly #peerListeners = new Set<(peer: string, up: boolean) => void>();

  constructor(network: ScaleNetwork, time: VirtualTime, place: Place) {
    this.#network = network;
    this.#time = time;
    this.self = place.self;
    this.scope = place.scope;
    this.ledger = place.ledger;
    this.hearsArrivals = place.hearsArrivals;
  }

  connected(): readonly string[] {
    return this.#network.names.filter((name) => name !== this.self);
  }

  isConnected(peer: string): boolean {
    return this.#network.port(peer) !== undefined;
  }

  get hasPeerListeners(): boolean {
    return this.#peerListeners.size > 0;
  }

  tellPeer(peer: string, up: boolean): void {
    for (const listener of [...this.#peerListeners]) listener(peer, up);
  }

  onPeer(listener: (peer: string, up: boolean) => void): () => void {
    this.#peerListeners.add(listener);
    return () => this.#peerListeners.delete(listener);
  }

  send(peer: string, channel: string, payload: Uint8Array): boolean {
    const to = this.#network.port(peer);
    if (to === undefined) return false;
    this.#network.carry(this, to, { kind: channel, bytes: payload.length }, () =>
      to.#channels.get(channel)?.(this.self, payload),
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
    { timeoutMs = RPC_TIMEOUT_MS }: RequestOptions = {},
  ): Promise<Uint8Array> {
    const to = this.#network.port(peer);
    if (to === undefined)
      return Promise.reject(new ShoalError('PeerUnreachable', `There is no connection to ${peer}.`));
    return new Promise((resolve, reject) => {
      const stop = this.onPeer((lost, up) => {
        if (lost === peer && !up)
          fail(new ShoalError('PeerUnreachable', `The connection to ${peer} was lost.`));
      });
      const timer = this.#time.after(timeoutMs, this.scope, () =>
        fail(new ShoalError('OperationTimedOut', `${peer} did not answer "${method}".`)),
      );
      const done = (): void => {
        timer.cancel();
        stop();
      };
      const fail = (error: ShoalError): void => {
        done();
        reject(error);
      };
      const back = (bytes: number, act: () => void): void =>
        this.#network.carry(to, this, { kind: `${method} answer`, bytes }, act);
      this.#network.carry(this, to, { kind: method, bytes: payload.length }, () => {
        to.#handle(this.self, method, payload).then(
          (answer) =>
            back(answer.length, () => {
              done();
              resolve(answer);
            }),
          (error: unknown) => back(0, () => fail(asShoalError(error))),
        );
      });
    });
  }

  async #handle(from: string, method: string, payload: Uint8Array): Promise<Uint8Array> {
    const handler = this.#handlers.get(method);
    if (handler === undefined)
      throw new ShoalError('UnknownMethod', `The peer knows no method "${method}".`, { method });
    return handler(from, payload, NEVER_ABORTED);
  }

  /** As the real one floods: one message from the author to each subscriber. Copies that these pass on are not counted. */
  publish(topic: string, payload: Uint8Array): void {
    if (payload.length > GOSSIP_BYTES_MAX) throw new ShoalError('TooLarge');
    const kind = `gossip ${topic.slice(topic.lastIndexOf('/') + 1)}`;
    for (const port of this.#network.subscribers(topic)) {
      if (port === this) continue;
      this.#network.carry(this, port, { kind, bytes: payload.length }, () => {
        for (const listener of [...(port.#listeners.get(topic) ?? [])]) listener(this.self, payload);
      });
    }
  }

  subscribe(topic: string, listener: MessageListener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    this.#network.subscribers(topic).add(this);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#network.subscribers(topic).delete(this);
    };
  }
}
