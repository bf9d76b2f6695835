/**
 * Chunks by hash over one bulk stream. The requester writes want-frames: four bytes of length, then that many bytes of bare
 * SHA-256s (32 each, WANT_HASHES_MAX at most); a frame of length 0 ends the conversation. The server answers each hash in
 * order: one byte (1 found, 0 missing), four bytes of length, the bytes. Both sides bound what they hold: the server reads
 * the next frame only when it has answered the last, the requester asks for no more than its window.
 */
import type { Duplex } from 'node:stream';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { CHUNK_BYTES, CHUNK_READ_AHEAD, WANT_HASHES_MAX } from '../../src/lib/limits.ts';
import type { BulkStream } from '../../src/mesh/interface.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import type { ChunkHash } from './manifest.ts';

const HASH_BYTES = 32;
const LENGTH_BYTES = 4;
const ANSWER_HEADER_BYTES = 1 + LENGTH_BYTES;

// --- Requester ----------------------------------------------------------------------------------------------------

interface Asked {
  readonly lengthBytesMax: number;
  readonly resolve: (bytes: Buffer<ArrayBuffer> | undefined) => void;
  readonly reject: (error: ShoalError) => void;
}

/** Asks one holder. Answers come in the order of the questions; a stream that breaks off fails all that are open. */
export class ChunkRequester {
  readonly #stream: BulkStream;
  readonly #buffers: ChunkBuffers;
  readonly #asked: Asked[] = [];
  #unsent: ChunkHash[] = [];
  readonly #header = Buffer.alloc(ANSWER_HEADER_BYTES);
  #headerFilled = 0;
  #body: Buffer<ArrayBuffer> | undefined;
  #bodyFilled = 0;
  /** All bytes that ever came, for whoever looks whether they still do. */
  receivedBytes = 0;

