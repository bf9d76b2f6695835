import { describe, expect, onTestFinished, test } from 'vitest';
import { GOSSIP_BYTES_MAX } from '../../../src/lib/limits.ts';
import { sealEnvelope } from '../../../src/mesh/envelope.ts';
import { PING_FRAME } from '../../../src/mesh/frames.ts';
import { generateIdentity, peerIdOf, publicKeyOf, signingKeyOf } from '../../../src/mesh/identity.ts';
import type { MeshInit } from '../../../src/mesh/mesh.ts';
import { sayHello, startHostile } from './hostile.ts';
import {
  asText,
  fastClock,
  gossipReaches,
  introduce,
  orderedKeys,
  pair,
  startMesh,
  until,
  utf8,
} from './meshes.ts';

describe('gossip', () => {
  test('the same payload published twice arrives twice', async () => {
    const [a, b] = await pair();
    await gossipReaches(a, b);
    let received = 0;
    b.subscribe('same', () => {
      received += 1;
    });
    await gossipReaches(a, b);
    a.publish('same', utf8('x'));
    a.publish('same', utf8('x'));
    await until(() => received === 2);
  });

  test('a publish when nobody listens, or alone, is no error', async () => {
    const alone = await startMesh();
    alone.publish('empty', utf8('x'));
    const [a] = await pair();
    a.publish('empty', utf8('x'));
  });

  test('an oversize publish is TooLarge and gossip still lives; the largest arrives', async () => {
    const [a, b] = await pair();
    const sizes: number[] = [];
    b.subscribe('big', (_from, payload) => sizes.push(payload.byteLength));
    await gossipReaches(a, b);
    expect(() => a.publish('big', Buffer.alloc(GOSSIP_BYTES_MAX + 1))).toThrow(/above/);
    a.publish('big', Buffer.alloc(GOSSIP_BYTES_MAX));
    await until(() => sizes.length === 1);
    expect(sizes).toEqual([GOSSIP_BYTES_MAX]);
  });

  test('a listener that stopped hears no more, and the others go on', async () => {
    const [a, b] = await pair();
    const heard: string[] = [];
    const stop = b.subscribe('topic', () => heard.push('first'));
    b.subscribe('topic', () => heard.push('second'));
    await gossipReaches(a, b);
    stop();
    a.publish('topic', utf8('x'));
    await until(() => heard.length > 0);
    expect(heard).toEqual(['second']);
  });

  test('reaches a member two hops away, in the name of its author', async () => {
    const [a, b, c] = [await startMesh(), await startMesh(), await startMesh()];
    introduce(a, b, c);
    await Promise.all([a.dial(b.self, b.addresses()), c.dial(b.self, b.addresses())]);
    // Who carries a topic must subscribe to it.
    b.subscribe('far', () => {});
    const heard: string[] = [];
    c.subscribe('far', (from) => heard.push(from));
    await until(() => {
      a.publish('far', utf8('x'));
      return heard.length > 0;
    });
    expect(a.isConnected(c.self)).toBe(false);
    expect(heard[0]).toBe(a.self);
  });

  test('thirteen agents on one address all hear each other', async () => {
    const meshes = await Promise.all(Array.from({ length: 13 }, () => startMesh()));
    introduce(...meshes);
    const heard = meshes.map(() => new Set<string>());
    for (const [at, mesh] of meshes.entries()) mesh.subscribe('roll-call', (from) => heard[at]?.add(from));
    for (const mesh of meshes)
      for (const other of meshes) if (mesh !== other) mesh.learn(other.self, other.addresses());
    await until(() => meshes.every((mesh) => mesh.connected().length === 12), 60_000);
    // Subscriptions travel for some milliseconds after the links are up: so ask, then count one publish of each.
    await Promise.all(meshes.slice(1).map((mesh, at) => gossipReaches(mesh, meshes[at] ?? mesh)));
    for (const mesh of meshes) mesh.publish('roll-call', utf8(mesh.self));
    await until(() => heard.every((names) => names.size === 12));
    expect(
      meshes.reduce((sum, { counters }) => sum + counters.gossipForged + counters.gossipReplayed, 0),
    ).toBe(0);
  }, 90_000);
});

