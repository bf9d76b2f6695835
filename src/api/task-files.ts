/** Routes of a task's files, wherever in the mesh they are. */
import type { ApiContext } from './context.ts';
import { taskUrl } from './entity-url.ts';
import { checkedPath, FILE_LIST_QUERY, type FileSource, getFile, headFile, listFiles } from './files.ts';
import { type Call, empty, param, type Route } from './route.ts';
import { taskKeyOf } from './tasks.ts';

export function taskFileRoutes(context: ApiContext): readonly Route[] {
  const { files } = context.control;
  const all = '/jobs/:job/tasks/:task/files';
  const one = `${all}/*`;

  const sourceOf = (call: Call): FileSource => {
    const { job, task } = taskKeyOf(call);
    return {
      url: taskUrl(call.baseUrl, job, task),
      list: (recursive, options) => files.listTaskFiles(job, task, recursive, options),
      stat: (path, options) => files.statTaskFile(job, task, path, options),
      open: (path, range, options) => files.openTaskFile(job, task, path, range, options),
    };
  };

  return [
    {
      method: 'GET',
      path: all,
      name: 'File_ListFromTask',
      query: FILE_LIST_QUERY,
      handle: async (call) => listFiles(call, sourceOf(call)),
    },
    {
      method: 'GET',
      path: one,
      name: 'File_GetFromTask',
      handle: async (call) => getFile(call, sourceOf(call)),
    },
    {
      method: 'HEAD',
      path: one,
      name: 'File_GetPropertiesFromTask',
      handle: async (call) => headFile(call, sourceOf(call)),
    },
    {
      method: 'DELETE',
      path: one,
      name: 'File_DeleteFromTask',
      query: ['recursive'],
      handle: async (call) => {
        const { job, task } = taskKeyOf(call);
        await files.deleteTaskFile(
          job,
          task,
          checkedPath(param(call, '*')),
          call.query.boolean('recursive'),
          call.options(),
        );
        return empty(200);
      },
    },
  ];
}
