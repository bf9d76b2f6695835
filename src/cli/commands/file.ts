import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import { FILE_TRANSFERS_MAX } from '../../lib/limits.ts';
import { isValidBlobName } from '../../model/blob.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, bytes } from '../cells.ts';
import { forEachConcurrent } from '../concurrent.ts';
import { withExamples } from '../examples.ts';
import { type FileAddress, formatFileAddress, parseFileAddress } from '../file-address.ts';
import { type LocalFile, prepareTarget, readFileExactly, walkFiles } from '../local-files.ts';
import { ProgressLine, RateMeter, renderByteProgress } from '../progress.ts';
import { saveBody, showBody } from '../remote-output.ts';
import { nonEmpty } from '../values.ts';

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

// --- put ----------------------------------------------------------------------------------------------------------

interface Upload extends LocalFile {
  readonly name: string;
}

async function putFiles(run: Run, words: string[]): Promise<void> {
  const sources = words.slice(0, -1);
  const last = words.at(-1) ?? '';
  if (sources.length === 0)
    throw invalid(`Give the address behind ${last}, such as mesh://files/.`, 'address');
  const target = parseFileAddress(last);
  if (sources.length > 1 && !target.isDirectory) {
    throw invalid('Several sources need an address that ends with a slash.', 'address');
  }
  if (sources.includes('-')) return putStream(run, sources, target);
  const uploads = await findUploads(run, sources, target);
  const progress = new TransferProgress(
    run,
    'put',
    uploads.reduce((sum, one) => sum + one.sizeBytes, 0),
  );
  try {
    await forEachConcurrent(uploads, FILE_TRANSFERS_MAX, async ({ file, name, sizeBytes }) => {
      const open = (): AsyncIterable<Uint8Array> =>
        readFileExactly(file, sizeBytes, (count) => progress.add(count));
      await run.client.blobs.put(
        target.container,
        name,
        { open, length: sizeBytes },
        { create: true, signal: run.signal },
      );
    });
  } finally {
    progress.end();
  }
  const stored = uploads.map(({ name, sizeBytes }) => ({
    address: formatFileAddress(target.container, name),
    sizeBytes,
  }));
  if (run.output.format !== 'table') return run.output.rows(stored, []);
  await run.output.done(`${countFiles(stored.length)} (${bytes(progress.total)}) stored.`, {});
}

async function putStream(run: Run, sources: readonly string[], target: FileAddress): Promise<void> {
  if (sources.length > 1 || target.isDirectory) {
    throw invalid('Standard input needs an address with a name, and no other source beside it.', 'source');
  }
  const progress = new TransferProgress(run, 'put', undefined);
  // A pipe cannot be read twice: a repetition of the upload must fail rather than store a part.
  let opened = false;
  async function* read(): AsyncGenerator<Uint8Array> {
    if (opened)
      throw new ShoalError('PeerUnreachable', 'The upload from standard input broke and cannot be repeated.');
    opened = true;
    for await (const chunk of run.world.stdin as AsyncIterable<Uint8Array | string>) {
      const part = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      progress.add(part.byteLength);
      yield part;
    }
  }
  try {
    await run.client.blobs.put(
      target.container,
      target.path,
      { open: read },
      { create: true, signal: run.signal },
    );
  } finally {
    progress.end();
  }
  const address = formatFileAddress(target.container, target.path);
  await run.output.done(`${address} stored.`, { address });
}

/** Below a directory address each source keeps its last component, as with `cp -r`; else it takes the address's name. */
async function findUploads(
  run: Run,
  sources: readonly string[],
  target: FileAddress,
): Promise<readonly Upload[]> {
  const uploads: Upload[] = [];
  const names = new Set<string>();
  for (const source of sources) {
    const start = path.resolve(run.world.directory, source);
    const { files, skipped } = await walkFiles(start);
    for (const left of skipped) await run.note(`${left} is no regular file and is left out.`);
    const keeps = target.isDirectory && !/^\.{1,2}$/.test(path.basename(source));
    const base = [target.path, ...(keeps ? [path.basename(start)] : [])];
    for (const file of files) {
      const name = [...base, file.relative].filter((part) => part !== '').join('/');
      if (!isValidBlobName(name))
        throw invalid(`The name of ${file.file} cannot be a name in the mesh.`, 'source');
      if (names.has(name)) throw invalid(`Two sources would both be ${name}.`, 'source');
      names.add(name);
      uploads.push({ ...file, name });
    }
  }
  return uploads;
}