describe('what a member cannot do with gossip', () => {
  /** A member that speaks raw gossipsub, and a topic on which `mesh` listens. */
  async function forger(overrides: Partial<MeshInit> = {}) {
    const [smallKey, largeKey] = orderedKeys();
    const hostile = await startHostile(smallKey);
    const mesh = await startMesh({ privateKey: largeKey, ...overrides });
    const victim = generateIdentity();
    mesh.setAllowed(new Set([mesh.self, peerIdOf(smallKey), victim.peerId]));
    const heard: string[] = [];
    mesh.subscribe('orders', (from, payload) => heard.push(`${from} ${asText(payload)}`));
    const control = await hostile.openControl(mesh);
    sayHello(control);
    await until(() => mesh.isConnected(peerIdOf(smallKey)));
    hostile.router.attach(mesh.self, control.connection);
    const { pubsub } = hostile.router;
    await until(() => pubsub.getSubscribers('shoal/test/orders').length === 1);
    // It may hear of the topic before its own stream is open, and what it publishes until then reaches nobody.
    const { streamsOutbound } = pubsub as unknown as { streamsOutbound: ReadonlyMap<string, unknown> };
    await until(() => streamsOutbound.has(mesh.self));
    const seal = (
      key: Uint8Array,
      sequence: number,
      payload: string,
      topic = 'shoal/test/orders',
      boot = 1,
    ): Buffer => {
      const publicKey = Buffer.from(publicKeyOf(peerIdOf(key)) ?? []);
      return sealEnvelope(
        { publicKey, boot, sequence, payload: Buffer.from(payload) },
        topic,
        signingKeyOf(key),
      );
    };
    const publish = (sealed: Uint8Array) => pubsub.publish('shoal/test/orders', sealed);
    return { mesh, heard, seal, publish, ownKey: smallKey, victim, hostile, control };
  }

  test('speak in the name of another, of a stranger, or in no name', async () => {
    const { mesh, heard, seal, publish, ownKey, victim } = await forger();
    const forged = seal(ownKey, 0, 'forged');
    forged.set(publicKeyOf(victim.peerId) ?? [], 1);
    const bent = seal(ownKey, 1, 'bent');
    bent[50] = (bent[50] ?? 0) ^ 1;
    for (const bytes of [
      forged,
      bent,
      seal(generateIdentity().privateKeyBytes, 0, 'stranger'),
      utf8('garbage'),
    ]) {
      await publish(bytes);
    }
    await publish(seal(ownKey, 9, 'honest'));
    await until(() => heard.length > 0);
    expect(heard).toEqual([`${peerIdOf(ownKey)} honest`]);
    expect(mesh.counters.gossipForged).toBe(4);
  });

  test('replay a message, from this life or an earlier one, or carry it to another topic', async () => {
    const { mesh, heard, seal, publish, ownKey, victim } = await forger();
    const second = seal(victim.privateKeyBytes, 5, 'second life', 'shoal/test/orders', 2_000);
    await publish(second);
    await publish(seal(victim.privateKeyBytes, 6, 'first life', 'shoal/test/orders', 1_000));
    await publish(seal(victim.privateKeyBytes, 7, 'other topic', 'shoal/test/other', 2_000));
    // gossipsub itself drops equal bytes for a minute; another signature of the same sequence stands for a replay after that.
    await publish(seal(victim.privateKeyBytes, 5, 'again', 'shoal/test/orders', 2_000));
    await publish(seal(ownKey, 0, 'end'));
    await until(() => heard.length >= 2);
    expect(heard).toEqual([`${victim.peerId} second life`, `${peerIdOf(ownKey)} end`]);
    expect(mesh.counters.gossipReplayed).toBe(2);
    expect(mesh.counters.gossipForged).toBe(1);
  });

  test('kill the gossip stream for good: what gossipsub lost is made anew', async () => {
    const { mesh, control, ownKey } = await forger({ clock: fastClock(16) });
    const beat = setInterval(() => control.write(...PING_FRAME), 20);
    onTestFinished(() => clearInterval(beat));
    const stream = control.connection.streams.find(
      ({ protocol, direction }) => direction === 'outbound' && protocol?.startsWith('/meshsub/'),
    );
    stream?.abort(new Error('lost'));
    await until(() => mesh.counters.gossipHealed === 1);
    expect(mesh.isConnected(peerIdOf(ownKey))).toBe(false);
  });

  test('fill the tables with topics outside the mesh, or with endless ones inside it', async () => {
    const { mesh, heard, seal, publish, ownKey, hostile } = await forger();
    const bare = await startHostile(generateIdentity().privateKeyBytes);
    const { pubsub } = bare.router;
    const allowed = (pubsub as unknown as { allowedTopics: { has(topic: string): boolean } }).allowedTopics;
    expect(allowed.has('elsewhere/orders')).toBe(false);
    expect(allowed.has(`shoal/test/${'x'.repeat(300)}`)).toBe(false);
    expect(allowed.has('shoal/test/orders')).toBe(true);
    for (let at = 0; at < 5_000; at += 1) hostile.router.pubsub.subscribe(`shoal/test/${at}`);
    await publish(seal(ownKey, 0, 'still here'));
    await until(() => heard.length === 1);
    expect(mesh.isConnected(peerIdOf(ownKey))).toBe(true);
  });
});
