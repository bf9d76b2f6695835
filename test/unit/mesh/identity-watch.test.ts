import { expect, test } from 'vitest';
import { IdentityWatch } from '../../../src/mesh/identity-watch.ts';
import type { MeshInit } from '../../../src/mesh/mesh.ts';
import { asText, introduce, orderedKeys, startMesh, until, utf8 } from './meshes.ts';
import { forkPeer } from './peer-process.ts';

test('a peer that restarts, however often, is one', () => {
  const watch = new IdentityWatch();
  const boots = Array.from({ length: 100 }, (_, life) => 1_000 + life);
  expect(boots.map((boot) => watch.isShared('p', boot))).not.toContain(true);
  // Its links come and go meanwhile.
  expect([1_099, 1_099].map((boot) => watch.isShared('p', boot))).toEqual([false, false]);
});

test('a hello that was long on its way makes nobody two', () => {
  const watch = new IdentityWatch();
  expect([1, 2, 1, 2, 3, 4].slice(0, 3).map((boot) => watch.isShared('p', boot))).not.toContain(true);
  expect([3, 4].map((boot) => watch.isShared('p', boot))).not.toContain(true);
});

test('two lives that take turns are two, and both are told; a new one is let in', () => {
  const watch = new IdentityWatch();
  expect([1, 2, 1].map((boot) => watch.isShared('p', boot))).toEqual([false, false, false]);
  expect([2, 1, 2].map((boot) => watch.isShared('p', boot))).toEqual([true, true, true]);
  expect(watch.isShared('p', 3)).toBe(false);
  expect(watch.isShared('p', 1)).toBe(true);
});

test('a life that asks for the link of one that goes on to answer is a second process', () => {
  const watch = new IdentityWatch();
  watch.isShared('p', 1);
  expect([10, 11, 12].map((heard) => watch.isHeldByAnother('p', 2, heard))).toEqual([false, false, true]);
  // Another one that asks is judged by itself.
  expect(watch.isHeldByAnother('p', 3, 13)).toBe(false);
});

test('a life whose former one has died waits, and is let in', () => {
  const watch = new IdentityWatch();
  watch.isShared('p', 1);
  // One thing was still on its way.
  expect([10, 11, 11, 11].map((heard) => watch.isHeldByAnother('p', 2, heard))).not.toContain(true);
  expect(watch.isShared('p', 2)).toBe(false);
});

test.each(['small', 'large'] as const)(
  'of two machines with one identity, the %s one of the pair, the first goes on and the second is not let in',
  async (which) => {
    const [small, large] = orderedKeys();
    const [own, shared] = which === 'small' ? [large, small] : [small, large];
    const told: string[] = [];
    const lost: string[] = [];
    const twin = (name: string): Partial<MeshInit> => ({
      privateKey: shared,
      onIdentityInUse: () => told.push(name),
    });
    const peer = await startMesh({ privateKey: own });
    const first = await startMesh(twin('first'));
    introduce(peer, first);
    await first.dial(peer.self, peer.addresses());
    await until(() => peer.isConnected(first.self) && first.isConnected(peer.self));
    first.onPeer((_, up) => lost.push(up ? 'up' : 'down'));
    const second = await startMesh(twin('second'));
    introduce(peer, second);
    const denied = (): number => peer.counters.connectionsDuplicate;
    second.learn(peer.self, peer.addresses());
    // A peer with the smaller id does not even hear the second one.
    await until(() => (which === 'small' ? told.length > 0 : denied() >= 3), 60_000);
    expect(second.isConnected(peer.self)).toBe(false);
    first.onRequest('who', async () => utf8('first'));
    expect(asText(await peer.request(first.self, 'who', utf8('')))).toBe('first');
    expect(lost).toEqual([]);
    expect(told.filter((name) => name === 'first')).toEqual([]);
  },
);

test('a machine that is back before its former connection is known to be dead is let in', async () => {
  const [small, large] = orderedKeys();
  const told: string[] = [];
  const peer = await startMesh({ privateKey: large });
  const { child, ready } = await forkPeer([peer.self], small);
  peer.setAllowed(new Set([peer.self, ready.self]));
  await peer.dial(ready.self, ready.addresses);
  // Its process is silent, and its host keeps the connection open.
  child.kill('SIGSTOP');
  const init = { privateKey: small, onIdentityInUse: () => told.push('told') };
  const second = await startMesh(init);
  introduce(peer, second);
  second.learn(peer.self, peer.addresses());
  await until(() => second.isConnected(peer.self), 60_000);
  expect(told).toEqual([]);
});

test('those who share an identity by right are left alone', async () => {
  const [small, large] = orderedKeys();
  const told: string[] = [];
  const peer = await startMesh({ privateKey: large, mayBeShared: () => true });
  const init = { privateKey: small, onIdentityInUse: () => told.push('told') };
  const twins = [await startMesh(init), await startMesh(init)];
  introduce(peer, ...twins);
  for (let turn = 0; turn < 4; turn++)
    for (const twin of twins) {
      await twin.dial(peer.self, peer.addresses()).catch(() => undefined);
      await until(() => peer.isConnected(twin.self));
    }
  expect(told).toEqual([]);
});
