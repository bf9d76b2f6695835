import path from 'node:path';
import type { Command } from 'commander';
import type { FileResource } from '../../client/shapes.ts';
import { ShoalError } from '../../lib/errors.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, bytes } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { saveBody, showBody } from '../remote-output.ts';
import type { Column } from '../table.ts';
import { insidePath, nonEmpty } from '../values.ts';

const FILE_COLUMNS: readonly Column<FileResource>[] = [
  { title: 'NAME', value: (row) => (row.isDirectory ? `${row.name}/` : row.name) },
  { title: 'SIZE', value: (row) => bytes(fileSize(row)) },
  { title: 'AGE', value: (row) => ago(row.properties?.lastModified, Date.now()) },
];

interface LogFlags {
  readonly follow?: true;
  readonly stderr?: true;
  readonly raw?: true;
}

interface FileFlags {
  readonly recursive?: true;
  readonly to?: string;
}

/** `shoal task logs` and `shoal task files` */
export function addTaskFiles(task: Command, context: CliContext): void {
  withExamples(
    task
      .command('logs')
      .description("a task's standard output, from whichever machine has it")
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .option('-f, --follow', 'go on until the task ends')
      .option('--stderr', 'standard error instead')
      .option('--raw', 'leave terminal control characters as they are')
      .action(
        action<[string, string, LogFlags]>(context, async (run, job, taskId, { follow, stderr, raw }) => {
          const file = stderr === true ? 'stderr.txt' : 'stdout.txt';
          const answer =
            follow === true
              ? await run.client.tasks.followFile(job, taskId, file, { signal: run.signal })
              : await run.client.tasks.openFile(job, taskId, file, { signal: run.signal });
          await showBody(run, answer.body, raw === true);
        }),
      ),
    [
      ['shoal task logs nightly 0007', 'what it has written so far'],
      ['shoal task logs -f --stderr nightly 0007', 'as it is written'],
    ],
  );

  withExamples(
    task
      .command('files')
      .description("the files in a task's directory, or one of them")
      .argument('<job>', 'id of its job', nonEmpty)
      .argument('<task>', 'id', nonEmpty)
      .argument('[path]', 'write this file to standard output instead', insidePath)
      .option('-r, --recursive', 'also those in its directories')
      .option('--to <file>', 'store the file here instead', nonEmpty)
      .action(action<[string, string, string | undefined, FileFlags]>(context, taskFiles)),
    [
      ['shoal task files -r nightly 0007', 'all of its files'],
      ['shoal task files nightly 0007 wd/out.png --to out.png', 'one of them'],
    ],
  );
}

async function taskFiles(
  run: Run,
  job: string,
  taskId: string,
  file: string | undefined,
  { recursive, to }: FileFlags,
): Promise<void> {
  if (file === undefined) {
    if (to !== undefined)
      throw new ShoalError('InvalidArgument', '--to needs the path of a file.', { Argument: '--to' });
    const files = run.client.tasks.files(job, taskId, { recursive: recursive === true, signal: run.signal });
    await run.output.rows(files, FILE_COLUMNS);
    return;
  }
  const answer = await run.client.tasks.openFile(job, taskId, file, { signal: run.signal });
  if (to === undefined) return showBody(run, answer.body, false);
  const target = path.resolve(run.world.directory, to);
  const size = await saveBody(answer, target);
  await run.output.done(`${file} is stored in ${to} (${bytes(size)}).`, {
    path: file,
    stored: target,
    sizeBytes: size,
  });
}

function fileSize(row: FileResource): number | undefined {
  const length = row.properties?.contentLength;
  return length === undefined ? undefined : Number(length);
}
