import path from 'node:path';
import { ShoalError } from '../../lib/errors.ts';
import { FILE_TRANSFERS_MAX } from '../../lib/limits.ts';
import { isValidBlobName } from '../../model/blob.ts';
import type { Run } from '../action.ts';
import { bytes } from '../cells.ts';
import { forEachConcurrent } from '../concurrent.ts';
import { countFiles, type FileAddress, formatFileAddress, parseFileAddress } from '../file-address.ts';
import { type LocalFile, readFileExactly, walkFiles } from '../local-files.ts';
import { TransferProgress } from '../transfer-progress.ts';

interface Upload extends LocalFile {
  readonly name: string;
}

/** `shoal file put`: the last word is the address. */
export async function putFiles(run: Run, words: string[]): Promise<void> {
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

function invalid(message: string, argument: string): ShoalError {
  return new ShoalError('InvalidArgument', message, { Argument: argument });
}
