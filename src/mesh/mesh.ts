import '../lib/polyfill.ts';
import type { Duplex } from 'node:stream';
import type { Libp2p } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { type Clock, every, type Timer } from '../lib/clock.ts';
import { asShoalError, ShoalError } from '../lib/errors.ts';
import { DIAL_ADDRESS_MS, GOSSIP_STREAMS_MISSING_MS, LINK_PROBE_MS, LINK_TICK_MS } from '../lib/limits.ts';
import { AddressBook, hostOf } from './addresses.ts';
import { Bulk } from './bulk.ts';
import type { ControlLink } from './control-link.ts';
import { type MeshCounters, zeroCounters } from './counters.ts';
import { CONTROL_PROTOCOL_VERSION, type Hello } from './frames.ts';
import { Gossip } from './gossip.ts';
import { GossipRouter } from './gossip-router.ts';
import { libp2pKeyOf, peerIdOf, signingKeyOf } from './identity.ts';
import { IdentityWatch } from './identity-watch.ts';
import type { BulkStream, Mesh, RequestHandler, RequestOptions } from './interface.ts';
import { lanDiscovery } from './lan-discovery.ts';
import { ClosedAtOnceError, Links } from './links.ts';
import type { MeshLog } from './log.ts';
import { createNode } from './node.ts';
import { RedialLoop } from './redial.ts';

export interface MeshInit {
  /** As `generateIdentity` makes it. */
  readonly privateKey: Uint8Array;
  /** Multiaddrs such as /ip4/0.0.0.0/tcp/4001; none makes a machine that dials out only. */
  readonly listen: readonly string[];
  /** Told to others instead of the interfaces' addresses. */
  readonly announce?: readonly string[];
  /** Look for members on the LAN. */
  readonly mdns: boolean;
  readonly meshId: string;
  /** Port of the bulk sockets; 0 (the default) lets the system choose, 'none' sends bulk streams through the mesh connection. */
  readonly bulkPort?: number | 'none';
  /** The agent's version, shown to peers. */
  readonly software?: string;
  /** Identities that several processes may use at once, as those of join tokens. Default: none. */
  readonly mayBeShared?: (peer: string) => boolean;
  /** A peer has met another process under this machine's identity: it speaks to neither, and this one must end. */
  readonly onIdentityInUse?: (error: ShoalError) => void;
  readonly clock: Clock;
  readonly log: MeshLog;
}

/** A `Mesh` and what only its owner asks of it. */
export interface MeshNode extends Mesh {
  readonly counters: Readonly<MeshCounters>;
}

export function createMesh(init: MeshInit): MeshNode {
  return new Libp2pMesh(init);
}

/** Tries of one `dial` whose connection the peer closes at once, and the pause between: enough for a probe to fail. */
const DIAL_TRIES = 4;
const DIAL_PAUSE_MS = LINK_PROBE_MS / 2;

class Libp2pMesh implements MeshNode {
  readonly self: string;
  readonly counters = zeroCounters();
  readonly #init: MeshInit;
  readonly #boot: number;
  readonly #links: Links;
  readonly #router: GossipRouter;
  readonly #gossip: Gossip;
  readonly #bulk: Bulk;
  readonly #addresses = new AddressBook((peer) => this.#allowed.has(peer));
  readonly #identities = new IdentityWatch();
  readonly #redial: RedialLoop;
  readonly #peerListeners = new Set<(peer: string, up: boolean) => void>();
  readonly #messageListeners = new Map<string, (from: string, payload: Uint8Array) => void>();
  readonly #requestHandlers = new Map<string, RequestHandler>();
  /** For how long gossipsub has lacked a stream, by peer. */
  readonly #gossipMissingMs = new Map<string, number>();
  #allowed: ReadonlySet<string> = new Set();
  #node: Libp2p | undefined;
  #ticking: Timer | undefined;

