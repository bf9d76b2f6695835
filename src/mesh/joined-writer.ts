/** One write carries at most this much; larger parts go alone. */
const JOIN_BYTES = 256 * 1024;

/**
 * The writing side of a libp2p stream as a queue. All that is pushed in one turn of the loop leaves as one write: a write
 * of its own per frame costs thirty times the CPU (yamux frame, TLS record and system call each time).
 */
export class JoinedWriter {
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writingBytes = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  #wakeArmed = false;

  /** Bytes that the stream has not taken yet. */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#writingBytes;
  }

  push(parts: readonly Uint8Array[]): void {
    if (this.#ended) return;
    for (const part of parts) {
      this.#queue.push(part);
      this.#queuedBytes += part.byteLength;
    }
    if (this.#wake === undefined || this.#wakeArmed) return;
    this.#wakeArmed = true;
    // Not a microtask: the answers of one turn are themselves made in microtasks and would each go alone.
    setImmediate(() => this.#wake?.());
  }

  /** The stream ends once the queue has left. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The stream ends now; what is queued is dropped. */
  discard(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.end();
  }

  /** To be handed to the stream's sink, once. The sink asks for the next write only after yamux's window took the last. */
  async *source(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      if (this.#queue.length === 0) {
        if (this.#ended) return;
        await this.#pushed();
        continue;
      }
      const joined = this.#take();
      this.#writingBytes = joined.byteLength;
      yield joined;
      this.#writingBytes = 0;
    }
  }

  #pushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        this.#wakeArmed = false;
        resolve();
      };
    });
  }

  #take(): Uint8Array {
    let count = 0;
    let bytes = 0;
    for (const part of this.#queue) {
      if (count > 0 && bytes + part.byteLength > JOIN_BYTES) break;
      bytes += part.byteLength;
      count += 1;
    }
    const taken = this.#queue.splice(0, count);
    this.#queuedBytes -= bytes;
    return taken.length === 1 && taken[0] !== undefined ? taken[0] : Buffer.concat(taken, bytes);
  }
}
