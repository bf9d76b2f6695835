import { type Command, Option } from 'commander';
import { quoteFilter } from '../../client/paging.ts';
import type { JobNodeResource, JobResource } from '../../client/shapes.ts';
import type { DisableTasksOption, JobSpec } from '../../model/job.ts';
import { JOB_STATES, type JobState } from '../../model/states.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { waitForJob } from '../job-wait.ts';
import type { Column } from '../table.ts';
import { duration, durationMs, id, integer, nonEmpty, type Setting, settings } from '../values.ts';
import { describeRun } from './node.ts';

const DISABLE_TASKS = ['requeue', 'terminate', 'wait'] as const satisfies readonly DisableTasksOption[];
const INT32_MAX = 2_147_483_647;

const COLUMNS: readonly Column<JobResource>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: (row) => row.state, tone: (row) => toneOf(row.state) },
  { title: 'POOL', value: (row) => row.executionInfo?.poolId ?? row.poolInfo?.poolId },
  { title: 'PRIORITY', value: (row) => row.priority },
  { title: 'AGE', value: (row) => ago(row.creationTime, Date.now()) },
  { title: 'ENDED BY', value: (row) => row.executionInfo?.terminateReason, shrinks: true },
];

const JOB_NODE_COLUMNS: readonly Column<JobNodeResource>[] = [
  { title: 'NODE', value: (row) => row.nodeId },
  { title: 'PREPARATION', value: (row) => describeRun(row.jobPreparationTaskExecutionInfo) },
  { title: 'RELEASE', value: (row) => describeRun(row.jobReleaseTaskExecutionInfo) },
];

interface CreateOptions {
  readonly pool: string;
  readonly displayName?: string;
  readonly priority?: number;
  readonly preemptible?: true;
  readonly maxParallel?: number;
  readonly retries?: number;
  readonly maxTime?: string;
  readonly env?: readonly Setting[];
  readonly dependencies?: true;
  readonly metadata?: readonly Setting[];
  readonly prepare?: string;
  readonly release?: string;
}

export function addJobCommands(program: Command, context: CliContext): void {
  const job = program.command('job').description('jobs: sets of tasks on a pool');
  addCreate(job, context);

  withExamples(
    job
      .command('list')
      .description('every job, or those in one state')
      .addOption(new Option('--state <state>', 'only those in this state').choices(JOB_STATES))
      .action(
        action<[{ state?: JobState }]>(context, async (run, { state }) => {
          const filter = state === undefined ? {} : { filter: `state eq ${quoteFilter(state)}` };
          await run.output.rows(run.client.jobs.list({ ...filter, signal: run.signal }), COLUMNS);
        }),
      ),
    [['shoal job list --state active', 'what is not over yet']],
  );

  withExamples(
    job
      .command('show')
      .description('one job in full, with the counts of its tasks')
      .argument('<job>', 'id', nonEmpty)
      .action(action<[string]>(context, showJob)),
    [['shoal job show nightly', 'state and counts']],
  );

  withExamples(
    job
      .command('nodes')
      .description('what each node did for a job before its tasks and after them')
      .argument('<job>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, jobId) => {
          await run.output.rows(run.client.jobs.nodes(jobId, { signal: run.signal }), JOB_NODE_COLUMNS);
        }),
      ),
    [['shoal job nodes nightly', 'its preparation and release tasks']],
  );

  withExamples(
    job
      .command('wait')
      .description("wait until every task has ended; exits with the tasks' worst exit code")
      .argument('<job>', 'id', nonEmpty)
      .option('--timeout <time>', 'give up after this long (exit code 7)', durationMs)
      .action(
        action<[string, { timeout?: number }]>(context, (run, jobId, { timeout }) =>
          waitForJob(run, jobId, timeout),
        ),
      ),
    [
      ['shoal job wait nightly', 'with a progress line on a terminal'],
      ['shoal job wait nightly --timeout 2h', 'at most two hours'],
    ],
  );

  addStateChanges(job, context);

  withExamples(
    job
      .command('delete')
      .description('delete a job with its tasks and their files')
      .argument('<job>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, jobId) => {
          await run.client.jobs.delete(jobId, { signal: run.signal });
          await run.output.done(`Job ${jobId} is being deleted.`, { job: jobId, state: 'deleting' });
        }),
      ),
    [['shoal job delete nightly', 'its id is free again afterwards']],
  );
}

function addCreate(job: Command, context: CliContext): void {
  withExamples(
    job
      .command('create')
      .description('make a job; `shoal task add` fills it')
      .argument('<job>', 'its id', id)
      .option('--pool <pool>', 'where its tasks run', id, 'default')
      .option('--display-name <text>', 'a name for people', nonEmpty)
      .option('--priority <n>', 'from -1000 to 1000; higher goes first', integer(-1000, 1000))
      .option('--preemptible', 'its running tasks may be put back for a job of higher priority')
      .option('--max-parallel <n>', 'tasks that run at the same time', integer(1, INT32_MAX))
      .option(
        '--retries <n>',
        'runs again of a task that exits with other than 0; -1 for ever',
        integer(-1, INT32_MAX),
      )
      .option('--max-time <time>', 'end the job after this long', duration)
      .option('--env <name=value>', 'for every task (repeatable)', settings)
      .option('--dependencies', 'its tasks may depend on each other')
      .option('--prepare <command>', 'what a node runs before its first task of the job', nonEmpty)
      .option('--release <command>', 'what each of those nodes runs when the job ends', nonEmpty)
      .option('--metadata <name=value>', 'kept with the job (repeatable)', settings)
      .action(
        action<[string, CreateOptions]>(context, async (run, jobId, options) => {
          await run.client.jobs.add(jobSpec(jobId, options), { signal: run.signal });
          await run.output.done(`Job ${jobId} is made.`, { job: jobId, state: 'active' });
        }),
      ),
    [
      ['shoal job create nightly --pool render --retries 2', 'on the pool `render`'],
      ['shoal job create build --dependencies', 'whose tasks have an order'],
      ['shoal job create sweep --priority -10 --preemptible', 'that gives way to every other'],
    ],
  );
}

