/** Azure Batch's SharedKey signature (page "Authenticate requests to the Azure Batch service"). */
import { createHmac } from 'node:crypto';

export interface SharedKey {
  readonly account: string;
  /** Base64. */
  readonly key: string;
}

export interface SignedParts {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Lower-case names; must carry `ocp-date`, which is why `Date` is always empty here. */
  readonly headers: Readonly<Record<string, string>>;
}

/** In the order in which the signature takes their values. */
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

/** The text that is signed. The path stays percent-encoded as sent; query values are decoded. */
export function stringToSign(account: string, parts: SignedParts): string {
  const question = parts.target.indexOf('?');
  const path = question < 0 ? parts.target : parts.target.slice(0, question);
  const query = question < 0 ? '' : parts.target.slice(question + 1);
  const fixed = SIGNED_HEADERS.map((name) => parts.headers[name] ?? '');
  const batch = Object.keys(parts.headers)
    .filter((name) => name.startsWith('ocp-'))
    .sort()
    .map((name) => `${name}:${parts.headers[name] ?? ''}`);
  const parameters = [...new URLSearchParams(query)]
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
    .map(([name, value]) => `\n${name}:${value}`);
  return `${[parts.method, ...fixed, ...batch].join('\n')}\n/${account}${path}${parameters.join('')}`;
}

/** The value of the `Authorization` header. */
export function authorization(credentials: SharedKey, parts: SignedParts): string {
  const text = stringToSign(credentials.account, parts);
  const signature = createHmac('sha256', Buffer.from(credentials.key, 'base64')).update(text, 'utf8');
  return `SharedKey ${credentials.account}:${signature.digest('base64')}`;
}
