/** Our routes about the mesh as such: this machine's view, the groups, recovery of a lost quorum. */
import Type from 'typebox';
import { ShoalError } from '../../lib/errors.ts';
import { type GroupId, idKey, isValidId, MESH_GROUP, poolGroup } from '../../model/ids.ts';
import type { ApiContext } from '../context.ts';
import { type Call, json, type Route } from '../route.ts';
import { bodyReader } from '../validate.ts';
import { itemsAnswer } from './items.ts';

const readRecovery = bodyReader(
  Type.Object(
    { group: Type.String({ minLength: 1, maxLength: 128 }), confirmed: Type.Optional(Type.Boolean()) },
    { additionalProperties: false },
  ),
);

export function statusRoutes({ control }: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/shoal/v1/status',
      name: 'Shoal_Status',
      handle: async () => json(control.status()),
    },
    {
      // Whoever may ask this can do everything already: the socket is guarded by its mode, TCP by this very key.
      method: 'GET',
      path: '/shoal/v1/account',
      name: 'Shoal_Account',
      keyOnly: true,
      handle: async (call) => {
        const { accountName, accountKey } = await control.query(MESH_GROUP, 'settings', {}, call.options());
        return json({ accountName, accountKey, url: control.status().apiUrl ?? null });
      },
    },
    {
      method: 'GET',
      path: '/shoal/v1/groups',
      name: 'Shoal_ListGroups',
      handle: async (call) => itemsAnswer(await control.query(MESH_GROUP, 'group.list', {}, call.options())),
    },
    {
      method: 'POST',
      path: '/shoal/v1/recover',
      name: 'Shoal_Recover',
      keyOnly: true,
      handle: async (call: Call) => {
        const { group, confirmed } = readRecovery(call.body);
        return json(await control.recover(groupOf(group), confirmed ?? false));
      },
    },
  ];
}

/** `mesh`, `pool:<id>`, or a bare pool id. */
function groupOf(text: string): GroupId {
  if (idKey(text) === MESH_GROUP) return MESH_GROUP;
  const pool = text.startsWith('pool:') ? text.slice('pool:'.length) : text;
  if (!isValidId(pool)) throw new ShoalError('GroupNotFound', `'${text}' is neither mesh nor pool:<id>.`);
  return poolGroup(pool);
}
