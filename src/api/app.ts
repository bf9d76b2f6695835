/** The HTTP library's side of the API: one application for each listener, all over the same routes. */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import {
  API_CONNECTIONS_MAX,
  API_HEADER_BYTES_MAX,
  API_HEADERS_TIMEOUT_MS,
  API_STREAM_IDLE_MS,
  API_STREAMS_MAX,
} from '../lib/limits.ts';
import { checkScope } from './access.ts';
import type { Admission, Authenticator } from './authenticate.ts';
import type { ServerCertificate } from './authority.ts';
import { type Arrival, callOf, Deadline, newRequestId, timeoutOf } from './call.ts';
import { answerableError, errorBody } from './errors.ts';
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

export interface AppInit {
  readonly routes: readonly Route[];
  readonly clock: Clock;
  readonly log: ApiLog;
  /** Host of the URLs in answers, where the request names none that can be used. */
  readonly accountUrlHost: string;
  /** For TCP. A unix socket is guarded by its file mode and has neither. */
  readonly guard?: { readonly authenticator: Authenticator; readonly hostRule: HostRule };
  /** Off loopback. */
  readonly certificate?: ServerCertificate;
  readonly streams: StreamCount;
  readonly largeBodies: LargeBodies;
}

/** Answers without an end that are open now, over all listeners. */
export class StreamCount {
  #open = 0;

  /** Returns how to close; throws `TooManyRequests`. */
  enter(): () => void {
    if (this.#open >= API_STREAMS_MAX) throw new ShoalError('TooManyRequests', 'Too many streams are open.');
    this.#open += 1;
    return () => {
      this.#open -= 1;
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
    frameworkErrors: (error, request, reply) => {
      sendError(init, arrivalOf(init, request, reply), error, reply);
    },
    clientErrorHandler: (_error, socket) => {
      if (socket.writable)
        socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    },
  });
  app.server.maxConnections = API_CONNECTIONS_MAX;
  // Bodies are read by the routes: their bounds differ, and the library's parser has no time limit.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.setErrorHandler((error, request, reply) =>
    sendError(init, arrivalOf(init, request, reply), error, reply),
  );
  for (const route of init.routes) register(app, init, route);
  app.setNotFoundHandler(async (request, reply) => {
    const arrival = arrivalOf(init, request, reply);
    try {
      await admit(init, arrival);
      throw notFound(init.routes, request);
    } catch (thrown) {
      sendError(init, arrival, thrown, reply);
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
        const call = await callOf(arrival, route, request.params, init);
        if (route.endless === true) arrival.deadline.onceOver(init.streams.enter());
        const answer = await route.handle(call);
        await sendAnswer(arrival, route, answer, reply);
      } catch (thrown) {
        sendError(init, arrival, thrown, reply);
      }
      return reply;
    },
  });
}

/** Host and signature or token, before anything of the request is used. Undefined over a unix socket. */
async function admit(init: AppInit, { raw, response, deadline }: Arrival): Promise<Admission | undefined> {
  if (init.guard === undefined) return undefined;
  checkHost(raw.headers, init.guard.hostRule);
  const request = { method: raw.method ?? '', url: raw.url ?? '', headers: raw.headers };
  const admission = await init.guard.authenticator.authenticate(request, deadline.options());
  response.once('finish', () => {
    // A client that was told to try again, or told nothing, may send the very same request once more.
    if (response.statusCode < 500 && response.statusCode !== 429) admission.answered();
  });
  return admission;
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

function sendError(init: AppInit, arrival: Arrival, thrown: unknown, reply: FastifyReply): void {
  const { raw, requestId, baseUrl } = arrival;
  const error = answerableError(thrown);
  const facts = { requestId, method: raw.method, url: raw.url, code: error.code };
  if (error.code === 'InternalError')
    init.log.error({ ...facts, err: error.cause ?? error }, 'a request failed');
  else init.log.debug(facts, 'a request was refused');
  if (reply.sent) return;
  addCommonHeaders(arrival, reply);
  if (!raw.complete) discardRest(raw, init.clock);
  const body = errorBody(error, { baseUrl, requestId, timeMs: init.clock.wallMs() });
  reply
    .code(error.status)
    .header('content-type', 'application/json;odata=minimalmetadata')
    .send(raw.method === 'HEAD' ? undefined : Buffer.from(JSON.stringify(body)));
}
