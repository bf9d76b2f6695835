import path from 'node:path';
import { type Command, Option } from 'commander';
import { quoteFilter } from '../../client/paging.ts';
import type { FileResource, TaskResource } from '../../client/shapes.ts';
import { ShoalError } from '../../lib/errors.ts';
import { TASK_SLOTS_PER_NODE_MAX } from '../../lib/limits.ts';
import { joinCommandLine, shellCommandLine } from '../../model/command-line.ts';
import type { Explanation } from '../../model/queries.ts';
import { TASK_STATES, type TaskState } from '../../model/states.ts';
import type { TaskSpec } from '../../model/task.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, between, bytes, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { saveBody, showBody } from '../remote-output.ts';
import { type Column, renderTable } from '../table.ts';
import { parseTasks, readTextSource } from '../task-source.ts';
import { printable } from '../terminal-text.ts';
import { collect, duration, id, integer, nonEmpty, type Setting, settings } from '../values.ts';

const INT32_MAX = 2_147_483_647;

const COLUMNS: readonly Column<TaskResource>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: taskState, tone: (row) => toneOf(taskState(row)) },
  { title: 'EXIT', value: (row) => row.executionInfo?.exitCode },
  { title: 'NODE', value: (row) => row.nodeInfo?.nodeId },
  { title: 'TIME', value: runTime },
  { title: 'RETRIES', value: (row) => row.executionInfo?.retryCount },
  { title: 'COMMAND', value: (row) => row.commandLine, shrinks: true },
];

const FILE_COLUMNS: readonly Column<FileResource>[] = [
  { title: 'NAME', value: (row) => (row.isDirectory ? `${row.name}/` : row.name) },
  { title: 'SIZE', value: (row) => bytes(fileSize(row)) },
  { title: 'AGE', value: (row) => ago(row.properties?.lastModified, Date.now()) },
];

interface AddOptions {
  readonly id?: string;
  readonly json?: string;
  readonly shell?: true;
  readonly slots?: number;
  readonly retries?: number;
  readonly timeout?: string;
  readonly env?: readonly Setting[];
  readonly dependsOn?: readonly string[];
  readonly label?: readonly string[];
}

export function addTaskCommands(program: Command, context: CliContext): void {
  const task = program.command('task').description('tasks: the commands of a job');
  addAdd(task, context);

  withExamples(
    task
      .command('list')
      .description('the tasks of a job')
      .argument('<job>', 'id', nonEmpty)
      .addOption(new Option('--state <state>', 'only those in this state').choices(TASK_STATES))
      .option('--failed', 'only those that failed')
      .action(action<[string, ListFlags]>(context, listTasks)),
    [
      ['shoal task list nightly', 'all tasks'],
      ['shoal task list nightly --failed', 'what went wrong'],
    ],
  );

  withExamples(
    task
      .command('show')
      .description('one task in full')
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .action(action<[string, string]>(context, showTask)),
    [['shoal task show nightly 0007', 'its command, state and failure']],
  );

  addFiles(task, context);

  withExamples(
    task
      .command('explain')
      .description('why a task does not run: its own reasons, and a verdict for each node')
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .action(action<[string, string]>(context, explainTask)),
    [['shoal task explain nightly 0007', 'what to change']],
  );

  addStateChanges(task, context);
}

function addAdd(task: Command, context: CliContext): void {
  withExamples(
    task
      .command('add')
      .description('add one task with a command, or many from JSON')
      .argument('<job>', 'id of the job', nonEmpty)
      .argument('[command...]', 'the program and its arguments, behind --')
      .option('--id <task>', 'its id (default: drawn at random)', id)
      .addOption(
        new Option('--json <file>', 'tasks as JSON or a line each; - for standard input').argParser(nonEmpty),
      )
      .option('--shell', 'hand the command to /bin/sh')
      .option('--slots <n>', 'slots of its node that it takes', integer(1, TASK_SLOTS_PER_NODE_MAX))
      .option(
        '--retries <n>',
        'runs again if it exits with other than 0; -1 for ever',
        integer(-1, INT32_MAX),
      )
      .option('--timeout <time>', 'kill it after this long', duration)
      .option('--env <name=value>', 'in its environment (repeatable)', settings)
      .option('--depends-on <task>', 'starts only after this task succeeded (repeatable)', collect)
      .option('--label <label>', 'only on machines with this label (repeatable)', collect)
      .usage('[options] <job> [-- COMMAND [ARGUMENT...]]')
      .action(action<[string, string[], AddOptions]>(context, addTasks)),
    [
      ['shoal task add nightly --id report -- python3 report.py --all', 'one task'],
      ["shoal task add nightly --shell -- 'sort in.txt | uniq -c > out.txt'", 'through a shell'],
      ['shoal task add nightly --json tasks.jsonl', 'as many as the file has lines'],
    ],
  );
}

