import type { KeyObject } from 'node:crypto';
import { type Message, TopicValidatorResult } from '@libp2p/interface';
import { ShoalError } from '../lib/errors.ts';
import { GOSSIP_BYTES_MAX, GOSSIP_QUEUE_MAX, GOSSIP_VERIFIED_PER_TURN_MAX } from '../lib/limits.ts';
import type { MeshCounters } from './counters.ts';
import { type Envelope, openEnvelope, sealEnvelope, verifyEnvelope } from './envelope.ts';
import type { GossipRouter } from './gossip-router.ts';
import { publicKeyOf, verifyingKeyOf } from './identity.ts';
import type { MeshLog } from './log.ts';
import { ReplayWindow } from './replay-window.ts';

type Listener = (from: string, payload: Uint8Array) => void;

export interface GossipInit {
  readonly self: string;
  readonly boot: number;
  readonly prefix: string;
  readonly signingKey: KeyObject;
  readonly router: GossipRouter;
  readonly counters: MeshCounters;
  readonly log: MeshLog;
}

/** A member as an author of gossip. */
interface Author {
  readonly peer: string;
  readonly key: KeyObject;
  boot: number;
  seen: ReplayWindow;
}

interface Waiting {
  readonly sealed: Buffer;
  readonly settle: (verdict: TopicValidatorResult) => void;
}

interface Topic {
  readonly listeners: Set<Listener>;
  readonly waiting: Waiting[];
}

/**
 * Signed gossip: at most once, from the author named. A message waits in its topic's queue to be verified, a bounded number
 * in each turn of the loop; when a queue is full its oldest message is dropped, since newer news supersedes it. Only what
 * was verified is delivered and forwarded.
 */
export class Gossip {
  readonly #init: GossipInit;
  readonly #publicKey: Buffer;
  readonly #topics = new Map<string, Topic>();
  #authors = new Map<string, Author>();
  #sequence = 0;
  #started = false;
  #turnArmed = false;

  constructor(init: GossipInit) {
    this.#init = init;
    this.#publicKey = Buffer.from(publicKeyOf(init.self) ?? []);
  }

