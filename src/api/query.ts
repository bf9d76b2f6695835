/** The query of a request's URL, each name once. */
import { ShoalError } from '../lib/errors.ts';

/** Every Azure Batch operation has these; newer clients spell the second `timeOut`. */
const ALWAYS_KNOWN = ['api-version', 'timeout', 'timeOut'];

export class Query {
  readonly #values: ReadonlyMap<string, string>;

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  entries(): IterableIterator<[string, string]> {
    return this.#values.entries();
  }

  /** Throws `UnsupportedQueryParameter` for a name that the route does not know: a flag that is dropped could change what happens. */
  requireKnown(known: readonly string[]): void {
    for (const name of this.#values.keys()) {
      if (known.includes(name) || ALWAYS_KNOWN.includes(name)) continue;
      throw new ShoalError('UnsupportedQueryParameter', undefined, {
        QueryParameterName: name.slice(0, 128),
      });
    }
  }

  /** An integer of the range, or undefined where the name is absent. */
  integer(name: string, minimum: number, maximum: number): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isNaN(value) || value < minimum)
      throw invalidQuery(name, text, `a whole number from ${minimum} to ${maximum} is expected`);
    if (value > maximum) {
      throw new ShoalError('OutOfRangeQueryParameterValue', undefined, {
        QueryParameterName: name,
        QueryParameterValue: text,
        MinimumAllowed: String(minimum),
        MaximumAllowed: String(maximum),
      });
    }
    return value;
  }

  boolean(name: string): boolean {
    const text = this.#values.get(name);
    if (text === undefined) return false;
    const value = text.toLowerCase();
    if (value !== 'true' && value !== 'false') throw invalidQuery(name, text, 'true or false is expected');
    return value === 'true';
  }
}

export function invalidQuery(name: string, value: string, reason: string): ShoalError {
  return new ShoalError(
    'InvalidQueryParameterValue',
    `The query parameter ${name} is not valid: ${reason}.`,
    {
      QueryParameterName: name,
      QueryParameterValue: value.slice(0, 256),
      Reason: reason,
    },
  );
}

/**
 * Reads the part after `?`. Names and values are percent-decoded once, `+` is a space. Throws `InvalidUri` for a bad
 * escape and `InvalidQueryParameterValue` for a name given twice, since two readers could pick different ones.
 */
export function parseQuery(text: string): Query {
  const values = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeOnce(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decodeOnce(pair.slice(equals + 1).replaceAll('+', ' '));
    if (values.has(name)) throw invalidQuery(name.slice(0, 128), value, 'it is given twice');
    values.set(name, value);
  }
  return new Query(values);
}

/** Throws `InvalidUri` where `text` has a bad percent escape. */
export function decodeOnce(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ShoalError('InvalidUri', 'The URI has a percent escape that is not valid UTF-8.');
  }
}

/** Where path and query part. */
export function splitUrl(url: string): { readonly path: string; readonly query: string } {
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}
