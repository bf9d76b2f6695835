/** The HTTP library's side of the API: one application for each listener, all over the same routes. */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import {
  API_DISCARD_BYTES_MAX,
  API_HEADER_BYTES_MAX,
  API_HEADERS_TIMEOUT_MS,
  API_STREAM_IDLE_MS,
  API_STREAMS_MAX,
  API_STREAMS_PER_CALLER_MAX,
  STRANGER_DISCARD_BYTES_MAX,
} from '../lib/limits.ts';
import { checkScope } from './access.ts';
import type { Admission, Authenticator } from './authenticate.ts';
import type { ServerCertificate } from './authority.ts';
import { type Arrival, callOf, Deadline, newRequestId, timeoutOf } from './call.ts';
import { callerOf, isMisuse, natureOf } from './caller.ts';
import type { Connections } from './connections.ts';
import { answerableError, errorBody } from './errors.ts';
import type { FairShare, Turn } from './fair-share.ts';
import { checkHost, type HostRule, hostName } from './host-guard.ts';
import type { LargeBodies } from './large-bodies.ts';
import { splitUrl } from './query.ts';
import type { Answer, Method, Route } from './route.ts';
import { sendStream } from './send-stream.ts';
import { discardRest } from './upload.ts';

/** The part of a pino logger that the API uses. */
export interface ApiLog {
  debug(data: object, message: string): void;
  error(data: object, message: string): void;
}

export interface Guard {
  readonly authenticator: Authenticator;
  readonly hostRule: HostRule;
  readonly connections: Connections;
}

export interface AppInit {
  readonly routes: readonly Route[];
  readonly clock: Clock;
  readonly log: ApiLog;
  /** Host of the URLs in answers, where the request names none that can be used. */
  readonly accountUrlHost: string;
  /** For TCP. A unix socket is guarded by its file mode and has neither. */
  readonly guard?: Guard;
  /** Off loopback. */
  readonly certificate?: ServerCertificate;
  readonly streams: StreamCount;
  readonly largeBodies: LargeBodies;
  readonly fairShare: FairShare;
}

/** Answers without an end that are open now, over all listeners. */
export class StreamCount {
  #open = 0;
  readonly #ofCallers = new Map<string, number>();

  /** Returns how to close; throws `TooManyRequests`. */
  enter(caller: string): () => void {
    const own = this.#ofCallers.get(caller) ?? 0;
    if (this.#open >= API_STREAMS_MAX || own >= API_STREAMS_PER_CALLER_MAX)
      throw new ShoalError('TooManyRequests', 'Too many streams are open.');
    this.#open += 1;
    this.#ofCallers.set(caller, own + 1);
    return () => {
      this.#open -= 1;
      const left = (this.#ofCallers.get(caller) ?? 1) - 1;
      if (left > 0) this.#ofCallers.set(caller, left);
      else this.#ofCallers.delete(caller);
    };
  }
}

export function buildApp(init: AppInit): FastifyInstance {
  const connection = {
    maxHeaderSize: API_HEADER_BYTES_MAX,
    headersTimeout: API_HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: API_HEADERS_TIMEOUT_MS / 3,
  };
  const { certificate } = init;
  const app: FastifyInstance = Fastify({
    ...(certificate === undefined ? { http: connection } : { https: { ...connection, ...certificate } }),
    logger: false,
    exposeHeadRoutes: false,
    requestTimeout: 0,
    routerOptions: { maxParamLength: 4096, querystringParser: () => ({}) },
    frameworkErrors: (error, request, reply) =>
      void refuse(init, arrivalOf(init, request, reply), error, reply),
    clientErrorHandler: (_error, socket) => {
      if (socket.writable)
        socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    },
  });
  init.guard?.connections.guard(app.server);
  // Bodies are read by the routes: their bounds differ, and the library's parser has no time limit.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.setErrorHandler(async (error, request, reply) => {
    await refuse(init, arrivalOf(init, request, reply), error, reply);
    return reply;
  });
  for (const route of init.routes) register(app, init, route);
  app.setNotFoundHandler(async (request, reply) => {
    const arrival = arrivalOf(init, request, reply);
    try {
      const caller = callerOf(arrival, await admit(init, arrival));
      await inTurn(init, arrival, NO_ROUTE, caller, async () => {
        throw notFound(init.routes, request);
      });
    } catch (thrown) {
      await refuse(init, arrival, thrown, reply);
    }
    return reply;
  });
  return app;
}

