import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ShoalError } from '../../lib/errors.ts';
import { FILE_TRANSFERS_MAX } from '../../lib/limits.ts';
import type { Run } from '../action.ts';
import { bytes } from '../cells.ts';
import { forEachConcurrent } from '../concurrent.ts';
import { countFiles, type FileAddress, formatFileAddress, prefixOf } from '../file-address.ts';
import { prepareTarget } from '../local-files.ts';
import { saveBody, showBody } from '../remote-output.ts';
import { TransferProgress } from '../transfer-progress.ts';

interface Download {
  readonly name: string;
  readonly sizeBytes: number | undefined;
  /** Below the destination. */
  readonly relative: string;
}

/** `shoal file get` */
export async function getFiles(
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

function invalid(message: string, argument: string): ShoalError {
  return new ShoalError('InvalidArgument', message, { Argument: argument });
}
