import type { Socket } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { pipe } from 'it-pipe';
import { asShoalError } from '../lib/errors.ts';
import type { BulkPipe } from './bulk-duplex.ts';
import { JoinedWriter } from './joined-writer.ts';

/** A TLS record at most; OpenSSL hands out no more at once. */
const READ_BYTES = 16 * 1024;
/** Parts up to this size travel together: a TLS record and a system call of its own for each header would cost more. */
const JOIN_BYTES_MAX = 4 * 1024;

/**
 * What a socket reads into, again and again (the option `onread` of `tls.connect`): a new buffer for each TLS record costs
 * as much as to decrypt it.
 */
export class ReadMemory {
  readonly buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** What came before anybody read. */
  readonly #early: Buffer[] = [];
  #onData: ((piece: Buffer) => void) | undefined;

  /** False: the socket waits. */
  readonly callback = (bytes: number): boolean => {
    const piece = this.buffer.subarray(0, bytes);
    if (this.#onData === undefined) this.#early.push(Buffer.from(piece));
    else this.#onData(piece);
    return this.#onData !== undefined;
  };

  read(onData: (piece: Buffer) => void): void {
    this.#onData = onData;
    for (const piece of this.#early.splice(0)) onData(piece);
  }
}

/**
 * A TLS socket: the kernel holds the sender back while this side does not read. `memory`: what it was opened to read into,
 * which only the side that connects can choose.
 */
export function socketPipe(socket: Socket, memory?: ReadMemory): BulkPipe {
  // Notices a peer that is cut off without a word after 15 s (libuv: ten probes a second apart).
  socket.setKeepAlive(true, 5_000);
  socket.setNoDelay(true);
  return {
    needsCredit: false,
    write(parts, written) {
      // Not corked: TLS would copy all of it into one piece first.
      const joined = joinSmall(parts);
      for (const [index, part] of joined.entries()) {
        if (index === joined.length - 1) socket.write(part, written);
        else socket.write(part);
      }
    },
    read({ onData, onEnd }) {
      let ended = false;
      const endOnce = (reason?: Error): void => {
        if (ended) return;
        ended = true;
        onEnd(reason);
      };
      socket.on('error', endOnce);
      socket.on('close', () => endOnce());
      socket.on('end', () => endOnce());
      if (memory === undefined) {
        socket.on('data', onData);
        return;
      }
      memory.read(onData);
      socket.resume();
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    finish: () => void socket.end(),
    abort: (reason) => void socket.destroy(reason),
  };
}

function joinSmall(parts: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  const flush = (): void => {
    const [only] = small;
    if (only !== undefined) joined.push(small.length === 1 ? only : Buffer.concat(small));
    small = [];
  };
  for (const part of parts) {
    if (part.byteLength <= JOIN_BYTES_MAX) {
      small.push(part);
      continue;
    }
    flush();
    joined.push(part);
  }
  flush();
  return joined;
}

/** A stream of the mesh connection. yamux queues without bound what is not read, so the duplex above it counts credit. */
export function streamPipe(stream: Stream, source: Stream['source'] | AsyncIterable<Uint8Array>): BulkPipe {
  const writer = new JoinedWriter();
  return {
    needsCredit: true,
    write: (parts) => writer.push(parts),
    read({ onData, onEnd }) {
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
