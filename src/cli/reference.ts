/** docs/cli.md, written from the command tree: a test holds the file equal to it. */
import type { Argument, Command, Option } from 'commander';
import { examplesOf } from './examples.ts';
import { EXIT_MEANINGS } from './exit-codes.ts';
import { fullName, leavesOf } from './program.ts';

const INTRODUCTION = `# The command line

\`shoal\` talks to the agent of this machine over a unix socket (\`api.sock\` in its data directory), or to any agent
over HTTP. It has no other door to the mesh: whatever it does, a program can do over the HTTP API.

This page is written from the program (\`src/cli/reference.ts\`), and a test holds the two equal.

## Which agent

| flag | environment | meaning |
|---|---|---|
| \`--endpoint URL\` | \`SHOAL_ENDPOINT\` | HTTP address of an agent. Requests are signed with SharedKey |
| | \`SHOAL_ACCOUNT\`, \`SHOAL_KEY\` | account name and base64 key of the mesh, for an endpoint |
| | \`SHOAL_ACCESS_TOKEN\` | of \`shoal api token\`, in place of account and key |
| | \`SHOAL_CA\` | file with the certificate of \`shoal api ca\`, for an https endpoint |
| \`--data DIR\` | \`SHOAL_DATA\` | data directory of the local agent. Default: \`/var/lib/shoal\` for root, else \`$XDG_DATA_HOME/shoal\` or \`~/.local/share/shoal\` |

A flag wins over the environment, and an endpoint over a data directory.

## Output

\`--output table\` (default) is for people: colours and progress only on a terminal, none with \`NO_COLOR\`.
\`--output json\` and \`jsonl\` print the API's own objects, as one document or one a line. Errors go to standard error:
\`error: …\` and \`hint: …\`, or in JSON \`{"error":{"code","message","hint","values"}}\`. Control characters in text from
the mesh are shown as escapes.
`;

export function referencePage(program: Command): string {
  return [
    INTRODUCTION,
    exitCodes(),
    '## Commands\n',
    overview(program),
    ...leavesOf(program).map(commandSection),
  ].join('\n');
}

function exitCodes(): string {
  const rows = EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return [
    '## Exit codes\n',
    '| code | meaning |',
    '|---|---|',
    ...rows,
    '',
    '`shoal run` and `shoal job wait` end with the greatest exit code of the tasks that failed (1 for a task without one).',
    'Their own failures have the codes above and say `error:` on standard error.',
    '',
  ].join('\n');
}

function overview(program: Command): string {
  const rows = leavesOf(program).map((leaf) => {
    const name = fullName(leaf);
    return `| [\`${name}\`](#${name.replaceAll(' ', '-')}) | ${cell(leaf.description())} |`;
  });
  return ['| command | what it does |', '|---|---|', ...rows, ''].join('\n');
}

function commandSection(command: Command): string {
  const own = command.options.filter((option) => !isGlobal(option));
  const rows = [...command.registeredArguments.map(argumentRow), ...own.map(optionRow)];
  const examples = examplesOf(command).map(([line, meaning]) => `${line}  # ${meaning}`);
  return [
    `### ${fullName(command)}\n`,
    `\`${fullName(command)} ${command.usage()}\`\n`,
    `${sentence(command.description())}\n`,
    ...(rows.length === 0 ? [] : ['| argument or flag | meaning | default |', '|---|---|---|', ...rows, '']),
    ...(examples.length === 0 ? [] : ['```sh', ...examples, '```', '']),
  ].join('\n');
}

/** `--output` of `shoal run` is another flag than everyone's. */
function isGlobal(option: Option): boolean {
  return ['--data <dir>', '--endpoint <url>', '--output <format>'].includes(option.flags);
}

function argumentRow(argument: Argument): string {
  const name = argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
  const choices = argument.argChoices === undefined ? '' : `: ${argument.argChoices.join(', ')}`;
  return row(name, argument.description + choices, argument.defaultValue);
}

function optionRow(option: Option): string {
  const choices = option.argChoices === undefined ? '' : `: ${option.argChoices.join(', ')}`;
  const shown =
    option.negate || option.isBoolean() ? undefined : (option.defaultValueDescription ?? option.defaultValue);
  return row(option.flags, option.description + choices, shown);
}

function row(name: string, meaning: string, standard: unknown): string {
  return `| \`${name}\` | ${cell(meaning)} | ${standard === undefined ? '' : `\`${String(standard)}\``} |`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