function addStateChanges(job: Command, context: CliContext): void {
  withExamples(
    job
      .command('terminate')
      .description('end a job: running tasks are killed, the others never start')
      .argument('<job>', 'id', nonEmpty)
      .addOption(new Option('--reason <text>', 'kept with the job').argParser(nonEmpty).conflicts('whenDone'))
      .option('--when-done', 'not now, but as soon as every task has ended')
      .action(action<[string, TerminateOptions]>(context, terminateJob)),
    [
      ['shoal job terminate nightly --reason "wrong input"', 'it cannot be started again'],
      ['shoal job terminate nightly --when-done', 'after the last `task add`'],
    ],
  );

  withExamples(
    job
      .command('disable')
      .description('hold a job back: no task of it starts')
      .argument('<job>', 'id', nonEmpty)
      .addOption(
        new Option('--running <how>', 'what becomes of the running tasks')
          .choices(DISABLE_TASKS)
          .default('requeue'),
      )
      .action(
        action<[string, { running: DisableTasksOption }]>(context, async (run, jobId, { running }) => {
          await run.client.jobs.disable(jobId, running, { signal: run.signal });
          await run.output.done(`Job ${jobId} is held back.`, { job: jobId, state: 'disabling' });
        }),
      ),
    [['shoal job disable nightly --running wait', 'let running tasks end']],
  );

  withExamples(
    job
      .command('enable')
      .description('let a job go on that was held back')
      .argument('<job>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, jobId) => {
          await run.client.jobs.enable(jobId, { signal: run.signal });
          await run.output.done(`Job ${jobId} goes on.`, { job: jobId, state: 'enabling' });
        }),
      ),
    [['shoal job enable nightly', 'after `job disable`']],
  );
}

interface TerminateOptions {
  readonly reason?: string;
  readonly whenDone?: true;
}

async function terminateJob(run: Run, jobId: string, { reason, whenDone }: TerminateOptions): Promise<void> {
  if (whenDone === true) {
    await run.client.jobs.patch(jobId, { onAllTasksComplete: 'terminatejob' }, { signal: run.signal });
    await run.output.done(`Job ${jobId} ends with its last task.`, {
      job: jobId,
      onAllTasksComplete: 'terminatejob',
    });
    return;
  }
  await run.client.jobs.terminate(jobId, reason, { signal: run.signal });
  await run.output.done(`Job ${jobId} is being ended.`, { job: jobId, state: 'terminating' });
}

function jobSpec(jobId: string, options: CreateOptions): JobSpec {
  const constraints = {
    ...(options.retries === undefined ? {} : { maxTaskRetryCount: options.retries }),
    ...(options.maxTime === undefined ? {} : { maxWallClockTime: options.maxTime }),
  };
  return {
    id: jobId,
    poolInfo: { poolId: options.pool },
    ...(options.displayName === undefined ? {} : { displayName: options.displayName }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.preemptible === undefined ? {} : { allowTaskPreemption: true }),
    ...(options.maxParallel === undefined ? {} : { maxParallelTasks: options.maxParallel }),
    ...(Object.keys(constraints).length === 0 ? {} : { constraints }),
    ...(options.env === undefined ? {} : { commonEnvironmentSettings: [...options.env] }),
    ...(options.dependencies === undefined ? {} : { usesTaskDependencies: true }),
    ...(options.prepare === undefined ? {} : { jobPreparationTask: { commandLine: options.prepare } }),
    ...(options.release === undefined ? {} : { jobReleaseTask: { commandLine: options.release } }),
    ...(options.metadata === undefined ? {} : { metadata: [...options.metadata] }),
  };
}

async function showJob(run: Run, jobId: string): Promise<void> {
  const [found, counts] = await Promise.all([
    run.client.jobs.get(jobId, { signal: run.signal }),
    run.client.jobs.taskCounts(jobId, { signal: run.signal }),
  ]);
  await run.output.record({ ...found, taskCounts: counts }, [
    ['id', found.id],
    ['display name', found.displayName],
    ['state', found.state],
    ['pool', found.executionInfo?.poolId ?? found.poolInfo?.poolId],
    ['priority', found.priority],
    ['preemptible', found.allowTaskPreemption === true ? 'yes' : 'no'],
    ['tasks waiting', counts.active],
    ['tasks running', counts.running],
    ['tasks succeeded', counts.succeeded],
    ['tasks failed', counts.failed],
    ['made', found.creationTime],
    ['ended', found.executionInfo?.endTime],
    ['ended by', found.executionInfo?.terminateReason],
    ['metadata', found.metadata?.map(({ name, value }) => `${name}=${value}`).join(', ')],
  ]);
}
