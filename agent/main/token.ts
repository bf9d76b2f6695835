/** A join token as text: `shoal1.` and base64url of the mesh, who can be asked, and the temporary identity's key. */

import Type, { type Static } from 'typebox';
import { ShoalError } from '../../src/lib/errors.ts';
import { decoder, encode } from '../../src/wire/codec.ts';

const PREFIX = 'shoal1.';
const TOKEN_LENGTH_MAX = 16_384;

const Token = Type.Object({
  meshId: Type.String({ maxLength: 64 }),
  id: Type.String({ maxLength: 64 }),
  /** Private key of the temporary identity, libp2p protobuf bytes. */
  key: Type.Unsafe<Uint8Array>(
    Type.Refine(Type.Unknown(), (value: unknown) => value instanceof Uint8Array && value.length <= 256),
  ),
  members: Type.Array(
    Type.Object({
      peer: Type.String({ maxLength: 128 }),
      addresses: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 32 }),
    }),
    { minItems: 1, maxItems: 16 },
  ),
});
export type Token = Static<typeof Token>;

const decodeToken = decoder('token', Token);

export function formatToken(token: Token): string {
  return `${PREFIX}${Buffer.from(encode(token)).toString('base64url')}`;
}

/** Throws InvalidToken for anything that is not a whole token. */
export function parseToken(text: string): Token {
  const trimmed = text.trim();
  if (
    !trimmed.startsWith(PREFIX) ||
    trimmed.length > TOKEN_LENGTH_MAX ||
    !/^[A-Za-z0-9_-]+$/.test(trimmed.slice(PREFIX.length))
  ) {
    throw new ShoalError(
      'InvalidToken',
      `This is not a join token: it should begin with ${PREFIX} and be one word.`,
    );
  }
  try {
    return decodeToken(Buffer.from(trimmed.slice(PREFIX.length), 'base64url'));
  } catch (cause) {
    throw new ShoalError('InvalidToken', 'The join token is damaged: copy the whole of it.', {}, { cause });
  }
}
