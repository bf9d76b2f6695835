/** Who may ask over TCP: the account's name and key, replicated in the mesh group and remembered here for a while. */
import type { Clock } from '../lib/clock.ts';
import { ACCOUNT_REFRESH_MS } from '../lib/limits.ts';
import type { CallOptions, Control } from '../model/control.ts';
import { MESH_GROUP } from '../model/ids.ts';
import { ReplayGuard } from './replay.ts';
import { failed, isSignedBy, readPresentedKey, type SignedRequest } from './shared-key.ts';

/** A wrong signature makes us look for a new key at most this often, so that strangers cannot keep the mesh group busy. */
const RECHECK_MS = 5_000;

interface Account {
  readonly name: string;
  readonly key: string;
  readonly readAtMs: number;
}

export class Authenticator {
  readonly #control: Control;
  readonly #clock: Clock;
  readonly #replays = new ReplayGuard();
  #account: Account | undefined;

  constructor(control: Control, clock: Clock) {
    this.#control = control;
    this.#clock = clock;
  }

  /**
   * Returns what to call when the request was answered without a server error. Rejects with `AuthenticationFailed`,
   * `InvalidAuthenticationInfo`, or why the key cannot be read now.
   */
  async authenticate(request: SignedRequest, options: CallOptions): Promise<() => void> {
    const nowMs = this.#clock.wallMs();
    const presented = readPresentedKey(request, nowMs);
    const account = await this.#read(ACCOUNT_REFRESH_MS, options);
    if (!isSignedBy(request, presented, account)) {
      const newer = await this.#read(RECHECK_MS, options);
      if (newer === account || !isSignedBy(request, presented, newer))
        throw failed('The signature does not match');
    }
    if (request.method === 'GET' || request.method === 'HEAD') return () => undefined;
    const { signature, signedAtMs } = presented;
    if (this.#replays.isReplay(signature, signedAtMs, nowMs)) throw failed('The signature was already used');
    return () => this.#replays.remember(signature, signedAtMs, this.#clock.wallMs());
  }

  async #read(ageMsMax: number, options: CallOptions): Promise<Account> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#account !== undefined && nowMs - this.#account.readAtMs <= ageMsMax) return this.#account;
    const settings = await this.#control.query(MESH_GROUP, 'settings', {}, options);
    this.#account = { name: settings.accountName, key: settings.accountKey, readAtMs: nowMs };
    return this.#account;
  }
}
