import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { localFileDisk } from '../../../agent/files/file-disk.ts';
import { createFileService } from '../../../agent/files/service.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { diskThreadScript } from '../files/disk-thread-script.ts';
import { temporaryDirectory } from '../files/temporary-directory.ts';
import { introduce, startMesh } from '../mesh/meshes.ts';
import { MeshWorld, offer } from '../mesh-core/world.ts';
import { noise, stream, until } from './machines.ts';

const NODE = 'tvm-00000001';

test('over real connections a blob goes to three machines, and a node file crosses in one piece', async () => {
  const meshes = await Promise.all([startMesh(), startMesh(), startMesh()]);
  introduce(...meshes);
  const [first, second, third] = meshes;
  if (first === undefined || second === undefined || third === undefined)
    throw new Error('three were started');
  await second.dial(first.self, first.addresses());
  await third.dial(first.self, first.addresses());
  await third.dial(second.self, second.addresses());
  const idOf = (peer: string): string => `${peer}/00000001`;
  const world = new MeshWorld();
  const offers = meshes.map(({ self }, index) => offer(`m${index}`, { id: idOf(self), peer: self }));
  world.ok({
    kind: 'mesh.init',
    settings: { meshId: 'm', accountName: 's', accountKey: 'a2V5' },
    machine: offers[0] ?? offer('a'),
  });
  for (const [index, { id: _id, peer: _peer, name, ...over }] of offers.slice(1).entries()) {
    world.join(name, {
      ...over,
      id: idOf(meshes[index + 1]?.self ?? ''),
      peer: meshes[index + 1]?.self ?? '',
    });
  }
  const services = await Promise.all(
    meshes.map(async (mesh) => {
      const root = await temporaryDirectory();
      const nodes = join(root, 'nodes');
      await mkdir(join(nodes, NODE), { recursive: true });
      const files = createFileService({
        self: idOf(mesh.self),
        disk: localFileDisk({
          directory: join(root, 'chunks'),
          diskThreadScript: await diskThreadScript(),
          clock: systemClock,
        }),
        nodesDirectory: nodes,
        transport: mesh,
        bulk: mesh,
        coordinator: {
          mesh: world.machine,
          router: {
            propose: async (_group, command) => world.run(command as never) as never,
            query: async (_group, name, argument) => world.query(name as never, argument as never) as never,
          },
          presence: {
            isAlive: (machine) =>
              machine === idOf(mesh.self) || mesh.isConnected(machine.split('/')[0] ?? ''),
          },
          leads: () => false,
          requireMember: () => undefined,
        },
        clock: systemClock,
        log: silentLog,
      });
      await files.start();
      onTestFinished(() => files.stop());
      return { files, nodes };
    }),
  );
  await until(() => meshes.every((mesh) => mesh.connected().length === 2));
  const bytes = noise(10 * 1024 * 1024 + 5);
  const record = await services[0]?.files.putBlob('box', 'x', stream(bytes), { createContainer: true });
  expect(record?.holders).toHaveLength(2);
  const copies = await Promise.all(
    services.map(async ({ files }) => {
      const { body } = await files.openBlob('box', 'x', undefined);
      return buffer(body);
    }),
  );
  for (const copy of copies) expect(copy.equals(bytes)).toBe(true);

  await writeFile(join(services[1]?.nodes ?? '', `${NODE}/large`), bytes);
  world.ok({
    kind: 'allot',
    add: [
      {
        node: NODE,
        pool: 'default',
        machine: idOf(second.self),
        cores: 1,
        memoryBytes: 1024 ** 3,
        slots: 1,
        dedicated: false,
        labels: [],
      },
    ],
    leave: [],
    resizeErrors: [],
    steady: [],
  });
  const opened = await services[0]?.files.openNodeFile('default', NODE, 'large', { start: 7 });
  expect(opened && (await buffer(opened.body)).equals(bytes.subarray(7))).toBe(true);
});
