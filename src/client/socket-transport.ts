/** The transport of Node: a unix socket of the local agent, or an agent's HTTP address with SharedKey or a token. */
import { setMaxListeners } from 'node:events';
import http from 'node:http';
import type https from 'node:https';
import { ShoalError } from '../lib/errors.ts';
import { CLIENT_SOCKETS_MAX } from '../lib/limits.ts';
import { authorization, type SharedKey } from '../lib/shared-key.ts';
import type { HttpAnswer, HttpRequest, HttpTransport } from './transport.ts';

export type Address =
  /** Whoever may open the socket file is trusted: its requests are not signed. */
  | { readonly kind: 'socket'; readonly path: string }
  | {
      readonly kind: 'endpoint';
      readonly url: URL;
      readonly credentials: SharedKey | { readonly token: string };
      /** PEM; whom to trust beside the system's own authorities. */
      readonly authority?: string;
    };

export class SocketTransport implements HttpTransport {
  readonly where: string;
  readonly #address: Address;
  #agent: http.Agent | https.Agent | undefined;

  constructor(address: Address) {
    this.#address = address;
    this.where = address.kind === 'socket' ? address.path : address.url.origin;
  }

  async send(request: HttpRequest): Promise<HttpAnswer> {
    request.signal?.throwIfAborted();
    // A run has dozens of requests under one signal; Node takes eleven for a leak.
    if (request.signal !== undefined) setMaxListeners(0, request.signal);
    const outgoing = await this.#open(request);
    const answered = answer(outgoing, request, this.where);
    await Promise.all([answered, pour(request.body, outgoing, answered)]);
    return answered;
  }

  close(): void {
    this.#agent?.destroy();
  }

  async #open(request: HttpRequest): Promise<http.ClientRequest> {
    const address = this.#address;
    const options = { keepAlive: true, maxSockets: CLIENT_SOCKETS_MAX };
    const signal = request.signal === undefined ? {} : { signal: request.signal };
    if (address.kind === 'socket') {
      this.#agent ??= new http.Agent(options);
      const { method, target: path, headers } = request;
      return http.request({ agent: this.#agent, socketPath: address.path, method, path, headers, ...signal });
    }
    // TLS is loaded by those who use it: it costs some 10 ms at start.
    const protocol = address.url.protocol === 'https:' ? (await import('node:https')).default : http;
    const { authority } = address;
    this.#agent ??= new protocol.Agent({ ...options, ...(authority === undefined ? {} : { ca: authority }) });
    const target = address.url.pathname.replace(/\/$/, '') + request.target;
    const dated = { ...request.headers, 'ocp-date': new Date().toUTCString() };
    const { credentials } = address;
    const proof =
      'token' in credentials
        ? `Bearer ${credentials.token}`
        : authorization(credentials, { method: request.method, url: target, headers: dated });
    return protocol.request({
      agent: this.#agent,
      hostname: address.url.hostname.replace(/^\[|\]$/g, ''),
      ...(address.url.port === '' ? {} : { port: address.url.port }),
      method: request.method,
      path: target,
      headers: { ...dated, authorization: proof },
      ...signal,
    });
  }
}

/** Resolves with the answer's headers; the body follows at the reader's pace. */
function answer(outgoing: http.ClientRequest, request: HttpRequest, where: string): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const timer =
      request.answerMs === undefined
        ? undefined
        : setTimeout(() => outgoing.destroy(timedOut(where, request.answerMs ?? 0)), request.answerMs);
    outgoing.on('error', (error) => {
      clearTimeout(timer);
      reject(transportError(error, where, request.signal));
    });
    outgoing.on('response', (incoming) => {
      clearTimeout(timer);
      if (request.bodyIdleMs !== undefined) {
        const idleMs = request.bodyIdleMs;
        incoming.setTimeout(idleMs, () => incoming.destroy(timedOut(where, idleMs)));
      }
      resolve({
        status: incoming.statusCode ?? 0,
        headers: flatHeaders(incoming.headers),
        body: readBody(incoming, request, where),
        drain: () => drain(incoming),
      });
    });
  });
}

/**
 * Writes the body with back-pressure. An agent may answer (and refuse) before it has read everything: the rest is
 * then not sent, and its answer stands.
 */
async function pour(
  body: HttpRequest['body'],
  outgoing: http.ClientRequest,
  answered: Promise<unknown>,
): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) {
    outgoing.end(body);
    return;
  }
  let over = false;
  const settled = answered.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  try {
    for await (const chunk of body) {
      if (over) break;
      if (!outgoing.write(chunk)) {
        await Promise.race([new Promise((resume) => outgoing.once('drain', resume)), settled]);
      }
    }
    outgoing.end();
  } catch (error) {
    outgoing.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

async function* readBody(
  incoming: http.IncomingMessage,
  request: HttpRequest,
  where: string,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of incoming) yield chunk as Uint8Array;
  } catch (error) {
    throw transportError(error, where, request.signal, 'PeerUnreachable');
  }
}

function drain(incoming: http.IncomingMessage): Promise<void> {
  if (incoming.readableEnded || incoming.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    incoming.on('close', resolve).on('error', () => resolve());
    incoming.resume();
  });
}

function flatHeaders(headers: http.IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

function timedOut(where: string, afterMs: number): ShoalError {
  return new ShoalError(
    'OperationTimedOut',
    `The agent at ${where} did not answer within ${afterMs / 1000} s.`,
  );
}

/** An error of the socket as one of ours; what the caller aborted rejects with the caller's own reason. */
function transportError(
  error: unknown,
  where: string,
  signal: AbortSignal | undefined,
  cut: 'AgentUnreachable' | 'PeerUnreachable' = 'AgentUnreachable',
): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof ShoalError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'EACCES' || code === 'EPERM') {
    return new ShoalError(
      'Forbidden',
      `This user may not open ${where}.`,
      { Where: where },
      { cause: error },
    );
  }
  if (/VERIFY|CERT|SELF_SIGNED/.test(code))
    return new ShoalError(
      'AgentUnreachable',
      `The certificate of ${where} is not trusted (${code}): let SHOAL_CA name a file with what \`shoal api ca\` prints on a member.`,
      { Where: where, SystemError: code },
      { cause: error },
    );
  const reason = error instanceof Error ? error.message : String(error);
  const message =
    cut === 'PeerUnreachable'
      ? `The connection to ${where} broke before the answer was complete (${reason}).`
      : `No agent answers at ${where} (${code === '' ? reason : code}).`;
  return new ShoalError(cut, message, { Where: where, SystemError: code }, { cause: error });
}
