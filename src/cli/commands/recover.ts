import type { Command } from 'commander';
import { action, type CliContext } from '../action.ts';
import { withExamples } from '../examples.ts';
import { nonEmpty } from '../values.ts';

export function addRecoverCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('recover')
      .description("make a group that lost its quorum live again from this machine's copy")
      .argument('<group>', '`mesh`, or `pool:<pool>`', nonEmpty)
      .option('--confirm', 'do it; without this flag it only says what may be lost')
      .action(
        action<[string, { confirm?: true }]>(context, async (run, group, { confirm }) => {
          const answer = await run.client.mesh.recover(group, confirm === true, { signal: run.signal });
          const done = confirm === true ? 'recovered' : 'not recovered yet';
          await run.output.record({ group, recovered: confirm === true, ...answer }, [
            ['group', group],
            ['state', done],
            ['last entry here', answer.lastIndex],
            ['may be lost', answer.mayBeLost],
          ]);
          if (confirm !== true && run.output.format === 'table') {
            await run.note(`Only if the other voters are gone for good: shoal recover ${group} --confirm`);
          }
        }),
      ),
    [
      ['shoal recover pool:render', 'what may be lost'],
      ['shoal recover pool:render --confirm', 'on the machine with the greatest last entry'],
    ],
  );
}
