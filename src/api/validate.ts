/** Bodies against the TypeBox schemas of the model, with Azure Batch's error codes for what does not fit. */
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { ShoalError } from '../lib/errors.ts';
import type { Violation } from '../model/validate.ts';
import type { ApiVersion } from './api-version.ts';
import { canonicalizer, isRecord } from './case.ts';

/** Returns the body as the schema's type; throws the first violation. Of a later version what is not known is left out. */
export type BodyReader<T> = (body: unknown, version?: ApiVersion) => T;

/** Of later versions, what would change the meaning of the rest if it were left out. */
const MEANT_SERIOUSLY: ReadonlySet<string> = new Set(['containerHostBatchBindMounts']);

/**
 * `notYet`: properties that Azure Batch has and this mesh has not. Empty ones (null, false, an empty list or text)
 * are dropped, since some clients always send them; any other is refused by name. `a/b`: the property b of a.
 */
export function bodyReader<S extends TSchema>(
  schema: S,
  notYet: readonly string[] = [],
): BodyReader<Static<S>> {
  const validator = Compile(schema);
  const canonicalize = canonicalizer(schema);
  const canonicalizeLater = canonicalizer(schema, (name) => MEANT_SERIOUSLY.has(name));
  return (body, version) => {
    if (!isRecord(body))
      throw new ShoalError('InvalidRequestBody', 'The request body must be a JSON object.');
    dropEmpty(body, notYet);
    const value = version === 'later' ? canonicalizeLater(body) : canonicalize(body);
    if (!validator.Check(value)) throw violation(validator.Errors(value), value);
    return value;
  };
}

function dropEmpty(body: Record<string, unknown>, notYet: readonly string[]): void {
  for (const path of notYet) {
    const slash = path.indexOf('/');
    const owner = slash < 0 ? body : body[path.slice(0, slash)];
    const name = path.slice(slash + 1);
    if (!isRecord(owner) || !Object.hasOwn(owner, name)) continue;
    const value = owner[name];
    if (value === null || value === false || value === '' || (Array.isArray(value) && value.length === 0)) {
      delete owner[name];
      continue;
    }
    throw new ShoalError('UnsupportedProperty', `The property ${path} is not supported by this mesh yet.`, {
      PropertyName: path,
    });
  }
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function violation(errors: readonly SchemaError[], body: unknown): ShoalError {
  const unknownNames = errors.find((error) => error.keyword === 'additionalProperties');
  if (unknownNames !== undefined) return unknownProperty(unknownNames);
  const missing = errors.find((error) => error.keyword === 'required');
  if (missing !== undefined) return missingProperty(missing);
  // The branches of a union come before the union itself, which is the error to tell.
  const error = errors.find((one) => one.keyword === 'anyOf') ?? errors[0];
  if (error === undefined) return new ShoalError('InvalidRequestBody');
  return invalidProperty(pathOf(error.instancePath), valueAt(body, error.instancePath), reasonOf(error));
}

function unknownProperty(error: SchemaError): ShoalError {
  const name = pathOf(`${error.instancePath}/${firstName(error.params, 'additionalProperties')}`);
  return new ShoalError('InvalidRequestBody', `The request body has an unknown property: ${name}.`, {
    PropertyName: name,
    Reason: 'The property is not known',
  });
}

function missingProperty(error: SchemaError): ShoalError {
  const name = pathOf(`${error.instancePath}/${firstName(error.params, 'requiredProperties')}`);
  return new ShoalError('MissingRequiredProperty', `The required property ${name} was not specified.`, {
    PropertyName: name,
  });
}

/** For rules of the model that no schema says. */
export function refusedBy({ code, message, values }: Violation): ShoalError {
  return new ShoalError(code, message, values);
}

/** Also for rules that a schema cannot say. */
export function invalidProperty(name: string, value: unknown, reason: string): ShoalError {
  return new ShoalError(
    'InvalidPropertyValue',
    `The value of the property ${name} is not valid: ${reason}.`,
    {
      PropertyName: name,
      PropertyValue: (JSON.stringify(value) ?? '').slice(0, 256),
      Reason: reason,
    },
  );
}

function reasonOf(error: SchemaError): string {
  const params = error.params as { readonly allowedValues?: readonly unknown[] };
  return params.allowedValues === undefined
    ? error.message
    : `must be one of ${params.allowedValues.join(', ')}`;
}

function firstName(params: object, key: string): string {
  const names = (params as Readonly<Record<string, readonly string[] | undefined>>)[key];
  return (names?.[0] ?? '').slice(0, 128);
}

/** A JSON pointer as people write it: `exitConditions/exitCodes/0/code`. */
function pathOf(pointer: string): string {
  return pointer.replace(/^\//, '').replaceAll('~1', '/').replaceAll('~0', '~');
}

function valueAt(body: unknown, pointer: string): unknown {
  let value = body;
  for (const name of pointer.split('/').slice(1)) {
    if (Array.isArray(value)) value = value[Number(name)];
    else if (isRecord(value)) value = value[name];
  }
  return value;
}
