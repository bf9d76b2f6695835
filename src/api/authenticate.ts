/** Who may ask over TCP: the account's name and secrets, replicated in the mesh group and remembered here for a while. */
import { type AccessScope, apiSecretOf, readBearerToken } from '../lib/bearer-token.ts';
import type { Clock } from '../lib/clock.ts';
import { ACCOUNT_REFRESH_MS } from '../lib/limits.ts';
import type { SignedRequest } from '../lib/shared-key.ts';
import type { CallOptions, Control } from '../model/control.ts';
import { MESH_GROUP } from '../model/ids.ts';
import { ReplayGuard } from './replay.ts';
import { failed, isSignedBy, type PresentedKey, readPresentedKey } from './shared-key.ts';

/** A wrong signature makes us look for a new key at most this often, so that strangers cannot keep the mesh group busy. */
const RECHECK_MS = 5_000;

interface Account {
  readonly name: string;
  readonly key: string;
  readonly apiSecret: string;
  readonly readAtMs: number;
}

/** A request that may be answered, as far as its scope goes. */
export interface Admission {
  readonly by: 'key' | 'token';
  readonly scope: AccessScope;
  /** Tells its credential from others; says nothing of it. */
  readonly credential: string;
  /** To be called once the request was answered for good. */
  readonly answered: () => void;
}

const BEARER = 'Bearer ';

export class Authenticator {
  readonly #control: Control;
  readonly #clock: Clock;
  readonly #replays = new ReplayGuard();
  #account: Account | undefined;
  #reading: Promise<Account> | undefined;

  constructor(control: Control, clock: Clock) {
    this.#control = control;
    this.#clock = clock;
  }

  /**
   * By SharedKey, or by a bearer token. Rejects with `AuthenticationFailed`, `InvalidAuthenticationInfo`, or why the
   * account cannot be read now.
   */
  async authenticate(request: SignedRequest, options: CallOptions): Promise<Admission> {
    const { authorization = '' } = request.headers;
    if (!authorization.startsWith(BEARER)) {
      return {
        by: 'key',
        scope: { kind: 'account' },
        credential: 'key',
        answered: await this.#checkSignature(request, options),
      };
    }
    const { name, apiSecret } = this.#account ?? (await this.#read(options));
    this.#refreshOld();
    const expected = { account: name, secret: apiSecret, nowMs: this.#clock.wallMs() };
    const token = authorization.slice(BEARER.length);
    const { scope } = readBearerToken(token, expected);
    return { by: 'token', scope, credential: credentialOf(token), answered: () => undefined };
  }

  async #checkSignature(request: SignedRequest, options: CallOptions): Promise<() => void> {
    const nowMs = this.#clock.wallMs();
    const presented = readPresentedKey(request, nowMs);
    const account = this.#account ?? (await this.#read(options));
    if (!isSignedBy(request, presented, account))
      await this.#tryNewerKey(request, presented, account, options);
    this.#refreshOld();
    if (request.method === 'GET' || request.method === 'HEAD') return () => undefined;
    const { signature, signedAtMs } = presented;
    if (this.#replays.isReplay(signature, signedAtMs, nowMs)) throw failed('The signature was already used');
    return () => this.#replays.remember(signature, signedAtMs, this.#clock.wallMs());
  }

  async #tryNewerKey(
    request: SignedRequest,
    presented: PresentedKey,
    known: Account,
    options: CallOptions,
  ): Promise<void> {
    const young = this.#clock.monotonicMs() - known.readAtMs < RECHECK_MS;
    if (young || !isSignedBy(request, presented, await this.#read(options)))
      throw failed('The signature does not match');
  }

  /** In the background: while the mesh group has no quorum, those who know the key are still let in. */
  #refreshOld(): void {
    const account = this.#account;
    if (account === undefined || this.#clock.monotonicMs() - account.readAtMs < ACCOUNT_REFRESH_MS) return;
    this.#read({}).catch(() => undefined);
  }

  /** Many requests that want the key at once ask for it once. */
  #read(options: CallOptions): Promise<Account> {
    this.#reading ??= this.#ask(options).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #ask({ timeoutMs }: CallOptions): Promise<Account> {
    const limits = timeoutMs === undefined ? {} : { timeoutMs };
    const settings = await this.#control.query(MESH_GROUP, 'settings', {}, limits);
    this.#account = {
      name: settings.accountName,
      key: settings.accountKey,
      apiSecret: apiSecretOf(settings),
      readAtMs: this.#clock.monotonicMs(),
    };
    return this.#account;
  }
}

/** Of a token that was found good: its signature differs from every other token's. */
function credentialOf(token: string): string {
  return token.slice(token.lastIndexOf('.') + 1);
}
