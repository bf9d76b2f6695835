/** Completion scripts, written from the command tree: they need no call of `shoal` while one types. */
import type { Command, Option } from 'commander';

export const COMPLETION_SHELLS = ['bash', 'zsh', 'fish'] as const;
export type CompletionShell = (typeof COMPLETION_SHELLS)[number];

export function completionScript(program: Command, shell: CompletionShell): string {
  const places = placesOf(program, '');
  switch (shell) {
    case 'bash':
      return bashScript(places);
    case 'zsh':
      return zshScript(places);
    case 'fish':
      return fishScript(places);
  }
}

/** A command, with what can come behind it. */
interface Place {
  /** `''` for the program itself, then ` job`, ` job list`. */
  readonly path: string;
  readonly words: readonly Word[];
  readonly flags: readonly Flag[];
}

interface Word {
  readonly text: string;
  readonly meaning: string;
}

interface Flag {
  readonly names: readonly string[];
  readonly meaning: string;
  /** What its value may be: nothing, a name of a file, one of these, or anything. */
  readonly value: 'none' | 'file' | 'any' | readonly string[];
}

function placesOf(command: Command, path: string): readonly Place[] {
  const words = [
    ...command.commands.map((child) => ({ text: child.name(), meaning: child.description() })),
    ...command.registeredArguments.flatMap((argument) =>
      (argument.argChoices ?? []).map((text) => ({ text, meaning: argument.description })),
    ),
  ];
  const flags = [
    ...command.options.filter((option) => !option.hidden).map(flagOf),
    { names: ['--help'], meaning: 'show help', value: 'none' as const },
  ];
  return [
    { path, words, flags },
    ...command.commands.flatMap((child) => placesOf(child, `${path} ${child.name()}`)),
  ];
}

function flagOf(option: Option): Flag {
  const names = [option.short, option.long].filter((name) => name !== undefined && name !== null);
  return { names, meaning: option.description, value: flagValue(option) };
}

function flagValue(option: Option): Flag['value'] {
  if (!option.required && !option.optional) return 'none';
  if (option.argChoices !== undefined) return option.argChoices;
  return /<(?:file|dir)>/.test(option.flags) ? 'file' : 'any';
}

/** Inside single quotes of a POSIX shell and of fish alike. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '').replaceAll("'", '').replaceAll('\n', ' ')}'`;
}

/** `"$path $word"` patterns of every command: how the scripts find out where they are. */
function pathPatterns(places: readonly Place[]): string {
  return places
    .filter((place) => place.path !== '')
    .map((place) => `"${place.path}"`)
    .join('|');
}

function valueCases(place: Place, act: (flag: Flag) => string): readonly string[] {
  return place.flags
    .filter((flag) => flag.value !== 'none')
    .map((flag) => `    ${flag.names.map((name) => `"${place.path} ${name}"`).join('|')}) ${act(flag)} ;;`);
}

function bashScript(places: readonly Place[]): string {
  const values = places.flatMap((place) =>
    valueCases(place, ({ value }) => {
      if (value === 'file') return 'COMPREPLY=($(compgen -f -- "$current")); return';
      if (typeof value === 'string') return 'return';
      return `COMPREPLY=($(compgen -W ${quoted(value.join(' '))} -- "$current")); return`;
    }),
  );
  const words = places.map((place) => {
    const all = [...place.words.map((word) => word.text), ...place.flags.flatMap((flag) => flag.names)];
    return `    "${place.path}") words=${quoted(all.join(' '))} ;;`;
  });
  return `# bash completion of shoal; eval "$(shoal completion bash)"
_shoal() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ "\${COMP_WORDS[i]}" == -- ]]; then COMPREPLY=($(compgen -f -- "$current")); return; fi
    case "$path \${COMP_WORDS[i]}" in
      ${pathPatterns(places)}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $previous" in
${values.join('\n')}
  esac
  case "$path" in
${words.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ "$current" != -* && \${#COMPREPLY[@]} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -F _shoal shoal
`;
}

function zshScript(places: readonly Place[]): string {
  const values = places.flatMap((place) =>
    valueCases(place, ({ value }) => {
      if (value === 'file') return '_files; return';
      if (typeof value === 'string') return 'return';
      return `compadd -- ${value.map(quoted).join(' ')}; return`;
    }),
  );
  const words = places.map((place) => {
    const described = [
      ...place.words.map((word) => describedWord(word.text, word.meaning)),
      ...place.flags.flatMap((flag) => flag.names.map((name) => describedWord(name, flag.meaning))),
    ];
    return `    "${place.path}") choices=(${described.join(' ')}) ;;`;
  });
  return `#compdef shoal
_shoal() {
  local place='' i
  local -a choices
  for ((i = 2; i < CURRENT; i++)); do
    if [[ "\${words[i]}" == -- ]]; then _files; return; fi
    case "$place \${words[i]}" in
      ${pathPatterns(places)}) place="$place \${words[i]}" ;;
    esac
  done
  case "$place \${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  case "$place" in
${words.join('\n')}
  esac
  _describe 'shoal' choices || _files
}
if [[ "\${funcstack[1]}" == _shoal ]]; then _shoal "$@"; else compdef _shoal shoal; fi
`;
}

/** zsh reads \`word:meaning\`; a colon in the word itself would need an escape, and no word of ours has one. */
function describedWord(word: string, meaning: string): string {
  return quoted(`${word}:${meaning}`);
}

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap((place) => {
    const here = `-n '__shoal_at "shoal${place.path}"'`;
    return [
      ...place.words.map(
        (word) => `complete -c shoal -f ${here} -a ${quoted(word.text)} -d ${quoted(word.meaning)}`,
      ),
      ...place.flags.map((flag) => `complete -c shoal ${here} ${fishFlag(flag)} -d ${quoted(flag.meaning)}`),
    ];
  });
  return `# fish completion of shoal; shoal completion fish > ~/.config/fish/completions/shoal.fish
function __shoal_at
  set -l place shoal
  set -l tokens (commandline -opc)
  for token in $tokens[2..-1]
    switch "$place $token"
      case ${places
        .filter((place) => place.path !== '')
        .map((place) => `'shoal${place.path}'`)
        .join(' ')}
        set place "$place $token"
    end
  end
  test "$place" = "$argv[1]"
end
${lines.join('\n')}
`;
}

function fishFlag({ names, value }: Flag): string {
  const flags = names
    .map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
    .join(' ');
  if (value === 'none') return `-f ${flags}`;
  if (value === 'file') return `-r -F ${flags}`;
  return typeof value === 'string' ? `-x ${flags}` : `-x ${flags} -a ${quoted(value.join(' '))}`;
}
