/** Request targets. What a caller hands in is encoded, so that an id can neither leave its place nor add a query. */

/** A path whose inserted values are each one component: `/` in a value becomes `%2F`. */
export function route(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return parts.reduce((path, part, index) => `${path}${encodeURIComponent(values[index - 1] ?? '')}${part}`);
}

/** A relative path that keeps its slashes. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** `path` with the defined ones of `query`. */
export function withQuery(path: string, query: Query): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
  return pairs.length === 0 ? path : `${path}${path.includes('?') ? '&' : '?'}${pairs.join('&')}`;
}
