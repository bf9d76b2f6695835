import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { Clock } from '../../../src/lib/clock.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { noise, stream, testMesh, until } from './machines.ts';

/** The system's clock, with hours added by hand; periods of seconds pass at once. */
class ShiftedClock implements Clock {
  addedMs = 0;
  wallMs = (): number => systemClock.wallMs() + this.addedMs;
  monotonicMs = (): number => systemClock.monotonicMs() + this.addedMs;
  after = (delayMs: number, fire: () => void) =>
    systemClock.after(delayMs >= 2_000 && delayMs < 60_000 ? delayMs / 20 : delayMs, fire);
  soon = systemClock.soon;
}

test('small contents travel many in one request, large ones are fetched, and all have two holders', async () => {
  const mesh = await testMesh(['a', 'b', 'c']);
  const [a] = mesh.machines;
  const blobs = [];
  for (let number = 0; number < 40; number++) {
    const content = await a?.files.ingest(stream(noise(number === 7 ? 600_000 : 1_000 * number)));
    if (content !== undefined) blobs.push({ name: `out/${String(number).padStart(2, '0')}`, content });
  }
  mesh.network.requests.clear();
  await a?.files.publish('box', blobs);
  const records = await a?.files.list('box', 'out/');
  expect(records?.map(({ name }) => name)).toEqual(blobs.map(({ name }) => name));
  expect(records?.every(({ holders }) => holders.length === 2)).toBe(true);
  expect(mesh.network.requests.get('files.push')).toBeLessThan(8);
  expect(mesh.network.requests.get('files.fetch')).toBe(1);
});

test('a refused name is the error of the put', async () => {
  const mesh = await testMesh(['a']);
  const [a] = mesh.machines;
  await expect(a?.files.putBlob('box', 'x', stream(noise(10)))).rejects.toMatchObject({
    code: 'ContainerNotFound',
  });
  const record = await a?.files.putBlob('box', 'x', stream(noise(0)), { createContainer: true });
  expect(record).toMatchObject({ sizeBytes: 0, holders: [a?.id] });
  const opened = await a?.files.openBlob('box', 'x', undefined);
  expect(opened && (await buffer(opened.body)).length).toBe(0);
});

test('a lost copy is made again on another machine, and read from there', async () => {
  const clock = new ShiftedClock();
  const mesh = await testMesh(['a', 'b', 'c'], { clock });
  const [a, b, c] = mesh.machines;
  const bytes = noise(700_000);
  const record = await a?.files.putBlob('box', 'x', stream(bytes), { createContainer: true });
  const second = [b, c].find((machine) => machine?.id === record?.holders.find((holder) => holder !== a?.id));
  const third = second === b ? c : b;
  mesh.network.cut(second?.peer ?? '');
  const holders = () => mesh.world.machine.blob('box', 'x')?.holders ?? [];
  await until(() => holders().includes(third?.id ?? ''));
  mesh.network.cut(a?.peer ?? '');
  const opened = await third?.files.openBlob('box', 'x', undefined);
  expect(opened && (await buffer(opened.body)).equals(bytes)).toBe(true);
});

test('what nothing refers to is removed after its time; blobs and kept contents stay, also over a restart', async () => {
  const clock = new ShiftedClock();
  const mesh = await testMesh(['a'], { clock });
  const [a] = mesh.machines;
  await a?.files.putBlob('box', 'stays', stream(noise(50_000)), { createContainer: true });
  await a?.files.putBlob('box', 'goes', stream(noise(60_000)));
  const log = await a?.files.ingest(stream(noise(70_000)));
  if (log !== undefined) await a?.files.spread(log, clock.wallMs() + 10 * 3_600_000);
  const abandoned = await a?.files.ingest(stream(noise(80_000)));
  mesh.world.ok({ kind: 'blob.delete', container: 'box', names: ['goes'] });
  expect(await a?.files.collect()).toBe(0);
  clock.addedMs += 700_000;
  expect(await a?.files.collect()).toBeGreaterThan(60_000);
  await buffer((await a?.files.openContent(abandoned?.manifest ?? '')) ?? stream(noise(0)));
  clock.addedMs += 4 * 3_600_000;
  expect(await a?.files.collect()).toBeGreaterThan(80_000);
  await a?.files.stop();
  const again = await mesh.start('a', a?.chunks);
  expect(await again.files.collect()).toBe(0);
  expect((await buffer(await again.files.openContent(log?.manifest ?? ''))).length).toBe(70_000);
  clock.addedMs += 7 * 3_600_000;
  expect(await again.files.collect()).toBeGreaterThan(70_000);
  const opened = await again.files.openBlob('box', 'stays', undefined);
  expect((await buffer(opened.body)).length).toBe(50_000);
});

test('an application package is copied, mended and kept as a blob is, and goes with its version', async () => {
  const clock = new ShiftedClock();
  const mesh = await testMesh(['a', 'b', 'c'], { clock });
  const [a] = mesh.machines;
  const bytes = noise(90_000);
  const put = await a?.files.putPackage('tool', '1', stream(bytes), { makeDefault: true });
  expect(put).toMatchObject({ id: 'tool', defaultVersion: '1', packages: [{ sizeBytes: bytes.length }] });
  const manifest = put?.packages[0]?.manifest ?? '';
  expect(mesh.world.machine.manifestHolders(manifest)).toHaveLength(2);
  clock.addedMs += 5 * 3_600_000;
  expect(await a?.files.collect()).toBe(0);
  expect((await buffer((await a?.files.openContent(manifest)) ?? stream(noise(0)))).equals(bytes)).toBe(true);
  await expect(a?.files.putPackage('no.pe', '1', stream(bytes))).rejects.toMatchObject({
    code: 'InvalidPropertyValue',
  });
  mesh.world.ok({ kind: 'application.delete', application: 'tool', version: '1' });
  clock.addedMs += 5 * 3_600_000;
  expect(await a?.files.collect()).toBeGreaterThan(bytes.length);
});

test('a machine whose disk lost a chunk fetches it again', async () => {
  const clock = new ShiftedClock();
  const mesh = await testMesh(['a', 'b'], { clock });
  const [a] = mesh.machines;
  const bytes = noise(600_000);
  await a?.files.putBlob('box', 'x', stream(bytes), { createContainer: true });
  for (const name of (await readdir(join(a?.chunks ?? '', 'chunks'))).slice(0, 5)) {
    for (const file of await readdir(join(a?.chunks ?? '', 'chunks', name))) {
      await writeFile(join(a?.chunks ?? '', 'chunks', name, file), 'rot');
    }
  }
  const opened = await a?.files.openBlob('box', 'x', undefined);
  await (opened && buffer(opened.body))?.catch(() => undefined);
  await until(async () => {
    await a?.files.collect();
    const retried = await a?.files.openBlob('box', 'x', undefined);
    return (await (retried && buffer(retried.body))?.catch(() => undefined))?.equals(bytes) === true;
  });
  expect(mesh.world.machine.blob('box', 'x')?.holders).toHaveLength(2);
});
