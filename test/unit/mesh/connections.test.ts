import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { generateIdentity, peerIdOf } from '../../../src/mesh/identity.ts';
import { startHostile } from './hostile.ts';
import { asText, gossipReaches, introduce, orderedKeys, pair, startMesh, until, utf8 } from './meshes.ts';

describe('the allow-list', () => {
  test('a stranger is refused and told so', async () => {
    const [a, stranger] = [await startMesh(), await startMesh()];
    a.setAllowed(new Set([a.self]));
    stranger.setAllowed(new Set([a.self, stranger.self]));
    await expect(stranger.dial(a.self, a.addresses())).rejects.toMatchObject({ code: 'NotAMember' });
    expect(a.connected()).toEqual([]);
    expect(a.counters.connectionsDenied).toBeGreaterThan(0);
  });

  test('a stranger cannot open any protocol, not even ping', async () => {
    const a = await startMesh();
    const stranger = await startHostile(generateIdentity().privateKeyBytes);
    const opened = stranger.connect(a).then((connection) => connection.newStream('/ipfs/ping/1.0.0'));
    await expect(opened).rejects.toThrow();
  });

  test('a peer that is not allowed here is not dialled', async () => {
    const [a, b] = [await startMesh(), await startMesh()];
    await expect(a.dial(b.self, b.addresses())).rejects.toMatchObject({ code: 'NotAMember' });
  });

  test('removal cuts the connection, stops gossip both ways and keeps the peer out', async () => {
    const [a, b] = await pair();
    await gossipReaches(b, a);
    const downs: string[] = [];
    a.onPeer((peer, up) => up || downs.push(peer));
    let received = 0;
    a.subscribe('after', () => {
      received += 1;
    });
    a.setAllowed(new Set([a.self]));
    expect(a.isConnected(b.self)).toBe(false);
    expect(downs).toEqual([b.self]);
    expect(a.send(b.self, 'x', utf8('x'))).toBe(false);
    await until(() => !b.isConnected(a.self));
    b.publish('after', utf8('x'));
    await expect(b.dial(a.self, a.addresses())).rejects.toMatchObject({ code: 'NotAMember' });
    expect(received).toBe(0);
  });

  test('a node of another mesh is refused by name, although each lists the other', async () => {
    const [a, b] = [await startMesh({ meshId: 'red' }), await startMesh({ meshId: 'blue' })];
    introduce(a, b);
    await expect(a.dial(b.self, b.addresses())).rejects.toMatchObject({
      code: 'NotAMember',
      message: /another mesh/,
    });
    expect(a.connected()).toEqual([]);
    expect(b.connected()).toEqual([]);
  });
});

describe('one connection for each pair', () => {
  test('when both dial at once, twenty times over, one connection stays and gossip works both ways', async () => {
    const [smallKey, largeKey] = orderedKeys();
    const [a, b] = [await startMesh({ privateKey: smallKey }), await startMesh({ privateKey: largeKey })];
    for (let round = 0; round < 20; round += 1) {
      introduce(a, b);
      await Promise.all([a.dial(b.self, b.addresses()), b.dial(a.self, a.addresses())]);
      await until(() => a.isConnected(b.self) && b.isConnected(a.self));
      await Promise.all([gossipReaches(a, b), gossipReaches(b, a)]);
      a.setAllowed(new Set([a.self]));
      b.setAllowed(new Set([b.self]));
      await until(() => !a.isConnected(b.self) && !b.isConnected(a.self));
    }
    expect(a.counters.linksOpened).toBe(20);
    expect(b.counters.linksOpened).toBe(20);
    expect(a.counters.gossipHealed + b.counters.gossipHealed).toBe(0);
  });

  test('a second dial while the link is up changes nothing', async () => {
    const [a, b] = await pair();
    await Promise.all([a.dial(b.self, b.addresses()), b.dial(a.self, a.addresses())]);
    expect(a.counters.linksOpened).toBe(1);
    expect(b.counters.linksOpened).toBe(1);
  });

  test('a peer that lost its side of the connection gets a new one, and gossip follows it', async () => {
    const [smallKey, largeKey] = orderedKeys();
    // Nobody dials `large`, so the dead link on the small side can be found only through the second dial.
    const small = await startMesh({ privateKey: smallKey });
    const first = await startMesh({ privateKey: largeKey, listen: [] });
    const peers = new Set([peerIdOf(smallKey), peerIdOf(largeKey)]);
    for (const mesh of [small, first]) mesh.setAllowed(peers);
    await first.dial(small.self, small.addresses());
    await until(() => small.isConnected(first.self));
    await first.stop();
    const second = await startMesh({ privateKey: largeKey, listen: [] });
    second.setAllowed(peers);
    await second.dial(small.self, small.addresses());
    await Promise.all([gossipReaches(small, second), gossipReaches(second, small)]);
  });
});