  /** `buffers`: where the chunks' memory comes from. */
  constructor(stream: BulkStream, buffers: ChunkBuffers) {
    this.#stream = stream;
    this.#buffers = buffers;
    stream.borrow((piece) => this.#onData(piece));
    stream.on('error', (error) => this.#fail(asShoalError(error)));
    stream.on('close', () => this.#fail(new ShoalError('PeerUnreachable', 'The holder closed the stream.')));
  }

  get open(): number {
    return this.#asked.length;
  }

  /**
   * The chunk's bytes, not yet compared with its hash, and from here on the caller's; undefined where the holder does not
   * have it. A holder that sends more than `lengthBytesMax`, or what nobody asked for, breaks the stream.
   */
  want(hash: ChunkHash, lengthBytesMax: number): Promise<Buffer<ArrayBuffer> | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#stream.destroyed) return reject(new ShoalError('PeerUnreachable', 'The stream is closed.'));
      this.#asked.push({ lengthBytesMax, resolve, reject });
      this.#unsent.push(hash);
      // What one turn asks for travels in one frame.
      if (this.#unsent.length === 1) queueMicrotask(() => this.#send());
    });
  }

  /** Says goodbye; nothing may be asked afterwards. */
  end(): void {
    if (this.#stream.destroyed) return;
    this.#stream.write(Buffer.alloc(LENGTH_BYTES));
    this.#stream.end();
  }

  destroy(error: ShoalError): void {
    this.#stream.destroy(error);
    this.#fail(error);
  }

  #send(): void {
    if (this.#stream.destroyed) return;
    while (this.#unsent.length > 0) {
      const hashes = this.#unsent.splice(0, WANT_HASHES_MAX);
      const frame = Buffer.allocUnsafe(LENGTH_BYTES + hashes.length * HASH_BYTES);
      let at = frame.writeUInt32BE(hashes.length * HASH_BYTES);
      for (const hash of hashes) at += frame.write(hash, at, 'hex');
      this.#stream.write(frame);
    }
  }

  #onData(piece: Buffer): void {
    this.receivedBytes += piece.length;
    for (let at = 0; at < piece.length && !this.#stream.destroyed; ) {
      at += this.#body === undefined ? this.#takeHeader(piece, at) : this.#takeBody(this.#body, piece, at);
    }
  }

  #takeHeader(piece: Buffer, at: number): number {
    const taken = piece.copy(this.#header, this.#headerFilled, at);
    this.#headerFilled += taken;
    if (this.#headerFilled < ANSWER_HEADER_BYTES) return taken;
    this.#headerFilled = 0;
    const found = this.#header.readUInt8(0);
    const lengthBytes = this.#header.readUInt32BE(1);
    const [first] = this.#asked;
    if (first === undefined) this.#lied('an answer to no question');
    else if (found > 1 || lengthBytes > (found === 1 ? first.lengthBytesMax : 0)) {
      this.#lied(`a chunk of ${lengthBytes} bytes where ${first.lengthBytesMax} fit`);
    } else if (found === 0) this.#asked.shift()?.resolve(undefined);
    else if (lengthBytes === 0) this.#asked.shift()?.resolve(this.#buffers.take(0));
    else {
      this.#body = this.#buffers.take(lengthBytes);
      this.#bodyFilled = 0;
    }
    return taken;
  }

  #takeBody(body: Buffer<ArrayBuffer>, piece: Buffer, at: number): number {
    const taken = piece.copy(body, this.#bodyFilled, at);
    this.#bodyFilled += taken;
    if (this.#bodyFilled < body.length) return taken;
    this.#body = undefined;
    this.#asked.shift()?.resolve(body);
    return taken;
  }

  #lied(what: string): void {
    this.destroy(new ShoalError('InvalidRequestBody', `The holder sent ${what}.`));
  }

  #fail(error: ShoalError): void {
    for (const { reject } of this.#asked.splice(0)) reject(error);
  }
}

// --- Server -------------------------------------------------------------------------------------------------------

/**
 * Answers the want-frames of one stream until its end. Throws InvalidRequestBody for a frame that is none; the caller
 * destroys the stream then. `read` takes its memory from the buffers that it gets, and they have it back when the stream
 * has sent it. `onTurn` is called whenever the requester asked or took something.
 */
export async function serveChunks(
  stream: Duplex,
  read: (hash: ChunkHash, buffers: ChunkBuffers) => Promise<Buffer<ArrayBuffer> | undefined>,
  onTurn: () => void,
): Promise<void> {
  const buffers = new ChunkBuffers(CHUNK_BYTES, CHUNK_READ_AHEAD + 1);
  for await (const hashes of wantFrames(stream)) {
    const ahead: Promise<Buffer<ArrayBuffer> | undefined>[] = [];
    let next = 0;
    for (let index = 0; index < hashes.length; index++) {
      while (next < hashes.length && next <= index + CHUNK_READ_AHEAD) {
        const reading = read(hashes[next++] ?? '', buffers);
        // A stream that breaks leaves these behind.
        reading.catch(() => undefined);
        ahead.push(reading);
      }
      const bytes = await ahead.shift();
      if (stream.destroyed) return;
      onTurn();
      await writeAnswer(stream, bytes);
      if (bytes !== undefined) buffers.giveBack(bytes);
    }
    onTurn();
  }
  stream.end();
}

/** Resolves when the stream needs the bytes no longer; rejects where it was destroyed first. */
function writeAnswer(stream: Duplex, bytes: Buffer | undefined): Promise<void> {
  const header = Buffer.allocUnsafe(ANSWER_HEADER_BYTES);
  header.writeUInt8(bytes === undefined ? 0 : 1);
  header.writeUInt32BE(bytes?.length ?? 0, 1);
  return new Promise((resolve, reject) => {
    stream.cork();
    stream.write(header);
    stream.write(bytes ?? Buffer.alloc(0), (error) => (error == null ? resolve() : reject(error)));
    stream.uncork();
  });
}

/** The want-frames of a stream, to their end-frame. */
async function* wantFrames(stream: Duplex): AsyncGenerator<ChunkHash[]> {
  let unread = Buffer.alloc(0);
  for await (const piece of stream) {
    unread = unread.length === 0 ? piece : Buffer.concat([unread, piece]);
    while (unread.length >= LENGTH_BYTES) {
      const lengthBytes = unread.readUInt32BE(0);
      if (lengthBytes === 0) return;
      if (lengthBytes % HASH_BYTES !== 0 || lengthBytes > WANT_HASHES_MAX * HASH_BYTES) {
        throw new ShoalError(
          'InvalidRequestBody',
          `A want-list has up to ${WANT_HASHES_MAX} hashes of ${HASH_BYTES} bytes; this one declares ${lengthBytes} bytes.`,
        );
      }
      const end = LENGTH_BYTES + lengthBytes;
      if (unread.length < end) break;
      const hashes: ChunkHash[] = [];
      for (let at = LENGTH_BYTES; at < end; at += HASH_BYTES) {
        hashes.push(unread.toString('hex', at, at + HASH_BYTES));
      }
      unread = unread.subarray(end);
      yield hashes;
    }
  }
}
