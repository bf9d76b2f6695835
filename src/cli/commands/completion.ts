import { Argument, type Command } from 'commander';
import { action, type CliContext } from '../action.ts';
import { COMPLETION_SHELLS, type CompletionShell, completionScript } from '../completion.ts';
import { withExamples } from '../examples.ts';

export function addCompletionCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('completion')
      .description('print a completion script for a shell')
      .addArgument(new Argument('<shell>', 'which shell').choices(COMPLETION_SHELLS))
      .action(
        action<[CompletionShell]>(context, async (run, shell) => {
          await run.output.text(completionScript(program, shell));
        }),
      ),
    [
      ['eval "$(shoal completion bash)"', 'in ~/.bashrc'],
      ['shoal completion zsh > ~/.zfunc/_shoal', 'in a directory of $fpath'],
      ['shoal completion fish > ~/.config/fish/completions/shoal.fish', 'where fish looks'],
    ],
  );
}
