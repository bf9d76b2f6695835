/**
 * Finds two processes that hold one identity, as when a disk image was copied. A peer that restarts comes with a life of
 * its own, and its former one never comes back; two that run take the link from each other in turn. Neither is believed
 * from then on: which one has the older copy of what both promised cannot be told from here.
 */
import { PEER_LIVES_KEPT, PEER_RETURNS_MAX } from '../lib/limits.ts';

interface Lives {
  current: number | undefined;
  /** Oldest first. */
  readonly former: number[];
  returns: number;
}

export class IdentityWatch {
  readonly #peers = new Map<string, Lives>();

  /** `boot` as the peer's hello has it. True where the peer is of two lives at once. */
  isShared(peer: string, boot: number): boolean {
    const lives = this.#peers.get(peer) ?? { current: undefined, former: [], returns: 0 };
    this.#peers.set(peer, lives);
    if (boot === lives.current) return false;
    const isBack = lives.former.includes(boot);
    if (isBack) lives.returns += 1;
    if (lives.current !== undefined && !lives.former.includes(lives.current))
      lives.former.push(lives.current);
    if (lives.former.length > PEER_LIVES_KEPT) lives.former.shift();
    const isShared = isBack && lives.returns >= PEER_RETURNS_MAX;
    // A new life is let in: somebody may have ended both and started one.
    lives.current = isShared ? undefined : boot;
    return isShared;
  }

  forget(peer: string): void {
    this.#peers.delete(peer);
  }
}
