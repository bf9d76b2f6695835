/** The command tree: every command with its flags, and nothing done yet. */
import { Command, Option } from 'commander';
import { VERSION } from '../lib/version.ts';
import type { CliContext } from './action.ts';
import { addAccountCommand } from './commands/account.ts';
import { addAgentCommands } from './commands/agent.ts';
import { addApiCommands } from './commands/api.ts';
import { addAppCommands } from './commands/app.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addContainerCommands } from './commands/container.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEventsCommand } from './commands/events.ts';
import { addFileCommands } from './commands/file.ts';
import { addJobCommands } from './commands/job.ts';
import { addMachineCommands } from './commands/machine.ts';
import { addNodeCommands } from './commands/node.ts';
import { addPoolCommands } from './commands/pool.ts';
import { addRecoverCommand } from './commands/recover.ts';
import { addReplayCommand } from './commands/replay.ts';
import { addRunCommand } from './commands/run.ts';
import { addScheduleCommands } from './commands/schedule.ts';
import { addStatusCommand } from './commands/status.ts';
import { addTaskCommands } from './commands/task.ts';
import { addTokenCommands } from './commands/token.ts';
import { addVersionCommand } from './commands/version.ts';
import { OUTPUT_FORMATS } from './output.ts';

const EPILOGUE = `
Which agent: --endpoint or SHOAL_ENDPOINT (with SHOAL_ACCOUNT and SHOAL_KEY), else the local agent's socket in
--data or SHOAL_DATA. Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 refused, 6 no agent,
7 no answer in time, 8 a replay found a broken promise, 130 interrupted; \`run\` and \`job wait\` end with the worst exit code of the tasks.`;

export function buildProgram(context: CliContext): Command {
  const program = new Command('shoal')
    .description('Batch computing over a mesh of machines: the job model of Azure Batch, without a server.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    // Flags after a command's name belong to the command: `shoal run --output '*.png'` is not the output format.
    .enablePositionalOptions()
    .addHelpText('after', EPILOGUE);
  addGlobalOptions(program);
  program.commandsGroup('Work:');
  addRunCommand(program, context);
  addJobCommands(program, context);
  addTaskCommands(program, context);
  addFileCommands(program, context);
  addContainerCommands(program, context);
  addAppCommands(program, context);
  program.commandsGroup('Mesh:');
  addAgentCommands(program, context);
  addScheduleCommands(program, context);
  addTokenCommands(program, context);
  addApiCommands(program, context);
  addMachineCommands(program, context);
  addPoolCommands(program, context);
  addNodeCommands(program, context);
  program.commandsGroup('Looking and mending:');
  addStatusCommand(program, context);
  addAccountCommand(program, context);
  addEventsCommand(program, context);
  addDoctorCommand(program, context);
  addRecoverCommand(program, context);
  addReplayCommand(program, context);
  program.commandsGroup('Other:').helpCommand('help [command]', 'show help for a command');
  addCompletionCommand(program, context);
  addVersionCommand(program, context);
  completeLeaves(program);
  return program;
}

/** The flags that every command takes, also behind its name. */
function addGlobalOptions(command: Command): void {
  const taken = new Set(command.options.map((option) => option.long));
  const group = command.parent === null ? 'Options:' : 'Options of every command:';
  const options = [
    new Option('--data <dir>', 'data directory of the local agent, whose socket is used'),
    new Option('--endpoint <url>', 'HTTP address of an agent, instead of the local one'),
    new Option('--output <format>', 'how to print results').choices(OUTPUT_FORMATS),
  ];
  for (const option of options) {
    if (!taken.has(option.long)) command.addOption(option.helpGroup(group));
  }
}

function completeLeaves(command: Command): void {
  for (const child of command.commands) {
    child.helpOption('-h, --help', 'show help');
    if (child.commands.length === 0) addGlobalOptions(child);
    else child.helpCommand(false);
    completeLeaves(child);
  }
}

/** Every command that does something, depth first. */
export function leavesOf(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

/** `shoal job wait` */
export function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}
