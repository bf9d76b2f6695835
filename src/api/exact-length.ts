/** Keeps a body to the length that its headers promised. */
import { Readable } from 'node:stream';

/**
 * The first `length` bytes of `body`: a file that a task still writes to may have grown since its size was told. A
 * body that ends sooner fails, so that the client sees a broken connection and not a short file.
 */
export function exactLength(body: Readable, length: number): Readable {
  const limited = Readable.from(firstBytes(body, length), { objectMode: false });
  // A generator that was never started does not run its clean-up.
  limited.once('close', () => body.destroy());
  return limited;
}

async function* firstBytes(body: AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let left = length;
  if (left === 0) return;
  for await (const chunk of body) {
    yield chunk.length <= left ? chunk : chunk.subarray(0, left);
    left -= Math.min(left, chunk.length);
    if (left === 0) return;
  }
  throw new Error(`the body ended ${left} bytes early`);
}
