import type {
  Connection,
  ConnectionGater,
  IncomingStreamData,
  Libp2p,
  PeerId,
  Stream,
} from '@libp2p/interface';
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import { CONNECTIONS_PER_PEER_MAX, LINK_OPEN_MS, LINK_TICK_MS } from '../lib/limits.ts';
import { ControlLink, type LinkOwner } from './control-link.ts';
import type { MeshCounters } from './counters.ts';
import type { Hello } from './frames.ts';
import type { RequestHandler } from './interface.ts';
import type { MeshLog } from './log.ts';

export const CONTROL_PROTOCOL = '/shoal/control/1';

/** What happens on links, as the rest of the mesh sees it. */
export interface LinkEvents {
  /** `elder`: the link to another life of the peer, which is still up. */
  refusalOf(peer: string, hello: Hello, elder: ControlLink | undefined): ShoalError | undefined;
  onRefused(peer: string, reason: ShoalError): void;
  onUp(link: ControlLink, hello: Hello): void;
  onDown(link: ControlLink, reason: ShoalError): void;
  onMessage(from: string, channel: string, payload: Uint8Array): void;
  handlerOf(method: string): RequestHandler | undefined;
}

export interface LinksInit {
  readonly self: string;
  readonly hello: () => Hello;
  readonly isAllowed: (peer: string) => boolean;
  readonly events: LinkEvents;
  readonly clock: Clock;
  readonly counters: MeshCounters;
  readonly log: MeshLog;
}

/** A connection as this class tracks it. */
interface Tracked {
  readonly connection: Connection;
  /** Ticks that it stood without a link, in milliseconds. */
  waitingMs: number;
}

interface PeerConnections {
  readonly tracked: Tracked[];
  link: ControlLink | undefined;
  /** What the peer opened while `link` was up: it takes its place if its hello is welcome. */
  successor: ControlLink | undefined;
  /** Set between the gater's consent and the `connection:open` that follows at once. */
  promisedAtMs: number | undefined;
}

/**
 * The peer closed a connection without a word. So does the gater of a machine that does not list this one, and so does, for
 * a moment, a peer that still holds a dead link to us.
 */
export class ClosedAtOnceError extends ShoalError {
  constructor(peer: string) {
    const message = `${peer} closed the connection right after the handshake, as it does where this machine is not a member.`;
    super('NotAMember', message, { peer });
  }
}

/** How long the gater's consent stands for a connection that never opens. */
const PROMISE_MS = 1_000;

/**
 * One connection and one link for each pair of peers.
 *
 * Two peers that find each other at the same moment both dial; libp2p keeps both connections, and when one of them closes
 * gossip falls silent for good in most cases (js-libp2p#2714, open). So one side decides: the peer with the smaller id lets
 * one connection pass its gater and refuses every other before a protocol can open on it, whoever dialled; then it opens
 * the control stream, and by that stream the other side learns which connection was chosen and closes the rest. No
 * message is needed to agree, and a peer that cannot be dialled is served as well.
 *
 * A refused second connection is a hint that the peer has lost the first one: the first is probed. So it is on the other side
 * where the peer chooses a second one: the first link stands until the hello on the second says who is there. Its own process
 * may choose anew at any time; another one under its identity must wait until the first no longer answers.
 */
export class Links {
  readonly #init: LinksInit;
  readonly #owner: LinkOwner;
  readonly #peers = new Map<string, PeerConnections>();
  readonly #waiters = new Set<Waiter>();

  constructor(init: LinksInit) {
    this.#init = init;
    const { events } = init;
    this.#owner = {
      hello: init.hello,
      clock: init.clock,
      counters: init.counters,
      log: init.log,
      refusalOf: (link, hello) => events.refusalOf(link.peer, hello, this.#elderOf(link, hello)),
      onRefused: (peer, reason) => events.onRefused(peer, reason),
      onUp: (link, hello) => this.#onLinkUp(link, hello),
      onClosed: (link, reason) => this.#onLinkClosed(link, reason),
      onMessage: (from, channel, payload) => events.onMessage(from, channel, payload),
      handlerOf: (method) => events.handlerOf(method),
    };
  }

  /** Asks the allow-list once the peer's key is proved, and the one-connection rule before any protocol can open. */
  gater(): ConnectionGater {
    const stranger = (peer: PeerId): boolean => this.#isStranger(peer.toString());
    const surplus = (peer: PeerId): boolean => this.#isSurplus(peer.toString());
    return {
      denyDialPeer: stranger,
      denyInboundEncryptedConnection: stranger,
      denyOutboundEncryptedConnection: stranger,
      denyInboundUpgradedConnection: surplus,
      denyOutboundUpgradedConnection: surplus,
    };
  }

