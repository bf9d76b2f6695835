import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { onTestFinished } from 'vitest';
import { type FrameParts, type Hello, helloFrame } from '../../../src/mesh/frames.ts';
import { GossipRouter } from '../../../src/mesh/gossip-router.ts';
import { libp2pKeyOf } from '../../../src/mesh/identity.ts';
import { JoinedWriter } from '../../../src/mesh/joined-writer.ts';
import { CONTROL_PROTOCOL } from '../../../src/mesh/links.ts';
import type { MeshNode } from '../../../src/mesh/mesh.ts';
import { createNode } from '../../../src/mesh/node.ts';

/** A bare libp2p node that follows no rule of ours. Its key must be the smaller one: then it opens the control stream. */
export interface HostileNode {
  readonly node: Libp2p;
  readonly router: GossipRouter;
  connect(mesh: MeshNode): Promise<Connection>;
  openControl(mesh: MeshNode): Promise<ControlStream>;
}

export interface ControlStream {
  readonly connection: Connection;
  readonly stream: Stream;
  write(...parts: FrameParts): void;
  /** Resolves when the stream ends. */
  readonly ended: Promise<void>;
}

export async function startHostile(privateKey: Uint8Array): Promise<HostileNode> {
  const router = new GossipRouter('shoal/test/', () => true);
  const node = await createNode({
    privateKey: libp2pKeyOf(privateKey),
    listen: [],
    announce: [],
    discovery: undefined,
    gater: {},
    gossip: router.factory(),
  });
  await node.start();
  onTestFinished(async () => void (await node.stop()));
  const connect = (mesh: MeshNode): Promise<Connection> =>
    node.dial(multiaddr(`${mesh.addresses()[0] ?? ''}/p2p/${mesh.self}`), { force: true });
  return {
    node,
    router,
    connect,
    async openControl(mesh) {
      const connection = await connect(mesh);
      const stream = await connection.newStream(CONTROL_PROTOCOL);
      const writer = new JoinedWriter();
      Promise.resolve(stream.sink(writer.source())).catch(() => {});
      return { connection, stream, write: (...parts) => writer.push(parts), ended: drained(stream) };
    },
  };
}

export const hostileHello: Hello = {
  meshId: 'test',
  protocol: 1,
  software: 'hostile',
  boot: 1,
  addresses: [],
};

export function sayHello(control: ControlStream, changes: Partial<Hello> = {}): void {
  control.write(...helloFrame({ ...hostileHello, ...changes }));
}

async function drained(stream: Stream): Promise<void> {
  try {
    for await (const _chunk of stream.source);
  } catch {
    // A reset is an end as well.
  }
}
