import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { isValidContainerName } from '../../model/blob.ts';
import { action, type CliContext } from '../action.ts';
import { ago, bytes } from '../cells.ts';
import { withExamples } from '../examples.ts';

export function addContainerCommands(program: Command, context: CliContext): void {
  const container = program
    .command('container')
    .description("containers: named sets of files in the mesh's storage");

  withExamples(
    container
      .command('list')
      .description('every container')
      .action(
        action(context, async (run) => {
          await run.output.rows(await run.client.blobs.containers({ signal: run.signal }), [
            { title: 'NAME', value: (row) => row.name },
            { title: 'FILES', value: (row) => row.blobs },
            { title: 'SIZE', value: (row) => bytes(row.sizeBytes) },
            { title: 'AGE', value: (row) => ago(row.createdAtMs, Date.now()) },
          ]);
        }),
      ),
    [['shoal container list', 'what takes space']],
  );

  withExamples(
    container
      .command('create')
      .description('make a container')
      .argument('<container>', '3 to 63 lower-case letters, digits and single dashes', containerName)
      .action(
        action<[string]>(context, async (run, name) => {
          await run.client.blobs.createContainer(name, { signal: run.signal });
          await run.output.done(`Container ${name} is made.`, { container: name });
        }),
      ),
    [['shoal container create models', 'then `shoal file put`']],
  );

  withExamples(
    container
      .command('delete')
      .description('delete a container with all that is in it')
      .argument('<container>', 'its name', containerName)
      .action(
        action<[string]>(context, async (run, name) => {
          await run.client.blobs.deleteContainer(name, { signal: run.signal });
          await run.output.done(`Container ${name} is deleted.`, { container: name, deleted: true });
        }),
      ),
    [['shoal container delete models', 'its files go too']],
  );
}

function containerName(text: string): string {
  if (isValidContainerName(text)) return text;
  throw new InvalidArgumentError('A container name is 3 to 63 lower-case letters, digits and single dashes.');
}
