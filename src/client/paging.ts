/** Lists of the API, page by page or item by item. */
import { API_VERSION, type Caller, type CallOptions } from './caller.ts';
import type { ListAnswer } from './shapes.ts';

export interface ListOptions extends CallOptions {
  /** An OData filter. */
  readonly filter?: string;
  /** Names of properties, for rows that need not carry all of them. */
  readonly select?: readonly string[];
  /** Items of one page, 1 to 1,000. */
  readonly pageSize?: number;
}

export interface ListPage<T> {
  readonly items: readonly T[];
  /** Give it to `nextPage`; absent at the end. */
  readonly next?: string;
}

/** The first page of the list at `path`, or the one that `token` of an earlier page names. */
export async function listPage<T>(
  caller: Caller,
  path: string,
  options: ListOptions = {},
  token?: string,
): Promise<ListPage<T>> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const answer = await caller.json<ListAnswer<T>>({
    method: 'GET',
    path: token ?? path,
    query: token === undefined ? queryOf(options) : {},
    ...signal,
  });
  const link = answer['odata.nextLink'];
  return link === undefined || link === ''
    ? { items: answer.value }
    : { items: answer.value, next: targetOf(link) };
}

/** Every item of the list, a page at a time: the next page is asked for when the reader comes to its end. */
export async function* listAll<T>(
  caller: Caller,
  path: string,
  options: ListOptions = {},
): AsyncGenerator<T> {
  let token: string | undefined;
  do {
    const page: ListPage<T> = await listPage<T>(caller, path, options, token);
    yield* page.items;
    token = page.next;
  } while (token !== undefined);
}

function queryOf(options: ListOptions): Record<string, string | number | undefined> {
  return {
    'api-version': API_VERSION,
    $filter: options.filter,
    $select: options.select?.join(','),
    maxresults: options.pageSize,
  };
}

/**
 * Path and query of an absolute link. The host in it is the one that the agent knows itself by; a client that came by
 * another way (a unix socket, a forwarded port) stays on that way, and never sends its signature elsewhere.
 */
function targetOf(link: string): string {
  const url = new URL(link, 'http://localhost');
  return url.pathname + url.search;
}

/** A value inside an OData string literal. */
export function quoteFilter(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
