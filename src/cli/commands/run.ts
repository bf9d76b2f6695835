import path from 'node:path';
import { type Command, Option } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import { TASK_SLOTS_PER_NODE_MAX } from '../../lib/limits.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { withExamples } from '../examples.ts';
import { EXIT } from '../exit-codes.ts';
import { findInputs } from '../run/inputs.ts';
import { Combinations, itemsOfText, type Operands, splitOperands } from '../run/items.ts';
import { generatedJobId, RunPlan, type RunWish } from '../run/plan.ts';
import { RunSession } from '../run/session.ts';
import { type Choice, checkPlaceholders, usesItems } from '../run/template.ts';
import { readTextSource } from '../task-source.ts';
import { collect, duration, id, integer, nonEmpty, type Setting, settings } from '../values.ts';

const INT32_MAX = 2_147_483_647;

interface RunFlags {
  readonly pool: string;
  readonly name?: string;
  readonly argFile?: readonly string[];
  readonly null?: true;
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly out?: string;
  readonly flat?: true;
  readonly jobsParallel?: number;
  readonly slots?: number;
  readonly priority?: number;
  readonly preemptible?: true;
  readonly retries?: number;
  readonly timeout?: string;
  readonly env?: readonly Setting[];
  readonly keepOrder?: boolean;
  readonly quiet?: true;
  readonly detach?: true;
  readonly shell?: true;
  readonly cleanup?: true;
}

const REPLACEMENTS = `
Replacement strings, as in GNU parallel:
  {} item   {.} without extension   {/} basename   {//} directory   {/.} basename without extension
  {#} number of the task   {1} {2.} {3/}... the same of one list
Several ::: lists give every combination. Without ::: or -a, items are the lines of standard input, if something
is connected to it. A command without {} has the item at its end. Without items it is one task.`;

export function addRunCommand(program: Command, context: CliContext): void {
  const command = program
    .command('run')
    .description('run a command for each item on the machines of a pool, and print what they print')
    .usage('[options] [--] COMMAND [{}]... [::: ITEM...]...')
    .argument('<command...>', 'the program and its arguments, then ::: and the items')
    .option('--pool <pool>', 'where to run', id, 'default')
    .option('--name <job>', 'id of the job (default: run-<date>-<random>)', id);
  addItemFlags(command);
  addTaskFlags(command);
  addFileFlags(command);
  addOutputFlags(command);
  command
    .passThroughOptions()
    .addHelpText('after', REPLACEMENTS)
    .action(action<[string[], RunFlags]>(context, runCommand));
  withExamples(command, [
    ['shoal run -- gzip -t {} ::: *.gz', 'one task for each file name'],
    [
      'shoal run --input {} --output {.}.png --out thumbs --flat -- convert {} {.}.png ::: *.svg',
      'files there and back',
    ],
    ["seq 100 | shoal run -j 8 --shell -- 'sleep 1; echo {}'", 'items from standard input, 8 at a time'],
    [
      'shoal run --retries 2 --timeout 10m -- ./train --seed {1} --rate {2} ::: 1 2 3 ::: 0.1 0.01',
      'six combinations',
    ],
    ['shoal run --detach --name nightly -- make -C /srv/site', 'one task; prints the id of its job'],
  ]);
}

function addItemFlags(command: Command): void {
  command
    .option('-a, --arg-file <file>', 'a list with an item a line; - for standard input (repeatable)', collect)
    .option('-0, --null', 'items of files and standard input end with NUL instead of a line end')
    .option('--shell', 'hand each command to /bin/sh; items are quoted for it');
}

function addTaskFlags(command: Command): void {
  command
    .option('-j, --jobs-parallel <n>', 'tasks at the same time, in the whole pool', integer(1, INT32_MAX))
    .option('--slots <n>', 'slots of its node that a task takes', integer(1, TASK_SLOTS_PER_NODE_MAX))
    .option(
      '--retries <n>',
      'runs again of a task that exits with other than 0; -1 for ever',
      integer(-1, INT32_MAX),
    )
    .option('--timeout <time>', 'kill a task after this long', duration)
    .option('--priority <n>', 'from -1000 to 1000; higher goes first', integer(-1000, 1000))
    .option('--preemptible', 'running tasks may be put back for a job of higher priority')
    .option('--env <name=value>', 'in the environment of every task (repeatable)', settings);
}

function addFileFlags(command: Command): void {
  command
    .option(
      '--input <file>',
      'a file or directory that tasks find under this path; may hold {} (repeatable)',
      collect,
    )
    .option(
      '--output <glob>',
      'files that a task leaves and that are kept; may hold {} (repeatable)',
      collect,
    )
    .addOption(new Option('--out <dir>', 'fetch the outputs into DIR/<task>/').argParser(nonEmpty))
    .option('--flat', 'fetch the outputs into DIR itself')
    .option('--cleanup', "delete the run's files in the mesh at its end");
}

