import { expect, test } from 'vitest';
import { CONTAINER_DELETE_SLICE } from '../../../src/lib/limits.ts';
import type { BlobPut, MeshCommand } from '../../../src/model/commands.ts';
import { idOf, MeshWorld, viewOf } from './world.ts';

const manifest = (number: number): string => number.toString(16).padStart(64, '0');

const blob = (name: string, number: number, over: Partial<BlobPut> = {}): BlobPut => ({
  name,
  sizeBytes: 10,
  manifest: manifest(number),
  holders: [idOf('a')],
  ...over,
});

const put = (blobs: BlobPut[], container = 'box', createContainer = true): MeshCommand => ({
  kind: 'blob.put',
  container,
  blobs,
  createContainer,
});

const of = (task: number, epoch: number) => ({ origin: { pool: 'p', job: 1, task, epoch } });

test('a container is made, counted and deleted with what is in it', async () => {
  const world = new MeshWorld().init('a');
  expect(world.code({ kind: 'container.create', name: 'No' })).toBe('InvalidPropertyValue');
  expect(world.code(put([blob('x', 1)], 'box', false))).toBe('ContainerNotFound');
  world.ok({ kind: 'container.create', name: 'box' });
  expect(world.code({ kind: 'container.create', name: 'box' })).toBe('ContainerExists');
  world.ok(put([blob('x', 1), blob('y', 2)], 'box', false));
  world.ok(put([blob('x', 3, { sizeBytes: 30 })]));
  expect(await world.query('container.list', {})).toMatchObject([{ name: 'box', blobs: 2, sizeBytes: 40 }]);
  world.ok({ kind: 'container.delete', name: 'box' });
  expect(await world.query('container.list', {})).toEqual([]);
  expect([...world.rows.keys()].filter((key) => 'bchx'.includes(key[0] ?? ''))).toEqual([]);
  expect(world.code({ kind: 'container.delete', name: 'box' })).toBe('ContainerNotFound');
});

test('a blob is read by name with its holders, and the last one to put a name has it', async () => {
  const world = new MeshWorld().init('a', 'b');
  world.ok(put([blob('d/x', 1)]));
  world.timeMs += 5;
  world.ok(put([blob('d/x', 2, { holders: [idOf('b'), idOf('a')] })]));
  expect(await world.query('blob.get', { container: 'box', name: 'd/x' })).toEqual({
    container: 'box',
    name: 'd/x',
    sizeBytes: 10,
    manifest: manifest(2),
    modifiedAtMs: world.timeMs,
    holders: [idOf('a'), idOf('b')],
  });
  expect(world.machine.isReferenced(manifest(1))).toBe(false);
  expect(world.machine.blob('box', 'd/x')?.manifest).toBe(manifest(2));
  await expect(world.query('blob.get', { container: 'box', name: 'z' })).rejects.toMatchObject({
    code: 'BlobNotFound',
  });
  await expect(world.query('blob.get', { container: 'nope', name: 'z' })).rejects.toMatchObject({
    code: 'ContainerNotFound',
  });
});

test('outputs of an earlier execution never replace those of a later one of the same task', () => {
  const world = new MeshWorld().init('a');
  world.ok(put([blob('out', 2, of(7, 20))]));
  world.ok(put([blob('out', 1, of(7, 19)), blob('log', 1, of(7, 19))]));
  expect(world.machine.blob('box', 'out')?.manifest).toBe(manifest(2));
  expect(world.machine.blob('box', 'log')?.manifest).toBe(manifest(1));
  world.ok(put([blob('out', 3, of(7, 21))]));
  expect(world.machine.blob('box', 'out')?.manifest).toBe(manifest(3));
  // Another task, or a person, may replace it whatever the epoch.
  world.ok(put([blob('out', 4, of(8, 1))]));
  world.ok(put([blob('out', 5)]));
  expect(world.machine.blob('box', 'out')?.manifest).toBe(manifest(5));
});

