import { expect, test } from 'vitest';
import { FRAME_BYTES_MAX, PEER_REQUESTS_MAX } from '../../../src/lib/limits.ts';
import { requestFrame } from '../../../src/mesh/frames.ts';
import { peerIdOf } from '../../../src/mesh/identity.ts';
import type { MeshNode } from '../../../src/mesh/mesh.ts';
import { type HostileNode, sayHello, startHostile } from './hostile.ts';
import { orderedKeys, startMesh, until, utf8 } from './meshes.ts';

async function hostileMember(): Promise<{ mesh: MeshNode; hostile: HostileNode; peer: string }> {
  const [smallKey, largeKey] = orderedKeys();
  const hostile = await startHostile(smallKey);
  const mesh = await startMesh({ privateKey: largeKey });
  const peer = peerIdOf(smallKey);
  mesh.setAllowed(new Set([mesh.self, peer]));
  return { mesh, hostile, peer };
}

function lengthField(length: number, ...rest: number[]): Buffer {
  const bytes = Buffer.alloc(4 + rest.length);
  bytes.writeUInt32BE(length, 0);
  bytes.set(rest, 4);
  return bytes;
}

const nested = Buffer.from(`${'['.repeat(30_000)}${']'.repeat(30_000)}`);

test.each([
  ['declares 4 GB', lengthField(0xffff_ffff)],
  ['declares just over the bound', lengthField(FRAME_BYTES_MAX + 2_000, 4)],
  ['is empty', lengthField(0)],
  ['has an unknown kind', lengthField(1, 99)],
  ['ends inside its name', lengthField(3, 4, 200, 65)],
  ['has no name', lengthField(2, 4, 0)],
  ['ends inside its id', lengthField(3, 5, 0, 0)],
  ['carries JSON that does not parse', lengthField(3, 9, 0x7b, 0x7b)],
  ['carries deeply nested JSON', Buffer.concat([lengthField(1 + nested.byteLength, 9), nested])],
  ['is a second hello', lengthField(3, 1, 0x7b, 0x7d)],
])('a frame that %s closes its link, is counted, and harms nobody', async (_what, bytes) => {
  const { mesh, hostile, peer } = await hostileMember();
  const control = await hostile.openControl(mesh);
  sayHello(control);
  await until(() => mesh.isConnected(peer));
  control.write(bytes);
  await control.ended;
  await until(() => !mesh.isConnected(peer));
  expect(mesh.counters.framesBad).toBe(1);
  // It may come back and try again.
  sayHello(await hostile.openControl(mesh));
  await until(() => mesh.isConnected(peer));
});

test('frames before the hello, another protocol version and a hello that lacks fields open no link', async () => {
  const { mesh, hostile } = await hostileMember();
  const early = await hostile.openControl(mesh);
  early.write(...requestFrame(1, 'echo', utf8('')));
  await early.ended;
  expect(mesh.counters.framesBad).toBe(1);
  const newer = await hostile.openControl(mesh);
  sayHello(newer, { protocol: 2 });
  await newer.ended;
  expect(mesh.counters.linksForeign).toBe(1);
  const bare = await hostile.openControl(mesh);
  bare.write(lengthField(3, 1, 0x7b, 0x7d));
  await bare.ended;
  expect(mesh.counters.framesBad).toBe(2);
  expect(mesh.connected()).toEqual([]);
});

test('more requests than the bound are turned away, the link stays', async () => {
  const { mesh, hostile, peer } = await hostileMember();
  let running = 0;
  mesh.onRequest('hang', () => {
    running += 1;
    return new Promise(() => {});
  });
  const control = await hostile.openControl(mesh);
  sayHello(control);
  for (let id = 0; id < PEER_REQUESTS_MAX + 10; id += 1) control.write(...requestFrame(id, 'hang', utf8('')));
  await until(() => mesh.counters.requestsRefused === 10);
  expect(running).toBe(PEER_REQUESTS_MAX);
  expect(mesh.isConnected(peer)).toBe(true);
});

test('a second control stream on one connection closes the connection', async () => {
  const { mesh, hostile, peer } = await hostileMember();
  const control = await hostile.openControl(mesh);
  sayHello(control);
  await until(() => mesh.isConnected(peer));
  await control.connection.newStream('/shoal/control/1').catch(() => {});
  await control.ended;
  await until(() => !mesh.isConnected(peer));
});

test('a member that asks for answers and reads none of them is cut before it fills the memory', async () => {
  const { mesh, hostile, peer } = await hostileMember();
  const answer = Buffer.alloc(FRAME_BYTES_MAX);
  mesh.onRequest('large', async () => answer);
  const connection = await hostile.connect(mesh);
  const stream = await connection.newStream('/shoal/control/1');
  const { JoinedWriter } = await import('../../../src/mesh/joined-writer.ts');
  const writer = new JoinedWriter();
  Promise.resolve(stream.sink(writer.source())).catch(() => {});
  sayHello({ connection, stream, write: (...parts) => writer.push(parts), ended: Promise.resolve() });
  await until(() => mesh.isConnected(peer));
  for (let id = 0; id < 40; id += 1) writer.push(requestFrame(id, 'large', utf8('')));
  await until(() => !mesh.isConnected(peer));
});
