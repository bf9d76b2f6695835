/** What a route is, apart from the HTTP library: a request as a `Call`, its answer as a value. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { CallOptions } from '../model/control.ts';
import type { ApiVersion } from './api-version.ts';
import type { Query } from './query.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export type Headers = Readonly<Record<string, string>>;

export type Answer =
  | { readonly kind: 'empty'; readonly status: number; readonly headers?: Headers }
  | { readonly kind: 'json'; readonly status: number; readonly body: unknown; readonly headers?: Headers }
  | { readonly kind: 'stream'; readonly status: number; readonly body: Readable; readonly headers?: Headers };

/** One request, authenticated, with its parts decoded once. */
export interface Call {
  /** By the names in the route's path; `*` is the rest of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  /** The parsed JSON body; undefined where the request has none. */
  readonly body: unknown;
  /** The unread body, for routes that stream it. */
  readonly stream: Readable;
  readonly headers: IncomingHttpHeaders;
  /** `http://host:port`, without a slash at the end. */
  readonly baseUrl: string;
  /** Path and query as sent. */
  readonly url: string;
  readonly version: ApiVersion;
  /** This request's own, as the client hears it. */
  readonly requestId: string;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  /** What is left of the request's time. */
  options(): CallOptions;
  /** The same, and the id under which a command of this request has one effect. */
  commandOptions(purpose: string): CallOptions & { readonly requestId: string };
}

export interface Route {
  readonly method: Method;
  /** `/jobs/:job/tasks/:task`; a last `*` takes the rest. */
  readonly path: string;
  /** Azure Batch's operation, or ours. */
  readonly name: string;
  /** Query parameters it knows, besides `api-version` and `timeout`. */
  readonly query?: readonly string[];
  /** `stream`: the handler reads the body itself; its size has no bound here. */
  readonly body?: 'json' | 'stream';
  /** The answer takes as long as the client wants: no deadline, and one of a bounded number. */
  readonly endless?: true;
  /** A question in spite of its method: it changes nothing. */
  readonly asks?: true;
  /** It gives away or makes what opens the mesh: bearer tokens do not reach it. */
  readonly keyOnly?: true;
  handle(call: Call): Promise<Answer>;
}

export function json(body: unknown, headers: Headers = {}, status = 200): Answer {
  return { kind: 'json', status, body, headers };
}

export function empty(status: number, headers: Headers = {}): Answer {
  return { kind: 'empty', status, headers };
}

/** A path parameter that the route's own path names. */
export function param(call: Call, name: string): string {
  const value = call.params[name];
  if (value === undefined) throw new Error(`the route has no parameter ${name}`);
  return value;
}
