/** A node on this machine as its runner must know it: directories, user, environment. */
import { join } from 'node:path';
import type { Allotment } from '../../src/model/machine.ts';
import type { NodeSetup } from '../runner/interface.ts';

/** Users of tasks are numbers nobody else has: this one plus a number made of the node's id. */
const TASK_UID_BASE = 2_000_000;
const TASK_UID_RANGE = 1_000_000;

export interface NodeSetupOptions {
  readonly nodesDirectory: string;
  readonly accountName: string;
  readonly accountUrl: string;
}

export function nodeRoot(nodesDirectory: string, node: string): string {
  return join(nodesDirectory, node);
}

export function nodeSetupOf(allotment: Allotment, options: NodeSetupOptions): NodeSetup {
  const root = nodeRoot(options.nodesDirectory, allotment.node);
  const owner = taskOwner(allotment.node);
  return {
    node: allotment.node,
    slots: allotment.slots,
    environment: {
      AZ_BATCH_ACCOUNT_NAME: options.accountName,
      AZ_BATCH_ACCOUNT_URL: options.accountUrl,
      AZ_BATCH_POOL_ID: allotment.pool,
      AZ_BATCH_NODE_ID: allotment.node,
      AZ_BATCH_NODE_IS_DEDICATED: String(allotment.dedicated),
      AZ_BATCH_NODE_ROOT_DIR: root,
      AZ_BATCH_NODE_SHARED_DIR: join(root, 'shared'),
      AZ_BATCH_NODE_STARTUP_DIR: join(root, 'startup'),
      AZ_BATCH_NODE_STARTUP_WORKING_DIR: join(root, 'startup', 'wd'),
      AZ_BATCH_NODE_MOUNTS_DIR: join(root, 'fsmounts'),
    },
    uid: owner?.uid,
    gid: owner?.gid,
    rootDirectory: root,
    memoryBytesMax: allotment.memoryBytes,
  };
}

/**
 * Where the agent is root, tasks run as a user of their own, one for each node, as Azure's pool-scope auto user does.
 * Undefined where it is not: they run as whoever runs the agent.
 */
export function taskOwner(node: string): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  let hash = 0;
  for (const character of node) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
  const number = TASK_UID_BASE + (hash % TASK_UID_RANGE);
  return { uid: number, gid: number };
}
