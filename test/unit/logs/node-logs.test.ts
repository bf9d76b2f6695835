/** Logs of a node's machine on their way to the storage of the mesh, asked of any machine. A blob service is in the end-to-end tests. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, expect, test } from 'vitest';
import { Reach } from '../../../agent/lifecycle/reach.ts';
import { NodeLogs } from '../../../agent/logs/node-logs.ts';
import { LOG_UPLOADS_MAX } from '../../../src/lib/limits.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { peerOfMachine } from '../../../src/model/ids.ts';
import { UPLOAD_LOGS_REQUEST, UploadLogs } from '../../../src/wire/files.ts';
import { type TestMesh, testMesh } from '../file-service/machines.ts';
import { failureCode, temporaryDirectory } from '../files/temporary-directory.ts';
import { idOf } from '../mesh-core/world.ts';

const NODE = 'tvm-00000001';
const WISH = { containerUrl: 'mesh://logs', startMs: 0 };
let mesh: TestMesh;
let logs: readonly NodeLogs[];

/** Three machines, of which `b` has the node; each has said its own name in its log. */
beforeEach(async () => {
  mesh = await testMesh(['a', 'b', 'c']);
  const capacity = { cores: 1, memoryBytes: 1024 ** 3, slots: 1, dedicated: true, labels: [] };
  const node = { node: NODE, pool: 'default', machine: idOf('b'), ...capacity };
  mesh.world.ok({ kind: 'allot', add: [node], leave: [], resizeErrors: [], steady: [] });
  mesh.world.ok({ kind: 'container.create', name: 'logs' });
  const made: NodeLogs[] = [];
  for (const { id, files, network, coordinator } of mesh.machines) {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'agent.log'), `{"time":"2026-11-21T12:00:00.000Z","machine":"${id}"}\n`);
    await writeFile(join(directory, 'runner.log'), '2026-11-21T12:00:00.000Z listening\n');
    const others = [join(directory, 'runner.log'), join(directory, 'runner.log.old')];
    const reach = new Reach();
    const nodeLogs = new NodeLogs({
      self: id,
      transport: network,
      coordinator,
      files,
      reach,
      directory,
      others,
      log: silentLog,
    });
    nodeLogs.start();
    made.push(nodeLogs);
  }
  logs = made;
});

test('come from the machine of the node, whichever machine is asked', async () => {
  for (const asked of logs) {
    const { directory, files } = await asked.upload('Default', NODE, WISH);
    expect(files).toBe(2);
    const opened = await mesh.machines[2]?.files.openBlob('logs', `${directory}/agent.log`, undefined);
    if (opened === undefined) throw new Error('there are three machines');
    expect(await text(opened.body)).toContain(`"machine":"${idOf('b')}"`);
  }
});

test('of a node that is not there, or whose machine is gone, are refused', async () => {
  const [asked] = logs;
  if (asked === undefined) throw new Error('there are three machines');
  expect(await failureCode(asked.upload('default', 'tvm-00000009', WISH))).toBe('NodeNotFound');
  expect(await failureCode(asked.upload('other', NODE, WISH))).toBe('NodeNotFound');
  expect(await failureCode(asked.upload('default', NODE, { ...WISH, containerUrl: 'mesh://none' }))).toBe(
    'ContainerNotFound',
  );
  mesh.network.cut(peerOfMachine(idOf('b')));
  expect(await failureCode(asked.upload('default', NODE, WISH))).toBe('NodeNotReady');
});

test('are sent for members only, and for few at once', async () => {
  const stranger = mesh.network.join('stranger');
  const body = UploadLogs.encode({ ...WISH, directory: 'x', endMs: 1e15 });
  const b = peerOfMachine(idOf('b'));
  expect(await failureCode(stranger.request(b, UPLOAD_LOGS_REQUEST, body))).toBe('NotAMember');
  const [asked] = logs;
  const uploads = Array.from({ length: LOG_UPLOADS_MAX + 1 }, () => asked?.upload('default', NODE, WISH));
  const settled = await Promise.allSettled(uploads);
  expect(settled.filter(({ status }) => status === 'rejected')).toEqual([
    { status: 'rejected', reason: expect.objectContaining({ code: 'TooManyRequests' }) },
  ]);
  // Each that has ended makes room.
  expect(await asked?.upload('default', NODE, WISH)).toMatchObject({ files: 2 });
});
