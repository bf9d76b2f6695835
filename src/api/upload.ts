/** A body that is streamed on while it arrives. */
import { Readable } from 'node:stream';
import type { Clock, Timer } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import { API_STREAM_IDLE_MS } from '../lib/limits.ts';
import { tooLarge } from './json-body.ts';

/** Passes `body` on; fails where it grows past `bytesMax`, stops for `API_STREAM_IDLE_MS`, or is cut off by its client. */
export function guardUpload(body: Readable, bytesMax: number, clock: Clock): Readable {
  const guarded = Readable.from(passOn(body, bytesMax, clock), { objectMode: false });
  guarded.once('close', () => body.destroy());
  return guarded;
}

async function* passOn(body: Readable, bytesMax: number, clock: Clock): AsyncGenerator<Buffer> {
  let length = 0;
  let timer = armed(body, clock);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      timer.cancel();
      length += chunk.length;
      if (length > bytesMax) throw tooLarge(bytesMax);
      yield chunk;
      timer = armed(body, clock);
    }
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError('InvalidRequestBody', 'The request body ended early.', {}, { cause });
  } finally {
    timer.cancel();
  }
}

function armed(body: Readable, clock: Clock): Timer {
  return clock.after(API_STREAM_IDLE_MS, () =>
    body.destroy(new ShoalError('OperationTimedOut', 'The request body stopped arriving.')),
  );
}