function addOutputFlags(command: Command): void {
  command
    .option('-k, --keep-order', 'print in the order of the items (default)')
    .option('-u, --no-keep-order', 'print tasks as they end')
    .option('-q, --quiet', 'print nothing of what the tasks print')
    .option('--detach', 'print the id of the job and do not wait');
}

async function runCommand(run: Run, words: string[], flags: RunFlags): Promise<number> {
  checkFlags(flags);
  const operands = splitOperands(words);
  if (operands.command.length === 0 || operands.command[0] === '') {
    throw invalid('The command is missing before the items.', 'command');
  }
  const templates = [...operands.command, ...(flags.input ?? []), ...(flags.output ?? [])];
  const lists = await readLists(run, operands, flags, usesItems(templates));
  const combinations = new Combinations(lists);
  checkPlaceholders(templates, lists.length);
  if (lists.length === 0 && usesItems(templates)) {
    throw invalid('The command asks for an item, but there are no items: give ::: or -a.', 'command');
  }
  if (combinations.count === 0) {
    await run.note('There are no items: nothing to run.');
    return EXIT.ok;
  }
  const plan = new RunPlan(wishOf(operands, combinations, flags));
  const inputs = await findInputs(flags.input ?? [], run.world.directory, choicesOf(plan));
  for (const skipped of inputs.skipped) await run.note(`${skipped} is no regular file and is left out.`);
  const session = new RunSession(run, plan, inputs, {
    keepOrder: flags.keepOrder !== false,
    quiet: flags.quiet === true,
    detach: flags.detach === true,
    out: flags.out === undefined ? undefined : path.resolve(run.world.directory, flags.out),
    flat: flags.flat === true,
    cleanup: flags.cleanup === true,
  });
  return session.execute();
}

function checkFlags(flags: RunFlags): void {
  if (flags.out !== undefined && flags.output === undefined) throw invalid('--out needs --output.', '--out');
  if (flags.flat === true && flags.out === undefined) throw invalid('--flat needs --out.', '--flat');
  if (flags.detach !== true) return;
  if (flags.out !== undefined) throw invalid('--detach does not wait for outputs: leave --out out.', '--out');
  if (flags.cleanup === true)
    throw invalid('--detach does not wait for the end: leave --cleanup out.', '--cleanup');
}

/**
 * The lists of -a, then those of the operands; standard input where there is neither. Many programs start others with
 * an empty pipe as their standard input: that is no list, unless the command asks for items.
 */
async function readLists(
  run: Run,
  { sources }: Operands,
  flags: RunFlags,
  asksForItems: boolean,
): Promise<readonly (readonly string[])[]> {
  const separator = flags.null === true ? '\0' : '\n';
  const read = async (file: string): Promise<readonly string[]> => {
    const source = file === '-' ? file : path.resolve(run.world.directory, file);
    return itemsOfText(await readTextSource(source, run.world.stdin), separator);
  };
  const lists: (readonly string[])[] = [];
  for (const file of flags.argFile ?? []) lists.push(await read(file));
  for (const source of sources) lists.push(source.kind === 'list' ? source.items : await read(source.path));
  if (lists.length > 0 || run.world.stdinKind !== 'data') return lists;
  const items = await read('-');
  return items.length === 0 && !asksForItems ? [] : [items];
}

function wishOf({ command }: Operands, combinations: Combinations, flags: RunFlags): RunWish {
  return {
    job: flags.name ?? generatedJobId(new Date(), crypto.randomUUID().slice(0, 8)),
    pool: flags.pool,
    command,
    combinations,
    shell: flags.shell === true,
    env: flags.env ?? [],
    outputs: flags.output ?? [],
    ...(flags.slots === undefined ? {} : { slots: flags.slots }),
    ...(flags.retries === undefined ? {} : { retries: flags.retries }),
    ...(flags.timeout === undefined ? {} : { timeout: flags.timeout }),
    ...(flags.priority === undefined ? {} : { priority: flags.priority }),
    ...(flags.preemptible === undefined ? {} : { preemptible: true }),
    ...(flags.jobsParallel === undefined ? {} : { parallel: flags.jobsParallel }),
  };
}

function* choicesOf(plan: RunPlan): Generator<Choice> {
  for (let index = 0; index < plan.total; index++) yield plan.choice(index);
}

function invalid(message: string, argument: string): ShoalError {
  return new ShoalError('InvalidArgument', message, { Argument: argument });
}
