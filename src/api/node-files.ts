/** Routes of the files below a node's root. */
import type { ApiContext } from './context.ts';
import { nodeUrl } from './entity-url.ts';
import { fileRoutes } from './files.ts';
import { requireNode } from './nodes.ts';
import type { Route } from './route.ts';

export function nodeFileRoutes(context: ApiContext): readonly Route[] {
  const { files } = context.control;
  return fileRoutes('/pools/:pool/nodes/:node/files', 'ComputeNode', async (call) => {
    const { pool, node } = await requireNode(context, call);
    return {
      url: nodeUrl(call.baseUrl, pool, node),
      list: (recursive, options) => files.listNodeFiles(pool, node, recursive, options),
      stat: (path, options) => files.statNodeFile(pool, node, path, options),
      open: (path, range, options) => files.openNodeFile(pool, node, path, range, options),
      remove: (path, recursive, options) => files.deleteNodeFile(pool, node, path, recursive, options),
    };
  });
}