// --- get ----------------------------------------------------------------------------------------------------------

interface Download {
  readonly name: string;
  readonly sizeBytes: number | undefined;
  /** Below the destination. */
  readonly relative: string;
}

async function getFiles(
  run: Run,
  address: FileAddress,
  destination: string,
  { recursive }: { recursive?: true },
): Promise<void> {
  if (recursive === true || address.isDirectory) return getMany(run, address, destination);
  const answer = await run.client.blobs.open(address.container, address.path, { signal: run.signal });
  if (destination === '-') return showBody(run, answer.body, true);
  const target = await singleTarget(run, address, destination);
  const length = answer.headers['content-length'];
  const progress = new TransferProgress(run, 'get', length === undefined ? undefined : Number(length));
  let size: number;
  try {
    size = await saveBody(answer, target, (count) => progress.add(count));
  } finally {
    progress.end();
  }
  await run.output.done(`${target} stored (${bytes(size)}).`, { stored: target, sizeBytes: size });
}

/** An existing directory takes the file under its own name. */
async function singleTarget(run: Run, address: FileAddress, destination: string): Promise<string> {
  const place = path.resolve(run.world.directory, destination);
  const isDirectory =
    destination.endsWith('/') || ((await stat(place).catch(() => undefined))?.isDirectory() ?? false);
  if (isDirectory) return prepareTarget(place, path.posix.basename(address.path));
  return prepareTarget(path.dirname(place), path.basename(place));
}

async function getMany(run: Run, address: FileAddress, destination: string): Promise<void> {
  if (destination === '-') throw invalid('Standard output takes one file.', 'destination');
  const root = path.resolve(run.world.directory, destination);
  const progress = new TransferProgress(run, 'get', undefined);
  const stored: { stored: string; sizeBytes: number }[] = [];
  try {
    await forEachConcurrent(downloads(run, address), FILE_TRANSFERS_MAX, async ({ name, relative }) => {
      const target = await prepareTarget(root, relative);
      const answer = await run.client.blobs.open(address.container, name, { signal: run.signal });
      const sizeBytes = await saveBody(answer, target, (count) => progress.add(count));
      stored.push({ stored: target, sizeBytes });
    });
  } finally {
    progress.end();
  }
  if (stored.length === 0) {
    const wanted = formatFileAddress(address.container, address.path);
    throw new ShoalError('BlobNotFound', `No file's name begins with ${wanted}.`);
  }
  if (run.output.format !== 'table') return run.output.rows(stored, []);
  await run.output.done(
    `${countFiles(stored.length)} (${bytes(progress.done)}) stored in ${destination}.`,
    {},
  );
}

/** `film/scenes/` gives the names below it; `film/sce` with -r keeps what is behind the last slash of the address. */
async function* downloads(run: Run, address: FileAddress): AsyncGenerator<Download> {
  const prefix = prefixOf(address);
  const cut = prefix.lastIndexOf('/') + 1;
  for await (const blob of run.client.blobs.list(address.container, prefix, { signal: run.signal })) {
    yield { name: blob.name, sizeBytes: blob.sizeBytes, relative: blob.name.slice(cut) };
  }
}

// --- ls and rm ----------------------------------------------------------------------------------------------------

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

// --- shared -------------------------------------------------------------------------------------------------------

function prefixOf(address: FileAddress): string {
  return address.isDirectory && address.path !== '' ? `${address.path}/` : address.path;
}

function countFiles(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}

class TransferProgress {
  readonly total: number | undefined;
  done = 0;
  readonly #run: Run;
  readonly #label: string;
  readonly #line: ProgressLine;
  readonly #rate = new RateMeter();

  constructor(run: Run, label: string, total: number | undefined) {
    this.#run = run;
    this.#label = label;
    this.total = total;
    this.#line = new ProgressLine(run.world.stderr, run.showsProgress);
  }

  add(count: number): void {
    this.done += count;
    this.#rate.note(performance.now(), this.done);
    const { done, total } = this;
    const progress = { label: this.#label, done, total, perSecond: this.#rate.perSecond() };
    this.#line.draw(() => renderByteProgress(progress, this.#run.world.columns()));
  }

  end(): void {
    this.#line.clear();
  }
}

function invalid(message: string, argument: string): ShoalError {
  return new ShoalError('InvalidArgument', message, { Argument: argument });
}
