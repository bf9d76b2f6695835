import { type Command, Option } from 'commander';
import { action, type CliContext } from '../action.ts';
import { age } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { durationMs, integer, nonEmpty } from '../values.ts';

/** As the design has it: one hour, one use. */
const DEFAULT_VALID = '1h';

export function addTokenCommands(program: Command, context: CliContext): void {
  const token = program.command('token').description('join tokens: how new machines enter the mesh');

  const valid = new Option('--valid <time>', 'how long it can be used').argParser(durationMs);
  const create = token
    .command('create')
    .description('make a join token; it is shown this once')
    .addOption(valid.default(durationMs(DEFAULT_VALID), DEFAULT_VALID))
    .option('--uses <n>', 'how many machines can use it', integer(1, 10_000), 1)
    .action(
      action<[{ valid: number; uses: number }]>(context, async (run, { valid, uses }) => {
        const made = await run.client.mesh.createToken({ validMs: valid, uses }, { signal: run.signal });
        if (run.output.format !== 'table') return run.output.record(made, []);
        // The token alone on standard output, so that `shoal join "$(ssh member shoal token create)"` works.
        await run.output.text(`${made.token}\n`);
        if (run.world.stderrIsTerminal) {
          await run.note(
            `Token ${made.id}, ${age(-(made.expiresAtMs - Date.now()))} left. On the new machine: shoal join TOKEN`,
          );
        }
      }),
    );
  withExamples(create, [
    ['shoal token create', 'for one machine, within an hour'],
    ['shoal token create --uses 20 --valid 1d', 'for a rack'],
  ]);

  withExamples(
    token
      .command('list')
      .description('open join tokens')
      .action(
        action(context, async (run) => {
          await run.output.rows(await run.client.mesh.tokens({ signal: run.signal }), [
            { title: 'ID', value: (row) => row.id },
            { title: 'EXPIRES IN', value: (row) => age(-(row.expiresAtMs - Date.now())) },
            { title: 'USES LEFT', value: (row) => row.usesLeft },
            { title: 'MADE BY', value: (row) => row.createdBy },
          ]);
        }),
      ),
    [['shoal token list', 'what can still be used']],
  );

  withExamples(
    token
      .command('revoke')
      .description('make a join token useless')
      .argument('<id>', 'of `shoal token list`', nonEmpty)
      .action(
        action<[string]>(context, async (run, id) => {
          await run.client.mesh.revokeToken(id, { signal: run.signal });
          await run.output.done(`Token ${id} is revoked.`, { token: id, revoked: true });
        }),
      ),
    [['shoal token revoke 3f9a', 'nobody can join with it any more']],
  );
}
