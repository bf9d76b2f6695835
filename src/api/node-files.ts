/** Routes of the files below a node's root. */
import type { ApiContext } from './context.ts';
import { nodeUrl } from './entity-url.ts';
import { FILE_LIST_QUERY, type FileSource, getFile, headFile, listFiles } from './files.ts';
import { requireNode } from './nodes.ts';
import type { Call, Route } from './route.ts';

export function nodeFileRoutes(context: ApiContext): readonly Route[] {
  const { files } = context.control;
  const all = '/pools/:pool/nodes/:node/files';
  const one = `${all}/*`;

  const sourceOf = async (call: Call): Promise<FileSource> => {
    const { pool, node } = await requireNode(context, call);
    return {
      url: nodeUrl(call.baseUrl, pool, node),
      list: (recursive, options) => files.listNodeFiles(pool, node, recursive, options),
      stat: (path, options) => files.statNodeFile(pool, node, path, options),
      open: (path, range, options) => files.openNodeFile(pool, node, path, range, options),
    };
  };

  return [
    {
      method: 'GET',
      path: all,
      name: 'File_ListFromComputeNode',
      query: FILE_LIST_QUERY,
      handle: async (call) => listFiles(call, await sourceOf(call)),
    },
    {
      method: 'GET',
      path: one,
      name: 'File_GetFromComputeNode',
      handle: async (call) => getFile(call, await sourceOf(call)),
    },
    {
      method: 'HEAD',
      path: one,
      name: 'File_GetPropertiesFromComputeNode',
      handle: async (call) => headFile(call, await sourceOf(call)),
    },
  ];
}
