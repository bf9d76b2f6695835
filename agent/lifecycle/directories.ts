/** Where an execution's files are on its node: Azure Batch's layout (page "Files and directories in Azure Batch"). */
import { join } from 'node:path';
import type { Assigned } from './interface.ts';

/** Of the coordination command that runs beside a primary: the logs of the task itself are the primary's. */
const COORDINATION_DIRECTORY = 'coordination';

/** Relative to the node's root, as Azure's `taskRootDirectory`. */
export function taskRootDirectory(jobId: string, taskId: string): string {
  const [schedule, scheduled] = jobId.split(':');
  return scheduled === undefined
    ? `workitems/${jobId}/job-1/${taskId}`
    : `workitems/${schedule}/${scheduled}/${taskId}`;
}

/** Of the start task, relative to the node's root. */
export const START_DIRECTORY = 'startup';

export interface TaskDirectories {
  readonly nodeRoot: string;
  /** All that is the task's. */
  readonly root: string;
  /** Holds stdout.txt and stderr.txt: the root, but for a subtask beside its primary. */
  readonly task: string;
  readonly working: string;
}

export function directoriesOf(nodesDirectory: string, { node, job, spec }: Assigned): TaskDirectories {
  const nodeRoot = join(nodesDirectory, node);
  const root = join(nodeRoot, spec.role === 'start' ? START_DIRECTORY : taskRootDirectory(job.id, spec.id));
  const isBesidePrimary = spec.role === 'subtask' && spec.gang?.instance === 0;
  const task = isBesidePrimary ? join(root, COORDINATION_DIRECTORY) : root;
  return { nodeRoot, root, task, working: join(root, 'wd') };
}