async function addTasks(run: Run, job: string, words: string[], options: AddOptions): Promise<void> {
  const specs =
    options.json === undefined ? [taskSpec(words, options)] : await tasksFromJson(run, words, options);
  const added = await run.client.tasks.addAll(job, specs, { signal: run.signal });
  const what = specs.length === 1 ? `Task ${specs[0]?.id ?? ''}` : `${added} tasks`;
  await run.output.done(`${what} added to job ${job}.`, { job, tasks: specs.map((spec) => spec.id) });
}

async function tasksFromJson(
  run: Run,
  words: readonly string[],
  options: AddOptions,
): Promise<readonly TaskSpec[]> {
  const { json, ...others } = options;
  const first = words.length > 0 ? 'a command' : Object.keys(others).find((name) => name in FLAG_OF_OPTION);
  if (first !== undefined) {
    const what = FLAG_OF_OPTION[first] ?? first;
    throw new ShoalError('InvalidArgument', `With --json the file says everything: leave ${what} out.`, {
      Argument: '--json',
    });
  }
  const file = json ?? '-';
  const source = file === '-' ? file : path.resolve(run.world.directory, file);
  return parseTasks(await readTextSource(source, run.world.stdin), file);
}

const FLAG_OF_OPTION: Readonly<Record<string, string>> = {
  id: '--id',
  shell: '--shell',
  slots: '--slots',
  retries: '--retries',
  timeout: '--timeout',
  env: '--env',
  dependsOn: '--depends-on',
  label: '--label',
};

function taskSpec(words: readonly string[], options: AddOptions): TaskSpec {
  if (words.length === 0) {
    throw new ShoalError('InvalidArgument', 'Give the command behind --, or tasks with --json.', {
      Argument: 'command',
    });
  }
  const constraints = {
    ...(options.retries === undefined ? {} : { maxTaskRetryCount: options.retries }),
    ...(options.timeout === undefined ? {} : { maxWallClockTime: options.timeout }),
  };
  return {
    id: options.id ?? `task-${crypto.randomUUID().slice(0, 8)}`,
    commandLine: options.shell === true ? shellCommandLine(words.join(' ')) : joinCommandLine(words),
    ...(options.slots === undefined ? {} : { requiredSlots: options.slots }),
    ...(Object.keys(constraints).length === 0 ? {} : { constraints }),
    ...(options.env === undefined ? {} : { environmentSettings: [...options.env] }),
    ...(options.dependsOn === undefined ? {} : { dependsOn: { taskIds: [...options.dependsOn] } }),
    ...(options.label === undefined ? {} : { requiredLabels: [...options.label] }),
  };
}

interface ListFlags {
  readonly state?: TaskState;
  readonly failed?: true;
}

async function listTasks(run: Run, job: string, { state, failed }: ListFlags): Promise<void> {
  const wanted = [
    ...(state === undefined ? [] : [`state eq ${quoteFilter(state)}`]),
    ...(failed === undefined ? [] : ["executionInfo/result eq 'failure'"]),
  ];
  const filter = wanted.length === 0 ? {} : { filter: wanted.join(' and ') };
  await run.output.rows(run.client.tasks.list(job, { ...filter, signal: run.signal }), COLUMNS);
}

async function showTask(run: Run, job: string, taskId: string): Promise<void> {
  const found = await run.client.tasks.get(job, taskId, { signal: run.signal });
  const info = found.executionInfo;
  const failure = info?.failureInfo;
  await run.output.record(found, [
    ['id', found.id],
    ['job', job],
    ['state', taskState(found)],
    ['command', found.commandLine],
    ['node', found.nodeInfo?.nodeId],
    ['slots', found.requiredSlots],
    ['made', found.creationTime],
    ['started', info?.startTime],
    ['ended', info?.endTime],
    ['time', runTime(found)],
    ['exit code', info?.exitCode],
    ['retries', info?.retryCount],
    ['requeued', info?.requeueCount],
    [
      'failure',
      failure === undefined ? undefined : `${failure.code ?? failure.category}: ${failure.message ?? ''}`,
    ],
    ['details', failure?.details?.map(({ name, value }) => `${name}=${value}`).join(', ')],
  ]);
}

interface LogFlags {
  readonly follow?: true;
  readonly stderr?: true;
  readonly raw?: true;
}

interface FileFlags {
  readonly recursive?: true;
  readonly to?: string;
}

function addFiles(task: Command, context: CliContext): void {
  withExamples(
    task
      .command('logs')
      .description("a task's standard output, from whichever machine has it")
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .option('-f, --follow', 'go on until the task ends')
      .option('--stderr', 'standard error instead')
      .option('--raw', 'leave terminal control characters as they are')
      .action(
        action<[string, string, LogFlags]>(context, async (run, job, taskId, { follow, stderr, raw }) => {
          const file = stderr === true ? 'stderr.txt' : 'stdout.txt';
          const answer =
            follow === true
              ? await run.client.tasks.followFile(job, taskId, file, { signal: run.signal })
              : await run.client.tasks.openFile(job, taskId, file, { signal: run.signal });
          await showBody(run, answer.body, raw === true);
        }),
      ),
    [
      ['shoal task logs nightly 0007', 'what it has written so far'],
      ['shoal task logs -f --stderr nightly 0007', 'as it is written'],
    ],
  );

  withExamples(
    task
      .command('files')
      .description("the files in a task's directory, or one of them")
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .argument('[path]', 'write this file to standard output instead', nonEmpty)
      .option('-r, --recursive', 'also those in its directories')
      .option('--to <file>', 'store the file here instead', nonEmpty)
      .action(action<[string, string, string | undefined, FileFlags]>(context, taskFiles)),
    [
      ['shoal task files -r nightly 0007', 'all of its files'],
      ['shoal task files nightly 0007 wd/out.png --to out.png', 'one of them'],
    ],
  );
}

