import type { Command } from 'commander';
import { VERSION } from '../../lib/version.ts';
import { action, type CliContext } from '../action.ts';
import { withExamples } from '../examples.ts';

export function addVersionCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('version')
      .description('print the version of this program and of Node')
      .action(
        action(context, async (run) => {
          const data = { shoal: VERSION, node: process.versions.node };
          await run.output.done(`shoal ${VERSION} (Node ${process.versions.node})`, data);
        }),
      ),
    [['shoal version', 'for a bug report']],
  );
}
