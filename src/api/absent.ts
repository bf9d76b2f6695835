/** What Azure installs on rented machines and this mesh never has: lists of it are empty, and nothing of it is found. */
import { ShoalError } from '../lib/errors.ts';
import type { ApiContext } from './context.ts';
import { requireNodeEntity } from './nodes.ts';
import { listAnswer } from './paging.ts';
import { param, type Route } from './route.ts';

export function absentRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/pools/:pool/nodes/:node/extensions',
      name: 'ComputeNodeExtension_List',
      query: ['$select', 'maxresults', '$skiptoken'],
      handle: async (call) => {
        await requireNodeEntity(context, call);
        return listAnswer(call, 'extensions', [], undefined);
      },
    },
    {
      method: 'GET',
      path: '/pools/:pool/nodes/:node/extensions/:extension',
      name: 'ComputeNodeExtension_Get',
      query: ['$select'],
      handle: async (call) => {
        await requireNodeEntity(context, call);
        throw new ShoalError('NodeExtensionNotFound', undefined, {
          ExtensionName: param(call, 'extension').slice(0, 128),
        });
      },
    },
  ];
}
