import { type Command, Option } from 'commander';
import { action, type CliContext } from '../action.ts';
import { withExamples } from '../examples.ts';
import { durationMs, nonEmpty } from '../values.ts';

const DEFAULT_VALID = '1d';

export function addApiCommands(program: Command, context: CliContext): void {
  const api = program.command('api').description('what HTTP clients on other machines need');

  withExamples(
    api
      .command('ca')
      .description('certificate of the authority that signs every peer of this mesh, as PEM')
      .action(
        action(context, async (run) => {
          const certificate = await run.client.mesh.authority({ signal: run.signal });
          if (run.output.format !== 'table') return run.output.record({ certificate }, []);
          await run.output.text(certificate.endsWith('\n') ? certificate : `${certificate}\n`);
        }),
      ),
    [['shoal api ca > shoal.pem', 'for SHOAL_CA, curl --cacert, REQUESTS_CA_BUNDLE or NODE_EXTRA_CA_CERTS']],
  );

  const valid = new Option('--valid <time>', 'how long it can be used').argParser(durationMs);
  withExamples(
    api
      .command('token')
      .description('make a bearer token; it is shown this once, and nothing can take it back')
      .option('--job <id>', 'for this job alone; else for the whole account', nonEmpty)
      .addOption(valid.default(durationMs(DEFAULT_VALID), DEFAULT_VALID))
      .action(
        action<[{ job?: string; valid: number }]>(context, async (run, { job, valid: validMs }) => {
          const request = { validMs, ...(job === undefined ? {} : { job }) };
          const made = await run.client.mesh.createAccessToken(request, { signal: run.signal });
          if (run.output.format !== 'table') return run.output.record(made, []);
          await run.output.text(`${made.token}\n`);
        }),
      ),
    [
      ['shoal api token --job render-7 --valid 8h', 'for a script that watches one job'],
      [
        'SHOAL_ACCESS_TOKEN=$(shoal api token) SHOAL_ENDPOINT=https://peer:8443 shoal job list',
        'from elsewhere',
      ],
    ],
  );
}