  async attach(node: Libp2p): Promise<void> {
    node.addEventListener('connection:open', (event) => this.#onConnection(event.detail));
    node.addEventListener('connection:close', (event) => this.#onConnectionClosed(event.detail));
    const options = { maxInboundStreams: 2, maxOutboundStreams: 2 };
    await node.handle(CONTROL_PROTOCOL, (incoming) => this.#onControlStream(incoming), options);
  }

  /** The peer's link if it is up. */
  of(peer: string): ControlLink | undefined {
    const link = this.#peers.get(peer)?.link;
    return link?.isUp === true ? link : undefined;
  }

  /** Peers whose link is up. */
  connected(): string[] {
    const peers: string[] = [];
    for (const [peer, { link }] of this.#peers) if (link?.isUp === true) peers.push(peer);
    return peers;
  }

  /** To be called every LINK_TICK_MS. */
  tick(): void {
    for (const [peer, state] of [...this.#peers]) {
      state.link?.tick();
      state.successor?.tick();
      for (const tracked of [...state.tracked]) this.#tickConnection(peer, state, tracked);
    }
  }

  /** Cuts everything of a peer. */
  cut(peer: string, reason: ShoalError): void {
    const state = this.#peers.get(peer);
    if (state === undefined) return;
    state.link?.close(reason);
    state.successor?.close(reason);
    for (const { connection } of [...state.tracked]) connection.abort(reason);
  }

  cutAll(reason: ShoalError): void {
    for (const peer of [...this.#peers.keys()]) this.cut(peer, reason);
  }

  /**
   * Resolves when the peer's link is up, over whichever connection. Rejects when the last connection of the peer closes
   * first: with the peer's refusal, or `ClosedAtOnceError` where it closed without a word.
   */
  whenUp(peer: string): Promise<void> {
    if (this.of(peer) !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (!this.#hasConnection(peer)) return reject(new ClosedAtOnceError(peer));
      this.#waiters.add({ peer, resolve, reject });
    });
  }

  #hasConnection(peer: string, beside?: Connection): boolean {
    const tracked = this.#peers.get(peer)?.tracked ?? [];
    return tracked.some(({ connection }) => connection !== beside && connection.status === 'open');
  }

  #isStranger(peer: string): boolean {
    if (this.#init.isAllowed(peer)) return false;
    this.#init.counters.connectionsDenied += 1;
    this.#init.log.debug({ peer }, 'refused a peer that is not on the allow-list');
    return true;
  }

  #isSurplus(peer: string): boolean {
    const state = this.#stateOf(peer);
    const open = state.tracked.filter(({ connection }) => connection.status === 'open').length;
    if (!this.#chooses(peer)) return open >= CONNECTIONS_PER_PEER_MAX;
    const nowMs = this.#init.clock.monotonicMs();
    const promised = state.promisedAtMs !== undefined && nowMs - state.promisedAtMs < PROMISE_MS;
    if (open === 0 && !promised) {
      state.promisedAtMs = nowMs;
      return false;
    }
    this.#init.counters.connectionsDuplicate += 1;
    state.link?.probe();
    return true;
  }

  /** True on exactly one side of a pair. */
  #chooses(peer: string): boolean {
    return this.#init.self < peer;
  }

  #onConnection(connection: Connection): void {
    const peer = connection.remotePeer.toString();
    const state = this.#stateOf(peer);
    state.promisedAtMs = undefined;
    state.tracked.push({ connection, waitingMs: 0 });
    // The list may have changed between the gater's consent and now.
    if (!this.#init.isAllowed(peer)) connection.abort(notAllowed(peer));
    else if (this.#chooses(peer)) void this.#openControlStream(peer, connection);
  }

  async #openControlStream(peer: string, connection: Connection): Promise<void> {
    try {
      const stream = await connection.newStream(CONTROL_PROTOCOL, {
        signal: AbortSignal.timeout(LINK_OPEN_MS),
      });
      this.#startLink(peer, connection, stream);
    } catch (thrown) {
      this.#init.log.debug({ peer, err: thrown }, 'no control stream');
      connection.abort(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  #onControlStream({ stream, connection }: IncomingStreamData): void {
    const peer = connection.remotePeer.toString();
    const { link, successor } = this.#stateOf(peer);
    const known = [link, successor].some((one) => one?.connection === connection);
    if (this.#chooses(peer) || known) {
      this.#init.counters.framesBad += 1;
      this.#init.log.warn({ peer }, 'a control stream out of turn: closing the connection');
      connection.abort(new ShoalError('PeerUnreachable', `${peer} opened a control stream out of turn.`));
    } else {
      this.#startLink(peer, connection, stream);
    }
  }

  #startLink(peer: string, connection: Connection, stream: Stream): void {
    const state = this.#stateOf(peer);
    const elder = state.link;
    if (elder?.isUp !== true) this.#closeAllBut(state, connection);
    // While the stream was negotiated the connection may have been lost, or the peer removed.
    if (connection.status !== 'open' || !this.#init.isAllowed(peer)) {
      connection.abort(notAllowed(peer));
      return;
    }
    const link = new ControlLink(peer, connection, stream, this.#owner);
    if (elder?.isUp === true) {
      state.successor?.close(choseAnother(peer));
      state.successor = link;
      elder.probe();
    } else {
      state.link = link;
    }
    link.open();
  }

  #closeAllBut(state: PeerConnections, kept: Connection): void {
    for (const link of [state.link, state.successor])
      if (link !== undefined && link.connection !== kept) link.close(choseAnother(link.peer));
    for (const { connection } of [...state.tracked])
      if (connection !== kept) connection.abort(choseAnother(connection.remotePeer.toString()));
  }

  /** The link that stands in the way of this one, where it is to another life of the peer. */
  #elderOf(link: ControlLink, { boot }: Hello): ControlLink | undefined {
    const elder = this.#peers.get(link.peer)?.link;
    return elder !== link && elder?.isUp === true && elder.boot !== boot ? elder : undefined;
  }

  #onLinkUp(link: ControlLink, hello: Hello): void {
    const state = this.#stateOf(link.peer);
    if (state.successor === link) {
      state.successor = undefined;
      this.#closeAllBut(state, link.connection);
      state.link = link;
    }
    this.#init.events.onUp(link, hello);
    this.#settle(link.peer, undefined);
  }

  #onLinkClosed(link: ControlLink, reason: ShoalError): void {
    const state = this.#peers.get(link.peer);
    if (state?.link === link) state.link = undefined;
    if (state?.successor === link) state.successor = undefined;
    this.#init.events.onDown(link, reason);
    if (!this.#hasConnection(link.peer, link.connection)) this.#settle(link.peer, reason);
    this.#forgetIfEmpty(link.peer);
  }

  #onConnectionClosed(connection: Connection): void {
    const peer = connection.remotePeer.toString();
    const state = this.#peers.get(peer);
    if (state === undefined) return;
    const at = state.tracked.findIndex((tracked) => tracked.connection === connection);
    if (at >= 0) state.tracked.splice(at, 1);
    for (const link of [state.link, state.successor])
      if (link?.connection === connection)
        link.close(new ShoalError('PeerUnreachable', `The connection to ${peer} is closed.`, { peer }));
    if (!this.#hasConnection(peer)) this.#settle(peer, new ClosedAtOnceError(peer));
    this.#forgetIfEmpty(peer);
  }

  /** On the side that does not choose: a connection on which no control stream arrives was refused or hangs. */
  #tickConnection(peer: string, state: PeerConnections, tracked: Tracked): void {
    if ([state.link, state.successor].some((link) => link?.connection === tracked.connection)) return;
    tracked.waitingMs += LINK_TICK_MS;
    if (tracked.waitingMs < LINK_OPEN_MS) return;
    tracked.connection.abort(
      new ShoalError('PeerUnreachable', `${peer} opened no control stream within ${LINK_OPEN_MS} ms.`),
    );
  }

  #settle(peer: string, error: ShoalError | undefined): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.peer !== peer) continue;
      this.#waiters.delete(waiter);
      if (error === undefined) waiter.resolve();
      else waiter.reject(error);
    }
  }

  #stateOf(peer: string): PeerConnections {
    let state = this.#peers.get(peer);
    if (state === undefined) {
      state = { tracked: [], link: undefined, successor: undefined, promisedAtMs: undefined };
      this.#peers.set(peer, state);
    }
    return state;
  }

  #forgetIfEmpty(peer: string): void {
    const state = this.#peers.get(peer);
    if (state?.tracked.length === 0 && state.link === undefined && state.successor === undefined)
      this.#peers.delete(peer);
  }
}

interface Waiter {
  readonly peer: string;
  readonly resolve: () => void;
  readonly reject: (error: ShoalError) => void;
}

function choseAnother(peer: string): ShoalError {
  return new ShoalError('PeerUnreachable', `${peer} chose another connection.`);
}

function notAllowed(peer: string): ShoalError {
  return new ShoalError('NotAMember', `${peer} is not on the allow-list.`, { peer });
}