function register(app: FastifyInstance, init: AppInit, route: Route): void {
  app.route({
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const arrival = arrivalOf(init, request, reply);
      try {
        const admission = await admit(init, arrival);
        if (admission !== undefined) checkScope(admission, route, request.params);
        const caller = callerOf(arrival, admission);
        const stream = await inTurn(init, arrival, route, caller, async (turn) => {
          const call = await callOf(arrival, route, request.params, { ...init, turn });
          if (route.endless === true) arrival.deadline.onceOver(init.streams.enter(caller));
          const answer = await route.handle(call);
          if (answer.kind === 'stream') return answer;
          await sendAnswer(arrival, route, answer, reply);
          return undefined;
        });
        // Its turn is over: what is left is to pass on what comes, at the client's pace.
        if (stream !== undefined) await sendAnswer(arrival, route, stream, reply);
      } catch (thrown) {
        await refuse(init, arrival, thrown, reply);
      }
      return reply;
    },
  });
}

const NO_ROUTE = { method: 'GET', name: '' } as const;

/** Handles the request when it is its caller's turn, and says what it was like. */
async function inTurn<T>(
  init: AppInit,
  { raw, deadline }: Arrival,
  route: Pick<Route, 'method' | 'name' | 'asks'>,
  caller: string,
  handle: (turn: Turn) => Promise<T>,
): Promise<T> {
  const isOwner = init.guard === undefined;
  const turn = await init.fairShare.enter({
    ...natureOf(route, raw),
    caller,
    connection: raw.socket,
    isOwner,
    signal: deadline.signal,
  });
  let refused = false;
  try {
    return await handle(turn);
  } catch (thrown) {
    refused = isMisuse(thrown);
    throw thrown;
  } finally {
    turn.end(refused);
  }
}

/** Host and signature or token, before anything of the request is used. Undefined over a unix socket. */
async function admit(init: AppInit, arrival: Arrival): Promise<Admission | undefined> {
  if (init.guard === undefined) return undefined;
  const { raw, response, deadline } = arrival;
  const { authenticator, hostRule, connections } = init.guard;
  checkHost(raw.headers, hostRule);
  const request = { method: raw.method ?? '', url: raw.url ?? '', headers: raw.headers };
  const admission = await authenticator.authenticate(request, deadline.options());
  arrival.admitted = true;
  connections.admitted(raw.socket);
  response.once('finish', () => {
    // A client that was told to try again, or told nothing, may send the very same request once more.
    if (response.statusCode < 500 && response.statusCode !== 429) admission.answered();
  });
  return admission;
}

/** Answers with the error; one who is not let in hears it when it is its address's turn, if at all. */
async function refuse(init: AppInit, arrival: Arrival, thrown: unknown, reply: FastifyReply): Promise<void> {
  const { raw, deadline } = arrival;
  const isStranger = !arrival.admitted && answerableError(thrown).status < 500;
  const connections = isStranger ? init.guard?.connections : undefined;
  if (connections === undefined) {
    sendError(init, arrival, thrown, reply, API_DISCARD_BYTES_MAX);
    return;
  }
  const refusal = connections.failed(raw.socket);
  if (refusal.kind === 'cut') {
    reply.hijack();
    raw.socket.destroy();
    return;
  }
  if (refusal.afterMs === 0) {
    if (refusal.close) reply.header('connection', 'close');
    sendError(init, arrival, thrown, reply, STRANGER_DISCARD_BYTES_MAX);
    return;
  }
  await new Promise<void>((resolve) => {
    const timer = init.clock.after(refusal.afterMs, resolve);
    deadline.onceOver(() => {
      timer.cancel();
      resolve();
    });
  });
  const error = new ShoalError(
    'TooManyRequests',
    'Too many requests from this address were not signed by anybody known.',
  );
  sendError(init, arrival, error, reply.header('connection', 'close'), 0);
}

const arrivals = new WeakMap<object, Arrival>();