test('content that a blob names stays until the last one is gone', () => {
  const world = new MeshWorld().init('a');
  world.ok(put([blob('x', 1), blob('y', 1)]));
  world.ok(put([blob('x', 1)]));
  world.ok({ kind: 'blob.delete', container: 'box', names: ['x', 'nope', 'x'] });
  expect(world.machine.isReferenced(manifest(1))).toBe(true);
  world.ok({ kind: 'blob.delete', container: 'box', names: ['y'] });
  expect(world.machine.isReferenced(manifest(1))).toBe(false);
  expect(world.machine.manifestHolders(manifest(1))).toEqual([]);
  expect(world.code({ kind: 'blob.delete', container: 'box', names: ['y'] })).toBe('BlobNotFound');
});

test('a put is refused whole where one of its blobs is wrong', () => {
  const world = new MeshWorld().init('a');
  const wrong: [BlobPut, string][] = [
    [blob('../x', 1), 'InvalidPropertyValue'],
    [blob('a//b', 1), 'InvalidPropertyValue'],
    [blob('x', 1, { manifest: 'zz' }), 'InvalidPropertyValue'],
    [blob('x', 1, { sizeBytes: -1 }), 'TooLarge'],
    [blob('x', 1, { sizeBytes: 1.5 }), 'TooLarge'],
    [blob('x', 1, { holders: [] }), 'MachineNotFound'],
    [blob('x', 1, { holders: [idOf('z')] }), 'MachineNotFound'],
  ];
  for (const [bad, code] of wrong) expect(world.code(put([blob('good', 9), bad]))).toBe(code);
  world.ok(put([blob('x', 1)]));
  expect(world.code(put([blob('y', 1, { sizeBytes: 11 })]))).toBe('InvalidPropertyValue');
  const many = Array.from({ length: 1001 }, (_, at) => blob(`n${at}`, 1));
  expect(world.code(put(many))).toBe('TooLarge');
});

test('a listing goes by pages and by prefix, neither skips nor repeats, and takes any name', async () => {
  const world = new MeshWorld().init('a');
  const long = 'é'.repeat(800);
  const names = ['a', 'a/b', 'a b', 'a%20b', 'ä/x', '日本', `${long}1`, `${long}2`, `${long}/3`, 'z'];
  world.ok(put(names.map((name, at) => blob(name, at))));
  world.ok(put([blob(`${long}1`, 77)]));
  const list = async (prefix: string | undefined): Promise<string[]> => {
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await world.query('blob.list', {
        container: 'box',
        limit: 3,
        ...(prefix === undefined ? {} : { prefix }),
        ...(after === undefined ? {} : { after }),
      });
      found.push(...page.items.map((item) => item.name));
      after = page.next;
    } while (after !== undefined);
    return found;
  };
  expect((await list(undefined)).sort()).toEqual([...names].sort());
  expect((await list('a')).sort()).toEqual(['a', 'a b', 'a%20b', 'a/b']);
  expect(await list('a%')).toEqual(['a%20b']);
  expect((await list(long)).sort()).toEqual([`${long}/3`, `${long}1`, `${long}2`].sort());
  expect(await list(`${long}2`)).toEqual([`${long}2`]);
  expect((await world.query('blob.get', { container: 'box', name: `${long}1` })).manifest).toBe(manifest(77));
  expect(Math.max(...[...world.rows.keys()].map((key) => key.length))).toBeLessThan(1024);
  expect(viewOf(world.reload())).toEqual(viewOf(world.machine));
  world.ok({ kind: 'blob.delete', container: 'box', names: [`${long}1`, `${long}2`, `${long}/3`] });
  expect(await list('é')).toEqual([]);
  for (const limit of [0, 1001, 1.5]) {
    await expect(world.query('blob.list', { container: 'box', limit })).rejects.toMatchObject({
      code: 'OutOfRangeInput',
    });
  }
});

