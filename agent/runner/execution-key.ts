import type { ExecutionKey } from './interface.ts';

/** The name of an execution in maps, logs and the mark that its processes carry: `pool/job/task/epoch`. */
export function executionName(key: ExecutionKey): string {
  return `${key.pool}/${key.job}/${key.task}/${key.epoch}`;
}