  start(): void {
    this.#started = true;
    for (const topic of this.#topics.keys()) this.#join(topic);
  }

  stop(): void {
    this.#started = false;
    for (const { waiting } of this.#topics.values())
      for (const { settle } of waiting.splice(0)) settle(TopicValidatorResult.Ignore);
  }

  isSubscribed(fullTopic: string): boolean {
    return this.#topics.has(fullTopic);
  }

  /** Members whose messages count. Those that stay keep their replay windows. */
  setAuthors(peers: ReadonlySet<string>): void {
    const authors = new Map<string, Author>();
    for (const peer of peers) {
      const publicKey = publicKeyOf(peer);
      // Our own messages never come back, except as a replay.
      if (publicKey === undefined || peer === this.#init.self) continue;
      const name = Buffer.from(publicKey).toString('latin1');
      const known = this.#authors.get(name);
      authors.set(name, known ?? { peer, key: verifyingKeyOf(publicKey), boot: 0, seen: new ReplayWindow() });
    }
    this.#authors = authors;
  }

  /**
   * The author's own word, over its link, which life of it is the present one. It settles what the messages cannot: a life
   * with a smaller number is a replay, unless the author's clock was set back.
   */
  setBoot(peer: string, boot: number): void {
    const publicKey = publicKeyOf(peer);
    const author = publicKey && this.#authors.get(Buffer.from(publicKey).toString('latin1'));
    if (author === undefined || author.boot === boot) return;
    author.boot = boot;
    author.seen = new ReplayWindow();
  }

  publish(topic: string, payload: Uint8Array): void {
    if (payload.byteLength > GOSSIP_BYTES_MAX) {
      const values = { topic, bytes: String(payload.byteLength), bytesMax: String(GOSSIP_BYTES_MAX) };
      throw new ShoalError(
        'TooLarge',
        `Gossip of ${payload.byteLength} bytes is above ${GOSSIP_BYTES_MAX}.`,
        values,
      );
    }
    if (!this.#started) return;
    const { boot, signingKey, router, counters, log } = this.#init;
    const fullTopic = this.#init.prefix + topic;
    const body = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    const envelope = { publicKey: this.#publicKey, boot, sequence: this.#sequence, payload: body };
    this.#sequence += 1;
    counters.gossipPublished += 1;
    router.pubsub
      .publish(fullTopic, sealEnvelope(envelope, fullTopic, signingKey))
      .catch((err) => log.debug({ err, topic }, 'gossip not published'));
  }

  subscribe(topic: string, listener: Listener): () => void {
    const fullTopic = this.#init.prefix + topic;
    let entry = this.#topics.get(fullTopic);
    if (entry === undefined) {
      entry = { listeners: new Set(), waiting: [] };
      this.#topics.set(fullTopic, entry);
      if (this.#started) this.#join(fullTopic);
    }
    const { listeners } = entry;
    // A subscription of its own even where one function is given twice.
    const own: Listener = (from, payload) => listener(from, payload);
    listeners.add(own);
    return () => {
      if (listeners.delete(own) && listeners.size === 0) this.#leave(fullTopic);
    };
  }

  #join(fullTopic: string): void {
    const { pubsub } = this.#init.router;
    pubsub.topicValidators.set(fullTopic, (_hop, message) => this.#enqueue(fullTopic, message));
    pubsub.subscribe(fullTopic);
  }

  #leave(fullTopic: string): void {
    const topic = this.#topics.get(fullTopic);
    this.#topics.delete(fullTopic);
    for (const { settle } of topic?.waiting ?? []) settle(TopicValidatorResult.Ignore);
    if (!this.#started) return;
    this.#init.router.pubsub.unsubscribe(fullTopic);
    this.#init.router.pubsub.topicValidators.delete(fullTopic);
  }

  #enqueue(fullTopic: string, message: Message): Promise<TopicValidatorResult> {
    const topic = this.#topics.get(fullTopic);
    if (topic === undefined) return Promise.resolve(TopicValidatorResult.Ignore);
    if (topic.waiting.length >= GOSSIP_QUEUE_MAX) {
      this.#init.counters.gossipDropped += 1;
      topic.waiting.shift()?.settle(TopicValidatorResult.Ignore);
    }
    const { data } = message;
    return new Promise((settle) => {
      topic.waiting.push({ sealed: Buffer.from(data.buffer, data.byteOffset, data.byteLength), settle });
      this.#armTurn();
    });
  }

  #armTurn(): void {
    if (this.#turnArmed) return;
    this.#turnArmed = true;
    setImmediate(() => {
      this.#turnArmed = false;
      this.#verifySome();
    });
  }

  /** One message of each topic in turn, so that a flooded topic does not hold up the others. */
  #verifySome(): void {
    let left = GOSSIP_VERIFIED_PER_TURN_MAX;
    let more = true;
    while (more && left > 0) {
      more = false;
      for (const [fullTopic, topic] of this.#topics) {
        const next = topic.waiting.shift();
        if (next === undefined) continue;
        next.settle(this.#judge(fullTopic, topic, next.sealed));
        left -= 1;
        more = true;
      }
    }
    if (more) this.#armTurn();
  }

  #judge(fullTopic: string, topic: Topic, sealed: Buffer): TopicValidatorResult {
    const { counters } = this.#init;
    const envelope = openEnvelope(sealed);
    const author = envelope && this.#authors.get(envelope.publicKey.toString('latin1'));
    if (envelope === undefined || author === undefined || !verifyEnvelope(sealed, fullTopic, author.key)) {
      counters.gossipForged += 1;
      return TopicValidatorResult.Reject;
    }
    if (!isNew(author, envelope)) {
      counters.gossipReplayed += 1;
      return TopicValidatorResult.Ignore;
    }
    counters.gossipDelivered += 1;
    const payload = Buffer.from(envelope.payload);
    for (const listener of topic.listeners) this.#deliver(listener, author.peer, payload);
    return TopicValidatorResult.Accept;
  }

  #deliver(listener: Listener, from: string, payload: Uint8Array): void {
    try {
      listener(from, payload);
    } catch (err) {
      this.#init.log.warn({ err, from }, 'a gossip listener threw');
    }
  }
}

function isNew(author: Author, { boot, sequence }: Envelope): boolean {
  if (boot < author.boot) return false;
  if (boot > author.boot) {
    author.boot = boot;
    author.seen = new ReplayWindow();
  }
  return author.seen.admit(sequence);
}
