import { type Command, Option } from 'commander';
import { quoteFilter } from '../../client/paging.ts';
import type { SubtaskResource, TaskResource } from '../../client/shapes.ts';
import type { Explanation } from '../../model/queries.ts';
import { TASK_STATES, type TaskState } from '../../model/states.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { between, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { type Column, renderTable } from '../table.ts';
import { printable } from '../terminal-text.ts';
import { nonEmpty } from '../values.ts';
import { addTaskAdd } from './task-add.ts';
import { addTaskFiles } from './task-files.ts';

const COLUMNS: readonly Column<TaskResource>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: taskState, tone: (row) => toneOf(taskState(row)) },
  { title: 'EXIT', value: (row) => row.executionInfo?.exitCode },
  { title: 'NODE', value: (row) => row.nodeInfo?.nodeId },
  { title: 'TIME', value: runTime },
  { title: 'RETRIES', value: (row) => row.executionInfo?.retryCount },
  { title: 'COMMAND', value: (row) => row.commandLine, shrinks: true },
];

export function addTaskCommands(program: Command, context: CliContext): void {
  const task = program.command('task').description('tasks: the commands of a job');
  addTaskAdd(task, context);

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

  addTaskFiles(task, context);

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
  const instances = found.multiInstanceSettings?.numberOfInstances;
  const subtasks =
    instances === undefined ? [] : await run.client.tasks.subtasks(job, taskId, { signal: run.signal });
  const info = found.executionInfo;
  const failure = info?.failureInfo;
  await run.output.record(instances === undefined ? found : { ...found, subtasks }, [
    ['id', found.id],
    ['job', job],
    ['state', taskState(found)],
    ['command', found.commandLine],
    ['node', found.nodeInfo?.nodeId],
    ['slots', found.requiredSlots],
    ['instances', instances],
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
    ...subtasks.map((one) => [`subtask ${one.id}`, subtaskText(one)] as const),
  ]);
}

function subtaskText({ state, result, exitCode, nodeInfo, failureInfo }: SubtaskResource): string {
  const end = exitCode === undefined ? (failureInfo?.code ?? '') : `exit code ${exitCode}`;
  const words = [state === 'completed' ? (result ?? state) : state, `on ${nodeInfo?.nodeId}`, end];
  return words.filter((word) => word !== '').join(', ');
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
