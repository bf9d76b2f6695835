/** What must hold when a chaos run is over: the records of the mesh against what the executions themselves wrote down. */
import type { ShoalClient } from '../../src/client/client.ts';
import type { TaskResource } from '../../src/client/shapes.ts';
import type { ExecutionWitness, Witnessed } from './executions.ts';

export interface Verdict {
  readonly violations: readonly string[];
  readonly tasks: number;
  readonly executions: number;
  /** Tasks that ran more than once. */
  readonly rerun: number;
}

export async function judge(
  client: ShoalClient,
  job: string,
  accepted: readonly string[],
  witness: ExecutionWitness,
): Promise<Verdict> {
  const listed: TaskResource[] = [];
  for await (const task of client.tasks.list(job)) listed.push(task);
  const { executions, overlaps } = await witness.read();
  const perTask = [...executions.values()].map((ofTask) => ofTask.size);
  return {
    violations: [
      ...overlaps.map((what) => `two executions were alive at once: ${what}`),
      ...checkList(accepted, listed),
      ...(await checkCounts(client, job, listed)),
      ...listed.flatMap((task) => checkTask(task, executions.get(task.id) ?? new Map())),
    ],
    tasks: listed.length,
    executions: perTask.reduce((sum, count) => sum + count, 0),
    rerun: perTask.filter((count) => count > 1).length,
  };
}

/** Nothing that was accepted is missing, nothing is there twice. */
function checkList(accepted: readonly string[], listed: readonly TaskResource[]): string[] {
  const ids = new Set(listed.map(({ id }) => id));
  const violations = accepted.filter((id) => !ids.has(id)).map((id) => `${id} was accepted and is gone`);
  if (ids.size !== listed.length) violations.push(`the list names ${listed.length - ids.size} tasks twice`);
  if (listed.length > accepted.length)
    violations.push(`the list has ${listed.length} tasks, ${accepted.length} were accepted`);
  return violations;
}

async function checkCounts(
  client: ShoalClient,
  job: string,
  listed: readonly TaskResource[],
): Promise<string[]> {
  const counts = await client.jobs.taskCounts(job);
  const completed = listed.filter(({ state }) => state === 'completed').length;
  const succeeded = listed.filter(({ executionInfo }) => executionInfo?.result === 'success').length;
  const recount = { active: listed.length - completed, running: 0, completed, succeeded, failed: 0 };
  return Object.entries(recount).flatMap(([name, expected]) => {
    const found = counts[name as keyof typeof recount];
    return found === expected ? [] : [`the counts say ${found} ${name}, a recount ${expected}`];
  });
}

/** One success is recorded, of an execution that came to its end, and each epoch stands for one execution. */
function checkTask(
  task: TaskResource,
  executions: Witnessed['executions'] extends ReadonlyMap<string, infer T> ? T : never,
): string[] {
  const { executionInfo: info, shoal } = task;
  if (task.state !== 'completed' || info?.result !== 'success' || info.exitCode !== 0)
    return [`${task.id} is ${task.state}, ${JSON.stringify(info)}`];
  const violations: string[] = [];
  for (const { epoch, starts } of executions.values())
    if (starts > 1) violations.push(`${task.id} was started ${starts} times under the epoch ${epoch}`);
  if (executions.get(shoal?.epoch ?? -1)?.ends !== 1)
    violations.push(`${task.id} is recorded as of epoch ${shoal?.epoch}, which did not come to its end`);
  return violations;
}
