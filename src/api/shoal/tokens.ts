/** Our routes of join tokens. */
import Type from 'typebox';
import { TOKEN_USES_MAX, TOKEN_VALID_MS_DEFAULT, TOKEN_VALID_MS_MAX } from '../../lib/limits.ts';
import { MESH_GROUP } from '../../model/ids.ts';
import { unwrap } from '../../model/outcome.ts';
import type { ApiContext } from '../context.ts';
import { type Call, empty, json, param, type Route } from '../route.ts';
import { bodyReader } from '../validate.ts';
import { itemsAnswer } from './items.ts';

const readToken = bodyReader(
  Type.Object(
    {
      validMs: Type.Optional(Type.Integer({ minimum: 1_000, maximum: TOKEN_VALID_MS_MAX })),
      uses: Type.Optional(Type.Integer({ minimum: 1, maximum: TOKEN_USES_MAX })),
    },
    { additionalProperties: false },
  ),
);

export function tokenRoutes({ control }: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/shoal/v1/tokens',
      name: 'Shoal_ListTokens',
      handle: async (call) => itemsAnswer(await control.query(MESH_GROUP, 'token.list', {}, call.options())),
    },
    {
      method: 'POST',
      path: '/shoal/v1/tokens',
      name: 'Shoal_CreateToken',
      keyOnly: true,
      handle: async (call: Call) => {
        const { validMs, uses } = call.body === undefined ? {} : readToken(call.body);
        const options = {
          validMs: validMs ?? TOKEN_VALID_MS_DEFAULT,
          uses: uses ?? 1,
        };
        // The answer is a secret; nothing on its way may keep it.
        return json(await control.createToken(options), { 'cache-control': 'no-store' }, 201);
      },
    },
    {
      method: 'DELETE',
      path: '/shoal/v1/tokens/:token',
      name: 'Shoal_RevokeToken',
      handle: async (call) => {
        const command = { kind: 'token.revoke', id: param(call, 'token') } as const;
        unwrap(await control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
        return empty(204);
      },
    },
  ];
}
