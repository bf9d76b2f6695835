/**
 * What a finished execution leaves where it outlives its node: stdout and stderr always, and the files its author asked
 * for, in the mesh's own storage or in an Azure container. A small stdout travels inside the report; anything larger becomes chunks that a second machine holds as well.
 */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { INLINE_OUTPUT_BYTES_MAX, OUTPUT_FILES_MAX, OUTPUT_UPLOADS_MAX } from '../../src/lib/limits.ts';
import { parseMeshUrl } from '../../src/model/blob.ts';
import type { FailureInfo, KeptFile, OutputFile } from '../../src/model/task.ts';
import { Glob, walkGlob } from '../files/glob.ts';
import type { FileService, StoredContent } from '../files/interface.ts';
import { SafeDirectory } from '../files/safe-path.ts';
import type { Exit } from '../runner/interface.ts';
import { blobUrl, publicPart, uploadFile } from './azure-container.ts';
import type { TaskDirectories } from './directories.ts';
import type { Assigned } from './interface.ts';
import type { Reach } from './reach.ts';

/** The two logs of an execution. */
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
    kept.push(...(await keepFile(files, directories.task, { path, sizeBytes }, inline, untilMs)));
  }
  return kept;
}

/** What an upload said, beside the task's own logs, as Azure's node agent keeps it. Never rejects: it only tells what was done. */
export async function keepUploadLogs(
  files: FileService,
  directory: string,
  logs: { readonly said: readonly string[]; readonly failed: FailureInfo | undefined },
  untilMs: number,
): Promise<KeptFile[]> {
  const failed = logs.failed === undefined ? [] : [`${logs.failed.code}: ${logs.failed.message}`];
  const kept: KeptFile[] = [];
  for (const [path, lines] of [
    ['fileuploadout.txt', logs.said],
    ['fileuploaderr.txt', failed],
  ] as const) {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    await writeBeside(directory, path, bytes).catch(() => undefined);
    const inline = bytes.length <= INLINE_OUTPUT_BYTES_MAX ? bytes : undefined;
    kept.push(...(await keepFile(files, directory, { path, sizeBytes: bytes.length }, inline, untilMs)));
  }
  return kept;
}

async function writeBeside(directory: string, path: string, bytes: Uint8Array): Promise<void> {
  const root = await SafeDirectory.open(directory);
  try {
    const file = await root.createFile(path);
    await file.writeFile(bytes).finally(() => file.close());
  } finally {
    await root.close();
  }
}

