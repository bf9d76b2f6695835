/** Azure Batch's routes of applications: those whose packages can be had on nodes. Uploading is ours, in `shoal/`. */
import type { ApplicationRecord } from '../model/application.ts';
import { idKey, MESH_GROUP } from '../model/ids.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata } from './entity-url.ts';
import { listAnswer, pageByKey, readPageWish } from './paging.ts';
import { type Answer, type Call, json, param, type Route } from './route.ts';

export function applicationRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/applications',
      name: 'Application_List',
      query: ['maxresults', '$skiptoken'],
      handle: (call) => listApplications(context, call),
    },
    {
      method: 'GET',
      path: '/applications/:application',
      name: 'Application_Get',
      handle: (call) => getApplication(context, call),
    },
  ];
}

async function listApplications({ control }: ApiContext, call: Call): Promise<Answer> {
  const wish = readPageWish(call.query);
  const applications = await control.query(MESH_GROUP, 'application.list', {}, call.options());
  const { items, next } = pageByKey(applications, wish, ({ id }) => idKey(id));
  return listAnswer(call, 'applications', items.map(renderApplication), next);
}

async function getApplication({ control }: ApiContext, call: Call): Promise<Answer> {
  const application = param(call, 'application');
  const found = await control.query(MESH_GROUP, 'application.get', { application }, call.options());
  return json({
    'odata.metadata': elementMetadata(call.baseUrl, 'applications'),
    ...renderApplication(found),
  });
}

function renderApplication({ id, displayName, packages }: ApplicationRecord): Record<string, unknown> {
  return { id, displayName, versions: packages.map(({ version }) => version) };
}
