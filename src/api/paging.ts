/** Pages of lists: `maxresults`, the opaque `$skiptoken`, and `odata.nextLink`. */
import { PAGE_ITEMS_MAX } from '../lib/limits.ts';
import type { Query } from './query.ts';
import { invalidQuery, splitUrl } from './query.ts';
import type { Answer, Call } from './route.ts';
import { json } from './route.ts';

/** Where the next page begins; its parts mean something only to the list that made it. */
export type SkipToken = readonly (string | number)[];

const TOKEN_LENGTH_MAX = 12_000;

/** Rows wanted: 1 to `maximum`, which is the default. */
export function readLimit(query: Query, maximum: number = PAGE_ITEMS_MAX): number {
  return query.integer('maxresults', 1, maximum) ?? maximum;
}

export function writeSkipToken(token: SkipToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

interface TokenPart {
  number: number;
  string: string;
}

/** The token's parts, of the types that `shape` names; undefined on the first page. Throws `InvalidQueryParameterValue` for anything we did not make. */
export function readSkipToken<const Shape extends readonly (keyof TokenPart)[]>(
  query: Query,
  ...shape: Shape
): { readonly [Index in keyof Shape]: TokenPart[Shape[Index]] } | undefined {
  const text = query.get('$skiptoken');
  if (text === undefined) return undefined;
  const parts = text.length <= TOKEN_LENGTH_MAX ? decode(text) : undefined;
  if (
    !Array.isArray(parts) ||
    parts.length !== shape.length ||
    !shape.every((type, index) => isOf(type, parts[index]))
  ) {
    throw invalidQuery('$skiptoken', text, 'it is not one that a list of this kind gave');
  }
  return parts as unknown as { readonly [Index in keyof Shape]: TokenPart[Shape[Index]] };
}

function isOf(type: keyof TokenPart, part: unknown): boolean {
  return type === 'number' ? Number.isSafeInteger(part) : typeof part === 'string';
}

function decode(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return undefined;
  }
}

/** Which page of a list that is in memory whole. */
export interface PageWish {
  readonly limit: number;
  /** Key of the last item of the page before. */
  readonly after: string | undefined;
}

export function readPageWish(query: Query, maximum?: number): PageWish {
  return { limit: readLimit(query, maximum), after: readSkipToken(query, 'string')?.[0] };
}

/** In the order of the keys, which are unique. Only items that a page may show are asked whether they match. */
export function pageByKey<T>(
  all: readonly T[],
  { limit, after }: PageWish,
  keyOf: (item: T) => string,
  matches: (item: T) => boolean = () => true,
): { readonly items: readonly T[]; readonly next: SkipToken | undefined } {
  const rest = all
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ item, key }) => (after === undefined || key > after) && matches(item))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    next: rest.length > limit && last !== undefined ? [last.key] : undefined,
  };
}

/** The answer of a list. `next` makes the link, which repeats the request's query: clients follow it as it is. */
export function listAnswer(
  call: Call,
  set: string,
  value: readonly unknown[],
  next: SkipToken | undefined,
): Answer {
  const body = { 'odata.metadata': `${call.baseUrl}/$metadata#${set}`, value };
  return json(next === undefined ? body : { ...body, 'odata.nextLink': nextLink(call, next) });
}

function nextLink(call: Call, token: SkipToken): string {
  const pairs: string[] = [];
  for (const [name, value] of call.query.entries()) {
    if (name !== '$skiptoken') pairs.push(`${encodeName(name)}=${encodeURIComponent(value)}`);
  }
  pairs.push(`$skiptoken=${writeSkipToken(token)}`);
  return `${call.baseUrl}${splitUrl(call.url).path}?${pairs.join('&')}`;
}

function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll('%24', '$');
}
