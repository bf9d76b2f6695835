/**
 * Azure's SharedKey scheme: an HMAC-SHA256 over method, headers, path and query, as every Batch client signs it. The
 * body is not covered, which is why replay.ts watches changing requests.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ShoalError } from '../lib/errors.ts';
import { SHARED_KEY_SKEW_MS } from '../lib/limits.ts';
import { splitUrl } from './query.ts';

export interface SignedRequest {
  readonly method: string;
  /** Path and query as sent: the path is signed with its percent escapes. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** Headers of the string to sign, in its order, after the method. */
const SIGNED_HEADERS = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
] as const;

const AUTHORIZATION = /^SharedKey ([A-Za-z0-9_-]{1,64}):([A-Za-z0-9+/]{43}=)$/;

/** What the signature covers. A header that is absent counts as empty: `content-length: 0` only where the client sent it. */
export function stringToSign(request: SignedRequest, account: string): string {
  const { headers } = request;
  const { path, query } = splitUrl(request.url);
  const lines = [request.method, ...SIGNED_HEADERS.map((name) => headers[name] ?? '')];
  const ocp = Object.keys(headers).filter((name) => name.startsWith('ocp-'));
  for (const name of ocp.sort()) lines.push(`${name}:${headers[name]}`);
  return `${lines.join('\n')}\n/${account}${path}${canonicalQuery(query)}`;
}

function canonicalQuery(query: string): string {
  const pairs = query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      const [name, value] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
      return [decodeLeniently(name), decodeLeniently(value)] as const;
    });
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return pairs.map(([name, value]) => `\n${name}:${value}`).join('');
}

/** A bad escape stays as it is: the request then fails on its signature or, rightly signed, where the query is read. */
function decodeLeniently(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function sign(text: string, key: string): string {
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64');
}

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
