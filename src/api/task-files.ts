/** Routes of a task's files, wherever in the mesh they are. */
import type { ApiContext } from './context.ts';
import { taskUrl } from './entity-url.ts';
import { fileRoutes } from './files.ts';
import type { Route } from './route.ts';
import { taskKeyOf } from './tasks.ts';

export function taskFileRoutes(context: ApiContext): readonly Route[] {
  const { files } = context.control;
  return fileRoutes('/jobs/:job/tasks/:task/files', 'Task', async (call) => {
    const { job, task } = taskKeyOf(call);
    return {
      url: taskUrl(call.baseUrl, job, task),
      list: (recursive, options) => files.listTaskFiles(job, task, recursive, options),
      stat: (path, options) => files.statTaskFile(job, task, path, options),
      open: (path, range, options) => files.openTaskFile(job, task, path, range, options),
      remove: (path, recursive, options) => files.deleteTaskFile(job, task, path, recursive, options),
    };
  });
}
