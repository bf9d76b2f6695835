/**
 * What a finished execution leaves where it outlives its node: stdout and stderr always, and the files its author asked
 * for. A small stdout travels inside the report; anything larger becomes chunks that a second machine holds as well.
 */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { OUTPUT_FILES_MAX, OUTPUT_UPLOADS_MAX } from '../../src/lib/limits.ts';
import { parseMeshUrl } from '../../src/model/blob.ts';
import type { KeptFile, OutputFile } from '../../src/model/task.ts';
import { Glob, walkGlob } from '../files/glob.ts';
import type { FileService, StoredContent } from '../files/interface.ts';
import { SafeDirectory } from '../files/safe-path.ts';
import type { Exit } from '../runner/interface.ts';
import type { TaskDirectories } from './directories.ts';
import type { Assigned } from './interface.ts';

/** The two logs of an execution; a file that cannot be read (any more) is left out, it is no reason for a task to fail. */
export async function keepLogs(
  files: FileService,
  exit: Exit,
  directories: TaskDirectories,
  untilMs: number,
): Promise<KeptFile[]> {
  const kept: KeptFile[] = [];
  for (const [path, sizeBytes, inline] of [
    ['stdout.txt', exit.stdoutBytes, exit.stdoutInline],
    ['stderr.txt', exit.stderrBytes, exit.stderrInline],
  ] as const) {
    if (sizeBytes === 0) continue;
    if (inline !== undefined) kept.push({ path, sizeBytes, inline });
    else {
      const content = await storeFile(files, directories.task, path).catch(() => undefined);
      if (content === undefined) continue;
      await files.spread(content, untilMs).catch(() => undefined);
      kept.push({ path, ...content });
    }
  }
  return kept;
}

async function storeFile(files: FileService, directory: string, path: string): Promise<StoredContent> {
  const root = await SafeDirectory.open(directory);
  try {
    const file = await root.readFile(path);
    return await files.ingest(file.createReadStream({ highWaterMark: 256 * 1024 }));
  } finally {
    await root.close();
  }
}

interface Found {
  readonly path: string;
  readonly container: string;
  readonly blob: string;
}

/** Stores and names the files of all patterns whose condition holds. Throws the coded error of the first that fails; values name its pattern. */
export async function storeOutputs(
  files: FileService,
  assigned: Assigned,
  succeeded: boolean,
  directories: TaskDirectories,
): Promise<KeptFile[]> {
  const found: Found[] = [];
  const root = await SafeDirectory.open(directories.task);
  try {
    for (const output of assigned.spec.outputFiles ?? []) {
      if (!isDue(output, succeeded)) continue;
      try {
        for await (const one of matches(output, root, directories)) {
          found.push(one);
          if (found.length > OUTPUT_FILES_MAX)
            throw new ShoalError(
              'TooLarge',
              `The task's output patterns match more than ${OUTPUT_FILES_MAX} files.`,
            );
        }
      } catch (error) {
        throw namingPattern(error, output);
      }
    }
  } finally {
    await root.close();
  }
  const kept: KeptFile[] = [];
  const byContainer = new Map<string, { name: string; content: StoredContent }[]>();
  const queue = found[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const { path, container, blob } of { [Symbol.iterator]: () => queue }) {
      const content = await storeFile(files, directories.task, path);
      kept.push({ path, ...content });
      byContainer.set(container, [...(byContainer.get(container) ?? []), { name: blob, content }]);
    }
  };
  await Promise.all(Array.from({ length: OUTPUT_UPLOADS_MAX }, worker));
  const origin = {
    pool: assigned.pool,
    job: assigned.job.number,
    task: assigned.task,
    epoch: assigned.epoch,
  };
  for (const [container, blobs] of byContainer)
    await files.publish(
      container,
      blobs.map((blob) => ({ ...blob, origin })),
    );
  return kept.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function isDue(output: OutputFile, succeeded: boolean): boolean {
  switch (output.uploadOptions.uploadCondition) {
    case 'taskcompletion':
      return true;
    case 'tasksuccess':
      return succeeded;
    case 'taskfailure':
      return !succeeded;
  }
}

/** Patterns are relative to the working directory; `../std*.txt` reaches the logs beside it, and nothing reaches further. */
async function* matches(
  output: OutputFile,
  root: SafeDirectory,
  directories: TaskDirectories,
): AsyncGenerator<Found> {
  const { containerUrl, path: destination } = output.destination.container;
  const container = parseMeshUrl(containerUrl)?.container;
  if (container === undefined)
    throw new ShoalError(
      'UnsupportedProperty',
      `${containerUrl} is not a container of the mesh (mesh://<container>).`,
    );
  const pattern = belowTask(output.filePattern, directories);
  const prefix = literalPrefix(pattern);
  if (prefix === pattern) {
    await root.status(pattern);
    yield { path: pattern, container, blob: destination ?? baseName(pattern) };
    return;
  }
  for await (const path of walkGlob(root, new Glob(pattern))) {
    const name = path.slice(prefix.length);
    yield {
      path,
      container,
      blob:
        destination === undefined || destination === '' ? name : `${destination.replace(/\/+$/, '')}/${name}`,
    };
  }
}

function belowTask(pattern: string, { task, working }: TaskDirectories): string {
  if (pattern.startsWith(`${working}/`)) return `wd/${pattern.slice(working.length + 1)}`;
  if (pattern.startsWith(`${task}/`)) return pattern.slice(task.length + 1);
  if (pattern.startsWith('/'))
    throw new ShoalError('InvalidPropertyValue', `The pattern ${pattern} leaves the task's directory.`);
  const plain = pattern.replace(/^(?:\.\/)+/, '');
  if (plain.startsWith('../') && !plain.slice(3).split('/').includes('..')) return plain.slice(3);
  return `wd/${plain}`;
}

/** The part of a pattern before the component that holds its first wildcard. */
function literalPrefix(pattern: string): string {
  const wildcard = pattern.search(/[*?[]/);
  return wildcard < 0 ? pattern : pattern.slice(0, pattern.lastIndexOf('/', wildcard) + 1);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function namingPattern(error: unknown, output: OutputFile): ShoalError {
  const coded = asShoalError(error);
  return new ShoalError(
    coded.code,
    coded.message,
    { ...coded.values, FilePath: output.filePattern },
    { cause: error },
  );
}
