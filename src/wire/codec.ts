/**
 * msgpack for everything that crosses a connection or is stored in a log entry. `useRecords: false`, so that two
 * versions need no shared dictionary and equal values have equal bytes.
 */
import { Packr } from 'msgpackr';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { ShoalError } from '../lib/errors.ts';

const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });

export function encode(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Throws InvalidRequestBody for bytes that are not one msgpack value (msgpackr throws half a dozen kinds of its own). */
export function decode(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new ShoalError('InvalidRequestBody', 'The message is not valid msgpack.', {}, { cause });
  }
}

/** A compiled decoder that lets nothing through but values of the schema. */
export function decoder<S extends TSchema>(what: string, schema: S): (bytes: Uint8Array) => Static<S> {
  let compiled: ReturnType<typeof Compile<S>> | undefined;
  return (bytes) => {
    const value = decode(bytes);
    compiled ??= Compile(schema);
    if (!compiled.Check(value)) {
      const first = compiled.Errors(value)[0];
      throw new ShoalError('InvalidRequestBody', `A ${what} message has the wrong shape.`, {
        path: first?.instancePath ?? '',
        reason: first?.message ?? 'unknown',
      });
    }
    return value as Static<S>;
  };
}
