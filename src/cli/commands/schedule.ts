import { type Command, Option } from 'commander';
import { quoteFilter } from '../../client/paging.ts';
import type { JobScheduleResource } from '../../client/shapes.ts';
import { ShoalError } from '../../lib/errors.ts';
import { parseTimestamp } from '../../lib/timestamps.ts';
import { joinCommandLine } from '../../model/command-line.ts';
import type { JobScheduleSpec, JobSpecification } from '../../model/schedule.ts';
import { JOB_SCHEDULE_STATES, type JobScheduleState } from '../../model/states.ts';
import { action, type CliContext } from '../action.ts';
import { ago, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import type { Column } from '../table.ts';
import { duration, id, integer, nonEmpty } from '../values.ts';

const COLUMNS: readonly Column<JobScheduleResource>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: (row) => row.state, tone: (row) => toneOf(row.state) },
  { title: 'EVERY', value: (row) => row.schedule?.recurrenceInterval ?? 'once' },
  { title: 'NEXT', value: (row) => row.executionInfo?.nextRunTime?.replace(/\.\d+Z$/, 'Z') },
  { title: 'LAST JOB', value: (row) => row.executionInfo?.recentJob?.id },
  { title: 'AGE', value: (row) => ago(row.creationTime, Date.now()) },
];

interface CreateOptions {
  readonly pool: string;
  readonly every?: string;
  readonly from?: string;
  readonly until?: string;
  readonly window?: string;
  readonly priority?: number;
  readonly preemptible?: true;
  readonly maxTime?: string;
}

export function addScheduleCommands(program: Command, context: CliContext): void {
  const schedule = program
    .command('schedule')
    .description('job schedules: jobs that come again by themselves');
  addCreate(schedule, context);

  withExamples(
    schedule
      .command('list')
      .description('every schedule, or those in one state')
      .addOption(new Option('--state <state>', 'only those in this state').choices(JOB_SCHEDULE_STATES))
      .action(
        action<[{ state?: JobScheduleState }]>(context, async (run, { state }) => {
          const filter = state === undefined ? {} : { filter: `state eq ${quoteFilter(state)}` };
          await run.output.rows(run.client.schedules.list({ ...filter, signal: run.signal }), COLUMNS);
        }),
      ),
    [['shoal schedule list', 'with the time of the next job']],
  );

  withExamples(
    schedule
      .command('jobs')
      .description('the jobs that a schedule has made')
      .argument('<schedule>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, scheduleId) => {
          await run.output.rows(run.client.schedules.jobs(scheduleId, { signal: run.signal }), [
            { title: 'ID', value: (row) => row.id },
            { title: 'STATE', value: (row) => row.state, tone: (row) => toneOf(row.state) },
            { title: 'AGE', value: (row) => ago(row.creationTime, Date.now()) },
            { title: 'ENDED BY', value: (row) => row.executionInfo?.terminateReason, shrinks: true },
          ]);
        }),
      ),
    [['shoal schedule jobs nightly', 'and how each of them ended']],
  );

  for (const [what, description, example] of [
    ['enable', 'make jobs again', 'from the next moment of its timetable on'],
    ['disable', 'make no more jobs for now', 'the job that runs goes on'],
    ['terminate', 'make no more jobs, and end the one that runs', 'its jobs stay to be looked at'],
  ] as const)
    withExamples(
      schedule
        .command(what)
        .description(description)
        .argument('<schedule>', 'id', nonEmpty)
        .action(
          action<[string]>(context, async (run, scheduleId) => {
            await run.client.schedules.change(scheduleId, what, { signal: run.signal });
            const state = { enable: 'active', disable: 'disabled', terminate: 'terminating' }[what];
            await run.output.done(`Schedule ${scheduleId} is ${state}.`, { schedule: scheduleId, state });
          }),
        ),
      [[`shoal schedule ${what} nightly`, example]],
    );

  withExamples(
    schedule
      .command('delete')
      .description('delete a schedule with all of its jobs')
      .argument('<schedule>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, scheduleId) => {
          await run.client.schedules.delete(scheduleId, { signal: run.signal });
          const state = 'deleting';
          await run.output.done(`Schedule ${scheduleId} is being deleted.`, { schedule: scheduleId, state });
        }),
      ),
    [['shoal schedule delete nightly', 'its tasks and their files go too']],
  );
}

function addCreate(schedule: Command, context: CliContext): void {
  withExamples(
    schedule
      .command('create')
      .description('run a command again and again, each time as a job of its own')
      .argument('<schedule>', 'its id', id)
      .argument('<command...>', 'what each job runs')
      .option('--pool <pool>', 'where it runs', id, 'default')
      .option('--every <time>', 'from one job to the next; one job without it', duration)
      .option('--from <moment>', 'not before, as 2026-01-31T22:00:00Z; at once without it', nonEmpty)
      .option('--until <moment>', 'not at this moment or later', nonEmpty)
      .option('--window <time>', 'give a job up that could not begin for so long', duration)
      .option('--priority <n>', 'from -1000 to 1000; higher goes first', integer(-1000, 1000))
      .option('--preemptible', 'running tasks may be put back for a job of higher priority')
      .option('--max-time <time>', 'end each job after this long', duration)
      .action(
        action<[string, readonly string[], CreateOptions]>(
          context,
          async (run, scheduleId, words, options) => {
            const spec = scheduleSpec(scheduleId, words, options);
            await run.client.schedules.add(spec, { signal: run.signal });
            await run.output.done(`Schedule ${scheduleId} is made.`, {
              schedule: scheduleId,
              state: 'active',
            });
          },
        ),
      ),
    [
      [
        'shoal schedule create nightly --every 1d --from 2026-12-01T22:00:00Z -- ./backup.sh',
        'each night at ten',
      ],
      [
        'shoal schedule create probe --every 5m --window 1m -- curl -fsS http://intranet/',
        'late ones are left out',
      ],
    ],
  );
}

/** The command is the job's manager: the job ends with it. */
function scheduleSpec(scheduleId: string, words: readonly string[], options: CreateOptions): JobScheduleSpec {
  const { pool, every, from, until, window, priority, preemptible, maxTime } = options;
  for (const [flag, moment] of [
    ['--from', from],
    ['--until', until],
  ] as const)
    if (moment !== undefined && parseTimestamp(moment) === undefined)
      throw new ShoalError(
        'InvalidArgument',
        `${flag} takes a moment such as 2026-01-31T22:00:00Z, not ${moment}.`,
        {
          Argument: flag,
          Value: moment,
        },
      );
  const jobSpecification: JobSpecification = {
    poolInfo: { poolId: pool },
    jobManagerTask: { id: 'main', commandLine: joinCommandLine(words) },
    ...(priority === undefined ? {} : { priority }),
    ...(preemptible === undefined ? {} : { allowTaskPreemption: true }),
    ...(maxTime === undefined ? {} : { constraints: { maxWallClockTime: maxTime } }),
  };
  return {
    id: scheduleId,
    schedule: {
      ...(every === undefined ? {} : { recurrenceInterval: every }),
      ...(from === undefined ? {} : { doNotRunUntil: from }),
      ...(until === undefined ? {} : { doNotRunAfter: until }),
      ...(window === undefined ? {} : { startWindow: window }),
    },
    jobSpecification,
  };
}
