/** Routes of the account: the images that nodes run. */
import { MESH_GROUP } from '../model/ids.ts';
import type { ApiContext } from './context.ts';
import { matcherOf } from './list-query.ts';
import { listAnswer, readLimit, readSkipToken } from './paging.ts';
import type { Answer, Call, Route } from './route.ts';

export function accountRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/supportedimages',
      name: 'Account_ListSupportedImages',
      query: ['$filter', 'maxresults', '$skiptoken'],
      handle: (call) => listImages(context, call),
    },
  ];
}

/** One image for each operating system that a machine of the mesh runs: nothing is ever installed on them. */
async function listImages(context: ApiContext, call: Call): Promise<Answer> {
  const matches = matcherOf(call, 'image');
  const limit = readLimit(call.query);
  const after = readSkipToken(call.query, 'number')?.[0] ?? 0;
  const machines = await context.control.query(MESH_GROUP, 'machine.list', {}, call.options());
  const systems = [...new Set(machines.map((machine) => machine.capacity.operatingSystem))].sort();
  const images = systems.map(imageOf).filter((image) =>
    matches({
      nodeAgentSkuId: image.nodeAgentSKUId,
      operatingSystemType: image.osType,
      verificationType: image.verificationType,
    }),
  );
  const page = images.slice(after, after + limit);
  return listAnswer(
    call,
    'supportedimages',
    page,
    after + limit < images.length ? [after + limit] : undefined,
  );
}

interface Image {
  readonly nodeAgentSKUId: string;
  readonly imageReference: Readonly<Record<'publisher' | 'offer' | 'sku' | 'version', string>>;
  readonly osType: 'linux' | 'windows';
  readonly capabilities: readonly string[];
  readonly verificationType: 'verified';
}

function imageOf(system: string): Image {
  const slug = system.toLowerCase().replace(/[^a-z0-9.]+/g, '-');
  return {
    nodeAgentSKUId: `batch.node.${slug}`,
    imageReference: { publisher: 'shoal', offer: slug, sku: slug, version: 'latest' },
    osType: /windows|win32/i.test(system) ? 'windows' : 'linux',
    capabilities: [],
    verificationType: 'verified',
  };
}
