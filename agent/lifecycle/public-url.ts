/**
 * Downloads from HTTP servers named by a task's author. The author can already reach whatever the task can, so this
 * gives away one thing only: what is bound to the machine's own loopback or link-local addresses (cloud metadata, the
 * agent's API). Those are refused in every notation, at every redirect, and at the address the connection really goes
 * to, so that a name which changes its answer between check and connect gains nothing.
 */
import { lookup as lookupName } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { type Readable, Transform } from 'node:stream';
import { ShoalError } from '../../src/lib/errors.ts';

const REDIRECTS_MAX = 5;

const refused = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const)
  refused.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 128],
  ['::1', 128],
  ['fe80::', 10],
] as const)
  refused.addSubnet(network, bits, 'ipv6');

/** True for loopback, unspecified and link-local addresses, IPv4 inside IPv6 included. */
export function isRefusedAddress(address: string): boolean {
  const mapped = /^(?:::ffff:|64:ff9b::)(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return refused.check(mapped, 'ipv4');
  return isIPv6(address)
    ? refused.check(address, 'ipv6') || /^::(ffff:)?7f|^::ffff:a9fe|^64:ff9b::(7f|a9fe)/i.test(address)
    : refused.check(address, 'ipv4');
}

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Without a byte for this long the download fails. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  /** Addresses that may be reached although they are refused by rule; tests serve from loopback. */
  readonly allow?: (address: string) => boolean;
}

/** The body of a 200. Throws BlobNotFound, Forbidden, OperationTimedOut, TooLarge, or InternalError with the status. */
export async function fetchPublicUrl(text: string, options: DownloadOptions): Promise<Readable> {
  let url = parse(text);
  for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
    const answer = await get(url, options);
    const status = answer.statusCode ?? 0;
    const location = answer.headers.location;
    if (status >= 300 && status < 400 && location !== undefined) {
      answer.destroy();
      url = parse(new URL(location, url).href);
      continue;
    }
    if (status === 200)
      return bounded(answer, Number(answer.headers['content-length'] ?? Number.NaN), options.bytesMax);
    answer.destroy();
    if (status === 404) throw new ShoalError('BlobNotFound', `${url.href} does not exist (404).`);
    if (status === 401 || status === 403)
      throw new ShoalError('Forbidden', `${url.href} refused access (${status}).`);
    throw new ShoalError('InternalError', `${url.href} answered ${status}.`);
  }
  throw new ShoalError('InternalError', `${text} redirects more than ${REDIRECTS_MAX} times.`);
}

function parse(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new ShoalError('InvalidPropertyValue', `${text} is not a URL.`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new ShoalError('InvalidPropertyValue', `${text}: only http and https can be fetched.`);
  return url;
}

function get(url: URL, options: DownloadOptions): Promise<import('node:http').IncomingMessage> {
  const allow = options.allow ?? (() => false);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && isRefusedAddress(host) && !allow(host)) return Promise.reject(refusal(url, host));
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
      url,
      {
        signal: options.signal,
        timeout: options.timeoutMs,
        lookup: guardedLookup(url, allow),
        headers: { 'accept-encoding': 'identity' },
        agent: false,
      },
      resolve,
    );
    request.on('timeout', () =>
      request.destroy(
        new ShoalError('OperationTimedOut', `${url.href} sent nothing for ${options.timeoutMs / 1000} s.`),
      ),
    );
    request.on('error', reject);
    request.end();
  });
}

/** The address that is checked is the address that is connected to. */
function guardedLookup(url: URL, allow: (address: string) => boolean): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    lookupName(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const bad = addresses.find(({ address }) => isRefusedAddress(address) && !allow(address));
      const first = addresses[0];
      if (bad !== undefined || first === undefined)
        return callback(refusal(url, bad?.address ?? hostname), '', 0);
      if (lookupOptions.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function refusal(url: URL, address: string): ShoalError {
  return new ShoalError(
    'Forbidden',
    `${url.href} leads to ${address}, an address of the machine itself; tasks' files are not fetched from there.`,
  );
}

function bounded(body: Readable, announced: number, bytesMax: number): Readable {
  if (announced > bytesMax) {
    body.destroy();
    throw new ShoalError('TooLarge', `The file has ${announced} bytes; ${bytesMax} is the limit.`);
  }
  let seen = 0;
  const counter = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      seen += chunk.length;
      if (seen > bytesMax) done(new ShoalError('TooLarge', `The file is longer than ${bytesMax} bytes.`));
      else done(null, chunk);
    },
    flush(done) {
      if (Number.isFinite(announced) && seen !== announced)
        done(new ShoalError('InternalError', `The server announced ${announced} bytes and sent ${seen}.`));
      else done();
    },
  });
  body.on('error', (error) => counter.destroy(error));
  return body.pipe(counter);
}
