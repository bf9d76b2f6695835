/** The files that the tasks of a run need, on this machine and in the mesh. */
import path from 'node:path';
import type { ShoalClient } from '../../client/client.ts';
import { ShoalError } from '../../lib/errors.ts';
import { FILE_TRANSFERS_MAX, RUN_INPUTS_MAX } from '../../lib/limits.ts';
import { isValidBlobName } from '../../model/blob.ts';
import { forEachConcurrent } from '../concurrent.ts';
import { readFileExactly, walkFiles } from '../local-files.ts';
import { type Choice, expand, usesItems } from './template.ts';

export interface InputFile {
  /** Absolute. */
  readonly file: string;
  /** In the container, and below the task's working directory. */
  readonly name: string;
  readonly sizeBytes: number;
}

export interface FoundInputs {
  readonly shared: readonly InputFile[];
  /** Files of single tasks, each once. */
  readonly ownFiles: readonly InputFile[];
  readonly own: (choice: Choice) => readonly InputFile[];
  readonly skipped: readonly string[];
}

/** Looks up every `--input`; those with a placeholder once for each task. Nothing is read yet. */
export async function findInputs(
  templates: readonly string[],
  directory: string,
  choices: Iterable<Choice>,
): Promise<FoundInputs> {
  const finder = new InputFinder(directory);
  const perTask = templates.filter((template) => usesItems([template]));
  const shared: InputFile[] = [];
  for (const template of templates) {
    if (!perTask.includes(template)) shared.push(...(await finder.find(template)));
  }
  checkNames(shared);
  const sharedNames = new Set(shared.map((file) => file.name));
  const byPath = new Map<string, readonly InputFile[]>();
  if (perTask.length > 0) {
    for (const choice of choices) {
      for (const template of perTask) {
        const given = expand(template, choice);
        if (!byPath.has(given)) byPath.set(given, await finder.find(given));
      }
    }
  }
  const ownFiles = [...byPath.values()].flat();
  checkNames(ownFiles);
  const clash = ownFiles.find((file) => sharedNames.has(file.name));
  if (clash !== undefined) throw duplicate(clash.name);
  const own = (choice: Choice): readonly InputFile[] =>
    perTask.flatMap((template) => byPath.get(expand(template, choice)) ?? []);
  return { shared, ownFiles: distinct(ownFiles), own, skipped: finder.skipped };
}

class InputFinder {
  readonly skipped: string[] = [];
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async find(given: string): Promise<readonly InputFile[]> {
    const { files, skipped } = await walkFiles(path.resolve(this.#directory, given));
    this.skipped.push(...skipped);
    if (files.length > RUN_INPUTS_MAX) {
      throw new ShoalError('InvalidArgument', `${given} holds more than ${RUN_INPUTS_MAX} files.`, {
        Argument: '--input',
        Path: given,
      });
    }
    const base = taskPath(given);
    return files.map(({ file, relative, sizeBytes }) => {
      const name = relative === '' ? base : base === '' ? relative : `${base}/${relative}`;
      if (!isValidBlobName(name)) {
        throw new ShoalError('InvalidArgument', `The name of ${file} cannot be a file's name in the mesh.`, {
          Argument: '--input',
          Path: file,
        });
      }
      return { file, name, sizeBytes };
    });
  }
}

/**
 * Where a task finds the file: under the path that was given, so that `{}` names it there too. A path that is
 * absolute or leads out of the present directory has no such place: then its last component.
 */
function taskPath(given: string): string {
  const normal = path.posix.normalize(given).replace(/\/$/, '');
  if (normal === '.') return '';
  return path.isAbsolute(normal) || normal.split('/')[0] === '..'
    ? path.basename(path.resolve(given))
    : normal;
}

function checkNames(files: readonly InputFile[]): void {
  const owners = new Map<string, string>();
  for (const { name, file } of files) {
    const owner = owners.get(name);
    if (owner !== undefined && owner !== file) throw duplicate(name);
    owners.set(name, file);
  }
}

function distinct(files: readonly InputFile[]): readonly InputFile[] {
  return [...new Map(files.map((file) => [file.name, file])).values()];
}

function duplicate(name: string): ShoalError {
  return new ShoalError('InvalidArgument', `Two inputs would both be ${name} in the task's directory.`, {
    Argument: '--input',
    Path: name,
  });
}

/** Uploads the files into a container that is there already. */
export async function uploadInputs(
  client: ShoalClient,
  container: string,
  files: readonly InputFile[],
  options: { readonly signal: AbortSignal; readonly onBytes: (count: number) => void },
): Promise<void> {
  await forEachConcurrent(files, FILE_TRANSFERS_MAX, async ({ file, name, sizeBytes }) => {
    const open = (): AsyncIterable<Uint8Array> => readFileExactly(file, sizeBytes, options.onBytes);
    await client.blobs.put(container, name, { open, length: sizeBytes }, { signal: options.signal });
  });
}