  constructor(init: MeshInit) {
    const { clock, log } = init;
    const { counters } = this;
    this.#init = init;
    this.self = peerIdOf(init.privateKey);
    this.#boot = Math.max(0, Math.floor(clock.wallMs()));
    const prefix = `shoal/${init.meshId}/`;
    const signingKey = signingKeyOf(init.privateKey);
    this.#router = new GossipRouter(prefix, (topic) => this.#gossip.isSubscribed(topic));
    this.#gossip = new Gossip({
      self: this.self,
      boot: this.#boot,
      prefix,
      signingKey,
      router: this.#router,
      counters,
      log,
    });
    this.#links = new Links({
      self: this.self,
      hello: () => this.#hello(),
      isAllowed: (peer) => this.#allowed.has(peer),
      events: {
        refusalOf: (peer, hello, elder) => this.#refusalOf(peer, hello, elder),
        onRefused: (peer, reason) => this.#onRefused(peer, reason),
        onUp: (link, hello) => this.#onLinkUp(link, hello),
        onDown: (link, reason) => this.#onLinkDown(link, reason),
        onMessage: (from, channel, payload) => this.#onMessage(from, channel, payload),
        handlerOf: (method) => this.#requestHandlers.get(method),
      },
      clock,
      counters,
      log,
    });
    this.#bulk = new Bulk({
      linkOf: (peer) => this.#links.of(peer),
      onRequest: (method, handler) => this.onRequest(method, handler),
      listen: bulkListen(init),
      clock,
      counters,
      log,
    });
    this.#redial = new RedialLoop({
      clock,
      random: Math.random,
      self: this.self,
      isWanted: (peer) => this.#isWanted(peer),
      dial: (peer) => this.#dialAddresses(peer, this.#addresses.of(peer)),
    });
  }

  async start(): Promise<void> {
    const { privateKey, listen, announce = [], mdns, meshId, clock } = this.#init;
    const node = await createNode({
      privateKey: libp2pKeyOf(privateKey),
      listen,
      announce,
      discovery: mdns ? lanDiscovery(meshId, (peer, addresses) => this.#onSeen(peer, addresses)) : undefined,
      gater: this.#links.gater(),
      gossip: this.#router.factory(),
    });
    await this.#links.attach(node);
    await this.#bulk.start(node);
    try {
      await node.start();
    } catch (thrown) {
      await this.#bulk.stop();
      throw listenFault(thrown);
    }
    this.#node = node;
    this.#gossip.start();
    this.#ticking = every(clock, LINK_TICK_MS, () => this.#tick());
    for (const peer of this.#allowed) this.#redial.lead(peer);
  }

  async stop(): Promise<void> {
    const node = this.#node;
    if (node === undefined) return;
    this.#node = undefined;
    this.#ticking?.cancel();
    this.#redial.stop();
    this.#gossip.stop();
    this.#links.cutAll(new ShoalError('PeerUnreachable', 'This machine leaves the mesh.'));
    await this.#bulk.stop();
    await node.stop();
  }

  addresses(): readonly string[] {
    return (this.#node?.getMultiaddrs() ?? []).map((address) =>
      address.toString().replace(/\/p2p\/[^/]+$/, ''),
    );
  }

  connected(): readonly string[] {
    return this.#links.connected();
  }

  isConnected(peer: string): boolean {
    return this.#links.of(peer) !== undefined;
  }

  onPeer(listener: (peer: string, up: boolean) => void): () => void {
    const own = (peer: string, up: boolean): void => listener(peer, up);
    this.#peerListeners.add(own);
    return () => this.#peerListeners.delete(own);
  }

  send(peer: string, channel: string, payload: Uint8Array): boolean {
    return this.#links.of(peer)?.send(channel, payload) ?? false;
  }

  onMessage(channel: string, listener: (from: string, payload: Uint8Array) => void): void {
    this.#messageListeners.set(channel, listener);
  }

  async request(
    peer: string,
    method: string,
    payload: Uint8Array,
    options?: RequestOptions,
  ): Promise<Uint8Array> {
    const link = this.#links.of(peer);
    if (link === undefined) throw new ShoalError('PeerUnreachable', `There is no link to ${peer}.`, { peer });
    return link.request(method, payload, options);
  }

  onRequest(method: string, handler: RequestHandler): void {
    this.#requestHandlers.set(method, handler);
  }

  publish(topic: string, payload: Uint8Array): void {
    this.#gossip.publish(topic, payload);
  }

  subscribe(topic: string, listener: (from: string, payload: Uint8Array) => void): () => void {
    return this.#gossip.subscribe(topic, listener);
  }

  openBulk(peer: string, purpose: string, header: Uint8Array, signal?: AbortSignal): Promise<BulkStream> {
    return this.#bulk.open(peer, purpose, header, signal);
  }

  onBulk(purpose: string, handler: (from: string, header: Uint8Array, stream: Duplex) => void): void {
    this.#bulk.on(purpose, handler);
  }

  setAllowed(peers: ReadonlySet<string>): void {
    const before = this.#allowed;
    this.#allowed = new Set(peers);
    this.#gossip.setAuthors(this.#allowed);
    this.#bulk.retain((peer) => this.#allowed.has(peer));
    for (const peer of before) if (!this.#allowed.has(peer)) this.#expel(peer);
    for (const peer of this.#allowed) if (!before.has(peer)) this.#redial.wake(peer);
  }

  learn(peer: string, addresses: readonly string[]): void {
    if (this.#addresses.learn(peer, addresses)) this.#redial.wake(peer);
  }

  knownAddresses(peer: string): readonly string[] {
    return this.#addresses.of(peer);
  }

  async dial(peer: string, addresses: readonly string[], signal?: AbortSignal): Promise<void> {
    if (!this.#allowed.has(peer))
      throw new ShoalError('NotAMember', `${peer} is not on this machine's allow-list.`, { peer });
    this.#addresses.learn(peer, addresses);
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#dialAddresses(peer, this.#addresses.of(peer), signal);
      } catch (thrown) {
        if (this.isConnected(peer)) return;
        const again = thrown instanceof ClosedAtOnceError && tries < DIAL_TRIES;
        if (!again || signal?.aborted === true) throw thrown;
        await new Promise<void>((resolve) => this.#init.clock.after(DIAL_PAUSE_MS, resolve));
      }
    }
  }

  /** Tries the addresses one after the other until the link is up. Rejects with the most telling of their errors. */
  async #dialAddresses(peer: string, addresses: readonly string[], signal?: AbortSignal): Promise<void> {
    let failure = new ShoalError('PeerUnreachable', `No address of ${peer} is known.`, { peer });
    for (const address of addresses) {
      if (this.isConnected(peer)) return;
      try {
        return await this.#dialAddress(peer, address, signal);
      } catch (thrown) {
        const error = dialError(peer, address, thrown);
        if (failure.code !== 'NotAMember') failure = error;
        if (signal?.aborted === true || this.#node === undefined) break;
      }
    }
    throw failure;
  }

  async #dialAddress(peer: string, address: string, signal?: AbortSignal): Promise<void> {
    const node = this.#node;
    if (node === undefined)
      throw new ShoalError('PeerUnreachable', 'This machine is not in the mesh yet, or no more.');
    const timeout = AbortSignal.timeout(DIAL_ADDRESS_MS);
    const giveUp = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    await node.dial(multiaddr(`${address}/p2p/${peer}`), { signal: giveUp });
    await untilAborted(this.#links.whenUp(peer), signal);
    this.#addresses.worked(peer, address);
  }

  #isWanted(peer: string): boolean {
    if (this.#node === undefined || peer === this.self || !this.#allowed.has(peer)) return false;
    return !this.isConnected(peer) && this.#addresses.of(peer).length > 0;
  }

  #hello(): Hello {
    const { meshId, software = 'shoal' } = this.#init;
    const addresses = this.addresses();
    return { meshId, protocol: CONTROL_PROTOCOL_VERSION, software, boot: this.#boot, addresses };
  }

  #refusalOf(peer: string, { boot }: Hello, elder: ControlLink | undefined): ShoalError | undefined {
    if (this.#init.mayBeShared?.(peer) === true) return undefined;
    const isShared =
      elder === undefined
        ? this.#identities.isShared(peer, boot)
        : this.#identities.isHeldByAnother(peer, boot, elder.heard);
    if (isShared) return new ShoalError('IdentityInUse', undefined, { peer });
    if (elder === undefined) return undefined;
    const message = `Another process under the identity ${peer} is linked here, and is asked whether it lives.`;
    return new ShoalError('PeerUnreachable', message, { peer });
  }

  #onRefused(peer: string, reason: ShoalError): void {
    if (reason.code !== 'IdentityInUse') return;
    this.#init.log.warn({ peer }, 'a peer has met another process under the identity of this machine');
    this.#init.onIdentityInUse?.(reason);
  }

  #onLinkUp(link: ControlLink, hello: Hello): void {
    const { peer, connection } = link;
    this.#init.log.info(
      { peer, address: connection.remoteAddr.toString(), software: hello.software },
      'link up',
    );
    this.#addresses.announce(peer, hello.addresses, hostOf(connection.remoteAddr.toString()));
    this.#redial.linked(peer, connection.direction === 'outbound');
    this.#gossip.setBoot(peer, hello.boot);
    this.#router.attach(peer, connection);
    this.#bulk.onLinkUp(peer);
    this.#tell(peer, true);
  }

  #onLinkDown(link: ControlLink, reason: ShoalError): void {
    const { peer, connection } = link;
    if (!link.wasUp) return;
    this.#init.log.info({ peer, reason: reason.message }, 'link down');
    this.#gossipMissingMs.delete(peer);
    this.#router.detach(peer, connection);
    this.#bulk.onLinkDown(peer, reason);
    this.#tell(peer, false);
    this.#redial.lost(peer);
  }

  #tell(peer: string, up: boolean): void {
    for (const listener of this.#peerListeners) this.#guard(() => listener(peer, up));
  }

  #onMessage(from: string, channel: string, payload: Uint8Array): void {
    this.#guard(() => this.#messageListeners.get(channel)?.(from, payload));
  }

  /** A listener's fault is not the link's: it must not close it. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (err) {
      this.#init.log.warn({ err }, 'a listener threw');
    }
  }

  #onSeen(peer: string, addresses: readonly string[]): void {
    if (!this.#allowed.has(peer)) return;
    this.#addresses.learn(peer, addresses);
    this.#redial.wake(peer);
  }

  #expel(peer: string): void {
    this.#redial.forget(peer);
    this.#identities.forget(peer);
    this.#addresses.forget(peer);
    this.#links.cut(peer, new ShoalError('NotAMember', `${peer} was removed from the mesh.`, { peer }));
  }

  #tick(): void {
    this.#links.tick();
    for (const peer of this.#links.connected()) this.#checkGossip(peer);
  }

  /** gossipsub does not reopen a stream that broke; a new connection makes everything afresh. */
  #checkGossip(peer: string): void {
    const link = this.#links.of(peer);
    if (link === undefined || this.#router.isWhole(link.connection)) {
      this.#gossipMissingMs.delete(peer);
      return;
    }
    const missingMs = (this.#gossipMissingMs.get(peer) ?? 0) + LINK_TICK_MS;
    this.#gossipMissingMs.set(peer, missingMs);
    if (missingMs < GOSSIP_STREAMS_MISSING_MS) return;
    this.counters.gossipHealed += 1;
    link.close(new ShoalError('PeerUnreachable', `The gossip streams of ${peer} are lost.`, { peer }));
  }
}

/** On the host that the mesh listens on. */
function bulkListen({ listen, bulkPort = 0 }: MeshInit): { host: string; port: number } | undefined {
  const first = listen[0];
  return first === undefined || bulkPort === 'none' ? undefined : { host: hostOf(first), port: bulkPort };
}

function untilAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(asShoalError(signal.reason));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function dialError(peer: string, address: string, thrown: unknown): ShoalError {
  if (thrown instanceof ShoalError && (thrown.code === 'NotAMember' || thrown.code === 'PeerUnreachable'))
    return thrown;
  const message = `${peer} cannot be reached at ${address}: ${asShoalError(thrown).message}.`;
  return new ShoalError('PeerUnreachable', message, { peer, address }, { cause: thrown });
}

/** libp2p tells in one text, with stack traces, which addresses it could not listen on. */
function listenFault(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const faults = [...thrown.message.matchAll(/^\s*(\/\S+): \w*Error: (.*)$/gm)].map(
    ([, address, reason]) => `${address}: ${reason}`,
  );
  if (faults.length === 0) return thrown;
  const message = `This machine cannot listen on ${faults.join('; ')}.`;
  return new ShoalError('AddressUnavailable', message, {}, { cause: thrown });
}
