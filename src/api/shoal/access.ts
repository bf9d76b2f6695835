/** Our routes of what clients need to reach the API without the account's key, and to trust it. */
import Type from 'typebox';
import { apiSecretOf, issueBearerToken } from '../../lib/bearer-token.ts';
import { BEARER_TOKEN_VALID_MS_DEFAULT, BEARER_TOKEN_VALID_MS_MAX } from '../../lib/limits.ts';
import { MESH_GROUP } from '../../model/ids.ts';
import { Id } from '../../model/schema.ts';
import { Authority } from '../authority.ts';
import type { ApiContext } from '../context.ts';
import { type Call, json, type Route } from '../route.ts';
import { bodyReader } from '../validate.ts';

const readRequest = bodyReader(
  Type.Object(
    {
      /** Without one: the whole account. */
      job: Type.Optional(Id),
      validMs: Type.Optional(Type.Integer({ minimum: 1_000, maximum: BEARER_TOKEN_VALID_MS_MAX })),
    },
    { additionalProperties: false },
  ),
);

export function accessRoutes({ control, clock }: ApiContext): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/shoal/v1/access-tokens',
      name: 'Shoal_CreateAccessToken',
      keyOnly: true,
      handle: async (call: Call) => {
        const { job, validMs = BEARER_TOKEN_VALID_MS_DEFAULT } =
          call.body === undefined ? {} : readRequest(call.body);
        const settings = await control.query(MESH_GROUP, 'settings', {}, call.options());
        const expiresAtMs = clock.wallMs() + validMs;
        const scope = job === undefined ? ({ kind: 'account' } as const) : ({ kind: 'job', job } as const);
        const token = issueBearerToken(
          { account: settings.accountName, scope, expiresAtMs },
          apiSecretOf(settings),
        );
        return json({ token, expiresAtMs }, { 'cache-control': 'no-store' }, 201);
      },
    },
    {
      method: 'GET',
      path: '/shoal/v1/authority',
      name: 'Shoal_GetAuthority',
      handle: async (call) => {
        const settings = await control.query(MESH_GROUP, 'settings', {}, call.options());
        const authority = await Authority.of(settings.meshId, apiSecretOf(settings));
        return json({ certificate: await authority.certificate() });
      },
    },
  ];
}
