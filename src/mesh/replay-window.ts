import { GOSSIP_REPLAY_WINDOW } from '../lib/limits.ts';

/**
 * Which sequence numbers of one sender's life were seen: the newest GOSSIP_REPLAY_WINDOW of them, as bits in a ring. Older
 * ones count as seen, as in RFC 6479.
 */
export class ReplayWindow {
  readonly #bits = new Uint32Array(GOSSIP_REPLAY_WINDOW / 32);
  #newest = -1;

  /** True the first time a number is shown, unless it is too old to tell. */
  admit(sequence: number): boolean {
    if (sequence > this.#newest) {
      this.#forgetUpTo(sequence);
      this.#newest = sequence;
    } else if (sequence <= this.#newest - GOSSIP_REPLAY_WINDOW || this.#isSet(sequence)) {
      return false;
    }
    const slot = sequence % GOSSIP_REPLAY_WINDOW;
    this.#bits[slot >> 5] = (this.#bits[slot >> 5] ?? 0) | (1 << (slot & 31));
    return true;
  }

  #isSet(sequence: number): boolean {
    const slot = sequence % GOSSIP_REPLAY_WINDOW;
    return ((this.#bits[slot >> 5] ?? 0) & (1 << (slot & 31))) !== 0;
  }

  #forgetUpTo(sequence: number): void {
    if (sequence - this.#newest >= GOSSIP_REPLAY_WINDOW) {
      this.#bits.fill(0);
      return;
    }
    for (let skipped = this.#newest + 1; skipped <= sequence; skipped += 1) {
      const slot = skipped % GOSSIP_REPLAY_WINDOW;
      this.#bits[slot >> 5] = (this.#bits[slot >> 5] ?? 0) & ~(1 << (slot & 31));
    }
  }
}