async function taskFiles(
  run: Run,
  job: string,
  taskId: string,
  file: string | undefined,
  { recursive, to }: FileFlags,
): Promise<void> {
  if (file === undefined) {
    if (to !== undefined)
      throw new ShoalError('InvalidArgument', '--to needs the path of a file.', { Argument: '--to' });
    const files = run.client.tasks.files(job, taskId, { recursive: recursive === true, signal: run.signal });
    await run.output.rows(files, FILE_COLUMNS);
    return;
  }
  const answer = await run.client.tasks.openFile(job, taskId, file, { signal: run.signal });
  if (to === undefined) return showBody(run, answer.body, false);
  const target = path.resolve(run.world.directory, to);
  const size = await saveBody(answer, target);
  await run.output.done(`${file} is stored in ${to} (${bytes(size)}).`, {
    path: file,
    stored: target,
    sizeBytes: size,
  });
}

async function explainTask(run: Run, job: string, taskId: string): Promise<void> {
  const explanation = await run.client.tasks.explain(job, taskId, { signal: run.signal });
  if (run.output.format !== 'table') return run.output.record(explanation, []);
  await run.output.lines(explanationLines(run, taskId, explanation));
}

function explanationLines(
  run: Run,
  taskId: string,
  { state, reasons, nodes }: Explanation,
): readonly string[] {
  const remedies = new Set(
    [...reasons, ...nodes].flatMap(({ remedy }) => (remedy === undefined ? [] : [remedy])),
  );
  return [
    `Task ${printable(taskId)} is ${printable(state)}.`,
    ...reasons.map(({ rule, detail }) => `  ${printable(rule)}: ${printable(detail)}`),
    ...(nodes.length === 0 ? ['No node of its pool exists now.'] : ['']),
    ...(nodes.length === 0
      ? []
      : renderTable(
          [
            { title: 'NODE', value: (row) => row.node },
            { title: 'VERDICT', value: (row) => row.verdict, tone: (row) => toneOf(row.verdict) },
            { title: 'RULE', value: (row) => row.rule },
            { title: 'DETAIL', value: (row) => row.detail, shrinks: true },
          ],
          nodes,
          run.output.style,
        )),
    ...(remedies.size === 0
      ? []
      : ['', 'What to do:', ...[...remedies].map((remedy) => `  ${printable(remedy)}`)]),
  ];
}

function addStateChanges(task: Command, context: CliContext): void {
  withExamples(
    task
      .command('terminate')
      .description('kill a task; it counts as failed')
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .action(
        action<[string, string]>(context, async (run, job, taskId) => {
          await run.client.tasks.terminate(job, taskId, { signal: run.signal });
          await run.output.done(`Task ${taskId} is being ended.`, { job, task: taskId, state: 'completed' });
        }),
      ),
    [['shoal task terminate nightly 0007', 'the job goes on']],
  );

  withExamples(
    task
      .command('delete')
      .description('delete a task and its files')
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .action(
        action<[string, string]>(context, async (run, job, taskId) => {
          await run.client.tasks.delete(job, taskId, { signal: run.signal });
          await run.output.done(`Task ${taskId} is deleted.`, { job, task: taskId, deleted: true });
        }),
      ),
    [['shoal task delete nightly 0007', 'whatever its state']],
  );

  withExamples(
    task
      .command('reactivate')
      .description('run a failed task again, with its retries counted anew')
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .action(
        action<[string, string]>(context, async (run, job, taskId) => {
          await run.client.tasks.reactivate(job, taskId, { signal: run.signal });
          await run.output.done(`Task ${taskId} runs again.`, { job, task: taskId, state: 'active' });
        }),
      ),
    [['shoal task reactivate nightly 0007', 'after its cause is mended']],
  );
}

/** `completed` says nothing that one wants to know: then it is how the task ended. */
function taskState(row: TaskResource): string | undefined {
  return row.state === 'completed' ? (row.executionInfo?.result ?? row.state) : row.state;
}

function runTime(row: TaskResource): string | undefined {
  return between(row.executionInfo?.startTime, row.executionInfo?.endTime, Date.now());
}

function fileSize(row: FileResource): number | undefined {
  const length = row.properties?.contentLength;
  return length === undefined ? undefined : Number(length);
}
