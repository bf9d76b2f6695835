/** All routes there are; docs/api.md lists the same. */
import { absentRoutes } from './absent.ts';
import { accountRoutes } from './account.ts';
import { applicationRoutes } from './applications.ts';
import { autoScaleRoutes } from './autoscale.ts';
import type { ApiContext } from './context.ts';
import { jobScheduleRoutes } from './job-schedules.ts';
import { jobRoutes } from './jobs.ts';
import { nodeFileRoutes } from './node-files.ts';
import { nodeLogRoutes } from './node-logs.ts';
import { nodeRoutes } from './nodes.ts';
import { poolRoutes } from './pools.ts';
import type { Route } from './route.ts';
import { accessRoutes } from './shoal/access.ts';
import { shoalApplicationRoutes } from './shoal/applications.ts';
import { eventRoutes } from './shoal/events.ts';
import { machineRoutes } from './shoal/machines.ts';
import { statusRoutes } from './shoal/status.ts';
import { storageRoutes } from './shoal/storage.ts';
import { shoalTaskRoutes } from './shoal/tasks.ts';
import { tokenRoutes } from './shoal/tokens.ts';
import { statisticsRoutes } from './statistics.ts';
import { taskFileRoutes } from './task-files.ts';
import { taskRoutes } from './tasks.ts';
import { unsupportedRoutes } from './unsupported.ts';

export function allRoutes(context: ApiContext): readonly Route[] {
  return [
    ...accountRoutes(context),
    ...applicationRoutes(context),
    ...poolRoutes(context),
    ...autoScaleRoutes(context),
    ...nodeRoutes(context),
    ...nodeFileRoutes(context),
    ...nodeLogRoutes(context),
    ...jobRoutes(context),
    ...jobScheduleRoutes(context),
    ...taskRoutes(context),
    ...taskFileRoutes(context),
    ...statisticsRoutes(context),
    ...absentRoutes(context),
    ...unsupportedRoutes(),
    ...statusRoutes(context),
    ...tokenRoutes(context),
    ...accessRoutes(context),
    ...machineRoutes(context),
    ...storageRoutes(context),
    ...shoalApplicationRoutes(context),
    ...shoalTaskRoutes(context),
    ...eventRoutes(context),
  ];
}
