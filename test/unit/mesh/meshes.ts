import { onTestFinished } from 'vitest';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { generateIdentity } from '../../../src/mesh/identity.ts';
import type { MeshLog } from '../../../src/mesh/log.ts';
import { createMesh, type MeshInit, type MeshNode } from '../../../src/mesh/mesh.ts';

export const silentLog: MeshLog = { debug: () => {}, info: () => {}, warn: () => {} };

const printLog: MeshLog = {
  debug: (values, message) => console.log('debug', message, values),
  info: (values, message) => console.log('info', message, values),
  warn: (values, message) => console.log('warn', message, values),
};

export function meshInit(overrides: Partial<MeshInit> = {}): MeshInit {
  return {
    privateKey: generateIdentity().privateKeyBytes,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    mdns: false,
    meshId: 'test',
    clock: systemClock,
    log: process.env.MESH_LOG === undefined ? silentLog : printLog,
    ...overrides,
  };
}

/** Its time passes `speed` times as fast. */
export function fastClock(speed: number): Clock {
  return {
    ...systemClock,
    monotonicMs: () => speed * systemClock.monotonicMs(),
    after: (delayMs, fire) => systemClock.after(delayMs / speed, fire),
  };
}

/** A started mesh node that stops with its test. */
export async function startMesh(overrides: Partial<MeshInit> = {}): Promise<MeshNode> {
  const mesh = createMesh(meshInit(overrides));
  await mesh.start();
  onTestFinished(() => mesh.stop());
  return mesh;
}

/** Everybody allows everybody. */
export function introduce(...meshes: readonly MeshNode[]): void {
  const peers = new Set(meshes.map(({ self }) => self));
  for (const mesh of meshes) mesh.setAllowed(peers);
}

/** Two nodes with a link; `small` is the one with the smaller id. */
export async function pair(
  first: Partial<MeshInit> = {},
  second: Partial<MeshInit> = {},
): Promise<[MeshNode, MeshNode]> {
  const [a, b] = await Promise.all([startMesh(first), startMesh(second)]);
  introduce(a, b);
  if (a.addresses().length > 0) await b.dial(a.self, a.addresses());
  else await a.dial(b.self, b.addresses());
  await until(() => a.isConnected(b.self) && b.isConnected(a.self));
  return [a, b];
}

/** Two identities, the smaller PeerId first. */
export function orderedKeys(): [Uint8Array, Uint8Array] {
  const [one, other] = [generateIdentity(), generateIdentity()];
  const [small, large] = one.peerId < other.peerId ? [one, other] : [other, one];
  return [small.privateKeyBytes, large.privateKeyBytes];
}

/** Waits for a condition, at most `boundMs`. */
export async function until(holds: () => boolean, boundMs = 30_000): Promise<void> {
  const deadline = performance.now() + boundMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${boundMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Publishes from one to the other until a message arrives: gossip has no moment at which it says it is ready. */
export async function gossipReaches(from: MeshNode, to: MeshNode, boundMs = 30_000): Promise<void> {
  const topic = `probe-${from.self.slice(-6)}-${to.self.slice(-6)}-${Math.random()}`;
  let received = 0;
  const stop = to.subscribe(topic, () => {
    received += 1;
  });
  try {
    await until(() => {
      from.publish(topic, Buffer.from('probe'));
      return received > 0;
    }, boundMs);
  } finally {
    stop();
  }
}

export const utf8 = (text: string): Uint8Array => Buffer.from(text);
export const asText = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
