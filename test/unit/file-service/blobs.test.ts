import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { noise, stream, testMesh } from './machines.ts';

test('a blob put at one machine is read at every other, whole and in ranges', async () => {
  const mesh = await testMesh(['a', 'b', 'c'], { chunkBytes: 256 * 1024 });
  const [a, b, c] = mesh.machines;
  const bytes = noise(10 * 1024 * 1024 + 17);
  const record = await a?.files.putBlob('box', 'dir/x', stream(bytes), { createContainer: true });
  expect(record).toMatchObject({ container: 'box', name: 'dir/x', sizeBytes: bytes.length });
  expect(record?.holders).toHaveLength(2);
  for (const machine of [a, b, c]) {
    const opened = await machine?.files.openBlob('box', 'dir/x', undefined);
    expect(opened && (await buffer(opened.body)).equals(bytes)).toBe(true);
  }
  for (const [start, end] of [
    [0, 0],
    [262_143, 262_144],
    [1_000_000, 3_000_000],
    [bytes.length - 1, undefined],
  ] as const) {
    const opened = await c?.files.openBlob('box', 'dir/x', { start, ...(end === undefined ? {} : { end }) });
    const part = bytes.subarray(start, end === undefined ? undefined : end + 1);
    expect(opened && (await buffer(opened.body)).equals(part)).toBe(true);
  }
  await expect(c?.files.openBlob('box', 'dir/x', { start: bytes.length })).rejects.toMatchObject({
    code: 'InvalidRange',
  });
});
