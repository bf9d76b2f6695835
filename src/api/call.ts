/** From a request of the HTTP library to a `Call`. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import {
  API_BODY_TIMEOUT_MS,
  LARGE_BODY_BYTES,
  REQUEST_BODY_BYTES_MAX,
  REQUEST_WAIT_MS,
} from '../lib/limits.ts';
import type { CallOptions } from '../model/control.ts';
import { readApiVersion } from './api-version.ts';
import type { Turn } from './fair-share.ts';
import { parseJson, readBody, tooLarge } from './json-body.ts';
import type { LargeBodies } from './large-bodies.ts';
import { decodeOnce, parseQuery, type Query, splitUrl } from './query.ts';
import type { Call, Method, Route } from './route.ts';

/** A request as it arrives, before it is known to be good. */
export interface Arrival {
  readonly raw: IncomingMessage;
  readonly response: ServerResponse;
  /** Made here for each request: `client-request-id` is the client's own and may repeat. */
  readonly requestId: string;
  readonly baseUrl: string;
  readonly deadline: Deadline;
  /** Whoever sent it may ask. */
  admitted: boolean;
}

/** How long a request may take, and whether somebody still waits for its answer. */
export class Deadline {
  readonly #clock: Clock;
  readonly #endsAtMs: number;
  readonly #over: (() => void)[] = [];
  #isOver = false;
  readonly signal: AbortSignal;

  constructor(clock: Clock, timeoutMs: number, response: ServerResponse) {
    this.#clock = clock;
    this.#endsAtMs = clock.monotonicMs() + timeoutMs;
    const controller = new AbortController();
    this.signal = controller.signal;
    response.once('close', () => {
      this.#isOver = true;
      if (!response.writableFinished) controller.abort();
      for (const run of this.#over) run();
    });
  }

  /** Runs when the answer was sent or its client is gone; now, if that is so already. */
  onceOver(run: () => void): void {
    if (this.#isOver) run();
    else this.#over.push(run);
  }

  options(): CallOptions {
    return { signal: this.signal, timeoutMs: Math.max(1, this.#endsAtMs - this.#clock.monotonicMs()) };
  }
}

/** From the query's `timeout`, in seconds, cut to what a coordinator's election may take. */
export function timeoutOf(url: string): number {
  const match = /[?&]time(?:o|O)ut=(\d{1,9})(?:&|$)/.exec(url);
  const seconds = Number(match?.[1] ?? 0);
  return seconds > 0 ? Math.min(seconds * 1000, REQUEST_WAIT_MS) : REQUEST_WAIT_MS;
}

const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;

/** Reads the body where the route wants JSON. Throws coded errors for everything that is wrong with the request itself. */
export async function callOf(
  arrival: Arrival,
  route: Route,
  routeParams: unknown,
  {
    clock,
    largeBodies,
    turn,
  }: { readonly clock: Clock; readonly largeBodies: LargeBodies; readonly turn: Turn },
): Promise<Call> {
  const { raw, baseUrl, requestId, deadline } = arrival;
  const url = raw.url ?? '';
  // A proxy's form of the target (`GET http://host/path`) names a host that nothing here has checked.
  if (!url.startsWith('/')) throw new ShoalError('InvalidUri');
  const { path, query: queryText } = splitUrl(url);
  const query = parseQuery(queryText);
  const version = route.path.startsWith('/shoal/') ? 'slots' : readApiVersion(query.get('api-version'));
  // What a later version adds to a read makes its answer smaller or larger; to a change it adds flags such as `force`.
  if (version !== 'later' || mayHaveBody(route.method)) query.requireKnown(route.query ?? []);
  checkTimeout(query);
  const params = paramsOf(route, path, routeParams);
  const commandId = commandIdOf(raw, requestId);
  const body =
    route.body === 'stream' || !mayHaveBody(route.method)
      ? undefined
      : await readJson(raw, clock, largeBodies, turn);
  const options = (): CallOptions => {
    turn.meter.pause();
    return { ...deadline.options(), meter: turn.meter };
  };
  return {
    params,
    query,
    body,
    stream: raw,
    headers: raw.headers,
    baseUrl,
    url,
    version,
    requestId,
    signal: deadline.signal,
    options,
    commandOptions: (purpose) => ({ ...options(), requestId: `${commandId}/${purpose}` }),
  };
}

function checkTimeout(query: Query): void {
  query.integer('timeout', 1, 1_000_000_000);
  query.integer('timeOut', 1, 1_000_000_000);
}

/** A client that may have to send a request again names it, so that both have one effect. */
function commandIdOf(raw: IncomingMessage, requestId: string): string {
  const given = raw.headers['shoal-request-id'];
  if (given === undefined) return requestId;
  if (typeof given === 'string' && REQUEST_ID.test(given)) return given;
  throw new ShoalError(
    'InvalidHeaderValue',
    'shoal-request-id must have 8 to 64 letters, digits and dashes.',
    {
      HeaderName: 'shoal-request-id',
    },
  );
}

/** The library decodes named parameters; the rest of the path is decoded here, once, from what was sent. */
function paramsOf(route: Route, path: string, routeParams: unknown): Readonly<Record<string, string>> {
  const named = routeParams as Readonly<Record<string, string>>;
  if (!route.path.endsWith('*')) return named;
  const slashes = route.path.split('/').length - 1;
  const rest = path.split('/').slice(slashes).join('/');
  return { ...named, '*': decodeOnce(rest) };
}

function mayHaveBody(method: Method): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

async function readJson(
  raw: IncomingMessage,
  clock: Clock,
  largeBodies: LargeBodies,
  { meter }: Turn,
): Promise<unknown> {
  const length = Number(raw.headers['content-length'] ?? 0);
  if (length > REQUEST_BODY_BYTES_MAX) throw tooLarge(REQUEST_BODY_BYTES_MAX);
  meter.pause();
  if (length > LARGE_BODY_BYTES) await largeBodies.turn();
  const limits = { bytesMax: Math.max(length, LARGE_BODY_BYTES), timeoutMs: API_BODY_TIMEOUT_MS, clock };
  const bytes = await readBody(raw, limits);
  meter.resume();
  return parseJson(bytes);
}

export function newRequestId(): string {
  return randomUUID();
}
