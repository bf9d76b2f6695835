/** Our routes of tasks: why one does not run, and its output while it is written. */
import { Readable } from 'node:stream';
import type { ApiContext } from '../context.ts';
import { checkedPath } from '../files.ts';
import { type Call, json, type Route } from '../route.ts';
import { taskKeyOf } from '../tasks.ts';
import { follow } from './follow.ts';

const DEFAULT_FILE = 'stdout.txt';

export function shoalTaskRoutes(context: ApiContext): readonly Route[] {
  const one = '/shoal/v1/jobs/:job/tasks/:task';
  return [
    {
      method: 'GET',
      path: `${one}/explain`,
      name: 'Shoal_ExplainTask',
      handle: async (call: Call) => {
        const { job, task } = taskKeyOf(call);
        const explanation = await context.jobs.with(job, call.options(), (group) =>
          context.control.query(group, 'task.explain', { job, task }, call.options()),
        );
        return json(explanation);
      },
    },
    {
      method: 'GET',
      path: `${one}/follow`,
      name: 'Shoal_FollowTaskFile',
      query: ['file'],
      endless: true,
      handle: async (call: Call) => {
        const path = checkedPath(call.query.get('file') ?? DEFAULT_FILE);
        const pieces = await follow(context, { ...taskKeyOf(call), path }, call.signal);
        return {
          kind: 'stream',
          status: 200,
          headers: {
            'content-type': 'text/plain',
            'content-disposition': 'attachment',
            'cache-control': 'no-store',
          },
          body: Readable.from(pieces, { objectMode: false }),
        };
      },
    },
  ];
}
