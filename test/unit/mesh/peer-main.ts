import { systemClock } from '../../../src/lib/clock.ts';
import { createMesh } from '../../../src/mesh/mesh.ts';

/** The child of peer-process.ts: echoes, hangs on demand, and lives until it is killed. */
const mesh = createMesh({
  privateKey: Buffer.from(process.argv[3] ?? '', 'hex'),
  listen: ['/ip4/127.0.0.1/tcp/0'],
  mdns: false,
  meshId: 'test',
  clock: systemClock,
  log: { debug: () => {}, info: () => {}, warn: () => {} },
});
mesh.onRequest('echo', async (_from, payload) => payload);
mesh.onRequest('hang', () => new Promise(() => {}));
mesh.onBulk('endless', (_from, _header, stream) => {
  const more = (): void => {
    while (stream.write(Buffer.alloc(64 * 1024)));
    stream.once('drain', more);
  };
  more();
});
mesh.setAllowed(new Set([mesh.self, ...(JSON.parse(process.argv[2] ?? '[]') as string[])]));
await mesh.start();
process.send?.({ self: mesh.self, addresses: mesh.addresses() });
