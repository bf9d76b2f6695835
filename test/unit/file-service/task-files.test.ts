import { execFile } from 'node:child_process';
import { appendFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { TaskEntity } from '../../../src/model/queries.ts';
import type { KeptFile } from '../../../src/model/task.ts';
import { noise, stream, type TestMachine, type TestMesh, testMesh } from './machines.ts';

const NODE = 'tvm-00000001';

async function meshWithTask(state: TaskEntity['state'], kept: readonly KeptFile[] = []) {
  const mesh = await testMesh(['a', 'b', 'c']);
  const [, b] = mesh.machines;
  mesh.world.ok({ kind: 'job.reserve', job: 'Job', pool: 'default', voters: [b?.id ?? ''] });
  const directory = join(b?.nodes ?? '', NODE, 'workitems/Job/job-1/t1');
  await mkdir(join(directory, 'wd/deep'), { recursive: true });
  await writeFile(join(directory, 'stdout.txt'), 'hello\n');
  await writeFile(join(directory, 'stderr.txt'), '');
  await writeFile(join(directory, 'wd/deep/out.bin'), BIG);
  addTask(mesh, b, { state, files: kept });
  return { mesh, directory, machines: mesh.machines };
}

const BIG = noise(900_000);

function addTask(mesh: TestMesh, machine: TestMachine | undefined, over: Partial<TaskEntity>): void {
  const entity: TaskEntity = {
    job: 'Job',
    pool: 'default',
    spec: { id: 't1', commandLine: 'true' },
    number: 1,
    state: 'completed',
    creationTimeMs: 1,
    stateTransitionTimeMs: 5,
    endTimeMs: 5,
    epoch: 3,
    node: NODE,
    ...(machine === undefined ? {} : { machine: machine.id }),
    retryCount: 0,
    requeueCount: 0,
    files: [],
    eTag: '0x1',
    lastModifiedMs: 5,
    ...over,
  };
  mesh.tasks.set('Job/t1', entity);
}

test("a task's files are listed, read and deleted from any machine while its node lives", async () => {
  const { machines, directory } = await meshWithTask('running');
  for (const { files } of machines) {
    const top = await files.listTaskFiles('Job', 't1', false);
    expect(top.map(({ path }) => path).sort()).toEqual(['stderr.txt', 'stdout.txt', 'wd']);
    const all = await files.listTaskFiles('Job', 't1', true);
    expect(all.map(({ path }) => path)).toContain('wd/deep/out.bin');
    expect(await files.statTaskFile('Job', 't1', 'stdout.txt')).toMatchObject({
      sizeBytes: 6,
      directory: false,
    });
    const small = await files.openTaskFile('Job', 't1', 'stdout.txt', { start: 1, end: 3 });
    expect(await text(small.body)).toBe('ell');
    const large = await files.openTaskFile('Job', 't1', 'wd/deep/out.bin', undefined);
    expect((await buffer(large.body)).equals(BIG)).toBe(true);
    const part = await files.openTaskFile('Job', 't1', 'wd/deep/out.bin', { start: 100_000, end: 800_000 });
    expect((await buffer(part.body)).equals(BIG.subarray(100_000, 800_001))).toBe(true);
    await expect(
      files.openTaskFile('Job', 't1', 'wd/deep/out.bin', { start: 900_000 }),
    ).rejects.toMatchObject({ code: 'InvalidRange' });
    await expect(files.statTaskFile('Job', 't1', 'nope')).rejects.toMatchObject({ code: 'FileNotFound' });
  }
  const [a] = machines;
  await expect(a?.files.deleteTaskFile('Job', 't1', 'wd', false)).rejects.toMatchObject({
    code: 'OperationInvalidForCurrentState',
  });
  await a?.files.deleteTaskFile('Job', 't1', 'wd', true);
  expect((await a?.files.listTaskFiles('Job', 't1', true))?.map(({ path }) => path).sort()).toEqual([
    'stderr.txt',
    'stdout.txt',
  ]);
  await appendFile(join(directory, 'stdout.txt'), 'more');
  const grown = await a?.files.openTaskFile('Job', 't1', 'stdout.txt', { start: 6 });
  expect(grown && (await text(grown.body))).toBe('more');
});

test('no path, link or FIFO leads out of the task, on this machine or another', async () => {
  const { machines, directory } = await meshWithTask('running');
  await writeFile(join(directory, '../../../../../secret'), 'secret');
  await symlink('/etc', join(directory, 'wd/etc'));
  await symlink('/etc/passwd', join(directory, 'wd/passwd'));
  await promisify(execFile)('mkfifo', [join(directory, 'wd/fifo')]);
  for (const { files } of machines) {
    for (const path of ['../../../../../secret', '/etc/passwd', 'wd/../../t2/x', '.', '', 'wd//x', 'a\0b']) {
      const opened = files.openTaskFile('Job', 't1', path, undefined);
      await expect(opened).rejects.toMatchObject({ code: 'InvalidPropertyValue' });
    }
    for (const path of ['wd/etc/passwd', 'wd/passwd', 'wd/fifo', 'wd/deep']) {
      await expect(files.openTaskFile('Job', 't1', path, undefined)).rejects.toMatchObject({
        code: 'Forbidden',
      });
    }
    const listed = await files.listTaskFiles('Job', 't1', true);
    expect(listed.map(({ path }) => path).filter((path) => /etc|passwd|fifo/.test(path))).toEqual([]);
  }
});

test('what a completed task left outlives its machine, large logs too', async () => {
  const { mesh, machines } = await meshWithTask('completed');
  const [, b, c] = machines;
  const log = noise(500_000);
  const content = await b?.files.ingest(stream(log));
  if (content === undefined) throw new Error('nothing stored');
  await b?.files.spread(content, Date.now() + 3_600_000);
  addTask(mesh, b, {
    files: [
      { path: 'stdout.txt', ...content },
      { path: 'wd/small.txt', sizeBytes: 5, inline: Buffer.from('small') },
    ],
  });
  mesh.network.cut(b?.peer ?? '');
  const listed = await c?.files.listTaskFiles('Job', 't1', true);
  expect(listed?.map(({ path }) => path).sort()).toEqual(['stderr.txt', 'stdout.txt', 'wd', 'wd/small.txt']);
  expect((await c?.files.listTaskFiles('Job', 't1', false))?.map(({ path }) => path).sort()).toEqual([
    'stderr.txt',
    'stdout.txt',
    'wd',
  ]);
  const stdout = await c?.files.openTaskFile('Job', 't1', 'stdout.txt', undefined);
  expect(stdout && (await buffer(stdout.body)).equals(log)).toBe(true);
  const part = await c?.files.openTaskFile('Job', 't1', 'wd/small.txt', { start: 1, end: 2 });
  expect(part && (await text(part.body))).toBe('ma');
  const empty = await c?.files.openTaskFile('Job', 't1', 'stderr.txt', undefined);
  expect(empty && (await text(empty.body))).toBe('');
  await expect(c?.files.statTaskFile('Job', 't1', 'wd/other')).rejects.toMatchObject({
    code: 'FileNotFound',
  });
});

test("a node's files are deleted from any machine, and no link leads the deletion elsewhere", async () => {
  const { mesh, machines, directory } = await meshWithTask('running');
  const [a, b, c] = machines;
  const node = { node: NODE, pool: 'default', machine: b?.id ?? '', cores: 1, memoryBytes: 1024 ** 3 };
  mesh.world.ok({
    kind: 'allot',
    add: [{ ...node, slots: 1, dedicated: false, labels: [] }],
    leave: [],
    resizeErrors: [],
    steady: [],
  });
  const root = join(b?.nodes ?? '', NODE);
  await mkdir(join(root, 'startup/wd'), { recursive: true });
  await writeFile(join(root, 'startup/wd/tool'), 'x');
  await symlink(directory, join(root, 'startup/task'));
  await expect(a?.files.deleteNodeFile('default', NODE, 'startup', false)).rejects.toMatchObject({
    code: 'OperationInvalidForCurrentState',
  });
  for (const path of ['../secret', '/etc/passwd', '', '.', 'startup/../workitems']) {
    await expect(a?.files.deleteNodeFile('default', NODE, path, true)).rejects.toMatchObject({
      code: 'InvalidPropertyValue',
    });
  }
  await expect(a?.files.deleteNodeFile('default', NODE, 'startup/task/wd', true)).rejects.toMatchObject({
    code: 'Forbidden',
  });
  await a?.files.deleteNodeFile('default', NODE, 'startup/wd/tool', false);
  await expect(c?.files.statNodeFile('default', NODE, 'startup/wd/tool')).rejects.toMatchObject({
    code: 'FileNotFound',
  });
  await c?.files.deleteNodeFile('default', NODE, 'startup', true);
  const left = await b?.files.listNodeFiles('default', NODE, true);
  expect(left?.map(({ path }) => path).filter((path) => path.startsWith('startup'))).toEqual([]);
  expect(left?.map(({ path }) => path)).toContain('workitems/Job/job-1/t1/wd/deep/out.bin');
});

test('each absence has its own code', async () => {
  const { mesh, machines } = await meshWithTask('running');
  const [a, b] = machines;
  await expect(a?.files.listTaskFiles('nope', 't1', false)).rejects.toMatchObject({ code: 'JobNotFound' });
  await expect(a?.files.listTaskFiles('Job', 't9', false)).rejects.toMatchObject({ code: 'TaskNotFound' });
  await expect(a?.files.listNodeFiles('default', 'nope', false)).rejects.toMatchObject({
    code: 'NodeNotFound',
  });
  mesh.network.cut(b?.peer ?? '');
  await expect(a?.files.listTaskFiles('Job', 't1', false)).rejects.toMatchObject({ code: 'NodeNotReady' });
  mesh.tasks.clear();
  const { node: _node, machine: _machine, ...never } = { node: NODE, machine: '', job: 'Job' };
  addTask(mesh, undefined, { state: 'active', ...never });
  const entity = mesh.tasks.get('Job/t1');
  if (entity !== undefined) {
    const { node: _, ...withoutNode } = entity;
    mesh.tasks.set('Job/t1', withoutNode);
  }
  await expect(a?.files.listTaskFiles('Job', 't1', false)).rejects.toMatchObject({
    code: 'TaskFilesUnavailable',
  });
});
