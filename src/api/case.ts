/**
 * Input as clients write it, made canonical before it is validated: enum values in lower case (the JavaScript client
 * sends `terminateJob` as its user typed it) and members that are null left out (some clients write every property).
 * Derived from the schemas, so that a new enum needs no second list.
 */
import type { TSchema } from 'typebox';

type Change = (value: unknown) => unknown;

interface SchemaNode {
  readonly type?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: unknown;
  readonly items?: SchemaNode;
}

/** Of members that a schema does not know: true for those that stay, to be refused. */
type Keeps = (name: string) => boolean;

const keepAll: Keeps = () => true;

/** Changes parsed JSON in place and returns it. What a schema does not know stays unless `keeps` says otherwise. */
export function canonicalizer(schema: TSchema, keeps: Keeps = keepAll): Change {
  return changeFor(schema as SchemaNode, keeps) ?? ((value) => value);
}

function changeFor(schema: SchemaNode, keeps: Keeps): Change | undefined {
  if (schema.enum !== undefined) return lowerCase;
  if (schema.type === 'object') return objectChange(schema, keeps);
  if (schema.type === 'array' && schema.items !== undefined) {
    const change = changeFor(schema.items, keeps);
    return change === undefined
      ? undefined
      : (value) => (Array.isArray(value) ? changeAll(value, change) : value);
  }
  return undefined;
}

function lowerCase(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value;
}

function changeAll(items: unknown[], change: Change): unknown[] {
  for (let index = 0; index < items.length; index += 1) items[index] = change(items[index]);
  return items;
}

function objectChange({ properties = {}, additionalProperties }: SchemaNode, keeps: Keeps): Change {
  const isKnown = (name: string): boolean =>
    additionalProperties !== false || Object.hasOwn(properties, name) || keeps(name);
  const changes = new Map<string, Change>();
  for (const [name, schema] of Object.entries(properties)) {
    const change = changeFor(schema, keeps);
    if (change !== undefined) changes.set(name, change);
  }
  return (value) => {
    if (!isRecord(value)) return value;
    for (const name of Object.keys(value)) {
      const member = value[name];
      if (member === null || !isKnown(name)) delete value[name];
      else if (changes.has(name)) value[name] = changes.get(name)?.(member);
    }
    return value;
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
