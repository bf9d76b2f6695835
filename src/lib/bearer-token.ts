/**
 * Tokens for the HTTP API that need no key: whoever presents one may do what it says until it expires. They are signed
 * with a secret that every member has, so any peer can check what any other made, and nothing has to be stored.
 *
 *     shoal_<payload>.<signature>      both base64url; the payload is JSON, the signature its HMAC-SHA256
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { ShoalError } from './errors.ts';
import { BEARER_TOKEN_BYTES_MAX } from './limits.ts';

/** What a request may do: everything in the account, or everything below one job. */
export type AccessScope = { readonly kind: 'account' } | { readonly kind: 'job'; readonly job: string };

export interface BearerToken {
  readonly account: string;
  readonly scope: AccessScope;
  /** Wall clock, ms. */
  readonly expiresAtMs: number;
}

/** The secret that tokens and the certificate authority are made from; meshes older than it use the account's key. */
export function apiSecretOf(settings: { readonly accountKey: string; readonly apiSecret?: string }): string {
  return settings.apiSecret ?? settings.accountKey;
}

const PREFIX = 'shoal_';

/** `secret`: base64, `MeshSettings.apiSecret`. */
export function issueBearerToken(token: BearerToken, secret: string): string {
  const { account, scope, expiresAtMs } = token;
  const job = scope.kind === 'job' ? { job: scope.job } : {};
  const payload = Buffer.from(JSON.stringify({ account, ...job, expiresAtMs })).toString('base64url');
  return `${PREFIX}${payload}.${signature(payload, secret).toString('base64url')}`;
}

/** Throws AuthenticationFailed for what nobody here has made, for another account, and for what has expired. */
export function readBearerToken(
  text: string,
  expected: { readonly account: string; readonly secret: string; readonly nowMs: number },
): BearerToken {
  const token = parse(text, expected.secret);
  if (token === undefined || token.account !== expected.account)
    throw refused('The token is not of this account');
  if (token.expiresAtMs <= expected.nowMs)
    throw refused(`The token expired at ${new Date(token.expiresAtMs).toISOString()}`);
  return token;
}

function parse(text: string, secret: string): BearerToken | undefined {
  if (text.length > BEARER_TOKEN_BYTES_MAX) return undefined;
  const match = /^shoal_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(text);
  const [, payload = '', signed = ''] = match ?? [];
  const given = Buffer.from(signed, 'base64url');
  const right = signature(payload, secret);
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
  // Signed by a member: it has the shape that `issueBearerToken` gives it.
  const { account, job, expiresAtMs } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
    account: string;
    job?: string;
    expiresAtMs: number;
  };
  return { account, scope: job === undefined ? { kind: 'account' } : { kind: 'job', job }, expiresAtMs };
}

/** A key that every member of the mesh can make, and nobody else. Hexadecimal. */
export function memberKey(purpose: string, secret: string): string {
  const key = hkdfSync('sha256', Buffer.from(secret, 'base64'), '', `shoal ${purpose}`, 32);
  return Buffer.from(key).toString('hex');
}

function signature(payload: string, secret: string): Buffer {
  const key = hkdfSync('sha256', Buffer.from(secret, 'base64'), '', 'shoal bearer token', 32);
  return createHmac('sha256', Buffer.from(key)).update(payload).digest();
}

function refused(detail: string): ShoalError {
  return new ShoalError('AuthenticationFailed', `Server failed to authenticate the request. ${detail}.`, {
    AuthenticationErrorDetail: detail,
  });
}
