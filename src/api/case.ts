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
  readonly items?: SchemaNode;
}

/** Changes parsed JSON in place and returns it. */
export function canonicalizer(schema: TSchema): Change {
  return changeFor(schema as SchemaNode) ?? ((value) => value);
}

function changeFor(schema: SchemaNode): Change | undefined {
  if (schema.enum !== undefined) return lowerCase;
  if (schema.type === 'object') return objectChange(schema.properties ?? {});
  if (schema.type === 'array' && schema.items !== undefined) {
    const change = changeFor(schema.items);
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

function objectChange(properties: Readonly<Record<string, SchemaNode>>): Change {
  const changes = new Map<string, Change>();
  for (const [name, schema] of Object.entries(properties)) {
    const change = changeFor(schema);
    if (change !== undefined) changes.set(name, change);
  }
  return (value) => {
    if (!isRecord(value)) return value;
    for (const name of Object.keys(value)) {
      const member = value[name];
      if (member === null) delete value[name];
      else if (changes.has(name)) value[name] = changes.get(name)?.(member);
    }
    return value;
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