/** A file that cannot be read (any more) is left out: it is no reason for a task to fail. */
async function keepFile(
  files: FileService,
  directory: string,
  { path, sizeBytes }: Pick<KeptFile, 'path' | 'sizeBytes'>,
  inline: Uint8Array | undefined,
  untilMs: number,
): Promise<KeptFile[]> {
  if (inline !== undefined) return [{ path, sizeBytes, inline }];
  const content = await storeFile(files, directory, path).catch(() => undefined);
  if (content === undefined) return [];
  await files.spread(content, untilMs).catch(() => undefined);
  return [{ path, ...content }];
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

type Destination =
  | { readonly kind: 'mesh'; readonly container: string }
  | { readonly kind: 'azure'; readonly containerUrl: string; readonly headers: UploadHeaders };
type UploadHeaders = NonNullable<OutputFile['destination']['container']['uploadHeaders']>;

interface Found {
  readonly path: string;
  readonly destination: Destination;
  readonly blob: string;
}

export interface OutputTargets {
  readonly files: FileService;
  readonly reach: Reach;
  /** What patterns may name as `$NAME` or `${NAME}`. */
  readonly environment: Readonly<Record<string, string>>;
  /** Told of each file that has been stored, and where. */
  readonly say: (line: string) => void;
}

/**
 * Stores the files of all patterns whose condition holds: those for the mesh get a name there, those for an Azure
 * container are sent. Throws the coded error of the first that fails; values name its pattern.
 */
export async function storeOutputs(
  targets: OutputTargets,
  assigned: Assigned,
  succeeded: boolean,
  directories: TaskDirectories,
): Promise<KeptFile[]> {
  const root = await SafeDirectory.open(directories.task);
  try {
    const queue = (await findOutputs(root, targets, assigned, succeeded, directories))[Symbol.iterator]();
    const kept: KeptFile[] = [];
    const byContainer = new Map<string, { name: string; content: StoredContent }[]>();
    const worker = async (): Promise<void> => {
      for (const { path, destination, blob } of { [Symbol.iterator]: () => queue }) {
        if (destination.kind === 'azure') {
          await send(root, path, destination, blob, targets);
          continue;
        }
        const { container } = destination;
        const content = await storeFile(targets.files, directories.task, path);
        kept.push({ path, ...content });
        byContainer.set(container, [...(byContainer.get(container) ?? []), { name: blob, content }]);
      }
    };
    await Promise.all(Array.from({ length: OUTPUT_UPLOADS_MAX }, worker));
    await publish(targets, assigned, byContainer);
    return kept.sort((a, b) => (a.path < b.path ? -1 : 1));
  } finally {
    await root.close();
  }
}

async function send(
  root: SafeDirectory,
  path: string,
  { containerUrl, headers }: Extract<Destination, { readonly kind: 'azure' }>,
  blob: string,
  { reach, say }: OutputTargets,
): Promise<void> {
  const file = await root.readFile(path);
  try {
    await uploadFile(file, containerUrl, blob, headers, reach);
  } finally {
    await file.close();
  }
  say(`${path} -> ${publicPart(blobUrl(containerUrl, blob))}`);
}

async function publish(
  { files, say }: OutputTargets,
  { pool, job, task, epoch }: Assigned,
  byContainer: ReadonlyMap<string, readonly { name: string; content: StoredContent }[]>,
): Promise<void> {
  const origin = { pool, job: job.number, task, epoch };
  for (const [container, blobs] of byContainer) {
    await files.publish(
      container,
      blobs.map((blob) => ({ ...blob, origin })),
    );
    for (const { name } of blobs) say(`mesh://${container}/${name}`);
  }
}

async function findOutputs(
  root: SafeDirectory,
  { environment }: OutputTargets,
  { spec }: Assigned,
  succeeded: boolean,
  directories: TaskDirectories,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const output of spec.outputFiles ?? []) {
    if (!isDue(output, succeeded)) continue;
    try {
      for await (const one of matches(output, root, directories, environment)) {
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
  return found;
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
  environment: Readonly<Record<string, string>>,
): AsyncGenerator<Found> {
  const { path: wanted } = output.destination.container;
  const destination = destinationOf(output);
  const pattern = belowTask(expand(output.filePattern, environment), directories);
  const prefix = literalPrefix(pattern);
  if (prefix === pattern) {
    await root.status(pattern);
    yield { path: pattern, destination, blob: wanted ?? baseName(pattern) };
    return;
  }
  for await (const path of walkGlob(root, new Glob(pattern))) {
    const name = path.slice(prefix.length);
    const blob = wanted === undefined || wanted === '' ? name : `${wanted.replace(/\/+$/, '')}/${name}`;
    yield { path, destination, blob };
  }
}

function destinationOf({ destination: { container } }: OutputFile): Destination {
  const own = parseMeshUrl(container.containerUrl)?.container;
  return own === undefined
    ? { kind: 'azure', containerUrl: container.containerUrl, headers: container.uploadHeaders ?? [] }
    : { kind: 'mesh', container: own };
}

/** A name that is not set stays as it was written: `[$]` and such are patterns too. */
function expand(pattern: string, environment: Readonly<Record<string, string>>): string {
  return pattern.replace(
    /\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g,
    (whole, braced?: string, bare?: string) => environment[braced ?? bare ?? ''] ?? whole,
  );
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
