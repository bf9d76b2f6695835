import type { Progress } from './interface.ts';

/** The last indexes of the append messages in flight, oldest first: a ring without allocation. */
class InflightWindow {
  readonly #lastIndexes: Float64Array;
  #oldest = 0;
  #count = 0;

  constructor(size: number) {
    this.#lastIndexes = new Float64Array(size);
  }

  get full(): boolean {
    return this.#count === this.#lastIndexes.length;
  }

  add(lastIndex: number): void {
    this.#lastIndexes[(this.#oldest + this.#count) % this.#lastIndexes.length] = lastIndex;
    this.#count++;
  }

  freeUpTo(index: number): void {
    while (this.#count > 0 && (this.#lastIndexes[this.#oldest] ?? 0) <= index) {
      this.#oldest = (this.#oldest + 1) % this.#lastIndexes.length;
      this.#count--;
    }
  }

  clear(): void {
    this.#count = 0;
  }
}

/**
 * What a leader knows of one other member. `probe`: looks for the last common entry, one message at a time.
 * `replicate`: a window of appends in flight, `next` runs ahead of `match`. `snapshot`: the driver is streaming rows,
 * nothing is appended until it reports.
 */
export class PeerProgress implements Progress {
  match = 0;
  next: number;
  state: Progress['state'] = 'probe';
  active = false;
  /** The newest read round this member answered. */
  readRound = 0;
  /** The greatest commit index that was told to it. */
  commitSent = 0;
  /** An append is wanted even if it is empty and even if the window is full: it finds out what got lost. */
  poked = false;
  #probeSent = false;
  #snapshotIndex = 0;
  readonly #inflight: InflightWindow;

  constructor(next: number, inflightMax: number) {
    this.next = next;
    this.#inflight = new InflightWindow(inflightMax);
  }

  /** No entries may be sent now. */
  get blocked(): boolean {
    return this.state === 'replicate' ? this.#inflight.full : this.state === 'snapshot' || this.#probeSent;
  }

  /** An append with entries up to `lastIndex` left; `empty` ones take no place in the window. */
  sent(lastIndex: number, empty: boolean): void {
    this.poked = false;
    if (this.state === 'probe') this.#probeSent = true;
    if (this.state !== 'replicate' || empty) return;
    this.next = lastIndex + 1;
    this.#inflight.add(lastIndex);
  }

  /** The member's log equals the leader's up to `index`. `firstIndex`: where the leader's log begins. */
  accepted(index: number, firstIndex: number): void {
    this.match = Math.max(this.match, index);
    this.next = Math.max(this.next, this.match + 1);
    switch (this.state) {
      case 'probe':
        if (index === this.match) this.#becomeReplicate();
        break;
      case 'replicate':
        this.#inflight.freeUpTo(index);
        break;
      case 'snapshot':
        // It caught up by other means, or has restored the snapshot before the driver's report came.
        if (this.match + 1 >= firstIndex) this.#becomeReplicate();
        break;
    }
  }

  /**
   * The member refused the append after `previousIndex`; `hint` is the last index at which both logs can agree.
   * False where the answer is a late one and says nothing new.
   */
  rejected(previousIndex: number, hint: number): boolean {
    switch (this.state) {
      case 'replicate':
        if (previousIndex <= this.match) return false;
        this.becomeProbe();
        return true;
      case 'probe':
        if (previousIndex !== this.next - 1) return false;
        // Its disk has lost what it acknowledged. Asked again before the next heartbeat it would only say so again.
        if (previousIndex <= this.match) return false;
        this.next = Math.max(Math.min(previousIndex, hint + 1), this.match + 1);
        this.#probeSent = false;
        return true;
      case 'snapshot':
        return false;
    }
  }

  /** A heartbeat came back: the member lives, so a lost append is worth another try. */
  alive(lastIndex: number): void {
    this.active = true;
    this.#probeSent = false;
    if (this.state !== 'snapshot' && this.match < lastIndex) this.poked = true;
  }

  becomeProbe(): void {
    this.next = this.match + 1;
    this.#become('probe');
  }

  becomeSnapshot(snapshotIndex: number): void {
    this.#snapshotIndex = snapshotIndex;
    this.#become('snapshot');
  }

  /**
   * The stream of rows ended. Whether it arrived or not the member is probed only after it gave a sign of life:
   * a snapshot that failed at once must not be sent again at once.
   */
  snapshotEnded(delivered: boolean): void {
    if (this.state !== 'snapshot') return;
    this.next = Math.max(this.match, delivered ? this.#snapshotIndex : 0) + 1;
    this.#become('probe');
    this.#probeSent = true;
  }

  #becomeReplicate(): void {
    this.next = this.match + 1;
    this.#become('replicate');
  }

  #become(state: Progress['state']): void {
    this.state = state;
    this.#probeSent = false;
    this.poked = false;
    this.#inflight.clear();
  }
}
