import { expect, test } from 'vitest';
import { IdentityWatch } from '../../../src/mesh/identity-watch.ts';
import { introduce, orderedKeys, startMesh, until } from './meshes.ts';

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

test('two machines with one identity are told so by a peer of both, and it keeps neither', async () => {
  const [small, large] = orderedKeys();
  const told: string[] = [];
  const peer = await startMesh({ privateKey: large });
  const init = { privateKey: small, onIdentityInUse: ({ code }: { code: string }) => told.push(code) };
  const twins = [await startMesh(init), await startMesh(init)];
  introduce(peer, ...twins);
  for (const twin of twins) twin.learn(peer.self, peer.addresses());
  await until(() => told.length >= 2, 60_000);
  expect(new Set(told)).toEqual(new Set(['IdentityInUse']));
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
