import { Duplex } from 'node:stream';
import { ShoalError } from '../lib/errors.ts';
import { BULK_CREDIT_BYTES } from '../lib/limits.ts';
import type { BulkStream } from './interface.ts';

/** What carries a bulk stream: a TLS socket or a libp2p stream. */
export interface BulkPipe {
  /**
   * Takes the parts in order. `written` says that it needs their memory no longer and can take more; a pipe that needs
   * credit keeps the parts and never calls it.
   */
  write(parts: readonly Uint8Array[], written?: () => void): void;
  /**
   * Begins to read. The memory of a piece is the pipe's, which overwrites it when `onData` has returned. `onEnd` is called
   * once: without a reason where the other side finished in order.
   */
  read(events: { onData(piece: Buffer): void; onEnd(reason?: Error): void }): void;
  pause(): void;
  resume(): void;
  /** Both sides are done. */
  finish(): void;
  abort(reason: Error): void;
  /** True where reading may not be paused, so that the bytes in flight must be bounded by credit. */
  readonly needsCredit: boolean;
}

type Done = (error?: Error | null) => void;

/** A write that waits for the pipe, or for credit, with which it goes on. */
interface Blocked {
  readonly goOn?: () => void;
  readonly done: Done;
}

/** The first four bytes of a frame: the length of data that follows, or one of these. */
const END = 0;
const CREDIT = 0xffff_ffff;
const HEADER_BYTES = 4;
/** Credit comes back in steps of this size. */
const GRANT_BYTES = BULK_CREDIT_BYTES / 8;
/** In a stream with credit no write is larger than this. */
const SLICE_BYTES = 256 * 1024;

/**
 * A byte stream with an end that can be told from a break. TCP, TLS and yamux all report a dead peer as an ordinary end
 * (kill -9 sends a FIN), so each direction closes with a marker of its own, and an end without it destroys the stream
 * with `PeerUnreachable`.
 *
 * Not half-open: when the readable side has ended, the writable side ends too, as with a `net.Socket`.
 */
export class BulkDuplex extends Duplex implements BulkStream {
  readonly #peer: string;
  readonly #pipe: BulkPipe;
  /** Data that the readable side has not asked for. With credit it holds at most BULK_CREDIT_BYTES. */
  readonly #unread: Buffer[] = [];
  #take: ((piece: Buffer) => void) | undefined;
  #wanted = false;
  #paused = false;
  #header = Buffer.alloc(0);
  /** Bytes of the present frame that are still to come. */
  #left = 0;
  #creditFrame = false;
  #ungranted = 0;
  #credit = BULK_CREDIT_BYTES;
  #endReceived = false;
  #endSent = false;
  #endDelivered = false;
  #finished = false;
  #blocked: Blocked | undefined;

  constructor(peer: string, pipe: BulkPipe) {
    super({ allowHalfOpen: false, readableHighWaterMark: 512 * 1024, writableHighWaterMark: 512 * 1024 });
    this.#peer = peer;
    this.#pipe = pipe;
    pipe.read({
      onData: (piece) => this.#onData(piece),
      onEnd: (reason) => this.#onPipeEnd(reason),
    });
  }

  borrow(take: (piece: Buffer) => void): void {
    this.#take = take;
    for (const piece of this.#unread.splice(0)) this.#hand(piece, take);
    // The end is a matter of the readable side still.
    this.resume();
  }

  override _read(): void {
    this.#wanted = true;
    this.#deliver();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#writeParts([chunk], chunk.byteLength, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    const parts = chunks.map(({ chunk }) => chunk);
    const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
    this.#writeParts(parts, bytes, done);
  }

  override _final(done: Done): void {
    this.#pipe.write([headerOf(END)]);
    this.#endSent = true;
    done();
    this.#finishIfDone();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Without both markers the other side sees an error, which is what destroying half-way means.
    if (!this.#finished) this.#pipe.abort(error ?? this.#brokenOff());
    this.#unread.length = 0;
    const blocked = this.#blocked;
    this.#blocked = undefined;
    blocked?.done(error ?? this.#brokenOff());
    done(error);
  }

  #writeParts(parts: readonly Buffer[], bytes: number, done: Done): void {
    // A frame of length 0 is the end.
    if (bytes === 0) done();
    else if (this.#pipe.needsCredit) this.#writeWithCredit(Buffer.concat(parts, bytes), done);
    else this.#writeFrame(parts, bytes, done);
  }

  #writeFrame(parts: readonly Buffer[], bytes: number, done: Done): void {
    const blocked = { done };
    this.#blocked = blocked;
    this.#pipe.write([headerOf(bytes), ...parts], () => {
      // A stream that was destroyed meanwhile has said so to whoever wrote.
      if (this.#blocked !== blocked) return;
      this.#blocked = undefined;
      done();
    });
  }

  /** `owned`: bytes in memory of their own, since yamux does not say when it has sent them. */
  #writeWithCredit(owned: Buffer, done: Done): void {
    let at = 0;
    const goOn = (): void => {
      while (at < owned.byteLength) {
        const bytes = Math.min(SLICE_BYTES, owned.byteLength - at, this.#credit);
        if (bytes === 0) {
          this.#blocked = { goOn, done };
          return;
        }
        this.#credit -= bytes;
        this.#pipe.write([headerOf(bytes), owned.subarray(at, at + bytes)]);
        at += bytes;
      }
      done();
    };
    goOn();
  }

  #continueWriting(): void {
    const goOn = this.#blocked?.goOn;
    if (goOn === undefined) return;
    this.#blocked = undefined;
    goOn();
  }

