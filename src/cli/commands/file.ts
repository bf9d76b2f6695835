import type { Command } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import { FILE_TRANSFERS_MAX } from '../../lib/limits.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, bytes } from '../cells.ts';
import { forEachConcurrent } from '../concurrent.ts';
import { withExamples } from '../examples.ts';
import {
  countFiles,
  type FileAddress,
  formatFileAddress,
  parseFileAddress,
  prefixOf,
} from '../file-address.ts';
import { nonEmpty } from '../values.ts';
import { getFiles } from './file-get.ts';
import { putFiles } from './file-put.ts';

export function addFileCommands(program: Command, context: CliContext): void {
  const file = program.command('file').description("files in the mesh's storage, as mesh://CONTAINER/NAME");

  withExamples(
    file
      .command('put')
      .description('store files and directories; the container is made if it is missing')
      .argument('<source...>', 'files, directories, or - for standard input; then the address')
      .usage('[options] <source...> <address>')
      .action(action<[string[]]>(context, putFiles)),
    [
      ['shoal file put model.bin mesh://models/v1/model.bin', 'one file under a name'],
      ['shoal file put scenes textures mesh://film/', 'two directories'],
      ['tar c . | shoal file put - mesh://backup/home.tar', 'what comes in a pipe'],
    ],
  );

  withExamples(
    file
      .command('get')
      .description('fetch a file, or all whose names begin alike')
      .argument('<address>', 'a file; with a slash at its end, or -r, all below it', parseFileAddress)
      .argument('[destination]', 'file or directory; - for standard output', nonEmpty, '.')
      .option('-r, --recursive', 'all files whose names begin with the address')
      .action(action<[FileAddress, string, { recursive?: true }]>(context, getFiles)),
    [
      ['shoal file get mesh://models/v1/model.bin', 'into this directory'],
      ['shoal file get mesh://film/scenes/ scenes', 'all below scenes/'],
      ['shoal file get mesh://backup/home.tar - | tar t', 'to a pipe'],
    ],
  );

  withExamples(
    file
      .command('ls')
      .description('list files')
      .argument('<address>', 'a container, or the beginning of names in it', parseFileAddress)
      .action(action<[FileAddress]>(context, listFiles)),
    [['shoal file ls mesh://film/scenes/', 'names, sizes, copies']],
  );

  withExamples(
    file
      .command('rm')
      .description('delete a file, or all whose names begin alike')
      .argument('<address>', 'a file; with -r the beginning of names', parseFileAddress)
      .option('-r, --recursive', 'all files whose names begin with the address')
      .action(action<[FileAddress, { recursive?: true }]>(context, removeFiles)),
    [
      ['shoal file rm mesh://models/v1/model.bin', 'one file'],
      ['shoal file rm -r mesh://models/v1/', 'all of v1'],
    ],
  );
}

async function listFiles(run: Run, address: FileAddress): Promise<void> {
  const blobs = run.client.blobs.list(address.container, prefixOf(address), { signal: run.signal });
  await run.output.rows(blobs, [
    { title: 'NAME', value: (row) => row.name },
    { title: 'SIZE', value: (row) => bytes(row.sizeBytes) },
    {
      title: 'COPIES',
      value: (row) => row.holders.length,
      tone: (row) => (row.holders.length === 0 ? 'bad' : undefined),
    },
    { title: 'AGE', value: (row) => ago(row.modifiedAtMs, Date.now()) },
  ]);
}

async function removeFiles(
  run: Run,
  address: FileAddress,
  { recursive }: { recursive?: true },
): Promise<void> {
  const { container, path: name } = address;
  if (recursive !== true) {
    if (address.isDirectory) throw invalid('That is more than one file: give -r.', 'address');
    await run.client.blobs.delete(container, name, { signal: run.signal });
    await run.output.done(`${formatFileAddress(container, name)} deleted.`, { deleted: 1 });
    return;
  }
  let deleted = 0;
  const blobs = run.client.blobs.list(container, prefixOf(address), { signal: run.signal });
  await forEachConcurrent(blobs, FILE_TRANSFERS_MAX, async (blob) => {
    await run.client.blobs.delete(container, blob.name, { signal: run.signal });
    deleted += 1;
  });
  await run.output.done(`${countFiles(deleted)} deleted.`, { deleted });
}

function invalid(message: string, argument: string): ShoalError {
  return new ShoalError('InvalidArgument', message, { Argument: argument });
}