/** A TCP relay that can fall silent without closing anything, like a cable that is pulled. */
async function startRelay(toPort: number): Promise<{ address: string; freeze(): void }> {
  const sockets: Socket[] = [];
  const server = createServer((inner) => {
    const outer = connect(toPort, '127.0.0.1');
    sockets.push(inner, outer);
    inner.pipe(outer).pipe(inner);
    for (const socket of [inner, outer]) socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    address: `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

test.each([
  ['smaller', 0],
  ['larger', 1],
])(
  'a peer with the %s id that was cut off without a word comes back before its silence is over',
  async (_which, at) => {
    const keys = orderedKeys();
    const stay = await startMesh({ privateKey: keys[1 - at] ?? keys[0] });
    const movedKey = keys[at] ?? keys[1];
    const before = await startMesh({ privateKey: movedKey, listen: [] });
    introduce(stay, before);
    const relay = await startRelay(Number(stay.addresses()[0]?.split('/')[4]));
    await before.dial(stay.self, [relay.address]);
    await until(() => stay.isConnected(before.self));
    relay.freeze();
    await before.stop();
    expect(stay.isConnected(before.self)).toBe(true);
    const after = await startMesh({ privateKey: movedKey, listen: [] });
    introduce(after, stay);
    // The tries of one dial are over before an old link that is not probed counts as silent.
    await after.dial(stay.self, stay.addresses());
    await Promise.all([gossipReaches(stay, after), gossipReaches(after, stay)]);
  },
);

describe('the redial loop', () => {
  test('finds a peer again that restarted on another port, once its new address is learnt', async () => {
    const key = generateIdentity().privateKeyBytes;
    const a = await startMesh();
    const before = await startMesh({ privateKey: key });
    introduce(a, before);
    a.learn(before.self, before.addresses());
    await until(() => a.isConnected(before.self));
    await before.stop();
    await until(() => !a.isConnected(before.self));
    const after = await startMesh({ privateKey: key });
    introduce(after, a);
    a.learn(after.self, after.addresses());
    await until(() => a.isConnected(after.self));
    await Promise.all([gossipReaches(a, after), gossipReaches(after, a)]);
  });

  test('finds a peer again that restarted where it was, without being told', async () => {
    const key = generateIdentity().privateKeyBytes;
    const a = await startMesh();
    const before = await startMesh({ privateKey: key });
    introduce(a, before);
    a.learn(before.self, before.addresses());
    await until(() => a.isConnected(before.self));
    const listen = before.addresses();
    await before.stop();
    const after = await startMesh({ privateKey: key, listen });
    introduce(after, a);
    await until(() => a.isConnected(after.self));
  });

  test('addresses are learnt from the hello of a peer that dialled in', async () => {
    const [a, b] = await pair();
    expect(a.knownAddresses(b.self)).toEqual(b.addresses());
    expect(b.knownAddresses(a.self)).toEqual(a.addresses());
  });

  test('a dial of an address where nobody listens is PeerUnreachable', async () => {
    const a = await startMesh();
    const nobody = generateIdentity().peerId;
    a.setAllowed(new Set([a.self, nobody]));
    await expect(a.dial(nobody, ['/ip4/127.0.0.1/tcp/1'])).rejects.toMatchObject({ code: 'PeerUnreachable' });
    await expect(a.dial(nobody, [])).rejects.toMatchObject({ code: 'PeerUnreachable' });
  });

  test("a dial that finds another machine at the peer's address is PeerUnreachable", async () => {
    const [a, b] = [await startMesh(), await startMesh()];
    const absent = generateIdentity().peerId;
    a.setAllowed(new Set([a.self, absent]));
    await expect(a.dial(absent, b.addresses())).rejects.toMatchObject({ code: 'PeerUnreachable' });
  });
});

describe.each([
  ['smaller', 0],
  ['larger', 1],
])('a machine that cannot be dialled, with the %s id', (_which, at) => {
  test('answers, asks and gossips like any other', async () => {
    const keys = orderedKeys();
    const closedKey = keys[at] ?? keys[0];
    const openKey = keys[1 - at] ?? keys[1];
    const [closed, open] = await pair({ privateKey: closedKey, listen: [] }, { privateKey: openKey });
    for (const mesh of [closed, open]) mesh.onRequest('echo', async (_from, payload) => payload);
    expect(asText(await open.request(closed.self, 'echo', utf8('to closed')))).toBe('to closed');
    expect(asText(await closed.request(open.self, 'echo', utf8('to open')))).toBe('to open');
    await Promise.all([gossipReaches(open, closed), gossipReaches(closed, open)]);
  });
});
