/** Where an execution's files are on its node: Azure Batch's layout (page "Files and directories in Azure Batch"). */
import { join } from 'node:path';
import type { Assigned } from './interface.ts';

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
  /** Holds stdout.txt and stderr.txt. */
  readonly task: string;
  readonly working: string;
}

export function directoriesOf(nodesDirectory: string, { node, job, spec }: Assigned): TaskDirectories {
  const nodeRoot = join(nodesDirectory, node);
  const task = join(nodeRoot, spec.role === 'start' ? START_DIRECTORY : taskRootDirectory(job.id, spec.id));
  return { nodeRoot, task, working: join(task, 'wd') };
}
