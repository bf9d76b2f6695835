/** Streams of bytes between machines of one process, with back-pressure; they end with their connection. */
import { Duplex } from 'node:stream';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import type { BulkStream } from '../../src/mesh/interface.ts';

/** How a stream's bytes get to the other machine. */
export interface StreamWay {
  /** Calls `arrive` at the other end, in the order of the calls. */
  readonly bring: (arrive: () => void) => void;
  /** The stream is destroyed when the way is gone. */
  readonly attach: (stream: Duplex) => void;
  /** So many bytes were written into this end. */
  readonly onSent?: (bytes: number) => void;
}

const HIGH_WATER_MARK = 64 * 1024;

/** One end. Not half-open, and broken for both when one end is destroyed early. */
export class StreamEnd extends Duplex implements BulkStream {
  readonly #way: StreamWay;
  #other: StreamEnd | undefined;
  #goOn: (() => void) | undefined;

  constructor(way: StreamWay) {
    super({
      allowHalfOpen: false,
      readableHighWaterMark: HIGH_WATER_MARK,
      writableHighWaterMark: HIGH_WATER_MARK,
    });
    this.#way = way;
    // Without a listener a stream that breaks would end the world.
    this.on('error', () => undefined);
    way.attach(this);
  }

  static pair(here: StreamWay, there: StreamWay): readonly [here: StreamEnd, there: StreamEnd] {
    const [one, other] = [new StreamEnd(here), new StreamEnd(there)];
    one.#other = other;
    other.#other = one;
    return [one, other];
  }

  borrow(take: (piece: Buffer) => void): void {
    this.on('data', (piece: Buffer) => {
      take(piece);
      // As a socket does: whoever kept the memory instead of the bytes shall see it.
      piece.fill(0xee);
    });
  }

  override _read(): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#way.onSent?.(chunk.length);
    const bytes = Buffer.from(chunk);
    const other = this.#other;
    if (other === undefined) return;
    this.#way.bring(() => other.#take(bytes, () => other.#way.bring(() => this.#sent(done))));
  }

  #sent(done: () => void): void {
    if (!this.destroyed) done();
  }

  #take(bytes: Buffer, taken: () => void): void {
    if (this.destroyed) return;
    if (this.push(bytes)) taken();
    else this.#goOn = taken;
  }

  override _final(done: () => void): void {
    const other = this.#other;
    this.#way.bring(() => other?.push(null));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.#other;
    if (!(this.readableEnded && this.writableFinished))
      this.#way.bring(() => other?.destroy(new ShoalError('PeerUnreachable', 'The stream broke off.')));
    done(error === null ? null : asShoalError(error));
  }
}
