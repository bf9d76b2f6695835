/**
 * Refuses a signed request that somebody recorded and sends again.
 *
 * A signature is not unique: its date counts whole seconds and it covers no body, so two honest requests of one
 * second can carry the same one, and a client that lost the answer sends the very same request again. So a signature
 * stays good for a few seconds after its first success, and is refused after that until its date is too old anyway.
 * Only requests that change something are watched: a repeated read tells a listener nothing that the first did not.
 */
import { SHARED_KEY_REUSE_MS, SHARED_KEY_SKEW_MS, SIGNATURES_KEPT } from '../lib/limits.ts';

interface Use {
  readonly firstUsedMs: number;
  readonly signedAtMs: number;
}

export class ReplayGuard {
  /** In order of first use. */
  readonly #uses = new Map<string, Use>();
  /** Signatures dated up to here may have been forgotten, so an unknown one of that age counts as used. */
  #forgottenUntilMs = Number.NEGATIVE_INFINITY;
  readonly #capacity: number;

  constructor(capacity: number = SIGNATURES_KEPT) {
    this.#capacity = capacity;
  }

  isReplay(signature: string, signedAtMs: number, nowMs: number): boolean {
    const use = this.#uses.get(signature);
    if (use === undefined) return signedAtMs <= this.#forgottenUntilMs;
    return nowMs - use.firstUsedMs > SHARED_KEY_REUSE_MS;
  }

  /** Call it once the request was answered without a server error: before that, the client may have to try again. */
  remember(signature: string, signedAtMs: number, nowMs: number): void {
    if (this.#uses.has(signature)) return;
    this.#uses.set(signature, { firstUsedMs: nowMs, signedAtMs });
    this.#forget(nowMs);
  }

  #forget(nowMs: number): void {
    for (const [signature, use] of this.#uses) {
      const expired = nowMs - use.firstUsedMs > 2 * SHARED_KEY_SKEW_MS;
      if (!expired && this.#uses.size <= this.#capacity) return;
      this.#uses.delete(signature);
      if (!expired) this.#forgottenUntilMs = Math.max(this.#forgottenUntilMs, use.signedAtMs);
    }
  }
}