function arrivalOf(init: AppInit, request: FastifyRequest, reply: FastifyReply): Arrival {
  const known = arrivals.get(request.raw);
  if (known !== undefined) return known;
  const { raw } = request;
  const arrival: Arrival = {
    raw,
    response: reply.raw,
    requestId: newRequestId(),
    baseUrl: baseUrlOf(init, raw.headers.host),
    deadline: new Deadline(init.clock, timeoutOf(raw.url ?? ''), reply.raw),
    admitted: init.guard === undefined,
  };
  arrivals.set(raw, arrival);
  return arrival;
}

function baseUrlOf(init: AppInit, host: string | undefined): string {
  return `${init.certificate === undefined ? 'http' : 'https'}://${hostName(host) === undefined ? init.accountUrlHost : host}`;
}

function notFound(routes: readonly Route[], request: FastifyRequest): ShoalError {
  const { path } = splitUrl(request.raw.url ?? '');
  const methods = routes.filter((route) => matches(route.path, path)).map((route) => route.method);
  if (methods.length === 0) return new ShoalError('InvalidUri', undefined, { Path: path.slice(0, 256) });
  return new ShoalError('UnsupportedHttpVerb', undefined, {
    Allowed: [...new Set<Method>(methods)].join(', '),
  });
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (pattern.endsWith('/*') ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((part, index) => part === '*' || part.startsWith(':') || part === given[index]);
}

/** For whoever hears that it asks too much. */
const RETRY_AFTER_S = 1;

/** On every answer: nothing of it is ever to be run, framed or guessed at by a browser. */
const COMMON_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  dataserviceversion: '3.0',
};

function addCommonHeaders({ raw, requestId }: Arrival, reply: FastifyReply): void {
  reply.headers({ ...COMMON_HEADERS, 'request-id': requestId });
  const clientId = raw.headers['client-request-id'];
  const wanted = raw.headers['return-client-request-id'];
  if (typeof clientId === 'string' && clientId.length <= 128 && wanted === 'true') {
    reply.header('client-request-id', clientId);
  }
}

async function sendAnswer(
  arrival: Arrival,
  route: Route,
  answer: Answer,
  reply: FastifyReply,
): Promise<void> {
  addCommonHeaders(arrival, reply);
  reply.code(answer.status).headers(answer.headers ?? {});
  switch (answer.kind) {
    case 'empty':
      reply.send();
      return;
    case 'json':
      // As bytes: the library would write its own parameters into the type of a text.
      reply.header('content-type', jsonType(route.path)).send(Buffer.from(JSON.stringify(answer.body)));
      return;
    case 'stream':
      // A client that stops reading must not keep a file open for ever; a followed file may be quiet for hours.
      if (route.endless !== true) reply.raw.setTimeout(API_STREAM_IDLE_MS, () => reply.raw.destroy());
      // Not by the library, which never learns when the bytes of a piece are sent.
      await sendStream(answer.body, reply.raw, () => {
        const { raw } = reply.hijack();
        raw.statusCode = answer.status;
        for (const [name, value] of Object.entries(reply.getHeaders())) {
          if (value !== undefined) raw.setHeader(name, value);
        }
      });
      return;
  }
}

function jsonType(path: string): string {
  return path.startsWith('/shoal/') ? 'application/json' : 'application/json;odata=minimalmetadata';
}

/** `discardBytesMax`: of the rest of the request's body, so much is read, so that its client gets to hear the answer. */
function sendError(
  init: AppInit,
  arrival: Arrival,
  thrown: unknown,
  reply: FastifyReply,
  discardBytesMax: number,
): void {
  const { raw, requestId, baseUrl } = arrival;
  const error = answerableError(thrown);
  const facts = { requestId, method: raw.method, url: raw.url, code: error.code };
  if (error.code === 'InternalError')
    init.log.error({ ...facts, err: error.cause ?? error }, 'a request failed');
  else init.log.debug(facts, 'a request was refused');
  if (reply.sent) return;
  addCommonHeaders(arrival, reply);
  if (error.status === 429) reply.header('retry-after', String(RETRY_AFTER_S));
  if (!raw.complete) discardRest(raw, init.clock, discardBytesMax);
  const body = errorBody(error, { baseUrl, requestId, timeMs: init.clock.wallMs() });
  reply
    .code(error.status)
    .header('content-type', 'application/json;odata=minimalmetadata')
    .send(raw.method === 'HEAD' ? undefined : Buffer.from(JSON.stringify(body)));
}
