import { type Command, Option } from 'commander';
import type { CliContext } from '../action.ts';
import { connectionFlags } from '../action.ts';
import type { AgentFlags, EnterFlags } from '../agent-commands.ts';
import { dataDirectory } from '../connection.ts';
import { withExamples } from '../examples.ts';
import { EXIT } from '../exit-codes.ts';
import { collect, nonEmpty } from '../values.ts';

interface AgentOptions {
  readonly listen?: readonly string[];
  readonly announce?: readonly string[];
  readonly mdns: boolean;
  readonly api?: string;
  readonly label?: readonly string[];
}

interface EnterOptions extends AgentOptions {
  readonly name?: string;
}

/** `init`, `join` and `agent`: what they do lives with the agent, and handles its own signals. */
export function addAgentCommands(program: Command, context: CliContext): void {
  const init = withMachineFlags(program.command('init'))
    .description('make a new mesh with this machine as its first member')
    .addOption(nameOption())
    .action(async (options: EnterOptions, command: Command) => {
      const commands = await context.agent();
      context.exitCode = (await commands.init(enterFlags(options, command, context))) ?? EXIT.ok;
    });
  withExamples(init, [
    ['shoal init', 'a mesh of this machine'],
    ['shoal init --name render01 --listen /ip4/0.0.0.0/tcp/4300', 'with a name and a port of its own'],
  ]);

  const join = withMachineFlags(program.command('join'))
    .description('enter the mesh that a join token is of')
    .argument('<token>', 'made by `shoal token create` on a member', nonEmpty)
    .addOption(nameOption())
    .action(async (token: string, options: EnterOptions, command: Command) => {
      const commands = await context.agent();
      const flags = { ...enterFlags(options, command, context), token };
      context.exitCode = (await commands.join(flags)) ?? EXIT.ok;
    });
  withExamples(join, [['shoal join shoal1…', 'then `shoal agent` runs this machine']]);

  const agent = withMachineFlags(program.command('agent'))
    .description('run the agent of this machine until it is told to stop')
    .action(async (options: AgentOptions, command: Command) => {
      const commands = await context.agent();
      context.exitCode = (await commands.agent(agentFlags(options, command, context))) ?? EXIT.ok;
    });
  withExamples(agent, [
    ['shoal agent', 'in the foreground; a service manager keeps it'],
    ['shoal agent --api 8480', 'also answer HTTP on 127.0.0.1:8480'],
  ]);
}

function withMachineFlags(command: Command): Command {
  return command
    .addOption(
      repeated(
        '--listen <multiaddr>',
        'address to listen on, such as /ip4/0.0.0.0/tcp/4300; port 0 is another one at each start, which the members find out (repeatable)',
      ),
    )
    .addOption(repeated('--announce <multiaddr>', 'address that others are told, behind a NAT (repeatable)'))
    .addOption(repeated('--label <label>', 'label that tasks and pools can ask for (repeatable)'))
    .option(
      '--api <[address:]port>',
      'answer the HTTP API there too: on 127.0.0.1, or by HTTPS elsewhere',
      nonEmpty,
    )
    .option('--no-mdns', 'do not look for peers on the local network');
}

function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser(collect);
}

function nameOption(): Option {
  return new Option('--name <name>', "this machine's name in the mesh (default: the host's name)").argParser(
    nonEmpty,
  );
}

function agentFlags(options: AgentOptions, command: Command, context: CliContext): AgentFlags {
  return {
    data: dataDirectory(connectionFlags(command).data, context.world),
    listen: options.listen ?? [],
    announce: options.announce ?? [],
    mdns: options.mdns,
    api: options.api,
    labels: options.label ?? [],
  };
}

function enterFlags(options: EnterOptions, command: Command, context: CliContext): EnterFlags {
  return { ...agentFlags(options, command, context), name: options.name };
}
