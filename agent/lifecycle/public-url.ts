/** Downloads from HTTP servers named by a task's author. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type Readable, Transform } from 'node:stream';
import { ShoalError } from '../../src/lib/errors.ts';
import { withoutSecrets } from '../../src/lib/secrets.ts';
import type { Reach } from './reach.ts';

const REDIRECTS_MAX = 5;

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Without a byte for this long the download fails. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly reach: Reach;
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
      url = parse(location, url);
      continue;
    }
    if (status === 200)
      return bounded(answer, Number(answer.headers['content-length'] ?? Number.NaN), options.bytesMax);
    answer.destroy();
    if (status === 404) throw new ShoalError('BlobNotFound', `${shown(url)} does not exist (404).`);
    if (status === 401 || status === 403)
      throw new ShoalError('Forbidden', `${shown(url)} refused access (${status}).`);
    throw new ShoalError('InternalError', `${shown(url)} answered ${status}.`);
  }
  throw new ShoalError('InternalError', `${shown(url)} redirects more than ${REDIRECTS_MAX} times.`);
}

/** `from`: who redirected there. */
function parse(text: string, from?: URL): URL {
  let url: URL;
  try {
    url = new URL(text, from);
  } catch {
    throw new ShoalError('InvalidPropertyValue', `${withoutSecrets(text)} is not a URL.`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new ShoalError(
      'InvalidPropertyValue',
      `${withoutSecrets(url.href)}: only http and https can be fetched.`,
    );
  return url;
}

async function get(url: URL, options: DownloadOptions): Promise<import('node:http').IncomingMessage> {
  options.reach.check(url);
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
      url,
      {
        signal: options.signal,
        timeout: options.timeoutMs,
        lookup: options.reach.lookup(url),
        headers: { 'accept-encoding': 'identity' },
        agent: false,
      },
      resolve,
    );
    let answer: Readable | undefined;
    request.once('response', (response) => {
      answer = response;
    });
    request.on('timeout', () => {
      const silence = `${shown(url)} sent nothing for ${options.timeoutMs / 1000} s.`;
      // Whoever reads the answer is to hear why it ends.
      (answer ?? request).destroy(new ShoalError('OperationTimedOut', silence));
    });
    request.on('error', reject);
    request.end();
  });
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

/** Without the query: it may hold a signature, which is a key. */
function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}
