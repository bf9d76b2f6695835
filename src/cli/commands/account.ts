import type { Command } from 'commander';
import { action, type CliContext } from '../action.ts';
import { withExamples } from '../examples.ts';
import { renderRecord } from '../table.ts';

export function addAccountCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('account')
      .description('name, key and address for clients of Azure Batch')
      .action(
        action(context, async (run) => {
          const account = await run.client.mesh.account({ signal: run.signal });
          if (run.output.format !== 'table') return run.output.record(account, []);
          await run.output.lines(
            renderRecord([
              ['account', account.accountName],
              ['key', account.accountKey],
              ['url', account.url ?? 'none: start the agent with --api 127.0.0.1:PORT'],
            ]),
          );
        }),
      ),
    [['shoal account', 'what `az batch` and SDKs ask for']],
  );
}
