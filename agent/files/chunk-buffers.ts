/** A chunk that is less than this part of a whole one has memory of its own. */
const WORTH_KEEPING = 1 / 4;

/**
 * Memory for the chunks of one piece of work, used again and again. A fresh MiB for each chunk costs more in page faults
 * and garbage collection than to receive, check and write it. What is not given back is garbage like any other, so nobody
 * has to: only who knows that nobody else can read it any more may.
 */
export class ChunkBuffers {
  readonly #chunkBytes: number;
  readonly #keptMax: number;
  readonly #free: Buffer<ArrayBuffer>[] = [];

  /** Keeps `keptMax` pieces of `chunkBytes` for whoever takes the next. */
  constructor(chunkBytes: number, keptMax: number) {
    this.#chunkBytes = chunkBytes;
    this.#keptMax = keptMax;
  }

  /** Of exactly this length, from the beginning of its memory; what stands in it is anything. */
  take(lengthBytes: number): Buffer<ArrayBuffer> {
    const fits = lengthBytes <= this.#chunkBytes && lengthBytes >= this.#chunkBytes * WORTH_KEEPING;
    if (!fits) return Buffer.allocUnsafeSlow(lengthBytes);
    const free = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#chunkBytes);
    return free.subarray(0, lengthBytes);
  }

  /** Nobody reads these bytes any more, or will; they were taken here. */
  giveBack({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (this.#free.some((free) => free.buffer === buffer)) throw new Error('the memory was given back twice');
    if (buffer.byteLength !== this.#chunkBytes || this.#free.length >= this.#keptMax) return;
    this.#free.push(Buffer.from(buffer));
  }
}