test('a large container is gone at once and its blobs go slice by slice, while its name is used anew', async () => {
  const world = new MeshWorld().init('a');
  const total = CONTAINER_DELETE_SLICE * 2 + 5;
  for (let at = 0; at < total; at += 1000) {
    world.ok(put(Array.from({ length: Math.min(1000, total - at) }, (_, n) => blob(`b${at + n}`, at + n))));
  }
  world.ok({ kind: 'container.delete', name: 'box' });
  expect([...world.rows.keys()].filter((key) => key.startsWith('b/'))).toHaveLength(
    total - CONTAINER_DELETE_SLICE,
  );
  world.ok(put([blob('b0', 5)]));
  let sweeps = 0;
  world.machine = world.reload();
  while (world.machine.dueAtMs() !== undefined && world.machine.dueAtMs() === world.machine.timeMs()) {
    world.ok({ kind: 'mesh.sweep' });
    sweeps += 1;
  }
  expect(sweeps).toBe(2);
  expect(await world.query('container.list', {})).toMatchObject([{ name: 'box', blobs: 1, sizeBytes: 10 }]);
  expect([...world.rows.keys()].filter((key) => 'bhx'.includes(key[0] ?? ''))).toHaveLength(2);
});

test('a replica that was loaded from rows lets go of the same slice as one that lived on', () => {
  const world = new MeshWorld().init('a');
  const total = CONTAINER_DELETE_SLICE + 10;
  for (let at = total; at > 0; at -= 10) {
    world.ok(put(Array.from({ length: Math.min(10, at) }, (_, n) => blob(`b${at - n}`, at - n))));
  }
  const copy = world.reload();
  const { writes } = world.apply([{ requestId: null, command: { kind: 'container.delete', name: 'box' } }]);
  const command: MeshCommand = { kind: 'container.delete', name: 'box' };
  expect(
    copy.apply(world.index, { timeMs: world.timeMs, commands: [{ requestId: null, command }] }).writes,
  ).toEqual(writes);
});

test('a lost machine holds nothing, not even when it comes back under its old id', () => {
  const world = new MeshWorld().init('a', 'b');
  world.ok(put([blob('x', 1, { holders: [idOf('a'), idOf('b')] }), blob('y', 2, { holders: [idOf('b')] })]));
  expect([...world.machine.blobsHeldBy(idOf('b'))].sort()).toEqual([manifest(1), manifest(2)]);
  world.ok({ kind: 'machine.remove', machine: idOf('b') });
  expect(world.machine.manifestHolders(manifest(1))).toEqual([idOf('a')]);
  world.join('b');
  for (const machine of [world.machine, world.reload()]) {
    expect([...machine.blobsHeldBy(idOf('b'))]).toEqual([]);
    expect(machine.manifestHolders(manifest(1))).toEqual([idOf('a')]);
    expect(machine.manifestHolders(manifest(2))).toEqual([]);
  }
});

test('what has too few live copies is named, as long as there is one to copy from and one to copy to', () => {
  const world = new MeshWorld().init('a', 'b', 'c');
  world.ok(
    put([
      blob('one', 1),
      blob('two', 2, { holders: [idOf('a'), idOf('b')] }),
      blob('lost', 3, { holders: [idOf('c')] }),
    ]),
  );
  const alive = (id: string): boolean => id !== idOf('c');
  expect(world.machine.underCopied(10, alive)).toEqual([
    { manifest: manifest(1), sizeBytes: 10, holders: [idOf('a')] },
  ]);
  expect(world.machine.underCopied(10, alive, (one) => one === manifest(1))).toEqual([]);
  expect(world.machine.underCopied(10, (id) => id === idOf('a'))).toEqual([]);
  world.ok({ kind: 'blob.holders', changes: [{ manifest: manifest(1), add: [idOf('b')], remove: [] }] });
  expect(world.machine.underCopied(10, alive)).toEqual([]);
  world.ok({
    kind: 'blob.holders',
    changes: [
      { manifest: manifest(2), add: [], remove: [idOf('b')] },
      { manifest: manifest(99), add: [idOf('a')], remove: [] },
    ],
  });
  expect(world.machine.underCopied(10, alive).map((held) => held.manifest)).toEqual([manifest(2)]);
  expect(world.machine.isReferenced(manifest(99))).toBe(false);
});
