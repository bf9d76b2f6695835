/**
 * Azure's SharedKey scheme: an HMAC-SHA256 over method, headers, path and query, as every Batch client signs it (page
 * "Authenticate requests to the Azure Batch service"). The body is not covered.
 */
import { createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface SharedKey {
  readonly account: string;
  /** Base64. */
  readonly key: string;
}

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

/** What the signature covers. A header that is absent counts as empty: `content-length: 0` only where the client sent it. */
export function stringToSign(request: SignedRequest, account: string): string {
  const { headers } = request;
  const mark = request.url.indexOf('?');
  const [path, query] =
    mark < 0 ? [request.url, ''] : [request.url.slice(0, mark), request.url.slice(mark + 1)];
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

/** The value of the `Authorization` header. The request must carry `ocp-date`. */
export function authorization({ account, key }: SharedKey, request: SignedRequest): string {
  return `SharedKey ${account}:${sign(stringToSign(request, account), key)}`;
}
