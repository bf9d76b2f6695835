import type { Socket } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { pipe } from 'it-pipe';
import { asShoalError } from '../lib/errors.ts';
import type { BulkPipe } from './bulk-duplex.ts';
import { JoinedWriter } from './joined-writer.ts';

/** A TLS socket: the kernel holds the sender back while this side does not read. */
export function socketPipe(socket: Socket): BulkPipe {
  // Notices a peer that is cut off without a word after 15 s (libuv: ten probes a second apart).
  socket.setKeepAlive(true, 5_000);
  socket.setNoDelay(true);
  return {
    needsCredit: false,
    write(parts) {
      let free = true;
      socket.cork();
      for (const part of parts) free = socket.write(part);
      socket.uncork();
      return free;
    },
    read({ onData, onDrain, onEnd }) {
      let ended = false;
      const endOnce = (reason?: Error): void => {
        if (ended) return;
        ended = true;
        onEnd(reason);
      };
      socket.on('drain', onDrain);
      socket.on('error', endOnce);
      socket.on('close', () => endOnce());
      socket.on('end', () => endOnce());
      socket.on('data', onData);
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    finish: () => void socket.end(),
    abort: (reason) => void socket.destroy(reason),
  };
}

/** Frames queued for the stream before the writer is asked to wait. */
const STREAM_QUEUE_BYTES = 1024 * 1024;

/** A stream of the mesh connection. yamux queues without bound what is not read, so the duplex above it counts credit. */
export function streamPipe(stream: Stream, source: Stream['source'] | AsyncIterable<Uint8Array>): BulkPipe {
  const writer = new JoinedWriter();
  let full = false;
  return {
    needsCredit: true,
    write(parts) {
      writer.push(parts);
      full = writer.pendingBytes > STREAM_QUEUE_BYTES;
      return !full;
    },
    read({ onData, onDrain, onEnd }) {
      writer.onDrain(onDrain);
      const sunk = Promise.resolve(pipe(writer.source(), stream.sink));
      sunk.catch((thrown) => onEnd(asShoalError(thrown)));
      void readAll(source, onData).then(
        () => onEnd(),
        (thrown) => onEnd(asShoalError(thrown)),
      );
    },
    pause: () => {},
    resume: () => {},
    finish: () => writer.end(),
    abort(reason) {
      writer.discard();
      stream.abort(reason);
    },
  };
}

async function readAll(
  source: AsyncIterable<{ subarray(): Uint8Array }>,
  onData: (chunk: Buffer) => void,
): Promise<void> {
  for await (const chunk of source) {
    const bytes = chunk.subarray();
    onData(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
}
