import type { Logger, Stream, StreamMuxer } from '@libp2p/interface';
import { describe, expect, test } from 'vitest';
import { sparingYamux } from '../../../src/mesh/window-updates.ts';

const WINDOW_BYTES = 256 * 1024;
const HEADER_BYTES = 12;

function silent(): Logger {
  const nothing = (): void => undefined;
  return Object.assign(nothing, { error: nothing, trace: nothing, enabled: false }) as unknown as Logger;
}

interface Pair {
  readonly sender: StreamMuxer;
  /** The stream that the receiver sees. */
  readonly received: Promise<Stream>;
  /** Frames without data that the receiver has sent. */
  readonly bareFrames: () => number;
}

/** Two muxers, each the other's connection. */
function pair(): Pair {
  const factory = sparingYamux({
    initialStreamWindowSize: WINDOW_BYTES,
    maxStreamWindowSize: WINDOW_BYTES,
    enableKeepAlive: false,
  })({ logger: { forComponent: silent } });
  let onStream: (stream: Stream) => void = () => undefined;
  const received = new Promise<Stream>((resolve) => {
    onStream = resolve;
  });
  const sender = factory.createStreamMuxer({ direction: 'outbound' });
  const receiver = factory.createStreamMuxer({
    direction: 'inbound',
    onIncomingStream: (stream) => onStream(stream),
  });
  let bare = 0;
  async function* counted(source: AsyncIterable<{ readonly byteLength: number }>): AsyncGenerator<never> {
    for await (const frame of source) {
      if (frame.byteLength === HEADER_BYTES) bare += 1;
      yield frame as never;
    }
  }
  void receiver.sink(sender.source);
  void sender.sink(counted(receiver.source));
  return { sender, received, bareFrames: () => bare };
}

async function read(stream: Stream, bytes: number): Promise<number> {
  let sum = 0;
  for await (const chunk of stream.source) {
    sum += chunk.byteLength;
    if (sum >= bytes) break;
  }
  return sum;
}

describe('yamux that spares window updates', () => {
  test('small messages are read without a word to their sender', async () => {
    const { sender, received, bareFrames } = pair();
    const stream = await sender.newStream();
    void stream.sink(Array.from({ length: 1_000 }, () => new Uint8Array(100)));
    expect(await read(await received, 100_000)).toBe(100_000);
    // The answer to the first ping, the pong, and that the stream is open.
    expect(bareFrames()).toBeLessThanOrEqual(3);
  });

  test('a stream of many windows arrives whole', async () => {
    const { sender, received, bareFrames } = pair();
    const stream = await sender.newStream();
    const chunks = Array.from({ length: 200 }, () => new Uint8Array(50_000));
    void stream.sink(chunks);
    expect(await read(await received, 10_000_000)).toBe(10_000_000);
    expect(bareFrames()).toBeLessThan(10_000_000 / (WINDOW_BYTES / 4));
  });
});