  #onData(piece: Buffer): void {
    let at = 0;
    while (at < piece.byteLength && !this.destroyed) {
      if (this.#left > 0 && !this.#creditFrame) {
        const data = piece.subarray(at, at + this.#left);
        at += data.byteLength;
        this.#left -= data.byteLength;
        if (this.#take === undefined) this.#unread.push(Buffer.from(data));
        else this.#hand(data, this.#take);
        continue;
      }
      const wanted = HEADER_BYTES - this.#header.byteLength;
      this.#header = Buffer.concat([this.#header, piece.subarray(at, at + wanted)]);
      at += wanted;
      if (this.#header.byteLength === HEADER_BYTES) this.#onHeader(this.#header.readUInt32BE(0));
    }
    this.#deliver();
  }

  #onHeader(value: number): void {
    this.#header = Buffer.alloc(0);
    if (this.#creditFrame) {
      this.#creditFrame = false;
      this.#credit = Math.min(BULK_CREDIT_BYTES, this.#credit + value);
      this.#continueWriting();
    } else if (value === CREDIT) {
      this.#creditFrame = true;
    } else if (value === END) {
      this.#endReceived = true;
      this.#finishIfDone();
    } else if (this.#endReceived) {
      this.destroy(new ShoalError('PeerUnreachable', `${this.#peer} sent data after the end of a stream.`));
    } else {
      this.#left = value;
    }
  }

  #hand(piece: Buffer, take: (piece: Buffer) => void): void {
    take(piece);
    this.#grant(piece.byteLength);
  }

  #deliver(): void {
    while (this.#wanted) {
      const chunk = this.#unread.shift();
      if (chunk === undefined) break;
      this.#wanted = this.push(chunk);
      this.#grant(chunk.byteLength);
    }
    if (this.#unread.length === 0 && this.#endReceived && !this.#endDelivered) {
      this.#endDelivered = true;
      this.push(null);
    }
    this.#pauseOrResume();
  }

  #grant(bytes: number): void {
    if (!this.#pipe.needsCredit) return;
    this.#ungranted += bytes;
    if (this.#ungranted < GRANT_BYTES || this.#finished) return;
    this.#pipe.write([headerOf(CREDIT), headerOf(this.#ungranted)]);
    this.#ungranted = 0;
  }

  #pauseOrResume(): void {
    if (this.#pipe.needsCredit) return;
    const full = this.#unread.length > 0;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#pipe.pause();
    else this.#pipe.resume();
  }

  /** The pipe is let go as soon as nothing more will pass it, whether or not anybody reads this side to its end. */
  #finishIfDone(): void {
    if (!this.#endSent || !this.#endReceived || this.#finished) return;
    this.#finished = true;
    this.#pipe.finish();
  }

  #onPipeEnd(reason?: Error): void {
    if (this.#finished || this.destroyed) return;
    // The end of our own writing may still be on its way; what the peer said is complete either way.
    if (this.#endReceived && this.#endSent) return;
    this.destroy(this.#brokenOff(reason));
  }

  #brokenOff(cause?: Error): ShoalError {
    const detail = cause === undefined ? '' : ` (${cause.message})`;
    const message = `The stream to ${this.#peer} broke off${detail}.`;
    return new ShoalError('PeerUnreachable', message, { peer: this.#peer }, { cause });
  }
}

function headerOf(value: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(value, 0);
  return header;
}
