/**
 * Finds two processes that hold one identity, as when a disk image was copied. A peer that restarts comes with a life of
 * its own, and its former one never comes back. While the former one goes on to answer, the new one is a second process: it
 * is refused, and the first keeps its link. Where links broke between the two they take the link from each other in turn.
 * Then neither is believed: which one has the older copy of what both promised cannot be told from here.
 */
import { PEER_ANSWERS_MIN, PEER_LIVES_KEPT, PEER_RETURNS_MAX } from '../lib/limits.ts';

/** A life that asks for the link of another one. */
interface Claim {
  readonly boot: number;
  /** Of the link that stands. */
  heard: number;
  answers: number;
}

interface Lives {
  current: number | undefined;
  /** Oldest first. */
  readonly former: number[];
  returns: number;
}

export class IdentityWatch {
  readonly #peers = new Map<string, Lives>();
  readonly #claims = new Map<string, Claim>();

  /** `boot` as the peer's hello has it. True where the peer is of two lives at once. */
  isShared(peer: string, boot: number): boolean {
    const lives = this.#peers.get(peer) ?? { current: undefined, former: [], returns: 0 };
    this.#peers.set(peer, lives);
    this.#claims.delete(peer);
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

  /**
   * `boot` asks for the link while another life holds it, of which so much was `heard`. True where that one has shown more
   * than once since the first time that it lives: what was still in a socket of a dead one is read at once.
   */
  isHeldByAnother(peer: string, boot: number, heard: number): boolean {
    const claim = this.#claims.get(peer);
    if (claim?.boot !== boot) {
      this.#claims.set(peer, { boot, heard, answers: 0 });
      return false;
    }
    if (claim.heard !== heard) claim.answers += 1;
    claim.heard = heard;
    return claim.answers >= PEER_ANSWERS_MIN;
  }

  forget(peer: string): void {
    this.#claims.delete(peer);
    this.#peers.delete(peer);
  }
}
