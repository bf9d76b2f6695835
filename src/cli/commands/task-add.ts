import path from 'node:path';
import { type Command, Option } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import { TASK_INSTANCES_MAX, TASK_SLOTS_PER_NODE_MAX } from '../../lib/limits.ts';
import type { ApplicationPackageReference } from '../../model/application-schema.ts';
import { joinCommandLine, shellCommandLine } from '../../model/command-line.ts';
import type { TaskSpec } from '../../model/task.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { withExamples } from '../examples.ts';
import { parseTasks, readTextSource } from '../task-source.ts';
import { collect, duration, id, integer, nonEmpty, packages, type Setting, settings } from '../values.ts';

const INT32_MAX = 2_147_483_647;

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
  readonly app?: readonly ApplicationPackageReference[];
  readonly instances?: number;
  readonly coordination?: string;
}

/** `shoal task add` */
export function addTaskAdd(task: Command, context: CliContext): void {
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
      .option('--app <app[:version]>', 'needs this application package (repeatable)', packages)
      .option('--instances <n>', 'runs on so many nodes at once', integer(1, TASK_INSTANCES_MAX))
      .option(
        '--coordination <command>',
        'runs on each of them first (default: a launcher, in place of ssh: see the guide)',
        nonEmpty,
      )
      .usage('[options] <job> [-- COMMAND [ARGUMENT...]]')
      .action(action<[string, string[], AddOptions]>(context, addTasks)),
    [
      ['shoal task add nightly --id report -- python3 report.py --all', 'one task'],
      ["shoal task add nightly --shell -- 'sort in.txt | uniq -c > out.txt'", 'through a shell'],
      [
        "shoal task add flow --instances 4 --shell -- 'mpirun --mca plm_rsh_agent $SHOAL_LAUNCHER --host $AZ_BATCH_HOST_LIST /opt/flow'",
        'MPI on four nodes',
      ],
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
  app: '--app',
  instances: '--instances',
  coordination: '--coordination',
};

/** Leaves on each node what lets the others start processes there. */
const LAUNCHER_COORDINATION = shellCommandLine('"$SHOAL_LAUNCHER" serve');

function instancesOf({
  instances,
  coordination,
}: AddOptions): Pick<TaskSpec, 'multiInstanceSettings'> | Record<string, never> {
  if (instances === undefined) {
    if (coordination === undefined) return {};
    throw new ShoalError('InvalidArgument', '--coordination needs --instances.', {
      Argument: '--coordination',
    });
  }
  const coordinationCommandLine = coordination ?? LAUNCHER_COORDINATION;
  return { multiInstanceSettings: { numberOfInstances: instances, coordinationCommandLine } };
}

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
    ...(options.app === undefined ? {} : { applicationPackageReferences: [...options.app] }),
    ...(options.label === undefined ? {} : { requiredLabels: [...options.label] }),
    ...instancesOf(options),
  };
}
