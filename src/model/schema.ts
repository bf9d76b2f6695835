/** Pieces that the schemas of several entities share. All input from outside passes a compiled TypeBox schema. */
import Type from 'typebox';
import { ID_LENGTH_MAX } from '../lib/limits.ts';

export const Id = Type.String({ minLength: 1, maxLength: ID_LENGTH_MAX, pattern: '^[A-Za-z0-9_-]+$' });
export const DisplayName = Type.String({ maxLength: 1024 });
/** ISO 8601; its value is checked by `parseDuration` after the shape was. */
export const Duration = Type.String({ minLength: 1, maxLength: 64 });
export const Metadata = Type.Array(
  Type.Object(
    { name: Type.String({ maxLength: 1024 }), value: Type.String({ maxLength: 4096 }) },
    { additionalProperties: false },
  ),
  { maxItems: 256 },
);
export const Environment = Type.Array(
  Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 1024, pattern: '^[^=\\u0000]+$' }),
      value: Type.Optional(Type.String({ maxLength: 65_536, pattern: '^[^\\u0000]*$' })),
    },
    { additionalProperties: false },
  ),
  { maxItems: 1024 },
);
/** A property that only Azure's own hardware or identity service gives meaning to: accepted, echoed, without effect. */
export const Echoed = Type.Unknown();
/** 32-bit signed. */
export const Int32 = Type.Integer({ minimum: -2_147_483_648, maximum: 2_147_483_647 });
