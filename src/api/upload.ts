/** Bodies that are not read into memory: streamed on while they arrive, or dropped. */
import { Readable } from 'node:stream';
import type { Clock, Timer } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import { API_DISCARD_MS, API_STREAM_IDLE_MS } from '../lib/limits.ts';
import { tooLarge } from './json-body.ts';

/**
 * Passes `body` on; fails where it grows past `bytesMax`, stops for `API_STREAM_IDLE_MS`, or is cut off by its client.
 * `body` itself stays whole when its reader stops: it is the connection, and the answer still has to go out on it.
 */
export function guardUpload(body: Readable, bytesMax: number, clock: Clock): Readable {
  return Readable.from(passOn(body, bytesMax, clock), { objectMode: false });
}

async function* passOn(body: Readable, bytesMax: number, clock: Clock): AsyncGenerator<Buffer> {
  let length = 0;
  let timer = armed(body, clock);
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
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

/**
 * Reads what is left of a request's body and drops it: a client that is still sending does not read, and closing on it
 * would lose it the answer that says why. Past `bytesMax` or `API_DISCARD_MS` the connection is cut.
 */
export function discardRest(request: Readable, clock: Clock, bytesMax: number): void {
  let left = bytesMax;
  const timer = clock.after(API_DISCARD_MS, () => request.destroy());
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.once('error', () => timer.cancel());
  request.once('close', () => timer.cancel());
  request.resume();
}
