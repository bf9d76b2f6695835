/** Who signed a request. Its body is not covered, which is why replay.ts watches changing requests. */
import { timingSafeEqual } from 'node:crypto';
import { ShoalError } from '../lib/errors.ts';
import { SHARED_KEY_SKEW_MS } from '../lib/limits.ts';
import { type SignedRequest, sign, stringToSign } from '../lib/shared-key.ts';

const AUTHORIZATION = /^SharedKey ([A-Za-z0-9_-]{1,64}):([A-Za-z0-9+/]{43}=)$/;

export interface PresentedKey {
  readonly account: string;
  readonly signature: string;
  /** When the client says it signed, ms since the Unix epoch. */
  readonly signedAtMs: number;
}

/** Reads Authorization and date. Throws `AuthenticationFailed` or `InvalidAuthenticationInfo`; nothing is proved yet. */
export function readPresentedKey(request: SignedRequest, nowMs: number): PresentedKey {
  const { authorization } = request.headers;
  if (authorization === undefined)
    throw failed('The request has no Authorization header; SharedKey is expected');
  if (!authorization.startsWith('SharedKey ')) throw failed('Only the SharedKey scheme is accepted');
  const match = AUTHORIZATION.exec(authorization);
  const [, account, signature] = match ?? [];
  if (account === undefined || signature === undefined) throw new ShoalError('InvalidAuthenticationInfo');
  const date = request.headers['ocp-date'] ?? request.headers.date;
  if (typeof date !== 'string') throw failed('The request has neither an ocp-date nor a Date header');
  const signedAtMs = Date.parse(date);
  if (Number.isNaN(signedAtMs))
    throw new ShoalError('InvalidAuthenticationInfo', 'The date of the request cannot be read.');
  if (Math.abs(nowMs - signedAtMs) > SHARED_KEY_SKEW_MS) {
    throw failed(
      `The request was signed at ${new Date(signedAtMs).toUTCString()}, more than 15 minutes from now`,
    );
  }
  return { account, signature, signedAtMs };
}

/** True where the signature is this account's. Takes the same time whatever differs. */
export function isSignedBy(
  request: SignedRequest,
  presented: PresentedKey,
  account: { readonly name: string; readonly key: string },
): boolean {
  const expected = Buffer.from(sign(stringToSign(request, presented.account), account.key));
  const given = Buffer.from(presented.signature);
  return (
    expected.length === given.length && timingSafeEqual(expected, given) && presented.account === account.name
  );
}

export function failed(detail: string): ShoalError {
  return new ShoalError('AuthenticationFailed', `Server failed to authenticate the request. ${detail}.`, {
    AuthenticationErrorDetail: detail,
  });
}
