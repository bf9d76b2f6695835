import { expect, test } from 'vitest';
import { ChunkBuffers } from '../../../agent/files/chunk-buffers.ts';

const CHUNK = 1024;

test('memory that was given back is used again, memory that was not never', () => {
  const buffers = new ChunkBuffers(CHUNK, 4);
  const first = buffers.take(CHUNK);
  const second = buffers.take(CHUNK);
  expect(second.buffer).not.toBe(first.buffer);
  buffers.giveBack(first);
  const third = buffers.take(CHUNK);
  expect(third.buffer).toBe(first.buffer);
  expect(buffers.take(CHUNK).buffer).not.toBe(second.buffer);
});

test('the last, shorter chunk of a blob has its own length and gives the whole memory back', () => {
  const buffers = new ChunkBuffers(CHUNK, 4);
  const short = buffers.take(700);
  expect(short).toHaveLength(700);
  buffers.giveBack(short);
  const whole = buffers.take(CHUNK);
  expect(whole).toHaveLength(CHUNK);
  expect(whole.buffer).toBe(short.buffer);
});

test('a chunk far shorter or longer than most has memory of its own', () => {
  const buffers = new ChunkBuffers(CHUNK, 4);
  for (const length of [0, 1, 2 * CHUNK]) {
    const bytes = buffers.take(length);
    expect(bytes).toHaveLength(length);
    expect(bytes.buffer.byteLength).toBe(length);
    buffers.giveBack(bytes);
    expect(buffers.take(CHUNK).buffer).not.toBe(bytes.buffer);
  }
});

test('no more is kept than was asked for, and nothing is given back twice', () => {
  const buffers = new ChunkBuffers(CHUNK, 1);
  const [first, second] = [buffers.take(CHUNK), buffers.take(CHUNK)];
  buffers.giveBack(first);
  expect(() => buffers.giveBack(first)).toThrow('given back twice');
  buffers.giveBack(second);
  buffers.take(CHUNK);
  expect(buffers.take(CHUNK).buffer).not.toBe(second.buffer);
});
